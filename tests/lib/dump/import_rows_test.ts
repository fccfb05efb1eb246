import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { query } from "../../helpers.ts";
import { appWith, bytesOf, failureOf, gzip, importText, streamOf } from "./import_rows_support.ts";
import { trials } from "../../effort.ts";

// Writes the formats in the simplest way.

const columns = ["i", "r", "n", "s", "b", "u"] as const;
const TYPED = `CREATE TABLE t (i INTEGER, r REAL, n NUMERIC, s TEXT, b BLOB, u)`;

type Cell = { type: string; number: number | bigint | null; bytes: Uint8Array };

function cellsOf(db: DatabaseSync): Cell[][] {
  const parts = columns.map((name) =>
    `typeof(${name}) AS ${name}_type, CAST(${name} AS BLOB) AS ${name}_bytes,
    iif(typeof(${name}) IN ('integer', 'real'), ${name}, NULL) AS ${name}_number`
  );
  const statement = db.prepare(`SELECT ${parts.join(", ")} FROM t ORDER BY rowid`);
  statement.setReadBigInts(true);
  return statement.all().map((row) =>
    columns.map((name) => ({
      type: String(row[`${name}_type`]),
      number: row[`${name}_number`] as number | bigint | null,
      bytes: (row[`${name}_bytes`] ?? new Uint8Array()) as Uint8Array,
    }))
  );
}

function numberText({ number }: Cell): string {
  if (typeof number === "bigint") return String(number);
  const real = number ?? 0;
  if (!Number.isFinite(real)) return real > 0 ? "9.0e+999" : "-9.0e+999";
  const text = Object.is(real, -0) ? "-0" : String(real);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

const textOf = ({ bytes }: Cell): string =>
  new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Whether a column is numeric, so that an export marks a text in it. */
const isNumber = (column: string | undefined): boolean => /^[irn]$/.test(column ?? "");

function csvCell(cell: Cell, column?: string): string {
  if (cell.type === "null") return "";
  if (cell.type === "text") {
    const text = isNumber(column) ? `'${textOf(cell).replaceAll("'", "''")}'` : textOf(cell);
    return `"${text.replaceAll('"', '""')}"`;
  }
  return cell.type === "blob" ? `x'${cell.bytes.toHex()}'` : numberText(cell);
}

function jsonCell(cell: Cell, column?: string): string {
  if (cell.type === "null") return "null";
  if (cell.type === "text") {
    const text = JSON.stringify(textOf(cell));
    return isNumber(column) ? `{"text":${text}}` : text;
  }
  return cell.type === "blob" ? `{"hex":"${cell.bytes.toHex()}"}` : numberText(cell);
}

const csvOf = (rows: readonly Cell[][]): string =>
  [
    columns.join(","),
    ...rows.map((row) => row.map((cell, index) => csvCell(cell, columns[index])).join(",")),
  ].join("\n") + "\n";

const jsonlOf = (rows: readonly Cell[][]): string =>
  rows.map((row) =>
    `{${
      columns.map((name, index) => `"${name}":${row[index] && jsonCell(row[index], name)}`).join(
        ",",
      )
    }}\n`
  ).join("");

Deno.test("rows of all types survive a round trip through CSV and JSON Lines", async () => {
  const { dir, path, migrator } = await appWith(TYPED);
  await using _dir = dir;
  const value = fc.oneof(
    fc.constant(null),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom(0n, 2n ** 53n + 1n, -(2n ** 63n), 2n ** 63n - 1n, 4503599627370497n),
    fc.double({ noNaN: true }),
    fc.constantFrom(-0, 5e-324, Infinity, -Infinity, 1e15, 2 ** 53 + 2, -(2 ** 63), 2 ** 63, 0.1),
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom('"', ",", "\n", "\r", "\0", "'", "\\", "\uFEFF") }),
    fc.constantFrom("", "12", "1.0", " 7 ", "x'00'", "1e5", "007", "9223372036854775808", "null"),
    fc.uint8Array({ maxLength: 8 }),
  );
  const table = fc.array(fc.tuple(value, value, value, value, value, value), { maxLength: 40 });
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(
      table,
      sizes,
      fc.constantFrom("csv" as const, "jsonl" as const),
      fc.boolean(),
      async (rows, sizes, format, isPacked) => {
        using db = new DatabaseSync(path);
        db.exec("DELETE FROM t");
        const insert = db.prepare("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)");
        for (const row of rows) insert.run(...row);
        const before = cellsOf(db);
        db.exec("DELETE FROM t");
        const bytes = bytesOf(format === "csv" ? csvOf(before) : jsonlOf(before));
        const source = streamOf(isPacked ? await gzip(bytes) : bytes, sizes);
        const result = await migrator.importRows(source, {
          database: "app",
          table: "T",
          format,
          backup: false,
        });
        assert.deepEqual(result, { table: "t", rows: rows.length, skipped: 0, snapshot: null });
        assert.deepEqual(cellsOf(db), before);
      },
    ),
    { numRuns: trials(20) },
  );
});

