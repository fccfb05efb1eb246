/** How the output of an export is written and read, and how it ends. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { unwritable, writeAll, writeFile } from "../../../lib/dump/output_file.ts";
import {
  AccessError,
  DiskFullError,
  InterruptedError,
  LocationError,
} from "../../../lib/base/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { execute, existsSync, query, tempDir } from "../../helpers.ts";
import { testLinks } from "../../links.ts";
import { Database } from "../database/db_sqlite.ts";
import { recordCalls } from "../record_calls.ts";
import { appIn, textOf } from "./app.ts";

const SMALL = `PRAGMA journal_mode = WAL;
  CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT);
  WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000)
  INSERT INTO t SELECT n, printf('%.*c', 100, 'x') FROM numbers;`;

/** Whether nothing reads: only then can a checkpoint empty the log. */
function canTruncate(path: string): boolean {
  using db = new DatabaseSync(path);
  db.exec("INSERT INTO t (body) VALUES ('new')");
  const row = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  return row?.["busy"] === 0;
}

Deno.test("an export shows the state at the time of the call, and its reading ends with the stream", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, SMALL);
  const dump = await migrator.exportDatabase("app");
  assert(!canTruncate(path));
  assert.doesNotMatch(await textOf(dump), /'new'/);
  assert(canTruncate(path));
});

Deno.test("cancelling the stream ends the reading", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, SMALL);
  for (const chunks of [0, 1, 3]) {
    const reader = (await migrator.exportDatabase("app")).getReader();
    for (let chunk = 0; chunk < chunks; chunk++) assert.equal((await reader.read()).done, false);
    assert(!canTruncate(path));
    await reader.cancel();
    assert(canTruncate(path));
  }
  for await (const { rows } of migrator.exportTables("app", { format: "csv" })) {
    await rows.cancel();
    assert(!canTruncate(path));
    break;
  }
  assert(canTruncate(path));
});

Deno.test("a signal ends the export, even if it was already aborted", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, SMALL);
  const controller = new AbortController();
  const { signal } = controller;
  const reader = (await migrator.exportDatabase("app", { signal })).getReader();
  await reader.read();
  controller.abort();
  await assert.rejects(async () => {
    while (!(await reader.read()).done);
  }, InterruptedError);
  assert(canTruncate(path));
  await assert.rejects(
    async () => await textOf(await migrator.exportDatabase("app", { signal })),
    InterruptedError,
  );
  assert(canTruncate(path));
});

Deno.test("progress rises to the number of rows", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, SMALL);
  const seen: number[] = [];
  const onProgress = (progress: { table: string; done: number; total: number }) => {
    assert.equal(progress.table, "t");
    assert.equal(progress.total, 20000);
    seen.push(progress.done);
  };
  await textOf(await migrator.exportDatabase("app", { onProgress }));
  assert.equal(seen[0], 0);
  assert.equal(seen.at(-1), 20000);
  assert.deepEqual(seen, seen.toSorted((a, b) => a - b));
  assert(seen.length > 3);
});

Deno.test("an error while reading fails the stream, and ends the reading", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, SMALL);
  const onProgress = () => {
    throw new Error("no more");
  };
  const dump = await migrator.exportDatabase("app", { onProgress });
  await assert.rejects(textOf(dump), /no more/);
  assert(canTruncate(path));
});

Deno.test("a database that a program has open is exported, and remains usable for it", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "app.db");
  execute(path, SMALL);
  using db = new DatabaseSync(path);
  const ledger = join(directory.path, "migrations.db");
  const migrator = new Migrator({ databases: { app: db }, ledger, migrations: [] });
  const reader = (await migrator.exportDatabase("app")).getReader();
  await reader.read();
  assert.equal(db.isTransaction, false);
  db.exec("INSERT INTO t (body) VALUES ('meanwhile')");
  await reader.cancel();
  assert(db.isOpen);
});

Deno.test("a database in memory is exported with the program's own connection", async () => {
  await using directory = await tempDir();
  using db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE TEMP TABLE t (a)");
  const ledger = join(directory.path, "migrations.db");
  const migrator = new Migrator({ databases: { app: db }, ledger, migrations: [] });
  assert.match(await textOf(await migrator.exportDatabase("app")), /\n\(1,1\);\n/);
  assert.equal(db.isTransaction, false);
  const reader = (await migrator.exportDatabase("app")).getReader();
  await reader.read();
  db.exec("INSERT INTO main.t VALUES (7)");
  await reader.cancel();
  assert.equal(
    db.prepare("DELETE FROM main.t WHERE a = 7").run().changes,
    1,
    "what it wrote is kept",
  );
  db.exec("BEGIN; INSERT INTO main.t VALUES (2)");
  assert.match(await textOf(await migrator.exportDatabase("app")), /\n\(2,2\);\n/);
  assert(db.isTransaction, "the program's own transaction continues");
  db.exec("COMMIT");
});

