import assert from "node:assert/strict";
import { ConfirmationError, DowngradeBlockedError, UsageError } from "../../../lib/base/errors.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const first = migrationOf({
  name: "001_create_notes",
  upgrade: "CREATE TABLE notes (body TEXT)",
  downgrade: "DROP TABLE notes",
});
const second = (columns: string) =>
  migrationOf({
    name: "002_create_tags",
    upgrade: `CREATE TABLE tags (${columns})`,
    downgrade: "DROP TABLE tags",
  });

Deno.test("redo() rolls the last migration back and applies its current text", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second("tag TEXT")]).upgrade();
  const { applied } = await appMigrator(directory, [first, second("tag TEXT, color TEXT")]).redo();
  assert.deepEqual(applied.map(({ id }) => id), ["002"]);
  assert.deepEqual(query(directory.file("app.db"), "SELECT name FROM pragma_table_info('tags')"), [
    { name: "tag" },
    { name: "color" },
  ]);
});

Deno.test("redo() loses no row without confirmation", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [first, second("tag TEXT")]);
  await migrator.upgrade();
  execute(directory.file("app.db"), "INSERT INTO tags VALUES ('a')");
  await assert.rejects(migrator.redo(), ConfirmationError);
  assert.equal(query(directory.file("app.db"), "SELECT * FROM tags").length, 1);
  const { lost, snapshot } = await migrator.redo({ confirm: () => true });
  assert.deepEqual(lost, [{ database: "app", table: "tags", rows: 1 }]);
  assert.equal(typeof snapshot, "string");
});

Deno.test("redo() of a migration that later ones depend on is refused", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [first, second("tag TEXT")]);
  await migrator.upgrade();
  await assert.rejects(migrator.redo({ migration: "001" }), DowngradeBlockedError);
});

Deno.test("redo() reports that nothing is applied", async () => {
  using directory = new TemporaryDirectory();
  await assert.rejects(appMigrator(directory, [first]).redo(), UsageError);
});

Deno.test("redo() of a migration whose file is missing is refused before the rollback", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [first, second("tag TEXT")]).upgrade();
  await assert.rejects(
    appMigrator(directory, [first]).redo(),
    /002_create_tags: its file is missing/,
  );
  assert.equal(
    query(directory.file("app.db"), "SELECT * FROM pragma_table_info('tags')").length,
    1,
  );
});

Deno.test("redo() of a migration that could not be applied again is refused before the rollback", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [second("tag TEXT")]).upgrade();
  // The first one's file was added later.
  await assert.rejects(
    appMigrator(directory, [first, second("tag TEXT")]).redo(),
    /^OutOfOrderError: Cannot apply 002_create_tags: 001_create_notes must be applied first/,
  );
  assert.equal(
    query(directory.file("app.db"), "SELECT * FROM pragma_table_info('tags')").length,
    1,
  );
});
