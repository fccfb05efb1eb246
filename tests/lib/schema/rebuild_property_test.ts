import fc from "fast-check";
import assert from "node:assert/strict";
import { openForReading } from "../../../lib/database/open.ts";
import { compareSchemas } from "../../../lib/schema/compare.ts";
import { readSchema } from "../../../lib/schema/read.ts";
import type { Schema } from "../../../lib/schema/model.ts";
import { TemporaryDirectory } from "../support.ts";
import { type App, appOf, contentOf } from "./rebuild_support.ts";
import { trials } from "../../effort.ts";

/** Values of every storage class, as SQL literals. */
const value = fc.oneof(
  fc.constantFrom("NULL", "''", "0", "-0.0", "9e999", "1.0", "X''", "char(0, 65, 0)", "'007'"),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((number) =>
    number === -(2n ** 63n) ? "(-9223372036854775807 - 1)" : String(number)
  ),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number.toExponential(17)),
  fc.string({ unit: "grapheme", maxLength: 6 })
    .map((text) => `'${text.replaceAll("\0", "").replaceAll("'", "''")}'`),
  fc.uint8Array({ maxLength: 6 }).map((bytes) => `X'${bytes.toHex()}'`),
);

const keys = [
  "id INTEGER PRIMARY KEY",
  "id INTEGER PRIMARY KEY AUTOINCREMENT",
  "id INTEGER PRIMARY KEY DESC",
  "id TEXT NOT NULL PRIMARY KEY",
  "id INT UNIQUE",
];
const typed = ["TEXT", "INTEGER", "REAL", "NUMERIC", "BLOB", "", "ANY", "VARCHAR(10)"];
const rules = [
  "",
  " COLLATE NOCASE",
  " DEFAULT (1 + 1)",
  " CHECK (v0 IS NOT 'never')",
  " CONSTRAINT \"a (name\" CHECK (T.V0 IS NOT 'never') DEFAULT x'00'",
  " -- a comment, with )\n",
];
const more = [
  "g AS (v0 || 'x')",
  "h GENERATED ALWAYS AS (v0 || 'y') STORED",
  "up INTEGER REFERENCES t (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
  "UNIQUE (id, v0) ON CONFLICT REPLACE",
  "CHECK (id IS NOT 'never')",
];
const around = [
  "CREATE INDEX i1 ON t (v0 COLLATE RTRIM DESC, id)",
  "CREATE UNIQUE INDEX i2 ON t (id, v0) WHERE id IS NOT NULL",
  "CREATE INDEX i3 ON t (lower(v0)) -- why\n",
  "CREATE TABLE child (c INTEGER REFERENCES t (id) ON DELETE CASCADE ON UPDATE SET NULL)",
  "CREATE TABLE stranger (c REFERENCES nowhere)",
  "CREATE VIEW v AS SELECT * FROM t",
  "CREATE VIEW w (one) AS SELECT (SELECT count(*) FROM v) FROM t AS x JOIN T ON x.id = t.id",
  "CREATE VIEW broken AS SELECT nix FROM t",
  "CREATE TRIGGER r1 AFTER UPDATE OF v0 ON t WHEN NEW.v0 IS 5 BEGIN DELETE FROM t; END",
  "CREATE TRIGGER r2 AFTER INSERT ON [T] BEGIN SELECT NEW.id; UPDATE t SET v0 = 1; END",
];

const databases = fc.record({
  key: fc.constantFrom(...keys),
  columns: fc.array(fc.tuple(fc.constantFrom(...typed), fc.constantFrom(...rules)), {
    minLength: 1,
    maxLength: 3,
  }),
  more: fc.subarray(more),
  withoutRowid: fc.boolean(),
  around: fc.subarray(around),
  rows: fc.array(fc.tuple(value, value, value, value), { maxLength: 12 }),
  gone: fc.boolean(),
});

type Database = typeof databases extends fc.Arbitrary<infer T> ? T : never;

/** A script that creates the database; rows that violate its constraints are omitted. */
function scriptOf({ key, columns, more, withoutRowid, around, rows, gone }: Database): string {
  const list = columns.map(([type, rule], index) => `v${index} ${type}${rule}`);
  const options = withoutRowid && key === "id TEXT NOT NULL PRIMARY KEY" ? " WITHOUT ROWID" : "";
  // Constraints of the table come last.
  const rest = [...more].sort((a, b) => Number(/^[A-Z]/.test(a)) - Number(/^[A-Z]/.test(b)));
  const names = ["id", ...columns.map((_, index) => `v${index}`)];
  return [
    `CREATE TABLE T (${[key, ...list, ...rest].join(",\n  ")})${options}`,
    ...around.filter((one) => !one.startsWith("CREATE TRIGGER")),
    ...rows.map((values) =>
      `INSERT OR IGNORE INTO t (${names.join(", ")}) SELECT ${
        values.slice(0, names.length).join(", ")
      } WHERE typeof(${values[0]}) IN ('text', 'null')
        OR (typeof(${values[0]}) = 'integer' AND ${values[0]} < 9000000000000000000)`
    ),
    gone ? "DELETE FROM t WHERE id = (SELECT max(id) FROM t)" : "",
    around.some((one) => one.includes("child")) ? "INSERT INTO child SELECT 1 FROM t" : "",
    ...around.filter((one) => one.startsWith("CREATE TRIGGER")),
  ].filter((statement) => statement !== "").join(";\n");
}

async function schemaOf(app: App): Promise<Schema> {
  await using connection = await openForReading({ kind: "file", path: app.path });
  return await readSchema(connection);
}

/** All rows of all tables; the schema is compared by meaning. */
function rowsOf(app: App): unknown {
  return (contentOf(app.path) as { rows: unknown }).rows;
}

Deno.test("a rebuild with the same definition changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(databases, async (database) => {
      using directory = new TemporaryDirectory();
      const app = appOf(directory, "");
      try {
        app.execute(scriptOf(database));
      } catch (error) {
        // For example, text in a key that must be a number.
        fc.pre(!/mismatch|constraint failed/.test(String(error)));
        throw error;
      }
      const before = { schema: await schemaOf(app), rows: rowsOf(app) };
      const others = app.query("SELECT sql FROM sqlite_schema WHERE name <> 'T' AND sql <> ''");
      await app.rebuild("t");
      assert.deepEqual(compareSchemas(before.schema, await schemaOf(app)), []);
      assert.deepEqual(rowsOf(app), before.rows);
      const left = app.query("SELECT sql FROM sqlite_schema").map(({ sql }) => sql);
      for (const { sql } of others) assert.ok(left.includes(sql ?? ""), String(sql));
      assert.deepEqual(app.query("PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
    }),
    { numRuns: trials(15) },
  );
});

Deno.test("a rebuild that a row prevents changes nothing", async () => {
  await fc.assert(
    fc.asyncProperty(databases, async (database) => {
      using directory = new TemporaryDirectory();
      const app = appOf(directory, "");
      try {
        app.execute(`${scriptOf(database)}; INSERT INTO t (id, v0) VALUES (123456, 'bad')`);
      } catch (error) {
        fc.pre(!/mismatch|constraint failed/.test(String(error)));
        throw error;
      }
      const before = contentOf(app.path);
      await assert.rejects(
        app.rebuild("t", { addChecks: { no_such_id: "id IS NOT 123456 AND id IS NOT '123456'" } }),
        /CHECK constraint failed: no_such_id/,
      );
      assert.deepEqual(contentOf(app.path), before);
    }),
    { numRuns: trials(8) },
  );
});
