import assert from "node:assert/strict";
import { DowngradeBlockedError, UnknownMarkerError } from "../../../lib/base/errors.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { appMigrator } from "../operations/app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

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

const third = migrationOf({
  name: "003_program",
  upgrade: (db) => db.exec("CREATE TABLE made (id)"),
  downgrade: (db) => db.exec("DROP TABLE made"),
});

/** The migration that an upgrade refuses, and the one that its help suggests to roll back. */
async function refusal(migrator: Migrator): Promise<[string | undefined, string | undefined]> {
  const error: unknown = await migrator.upgrade().then(() => null, (reason) => reason);
  assert(error instanceof UnknownMarkerError, String(error));
  return [error.migration, /`downgrade --migration (\d+)`/.exec(error.help ?? "")?.[1]];
}

const tables = (directory: TemporaryDirectory) =>
  query(
    directory.file("app.db"),
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('notes', 'tags')",
  );

Deno.test("a migration whose file is gone is missing, and is rolled back with the stored SQL", async () => {
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

Deno.test("rolling back all migrations does not undo those missing from the registry", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second]).upgrade();
  await assert.rejects(appMigrator(directory, [first]).downgrade(), UnknownMarkerError);
});

Deno.test("confirmation is required for the rows of a missing migration's tables too", async () => {
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

Deno.test("a missing migration without a downgrade cannot be rolled back", async () => {
  using directory = new TemporaryDirectory();
  const last = migrationOf({ name: "003_last", upgrade: "CREATE TABLE last (id)" });
  await appMigrator(directory, [first, last]).upgrade();
  await assert.rejects(
    appMigrator(directory, [first]).downgrade({ steps: 1 }),
    DowngradeBlockedError,
  );
});

Deno.test("nothing is stored of a missing migration that was a function", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, third]).upgrade();
  const migrator = appMigrator(directory, [first]);
  for (const request of [{ steps: 1 }, { migration: "003" }, { to: "001" }]) {
    await assert.rejects(migrator.downgrade(request), UnknownMarkerError);
  }
});

Deno.test("the help rolls back missing migrations one by one, newest first", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second]).upgrade();
  const migrator = appMigrator(directory, []);
  for (const [name, id] of [["002_create_tags", "002"], ["001_create_notes", "001"]] as const) {
    assert.deepEqual(await refusal(migrator), [name, id]);
    assert.deepEqual((await migrator.downgrade({ migration: id })).rolledBack, [id]);
  }
  assert.deepEqual(tables(directory), []);
});

Deno.test("the help suggests no rollback if a known or a function migration was applied later", async () => {
  for (
    const later of [third, migrationOf({ name: "003_last", upgrade: "CREATE TABLE last (id)" })]
  ) {
    using directory = new TemporaryDirectory();
    await appMigrator(directory, [first, second, later]).upgrade();
    assert.deepEqual(await refusal(appMigrator(directory, [first, later])), [
      second.name,
      undefined,
    ]);
    assert.deepEqual(await refusal(appMigrator(directory, [first])), [later.name, undefined]);
    await assert.rejects(
      appMigrator(directory, [first]).downgrade({ migration: "002" }),
      later === third ? UnknownMarkerError : DowngradeBlockedError,
    );
  }
});

Deno.test("a missing migration is not mistaken for another one with its number", async () => {
  using directory = new TemporaryDirectory();
  const place = (migrations: readonly Migration[]) =>
    new Migrator({
      databases: { app: directory.file("app.db"), other: directory.file("other.db") },
      ledger: directory.file("migrations.db"),
      migrations,
    });
  const own = migrationOf({
    ...{ name: "002_other", database: "other" },
    upgrade: "CREATE TABLE other (id)",
    downgrade: "DROP TABLE other",
  });
  await place([first, second]).upgrade();
  for (const name of ["002_other", "2_other"]) {
    const migrator = place([first, { ...own, name, id: name.replace(/_.*/, "") }]);
    assert.deepEqual(await refusal(migrator), [second.name, undefined]);
    await assert.rejects(migrator.downgrade({ migration: "002" }), UnknownMarkerError);
  }
  assert.deepEqual(tables(directory), [{ name: "notes" }, { name: "tags" }]);
});
