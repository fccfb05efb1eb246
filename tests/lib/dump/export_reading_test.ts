/** Databases that are large enough to be read by several threads. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openReading } from "../../../lib/dump/export_reading.ts";
import { InterruptedError } from "../../../lib/base/errors.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { locate } from "../../../lib/database/location.ts";
import { execute, query, tempDir } from "../../helpers.ts";
import { appIn, textOf } from "./app.ts";
import { contentOf } from "./content.ts";

/** Rows of each table: several of the pieces that a thread reads. */
const ROWS = 8000;

/**
 * Two tables, one of which has rows that need special handling, in a file large enough for threads.
 * Most of it is free pages, because repeatedly exporting tens of megabytes takes long.
 */
function makeLarge(path: string): void {
  execute(
    path,
    `PRAGMA synchronous = OFF;
    CREATE TABLE free AS SELECT zeroblob(33000000);
    DROP TABLE free;
    PRAGMA journal_mode = WAL;
    CREATE TABLE a (id INTEGER PRIMARY KEY, note TEXT, value REAL);
    CREATE TABLE b (note, at INTEGER, value);
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS})
    INSERT INTO a SELECT n * 3, printf('%d it''s %.*c', n, 400, 'x'), n / 7.0 FROM numbers;
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${ROWS})
    INSERT INTO b
    SELECT printf('%d %.*c', n, 400, 'y'), n, CASE
      WHEN n % 2000 = 0 THEN -0.0
      WHEN n % 1999 = 0 THEN CAST(x'ff00' AS TEXT)
      WHEN n % 1000 = 0 THEN char(13, 10)
      ELSE n
    END FROM numbers;`,
  );
}

Deno.test("a large database is read by several threads, and is restored unchanged", async () => {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = appIn(source.path);
  makeLarge(from.path);
  {
    await using reading = await openReading({ kind: "file", path: from.path }, defaultSettings);
    assert(reading.threads !== null && reading.threads.size > 0);
  }
  const to = appIn(target.path);
  await to.migrator.importDump(await from.migrator.exportDatabase("app"), { database: "app" });
  assert.deepEqual(contentOf(to.path), contentOf(from.path));
});

Deno.test("several threads write the same bytes as one", async () => {
  await using source = await tempDir();
  await using target = await tempDir();
  const { migrator: several, path } = appIn(source.path);
  const { migrator: one, path: small } = appIn(target.path);
  makeLarge(path);
  execute(path, `VACUUM INTO '${small}'`); // without its free pages it is read by one thread
  await using reading = await openReading({ kind: "file", path: small }, defaultSettings);
  assert.equal(reading.threads, null);
  const alone = await textOf(await one.exportDatabase("app"));
  assert(alone === await textOf(await several.exportDatabase("app")));
  for (const format of ["csv", "jsonl"] as const) {
    const texts = await Array.fromAsync(
      one.exportTables("app", { format }),
      ({ rows }) => textOf(rows),
    );
    for await (const { rows } of several.exportTables("app", { format })) {
      assert(texts.shift() === await textOf(rows));
    }
    assert.deepEqual(texts, []);
  }
});

Deno.test("a large database is read by one thread while a program writes", async () => {
  await using source = await tempDir();
  const { path } = appIn(source.path);
  makeLarge(path);
  using db = new DatabaseSync(path);
  db.exec("BEGIN IMMEDIATE"); // never available to several threads
  await using reading = await openReading({ kind: "file", path }, defaultSettings);
  assert.equal(reading.threads, null);
});

Deno.test("what a program writes with its own connection during an export is kept", async () => {
  using db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE t (a)");
  {
    await using _reading = await openReading(locate(db), defaultSettings);
    db.exec("INSERT INTO t VALUES (1)");
  }
  assert(!db.isTransaction);
  assert.equal(db.prepare("SELECT * FROM t").all().length, 1);
});

Deno.test("cancelling the stream, or a signal, ends the readings of all threads", async () => {
  await using source = await tempDir();
  const { migrator, path } = appIn(source.path);
  makeLarge(path);
  const isFree = () => {
    using db = new DatabaseSync(path);
    db.exec("INSERT INTO b (note) VALUES ('new')");
    return db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()?.["busy"] === 0;
  };
  const controller = new AbortController();
  const { signal } = controller;
  for (const isSignal of [false, true]) {
    const reader = (await migrator.exportDatabase("app", { signal })).getReader();
    for (let chunk = 0; chunk < 5; chunk++) await reader.read();
    assert(!isFree());
    if (isSignal) {
      controller.abort();
      await assert.rejects(async () => {
        while (!(await reader.read()).done);
      }, InterruptedError);
    } else await reader.cancel();
    assert(isFree());
  }
});

Deno.test("an export contains a program's transaction completely, or not at all", async () => {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = appIn(source.path);
  const to = appIn(target.path);
  makeLarge(from.path);
  const writer = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--quiet",
      `import { DatabaseSync } from "node:sqlite";
      const db = new DatabaseSync(${JSON.stringify(from.path)}, { timeout: 5000 });
      while (true) {
        db.exec("BEGIN IMMEDIATE; INSERT INTO a (note) VALUES ('a'); INSERT INTO b (note) VALUES ('b'); COMMIT");
        Deno.stdout.writeSync(new Uint8Array(1));
      }`,
    ],
    stdout: "piped",
  }).spawn();
  try {
    const committed = writer.stdout.getReader();
    for (let round = 0; round < 3; round++) {
      await committed.read();
      const dump = await from.migrator.exportDatabase("app");
      await to.migrator.importDump(dump, {
        database: "app",
        backup: false,
        confirm: () => true,
      });
      const [counts] = query(
        to.path,
        "SELECT (SELECT count(*) FROM a) AS a, (SELECT count(*) FROM b) AS b",
      );
      assert.equal(counts?.["a"], counts?.["b"]);
      assert(Number(counts?.["a"]) > ROWS);
    }
    await committed.cancel();
  } finally {
    writer.kill("SIGKILL");
    await writer.status;
  }
});
