import assert from "node:assert/strict";
import { ChangedMigrationError, UsageError } from "../../../lib/base/errors.ts";
import { appMigrator } from "../operations/app.ts";
import { migrationOf, query, TemporaryDirectory } from "../support.ts";

const NOTES = `CREATE TABLE notes (
  note_id INTEGER PRIMARY KEY,
  body TEXT
);`;

const created = (upgrade: string, name = "001_create_notes") =>
  migrationOf({ name, upgrade, downgrade: "DROP TABLE notes" });

Deno.test("upgrade() shows a diff of the applied and the current text", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [created(NOTES)]).upgrade();
  const changed = appMigrator(directory, [
    created(NOTES.replace("body TEXT", "body TEXT NOT NULL")),
    migrationOf({ name: "002_next", upgrade: "CREATE TABLE next (id INTEGER)" }),
  ]);
  await assert.rejects(changed.upgrade(), (error: Error) => {
    assert.ok(error instanceof ChangedMigrationError);
    assert.equal(error.migration, "001_create_notes");
    const lines = error.help?.split("\n") ?? [];
    assert.match(lines[0] ?? "", /repair --accept-changed 001/);
    assert.deepEqual(lines.slice(1), [
      "--- 001_create_notes as applied",
      "+++ 001_create_notes",
      "@@ -1,4 +1,4 @@",
      " CREATE TABLE notes (",
      "   note_id INTEGER PRIMARY KEY,",
      "-  body TEXT",
      "+  body TEXT NOT NULL",
      " );",
    ]);
    return true;
  });
  assert.deepEqual(
    query(directory.file("app.db"), "SELECT name FROM sqlite_schema WHERE name = 'next'"),
    [],
  );
});

Deno.test("line endings, trailing space, comments and a byte-order mark are not changes", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [created(NOTES)]).upgrade();
  const same = "\uFEFF-- what the bot thinks\n" + NOTES.replaceAll("\n", "  \r\n");
  const { migrations } = await appMigrator(directory, [created(same)]).status();
  assert.deepEqual(migrations.map(({ state }) => state), ["applied"]);
});

Deno.test("acceptChanged() accepts a changed text and name, and runs nothing", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [created(NOTES)]).upgrade();
  const text = `${NOTES}\nCREATE INDEX notes_body ON notes (body);`;
  const migrator = appMigrator(directory, [created(text, "001_create_notes_and_index")]);
  const accepted = await migrator.acceptChanged("1");
  assert.equal(accepted.name, "001_create_notes_and_index");
  const { migrations, ok } = await migrator.status();
  assert.deepEqual(migrations.map(({ state }) => state), ["applied"]);
  assert.ok(ok);
  assert.deepEqual(
    query(
      directory.file("app.db"),
      "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
    ),
    [],
  );
  // The object that the new text creates is reported as missing.
  const { databases } = await migrator.verify();
  assert.deepEqual(databases[0]?.problems.map(({ kind, object }) => [kind, object]), [
    ["missing", "notes_body"],
  ]);
  const event = (await migrator.history()).find(({ direction }) => direction === "repair");
  assert.equal(event?.detail, "accepted the changed text of 001");
  assert.deepEqual((await migrator.upgrade()).applied, []);
});

Deno.test("acceptChanged() refuses a migration that has not changed", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [created(NOTES)]);
  await assert.rejects(migrator.acceptChanged("001"), UsageError);
  await migrator.upgrade();
  await assert.rejects(migrator.acceptChanged("001"), /it is applied, not changed/);
});
