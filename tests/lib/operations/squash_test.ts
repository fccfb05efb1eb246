import assert from "node:assert/strict";
import { SquashError } from "../../../lib/base/errors.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { sameText } from "../../../lib/migration/migration.ts";
import { parseMigrationFile } from "../../../lib/migration/file.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

/** A migration as if it had been read from a file. */
function fromFile(definition: Parameters<typeof migrationOf>[0]): Migration {
  return migrationOf({ ...definition, source: { path: `migrations/${definition.name}.sql` } });
}

const base = migrationOf({
  name: "001_create_notes",
  upgrade: "CREATE TABLE notes (body TEXT)",
  downgrade: "DROP TABLE notes",
});
const own = [
  fromFile({
    name: "002_add_color",
    upgrade: "ALTER TABLE notes ADD COLUMN color TEXT",
    downgrade: "ALTER TABLE notes DROP COLUMN color",
  }),
  fromFile({
    name: "003_create_tags",
    upgrade: "CREATE TABLE tags (tag TEXT); INSERT INTO tags VALUES ('first') -- no semicolon",
    downgrade: "DROP TABLE tags;",
  }),
];
const later = fromFile({
  name: "004_index",
  upgrade: "CREATE INDEX notes_color ON notes (color)",
  downgrade: "DROP INDEX notes_color",
});

async function squashed(directory: TemporaryDirectory): Promise<Migration> {
  const made = await appMigrator(directory, [base, ...own, later]).squash("3");
  assert.equal(made.length, 1);
  assert.ok(made[0] !== undefined);
  return made[0].migration;
}

Deno.test("squash() makes one migration that creates the same schema and the same rows", async () => {
  using directory = new TemporaryDirectory();
  const [made] = await appMigrator(directory, [base, ...own, later]).squash("003_create_tags");
  assert.equal(made?.fileName, "003_squash_app.sql");
  assert.match(made.text, /^-- database: app\n-- replaces: 002,003\n-- migrate:up\n/);
  assert.deepEqual(made.replacedFiles, [
    "migrations/002_add_color.sql",
    "migrations/003_create_tags.sql",
  ]);
  const migrator = appMigrator(directory, [base, made.migration, later]);
  const { applied } = await migrator.upgrade();
  assert.deepEqual(applied.map(({ name }) => name), [
    "001_create_notes",
    "003_squash_app",
    "004_index",
  ]);
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM tags"), [{ tag: "first" }]);
  assert.deepEqual((await migrator.downgrade({ to: "1", confirm: () => true })).rolledBack, [
    "004",
    "003",
  ]);
  assert.deepEqual(query(directory.file("app.db"), "SELECT name FROM pragma_table_info('notes')"), [
    { name: "body" },
  ]);
});

Deno.test("a database with the old migrations adopts the new one and runs nothing", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [base, ...own, later]).upgrade();
  execute(directory.file("app.db"), "INSERT INTO tags VALUES ('second')");
  const migrator = appMigrator(directory, [base, await squashed(directory), later]);
  const status = await migrator.status();
  assert.deepEqual(status.migrations.map(({ id, state }) => [id, state]), [
    ["001", "applied"],
    ["003", "applied"],
    ["004", "applied"],
  ]);
  const { applied, adopted } = await migrator.upgrade();
  assert.deepEqual([applied, adopted], [[], ["003"]]);
  assert.deepEqual(
    query(
      directory.file("app.db"),
      "SELECT migration_name AS name FROM catalyst_migrations ORDER BY rowid",
    ),
    [
      { name: "001_create_notes" },
      { name: "003_squash_app" },
      { name: "004_index" },
    ],
  );
  assert.equal(query(directory.file("app.db"), "SELECT * FROM tags").length, 2);
  assert.ok((await migrator.verify()).ok);
  const after = await migrator.status();
  assert.ok(after.ok && after.unreconciled.length === 0 && after.adoptable.length === 0);
  assert.deepEqual((await migrator.upgrade()).adopted, []);
});

Deno.test("a database with only some of the old migrations must apply the others first", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [base, ...own]).upgrade({ to: "2" });
  const migrator = appMigrator(directory, [base, await squashed(directory)]);
  const { migrations } = await migrator.status();
  assert.deepEqual(migrations.map(({ id, state }) => [id, state]), [
    ["001", "applied"],
    ["003", "pending"],
    ["002", "missing"],
  ]);
  await assert.rejects(migrator.upgrade(), /it contains migration 002_add_color/);
});

Deno.test("squash() refuses migrations that are not SQL, and a single one", async () => {
  using directory = new TemporaryDirectory();
  const program = fromFile({
    name: "005_program",
    upgrade: (db) => db.exec("CREATE TABLE made (id)"),
  });
  await assert.rejects(
    appMigrator(directory, [base, ...own, program]).squash("5"),
    (error: Error) =>
      error instanceof SquashError && /005_program: it is a function/.test(error.message),
  );
  await assert.rejects(appMigrator(directory, [base]).squash("1"), SquashError);
});

Deno.test("squash() refuses migrations whose downgrades leave something behind", async () => {
  using directory = new TemporaryDirectory();
  const lasting = fromFile({
    name: "004_lasting",
    upgrade: "CREATE TABLE lasting (a)",
    downgrade: "SELECT 1",
  });
  await assert.rejects(
    appMigrator(directory, [base, ...own, lasting]).squash("4"),
    (error: Error) =>
      error instanceof SquashError && /schema would differ: .*lasting/.test(error.message),
  );
});

Deno.test("the file that squash() writes is read back as the same migration", async () => {
  using directory = new TemporaryDirectory();
  const [made] = await appMigrator(directory, [base, ...own]).squash("3");
  assert.ok(made !== undefined);
  const read = parseMigrationFile(made.text, {
    path: made.fileName,
    id: "003",
    name: "003_squash_app",
  });
  assert.deepEqual(read.replaces, ["002", "003"]);
  assert.equal(read.database, "app");
  assert.ok(typeof read.upgrade === "string" && typeof made.migration.upgrade === "string");
  assert.ok(sameText(read.upgrade, made.migration.upgrade));
  assert.ok(typeof read.downgrade === "string" && typeof made.migration.downgrade === "string");
  assert.ok(sameText(read.downgrade, made.migration.downgrade));
});

Deno.test("-- replaces: without the file's own number is refused", () => {
  const text = "-- database: app\n-- replaces: 001\n-- migrate:up\nSELECT 1;\n";
  assert.throws(
    () => parseMigrationFile(text, { path: "002_x.sql", id: "002", name: "002_x" }),
    /002_x\.sql:2:1: "-- replaces:" needs the numbers/,
  );
});
