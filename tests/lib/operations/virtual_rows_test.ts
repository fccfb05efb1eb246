/** The rows of full-text search and R-Trees are rows like others: none is lost silently. */
import assert from "node:assert/strict";
import { LintError, MigrationFailedError } from "../../../lib/base/errors.ts";
import type { MigrationDefinition } from "../../../lib/migration/migration.ts";
import type { Migrator } from "../../../lib/migrator.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const MODULES = [
  ["fts5", "notes USING fts5(body)"],
  ["fts4", "notes USING fts4(body)"],
  ["rtree", "notes USING rtree(id, low, high)"],
] as const;

/** A database in which only a virtual table has rows: three. */
async function withNotes(virtual: string): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  await migratorOf(directory, virtual).upgrade();
  const rows = virtual.includes("rtree")
    ? "INSERT INTO notes VALUES (1, 0, 1), (2, 0, 1), (3, 0, 1)"
    : "INSERT INTO notes (rowid, body) VALUES (1, 'a b'), (2, 'c'), (3, 'd')";
  execute(directory.file("app.db"), rows);
  return directory;
}

function migratorOf(
  directory: TemporaryDirectory,
  virtual: string,
  next: Partial<MigrationDefinition>[] = [],
): Migrator {
  return appMigrator(directory, [
    migrationOf({
      name: "001_notes",
      upgrade: `CREATE VIRTUAL TABLE ${virtual}`,
      downgrade: "DROP TABLE notes",
    }),
    ...next.map((one) => migrationOf({ name: "002_next", ...one })),
  ]);
}

function countIn(directory: TemporaryDirectory): unknown[] {
  return query(directory.file("app.db"), "SELECT count(*) AS rows FROM notes");
}

for (const [module, virtual] of MODULES) {
  Deno.test(`undeclared losses of rows of ${module} are refused`, async () => {
    using directory = await withNotes(virtual);
    const id = module === "rtree" ? "id" : "rowid";
    const some = { upgrade: `DELETE FROM notes WHERE ${id} > 1` };
    await assert.rejects(migratorOf(directory, virtual, [some]).upgrade(), (error) => {
      assert(error instanceof MigrationFailedError);
      assert.match(error.message, /2 of table "notes"/);
      return true;
    });
    for (const upgrade of ["DELETE FROM notes", "DROP TABLE notes"]) {
      const migrator = migratorOf(directory, virtual, [{ upgrade }]);
      await assert.rejects(migrator.upgrade(), LintError);
    }
    assert.deepEqual(countIn(directory), [{ rows: 3 }]);
    const declared = { ...some, destroys: ["notes"] };
    await migratorOf(directory, virtual, [declared]).upgrade();
    assert.deepEqual(countIn(directory), [{ rows: 1 }]);
  });

  Deno.test(`if only ${module} has rows, a snapshot is taken before a change, with their number`, async () => {
    using directory = await withNotes(virtual);
    const migrator = migratorOf(directory, virtual, [{ upgrade: "CREATE TABLE t (a)" }]);
    const { snapshot } = await migrator.upgrade();
    assert(snapshot !== null);
    const { ok, problems } = await migrator.verifySnapshot(snapshot);
    assert(ok, problems.join());
    const [entry] = await migrator.listSnapshots();
    const file = entry?.manifest?.files.find(({ database }) => database === "app");
    assert.deepEqual(file?.rows, { notes: 3 });
  });
}

Deno.test("rows of an index over another table belong to that table", async () => {
  using directory = await withNotes("notes USING fts5(body)");
  const next = {
    upgrade: `CREATE TABLE texts (id INTEGER PRIMARY KEY, body);
      INSERT INTO texts SELECT rowid, body FROM notes;
      CREATE VIRTUAL TABLE found USING fts5(body, content=texts, content_rowid=id);
      INSERT INTO found (found) VALUES ('rebuild');
      DELETE FROM texts WHERE id = 3;
      INSERT INTO found (found) VALUES ('rebuild');`,
  };
  await migratorOf(directory, "notes USING fts5(body)", [next]).upgrade();
  assert.deepEqual(countIn(directory), [{ rows: 3 }]);
});
