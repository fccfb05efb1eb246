import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openForReading, openForWriting, readDatabase } from "../../../lib/database/open.ts";
import { type ConnectionSettings, defaultSettings } from "../../../lib/database/connection.ts";
import { AccessError, NotADatabaseError } from "../../../lib/base/errors.ts";
import { execute, query, startWriter, TemporaryDirectory } from "../support.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "./read_only_directory.ts";

const WAL = "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);";
const ROLLBACK = WAL.replace("WAL", "DELETE");

/** Reads a database with every combination of options. */
async function read(path: string, alone: boolean, sql: string): Promise<readonly unknown[]> {
  const options = { settings: defaultSettings, alone };
  return await readDatabase({ kind: "file", path }, options, (db) => db.all(sql));
}

/** Counts the rows of a database's table. */
async function countOf(path: string, alone: boolean): Promise<unknown> {
  return (await read(path, alone, "SELECT * FROM t")).length;
}

Deno.test("fact: a read-only connection to a WAL database leaves -wal and -shm behind", () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("a.db"), WAL);
  assert.deepEqual(directory.names(), ["a.db"]);
  const db = new DatabaseSync(directory.file("a.db"), { readOnly: true });
  db.prepare("SELECT * FROM t").all();
  db.close();
  assert.deepEqual(directory.names(), ["a.db", "a.db-shm", "a.db-wal"]);
});

Deno.test("fact: an ordinary connection checkpoints a left-over log", () => {
  using directory = new TemporaryDirectory();
  using crashed = leftOver(directory, [".db", ".db-wal", ".db-shm"]);
  const before = crashed.listing();
  const db = new DatabaseSync(crashed.file("a.db"));
  db.prepare("SELECT * FROM t").all();
  db.close();
  assert.notDeepEqual(crashed.listing(), before);
});

/** Files as a killed process leaves them: one row is only in the log. */
function leftOver(directory: TemporaryDirectory, endings: readonly string[]): TemporaryDirectory {
  const crashed = new TemporaryDirectory();
  execute(directory.file("a.db"), WAL);
  const db = new DatabaseSync(directory.file("a.db"));
  db.exec("INSERT INTO t VALUES (2)");
  for (const ending of endings) {
    Deno.copyFileSync(directory.file(`a${ending}`), crashed.file(`a${ending}`));
  }
  db.close();
  return crashed;
}

/** Whether another process cannot write to a database. */
async function isLockedForOthers(path: string): Promise<boolean> {
  const program = `import { DatabaseSync } from "node:sqlite";
    new DatabaseSync(${JSON.stringify(path)}).exec("BEGIN IMMEDIATE; ROLLBACK")`;
  const args = ["eval", "--quiet", program];
  const { stderr } = await new Deno.Command(Deno.execPath(), { args, stderr: "piped" }).output();
  return new TextDecoder().decode(stderr).includes("database is locked");
}

