import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { readSchema } from "../../../lib/schema/read.ts";
import { SAMPLE, schemaOf } from "./sample.ts";

Deno.test("a table is read with its columns, keys and constraints", async () => {
  const { tables } = await schemaOf(SAMPLE);
  const [accounts, trades] = tables;
  assert.deepEqual(tables.map((table) => table.name), ["accounts", "trades"]);
  assert.equal(accounts?.autoincrement, true);
  assert.deepEqual(accounts?.uniques, [["email"]]);
  assert.deepEqual(accounts?.columns[1], {
    name: "email",
    type: "TEXT",
    notNull: true,
    default: null,
    primaryKey: 0,
    collation: "NOCASE",
    generated: null,
  });
  assert.equal(accounts?.columns[2]?.default, "'new'");
  assert.equal(trades?.columns[0]?.primaryKey, 1);
  assert.deepEqual(trades?.columns[7]?.generated, {
    kind: "virtual",
    expression: "price * quantity",
  });
  assert.deepEqual(trades?.uniques, [["account_id", "side", "price"]]);
  assert.deepEqual(trades?.foreignKeys, [{
    columns: ["account_id"],
    table: "accounts",
    references: [],
    onUpdate: "NO ACTION",
    onDelete: "CASCADE",
    deferred: false,
  }]);
  assert.deepEqual(trades?.checks.map((check) => check.name), [null, null, null, "valid_stop"]);
});

Deno.test("indexes, views and triggers are read", async () => {
  const { indexes, views, triggers } = await schemaOf(SAMPLE);
  assert.deepEqual(indexes.map(({ sql: _, ...index }) => index), [
    {
      name: "idx_trades_side",
      table: "trades",
      unique: false,
      columns: [
        { name: "side", expression: null, descending: false, collation: "BINARY" },
        { name: "price", expression: null, descending: true, collation: "BINARY" },
      ],
      where: null,
    },
    {
      name: "idx_trades_open",
      table: "trades",
      unique: true,
      columns: [
        { name: "account_id", expression: null, descending: false, collation: "BINARY" },
        { name: null, expression: "lower(side)", descending: false, collation: "BINARY" },
      ],
      where: "stop IS NULL",
    },
  ]);
  assert.deepEqual(views.map((view) => [view.name, view.columns]), [
    ["open_trades", ["trade_id", "entry"]],
  ]);
  assert.deepEqual(triggers.map((trigger) => [trigger.name, trigger.table]), [
    ["trades_keep", "trades"],
  ]);
});

Deno.test("several foreign keys keep their order and their deferral", async () => {
  const { tables } = await schemaOf(`CREATE TABLE t (
    a INT REFERENCES p (x) DEFERRABLE INITIALLY DEFERRED,
    b INT,
    FOREIGN KEY (a, b) REFERENCES q (y, z) ON UPDATE SET NULL
  )`);
  assert.deepEqual(
    tables[0]?.foreignKeys.map((key) => [key.columns, key.table, key.references, key.deferred]),
    [[["a"], "p", ["x"], true], [["a", "b"], "q", ["y", "z"], false]],
  );
});

Deno.test("SQLite's internal objects, markers, shadow tables and ignored objects are omitted", async () => {
  const schema = await schemaOf(
    `
    CREATE TABLE catalyst_migrations (id TEXT PRIMARY KEY);
    CREATE INDEX idx_markers ON catalyst_migrations (id);
    CREATE TABLE kept (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE);
    CREATE TABLE other (a UNIQUE);
    CREATE INDEX idx_other ON other (a);
    CREATE TRIGGER on_other AFTER INSERT ON other BEGIN SELECT 1; END;
    CREATE VIRTUAL TABLE notes USING fts5 (body, author);
    ANALYZE;
    `,
    { ignore: (name) => name === "other" },
  );
  assert.deepEqual(schema.tables.map((table) => table.name), ["kept", "notes"]);
  assert.deepEqual(schema.tables[1]?.columns.map((column) => column.name), ["body", "author"]);
  assert.equal(schema.tables[1]?.virtual, true);
  assert.deepEqual([schema.indexes, schema.triggers], [[], []]);
});

Deno.test("a view that refers to a missing table has no columns, and other views are not affected", async () => {
  const { views } = await schemaOf(`
    CREATE VIEW broken AS SELECT * FROM nowhere;
    CREATE VIEW good AS SELECT 1 AS one;
    CREATE VIEW on_broken AS SELECT * FROM broken;
  `);
  assert.deepEqual(views.map((view) => view.columns), [[], ["one"], []]);
});

Deno.test("unusual names are read unchanged", async () => {
  const { tables, indexes } = await schemaOf(`
    CREATE TABLE "it's ""a"" table" ("a b" TEXT CHECK ("a b" <> ''), [ünï] INT, "check" INT);
    CREATE INDEX "i (" ON "it's ""a"" table" ("a b" COLLATE nocase, "check" DESC);
  `);
  assert.equal(tables[0]?.name, `it's "a" table`);
  assert.deepEqual(tables[0]?.columns.map((column) => column.name), ["a b", "ünï", "check"]);
  assert.deepEqual(indexes[0]?.columns.map((column) => [column.name, column.collation]), [
    ["a b", "NOCASE"],
    ["check", "BINARY"],
  ]);
});

Deno.test("unchanged objects of a previous schema are not read again", async () => {
  await using connection = openMemory();
  await connection.script(SAMPLE);
  const previous = await readSchema(connection);
  await connection.script(`
    ALTER TABLE accounts ADD COLUMN note TEXT;
    CREATE INDEX idx_trades_price ON trades (price);
  `);
  const schema = await readSchema(connection, { previous });
  assert.deepEqual(schema, await readSchema(connection));
  assert.notEqual(schema.tables[0], previous.tables[0]);
  assert.equal(schema.tables[1], previous.tables[1]);
});

Deno.test("many tables are read at once", async () => {
  await using connection = openMemory();
  const sql = Array.from(
    { length: 500 },
    (_, i) =>
      `CREATE TABLE t${i} (id INTEGER PRIMARY KEY, a TEXT UNIQUE); CREATE INDEX i${i} ON t${i} (a);`,
  );
  await connection.exec(sql.join("\n"));
  const schema = await readSchema(connection);
  assert.equal(schema.tables.length, 500);
  assert.ok(
    schema.tables.every((table) => table.columns.length === 2 && table.uniques.length === 1),
  );
  assert.ok(schema.indexes.every((index) => index.columns.length === 1));
});
