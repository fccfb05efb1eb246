/** What an export knows about a database before it reads the rows. */
import assert from "node:assert/strict";
import { type Connection, defaultSettings } from "../../../lib/database/connection.ts";
import { openForReading } from "../../../lib/database/open.ts";
import { readCatalog, readTable, withOnlyKey, withRowid } from "../../../lib/dump/catalog.ts";
import { exactColumns, type Value, valueReader } from "../../../lib/dump/export_rows.ts";
import { execute, tempDir } from "../../helpers.ts";

async function reading<T>(sql: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  await using directory = await tempDir();
  const path = `${directory.path}/app.db`;
  execute(path, sql);
  await using connection = await openForReading({ kind: "file", path }, defaultSettings);
  return await work(connection);
}

Deno.test("every object has its kind, in the order of creation", async () => {
  const { objects, internal } = await reading(
    `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a UNIQUE);
    create  virtual table f USING fts5(a);
    CREATE VIEW v AS SELECT 1;
    CREATE INDEX i ON t (a);
    CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;
    CREATE TABLE f_not_a_shadow (a);
    ANALYZE`,
    readCatalog,
  );
  assert.deepEqual(objects.map(({ kind, name }) => `${kind} ${name}`), [
    ...["table t", "virtual f", "shadow f_data", "shadow f_idx", "shadow f_content"],
    ...["shadow f_docsize", "shadow f_config", "view v", "index i", "trigger r"],
    "table f_not_a_shadow",
  ]);
  assert(internal.has("sqlite_sequence") && internal.has("sqlite_stat1"));
});

Deno.test("a table is ordered by its row id, or else by its key", async () => {
  const orderOf = async (sql: string) => {
    const { order } = await reading(sql, (connection) => readTable(connection, "t"));
    return order.by === "rowid" ? `rowid ${order.name}` : `columns ${order.names.join(" ")}`;
  };
  assert.equal(await orderOf("CREATE TABLE t (a, b INTEGER PRIMARY KEY)"), "rowid b");
  assert.equal(await orderOf("CREATE TABLE t (a INTEGER PRIMARY KEY DESC)"), "rowid rowid");
  assert.equal(await orderOf("CREATE TABLE t (RowID)"), "rowid _rowid_");
  assert.equal(
    await orderOf("CREATE TABLE t (a, rowid AS (a), _rowid_ AS (a) STORED)"),
    "rowid oid",
  );
  assert.equal(await orderOf("CREATE TABLE t (rowid, _rowid_, oid)"), "columns ");
  assert.equal(
    await orderOf("CREATE TABLE t (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID"),
    "columns b a",
  );
  assert.equal(await orderOf("CREATE VIEW t AS SELECT 1"), "columns ");
  assert.equal(await orderOf("CREATE VIRTUAL TABLE t USING fts5(a)"), "columns ");
});

Deno.test("row ids are kept always, or only if rows have no other key", async () => {
  const names = async (columns: string) => {
    const table = await reading(
      `CREATE TABLE t (${columns})`,
      (connection) => readTable(connection, "t"),
    );
    return [withRowid(table), withOnlyKey(table)]
      .map(({ columns }) => columns.map(({ name }) => name).join(" "));
  };
  assert.deepEqual(await names("a"), ["rowid a", "rowid a"]);
  assert.deepEqual(await names("a UNIQUE"), ["rowid a", "a"]);
  assert.deepEqual(await names("a TEXT PRIMARY KEY"), ["rowid a", "a"]);
  assert.deepEqual(await names("a INTEGER PRIMARY KEY"), ["a", "a"]);
});

Deno.test("large rows are recognised from the pages, and small ones are grouped by size", async () => {
  const tableOf = (bytes: number) =>
    reading(
      `CREATE TABLE t (a); INSERT INTO t VALUES (zeroblob(${bytes})), (zeroblob(${bytes}))`,
      (connection) => readTable(connection, "t"),
    );
  assert.deepEqual(
    (await Promise.all([10, 1000, 100_000, 20_000_000].map(tableOf)))
      .map(({ rowsPerPiece, hasLargeRows }) => [rowsPerPiece, hasLargeRows]),
    [[250, false], [42, false], [1, false], [1, true]],
  );
});

async function valuesOf(encoding: string, expression: string): Promise<Value | undefined> {
  return await reading(
    `PRAGMA encoding = '${encoding}'; CREATE TABLE t (a); INSERT INTO t VALUES (${expression})`,
    async (connection) => {
      const { columns } = await readTable(connection, "t");
      const row = await connection.get(`SELECT ${exactColumns(columns)} FROM t`);
      assert(row !== undefined);
      return valueReader(columns, encoding)(row)[0];
    },
  );
}

Deno.test("a value is read with its type and all its bits, in every encoding", async () => {
  for (const encoding of ["UTF-8", "UTF-16le", "UTF-16be"]) {
    const value = (expression: string) => valuesOf(encoding, expression);
    assert.deepEqual(await value("NULL"), { type: "null" });
    assert.deepEqual(await value("9223372036854775807"), {
      type: "integer",
      text: "9223372036854775807",
    });
    assert.deepEqual(await value("-0.0"), { type: "real", text: "0.0", number: -0 });
    assert.deepEqual(await value("-9e999"), { type: "real", text: "-9.0e+999", number: -Infinity });
    assert.deepEqual(await value("x'00'"), { type: "blob", bytes: Uint8Array.of(0) });
    assert.deepEqual(await value("x''"), { type: "blob", bytes: new Uint8Array() });
    const text = await value("'' || char(0xFEFF, 0, 0x1F642, 0xFFFD)");
    assert(text?.type === "text" && text.text === "\uFEFF\0\u{1F642}\uFFFD");
    const empty = await value("''");
    assert(empty?.type === "text" && empty.text === "" && empty.bytes.length === 0);
  }
});

Deno.test("only the bytes of a text that is invalid in the encoding are read", async () => {
  for (
    const [encoding, hex] of [
      ["UTF-8", "ff"],
      ["UTF-8", "eda080"],
      ["UTF-16le", "00d8"],
      ["UTF-16be", "d800"],
      ["UTF-16be", "dc00"],
      ["UTF-16le", "ffff"], // valid, but lost when converted from UTF-8
      ["UTF-16le", "feff"],
    ] as const
  ) {
    const value = await valuesOf(encoding, `CAST(x'${hex}' AS TEXT)`);
    assert(value?.type === "text" && value.text === null, `${encoding} ${hex}`);
    assert.equal(value.bytes.toHex(), hex);
  }
});