for (const alone of [false, true]) {
  const how = alone ? "alone in the process" : "beside other code";

  for (
    const [name, sql] of [["a WAL database without a log", WAL], ["a rollback database", ROLLBACK]]
  ) {
    Deno.test(`reading ${name} leaves the directory unchanged, ${how}`, async () => {
      using directory = new TemporaryDirectory();
      execute(directory.file("a.db"), sql ?? "");
      const before = directory.listing();
      assert.equal(await countOf(directory.file("a.db"), alone), 1);
      assert.deepEqual(directory.listing(), before);
    });
  }

  for (const [mode, sql] of [["WAL", WAL], ["DELETE", ROLLBACK]]) {
    Deno.test(`reading beside a live writer sees committed rows and leaves the files unchanged, ${mode}, ${how}`, async () => {
      using directory = new TemporaryDirectory();
      const path = directory.file("a.db");
      execute(path, sql ?? "");
      await using writer = await startWriter(path, "INSERT INTO t VALUES (2)");
      const before = directory.listing({ timesOf: /\.db$/ });
      assert.equal(await countOf(path, alone), 1);
      assert.deepEqual(directory.listing({ timesOf: /\.db$/ }), before);
      await writer.release();
      assert.equal(await countOf(path, alone), 2);
    });
  }

  Deno.test(`reading beside a connection of the same process drops neither its lock nor its log, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("a.db");
    execute(path, WAL);
    using db = new DatabaseSync(path);
    db.exec("INSERT INTO t VALUES (2); BEGIN IMMEDIATE; INSERT INTO t VALUES (3)");
    const before = directory.listing({ timesOf: /\.db$/ });
    assert.equal(await countOf(path, alone), 2);
    assert.deepEqual(directory.listing({ timesOf: /\.db$/ }), before);
    assert.equal(await isLockedForOthers(path), true);
    db.exec("COMMIT");
    assert.deepEqual(db.prepare("SELECT a FROM t").all().map((row) => row["a"]), [1, 2, 3]);
  });

  Deno.test(`the log of a killed process is read and left unchanged, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    using crashed = leftOver(directory, [".db", ".db-wal", ".db-shm"]);
    const before = crashed.listing({ timesOf: /\.db(-wal)?$/ });
    assert.equal(await countOf(crashed.file("a.db"), alone), 2);
    assert.deepEqual(crashed.listing({ timesOf: /\.db(-wal)?$/ }), before);
  });

  Deno.test(`a log without its -shm, as in a copy, is read; only the -shm is added, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    using crashed = leftOver(directory, [".db", ".db-wal"]);
    const before = crashed.listing();
    assert.equal(await countOf(crashed.file("a.db"), alone), 2);
    assert.deepEqual(crashed.listing().filter((line) => !line.startsWith("a.db-shm")), before);
  });

  Deno.test(`a file that is not a database is refused and left unchanged, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("a.db");
    Deno.writeTextFileSync(path, "no database ".repeat(100));
    const before = directory.listing();
    await assert.rejects(countOf(path, alone), NotADatabaseError);
    assert.deepEqual(directory.listing(), before);
  });

  Deno.test(`a connection for reading cannot write, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    execute(directory.file("a.db"), WAL);
    const path = directory.file("a.db");
    await assert.rejects(read(path, alone, "INSERT INTO t VALUES (2)"), AccessError);
    await assert.rejects(read(path, alone, "CREATE TABLE u (a)"), AccessError);
  });

  Deno.test(`a path with characters that are special in a URI is read, ${how}`, async () => {
    using directory = new TemporaryDirectory();
    const names = ["a b.db", "a#b.db", "a%20b.db", "é🚀.db"];
    // Windows file names cannot contain the others.
    if (Deno.build.os !== "windows") names.push("a?b=c.db", "file:a.db");
    for (const name of names) {
      execute(directory.file(name), WAL);
      assert.equal(await countOf(directory.file(name), alone), 1, name);
    }
  });

  for (const [mode, sql] of [["wal", WAL], ["delete", ROLLBACK]]) {
    Deno.test(`the journal mode of a database is reported, ${mode}, ${how}`, async () => {
      using directory = new TemporaryDirectory();
      const location = { kind: "file", path: directory.file("a.db") } as const;
      execute(location.path, sql ?? "");
      const options = { settings: defaultSettings, alone };
      const journalMode = await readDatabase(location, options, async (_db, mode) => await mode());
      assert.equal(journalMode, mode);
    });

    const noMount = reasonForNoMount();
    Deno.test({
      name: `a read-only directory is read, ${mode}, ${how}` +
        (noMount ? ` (skipped: ${noMount})` : ""),
      ignore: noMount !== null,
      fn: async () => {
        using directory = new ReadOnlyDirectory((path) => execute(`${path}/a.db`, sql ?? ""));
        assert.equal(await countOf(`${directory.path}/a.db`, alone), 1);
      },
    });
  }
}

Deno.test("a database that another process changes during an immutable read is read again", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  execute(path, WAL);
  const counts: number[] = [];
  const options = { settings: defaultSettings, alone: true };
  const result = await readDatabase({ kind: "file", path }, options, async (db) => {
    if (counts.length === 0) await (await startWriter(path, "INSERT INTO t VALUES (2)")).release();
    counts.push((await db.all("SELECT * FROM t")).length);
    return counts.at(-1);
  });
  assert.equal(counts.length, 2);
  assert.equal(result, 2);
});

Deno.test("a new file gets the journal mode of the settings, an existing one keeps its own", async () => {
  using directory = new TemporaryDirectory();
  const modeOf = async (name: string) => {
    await using db = await openForWriting(
      { kind: "file", path: directory.file(name) },
      { ...defaultSettings, journalMode: name.startsWith("truncate") ? "TRUNCATE" : "WAL" },
    );
    return (await db.get("PRAGMA journal_mode"))?.["journal_mode"];
  };
  assert.equal(await modeOf("new.db"), "wal");
  assert.equal(await modeOf("truncate.db"), "truncate");
  execute(directory.file("old.db"), ROLLBACK);
  assert.equal(await modeOf("old.db"), "delete");
  execute(directory.file("truncate_wal.db"), WAL);
  assert.equal(await modeOf("truncate_wal.db"), "wal");
});

Deno.test("the settings are in force on a connection for writing", async () => {
  using directory = new TemporaryDirectory();
  const location = { kind: "file", path: directory.file("a.db") } as const;
  await using db = await openForWriting(location, { ...defaultSettings, busyTimeout: 2 });
  assert.equal((await db.get("PRAGMA foreign_keys"))?.["foreign_keys"], 1);
  assert.equal((await db.get("PRAGMA busy_timeout"))?.["timeout"], 2000);
});

Deno.test("a database in a missing directory cannot be opened", async () => {
  using directory = new TemporaryDirectory();
  const location = { kind: "file", path: directory.file("none/a.db") } as const;
  await assert.rejects(openForWriting(location, defaultSettings), AccessError);
});

Deno.test("an open database is used for reading and writing and never closed", async () => {
  using handle = new DatabaseSync(":memory:", { enableForeignKeyConstraints: false });
  handle.exec("PRAGMA busy_timeout = 7; CREATE TABLE t (a)");
  const location = { kind: "open", handle, path: ":memory:" } as const;
  for (
    const db of [
      await openForWriting(location, defaultSettings),
      await openForReading(location, defaultSettings),
    ]
  ) {
    await db.run("INSERT INTO t VALUES (1)");
    await db.close();
  }
  assert.deepEqual(handle.prepare("SELECT count(*) AS rows FROM t").get()?.["rows"], 2);
  assert.deepEqual({ ...handle.prepare("PRAGMA busy_timeout").get() }, { timeout: 7 });
  assert.deepEqual({ ...handle.prepare("PRAGMA foreign_keys").get() }, { foreign_keys: 0 });
});

Deno.test("a commit with a rollback journal waits until the deletion of the journal is on disk", async () => {
  using directory = new TemporaryDirectory();
  const level = async (name: string, settings: Partial<ConnectionSettings>) => {
    const location = { kind: "file", path: directory.file(name) } as const;
    await using db = await openForWriting(location, { ...defaultSettings, ...settings });
    await db.exec("CREATE TABLE IF NOT EXISTS t (a)");
    return (await db.get("PRAGMA synchronous"))?.["synchronous"];
  };
  const [NORMAL, EXTRA] = [1, 3];
  for (const journalMode of ["DELETE", "TRUNCATE", "PERSIST"] as const) {
    assert.equal(await level(`${journalMode}.db`, { journalMode }), EXTRA);
    // An existing database keeps its mode regardless of the settings.
    assert.equal(await level(`${journalMode}.db`, {}), EXTRA);
    assert.equal(await level(`${journalMode}.db`, { synchronous: "OFF" }), 0);
  }
  assert.equal(await level("wal.db", {}), NORMAL);
});

Deno.test("a rollback journal left by a killed process is rolled back before the first read", async () => {
  using directory = new TemporaryDirectory();
  using crashed = withHotJournal(directory);
  assert.equal(await countOf(crashed.file("a.db"), true), 1);
  assert.deepEqual(query(crashed.file("a.db"), "PRAGMA integrity_check"), [{
    integrity_check: "ok",
  }]);
});

/** Files of a process that was killed while it wrote to the database file itself. */
function withHotJournal(directory: TemporaryDirectory): TemporaryDirectory {
  const crashed = new TemporaryDirectory();
  execute(directory.file("a.db"), ROLLBACK);
  const db = new DatabaseSync(directory.file("a.db"));
  db.exec(`PRAGMA cache_size = 2; PRAGMA cache_spill = 1; BEGIN;
    INSERT INTO t
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
    SELECT hex(randomblob(50)) FROM numbers`);
  for (const ending of [".db", ".db-journal"]) {
    Deno.copyFileSync(directory.file(`a${ending}`), crashed.file(`a${ending}`));
  }
  db.close();
  return crashed;
}

const noMount = reasonForNoMount();
Deno.test({
  name:
    "half a transaction is never read: a left-over journal in a read-only directory is an error" +
    (noMount ? ` (skipped: ${noMount})` : ""),
  ignore: noMount !== null,
  fn: async () => {
    using directory = new TemporaryDirectory();
    using crashed = withHotJournal(directory);
    using readOnly = new ReadOnlyDirectory((path) => {
      for (const name of crashed.names()) Deno.copyFileSync(crashed.file(name), `${path}/${name}`);
    });
    for (const alone of [false, true]) {
      await assert.rejects(countOf(`${readOnly.path}/a.db`, alone), AccessError);
    }
  },
});
