import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { type BadRow, CatalystError, type ImportRowsOptions, Migrator } from "../../../../mod.ts";
import { execute, query, type TempDir, tempDir } from "../../../helpers.ts";

/** A migrator of one database, `app`, that a script has made. */
async function appWith(sql: string): Promise<{ dir: TempDir; path: string; migrator: Migrator }> {
  const dir = await tempDir();
  const path = `${dir.path}/app.db`;
  execute(path, sql);
  const ledger = `${dir.path}/migrations.db`;
  return {
    dir,
    path,
    migrator: new Migrator({ databases: { app: path }, ledger, migrations: [] }),
  };
}

/** Bytes as a stream of chunks of some sizes, used in turn. */
function streamOf(
  bytes: Uint8Array,
  sizes: readonly number[] = [65536],
): ReadableStream<Uint8Array> {
  const chunks = function* () {
    for (let at = 0, count = 0; at < bytes.length; count++) {
      const size = sizes[count % sizes.length] ?? 1;
      yield bytes.slice(at, at + size);
      at += size;
    }
  };
  return ReadableStream.from(chunks());
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

type Given = Partial<ImportRowsOptions>;

/** Imports a text into table `t` of `app`. */
function importText(migrator: Migrator, text: string, given: Given = {}) {
  return migrator.importRows(streamOf(bytesOf(text)), {
    database: "app",
    table: "t",
    format: "csv",
    label: "rows.csv",
    ...given,
  });
}

/** What an import fails with. */
async function failureOf(work: Promise<unknown>): Promise<CatalystError> {
  const error = await work.then(() => null, (error) => error);
  assert(error instanceof CatalystError, String(error));
  return error;
}

// A writer of the formats, as simple as can be.

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

function csvCell(cell: Cell): string {
  if (cell.type === "null") return "";
  if (cell.type === "text") return `"${textOf(cell).replaceAll('"', '""')}"`;
  return cell.type === "blob" ? `x'${cell.bytes.toHex()}'` : numberText(cell);
}

function jsonCell(cell: Cell): string {
  if (cell.type === "null") return "null";
  if (cell.type === "text") return JSON.stringify(textOf(cell));
  return cell.type === "blob" ? `{"hex":"${cell.bytes.toHex()}"}` : numberText(cell);
}

const csvOf = (rows: readonly Cell[][]): string =>
  [columns.join(","), ...rows.map((row) => row.map(csvCell).join(","))].join("\n") + "\n";

const jsonlOf = (rows: readonly Cell[][]): string =>
  rows.map((row) =>
    `{${
      columns.map((name, index) => `"${name}":${row[index] && jsonCell(row[index])}`).join(",")
    }}\n`
  ).join("");

Deno.test("rows of all types come back exactly from CSV and JSON Lines", async () => {
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
    { numRuns: 60 },
  );
});

Deno.test("CSV from elsewhere gets its types by the table's declaration", async () => {
  const { dir, path, migrator } = await appWith(TYPED);
  await using _dir = dir;
  const csv = "\uFEFFI;R;N;S;B;U\r\n" +
    '12;1.5;"7";007;007;12\r\n' +
    '" 12 ";"3";+4;1.0;abc;1.0\r\n' +
    '9007199254740993;1;1e3;"12";"12";"12"\r\n' +
    '"text";;;;;100000000000000000000';
  const { rows } = await importText(migrator, csv);
  assert.equal(rows, 4);
  const quoted = columns.map((name) => `quote(${name}) AS ${name}`).join(", ");
  assert.deepEqual(query(path, `SELECT ${quoted} FROM t`), [
    { i: "12", r: "1.5", n: "7", s: "'007'", b: "'007'", u: "12" },
    { i: "12", r: "3.0", n: "4", s: "'1.0'", b: "'abc'", u: "1.0" },
    { i: "9007199254740993", r: "1.0", n: "1000", s: "'12'", b: "'12'", u: "'12'" },
    { i: "'text'", r: "NULL", n: "NULL", s: "NULL", b: "NULL", u: "1.0e+20" },
  ]);
});

Deno.test("JSON Lines hold nested JSON, truth values, and integers of any size", async () => {
  const { dir, path, migrator } = await appWith(TYPED);
  await using _dir = dir;
  const lines = [
    `{"s": {"a": [1.50, 9007199254740993, "x"]}, "u": [ ]}`,
    `{"i": true, "s": false, "u": true}`,
    `{"s": 5, "u": 5.0, "r": 5, "n": 100000000000000000000, "b": {"hex": "0aFF"}}`,
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
    n: "1.0e+20",
    b: "X'0AFF'",
    r: "5.0",
  });
});

