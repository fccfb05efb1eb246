/** Facts about SQLite, Deno and the `sqlite3` shell that an export relies on. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { realLiteral } from "../../../lib/dump/export_formats.ts";
import { doubles, ODD_DOUBLES } from "./cells.ts";
import { runShell, shellVersion, withoutShell } from "./shell.ts";

function value(sql: string, ...parameters: SQLInputValue[]): unknown {
  using db = new DatabaseSync(":memory:");
  return db.prepare(`SELECT ${sql} AS value`).get(...parameters)?.["value"];
}

function stored(type: string, sql: string): unknown {
  using db = new DatabaseSync(":memory:");
  db.exec(`CREATE TABLE t (v ${type}); INSERT INTO t VALUES (${sql})`);
  return db.prepare("SELECT v FROM t").get()?.["v"];
}

Deno.test("quote() and %Q truncate a text at its first NUL, and Deno reads up to it", () => {
  assert.equal(value("quote('a' || char(0) || 'b')"), "'a'");
  assert.equal(value("format('%Q', 'a' || char(0) || 'b')"), "'a'");
  assert.equal(value("'a' || char(0) || 'b'"), "a");
  assert.equal(value("hex(CAST('a' || char(0) || 'b' AS BLOB))"), "610062");
  assert.equal(value("instr('a' || char(0) || 'b', char(0))"), 2);
});

Deno.test("Deno replaces invalid UTF-8 when it reads a text", () => {
  for (const hex of ["ff", "c080", "eda080", "c3", "f09f", "f4908080", "e282"]) {
    assert.match(String(value(`'(' || CAST(x'${hex}' AS TEXT) || ')'`)), /^\(\uFFFD+\)?$/, hex);
    assert.equal(value(`hex(CAST(CAST(x'${hex}' AS TEXT) AS BLOB))`), hex.toUpperCase());
  }
});

Deno.test("only a column without a type keeps the sign of -0.0", () => {
  for (
    const [type, keeps] of Object.entries({ "": true, REAL: false, NUMERIC: false, INT: false })
  ) {
    assert.equal(Object.is(stored(type, "-0.0"), -0), keeps, type);
  }
  assert.equal(value("quote(-0.0)"), "0.0");
});

Deno.test("an integer column keeps one whole number as a real: -2^63", () => {
  using db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE t (v INTEGER); INSERT INTO t VALUES (-9223372036854775808.0), (1e15)");
  const types = db.prepare("SELECT typeof(v) AS type FROM t").all().map(({ type }) => type);
  assert.deepEqual(types, ["real", "integer"]);
});

Deno.test("numbers are less than texts, and texts less than blobs", () => {
  assert.equal(value("9e999 < ''"), 1);
  assert.equal(value("char(0x10FFFF) < x''"), 1);
});

Deno.test("SQLite replaces U+FFFE and U+FFFF when it converts UTF-8 to UTF-16", () => {
  using db = new DatabaseSync(":memory:");
  db.exec("PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (v)");
  db.prepare("INSERT INTO t VALUES (?)").run("\uFFFE\uFFFF");
  const row = db.prepare("SELECT hex(CAST(v AS BLOB)) AS hex FROM t").get();
  assert.equal(row?.["hex"], "FDFFFDFF");
});

Deno.test("SQLite's functions take as many arguments as a fast row needs", () => {
  const many = Array(300).fill("1").join(", ");
  assert.equal(value(`format('${"%s".repeat(300)}', ${many})`), "1".repeat(300));
});

function bitsOf(number: unknown): bigint {
  assert(typeof number === "number");
  return new BigUint64Array(Float64Array.of(number).buffer)[0] ?? 0n;
}

/** This many numbers of each kind, and those prone to errors. */
function manyDoubles(): number[] {
  return [...ODD_DOUBLES, ...fc.sample(doubles, 5000)]
    .filter((number) => Number.isFinite(number));
}

Deno.test("a literal of a real gives exactly that real", () => {
  using db = new DatabaseSync(":memory:");
  for (const number of manyDoubles()) {
    const found = db.prepare(
      `SELECT ${realLiteral(number)} AS v, typeof(${realLiteral(number)}) AS t`,
    );
    const row = found.get();
    assert.equal(row?.["t"], "real");
    assert.equal(bitsOf(row["v"]), bitsOf(number), `${number}`);
  }
});

Deno.test({
  name: `a literal of a real gives exactly that real in the sqlite3 shell, too${withoutShell}`,
  ignore: shellVersion === null,
  async fn() {
    const path = await Deno.makeTempFile();
    try {
      const numbers = manyDoubles();
      const values = numbers.map((number, index) => `(${index}, ${realLiteral(number)})`);
      await runShell(
        path,
        `CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES ${values.join(",\n")};\n`,
      );
      using db = new DatabaseSync(path);
      const rows = db.prepare("SELECT v FROM t ORDER BY id").all();
      assert.equal(rows.length, numbers.length);
      rows.forEach(({ v }, index) => assert.equal(bitsOf(v), bitsOf(numbers[index])));
    } finally {
      await Deno.remove(path);
    }
  },
});

Deno.test({
  name: `the sqlite3 shell drops a carriage return before a line break${withoutShell}`,
  ignore: shellVersion === null,
  async fn() {
    const said = await runShell(":memory:", "SELECT hex('a\r\nb'), hex('a\rb');\n");
    assert.equal(new TextDecoder().decode(said).trim(), "610A62|610D62");
  },
});

Deno.test("in defensive mode a dump can't write to sqlite_schema or to the shadow tables of a virtual table", () => {
  using db = new DatabaseSync(":memory:");
  db.exec("CREATE VIRTUAL TABLE f USING fts5(a); CREATE TABLE t (a)");
  (db as DatabaseSync & { enableDefensive(active: boolean): void }).enableDefensive(true);
  db.exec("PRAGMA writable_schema = ON");
  assert.throws(() => db.exec("DELETE FROM sqlite_schema"), /may not be modified/);
  assert.throws(() => db.exec("DELETE FROM f_data"), /may not be modified/);
});
