import assert from "node:assert/strict";
import { openForWriting, openMemory } from "../../../lib/database/open.ts";
import {
  type Connection,
  defaultSettings,
  number,
  readPragma,
} from "../../../lib/database/connection.ts";
import { holdForeignKeys, withTransaction } from "../../../lib/database/transaction.ts";
import { DatabaseLockedError, InterruptedError, StatementError } from "../../../lib/base/errors.ts";
import { execute, query, startWriter, TemporaryDirectory } from "../support.ts";

async function open(path: string): Promise<Connection> {
  return await openForWriting({ kind: "file", path }, defaultSettings);
}

async function busyTimeout(db: Connection): Promise<number> {
  const row = await db.get("PRAGMA busy_timeout");
  return row === undefined ? -1 : number(row, "timeout");
}

Deno.test("work that returns is committed; work that throws is rolled back and its error is rethrown", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a)");
  const insert = (value: number) => db.run("INSERT INTO t VALUES (?)", [value]);
  const result = await withTransaction(db, () => insert(1), { timeout: 0 });
  assert.deepEqual(result, { changes: 1 });
  const mine = new Error("mine");
  const failing = async () => {
    await insert(2);
    assert(db.inTransaction);
    throw mine;
  };
  await assert.rejects(withTransaction(db, failing, { timeout: 0 }), (error) => error === mine);
  assert(!db.inTransaction);
  assert.equal((await db.all("SELECT a FROM t")).length, 1);
});

Deno.test("after an automatic rollback by SQLite, the first error is thrown", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a UNIQUE ON CONFLICT ROLLBACK); INSERT INTO t VALUES (1)");
  const work = () => db.run("INSERT INTO t VALUES (1)");
  await assert.rejects(withTransaction(db, work, { timeout: 0 }), /UNIQUE constraint failed/);
  assert(!db.inTransaction);
});

Deno.test("foreign keys that SQLite does not turn off, as in a transaction, are an error", async () => {
  await using db = openMemory();
  await db.exec("BEGIN");
  await assert.rejects(holdForeignKeys(db, false), StatementError);
  await db.exec("COMMIT");
  const { restore } = await holdForeignKeys(db, false);
  assert.equal(await readPragma(db, "foreign_keys"), 0);
  await restore();
  assert.equal(await readPragma(db, "foreign_keys"), 1);
});

for (const mode of ["WAL", "DELETE"]) {
  Deno.test(`a transaction waits for a writer in another process, with journal mode ${mode}`, async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("a.db");
    execute(path, `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`);
    await using db = await open(path);
    const writer = await startWriter(path, "INSERT INTO t VALUES ('other')");
    const mine = withTransaction(db, () => db.run("INSERT INTO t VALUES ('mine')"), {
      timeout: 60,
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert(!db.inTransaction);
    await writer.release();
    await mine;
    assert.deepEqual(query(path, "SELECT a FROM t"), [{ a: "other" }, { a: "mine" }]);
    assert.equal(await busyTimeout(db), 30_000);
  });

  Deno.test(`after the timeout the error names the file and its writer, with journal mode ${mode}`, async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("a.db");
    execute(path, `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`);
    await using db = await open(path);
    await using writer = await startWriter(path, "INSERT INTO t VALUES ('other')");
    let hasBegun = false;
    const work = () => Promise.resolve(hasBegun = true);
    await assert.rejects(withTransaction(db, work, { timeout: 0.02 }), (error) => {
      assert(error instanceof DatabaseLockedError);
      assert(error.message.includes(path));
      if (Deno.build.os === "linux") assert(error.message.includes(`process ${writer.pid}`));
      return true;
    });
    assert(!hasBegun);
    assert.equal(await busyTimeout(db), 30_000);
  });
}

Deno.test("an abort stops the wait, and the caller's busy timeout is restored", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  execute(path, "CREATE TABLE t (a)");
  await using db = await open(path);
  await db.exec("PRAGMA busy_timeout = 123");
  await using _writer = await startWriter(path, "INSERT INTO t VALUES (1)");
  const options = { timeout: 60, signal: AbortSignal.abort() };
  await assert.rejects(withTransaction(db, () => Promise.resolve(), options), InterruptedError);
  assert.equal(await busyTimeout(db), 123);
});

Deno.test("nothing is begun inside a transaction of the caller", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES (1)");
  await assert.rejects(
    withTransaction(db, () => Promise.resolve(), { timeout: 0 }),
    /cannot start a transaction within a transaction/,
  );
  assert(db.inTransaction);
});
