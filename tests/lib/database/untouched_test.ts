import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  openUntouched,
  parseHeader,
  parseLogIndex,
  type UntouchedOptions,
} from "../../../lib/database/untouched.ts";
import { traces } from "../doctor/support.ts";
import { execute, Program, TemporaryDirectory } from "../support.ts";

function sizeAt(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function optionsOf(path: string): UntouchedOptions {
  return {
    mayUseUri: true,
    header: parseHeader(Deno.readFileSync(path)),
    sizeBytes: sizeAt(path),
    logBytes: sizeAt(`${path}-wal`),
    hasIndex: sizeAt(`${path}-shm`) > 0,
  };
}

Deno.test("the header contains page size, journal mode and number of pages", () => {
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

Deno.test("the index of a log contains how much is in the log and how much was checkpointed", () => {
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

Deno.test("without URIs a database is read in memory, but not if it has a log", () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  execute(path, "PRAGMA journal_mode = WAL; CREATE TABLE t (a)");
  {
    using observed = openUntouched(path, { ...optionsOf(path), mayUseUri: false });
    assert.equal(observed?.how, "memory");
    assert.equal(
      observed.handle.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"],
      1,
    );
  }
  using db = new DatabaseSync(path);
  db.exec("INSERT INTO t VALUES (1)");
  assert.equal(openUntouched(path, { ...optionsOf(path), mayUseUri: false }), null);
});

/** How each one is opened. */
const CASES = {
  "no log": "immutable",
  "a writer beside": "shared",
  "a log that was left": "shared",
  "no WAL": "shared",
  "an empty file": "memory",
} as const;

for (const [name, how] of Object.entries(CASES)) {
  Deno.test(`reading a database leaves no trace: ${name}`, async () => {
    using directory = new TemporaryDirectory();
    // Windows file names cannot contain a question mark.
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
      using observed = openUntouched(path, optionsOf(path));
      assert(observed !== null);
      assert.equal(observed.how, how);
      const rows = observed.handle.prepare("SELECT count(*) AS n FROM sqlite_schema").get();
      assert.equal(rows?.["n"], name === "an empty file" ? 0 : 1);
      assert.deepEqual(traces(directory.path), before);
    }
    assert.deepEqual(traces(directory.path), before);
  });
}