Deno.test("columns that are left out get their default, and generated ones are passed over", async () => {
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

Deno.test("row ids come back where a table has no key of its own", async () => {
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

Deno.test("an empty file and a header alone bring no rows, and say nothing to the ledger", async () => {
  const { dir, migrator } = await appWith(TYPED);
  await using _dir = dir;
  for (const text of ["", "\n", "i,r", "i,r\r\n", "\uFEFF"]) {
    assert.equal((await importText(migrator, text)).rows, 0);
  }
  assert.equal((await importText(migrator, "\n\n", { format: "jsonl" })).rows, 0);
  const packed = streamOf(await gzip(bytesOf("")));
  const options = { database: "app", table: "t", format: "csv" } as const;
  assert.equal((await migrator.importRows(packed, options)).rows, 0);
  assert.deepEqual(await migrator.history(), []);
});

const ORDERS = `CREATE TABLE t (
  id TEXT PRIMARY KEY,
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  price REAL
);
INSERT INTO t VALUES ('old', 1, 1.0);`;

const MIXED = `id,quantity,price
"a",1,1.5
"old",2,2.5
"b",abc,1
"c",3
"d",,1

"e",-1,
"f
g",7,"x
y"
"h"x,1,1
"i",5,5
`;

const REASONS = [
  [3, "UNIQUE constraint failed: t.id"],
  [4, 'column "quantity" (INTEGER): "abc" is not a number'],
  [5, "it has 2 fields, and the header has 3"],
  [6, "NOT NULL constraint failed: t.quantity"],
  [8, "CHECK constraint failed: quantity > 0"],
  [12, 'after a closing double quote comes "x"'],
];

Deno.test("bad rows are told with line and reason, and nothing is imported", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const error = await failureOf(importText(migrator, MIXED));
  assert.equal(error.code, "DUMP_UNUSABLE");
  assert.equal(
    error.message,
    'Cannot import rows.csv into table "t": line 3: UNIQUE constraint failed: t.id',
  );
  assert.equal(error.line, 3);
  for (const [line, reason] of REASONS.slice(1)) {
    assert(error.help?.includes(`line ${line}: ${reason}`), error.help);
  }
  assert.match(error.help ?? "", /nothing was imported.*--skip-bad-rows FILE/);
  assert.deepEqual(query(path, "SELECT id FROM t"), [{ id: "old" }]);
  assert.deepEqual(await migrator.history(), []);
});

Deno.test("bad rows that somebody takes are skipped, and can be mended and imported", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const bad: BadRow[] = [];
  const result = await importText(migrator, MIXED, { onBadRow: (row) => void bad.push(row) });
  assert.deepEqual(bad.map(({ line, reason }) => [line, reason]), REASONS);
  assert.deepEqual([result.rows, result.skipped], [3, 6]);
  assert.notEqual(result.snapshot, null);
  assert.deepEqual(query(path, "SELECT id, price FROM t ORDER BY rowid"), [
    { id: "old", price: 1 },
    { id: "a", price: 1.5 },
    { id: "f\ng", price: "x\ny" },
    { id: "i", price: 5 },
  ]);
  const aside = [bad[0]?.header, ...bad.slice(1, 2).map(({ text }) => text)].join("\n");
  await importText(migrator, aside.replace("abc", "12"));
  assert.deepEqual(query(path, "SELECT quantity FROM t WHERE id = 'b'"), [{ quantity: 12 }]);
  const [, first] = await migrator.history();
  assert.equal(first?.direction, "import");
  assert.equal(first?.name, "rows.csv");
  assert.equal(
    first?.detail,
    `3 rows into table t; 6 skipped; what was there before is in snapshot ${result.snapshot}`,
  );
});

Deno.test("bad JSON Lines are told with line and reason", async () => {
  const { dir, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const lines = [
    `{"id":"a","quantity":1}`,
    `[1]`,
    `{"id":"b","quantity":1`,
    `"x"`,
    `{"id":"\\ud800","quantity":1}`,
    `{"id":"old","quantity":1}`,
    `{"id":"c"}`,
  ];
  const bad: BadRow[] = [];
  await importText(migrator, lines.join("\n"), {
    format: "jsonl",
    onBadRow: async (row) => {
      await Promise.resolve();
      bad.push(row);
    },
  });
  assert.deepEqual(
    bad.map(({ line, text }) => [line, text]),
    [2, 3, 4, 5, 6, 7].map((line) => [line, lines[line - 1]]),
  );
  assert.deepEqual(bad.map(({ reason }) => reason.replace(/(it is not JSON): .*/, "$1")), [
    "it is not a JSON object",
    "it is not JSON",
    "it is not a JSON object",
    'column "id": it has half a character',
    "UNIQUE constraint failed: t.id",
    "NOT NULL constraint failed: t.quantity",
  ]);
});

Deno.test("after ten bad rows the import ends", async () => {
  const { dir, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const csv = "id,quantity\n" + "x,y\n".repeat(1000);
  const error = await failureOf(importText(migrator, csv));
  assert.equal(error.help?.match(/is not a number/g)?.length, 9);
  assert.match(error.help ?? "", /line 11: .*\nthere it was stopped; more may be wrong\n/);
});

Deno.test("one bad row among many that go together is the only one refused", async () => {
  const { dir, path, migrator } = await appWith(
    "CREATE TABLE t (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, a TEXT UNIQUE ON CONFLICT IGNORE)",
  );
  await using _dir = dir;
  const ids = Array.from({ length: 1000 }, (_, index) => index === 500 ? 499 : index);
  const bad: number[] = [];
  const csv = `id,a\n${ids.map((id) => `${id},a${id}\n`).join("")}`;
  const { rows } = await importText(migrator, csv, { onBadRow: ({ line }) => void bad.push(line) });
  assert.equal(rows, 999);
  assert.deepEqual(bad, [502]);
  assert.deepEqual(query(path, "SELECT count(*) AS n FROM t"), [{ n: 999 }]);
});

Deno.test("columns whose names need quoting are found, in whatever case", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE t ("a ""b"";" TEXT, " c" TEXT, É TEXT)`,
  );
  await using _dir = dir;
  await importText(migrator, '"A ""B"";"," C", É\n1,2,3\n');
  assert.deepEqual(query(path, "SELECT * FROM t"), [{ 'a "b";': "1", " c": "2", "É": "3" }]);
  const error = await failureOf(importText(migrator, "é\n1\n"));
  assert.match(error.message, /has no column "é"/);
});

Deno.test("triggers run, and a row that one leaves out is told", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE t (a INTEGER);
    CREATE TABLE log (a INTEGER);
    CREATE TRIGGER keep BEFORE INSERT ON t WHEN NEW.a < 0 BEGIN SELECT RAISE(IGNORE); END;
    CREATE TRIGGER tell AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.a); END;
    CREATE TRIGGER half AFTER INSERT ON t WHEN NEW.a = 6 BEGIN
      INSERT INTO log VALUES (60);
      SELECT RAISE(FAIL, 'six');
    END;
    CREATE TRIGGER fail AFTER INSERT ON t WHEN NEW.a = 7 BEGIN SELECT RAISE(ROLLBACK, 'seven'); END;`,
  );
  await using _dir = dir;
  const bad: BadRow[] = [];
  const onBadRow = (row: BadRow) => void bad.push(row);
  const { rows } = await importText(migrator, "a\n1\n-1\n6\n2\n", { onBadRow });
  assert.equal(rows, 2);
  assert.deepEqual(bad.map(({ line, reason }) => [line, reason]), [
    [3, "a trigger of the table leaves it out"],
    [4, "six"],
  ]);
  assert.deepEqual(query(path, "SELECT a FROM log"), [{ a: 1 }, { a: 2 }]);
  const error = await failureOf(importText(migrator, "a\n3\n7\n4\n", { onBadRow }));
  assert.match(error.message, /seven/);
  assert.deepEqual(query(path, "SELECT count(*) AS n FROM t"), [{ n: 2 }]);
});

Deno.test("rows without their parents are bad, at once or at the commit", async () => {
  const { dir, path, migrator } = await appWith(
    `CREATE TABLE parent (id INTEGER PRIMARY KEY);
    INSERT INTO parent VALUES (1);
    CREATE TABLE t (p INTEGER REFERENCES parent);
    CREATE TABLE late (p INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);`,
  );
  await using _dir = dir;
  const error = await failureOf(importText(migrator, "p\n1\n2\n"));
  assert.match(error.message, /line 3: FOREIGN KEY constraint failed/);
  const late = await failureOf(importText(migrator, "p\n1\n2\n", { table: "late" }));
  assert.equal(late.code, "DUMP_UNUSABLE");
  assert.match(late.message, /rows.csv into table "late": FOREIGN KEY constraint failed/);
  assert.deepEqual(query(path, "SELECT * FROM t UNION ALL SELECT * FROM late"), []);
});

Deno.test("rows may come before their parents of the same table", async () => {
  const { dir, path, migrator } = await appWith(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES t)",
  );
  await using _dir = dir;
  const bad: number[] = [];
  const { rows } = await importText(migrator, "id,p\n1,2\n2,3\n4,9\n3,\n5,5\n6,4\n", {
    onBadRow: ({ line, reason }) => {
      assert.equal(reason, "FOREIGN KEY constraint failed");
      bad.push(line);
    },
  });
  assert.equal(rows, 4);
  assert.deepEqual(bad, [4, 7]);
  assert.deepEqual(query(path, "SELECT group_concat(id) AS ids FROM t"), [{ ids: "1,2,3,5" }]);
});

Deno.test("STRICT and virtual tables take rows by their own rules", async () => {
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

Deno.test("wrong databases, tables, columns and files are told, and change nothing", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const cases: [string | Uint8Array, Given, RegExp, RegExp][] = [
    ["id\n", { database: "ap" }, /there is no such database/, /did you mean "app"\?/],
    ["id\n", { table: "tt" }, /has none of that name/, /did you mean "t"\?/],
    ["id\n", { table: "sqlite_schema" }, /has none of that name/, /tables are t/],
    ["id,quantty\n", {}, /line 1: table "t" has no column "quantty"/, /mean "quantity"\?/],
    ["id,ID\n", {}, /line 1: column "id" is there twice/, /nothing was changed/],
    ['\n{"id":1,"qty":1}', { format: "jsonl" }, /line 2: table "t" has no column "qty"/, /columns/],
    ['id,quantity\n"a",1\n"b,2\n', {}, /line 3: a double quote is opened/, /nothing was changed/],
    [Uint8Array.of(105, 100, 10, 0xff, 10), {}, /line 2: it has bytes that are not UTF-8/, /iconv/],
    [Uint8Array.of(0xff, 0xfe, 105, 0), {}, /another encoding: UTF-16/, /iconv/],
    [Uint8Array.of(105, 100, 10, 0xc3), {}, /line 2: it ends in the middle of a char/, /nothing/],
    [(await gzip(bytesOf("id\na"))).slice(0, -9), {}, /compressed data are damaged/, /nothing/],
  ];
  for (const [data, given, message, help] of cases) {
    const bytes = typeof data === "string" ? bytesOf(data) : data;
    const source = streamOf(bytes);
    const options = { database: "app", table: "t", format: "csv", label: "rows.csv" } as const;
    const error = await failureOf(migrator.importRows(source, { ...options, ...given }));
    assert.match(error.message, message);
    assert.match(error.help ?? "", help);
  }
  assert.deepEqual(query(path, "SELECT id FROM t"), [{ id: "old" }]);
  assert.deepEqual(await migrator.history(), []);
});

Deno.test("an import that is stopped, or whose source or taker fails, changes nothing", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const csv = `id,quantity\n${
    Array.from({ length: 2000 }, (_, index) => `n${index},1\n`).join("")
  }`;
  const options = { database: "app", table: "t", format: "csv", label: "rows.csv" } as const;
  const controller = new AbortController();
  let isCancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    start: (stream) => stream.enqueue(bytesOf("id,quantity\n")),
    pull: (stream) => stream.enqueue(bytesOf(`${crypto.randomUUID()},1\n`)),
    cancel: () => void (isCancelled = true),
  });
  let rows = 0;
  const stopped = await failureOf(migrator.importRows(endless, {
    ...options,
    signal: controller.signal,
    onProgress: (progress) => {
      if (progress.stage !== "rows") return;
      rows = progress.rows;
      if (rows > 500) controller.abort();
    },
  }));
  assert.equal(stopped.code, "INTERRUPTED");
  assert(rows > 500 && isCancelled);

  const late = new AbortController();
  const silent = new ReadableStream<Uint8Array>({
    start: (stream) => stream.enqueue(bytesOf("id,quantity\na,1\n")),
  });
  const waiting = migrator.importRows(silent, {
    ...options,
    signal: late.signal,
    onProgress: () => setTimeout(() => late.abort()),
  });
  assert.equal((await failureOf(waiting)).code, "INTERRUPTED");

  const broken = ReadableStream.from((function* () {
    yield bytesOf(csv);
    throw new Error("the disk is gone");
  })());
  await assert.rejects(migrator.importRows(broken, options), /the disk is gone/);

  const full = importText(migrator, csv + "old,1\n", {
    onBadRow: () => Promise.reject(new Error("no room for bad rows")),
  });
  await assert.rejects(full, /no room for bad rows/);
  assert.deepEqual(query(path, "SELECT id FROM t"), [{ id: "old" }]);
});

Deno.test("a snapshot is taken before, unless it is not wanted or there is nothing to keep", async () => {
  const { dir, migrator } = await appWith("CREATE TABLE t (a)");
  await using _dir = dir;
  const first = await importText(migrator, "a\n1\n");
  assert.equal(first.snapshot, null);
  const second = await importText(migrator, "a\n2\n");
  assert.deepEqual((await migrator.listSnapshots()).map(({ name }) => name), [second.snapshot]);
  const third = await importText(migrator, "a\n3\n", { backup: false });
  assert.equal(third.snapshot, null);
});

Deno.test("a table of one column has a NULL where a line is empty", async () => {
  const { dir, path, migrator } = await appWith("CREATE TABLE t (a)");
  await using _dir = dir;
  await importText(migrator, 'a\n1\n\n""\n');
  assert.deepEqual(query(path, "SELECT quote(a) AS a FROM t"), [
    { a: "1" },
    { a: "NULL" },
    { a: "''" },
  ]);
});
