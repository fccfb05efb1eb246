import assert from "node:assert/strict";
import { bundledMigrations } from "../../migrations/mod.ts";
import { MemoryDatabase } from "./fixture.ts";
import { readReference, referenceTables } from "./reference.ts";

const reference = readReference();

for (const { database, name, table } of referenceTables()) {
  Deno.test(`${database}.${name} has the reference's columns, in order`, () => {
    using db = MemoryDatabase.migrated(database);
    const found = db.rows(
      `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)`,
      name,
    );
    const wanted = table.columns.map((column) => ({
      name: column.name,
      type: column.type,
      notnull: Number(column.notNull ?? false),
      dflt_value: column.default ?? null,
      pk: Number(column.primaryKey ?? false),
      hidden: 0,
    }));
    assert.deepEqual(found, wanted);
  });

  Deno.test(`${database}.${name} has the reference's unique constraints and foreign keys`, () => {
    using db = MemoryDatabase.migrated(database);
    const unique = db.column(
      `SELECT (SELECT group_concat(name) FROM pragma_index_info(i.name))
       FROM pragma_index_list(?) AS i WHERE i.origin = 'u' AND i."unique" AND NOT i.partial`,
      name,
    );
    assert.deepEqual(unique.toSorted(), (table.unique ?? []).map(String).toSorted());

    const foreignKeys = db.rows(
      `SELECT "from" AS "column", "table" || '(' || "to" || ')' AS "references",
         on_update, on_delete, "match"
       FROM pragma_foreign_key_list(?)`,
      name,
    );
    const plain = { on_update: "NO ACTION", on_delete: "NO ACTION", match: "NONE" };
    assert.deepEqual(foreignKeys, (table.foreignKeys ?? []).map((key) => ({ ...key, ...plain })));
  });

  Deno.test(`${database}.${name} has the reference's checks by name, and no others`, () => {
    using db = MemoryDatabase.migrated(database);
    const sql = String(db.column("SELECT sql FROM sqlite_schema WHERE name = ?", name)[0]);
    const named = [...sql.matchAll(/CONSTRAINT (\w+) CHECK/g)].map((match) => match[1]);
    assert.deepEqual(named, table.checks.flatMap((check) => check.name ?? []));
    assert.equal(sql.match(/\bCHECK \(/g)?.length ?? 0, table.checks.length);
    assert.equal(/\bAUTOINCREMENT\b/.test(sql), table.autoincrement ?? false);
    assert.equal(/\b(WITHOUT ROWID|STRICT)\b/.test(sql), false);
  });
}

for (const [database, { tables, indexes, views }] of Object.entries(reference)) {
  Deno.test(`${database} has the reference's indexes, with their directions`, () => {
    using db = MemoryDatabase.migrated(database);
    for (const index of indexes) {
      const columns = db.column(
        `SELECT name || iif("desc", ' DESC', '') FROM pragma_index_xinfo(?) WHERE "key"`,
        index.name,
      );
      assert.deepEqual(columns, index.columns, index.name);
      assert.deepEqual(
        db.rows(
          `SELECT "unique", origin, partial FROM pragma_index_list(?) WHERE name = ?`,
          index.table,
          index.name,
        ),
        [{ unique: 0, origin: "c", partial: 0 }],
        index.name,
      );
    }
  });

  Deno.test(`${database} has the reference's views, with their columns, order and limit`, () => {
    using db = MemoryDatabase.migrated(database);
    for (const [name, view] of Object.entries(views)) {
      assert.deepEqual(
        db.column("SELECT name FROM pragma_table_xinfo(?)", name),
        view.columns,
        name,
      );
      const sql = String(db.column("SELECT sql FROM sqlite_schema WHERE name = ?", name)[0]);
      const [, order, limit] = /\nORDER BY (?:\w\.)?([\w ]+?)(?:\nLIMIT (\d+))?$/.exec(sql) ?? [];
      assert.equal(order, view.order, name);
      assert.equal(limit === undefined ? undefined : Number(limit), view.limit, name);
    }
  });

  Deno.test(`${database} has only objects that are in the reference`, () => {
    using db = MemoryDatabase.migrated(database);
    const found = db.objects().map(({ type, name }) => `${type} ${name}`);
    const wanted = [
      ...Object.keys(tables).map((name) => `table ${name}`),
      ...indexes.map(({ name }) => `index ${name}`),
      ...Object.keys(views).map((name) => `view ${name}`),
    ];
    assert.deepEqual(found.toSorted(), wanted.toSorted());
  });
}

Deno.test("the bundled migrations create 11 tables, 38 indexes and 10 views", () => {
  const counts = { table: 0, index: 0, view: 0 };
  for (const database of Object.keys(reference)) {
    using db = MemoryDatabase.migrated(database);
    for (const { type } of db.objects()) counts[String(type) as keyof typeof counts]++;
  }
  assert.deepEqual(counts, { table: 11, index: 38, view: 10 });
});

Deno.test("the bundled migrations are in order and create the databases of the reference", () => {
  assert.deepEqual(
    bundledMigrations.map(({ id, name, database }) => [id, name, database]),
    [
      ["001", "001_create_positions_tables", "positions"],
      ["002", "002_create_trading_tables", "trading"],
      ["003", "003_create_ml_training_tables", "ml_training"],
    ],
  );
  const databases = new Set(bundledMigrations.map(({ database }) => database));
  assert.deepEqual([...databases], Object.keys(reference));
});