Deno.test("a database that is open through another library is exported with that library", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "app.db");
  const script = `CREATE TABLE "odd ""name" (a TEXT, "b
c" REAL, d);
    INSERT INTO "odd ""name" VALUES ('é''s', 0.1, 9007199254740993), (char(13, 0), 5e-324, -0.0);`;
  execute(path, script);
  const other = new Database(path);
  const ledger = join(directory.path, "migrations.db");
  const theirs = new Migrator({ databases: { app: other }, ledger, migrations: [] });
  const ours = new Migrator({ databases: { app: path }, ledger, migrations: [] });
  const expected = await textOf(await ours.exportDatabase("app"));
  assert.equal(await textOf(await theirs.exportDatabase("app")), expected);
  for (const format of ["csv", "jsonl"] as const) {
    const [one, two] = await Promise.all([theirs, ours].map(async (migrator) => {
      const texts = [];
      for await (const { rows } of migrator.exportTables("app", { format })) {
        texts.push(await textOf(rows));
      }
      return texts;
    }));
    assert.deepEqual(one, two);
  }
  assert.equal(other.inTransaction, false);
  assert.equal(other.openStatements, 0);
  other.close();
});

Deno.test("a missing database is an error, and isn't created", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  await assert.rejects(migrator.exportDatabase("app"), LocationError);
  await assert.rejects(
    async () => await Array.fromAsync(migrator.exportTables("app", { format: "csv" })),
    LocationError,
  );
  assert(!existsSync(path));
});

Deno.test("an export writes nothing to the database, whatever the journal mode is", async () => {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  for (const mode of ["DELETE", "WAL"]) {
    execute(
      path,
      `PRAGMA journal_mode = ${mode}; CREATE TABLE IF NOT EXISTS t (a, b);
      INSERT INTO t VALUES (randomblob(20000000), zeroblob(20000000))`,
    );
    const before = Deno.readFileSync(path);
    await (await migrator.exportDatabase("app")).pipeTo(new WritableStream());
    assert(Deno.readFileSync(path).every((byte, index) => byte === before[index]));
    assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["app.db"]);
    assert.deepEqual(query(path, "PRAGMA journal_mode"), [{ journal_mode: mode.toLowerCase() }]);
  }
});

/** A stream of chunks, which may end in an error. */
function streamOf(
  chunks: readonly string[],
  error?: Error,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder();
  const left = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) controller.enqueue(encoder.encode(chunk));
      else if (error !== undefined) controller.error(error);
      else controller.close();
    },
  }, { highWaterMark: 0 });
}

Deno.test("a file gets its name only when it is complete", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "a.sql");
  assert.equal(await writeFile(path, streamOf(["one ", "two"])), 7);
  assert.equal(Deno.readTextFileSync(path), "one two");
  await assert.rejects(writeFile(path, streamOf(["three"], new Error("broken"))), /broken/);
  assert.equal(Deno.readTextFileSync(path), "one two");
  assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["a.sql"]);
});

/** A stream that waits after its first chunk until released. */
function heldStream(): { stream: ReadableStream<Uint8Array<ArrayBuffer>>; release: () => void } {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async start(controller) {
      controller.enqueue(new TextEncoder().encode("first "));
      await promise;
      controller.enqueue(new TextEncoder().encode("second"));
      controller.close();
    },
  });
  return { stream, release };
}

async function isThere(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
}

Deno.test("a file gets its name only when its content is on disk", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "a.sql");
  using recorded = recordCalls();
  await writeFile(path, streamOf(["all"]));
  assert.deepEqual(recorded.calls, [
    `sync ${path}.catalyst.part`,
    `rename ${path}`,
    `sync ${directory.path}`,
  ]);
});

