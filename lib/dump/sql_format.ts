import { quoteName } from "../sql/tokens.ts";
import {
  hexParts,
  isDelicate,
  isDelicateReal,
  mayBeReplaced,
  notIntegers,
  type RowFormat,
} from "./row.ts";
import type { DumpColumn } from "./table.ts";
import type { Value } from "./value.ts";

/** Rows of a `VALUES`: `(1,'a',NULL)`. */
export const sqlFormat: RowFormat = {
  separator: ",\n",
  // To call a function takes longer than to see that there is nothing to call it for.
  textSql: (columns) =>
    textOfRow(columns, ({ name }) => {
      const column = quoteName(name);
      return `iif(${column} IS NULL, 'NULL', quote(${column}))`;
    }),
  inexactSql(columns) {
    return columns.flatMap(inexact).join(" OR ") || "0";
  },
  // The `sqlite3` shell takes a carriage return away that stands before a line break.
  isSuspect: (text) => mayBeReplaced(text) || text.includes("\r"),
  row: (values) => tuple(values, literal),
};

/** A row as a list in parentheses, of which `write` makes each value. */
export function* tuple(
  values: Iterable<Value>,
  write: (value: Value) => Iterable<string>,
): Generator<string> {
  let before = "(";
  for (const value of values) {
    yield before;
    yield* write(value);
    before = ",";
  }
  yield ")";
}

/**
 * SQL expression that is the text of a row; `number` makes the one of a column that is neither of
 * texts nor of integers.
 */
export function textOfRow(
  columns: readonly DumpColumn[],
  number: (column: DumpColumn) => string,
): string {
  const directives = columns.map(({ affinity }) => affinity === "TEXT" ? "%Q" : "%s");
  const values = columns.map((column) => {
    const name = quoteName(column.name);
    if (column.affinity === "TEXT") return name;
    return column.affinity === "INTEGER" ? `ifnull(${name}, 'NULL')` : number(column);
  });
  return `format('(${directives.join(",")})', ${values.join(", ")})`;
}

/**
 * Conditions for values that a column of this affinity holds rarely, and for NUL, at which `%Q` and
 * Deno cut a text off. None of it needs memory of SQLite's allocator, whose lock stops other threads.
 */
function inexact({ name, affinity, isStrict }: DumpColumn): string[] {
  const column = quoteName(name);
  const hasNul = `instr(${column}, char(0))`;
  switch (affinity) {
    case "TEXT":
      // Every number is less than every text, and every text less than every blob.
      return isStrict ? [hasNul] : [`${column} >= x''`, hasNul];
    case "INTEGER":
      return isStrict ? [] : notIntegers(column);
    case "REAL":
    case "NUMERIC":
      return [isDelicateReal(column, affinity)];
    case "BLOB":
      return [`(typeof(${column}) = 'text' AND ${hasNul})`, isDelicateReal(column, affinity)];
  }
}

/** A value as SQL literal, or as an expression where there is no literal for it. */
export function* literal(value: Value): Generator<string> {
  switch (value.type) {
    case "null":
      return yield "NULL";
    case "integer":
      return yield value.text;
    case "real":
      return yield isDelicate(value.number) ? realLiteral(value.number) : value.text;
    case "blob":
      yield "X'";
      yield* hexParts(value.bytes);
      return yield "'";
    case "text":
      if (value.text !== null) return yield textLiteral(value.text);
      yield "CAST(X'";
      yield* hexParts(value.bytes);
      yield "' AS TEXT)";
  }
}

/** Bits that a number is multiplied or divided by at once: as many as an integer can have. */
const STEP = 62;

/**
 * A number as SQL of which every version of SQLite makes exactly the same number: a whole number,
 * multiplied or divided by powers of two, of which none is ever rounded.
 */
export function realLiteral(number: number): string {
  if (number === 0) return Object.is(number, -0) ? "-0.0" : "0.0";
  const isLarge = Math.abs(number) > Number.MAX_SAFE_INTEGER;
  let whole = number;
  let power = 0;
  for (; !Number.isSafeInteger(whole); power++) whole *= isLarge ? 0.5 : 2;
  const sign = isLarge ? "*" : "/";
  let factors = "";
  for (let left = power; left > 0; left -= STEP) {
    factors += `${sign}${2n ** BigInt(Math.min(left, STEP))}`;
  }
  return `(1.0*${whole}${factors})`;
}

/** Text as SQL; NUL ends what SQLite parses, and the `sqlite3` shell drops carriage returns. */
export function textLiteral(text: string): string {
  let literal = text.replaceAll("'", "''");
  const calls: string[] = [];
  for (const [character, code] of [["\0", 0], ["\r", 13]] as const) {
    if (!text.includes(character)) continue;
    const stand = standIn(text, code);
    literal = literal.replaceAll(character, stand);
    calls.push(`,'${stand}',char(${code}))`);
  }
  return `${"replace(".repeat(calls.length)}'${literal}'${calls.join("")}`;
}

/** A text that doesn't occur in another one. */
function standIn(text: string, code: number): string {
  for (let attempt = 0;; attempt++) {
    const candidate = `\\${code}.${attempt || ""}`;
    if (!text.includes(candidate)) return candidate;
  }
}
