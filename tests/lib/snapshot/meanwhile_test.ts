/** Others write between the automatic snapshot and the change that it precedes. */
import assert from "node:assert/strict";
import { ConfirmationError, MigratorLockedError } from "../../../lib/base/errors.ts";
import type { MigrationHooks } from "../../../lib/operations/run_migrations.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { lockStore } from "../../../lib/snapshot/store.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const notes = migrationOf({
  name: "001_notes",
  upgrade: "CREATE TABLE notes (body)",
  downgrade: "DROP TABLE notes",
});
const tags = migrationOf({
  name: "002_tags",
  upgrade: "CREATE TABLE tags (body); ALTER TABLE notes ADD COLUMN tag",
  downgrade: "DROP TABLE tags; ALTER TABLE notes DROP COLUMN tag",
});
const emptyNotes = migrationOf({
  name: "003_empty_notes",
  upgrade: "DELETE FROM notes",
  downgrade: "SELECT 1",
  destroys: ["notes"],
});
const dropTags = migrationOf({
  name: "004_drop_tags",
  upgrade: "DROP TABLE tags",
  destroys: ["tags"],
});
const all = [notes, tags, emptyNotes, dropTags];

/** A database `app` after some migrations, with a row in some of the tables. */
class App extends TemporaryDirectory {
  migratorOf(migrations: readonly Migration[], alone = true): Migrator {
    return new Migrator({
      databases: { app: this.file("app.db") },
      ledger: this.file("migrations.db"),
      migrations,
      timeout: 5,
      alone,
    });
  }

  static async after(migrations: readonly Migration[], rows: readonly string[]): Promise<App> {
    const app = new App();
    await app.migratorOf(migrations).upgrade();
    for (const table of rows) app.insert(table, "first");
    return app;
  }

  /** Commits a row from another connection. */
  insert(table: string, body: string): void {
    execute(this.file("app.db"), `INSERT INTO ${table} (body) VALUES ('${body}')`);
  }

  /** Texts in a table of the database, or of a snapshot of it. */
  bodies(table: string, snapshot?: string | null): unknown[] {
    const file = snapshot === undefined ? "app.db" : `backups/app_${snapshot}.db`;
    return query(this.file(file), `SELECT body FROM ${table}`).map((row) => Object(row).body);
  }

  /** Inserts a row before each migration, after the snapshot was taken. */
  meanwhile(...tables: readonly string[]): { readonly hooks: MigrationHooks } {
    const beforeEach = ({ id, direction }: { id: string; direction: string }) => {
      for (const table of tables) this.insert(table, `before ${direction} ${id}`);
    };
    return { hooks: { beforeEach } };
  }
}

async function taken(migrator: Migrator): Promise<string[]> {
  return (await migrator.listSnapshots()).map(({ name }) => name);
}

for (const [mode, alone] of [["WAL", true], ["DELETE", true], ["WAL", false]] as const) {
  const where = `${mode}, ${alone ? "on one thread" : "on a separate thread"}`;
  Deno.test(`an upgrade that destroys rows takes the snapshot again if others wrote meanwhile (${where})`, async () => {
    using app = await App.after([notes, tags], ["notes"]);
    execute(app.file("app.db"), `PRAGMA journal_mode = ${mode}`);
    const migrator = app.migratorOf([notes, tags, emptyNotes], alone);
    const result = await migrator.upgrade(app.meanwhile("notes"));
    assert.deepEqual(app.bodies("notes"), []);
    assert.deepEqual(app.bodies("notes", result.snapshot), ["first", "before upgrade 003"]);
    // The first snapshot has nothing that the second one lacks.
    assert.equal((await taken(migrator)).indexOf(result.snapshot ?? ""), 0);
    assert.equal(result.laterSnapshots, undefined);
    const [newest] = await migrator.history({ limit: 1 });
    assert.equal(newest?.detail, `snapshot ${result.snapshot} was taken before`);
    assert.deepEqual(query(app.file("app.db"), "PRAGMA journal_mode"), [
      { journal_mode: mode.toLowerCase() },
    ]);
  });

  Deno.test(`a downgrade counts the rows as it removes them, and a snapshot has every one (${where})`, async () => {
    using app = await App.after([notes, tags], ["notes", "tags"]);
    execute(app.file("app.db"), `UPDATE notes SET tag = 1; PRAGMA journal_mode = ${mode}`);
    const migrator = app.migratorOf([notes, tags], alone);
    const result = await migrator.downgrade({
      steps: 1,
      confirm: () => true,
      ...app.meanwhile("tags", "tags", "notes"),
    });
    assert.deepEqual(result.lost, [
      { database: "app", table: "notes", rows: 1, columns: ["tag"] },
      { database: "app", table: "tags", rows: 3 },
    ]);
    assert.equal(app.bodies("tags", result.snapshot).length, 3);
    assert.equal(result.laterSnapshots, undefined);
  });
}

