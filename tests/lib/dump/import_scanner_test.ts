import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { lineOf, skipTrivia } from "../../../lib/sql/tokens.ts";
import { DumpFault } from "../../../lib/dump/import_source.ts";
import { Scanner, type StatementBatch } from "../../../lib/dump/import_scanner.ts";

/** A piece as text, and what is left at the end. */
interface Scanned {
  readonly pieces: readonly {
    readonly sql: string;
    readonly line: number;
    readonly row: boolean;
  }[];
  readonly rest: { readonly sql: string; readonly line: number } | null;
}

/** Splits a text that arrives in chunks of these sizes, repeatedly. */
function scan(
  sql: string,
  { sizes = [1 << 30], isSingle = true }: { sizes?: readonly number[]; isSingle?: boolean } = {},
): Scanned {
  const scanner = new Scanner({ isSingle });
  const bytes = new TextEncoder().encode(sql);
  const pieces: { sql: string; line: number; row: boolean }[] = [];
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const keep = ({ sql, line, isSchemaRow }: StatementBatch) =>
    pieces.push({ sql, line, row: isSchemaRow });
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const text = decoder.decode(bytes.subarray(at, at + size), { stream: true });
    for (const piece of scanner.push(text)) keep(piece);
    at += size;
  }
  const end = scanner.finish();
  let step = end.next();
  for (; !step.done; step = end.next()) keep(step.value);
  return { pieces, rest: step.value };
}

/** Statements as SQLite's own parser delimits them, without a semicolon and preceding trivia. */
function bySqlite(db: DatabaseSync, sql: string): string[] {
  const statements: string[] = [];
  for (let at = skipTrivia(sql, 0); at < sql.length;) {
    const statement = db.prepare(sql.slice(at));
    statements.push(bare(statement.sourceSQL));
    at = skipTrivia(sql, at + statement.sourceSQL.length);
  }
  return statements;
}

/** A statement without preceding trivia and without its semicolon. */
function bare(sql: string): string {
  return sql.slice(skipTrivia(sql, 0)).replace(/\s*;\s*$/, "");
}

