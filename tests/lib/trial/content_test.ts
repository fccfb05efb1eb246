import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { readContent } from "../../../lib/trial/content.ts";

/** Digest of the table `t` that a script creates. */
async function digestOf(sql: string, columns: readonly string[] = ["a", "b"]): Promise<string> {
  await using connection = openMemory();
  await connection.exec(sql);
  const content = await readContent(connection, { table: "T", columns });
  return content.digest;
}

const made = "CREATE TABLE t (a TEXT, b);";

Deno.test("rows that differ in one value in any way have different digests", async () => {
  const rows = [
    "('x', 1)",
    "('x', 1.0)",
    "('x', '1')",
    "('x', x'31')",
    "('x', NULL)",
    "('x', 'NULL')",
    "('x', 'N')",
    "('x', 1.0000000000000002)",
    "('x', 9007199254740993)",
    "('x' || char(0) || 'a', 1)",
    "('x' || char(0) || 'b', 1)",
    "(x'78', 1)",
    "(NULL, 1)",
    "('NULL', 1)",
    "('', 1)",
    "('x,1', NULL)",
    "('é', 1)",
    "('x', 1), ('x', 1)",
    "('x' || char(10) || 'x,1', 1)",
  ];
  const digests = await Promise.all(
    rows.map((row) => digestOf(`${made} INSERT INTO t VALUES ${row}`)),
  );
  assert.equal(new Set(digests).size, rows.length);
});

Deno.test("only the requested columns count", async () => {
  const [one, other] = await Promise.all(
    [1, 2].map((b) => digestOf(`${made} INSERT INTO t VALUES ('x', ${b})`, ["a"])),
  );
  assert.equal(one, other);
});

Deno.test("large values are compared completely, and give the same digest at any position", async () => {
  const large = (last: string) =>
    `${made}
    WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
    INSERT INTO t SELECT n, n FROM n;
    UPDATE t SET b = CAST(zeroblob(200000) || '${last}' AS BLOB), a = printf('%.*c', 70000, 'é')
    WHERE rowid = 1700;`;
  assert.equal(await digestOf(large("x")), await digestOf(large("x")));
  assert.notEqual(await digestOf(large("x")), await digestOf(large("y")));
});

Deno.test("row ids of all sizes, tables without row ids, and many columns are read completely", async () => {
  const ids = ["-9223372036854775808", "-1", "0", "9223372036854775807"];
  const tables = [
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b)",
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b) WITHOUT ROWID",
    "CREATE TABLE t (a INTEGER, b, rowid, _rowid_, oid)",
    `CREATE TABLE t (a INTEGER, b, ${Array.from({ length: 150 }, (_, n) => `c${n} TEXT`).join()})`,
  ];
  const all = ["a", "b", ...Array.from({ length: 150 }, (_, n) => `c${n}`)];
  for (const table of tables) {
    const digests = await Promise.all(ids.map((_, left) =>
      digestOf(
        `${table}; INSERT INTO t (a, b) VALUES ${
          ids.map((id, at) => `(${id}, ${at === left ? 1 : 0})`).join()
        }`,
        all,
      )
    ));
    assert.equal(new Set(digests).size, ids.length, table);
  }
});
