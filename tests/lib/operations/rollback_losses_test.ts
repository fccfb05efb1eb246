import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { findLosses } from "../../../lib/operations/rollback_losses.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { migrationOf } from "../support.ts";

const create = migrationOf({
  name: "001_create",
  upgrade:
    "CREATE TABLE Orders (id INTEGER PRIMARY KEY); CREATE TABLE fills (id INTEGER PRIMARY KEY)",
  downgrade: "DROP TABLE fills; DROP TABLE orders",
});
const extend = migrationOf({
  name: "002_extend",
  upgrade: "ALTER TABLE orders ADD COLUMN note TEXT; ALTER TABLE orders ADD COLUMN tag TEXT",
  downgrade: "ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders DROP COLUMN tag",
});
const index = migrationOf({
  name: "003_index",
  upgrade: "CREATE INDEX by_note ON orders (note)",
  downgrade: "DROP INDEX by_note",
});

async function losses(options: {
  applied: readonly Migration[];
  rollback: readonly Migration[];
  sql: string;
  isCertain?: boolean;
}): Promise<unknown[]> {
  await using db = openMemory();
  await db.script(options.sql);
  const { losses, isCertain } = await findLosses(db, options.applied, options.rollback);
  assert.equal(isCertain, options.isCertain ?? true);
  return [...losses];
}

const ALL = `CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT, tag TEXT);
  CREATE TABLE fills (id INTEGER PRIMARY KEY);
  CREATE TABLE own (a);
  INSERT INTO own VALUES (1);
  INSERT INTO orders VALUES (1, 'a', NULL), (2, NULL, NULL), (3, NULL, 'b');`;

Deno.test("dropped tables lose their rows; others, including unmanaged ones, are left out", async () => {
  assert.deepEqual(
    await losses({ applied: [create], rollback: [create], sql: ALL }),
    [{ database: "app", table: "orders", rows: 3 }, { database: "app", table: "fills", rows: 0 }],
  );
});

Deno.test("a dropped column loses the rows in which it has a value", async () => {
  assert.deepEqual(
    await losses({ applied: [create, extend, index], rollback: [index, extend], sql: ALL }),
    [{ database: "app", table: "orders", rows: 2, columns: ["note", "tag"] }],
  );
});

Deno.test("dropping an index loses nothing", async () => {
  const all = [create, extend, index];
  assert.deepEqual(await losses({ applied: all, rollback: [index], sql: ALL }), []);
});

Deno.test("a table that is already missing can't be lost", async () => {
  const sql = "CREATE TABLE fills (id INTEGER PRIMARY KEY)";
  assert.deepEqual(
    await losses({ applied: [create], rollback: [create], sql }),
    [{ database: "app", table: "fills", rows: 0 }],
  );
});

Deno.test("if memory gives no answer, every table is at stake", async () => {
  const needsRows = migrationOf({
    name: "001_needs_rows",
    upgrade: async (transaction) => {
      if ((await transaction.all("SELECT 1 FROM orders")).length === 0) throw new Error("no rows");
    },
    downgrade: "DELETE FROM own",
  });
  const found = await losses({
    applied: [needsRows],
    rollback: [needsRows],
    sql: ALL,
    isCertain: false,
  });
  assert.deepEqual(found, [
    { database: "app", table: "orders", rows: 3 },
    { database: "app", table: "fills", rows: 0 },
    { database: "app", table: "own", rows: 1 },
  ]);
});

Deno.test("a renamed table is not lost, and a table that takes its old name is not counted", async () => {
  const rename = migrationOf({
    name: "002_rename",
    upgrade: "ALTER TABLE fills RENAME TO executions",
    downgrade: "ALTER TABLE executions RENAME TO fills",
  });
  const replace = migrationOf({
    name: "002_replace",
    upgrade: "ALTER TABLE fills RENAME TO executions",
    downgrade: "DROP TABLE executions; CREATE TABLE fills (id INTEGER PRIMARY KEY)",
  });
  const sql = `CREATE TABLE orders (id INTEGER PRIMARY KEY);
    CREATE TABLE executions (id INTEGER PRIMARY KEY); INSERT INTO executions VALUES (1), (2)`;
  const losing = (migration: Migration) =>
    losses({ applied: [create, migration], rollback: [migration], sql });
  assert.deepEqual(await losing(rename), []);
  assert.deepEqual(await losing(replace), [{ database: "app", table: "executions", rows: 2 }]);
});
