import fc from "fast-check";
import assert from "node:assert/strict";
import type { SQLInputValue } from "node:sqlite";
import {
  boundaryValues,
  defaultOf,
  requiredRow,
  ruleOf,
  rules,
  violations,
} from "./constraints.ts";
import { MemoryDatabase, type Values } from "./fixture.ts";
import { type ReferenceColumn, type ReferenceTable, referenceTables } from "./reference.ts";

for (const { database, name, table } of referenceTables()) {
  if (table.checks.length === 0) continue;

  Deno.test(`${name} accepts a row exactly if the reference's constraints allow it`, () => {
    using db = MemoryDatabase.migrated(database, { foreignKeys: false });
    fc.assert(fc.property(rowOf(name, table), (row) => judge(db, { name, table, row })));
  });

  Deno.test(`${name} has the same limits as the reference`, () => {
    using db = MemoryDatabase.migrated(database, { foreignKeys: false });
    for (const column of table.columns.filter((each) => !each.primaryKey)) {
      for (const value of boundaryValues(table, column)) {
        judge(db, { name, table, row: requiredRow(name, { [column.name]: value }) });
      }
    }
  });

  for (const check of table.checks) {
    if (!("rule" in check)) continue;
    Deno.test(`${name} enforces ${check.name}: ${check.rule}`, () => {
      using db = MemoryDatabase.migrated(database, { foreignKeys: false });
      const columns = table.columns.filter((each) =>
        ruleOf(check.name).columns.includes(each.name)
      );
      for (const values of combinations(columns.map((each) => boundaryValues(table, each)))) {
        const given = columns.map((column, at) => [column.name, values[at] ?? null] as const);
        judge(db, { name, table, row: requiredRow(name, Object.fromEntries(given)) });
      }
    });
  }
}

Deno.test("the tests cover every constraint of the reference, and no others", () => {
  const named = referenceTables().flatMap(({ table }) =>
    table.checks.flatMap((check) => "rule" in check ? check.name : [])
  );
  assert.deepEqual(named.toSorted(), Object.keys(rules).toSorted());
});

for (const { database, name, table } of referenceTables()) {
  for (const columns of table.unique ?? []) {
    Deno.test(`${name} refuses a second row with the same ${columns.join(" and ")}`, () => {
      using db = MemoryDatabase.migrated(database, { foreignKeys: false });
      const key = table.columns.find((column) => column.primaryKey)?.name ?? "rowid";
      db.insert(name, requiredRow(name));
      const others = (table.unique ?? []).flat().filter((column) => !columns.includes(column));
      const changed = Object.fromEntries([key, ...others].map((column) => [column, 2]));
      const failed = columns.map((column) => `${name}.${column}`).join(", ");
      assert.throws(
        () => db.insert(name, requiredRow(name, changed)),
        { message: `UNIQUE constraint failed: ${failed}` },
      );
      db.insert(name, requiredRow(name, { ...changed, [columns.at(-1) ?? ""]: 2 }));
    });
  }

  for (const { column, references } of table.foreignKeys ?? []) {
    const [parent = ""] = references.split("(");
    Deno.test(`${name} refuses a row whose ${column} is not in ${parent}`, () => {
      using db = MemoryDatabase.migrated(database);
      const insert = () => db.insert(name, requiredRow(name));
      assert.throws(insert, { message: "FOREIGN KEY constraint failed" });
      db.insert(parent, requiredRow(parent));
      insert();
      assert.throws(() => db.exec(`DELETE FROM ${parent}`), {
        message: "FOREIGN KEY constraint failed",
      });
    });
  }

  if (table.autoincrement === true) {
    Deno.test(`${name} never reuses the number of a deleted row`, () => {
      using db = MemoryDatabase.migrated(database, { foreignKeys: false });
      const key = table.columns.find((column) => column.primaryKey)?.name ?? "";
      const insert = () => db.insert(name, requiredRow(name, { [key]: null }));
      insert();
      db.exec(`DELETE FROM ${name}`);
      insert();
      assert.deepEqual(db.column(`SELECT ${key} FROM ${name}`), [2]);
    });
  }
}

/** Inserts a row, and compares SQLite's reaction and the stored values with the reference. */
function judge(
  db: MemoryDatabase,
  { name, table, row }: { name: string; table: ReferenceTable; row: Values },
): void {
  const whole = Object.fromEntries(
    table.columns.map((column) => {
      const value = row[column.name];
      return [column.name, value === undefined ? defaultOf(column) : value];
    }),
  );
  const expected = violations(name, table, whole);
  const error = errorOf(() => db.insert(name, row));
  if (error === undefined) {
    assert.deepEqual(expected, [], "SQLite accepts the row");
    assert.deepEqual(db.rows(`SELECT * FROM ${name}`), [whole]);
    db.exec(`DELETE FROM ${name}`);
  } else {
    const named = expected.some((beginning) => error.startsWith(beginning));
    assert.ok(named, `SQLite says "${error}", expected was one of ${JSON.stringify(expected)}`);
  }
}

function errorOf(action: () => void): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Rows similar to a valid one, so that both outcomes are frequent. */
function rowOf(name: string, table: ReferenceTable): fc.Arbitrary<Values> {
  const required = requiredRow(name);
  const columns = table.columns.map((column) => {
    const plain = required[column.name];
    if (column.primaryKey) return [column.name, fc.constant(plain)] as const;
    const value = fc.oneof(
      { weight: 6, arbitrary: fc.constant(plain) },
      { weight: 1, arbitrary: fc.constantFrom(...boundaryValues(table, column)) },
      { weight: 1, arbitrary: anyValue(column) },
    );
    return [column.name, value] as const;
  });
  return fc.record(Object.fromEntries(columns)).map((row) =>
    Object.fromEntries(
      Object.entries(row).flatMap(([column, value]) =>
        value === undefined ? [] : [[column, value]]
      ),
    )
  );
}

function anyValue({ type }: ReferenceColumn): fc.Arbitrary<SQLInputValue> {
  if (type === "TEXT") return fc.string().filter((text) => !text.includes("\0"));
  if (type === "INTEGER") return fc.maxSafeInteger();
  // SQLite does not store the sign of zero.
  return fc.double({ noNaN: true }).map((number) => number + 0);
}

function combinations<T>(choices: readonly (readonly T[])[]): T[][] {
  return choices.reduce<T[][]>(
    (rows, values) => rows.flatMap((row) => values.map((value) => [...row, value])),
    [[]],
  );
}
