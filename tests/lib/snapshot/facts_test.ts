/**
 * Facts about SQLite and Deno that snapshots rely on. If one no longer holds, the code must change.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { backup, DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { DatabaseLockedError } from "../../../lib/base/errors.ts";
import {
  contentOf,
  type DatabaseName,
  databaseNames,
  execute,
  existsSync,
  query,
  runCli,
  tempDir,
} from "../../helpers.ts";
import { everythingIn, makeBot } from "./files.ts";

const WAL = "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;";

Deno.test("backup() copies the state of an open read transaction while another connection writes", async () => {
  await using dir = await tempDir();
  const [path, copy] = [join(dir.path, "a.db"), join(dir.path, "copy.db")];
  using writer = new DatabaseSync(path);
  writer.exec(`${WAL} CREATE TABLE t (a); INSERT INTO t VALUES (1)`);
  using reader = new DatabaseSync(path);
  reader.exec("BEGIN; SELECT * FROM t");
  assert.deepEqual(count(reader), 1);
  writer.exec("INSERT INTO t VALUES (2)");
  let steps = 0;
  await backup(reader, copy, {
    rate: 1,
    progress: () => writer.exec(`INSERT INTO t VALUES (zeroblob(${++steps * 5000}))`),
  });
  assert.ok(steps > 0, "no writes happened during the copy");
  assert.deepEqual(query(copy, "SELECT a FROM t"), [{ a: 1 }]);
  assert.deepEqual(query(copy, "PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
  reader.exec("COMMIT");
  assert.equal(count(reader), 2 + steps);
});

Deno.test("copying only the main file of a WAL database loses commits", async () => {
  await using dir = await tempDir();
  const [path, copy] = [join(dir.path, "a.db"), join(dir.path, "copy.db")];
  using db = new DatabaseSync(path);
  db.exec(`${WAL} CREATE TABLE t (a); INSERT INTO t VALUES (1)`);
  db.exec("PRAGMA wal_checkpoint; INSERT INTO t VALUES (2)");
  Deno.copyFileSync(path, copy);
  assert.deepEqual(query(copy, "SELECT a FROM t"), [{ a: 1 }]);
  assert.deepEqual(query(copy, "PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
});

Deno.test("a database that is copied back next to its old log gets the old log's rows", async () => {
  await using dir = await tempDir();
  const [path, copy] = [join(dir.path, "a.db"), join(dir.path, "copy.db")];
  {
    using db = new DatabaseSync(path);
    db.exec(`${WAL} CREATE TABLE t (a); INSERT INTO t VALUES (1)`);
    db.exec("PRAGMA wal_checkpoint");
    Deno.copyFileSync(path, copy);
    db.exec("INSERT INTO t VALUES (2)");
    Deno.copyFileSync(`${path}-wal`, `${copy}-wal`);
  }
  assert.deepEqual(query(copy, "SELECT a FROM t"), [{ a: 1 }, { a: 2 }]);
  assert.deepEqual(query(copy, "PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
});

Deno.test("backup() over a live WAL database keeps other connections working, with the new schema", async () => {
  await using dir = await tempDir();
  const [path, other] = [join(dir.path, "a.db"), join(dir.path, "other.db")];
  using source = new DatabaseSync(other);
  source.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (a, b); INSERT INTO t VALUES (7, 8)");
  using live = new DatabaseSync(path);
  live.exec(`${WAL} CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)`);
  const statement = live.prepare("SELECT * FROM t");
  assert.equal(statement.all().length, 2);
  using reading = new DatabaseSync(path);
  reading.exec("BEGIN");
  assert.equal(count(reading), 2);
  await backup(source, path);
  assert.equal(count(reading), 2, "a reader's moment has moved");
  reading.exec("COMMIT");
  assert.deepEqual({ ...live.prepare("SELECT * FROM t").get() }, { a: 7, b: 8 });
  live.exec("INSERT INTO t VALUES (9, 10)");
  assert.equal(count(reading), 2);
  assert.deepEqual({ ...live.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
});

Deno.test("backup() of a WAL database keeps its journal mode, and the copy has no log", async () => {
  await using dir = await tempDir();
  const [path, copy] = [join(dir.path, "a.db"), join(dir.path, "copy.db")];
  using db = new DatabaseSync(path);
  db.exec(`${WAL} CREATE TABLE t (a); INSERT INTO t VALUES (1)`);
  await backup(db, copy);
  assert.ok(!existsSync(`${copy}-wal`));
  assert.deepEqual(query(copy, "PRAGMA journal_mode"), [{ journal_mode: "wal" }]);
});

// SQLite's backup waits forever for a locked database, so it must not start.
Deno.test("a database that a bot is writing to is not restored, and nothing is changed", async () => {
  await using dir = await tempDir();
  await makeBot(dir);
  const { name } = await createCatalystMigrator({ dataDir: dir.path }).createSnapshot();
  execute(dir.database("trading"), "DELETE FROM fills");
  const before = everythingIn(dir);
  {
    using bot = new DatabaseSync(dir.database("trading"));
    bot.exec("BEGIN IMMEDIATE");
    const { code, stdout, stderr } = await runCli(
      ["restore", name, "--yes", "--timeout", "1", "--json", "--data-dir", dir.path],
    );
    assert.equal(code, 1, stderr);
    assert.equal(JSON.parse(stdout).error.code, "DATABASE_LOCKED", stdout);
  }
  assert.deepEqual(everythingIn(dir), before);
});

Deno.test("a restore that finds a lock after it has begun is completed by the next command", async () => {
  await using dir = await tempDir();
  await makeBot(dir);
  const migrator = createCatalystMigrator({ dataDir: dir.path, timeout: 0.1, alone: true });
  const { name } = await migrator.createSnapshot();
  for (const one of databaseNames) execute(dir.database(one), emptied(one));
  {
    using bot = new DatabaseSync(dir.database("trading"));
    // The lock is requested while the existing data is being copied, after the locks for that were
    // released.
    const signal = {
      get aborted(): boolean {
        if (!bot.isTransaction) bot.exec("BEGIN IMMEDIATE");
        return false;
      },
    };
    await assert.rejects(
      migrator.restoreSnapshot(name, { confirm: () => true, signal }),
      DatabaseLockedError,
    );
  }
  assert.ok(existsSync(join(dir.path, "migrations.restore")));
  await migrator.upgrade();
  for (const one of databaseNames) {
    const tables = Object.values(contentOf(dir.database(one)).rows);
    assert.ok(tables.length > 0 && tables.every((rows) => rows.length === 3), one);
  }
});

Deno.test("restoring next to a connection of the same process drops neither its lock nor its log", async () => {
  await using dir = await tempDir();
  await makeBot(dir);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  const { name } = await migrator.createSnapshot();
  using bot = new DatabaseSync(dir.database("trading"));
  bot.exec("DELETE FROM fills");
  await migrator.restoreSnapshot(name, { confirm: () => true });
  assert.equal(rowsOf(bot, "fills"), 3);
  // Another process that believes it is the last one would remove the log when it closes.
  const visitor = join(dir.path, "visitor.js");
  Deno.writeTextFileSync(
    visitor,
    `import { DatabaseSync } from "node:sqlite";
    using db = new DatabaseSync(Deno.args[0]);
    db.exec("DELETE FROM fills WHERE fill_id = 'fill_id-1'");`,
  );
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", visitor, dir.database("trading")],
  }).output();
  assert.ok(success);
  assert.ok(existsSync(`${dir.database("trading")}-wal`), "the bot's log was removed");
  assert.equal(rowsOf(bot, "fills"), 2);
  bot.exec("DELETE FROM fills");
  assert.deepEqual(query(dir.database("trading"), "SELECT * FROM fills"), []);
});

Deno.test({
  name:
    "taking a snapshot next to a connection of the same process drops neither its lock nor its log",
  ignore: Deno.build.os !== "linux", // locks can be read only there
  fn: async () => {
    await using dir = await tempDir();
    await makeBot(dir);
    using bot = new DatabaseSync(dir.database("trading"));
    bot.exec("DELETE FROM fills");
    const migrator = createCatalystMigrator({ dataDir: dir.path });
    const { name } = await migrator.createSnapshot();
    await migrator.verifySnapshot(name);
    bot.exec("BEGIN IMMEDIATE");
    const locks = Deno.readTextFileSync("/proc/locks").split("\n");
    const inode = (ending: string) => Deno.statSync(`${dir.database("trading")}${ending}`).ino;
    for (const ending of ["", "-shm"]) {
      assert.ok(locks.some((line) => line.includes(`:${inode(ending)} `)), `no lock on ${ending}`);
    }
    bot.exec("COMMIT");
  },
});

/** A script that deletes the rows of a table that no other table references. */
function emptied(database: DatabaseName): string {
  const table = { positions: "positions", trading: "fills", ml_training: "ensemble_weights" };
  return `DELETE FROM ${table[database]}`;
}

function count(db: DatabaseSync): number {
  return rowsOf(db, "t");
}

function rowsOf(db: DatabaseSync, table: string): number {
  return Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
}
