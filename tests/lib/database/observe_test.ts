import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import {
  observe,
  type ObserveOptions,
  parseHeader,
  parseLogIndex,
  withLog,
} from "../../../lib/database/observe.ts";
import { traces } from "../doctor/support.ts";
import { execute, Program, query, TemporaryDirectory } from "../support.ts";

function sizeAt(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function optionsOf(path: string): ObserveOptions {
  return {
    mayUseUri: true,
    header: parseHeader(Deno.readFileSync(path)),
    sizeBytes: sizeAt(path),
    logBytes: sizeAt(`${path}-wal`),
    hasIndex: sizeAt(`${path}-shm`) > 0,
  };
}

Deno.test("the header tells page size, journal mode and number of pages", () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  for (const [pageSize, mode] of [[512, "DELETE"], [4096, "WAL"], [65536, "WAL"]] as const) {
    execute(
      path,
      `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`,
    );
    assert.deepEqual(parseHeader(Deno.readFileSync(path)), {
      pageSize,
      isWal: mode === "WAL",
      pages: Deno.statSync(path).size / pageSize,
    });
    Deno.removeSync(path);
  }
  assert.equal(parseHeader(new TextEncoder().encode("no database ".repeat(20))), null);
  assert.equal(parseHeader(new Uint8Array(99)), null);
});

Deno.test("a file with its log as one image is what SQLite reads, however the commits were made", async () => {
  const row = fc.record({
    size: fc.integer({ min: 0, max: 9000 }),
    ends: fc.constantFrom("COMMIT", "COMMIT", "ROLLBACK"),
    deletes: fc.boolean(),
  });
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  const property = fc.property(
    fc.array(row, { maxLength: 12 }),
    fc.constantFrom(512, 4096),
    fc.boolean(),
    (rows, pageSize, checkpoints) => {
      for (const ending of ["", "-wal", "-shm"]) {
        try {
          Deno.removeSync(path + ending);
        } catch {
          // not there
        }
      }
      using db = new DatabaseSync(path);
      db.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL; PRAGMA cache_size = 10;
        PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)`);
      for (const [index, { size, ends, deletes }] of rows.entries()) {
        db.exec(`BEGIN; INSERT INTO t VALUES (randomblob(${size}));
          ${deletes ? "DELETE FROM t WHERE rowid = 1;" : ""} ${ends}`);
        if (checkpoints && index === 5) db.exec("PRAGMA wal_checkpoint(PASSIVE)");
      }
      const image = withLog(Deno.readFileSync(path), Deno.readFileSync(`${path}-wal`));
      Deno.writeFileSync(directory.file("image.db"), image);
      const all = "SELECT hex(a) AS a FROM t ORDER BY rowid";
      assert.deepEqual(
        query(directory.file("image.db"), all),
        db.prepare(all).all().map((one) => ({ ...one })),
      );
      assert.deepEqual(query(directory.file("image.db"), "PRAGMA integrity_check"), [
        { integrity_check: "ok" },
      ]);
    },
  );
  await Promise.resolve(fc.assert(property, { numRuns: 30 }));
});

Deno.test("a log that is torn, or is none, counts up to its last whole commit", () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  using db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)");
  const before = Deno.statSync(`${path}-wal`).size;
  db.exec("INSERT INTO t VALUES (2)");
  const [file, log] = [Deno.readFileSync(path), Deno.readFileSync(`${path}-wal`)];
  const rows = (wal: Uint8Array) => {
    Deno.writeFileSync(directory.file("image.db"), withLog(file, wal));
    return query(directory.file("image.db"), "SELECT count(*) AS n FROM t");
  };
  assert.deepEqual(rows(log), [{ n: 2 }]);
  assert.deepEqual(rows(log.subarray(0, -1)), [{ n: 1 }]);
  const flipped = log.with(before + 30, (log[before + 30] ?? 0) ^ 1);
  assert.deepEqual(rows(flipped), [{ n: 1 }]);
  assert.deepEqual(withLog(file, new Uint8Array()).length, file.length);
  assert.deepEqual(withLog(file, log.with(10, 7)).length, file.length);
});

Deno.test("the index of a log tells how much is in the log and how much was moved", () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  using db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)");
  const read = () => parseLogIndex(Deno.readFileSync(`${path}-shm`).subarray(0, 120));
  const { frames } = read() ?? assert.fail();
  assert.equal(frames, (Deno.statSync(`${path}-wal`).size - 32) / (4096 + 24));
  assert.equal(read()?.moved, 0);
  db.exec("PRAGMA wal_checkpoint(PASSIVE)");
  assert.equal(read()?.moved, frames);
  assert.equal(parseLogIndex(new Uint8Array(32768)), null);
  assert.equal(parseLogIndex(new Uint8Array(3)), null);
});

/** How each is opened. */
const CASES = {
  "no log": "immutable",
  "a writer beside": "shared",
  "a log that was left": "shared",
  "no WAL": "shared",
  "an empty file": "memory",
} as const;

for (const [name, how] of Object.entries(CASES)) {
  Deno.test(`looking at a database leaves no trace: ${name}`, async () => {
    using directory = new TemporaryDirectory();
    // No file of Windows has a question mark in its name.
    const path = directory.file(Deno.build.os === "windows" ? "a#c d.db" : "a?b#c d.db");
    const mode = name === "no WAL" ? "DELETE" : "WAL";
    await using program = await Program.start(
      path,
      `db.exec(\`PRAGMA journal_mode = ${mode};
      PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(9000))\`)
      ${name === "no log" ? "; db.close(); db.open()" : ""}`,
    );
    if (name === "a log that was left") await program.kill();
    if (name === "an empty file") {
      await program.kill();
      for (const one of directory.names()) Deno.removeSync(directory.file(one));
      Deno.writeTextFileSync(path, "");
    }
    const before = traces(directory.path);
    {
      using observed = observe(path, optionsOf(path));
      assert(observed !== null);
      assert.equal(observed.how, how);
      const rows = observed.handle.prepare("SELECT count(*) AS n FROM sqlite_schema").get();
      assert.equal(rows?.["n"], name === "an empty file" ? 0 : 1);
      assert.deepEqual(traces(directory.path), before);
    }
    assert.deepEqual(traces(directory.path), before);
  });
}