Deno.test("values in CSV from other programs get the types of the table's declaration", async () => {
  const { dir, path, migrator } = await appWith(TYPED);
  await using _dir = dir;
  const csv = "\uFEFFI;R;N;S;B;U\r\n" +
    '12;1.5;"7";007;007;12\r\n' +
    '" 12 ";"3";+4;1.0;abc;1.0\r\n' +
    '9007199254740993;1;1e3;"12";"12";"12"\r\n' +
    '"\'text\'";"";;;;100000000000000000000';
  const { rows } = await importText(migrator, csv);
  assert.equal(rows, 4);
  const quoted = columns.map((name) => `quote(${name}) AS ${name}`).join(", ");
  assert.deepEqual(query(path, `SELECT ${quoted} FROM t`), [
    { i: "12", r: "1.5", n: "7", s: "'007'", b: "'007'", u: "12" },
    { i: "12", r: "3.0", n: "4", s: "'1.0'", b: "'abc'", u: "1.0" },
    { i: "9007199254740993", r: "1.0", n: "1000", s: "'12'", b: "'12'", u: "'12'" },
    { i: "'text'", r: "NULL", n: "NULL", s: "NULL", b: "NULL", u: "'100000000000000000000'" },
  ]);
});

Deno.test("JSON Lines may contain nested JSON, truth values, and 64-bit integers", async () => {
  const { dir, path, migrator } = await appWith(TYPED);
  await using _dir = dir;
  const lines = [
    `{"s": {"a": [1.50, 9007199254740993, "x"]}, "u": [ ]}`,
    `{"i": true, "s": false, "u": true}`,
    `{"s": 5, "u": 5.0, "r": 5, "n": 10000000000000000, "b": {"hex": "0aFF"}}`,
    `{"s": {"hex": "no"}, "u": {"hex": "00", "more": 1}}`,
  ];
  await importText(migrator, lines.join("\n"), { format: "jsonl" });
  assert.deepEqual(query(path, "SELECT quote(s) AS s, quote(u) AS u, quote(i) AS i FROM t"), [
    { s: `'{"a":[1.50,9007199254740993,"x"]}'`, u: "'[]'", i: "NULL" },
    { s: "'0'", u: "1", i: "1" },
    { s: "'5'", u: "5.0", i: "NULL" },
    { s: `'{"hex":"no"}'`, u: `'{"hex":"00","more":1}'`, i: "NULL" },
  ]);
  assert.deepEqual(query(path, "SELECT quote(n) AS n, quote(b) AS b, quote(r) AS r FROM t")[2], {
    n: "10000000000000000",
    b: "X'0AFF'",
    r: "5.0",
  });
});

