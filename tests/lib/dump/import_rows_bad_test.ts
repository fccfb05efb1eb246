import assert from "node:assert/strict";
import type { BadRow } from "../../../mod.ts";
import { query } from "../../helpers.ts";
import {
  appWith,
  bytesOf,
  failureOf,
  type Given,
  gzip,
  importText,
  streamOf,
} from "./import_rows_support.ts";

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
  [5, "it has 2 fields, but the header has 3"],
  [6, "NOT NULL constraint failed: t.quantity"],
  [8, "CHECK constraint failed: quantity > 0"],
  [9, 'column "price" (REAL): "x\ny" is not a number'],
  [12, 'unexpected text after a closing double quote: "x"'],
];

Deno.test("bad rows are reported with line and reason, and nothing is imported", async () => {
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
    assert(error.help?.includes(`line ${line}: ${reason}`), error.help ?? "");
  }
  assert.match(error.help ?? "", /nothing was imported.*--skip-bad-rows FILE/);
  assert.deepEqual(query(path, "SELECT id FROM t"), [{ id: "old" }]);
  assert.deepEqual((await migrator.history()).map(({ outcome }) => outcome), ["started"]);
});

Deno.test("bad rows that the caller accepts are skipped, and can be fixed and imported", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const bad: BadRow[] = [];
  const result = await importText(migrator, MIXED, { onBadRow: (row) => void bad.push(row) });
  assert.deepEqual(bad.map(({ line, reason }) => [line, reason]), REASONS);
  assert.deepEqual([result.rows, result.skipped], [2, 7]);
  assert.notEqual(result.snapshot, null);
  assert.deepEqual(query(path, "SELECT id, price FROM t ORDER BY rowid"), [
    { id: "old", price: 1 },
    { id: "a", price: 1.5 },
    { id: "i", price: 5 },
  ]);
  const aside = [bad[0]?.header, ...bad.slice(1, 2).map(({ text }) => text)].join("\n");
  await importText(migrator, aside.replace("abc", "12"));
  assert.deepEqual(query(path, "SELECT quantity FROM t WHERE id = 'b'"), [{ quantity: 12 }]);
  const [, first] = (await migrator.history()).filter(({ outcome }) => outcome === "applied");
  assert.equal(first?.direction, "import");
  assert.equal(first?.name, "rows.csv");
  assert.equal(
    first?.detail,
    `2 rows into table t; 7 skipped; the previous data is in snapshot ${result.snapshot}`,
  );
});

