/** When a command ends, its commits are in the database file itself, not only in the log. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { MigrationFailedError } from "../../../lib/base/errors.ts";
import { appMigrator } from "../operations/app.ts";
import { migrationOf, query, TemporaryDirectory } from "../support.ts";

/** Tables in a database file without its log, as after a power cut that lost what was not synced. */
function tablesIn(directory: TemporaryDirectory): unknown[] {
  Deno.copyFileSync(directory.file("app.db"), directory.file("copy.db"));
  const tables = query(
    directory.file("copy.db"),
    "SELECT name FROM sqlite_schema WHERE name IN ('first', 'second') ORDER BY name",
  );
  Deno.removeSync(directory.file("copy.db"));
  return tables.map((row) => (row as { name: unknown }).name);
}

const first = migrationOf({ name: "001_first", upgrade: "CREATE TABLE first (a)" });
const second = migrationOf({ name: "002_second", upgrade: "CREATE TABLE second (a)" });
const failing = migrationOf({ name: "003_failing", upgrade: "INSERT INTO nowhere VALUES (1)" });

Deno.test("an upgrade is durable while a bot has the database open", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first]).upgrade();
  using _bot = openBot(directory);
  await appMigrator(directory, [first, second]).upgrade();
  assert.deepEqual(tablesIn(directory), ["first", "second"]);
});

Deno.test("migrations applied before a failure are durable while a bot has the database open", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first]).upgrade();
  using _bot = openBot(directory);
  await assert.rejects(
    appMigrator(directory, [first, second, failing]).upgrade(),
    MigrationFailedError,
  );
  assert.deepEqual(tablesIn(directory), ["first", "second"]);
});

Deno.test("an upgrade whose commits cannot be made durable fails", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first]).upgrade();
  using _bot = openBot(directory);
  const migrator = appMigrator(directory, [first, second]);
  const damageLog = () => Deno.truncateSync(directory.file("app.db-wal"), 0);
  await assert.rejects(migrator.upgrade({ hooks: { afterAll: damageLog } }), /app\.db/);
});

/** While a bot has the database open, closing another connection does not checkpoint the log. */
function openBot(directory: TemporaryDirectory): DatabaseSync {
  const db = new DatabaseSync(directory.file("app.db"));
  db.prepare("SELECT * FROM first").all();
  return db;
}
