import assert from "node:assert/strict";
import { Migrator } from "../../../lib/migrator.ts";
import { createBot, execute, fillBot, migrationOf, query, TemporaryDirectory } from "../support.ts";

Deno.test("without problems, nothing is repaired and no file is touched", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  const before = directory.listing();
  assert.deepEqual(await migrator.repair(), {
    adopted: [],
    reconciled: [],
    recreated: [],
    replaced: [],
    remaining: [],
    snapshot: null,
  });
  assert.deepEqual(directory.listing(), before);
});

Deno.test("a dry run reports what a run does, and changes nothing", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(directory.file("trading.db"), "DROP TABLE fills; DROP VIEW v_equity_curve");
  execute(directory.file("migrations.db"), "DELETE FROM migration_history");
  const before = directory.listing();
  const planned = await migrator.repair({ dryRun: true });
  assert.deepEqual(directory.listing(), before);
  const done = await migrator.repair();
  assert.deepEqual(done, planned);
  assert.deepEqual(done.remaining, []);
  assert.deepEqual(done.reconciled, ["001", "002", "003"]);
  assert.deepEqual(done.recreated.map(({ type, name }) => `${type} ${name}`), [
    "table fills",
    "index idx_fills_order_id",
    "index idx_fills_ticker",
    "index idx_fills_filled_at",
    "index idx_fills_position_id",
    "view v_equity_curve",
  ]);
  assert((await migrator.verify({ data: true })).ok);
});

Deno.test("existing rows are kept, whatever is repaired", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 20);
  const path = directory.file("trading.db");
  const rows = query(path, "SELECT * FROM orders");
  execute(path, "ALTER TABLE fills DROP COLUMN exchange");
  execute(
    path,
    "DROP TABLE performance_metrics; DROP INDEX idx_orders_ticker; DROP VIEW v_recent_orders",
  );
  const { recreated, remaining } = await migrator.repair();
  assert.equal(recreated.length, 5);
  assert.deepEqual(remaining.map(({ object }) => object), ["fills.exchange"]);
  assert.deepEqual(query(path, "SELECT * FROM orders"), rows);
});

Deno.test("a missing schema is recreated, tables before the objects that depend on them", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(
    directory.file("ml_training.db"),
    query(
      directory.file("ml_training.db"),
      `SELECT 'DROP ' || type || ' ' || name AS sql FROM sqlite_schema
      WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' AND name <> 'catalyst_migrations'
      ORDER BY type DESC, rowid DESC`,
    ).map((row) => String(Object.values(row as object)[0])).join(";"),
  );
  await migrator.repair();
  assert((await migrator.verify()).ok);
});

Deno.test("an index that the rows violate is not created, and nothing is left half done", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  const migrator = new Migrator({
    databases: { app: path },
    ledger: directory.file("m.db"),
    migrations: [migrationOf({
      name: "001_a",
      upgrade:
        "CREATE TABLE a (x, y); CREATE INDEX by_y ON a (y); CREATE UNIQUE INDEX by_x ON a (x)",
    })],
  });
  await migrator.upgrade();
  execute(path, "DROP INDEX by_x; DROP INDEX by_y; INSERT INTO a VALUES (1, 1), (1, 2)");
  await assert.rejects(migrator.repair(), /UNIQUE constraint failed/);
  assert.deepEqual(
    query(path, "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql <> ''"),
    [],
  );
  assert.equal(query(path, "SELECT * FROM a").length, 2);
});

Deno.test("the ledger of a renamed migration is corrected once, not every time", async () => {
  using directory = new TemporaryDirectory();
  const of = (name: string) =>
    new Migrator({
      databases: { app: directory.file("app.db") },
      ledger: directory.file("m.db"),
      migrations: [migrationOf({ name, upgrade: "CREATE TABLE a (x)" })],
    });
  await of("001_former").upgrade();
  execute(directory.file("m.db"), "DELETE FROM migration_history");
  assert.deepEqual((await of("001_new").repair()).reconciled, ["001"]);
  assert.deepEqual((await of("001_new").repair()).reconciled, []);
  assert.deepEqual(
    query(directory.file("m.db"), "SELECT migration_name AS name FROM migration_history"),
    [{ name: "001_former" }],
  );
});

Deno.test("a ledger with other names is corrected while its migrations are adopted", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  for (const name of ["positions", "trading", "ml_training"]) {
    execute(directory.file(`${name}.db`), "DROP TABLE catalyst_migrations");
  }
  const ledger = directory.file("migrations.db");
  execute(
    ledger,
    "UPDATE migration_history SET migration_name = 'old_' || migration_id, applied_at = 7",
  );
  assert.deepEqual((await migrator.upgrade()).adopted, ["001", "002", "003"]);
  assert.deepEqual((await migrator.upgrade()).reconciled, []);
  assert.deepEqual(
    query(ledger, "SELECT DISTINCT applied_at FROM migration_history"),
    [{ applied_at: 7 }],
  );
});
