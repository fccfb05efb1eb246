import assert from "node:assert/strict";
import { openForReading, openMemory } from "../../../lib/database/open.ts";
import { execute, TemporaryDirectory } from "../support.ts";

/** Rows of a recursive query; the fourth one fails. */
const FAILING = `WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 9)
  SELECT x, json(CASE x WHEN 4 THEN '{' ELSE '1' END) AS j FROM c`;

Deno.test("a failure in the middle of reading rows is an error, not the end of the rows", async () => {
  await using connection = openMemory();
  await assert.rejects(Array.fromAsync(connection.iterate(FAILING)), /malformed JSON/);
  await assert.rejects(
    connection.select(FAILING, { parameters: {}, limit: 100 }),
    /malformed JSON/,
  );
  const { rows } = await connection.select(FAILING, { parameters: {}, limit: 2 });
  assert.deepEqual(rows, [[1, "1"], [2, "1"]]);
});

Deno.test("a damaged page in the middle of a table is an error", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  execute(
    path,
    `CREATE TABLE t (x);
    WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000)
    INSERT INTO t SELECT hex(zeroblob(100)) FROM c;`,
  );
  const bytes = Deno.readFileSync(path);
  bytes.fill(0xff, 40 * 4096, 41 * 4096);
  Deno.writeFileSync(path, bytes);
  await using connection = await openForReading({ kind: "file", path });
  await assert.rejects(Array.fromAsync(connection.iterate("SELECT x FROM t")), /damaged/);
});

Deno.test("rows are read in order and with their values, for all forms of a statement", async () => {
  await using connection = openMemory();
  await connection.exec(
    "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (9007199254740993, NULL)",
  );
  for (
    const sql of [
      "SELECT a, b FROM t WHERE b IS NOT ? ORDER BY a DESC",
      "-- first\n/* then */ SELECT a, b FROM t WHERE b IS NOT ? ORDER BY a DESC -- last",
      "WITH c AS (SELECT * FROM t) SELECT a, b FROM c WHERE b IS NOT ? ORDER BY a DESC;",
    ]
  ) {
    assert.deepEqual(
      await Array.fromAsync(connection.iterate(sql, ["y"])),
      [{ a: 9007199254740993n, b: null }, { a: 1, b: "x" }],
      sql,
    );
  }
  assert.deepEqual(await Array.fromAsync(connection.iterate("VALUES (1), (2)")), [
    { column1: 1 },
    { column1: 2 },
  ]);
  assert.equal((await Array.fromAsync(connection.iterate("PRAGMA table_info(t)"))).length, 2);
  assert.deepEqual(await Array.fromAsync(connection.iterate("SELECT a FROM t WHERE a = 7")), []);
});