Deno.test("if no other program wrote, or nothing is destroyed, one snapshot is enough", async () => {
  using app = await App.after([notes, tags], ["notes", "tags"]);
  const migrator = app.migratorOf(all);
  const first = await migrator.upgrade();
  assert.deepEqual(await taken(migrator), [first.snapshot]);
  assert.deepEqual(app.bodies("notes", first.snapshot), ["first"]);
  using additive = await App.after([notes], ["notes"]);
  const other = additive.migratorOf([notes, tags]);
  const second = await other.upgrade(additive.meanwhile("notes"));
  assert.deepEqual(await taken(other), [second.snapshot]);
  assert.deepEqual(additive.bodies("notes", second.snapshot), ["first"]);
  assert.deepEqual(additive.bodies("notes"), ["first", "before upgrade 002"]);
});

Deno.test("after a first change both the first and the later snapshot are kept and named", async () => {
  using app = await App.after([notes, tags], ["notes", "tags"]);
  const migrator = app.migratorOf(all);
  const { snapshot, laterSnapshots } = await migrator.upgrade(app.meanwhile("tags"));
  assert.equal(laterSnapshots?.length, 1);
  // The very first is not named: others wrote before anything was changed.
  assert.deepEqual((await taken(migrator)).slice(0, 2), [...laterSnapshots, snapshot]);
  assert.deepEqual(app.bodies("tags", snapshot), ["first", "before upgrade 003"]);
  assert.deepEqual(app.bodies("tags", laterSnapshots[0]), [
    "first",
    "before upgrade 003",
    "before upgrade 004",
  ]);
  const details = (await migrator.history({ limit: 2 })).map(({ detail }) => detail);
  assert.deepEqual(details, [
    `snapshot ${laterSnapshots[0]} was taken before`,
    `snapshot ${snapshot} was taken before`,
  ]);
});

Deno.test("what others wrote once is copied again only once", async () => {
  using app = await App.after([notes, tags], ["notes", "tags"]);
  const migrator = app.migratorOf(all);
  const beforeAll = () => app.insert("tags", "meanwhile");
  const { snapshot, laterSnapshots } = await migrator.upgrade({ hooks: { beforeAll } });
  assert.equal(laterSnapshots, undefined);
  assert.deepEqual(app.bodies("tags", snapshot), ["first", "meanwhile"]);
  assert.equal((await taken(migrator)).length, 2);
});

Deno.test("a downgrade of several migrations copies again only before one that removes rows", async () => {
  using app = await App.after(all.slice(0, 3), ["notes"]);
  const migrator = app.migratorOf(all.slice(0, 3));
  const result = await migrator.downgrade({ confirm: () => true, ...app.meanwhile("notes") });
  assert.deepEqual(result.rolledBack, ["003", "002", "001"]);
  assert.deepEqual(result.lost, [{ database: "app", table: "notes", rows: 4 }]);
  assert.equal(result.laterSnapshots?.length, 1);
  assert.equal(app.bodies("notes", result.laterSnapshots[0]).length, 4);
  assert.equal((await taken(migrator)).length, 2);
});

