/** The output of CSV and JSON Lines. */
import assert from "node:assert/strict";
import { execute, tempDir } from "../../helpers.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { readTable } from "../../../lib/dump/catalog.ts";
import { csvFormat, jsonlFormat, sqlFormat } from "../../../lib/dump/export_formats.ts";
import { appIn, textOf } from "./app.ts";
import { contentOf } from "./content.ts";

/** Exports table `t` of a database created with SQL. */
async function exported(format: "csv" | "jsonl", sql: string): Promise<string> {
  await using directory = await tempDir();
  const { migrator, path } = appIn(directory.path);
  execute(path, sql);
  for await (const { name, rows } of migrator.exportTables("app", { format, tables: ["T"] })) {
    assert.equal(name, "t", "a table has the name with which it was created");
    return await textOf(rows);
  }
  assert.fail("there was no table");
}

/**
 * A plain value, whose row SQLite writes, and the same row with a value that SQLite can't write.
 */
async function bothWays(
  format: "csv" | "jsonl",
  columns: string,
  values: string,
): Promise<string> {
  const make = (more: string) =>
    `CREATE TABLE t (id INTEGER PRIMARY KEY, ${columns}, care);
    INSERT INTO t VALUES (1, ${values}, NULL) ${more}`;
  const fast = (await exported(format, make(""))).split("\n");
  const exact = (await exported(format, make(`, (2, ${values}, -0.0)`))).split("\n");
  const row = format === "csv" ? 1 : 0;
  assert.equal(exact[row], fast[row]);
  return fast.slice(row, -1).join("\n");
}

Deno.test("csv quotes all text and nothing else, so that NULL differs from the empty text", async () => {
  const columns = "a TEXT, b INTEGER, c REAL, d BLOB, e NUMERIC, f TEXT, g TEXT";
  assert.equal(
    await bothWays("csv", columns, "'it\"s', 12, 0.5, x'00ff', 7, NULL, ''"),
    `1,"it""s",12,0.5,X'00FF',7,,"",`,
  );
  assert.equal(
    await bothWays("csv", "a, b TEXT, c, d", "1, 1, '1', 1.0"),
    `1,1,"1","1",1.0,`,
  );
});

Deno.test("csv keeps line breaks, and column names of any kind", async () => {
  const text = await exported(
    "csv",
    `CREATE TABLE t ("a ""b""" TEXT, "c
d" TEXT, "" TEXT); INSERT INTO t VALUES ('x' || char(13, 10) || 'y', char(10), ',')`,
  );
  assert.equal(text, '"a ""b""","c\nd",""\n"x\r\ny","\n",","\n');
});

Deno.test("csv of an empty table is its header; jsonl is nothing", async () => {
  assert.equal(await exported("csv", "CREATE TABLE t (a, b AS (a))"), '"a"\n');
  assert.equal(await exported("jsonl", "CREATE TABLE t (a, b AS (a))"), "");
});

Deno.test("csv has all digits of integers, and reals that give the same number", async () => {
  assert.equal(
    await bothWays("csv", "a INTEGER, b, c INTEGER", "9223372036854775807, -9007199254740993, 0"),
    "1,9223372036854775807,-9007199254740993,0,",
  );
  const text = await exported(
    "csv",
    "CREATE TABLE t (a); INSERT INTO t VALUES (-0.0), (9e999), (-9e999), (5e-324), (1.5 * 1152921504606846976)",
  );
  const numbers = text.split("\n").slice(1, -1).map(Number);
  assert.deepEqual(numbers, [-0, Infinity, -Infinity, 5e-324, 1.5 * 2 ** 60]);
});

Deno.test("jsonl has one object on a line, and each line is JSON", async () => {
  const line = await bothWays(
    "jsonl",
    'a TEXT, b INTEGER, c REAL, e NUMERIC, f TEXT, "g ""h" TEXT',
    "'it\"s' || char(10, 9, 1), 12, 0.5, 7, NULL, '\u2028'",
  );
  assert.doesNotMatch(line, /\n/);
  assert.deepEqual(JSON.parse(line), {
    ...{ id: 1, a: 'it"s\n\t\x01', b: 12, c: 0.5, e: 7, f: null, 'g "h': "\u2028", care: null },
  });
});

Deno.test("jsonl writes values that JSON lacks as an object with their bytes", async () => {
  const text = await exported(
    "jsonl",
    "CREATE TABLE t (a TEXT); INSERT INTO t VALUES (x'00ff'), (CAST(x'41ff' AS TEXT)), (x'')",
  );
  assert.equal(text, '{"a":{"hex":"00FF"}}\n{"a":{"hex":"41FF"}}\n{"a":{"hex":""}}\n');
});

Deno.test("a table with one column, and one with 1,999, survive a round trip in both formats", async () => {
  const names = Array.from({ length: 1999 }, (_, index) => `c${index}`);
  const tables = [
    ["(a TEXT)", "(NULL), ('x'), (NULL), (''), (NULL)"],
    [`(${names.join(", ")})`, `(${names.map((_, index) => index / 4).join(", ")})`],
  ];
  for (const [columns, values] of tables) {
    await using source = await tempDir();
    const from = appIn(source.path);
    execute(from.path, `CREATE TABLE t ${columns}; INSERT INTO t VALUES ${values}`);
    const before = contentOf(from.path);
    for (const format of ["csv", "jsonl"] as const) {
      await using target = await tempDir();
      const to = appIn(target.path);
      execute(to.path, `CREATE TABLE t ${columns}`);
      for await (const { name, rows } of from.migrator.exportTables("app", { format })) {
        await to.migrator.importRows(rows, { database: "app", table: name, format });
      }
      assert.deepEqual(contentOf(to.path).rows, before.rows);
    }
  }
});

Deno.test("a text with a NUL is complete in every format", async () => {
  const sql = "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('a' || char(0) || 'b')";
  assert.equal(await exported("csv", sql), '"a"\n"a\0b"\n');
  assert.equal(await exported("jsonl", sql), '{"a":"a\\u0000b"}\n');
});

Deno.test("no format treats ordinary rows as ones that SQLite can't write", async () => {
  await using db = openMemory();
  await db.exec(
    `CREATE TABLE t (a INTEGER, b REAL, c TEXT, d, e NUMERIC);
    INSERT INTO t VALUES (1, 2.5, 'x', 'y', 3), (NULL, NULL, NULL, NULL, NULL), (-1, 0.0, '', 7, 1.5);`,
  );
  const { columns } = await readTable(db, "t");
  for (const format of [sqlFormat, csvFormat, jsonlFormat]) {
    const row = await db.get(
      `SELECT count(*) FILTER (WHERE ${
        format.inexactSql(columns)
      }) AS inexact FROM t WHERE d IS NOT 'y'`,
    );
    assert.equal(row?.["inexact"], 0);
  }
});