const inner = fc.string({ unit: fc.constantFrom(..."a;'\"`[]-/*\n\r é🙂,()".split(/(?:)/u)) });
const trivia = fc.oneof(
  fc.constantFrom(" ", "\n", "\t\r\n", "  "),
  inner.map((text) => `--${text.replace(/\n/g, " ")}\n`),
  inner.map((text) => `/*${text.replaceAll("*/", "* /")}*/`),
);
const space = fc.array(trivia, { minLength: 1, maxLength: 2 }).map((all) => ` ${all.join("")} `);
const literal = fc.oneof(
  inner.map((text) => `'${text.replaceAll("'", "''")}'`),
  fc.constantFrom("1", "-1", "2 - -1", "4/2", "x'00'", "NULL", "(1)", "CASE WHEN 1 THEN 2 END"),
);
const name = fc.oneof(
  inner.map((text) => `"${text.replaceAll('"', '""')}"`),
  inner.map((text) => `\`${text.replaceAll("`", "``")}\``),
  inner.map((text) => `[x${text.replaceAll("]", "")}]`),
  fc.constantFrom("end", "trigger_", "créate", "a$b").map((word) => `"${word}"`),
);
const select = fc.tuple(space, literal, space, name).map(([a, value, b, as]) =>
  `SELECT${a}${value}${b}AS ${as}`
);
const insert = fc.tuple(space, fc.array(literal, { minLength: 1, maxLength: 3 })).map((
  [a, values],
) => `INSERT${a}INTO t VALUES${values.map((value) => `(${value})`).join(",")}`);
const trigger = fc.tuple(
  fc.constantFrom("", "TEMP", "temporary"),
  fc.integer({ min: 0, max: 1e9 }),
  space,
  fc.array(fc.oneof(select, insert), { minLength: 1, maxLength: 3 }),
).map(([temp, id, a, body]) =>
  `CREATE ${temp}${a}TRIGGER tr${id} AFTER INSERT ON t WHEN new.a = CASE WHEN 1 THEN 2 END BEGIN${a}${
    body.join(`${a};${a}`)
  };${a}END`
);
const statement = fc.oneof(
  select,
  insert,
  trigger,
  fc.constantFrom("EXPLAIN SELECT 1", "explain query plan select 'a;b'", "BEGIN", "END", "COMMIT"),
);
const script = fc.array(fc.tuple(space, statement, space), { maxLength: 8 })
  .map((all) => all.map(([a, sql, b]) => `${a}${sql}${b};`).join(""));
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

Deno.test("statements are split where SQLite's own parser splits them, whatever the chunks are", () => {
  using db = new DatabaseSync(":memory:");
  db.exec("CREATE TABLE t (a)");
  fc.assert(
    fc.property(script, sizes, (sql, sizes) => {
      const { pieces, rest } = scan(sql, { sizes });
      assert.equal(rest, null);
      assert.equal(pieces.map((piece) => piece.sql).join(""), sql.slice(0, lengthOf(pieces)));
      const found = pieces.map((piece) => bare(piece.sql)).filter((one) => one !== "");
      assert.deepEqual(found, bySqlite(db, sql));
      let at = 0;
      for (const piece of pieces) {
        assert.equal(piece.line, lineOf(sql, at), "line");
        at += piece.sql.length;
      }
    }),
    { numRuns: 300 },
  );
});

function lengthOf(pieces: readonly { readonly sql: string }[]): number {
  return pieces.reduce((sum, { sql }) => sum + sql.length, 0);
}

Deno.test("a truncated text has a remainder, unless it ends in white space or in a line comment", () => {
  const sql =
    "SELECT 'a;b'; -- c;\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END;\n/* ; */ \n";
  const whole = /^(SELECT 'a;b';( (--[^\n]*\n?)?(CREATE .* END;\n?(\/\* ; \*\/ ?\n?)?)?)?)?$/s;
  for (let length = 0; length <= sql.length; length++) {
    const cut = sql.slice(0, length);
    assert.equal(scan(cut, { sizes: [3] }).rest === null, whole.test(cut), JSON.stringify(cut));
  }
});

Deno.test("a dump's statements arrive in pieces of about 64 KB, a long one separately", () => {
  const short = "INSERT INTO t VALUES('0123456789');\n".repeat(10_000);
  const long = `INSERT INTO t VALUES('${"x".repeat(3_000_000)}');\n`;
  const { pieces, rest } = scan(short + long + short, { sizes: [65_536], isSingle: false });
  assert.equal(rest, null);
  assert.equal(pieces.map(({ sql }) => sql).join(""), (short + long + short).trimEnd());
  const others = pieces.filter(({ sql }) => sql.length < 1_000_000);
  assert.equal(others.length, pieces.length - 1);
  assert.ok(others.every(({ sql }) => sql.length < 66_000));
  assert.ok(pieces.length < 15);
});

Deno.test("a statement of 40 MB in small chunks takes linear time", () => {
  const scanner = new Scanner();
  const chunk = "x".repeat(4096);
  let pieces = 0;
  for (const _ of scanner.push("SELECT '")) pieces++;
  for (let count = 0; count < 10_000; count++) for (const _ of scanner.push(chunk)) pieces++;
  assert.equal(pieces, 0);
  const [whole] = [...scanner.push("';"), ...scanner.finish()];
  assert.equal(whole?.sql.length, 4096 * 10_000 + 10);
});

Deno.test("a row of sqlite_schema is a separate piece", () => {
  const row = "INSERT INTO sqlite_schema(type) VALUES('x;');";
  const quoted = 'insert into "sqlite_master" VALUES(1);';
  const { pieces } = scan(`SELECT 1;\n${row}\nSELECT 2;SELECT 3;${quoted}SELECT 4;`, {
    isSingle: false,
  });
  assert.deepEqual(pieces, [
    { sql: "SELECT 1;", line: 1, row: false },
    { sql: `\n${row}`, line: 1, row: true },
    { sql: "\nSELECT 2;SELECT 3;", line: 2, row: false },
    { sql: quoted, line: 3, row: true },
    { sql: "SELECT 4;", line: 3, row: false },
  ]);
});

Deno.test("only inserts of plain values that begin in the same way are joined", () => {
  const joins = (sql: string) =>
    [...new Scanner().push(sql + " ".repeat(70_000) + ";")]
      .flatMap((piece) => piece.joins);
  const one = "INSERT INTO t VALUES(1,'a)');";
  assert.deepEqual(joins(one + one), [28, 49]);
  assert.deepEqual(joins('INSERT INTO "a;b" (x, y) VALUES (1, 2);\n'.repeat(3)), [38, 72, 78, 112]);
  for (
    const sql of [
      "INSERT INTO t VALUES(abs(1));",
      "INSERT INTO t SELECT (1) UNION ALL VALUES(1);",
      "INSERT INTO t VALUES(1) UNION ALL VALUES(1);",
      "INSERT INTO t VALUES(1),(2);",
      "INSERT INTO t VALUES(1) ON CONFLICT DO NOTHING;",
      "INSERT INTO t VALUES(1) RETURNING (a);",
      "INSERT OR REPLACE INTO t VALUES(1);",
      "REPLACE INTO t VALUES(1);",
      "SELECT (1);",
    ]
  ) {
    assert.deepEqual(joins(sql + sql), [], sql);
    assert.deepEqual(joins(one + sql), [], sql);
  }
  assert.deepEqual(joins("INSERT INTO t VALUES(1);INSERT INTO u VALUES(1);"), []);
});

Deno.test("a NUL is refused with its line, wherever it is", () => {
  for (const sql of ["SELECT\n\0;", "SELECT '\n\0", "--\n-- \0", "/*\n\0*/", "a\n\0"]) {
    assert.throws(() => scan(sql), (error) => {
      assert(error instanceof DumpFault);
      assert.equal(error.place.line, 2);
      return true;
    });
  }
});

Deno.test("a statement of half the longest string is complete, however much follows it", () => {
  const half = "-".repeat(2 ** 28);
  const scanner = new Scanner();
  const sizes = [`SELECT '${half}`, "';", `\n--${half}`]
    .map((chunk) => [...scanner.push(chunk)].map(({ sql }) => sql.length));
  assert.deepEqual(sizes, [[], [], [half.length + 10]]);
});