Deno.test("rows added to an empty database are in a snapshot before they are removed", async () => {
  using app = await App.after([notes, tags], []);
  const migrator = app.migratorOf([notes, tags, emptyNotes]);
  const { snapshot } = await migrator.upgrade(app.meanwhile("notes"));
  assert.deepEqual(app.bodies("notes", snapshot), ["before upgrade 003"]);
  using fresh = new App();
  const outcome = await fresh.migratorOf([notes, tags, emptyNotes]).upgrade({
    hooks: { beforeEach: ({ id }) => id === "003" ? fresh.insert("notes", "early") : undefined },
  });
  assert.deepEqual(fresh.bodies("notes", outcome.snapshot), ["early"]);
});

Deno.test("values added to an empty column stop the rollback that drops it", async () => {
  using app = await App.after([notes, tags], ["notes"]);
  const migrator = app.migratorOf([notes, tags]);
  const beforeEach = () => execute(app.file("app.db"), "UPDATE notes SET tag = 'new'");
  await assert.rejects(migrator.downgrade({ steps: 1, hooks: { beforeEach } }), (error) => {
    assert(error instanceof ConfirmationError);
    assert.match(error.message, /the values of tag in 1 row of app\.notes/);
    return true;
  });
  assert.deepEqual(query(app.file("app.db"), "SELECT tag FROM notes"), [{ tag: "new" }]);
  assert((await migrator.status()).ok);
});

Deno.test("redo() keeps the lock between down and up, and rows added meanwhile are in a snapshot", async () => {
  using app = await App.after(all.slice(0, 3), ["notes"]);
  const migrator = app.migratorOf(all.slice(0, 3));
  const locks = new Set<number | undefined>();
  const { snapshot, laterSnapshots } = await migrator.redo({
    confirm: () => true,
    hooks: {
      beforeEach: ({ direction }) => {
        locks.add(Deno.statSync(app.file("migrations.lock")).mtime?.getTime());
        app.insert("notes", direction);
      },
      // Taking the lock rewrites its file.
      afterEach: () => new Promise((resolve) => setTimeout(resolve, 20)),
    },
  });
  assert.equal(locks.size, 1);
  assert.deepEqual(app.bodies("notes"), []);
  assert.deepEqual(app.bodies("notes", snapshot), ["first"]);
  assert.equal(laterSnapshots?.length, 1);
  assert.deepEqual(app.bodies("notes", laterSnapshots[0]), ["first", "downgrade", "upgrade"]);
});

Deno.test("with backups turned off there is no snapshot, even if others write", async () => {
  using app = await App.after([notes, tags], ["notes"]);
  const migrator = app.migratorOf([notes, tags, emptyNotes]);
  const { snapshot } = await migrator.upgrade({ backup: false, ...app.meanwhile("notes") });
  assert.equal(snapshot, null);
  assert(!app.names().includes("backups"));
});

Deno.test("if another process is copying, writers don't wait for it: nothing is changed", async () => {
  using app = await App.after([notes, tags], ["notes"]);
  const migrator = app.migratorOf([notes, tags, emptyNotes]);
  using other = new DisposableStack();
  const beforeEach = async () => {
    app.insert("notes", "late");
    other.use(await lockStore(app.file("backups"), { timeout: 0 }));
  };
  await assert.rejects(migrator.upgrade({ hooks: { beforeEach } }), (error) => {
    assert(error instanceof MigratorLockedError);
    // With the migrator's timeout it would be 5 s.
    assert.match(error.message, /\b1 s\b/);
    return true;
  });
  assert.deepEqual(app.bodies("notes"), ["first", "late"]);
  other.dispose();
  const { snapshot } = await migrator.upgrade();
  assert.deepEqual(app.bodies("notes", snapshot), ["first", "late"]);
});
