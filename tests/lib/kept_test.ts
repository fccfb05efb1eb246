import assert from "node:assert/strict";
import { DowngradeBlockedError, UnknownMarkerError } from "../../lib/errors.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "./support.ts";

const first = migrationOf({
  name: "001_create_notes",
  upgrade: "CREATE TABLE notes (note_id INTEGER PRIMARY KEY)",
  downgrade: "DROP TABLE notes",
});
const second = migrationOf({
  name: "002_create_tags",
  upgrade: "CREATE TABLE tags (tag TEXT)",
  downgrade: "DROP TABLE tags",
});

const tables = (directory: TemporaryDirectory) =>
  query(
    directory.file("app.db"),
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('notes', 'tags')",
  );

Deno.test("a migration whose file vanished is missing, and rolled back by the text that was kept", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second]).upgrade();
  const migrator = appMigrator(directory, [first]);
  const { migrations } = await migrator.status();
  assert.deepEqual(migrations.map(({ id, state }) => [id, state]), [
    ["001", "applied"],
    ["002", "missing"],
  ]);
  await assert.rejects(
    migrator.upgrade(),
    (error: Error) =>
      error instanceof UnknownMarkerError && /downgrade --migration 002/.test(error.help ?? ""),
  );
  assert.deepEqual((await migrator.downgrade({ migration: "002" })).rolledBack, ["002"]);
  assert.deepEqual(tables(directory), [{ name: "notes" }]);
  assert.deepEqual((await migrator.status()).migrations.map(({ state }) => state), ["applied"]);
});

Deno.test("to roll back all doesn't undo what the registry doesn't know", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second]).upgrade();
  await assert.rejects(appMigrator(directory, [first]).downgrade(), UnknownMarkerError);
});

Deno.test("the rows of a vanished migration's tables are asked about too", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second]).upgrade();
  execute(directory.file("app.db"), "INSERT INTO tags VALUES ('a'), ('b')");
  const { lost } = await appMigrator(directory, [first]).downgrade({
    steps: 1,
    confirm: ({ losses }) => {
      assert.deepEqual(losses, [{ database: "app", table: "tags", rows: 2 }]);
      return true;
    },
  });
  assert.deepEqual(lost, [{ database: "app", table: "tags", rows: 2 }]);
});

Deno.test("a vanished migration without a downgrade can't be rolled back", async () => {
  using directory = new TemporaryDirectory();
  const last = migrationOf({ name: "003_last", upgrade: "CREATE TABLE last (id)" });
  await appMigrator(directory, [first, last]).upgrade();
  await assert.rejects(
    appMigrator(directory, [first]).downgrade({ steps: 1 }),
    DowngradeBlockedError,
  );
});

Deno.test("of a vanished migration that was a function nothing was kept", async () => {
  using directory = new TemporaryDirectory();
  const program = migrationOf({
    name: "003_program",
    upgrade: (db) => db.exec("CREATE TABLE made (id)"),
    downgrade: (db) => db.exec("DROP TABLE made"),
  });
  await appMigrator(directory, [first, program]).upgrade();
  await assert.rejects(appMigrator(directory, [first]).downgrade({ steps: 1 }), UnknownMarkerError);
});
