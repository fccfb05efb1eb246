/** How the rows of a table are divided and read. */
import assert from "node:assert/strict";
import { openForReading } from "../../../lib/database/open.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { readTable } from "../../../lib/dump/catalog.ts";
import { rangesOf, type RowRange } from "../../../lib/dump/export_rows.ts";
import { execute, tempDir } from "../../helpers.ts";
import { appIn, textOf } from "./app.ts";
import { contentOf } from "./content.ts";

async function rangesIn(sql: string, rows: number, within?: RowRange): Promise<unknown[]> {
  await using directory = await tempDir();
  const path = `${directory.path}/app.db`;
  execute(path, sql);
  await using connection = await openForReading({ kind: "file", path }, defaultSettings);
  const table = await readTable(connection, "t");
  const ranges = await Array.fromAsync(
    rangesOf(connection, table, { rows, ...(within ? { within } : {}) }),
  );
  return ranges.map((range) => range === null ? null : [range.first, range.last].map(BigInt));
}

const MIN = -(2n ** 63n);
const MAX = 2n ** 63n - 1n;

Deno.test("ranges have the allowed number of rows, however far apart the row ids are", async () => {
  const sql = `CREATE TABLE t (id INTEGER PRIMARY KEY, a);
    INSERT INTO t (id) VALUES (${MIN}), (-5), (0), (1), (1000000000000), (${MAX})`;
  assert.deepEqual(await rangesIn(sql, 2), [[MIN, -5n], [0n, 1n], [1000000000000n, MAX]]);
  assert.deepEqual(await rangesIn(sql, 4), [[MIN, 1n], [1000000000000n, MAX]]);
  assert.deepEqual(await rangesIn(sql, 100), [[MIN, MAX]]);
  assert.deepEqual(await rangesIn(sql, 2, { first: -5, last: 1 }), [[-5n, 0n], [1n, 1n]]);
  assert.deepEqual(await rangesIn(sql, 2, { first: 2, last: 3 }), []);
});

Deno.test("an empty table has no ranges; one without row ids is read from first to last", async () => {
  assert.deepEqual(await rangesIn("CREATE TABLE t (a)", 2), []);
  assert.deepEqual(await rangesIn("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID", 2), [null]);
  assert.deepEqual(await rangesIn("CREATE TABLE t (rowid, _rowid_, oid)", 2), [null]);
});

/** Exports a database and imports it, as SQL; returns the SQL. */
async function roundTrip(sql: string): Promise<string> {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = appIn(source.path);
  const to = appIn(target.path);
  execute(from.path, sql);
  const [kept, imported] = (await from.migrator.exportDatabase("app")).tee();
  const [text] = await Promise.all([
    textOf(kept),
    to.migrator.importDump(imported, { database: "app" }),
  ]);
  assert.deepEqual(contentOf(to.path), contentOf(from.path));
  return text;
}

Deno.test("a table's own column may be called rowid; the row ids are still kept", async () => {
  for (const name of ["rowid", "ROWID", "_rowid_", "oid"]) {
    await roundTrip(`CREATE TABLE t ("${name}" TEXT); INSERT INTO t VALUES ('a'), ('b'), ('c');
      DELETE FROM t WHERE "${name}" = 'b'`);
  }
  await roundTrip(
    `CREATE TABLE t (a, rowid TEXT AS ('generated ' || a)); INSERT INTO t VALUES (1), (2), (3);
    DELETE FROM t WHERE a = 2`,
  );
  await roundTrip("CREATE TABLE t (rowid, _rowid_, oid); INSERT INTO t VALUES (1, 2, 3)");
});

Deno.test("only INTEGER PRIMARY KEY is the row id; INT and DESC have a separate row id", async () => {
  for (const key of ["INT PRIMARY KEY", "INTEGER PRIMARY KEY DESC", "TEXT PRIMARY KEY"]) {
    const text = await roundTrip(
      `CREATE TABLE t (id ${key}, a); INSERT INTO t (rowid, id) VALUES (7, 70), (9, 60)`,
    );
    assert.match(text, /INSERT INTO "t" \("rowid", "id", "a"\)/);
  }
  const text = await roundTrip(
    "CREATE TABLE t (a, id INTEGER, PRIMARY KEY (id)); INSERT INTO t VALUES (1, 2)",
  );
  assert.match(text, /INSERT INTO "t" \("a", "id"\)/);
});

Deno.test("tables with any number of columns are restored", async () => {
  for (const count of [1, 99, 100, 101, 300, 601, 1999]) {
    const columns = Array.from({ length: count }, (_, index) => `"c ${index}" TEXT`);
    const values = columns.map((_, index) => index % 3 === 0 ? "NULL" : `'it''s ${index}'`);
    await roundTrip(
      `CREATE TABLE t (${columns.join(", ")}); INSERT INTO t VALUES (${values.join(", ")});`,
    );
  }
});

Deno.test("rows of very different sizes are restored", async () => {
  await roundTrip(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT, data BLOB);
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
    INSERT INTO t SELECT n, 'row ' || n, NULL FROM numbers;
    UPDATE t SET data = randomblob(3000000) WHERE id IN (77, 78, 4999);
    UPDATE t SET body = hex(zeroblob(2000000)) WHERE id = 2500;
    UPDATE t SET body = body || char(13, 10, 0) WHERE id IN (1, 3000)`,
  );
});

Deno.test("a statement of rows has about 64 KB, whatever the rows are", async () => {
  const text = await roundTrip(
    `CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT);
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 3000)
    INSERT INTO t SELECT n, printf('%.*c', n, 'x') FROM numbers;
    CREATE TABLE w (id INTEGER PRIMARY KEY, body TEXT) WITHOUT ROWID;
    INSERT INTO w SELECT * FROM t;`,
  );
  const statements = text.split(/(?<=;\n)/).filter((one) => one.startsWith("INSERT"));
  assert(statements.length > 100);
  assert(statements.every((one) => one.length < 300_000));
});
