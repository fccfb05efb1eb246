import assert from "node:assert/strict";
import type { MigrationDefinition } from "../../../lib/migration/migration.ts";
import type { Rehearsal } from "../../../lib/trial/rehearse_result.ts";
import { filesOf } from "../../helpers.ts";
import { appMigrator } from "../operations/app.ts";
import { first, makeApp } from "./rehearse_support.ts";
import { migrationOf } from "../support.ts";

/**
 * Rehearses migrations on such a database, and checks that it is unchanged and that no files
 * remain.
 */
async function rehearse(
  ...definitions: readonly (Partial<MigrationDefinition> & { name: string })[]
): Promise<Rehearsal> {
  using directory = await makeApp();
  const before = filesOf(directory.path);
  const listing = directory.listing({ timesOf: /\.db$/ });
  const migrator = appMigrator(directory, [first, ...definitions.map(migrationOf)]);
  const rehearsal = await migrator.rehearse();
  assert.deepEqual(filesOf(directory.path), before);
  assert.deepEqual(directory.listing({ timesOf: /\.db$/ }), listing);
  return rehearsal;
}

/** Codes and tables of the surprises. */
function surprisesOf({ surprises }: Rehearsal): string[] {
  return surprises.map(({ code, table }) => table === null ? code : `${code} ${table}`);
}

Deno.test("a rehearsal reports what a migration does to the rows, and that the downgrade works", async () => {
  const { ok, databases, migrations, surprises, notices } = await rehearse({
    name: "002_lower",
    upgrade: "\nUPDATE orders SET side = lower(side) WHERE side <> '';",
    downgrade: "UPDATE orders SET side = upper(side) WHERE side <> '';",
  });
  assert.deepEqual({ ok, surprises, notices }, { ok: true, surprises: [], notices: [] });
  assert.deepEqual(databases.map(({ name }) => name), ["app"]);
  const [migration] = migrations;
  assert.ok(migration !== undefined);
  assert.equal(migration.rowsTouched, 10);
  assert.deepEqual(migration.tables, [
    {
      name: "orders",
      rowsBefore: 10,
      rowsAfter: 10,
      changed: true,
      rowsRestored: 10,
      restored: true,
    },
  ]);
  assert.deepEqual(
    migration.statements.map(({ sql, line }) => [sql, line]),
    [["UPDATE orders SET side = lower(side) WHERE side <> '';", 2]],
  );
  assert.ok(migration.lockedSeconds >= migration.seconds && migration.seconds > 0);
  assert.ok(databases[0]?.lockedSeconds === migration.lockedSeconds);
  assert.notEqual(migration.downgradeSeconds, null);
});

Deno.test("if nothing is pending, nothing is copied", async () => {
  const { ok, databases, migrations } = await rehearse();
  assert.deepEqual({ ok, databases, migrations }, { ok: true, databases: [], migrations: [] });
});

Deno.test("a downgrade that does not revert everything is a surprise", async () => {
  const found = await rehearse({
    name: "002_notes",
    upgrade: "CREATE TABLE notes (body TEXT); CREATE INDEX by_side ON orders (side);",
    downgrade: "DROP TABLE notes;",
  });
  assert.equal(found.ok, false);
  assert.deepEqual(surprisesOf(found), ["downgrade-differs orders", "second-upgrade-fails"]);
  assert.match(found.surprises[0]?.reason ?? "", /index "by_side" is not expected/);
});

Deno.test("values that a downgrade doesn't restore are a surprise", async () => {
  const found = await rehearse({
    name: "002_round",
    upgrade: "UPDATE orders SET price = round(price) WHERE price > 0;",
    downgrade: "SELECT 1;",
  });
  assert.deepEqual(surprisesOf(found), ["values-lost orders"]);
  assert.match(found.surprises[0]?.reason ?? "", /the values of price of table "orders"/);
  assert.match(found.surprises[0]?.fix ?? "", /leave out the downgrade/);
});

Deno.test("a column that is dropped and added again empty has lost its values", async () => {
  const found = await rehearse({
    name: "002_drop",
    upgrade: "ALTER TABLE orders DROP COLUMN note;",
    downgrade: "ALTER TABLE orders ADD COLUMN note BLOB;",
    allows: [{ code: "column-dropped", reason: "nobody reads it" }],
  });
  assert.deepEqual(surprisesOf(found), ["values-lost orders"]);
  assert.equal(found.migrations[0]?.tables[0]?.changed, false);
});

Deno.test("a blob that differs by one byte after a zero is detected", async () => {
  const found = await rehearse({
    name: "002_blob",
    upgrade: "UPDATE orders SET note = x'0001' || x'' WHERE order_id = 3;",
    downgrade: "UPDATE orders SET note = x'0002' WHERE order_id = 3;",
  });
  assert.deepEqual(surprisesOf(found), ["values-lost orders"]);
});

Deno.test("rows that a downgrade deletes, or does not delete, are a surprise", async () => {
  const lost = await rehearse({
    name: "002_lost",
    upgrade: "CREATE TABLE notes (body TEXT);",
    downgrade: "DROP TABLE notes; DELETE FROM orders WHERE order_id > 8;",
  });
  assert.deepEqual(surprisesOf(lost), ["downgrade-fails"]);
  const upgrade = "INSERT INTO orders (side) VALUES ('BUY');";
  const left = await rehearse({ name: "002_left", upgrade, downgrade: "SELECT 1;" });
  assert.deepEqual(surprisesOf(left), ["rows-left orders", "second-upgrade-differs orders"]);
  const downgrade = "DELETE FROM orders WHERE side = 'BUY' AND order_id > 10;";
  const undeclared = await rehearse({ name: "002_undeclared", upgrade, downgrade });
  assert.deepEqual(surprisesOf(undeclared), ["downgrade-fails"]);
  for (const { surprises: [surprise] } of [left, undeclared]) {
    assert.match(surprise?.fix ?? "", /destroys:orders on the "-- migrate:up" line/);
  }
  const declared = await rehearse({
    ...{ name: "002_declared", upgrade, downgrade },
    destroys: ["orders"],
  });
  assert.deepEqual(surprisesOf(declared), []);
});

