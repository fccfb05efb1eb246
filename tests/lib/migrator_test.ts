import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DatabaseLockedError, StatementError } from "../../lib/base/errors.ts";
import type { Migration } from "../../lib/migration/migration.ts";
import { Migrator } from "../../lib/migrator.ts";
import { migrationOf, query, startWriter, TemporaryDirectory } from "./support.ts";

const migrations = [
  migrationOf({
    name: "001_notes",
    upgrade: "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)",
    downgrade: "DROP TABLE notes",
  }),
  migrationOf({
    name: "002_tags",
    upgrade: "CREATE TABLE tags (note INTEGER REFERENCES notes)",
    downgrade: "DROP TABLE tags",
  }),
];

/** A migrator of a database that the caller has open. */
function migratorOf(
  db: DatabaseSync,
  directory: TemporaryDirectory,
  options: { migrations?: readonly Migration[] } = {},
): Migrator {
  const ledger = directory.file("migrations.db");
  return new Migrator({ databases: { app: db }, ledger, migrations, timeout: 0.05, ...options });
}

Deno.test("a database that the caller has open is migrated, and stays open with its settings", async () => {
  using directory = new TemporaryDirectory();
  using db = new DatabaseSync(directory.file("app.db"), { enableForeignKeyConstraints: false });
  db.exec("PRAGMA busy_timeout = 77; PRAGMA cache_size = 123");
  const migrator = migratorOf(db, directory);
  assert.equal((await migrator.upgrade()).applied.length, 2);
  assert((await migrator.status()).ok);
  assert((await migrator.verify({ data: true })).ok);
  assert.equal((await migrator.downgrade({ steps: 1 })).rolledBack.length, 1);
  assert(db.isOpen && !db.isTransaction);
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.equal(pragma("foreign_keys"), 0);
  assert.equal(pragma("busy_timeout"), 77);
  assert.equal(pragma("cache_size"), 123);
  db.exec("INSERT INTO notes (body) VALUES ('still mine')");
});

Deno.test("its settings are also restored after a failure", async () => {
  using directory = new TemporaryDirectory();
  using db = new DatabaseSync(directory.file("app.db"));
  db.exec("PRAGMA busy_timeout = 77");
  const failing = migrationOf({ name: "001_a", upgrade: "SELECT missing", foreignKeys: false });
  await assert.rejects(migratorOf(db, directory, { migrations: [failing] }).upgrade());
  assert.deepEqual({ ...db.prepare("PRAGMA foreign_keys").get() }, { foreign_keys: 1 });
  assert.deepEqual({ ...db.prepare("PRAGMA busy_timeout").get() }, { timeout: 77 });
  assert(!db.isTransaction);
});

Deno.test("a database in a transaction of the caller is refused, and the transaction is kept", async () => {
  using directory = new TemporaryDirectory();
  using db = new DatabaseSync(directory.file("app.db"));
  db.exec("CREATE TABLE mine (a); BEGIN; INSERT INTO mine VALUES (1)");
  await assert.rejects(migratorOf(db, directory).upgrade(), (error) => {
    assert(error instanceof StatementError);
    assert.match(error.message, /has an open transaction/);
    assert.match(error.help ?? "", /commit it or roll it back first/);
    return true;
  });
  assert(db.isTransaction);
  db.exec("COMMIT");
  assert.equal(db.prepare("SELECT count(*) AS rows FROM mine").get()?.["rows"], 1);
});

Deno.test("a database and a ledger in memory work", async () => {
  using db = new DatabaseSync(":memory:");
  using ledger = new DatabaseSync(":memory:");
  const migrator = new Migrator({ databases: { app: db }, ledger, migrations });
  assert.equal((await migrator.upgrade()).applied.length, 2);
  assert.equal((await migrator.upgrade()).applied.length, 0);
  assert.equal((await migrator.status()).databases[0]?.path, ":memory:");
  assert.equal((await migrator.history()).length, 4);
});

Deno.test("a writer in another process is waited for until the timeout, and nothing is changed", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  const open = (timeout: number) =>
    new Migrator({
      databases: { app: path },
      ledger: directory.file("migrations.db"),
      migrations,
      timeout,
    });
  await open(1).upgrade({ to: "001" });
  const writer = await startWriter(path, "INSERT INTO notes (body) VALUES ('bot')");
  await assert.rejects(open(0.05).upgrade(), (error) => {
    assert(error instanceof DatabaseLockedError);
    assert(error.message.includes(path));
    return true;
  });
  const waiting = open(60).upgrade();
  await writer.release();
  assert.equal((await waiting).applied.length, 1);
  assert.deepEqual(query(path, "SELECT body FROM notes"), [{ body: "bot" }]);
});

Deno.test("the ids of the known migrations are in order", () => {
  const options = { databases: { app: "app.db" }, ledger: "l.db" };
  assert.deepEqual(new Migrator({ ...options, migrations: migrations.toReversed() }).ids, [
    "001",
    "002",
  ]);
});

Deno.test("history has the newest events first, up to the limit", async () => {
  using directory = new TemporaryDirectory();
  using db = new DatabaseSync(":memory:");
  const migrator = migratorOf(db, directory);
  assert.deepEqual(await migrator.history(), []);
  assert.deepEqual(directory.names(), []);
  await migrator.upgrade();
  const events = await migrator.history({ limit: 3 });
  assert.deepEqual(
    events.map(({ id, direction, outcome }) => `${id} ${direction} ${outcome}`),
    ["002 upgrade applied", "002 upgrade started", "001 upgrade applied"],
  );
});
