import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { openMemory } from "../../../lib/database/open.ts";
import { NodeSqliteConnection } from "../../../lib/database/node_sqlite.ts";
import type { SqlValue } from "../../../lib/database/connection.ts";
import { StatementError } from "../../../lib/base/errors.ts";

const value: fc.Arbitrary<SqlValue> = fc.oneof(
  fc.constant(null),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
  fc.double({ noNaN: true, noInteger: true }),
  // Deno reads a text only up to its first NUL; see the fact below.
  fc.string({ unit: "binary" }).filter((text) => text.isWellFormed() && !text.includes("\0")),
  fc.uint8Array(),
);

Deno.test("every value is read back unchanged, integers beyond 2^53 as bigint", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a)");
  await fc.assert(fc.asyncProperty(value, async (written) => {
    await db.run("DELETE FROM t");
    assert.deepEqual(await db.run("INSERT INTO t VALUES (?)", [written]), { changes: 1 });
    assert.deepEqual((await db.get("SELECT a FROM t"))?.["a"], written);
    assert.deepEqual((await db.all("SELECT a FROM t"))[0]?.["a"], written);
  }));
});

Deno.test("fact: text is stored with its NUL, but Deno reads it only up to the NUL", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a)");
  await db.run("INSERT INTO t VALUES (?)", ["a\0b"]);
  const row = await db.get("SELECT a, hex(a) AS stored FROM t");
  assert.deepEqual({ ...row }, { a: "a", stored: "610062" });
});

Deno.test("the largest safe integer is read as a number, the next one as a bigint", async () => {
  await using db = openMemory();
  const row = await db.get(
    "SELECT 9007199254740991 AS a, 9007199254740992 AS b, -9007199254740993 AS c",
  );
  assert.deepEqual({ ...row }, {
    a: 9007199254740991,
    b: 9007199254740992n,
    c: -9007199254740993n,
  });
});

Deno.test("a query without results returns no row", async () => {
  await using db = openMemory();
  assert.equal(await db.get("SELECT 1 WHERE 0"), undefined);
  assert.deepEqual(await db.all("SELECT 1 WHERE 0"), []);
});

Deno.test("an error names the database and the statement", async () => {
  await using db = openMemory();
  for (const attempt of [db.exec, db.run, db.all, db.get].map((method) => method.bind(db))) {
    await assert.rejects(attempt("SELECT missing"), (error) => {
      assert(error instanceof StatementError);
      assert.equal(error.statement, "SELECT missing");
      assert.match(error.message, /^Cannot use :memory:: no such column: missing/);
      return true;
    });
  }
});

for (const sql of ["COMMIT", "ROLLBACK", "END", "ATTACH ':memory:' AS other", "DETACH main"]) {
  Deno.test(`while confined, SQLite refuses ${sql}`, async () => {
    await using db = openMemory();
    await db.exec("BEGIN");
    {
      using _confined = db.confine();
      await assert.rejects(db.exec(sql), /not authorized/);
      await assert.rejects(db.exec(`SELECT 1; ${sql}`), /not authorized/);
      await assert.rejects(db.script(sql), /not authorized/);
      assert(db.inTransaction);
      await db.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1); SAVEPOINT s; RELEASE s");
    }
    await db.exec("COMMIT; ATTACH ':memory:' AS other; DETACH other");
    assert(!db.inTransaction);
  });
}

Deno.test("a trigger cannot end the transaction, since SQLite does not allow such statements in triggers", async () => {
  await using db = openMemory();
  await assert.rejects(
    db.script("CREATE TABLE t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN COMMIT; END;"),
    /syntax error/,
  );
});

Deno.test("a database opened by the caller is left open; an owned one is closed, also twice", async () => {
  const db = new DatabaseSync(":memory:");
  const guest = new NodeSqliteConnection(db, { label: "a", owned: false });
  await guest.close();
  assert(db.isOpen);
  const owner = new NodeSqliteConnection(db, { label: "a", owned: true });
  await owner.close();
  await owner.close();
  assert(!db.isOpen);
});

Deno.test("fact: SQLite prepares a pragma again every time it runs", async () => {
  await using db = openMemory();
  for (const timeout of [0, 5, 7]) {
    await db.exec(`PRAGMA busy_timeout = ${timeout}`);
    assert.deepEqual({ ...await db.get("PRAGMA busy_timeout") }, { timeout });
  }
  for (const on of [1, 0, 1]) {
    await db.exec(`PRAGMA foreign_keys = ${on}`);
    assert.deepEqual({ ...await db.get("PRAGMA foreign_keys") }, { foreign_keys: on });
  }
});