Deno.test("bad JSON Lines are reported with line and reason", async () => {
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
    `{"id":"d","quantity":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
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
    [2, 3, 4, 5, 6, 7, 8].map((line) => [line, lines[line - 1]]),
  );
  assert.deepEqual(bad.map(({ reason }) => reason.replace(/(it is not JSON): .*/, "$1")), [
    "it is not a JSON object",
    "it is not JSON",
    "it is not a JSON object",
    'column "id": it has an incomplete character',
    "UNIQUE constraint failed: t.id",
    "NOT NULL constraint failed: t.quantity",
    "its values are nested too deeply",
  ]);
});

Deno.test("after ten bad rows the import ends", async () => {
  const { dir, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const csv = "id,quantity\n" + "x,y\n".repeat(1000);
  const error = await failureOf(importText(migrator, csv));
  assert.equal(error.help?.match(/is not a number/g)?.length, 9);
  assert.match(error.help ?? "", /line 11: .*\nthe import stopped there; there may be more\n/);
});

Deno.test("of many rows inserted together only the bad one is refused", async () => {
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

Deno.test("triggers run, and a row that a trigger skips is reported", async () => {
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
    [3, "a trigger of the table skips it"],
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

Deno.test("rows may precede their parents in the same table", async () => {
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

Deno.test("invalid databases, tables, columns and files are reported, and change nothing", async () => {
  const { dir, path, migrator } = await appWith(ORDERS);
  await using _dir = dir;
  const cases: [string | Uint8Array, Given, RegExp, RegExp][] = [
    ["id\n", { database: "ap" }, /database not found/, /did you mean "app"\?/],
    ["id\n", { table: "tt" }, /has none of that name/, /did you mean "t"\?/],
    ["id\n", { table: "sqlite_schema" }, /has none of that name/, /tables are t/],
    ["id,quantty\n", {}, /line 1: table "t" has no column "quantty"/, /mean "quantity"\?/],
    ["id,ID\n", {}, /line 1: column "id" occurs twice/, /nothing was changed/],
    ['\n{"id":1,"qty":1}', { format: "jsonl" }, /line 2: table "t" has no column "qty"/, /columns/],
    [
      'id,quantity\n"a",1\n"b,2\n',
      {},
      /line 3: a double quote in this row is never closed/,
      /nothing was changed/,
    ],
    [Uint8Array.of(105, 100, 10, 0xff, 10), {}, /line 2: it has bytes that are not UTF-8/, /iconv/],
    [
      Uint8Array.of(0xff, 0xfe, 105, 0, 1),
      {},
      /it is UTF-16 text, but damaged/,
      /write the file again/,
    ],
    [Uint8Array.of(105, 100, 10, 0xc3), {}, /line 2: it ends in the middle of a char/, /nothing/],
    [(await gzip(bytesOf("id\na"))).slice(0, -9), {}, /compressed data is damaged/, /nothing/],
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
  assert.ok((await migrator.history()).every(({ outcome }) => outcome === "started"));
});

Deno.test("an import that is stopped, or whose source or callback fails, changes nothing", async () => {
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
    throw new Error("the disk was removed");
  })());
  await assert.rejects(migrator.importRows(broken, options), /the disk was removed/);

  const full = importText(migrator, csv + "old,1\n", {
    onBadRow: () => Promise.reject(new Error("no room for bad rows")),
  });
  await assert.rejects(full, /no room for bad rows/);
  assert.deepEqual(query(path, "SELECT id FROM t"), [{ id: "old" }]);
});

Deno.test("a text is read as the value that it represents, or makes a bad row", async () => {
  const { dir, path, migrator } = await appWith(
    "CREATE TABLE t (id INTEGER PRIMARY KEY, i INTEGER, r REAL, b BOOLEAN, s TEXT)",
  );
  await using _dir = dir;
  const bad: BadRow[] = [];
  const onBadRow = (row: BadRow) => void bad.push(row);
  const csv = [
    "id,i,r,b,s",
    '1,"","","",""',
    '2,true,"1.5",False,true',
    ...["N/A", '"1,234.5"', "9223372036854775808", "NaN", "1e400"].map((one) => `,${one},,,`),
    ...["NaN", "inf", "true", '"1,234.5"'].map((one) => `,,${one},,`),
    ",,,maybe,",
  ];
  await importText(migrator, csv.join("\n"), { onBadRow });
  assert.equal(bad.length, csv.length - 3);
  const jsonl = [
    '{"id": 3, "i": "12", "r": "", "b": true}',
    '{"i": "N/A"}',
    '{"i": 9223372036854775808}',
    '{"r": true}',
    '{"r": 1e400}',
    '{"i": [1]}',
    '{"i": 1, "s": "\\":", "i": 2}',
  ];
  bad.length = 0;
  await importText(migrator, jsonl.join("\n"), { format: "jsonl", onBadRow });
  assert.equal(bad.length, jsonl.length - 1);
  assert.equal(bad.at(-1)?.reason, "it has a duplicate key");
  assert.deepEqual(query(path, "SELECT id, quote(i) AS i, quote(r) AS r, quote(b) AS b FROM t"), [
    { id: 1, i: "NULL", r: "NULL", b: "NULL" },
    { id: 2, i: "1", r: "1.5", b: "0" },
    { id: 3, i: "12", r: "NULL", b: "1" },
  ]);
});