Deno.test("rows that a migration declares to destroy are not a surprise", async () => {
  const { ok, notices } = await rehearse({
    name: "002_prune",
    upgrade: "DELETE FROM fills WHERE fill_id <= 5;",
    downgrade: "SELECT 1;",
    destroys: ["fills"],
  });
  assert.ok(ok);
  assert.match(notices[0]?.reason ?? "", /5 rows in table "fills".* declares to destroy/);
});

Deno.test("a surprise that a migration's author allows is only a notice", async () => {
  const { ok, notices } = await rehearse({
    name: "002_round",
    upgrade: "UPDATE orders SET price = round(price);",
    downgrade: "SELECT 1;",
    allows: [
      { code: "rows-updated", reason: "all of them" },
      { code: "downgrade-differs", reason: "cents don't matter" },
    ],
  });
  assert.ok(ok);
  assert.match(notices[0]?.reason ?? "", /this is intended: cents don't matter/);
});

Deno.test("a migration that fails on the real rows is a surprise, and the others are not run", async () => {
  const found = await rehearse({
    name: "002_unique",
    upgrade: "CREATE UNIQUE INDEX one_side ON orders (side);",
    downgrade: "DROP INDEX one_side;",
  }, { name: "003_more" });
  assert.deepEqual(surprisesOf(found), ["upgrade-fails"]);
  assert.match(found.surprises[0]?.reason ?? "", /UNIQUE constraint failed: orders.side/);
  assert.deepEqual(found.migrations, []);
  assert.match(found.notices[0]?.reason ?? "", /not rehearsed/);
});

Deno.test("rows that a cascade would delete are reported before it happens", async () => {
  const found = await rehearse({
    name: "002_rebuild",
    upgrade:
      `CREATE TABLE new_orders (order_id INTEGER PRIMARY KEY, side TEXT NOT NULL, price REAL, note BLOB);
      INSERT INTO new_orders SELECT * FROM orders;
      DROP TABLE orders;
      ALTER TABLE new_orders RENAME TO orders;`,
  });
  assert.deepEqual(surprisesOf(found), ["upgrade-refused", "upgrade-fails"]);
});

Deno.test("a rebuild that keeps every value is reported as such", async () => {
  const rebuild = (check: string) =>
    `CREATE TABLE new_orders (
        order_id INTEGER PRIMARY KEY, side TEXT NOT NULL${check}, price REAL, note BLOB
      );
      INSERT INTO new_orders SELECT * FROM orders;
      DROP TABLE orders;
      ALTER TABLE new_orders RENAME TO orders;`;
  const { ok, migrations, surprises } = await rehearse({
    name: "002_rebuild",
    upgrade: rebuild(" CHECK (side <> '')"),
    downgrade: rebuild(""),
    foreignKeys: false,
  });
  assert.deepEqual(surprises, []);
  assert.ok(ok);
  const [orders] = migrations[0]?.tables ?? [];
  assert.deepEqual(
    [orders?.name, orders?.rowsAfter, orders?.changed, orders?.restored],
    ["orders", 10, false, true],
  );
});

Deno.test("rows that foreign keys and triggers change are compared, too", async () => {
  const { migrations } = await rehearse({
    name: "002_delete",
    upgrade: "DELETE FROM orders WHERE order_id = 1;",
    destroys: ["orders", "fills"],
  });
  assert.deepEqual(
    migrations[0]?.tables.map(({ name, rowsAfter }) => [name, rowsAfter]),
    [["orders", 9], ["fills", 9]],
  );
});

Deno.test("without a downgrade only later migrations are rolled back", async () => {
  const { ok, migrations, notices } = await rehearse(
    { name: "002_a", upgrade: "CREATE TABLE a (x);", downgrade: "DROP TABLE a;" },
    { name: "003_b", upgrade: "CREATE TABLE b (x);" },
    { name: "004_c", upgrade: "CREATE TABLE c (x);", downgrade: "DROP TABLE c;" },
  );
  assert.ok(ok);
  assert.deepEqual(
    migrations.map(({ downgradeSeconds }) => downgradeSeconds !== null),
    [false, false, true],
  );
  assert.deepEqual(notices.map(({ migration }) => migration), ["002_a", "003_b"]);
});

Deno.test("functions, and migrations without a transaction, are rehearsed, too", async () => {
  const { ok, surprises, migrations } = await rehearse({
    name: "002_function",
    upgrade: async (transaction) => {
      await transaction.exec("ALTER TABLE orders ADD COLUMN size REAL;");
      await transaction.run("UPDATE orders SET size = ? WHERE order_id < ?", [1.5, 6]);
    },
    downgrade: async (transaction) => {
      await transaction.exec("ALTER TABLE orders DROP COLUMN size;");
    },
  }, {
    name: "003_vacuum",
    transaction: false,
    upgrade: "VACUUM;",
    downgrade: "SELECT 1;",
  });
  assert.deepEqual(surprises, []);
  assert.ok(ok);
  assert.deepEqual(migrations.map(({ rowsTouched }) => rowsTouched), [5, 0]);
  assert.deepEqual(migrations[0]?.statements.map(({ line }) => line), [null, null]);
});
