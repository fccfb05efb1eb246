import assert from "node:assert/strict";
import { SchemaConflictError } from "../../../lib/base/errors.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const migrations = [
  migrationOf({ name: "001_create_notes", upgrade: "CREATE TABLE notes (body TEXT NOT NULL)" }),
  migrationOf({ name: "002_add_color", upgrade: "ALTER TABLE notes ADD COLUMN color TEXT" }),
  migrationOf({ name: "003_create_tags", upgrade: "CREATE TABLE tags (tag TEXT)" }),
];

const markers = (directory: TemporaryDirectory) =>
  query(
    directory.file("app.db"),
    "SELECT name FROM sqlite_schema WHERE name = 'catalyst_migrations'",
  );

Deno.test("baseline() marks existing tables, and upgrade() continues from there", async () => {
  using directory = new TemporaryDirectory();
  execute(
    directory.file("app.db"),
    "CREATE TABLE notes (body TEXT NOT NULL, color TEXT); INSERT INTO notes VALUES ('a', 'red')",
  );
  const migrator = appMigrator(directory, migrations);
  assert.deepEqual(await migrator.baseline({ to: "002", dryRun: true }), {
    marked: ["001", "002"],
  });
  assert.deepEqual(markers(directory), []);
  assert.deepEqual(await migrator.baseline({ to: "002" }), { marked: ["001", "002"] });
  const { applied } = await migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["003"]);
  assert.equal(query(directory.file("app.db"), "SELECT * FROM notes").length, 1);
  assert.deepEqual(await migrator.baseline({ to: "003" }), { marked: [] });
});

Deno.test("baseline() marks nothing if the schema differs, and says how it differs", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("app.db"), "CREATE TABLE notes (body TEXT NOT NULL, colour TEXT)");
  const migrator = appMigrator(directory, migrations);
  await assert.rejects(
    migrator.baseline({ to: "002" }),
    (error: Error) => error instanceof SchemaConflictError && /color/.test(error.message),
  );
  assert.deepEqual(markers(directory), []);
});

Deno.test("baseline() of a missing database is refused, and does not create it", async () => {
  using directory = new TemporaryDirectory();
  await assert.rejects(
    appMigrator(directory, migrations).baseline({ to: "1" }),
    SchemaConflictError,
  );
  assert.ok(!directory.names().includes("app.db"));
});