testLinks(
  "a link in place of the unfinished file is refused, and its target is unchanged",
  async () => {
    await using directory = await tempDir();
    const [path, target] = [join(directory.path, "a.sql"), join(directory.path, "mine")];
    Deno.writeTextFileSync(target, "mine");
    Deno.symlinkSync(target, `${path}.catalyst.part`);
    await assert.rejects(writeFile(path, streamOf(["text"])), LocationError);
    assert.equal(Deno.readTextFileSync(target), "mine");
  },
);

Deno.test("a file that another export is writing is not touched", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "a.sql");
  const { stream, release } = heldStream();
  const first = writeFile(path, stream);
  await isThere(`${path}.catalyst.part`);
  const refused = await writeFile(path, streamOf(["other"])).then(() => null, (error) => error);
  release();
  assert.equal(await first, 12);
  assert.equal(Deno.readTextFileSync(path), "first second");
  assert(refused instanceof AccessError);
  assert.match(refused.message, /^Cannot write .*a\.sql: another export is writing it/);
  assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["a.sql"]);
});

Deno.test("of simultaneous exports to one file, one writes it completely, and the others are refused", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "a.sql");
  const texts = Array.from({ length: 20 }, (_, at) => `${at} `.repeat(100 + at));
  const outcomes = await Promise.allSettled(texts.map((text) => writeFile(path, streamOf([text]))));
  assert(outcomes.some(({ status }) => status === "fulfilled"));
  assert(texts.includes(Deno.readTextFileSync(path)));
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert(outcome.reason instanceof AccessError);
  }
  assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), ["a.sql"]);
});

Deno.test("leftovers of a killed export are overwritten, and another program's part is not", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "a.sql");
  Deno.writeTextFileSync(`${path}.catalyst.part`, "the half of a longer text");
  Deno.writeTextFileSync(`${path}.part`, "of a browser");
  assert.equal(await writeFile(path, streamOf(["all"])), 3);
  assert.equal(Deno.readTextFileSync(path), "all");
  assert.equal(Deno.readTextFileSync(`${path}.part`), "of a browser");
  const names = [...Deno.readDirSync(directory.path)].map(({ name }) => name).toSorted();
  assert.deepEqual(names, ["a.sql", "a.sql.part"]);
});

Deno.test("a file that can't be written is reported with its name", async () => {
  await using directory = await tempDir();
  const inFile = join(directory.path, "file", "a.sql");
  Deno.writeTextFileSync(join(directory.path, "file"), "");
  for (const path of [join(directory.path, "missing", "a.sql"), inFile, directory.path]) {
    let isCancelled = false;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      cancel: () => {
        isCancelled = true;
      },
    });
    await assert.rejects(
      writeFile(path, stream),
      (error) => error instanceof AccessError && error.message.startsWith(`Cannot write ${path}: `),
    );
    assert(isCancelled);
  }
});

Deno.test({
  name: "a device is not replaced",
  ignore: !existsSync("/dev/null"),
  async fn() {
    await using directory = await tempDir();
    const path = join(directory.path, "nowhere.sql");
    await Deno.symlink("/dev/null", path);
    assert.equal(await writeFile(path, streamOf(["one"])), 3);
    assert(Deno.statSync(path).isCharDevice);
    assert.deepEqual([...Deno.readDirSync(directory.path)].map(({ name }) => name), [
      "nowhere.sql",
    ]);
  },
});

Deno.test("small parts are written completely and in order", async () => {
  const written: number[] = [];
  const size = await writeAll({
    write: (bytes) => {
      const some = bytes.subarray(0, 3);
      written.push(...some);
      return Promise.resolve(some.length);
    },
  }, streamOf(["abcdefg", "h", "ijkl"]));
  assert.equal(size, 12);
  assert.equal(String.fromCharCode(...written), "abcdefghijkl");
});

Deno.test("an error of the sink ends the writing", async () => {
  const sink = { write: () => Promise.reject(new Deno.errors.BrokenPipe("broken pipe")) };
  const stream = streamOf(Array(1000).fill("chunk"));
  await assert.rejects(writeAll(sink, stream), Deno.errors.BrokenPipe);
});

Deno.test("system errors are explained in plain words; others are unchanged", () => {
  const full = unwritable("x", new Error("No space left on device (os error 28)"));
  assert(full instanceof DiskFullError);
  const pipe = unwritable("stdout", new Deno.errors.BrokenPipe("Broken pipe (os error 32)"));
  assert(pipe instanceof AccessError && /the reader has stopped/.test(pipe.message));
  const other = new TypeError("a fault");
  assert.equal(unwritable("x", other), other);
});