Deno.test("omitted columns get their defaults, and generated ones are ignored", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE t (
      k INTEGER PRIMARY KEY,
      a TEXT DEFAULT 'd',
      g TEXT AS (upper(a)),
      h INTEGER AS (k * 2) STORED
    )`,
  );
  await using _dir = dir;
  await importText(migrator, 'k,g,h\n1,"wrong",5\n');
  await importText(migrator, '{}\n{"a":"x","h":0,"rowid":9}\n', { format: "jsonl" });
  assert.deepEqual(query(path, "SELECT * FROM t"), [
    { k: 1, a: "d", g: "D", h: 2 },
    { k: 2, a: "d", g: "D", h: 4 },
    { k: 9, a: "x", g: "X", h: 18 },
  ]);
});

Deno.test("row ids are kept if a table has no other key", async () => {
  const { dir, path, migrator } = await appWith(
    "CREATE TABLE t (a TEXT); CREATE TABLE w (a TEXT PRIMARY KEY) WITHOUT ROWID",
  );
  await using _dir = dir;
  await importText(migrator, 'rowid,a\n-5,"x"\n9223372036854775807,"y"\n');
  assert.deepEqual(query(path, "SELECT CAST(rowid AS TEXT) AS id, a FROM t"), [
    { id: "-5", a: "x" },
    { id: "9223372036854775807", a: "y" },
  ]);
  const error = await failureOf(importText(migrator, "rowid,a\n1,x\n", { table: "w" }));
  assert.match(error.message, /table "w" has no column "rowid"/);
});

Deno.test("a lone header, and JSON Lines without a line, import no rows, and are recorded", async () => {
  const { dir, migrator } = await appWith(TYPED);
  await using _dir = dir;
  for (const text of ["i,r", "i,r\r\n"]) assert.equal((await importText(migrator, text)).rows, 0);
  for (const text of ["", "\n\n"]) {
    assert.equal((await importText(migrator, text, { format: "jsonl" })).rows, 0);
  }
  const outcomes = (await migrator.history()).map(({ outcome }) => outcome).toSorted();
  assert.deepEqual(outcomes, [...Array(4).fill("applied"), ...Array(4).fill("started")]);
});

Deno.test("a CSV file that is empty or has no header is refused", async () => {
  const { dir, migrator } = await appWith(TYPED);
  await using _dir = dir;
  for (const [text, message] of [["", /it is empty/], ["\n", /no line with the names/]] as const) {
    assert.match((await failureOf(importText(migrator, text))).message, message);
  }
  const packed = streamOf(await gzip(bytesOf("")));
  const options = { database: "app", table: "t", format: "csv" } as const;
  assert.match((await failureOf(migrator.importRows(packed, options))).message, /it is empty/);
});

Deno.test("Excel's variants are imported: a sep= line, CR alone, semicolons, UTF-16 with tabs", async () => {
  const { dir, path, migrator } = await appWith("CREATE TABLE t (a TEXT, b INTEGER)");
  await using _dir = dir;
  const wide = (text: string) =>
    new Uint8Array(Uint16Array.from(`\uFEFF${text}`, (one) => one.charCodeAt(0)).buffer);
  const files = ['sep=;\r\na;b\r\n"x;\r\ny";1\r\n', 'a,b\r"x,\r\ny",1\rz,2\r', "a;b\nx;1\n"];
  for (const file of [...files.map(bytesOf), wide("a\tb\r\nx\t1\r\n"), wide('a;b\n"é";3')]) {
    const options = { database: "app", table: "t", format: "csv", backup: false } as const;
    await migrator.importRows(streamOf(file), options);
  }
  assert.deepEqual(query(path, "SELECT a, b FROM t"), [
    { a: "x;\r\ny", b: 1 },
    { a: "x,\r\ny", b: 1 },
    { a: "z", b: 2 },
    { a: "x", b: 1 },
    { a: "x", b: 1 },
    { a: "é", b: 3 },
  ]);
});

Deno.test("a JSON array and an object over several lines are reported as such", async () => {
  const { dir, migrator } = await appWith(TYPED);
  await using _dir = dir;
  for (
    const [text, message, help] of [
      ['[{"i":1},{"i":2}]\n', /it is one JSON array, not JSON Lines/, /jq -c '\.\[\]' FILE/],
      ['\n [\n {"i": 1}\n]\n', /it is one JSON array/, /jq -c/],
      ['{\n  "i": 1\n}\n', /its JSON objects span several lines/, /jq -c \. FILE/],
    ] as const
  ) {
    const error = await failureOf(importText(migrator, text, { format: "jsonl" }));
    assert.match(error.message, message);
    assert.match(error.help ?? "", help);
  }
});

Deno.test("columns whose names need quoting are found, in any case", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE t ("a ""b"";" TEXT, " c" TEXT, É TEXT)`,
  );
  await using _dir = dir;
  await importText(migrator, '"A ""B"";"," C", É\n1,2,3\n');
  assert.deepEqual(query(path, "SELECT * FROM t"), [{ 'a "b";': "1", " c": "2", "É": "3" }]);
  const error = await failureOf(importText(migrator, "é\n1\n"));
  assert.match(error.message, /has no column "é"/);
});

Deno.test("STRICT and virtual tables accept rows by their own rules", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE t (i INT, x ANY, b BLOB) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (body);
    CREATE TABLE loose (x ANY, d DATE);`,
  );
  await using _dir = dir;
  await importText(migrator, `i,x,b\n1,1,x'0a'\n2,"1",\n`);
  const bad = await failureOf(importText(migrator, `i,x,b\n3,1,"text"\n`));
  assert.match(bad.message, /line 2: cannot store TEXT value in BLOB column t\.b/);
  await importText(migrator, `rowid,body\n7,"a b"\n8,1\n`, { table: "words" });
  await importText(migrator, `x,d\n"1",2026-01-31\n`, { table: "loose" });
  assert.deepEqual(query(path, "SELECT typeof(x) AS x, hex(b) AS b FROM t"), [
    { x: "integer", b: "0A" },
    { x: "text", b: "" },
  ]);
  assert.deepEqual(query(path, "SELECT rowid FROM words WHERE words MATCH 'b'"), [{ rowid: 7 }]);
  assert.deepEqual(query(path, "SELECT x, d FROM loose"), [{ x: 1, d: "2026-01-31" }]);
});

Deno.test("a snapshot is taken first, unless it is turned off or there is nothing to keep", async () => {
  const { dir, migrator } = await appWith("CREATE TABLE t (a)");
  await using _dir = dir;
  const first = await importText(migrator, "a\n1\n");
  assert.equal(first.snapshot, null);
  const second = await importText(migrator, "a\n2\n");
  assert.deepEqual((await migrator.listSnapshots()).map(({ name }) => name), [second.snapshot]);
  const third = await importText(migrator, "a\n3\n", { backup: false });
  assert.equal(third.snapshot, null);
});

Deno.test("in a table with one column an empty line is NULL", async () => {
  const { dir, path, migrator } = await appWith("CREATE TABLE t (a)");
  await using _dir = dir;
  await importText(migrator, 'a\n1\n\n""\n');
  assert.deepEqual(query(path, "SELECT quote(a) AS a FROM t"), [
    { a: "1" },
    { a: "NULL" },
    { a: "''" },
  ]);
});
