import type { Connection } from "../database/connection.ts";
import { quoteName, quoteText } from "../sql/tokens.ts";
import type { DumpColumn } from "./catalog.ts";
import {
  readRows,
  type RowFormat,
  type RowFormatName,
  type RowRange,
  type RowsPart,
  type Value,
} from "./export_rows.ts";

/** Bytes of UTF-8, as written to a file. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Number of characters to encode at once, which is worth a system call. */
const CHUNK = 1 << 18;

/** Writes the rows of a range as UTF-8. */
export async function* renderRows(
  connection: Connection,
  part: RowsPart,
  range: RowRange | null,
): AsyncGenerator<Bytes> {
  const encoder = new TextEncoder();
  let pending: string[] = [];
  let length = 0;
  for await (const text of readRows(connection, { ...part, format: formats[part.format] }, range)) {
    pending.push(text);
    length += text.length;
    if (length < CHUNK) continue;
    yield encoder.encode(pending.join(""));
    [pending, length] = [[], 0];
  }
  if (length > 0) yield encoder.encode(pending.join(""));
}

/** How a format writes values. */
interface Notation extends Pick<RowFormat, "separator" | "textSql" | "isSuspect"> {
  /** SQL condition for a text in a column without a type that `textSql` would not write exactly. */
  inexactText(column: string): string;
  /** What precedes a value: the beginning of the row, or a separator; in JSON also its name. */
  before(column: DumpColumn, index: number): string;
  /** The end of a row. */
  readonly end: string;
  readonly null: string;
  readonly real: (value: RealValue) => string;
  text(text: string, column: DumpColumn): string;
  /** What surrounds the hexadecimal digits of a blob. */
  readonly blob: Brackets;
  /** What surrounds those of a text that is not valid in its encoding. */
  readonly invalid: Brackets;
}

type RealValue = Value & { readonly type: "real" };
type Brackets = readonly [open: string, close: string];

function formatOf(notation: Notation): RowFormat {
  const { before, end, inexactText } = notation;
  const write = function* (value: Value, column: DumpColumn): Generator<string> {
    switch (value.type) {
      case "null":
        return yield notation.null;
      case "integer":
        return yield value.text;
      case "real":
        return yield notation.real(value);
      case "text":
        if (value.text !== null) return yield notation.text(value.text, column);
    }
    const [open, close] = value.type === "text" ? notation.invalid : notation.blob;
    yield open;
    yield* hexParts(value.bytes);
    yield close;
  };
  return {
    ...notation,
    inexactSql: (columns) =>
      columns.flatMap((column) => inexact(column, inexactText)).join(" OR ") || "0",
    *row(values, columns) {
      for (const [index, column] of columns.entries()) {
        yield before(column, index);
        yield* write(values[index] ?? { type: "null" }, column);
      }
      yield end;
    },
  };
}

/**
 * Conditions for values that SQLite may not write exactly. They avoid SQLite's allocator, whose lock
 * stops other threads. Every number is less than every text, and every text less than every blob.
 */
function inexact(
  { name, affinity, isStrict }: DumpColumn,
  inexactText: Notation["inexactText"],
): string[] {
  const column = quoteName(name);
  switch (affinity) {
    case "TEXT": {
      const hasNul = `instr(${column}, char(0))`;
      return isStrict ? [hasNul] : [`${column} >= x''`, hasNul];
    }
    case "INTEGER":
      // The only whole number that SQLite keeps as a real is -2^63.
      return isStrict
        ? []
        : [`${column} <> CAST(${column} AS INTEGER)`, `${column} < -9223372036854775807`];
    // Some versions get the last digit of a real wrong if the exponent is far from zero, and none
    // writes the sign of -0.0, which only a column without a type keeps.
    case "REAL":
    case "NUMERIC":
      // The first comparison decides for most numbers, and for NULL.
      return [
        `(${column} NOT BETWEEN 1e-30 AND 1e30 AND ${column} <> 0 AND ` +
        `${column} NOT BETWEEN -1e30 AND -1e-30)`,
      ];
    case "BLOB":
      return [
        `(typeof(${column}) = 'text' AND ${inexactText(column)})`,
        `(typeof(${column}) = 'real' AND abs(${column}) NOT BETWEEN 1e-30 AND 1e30)`,
      ];
  }
}

/** Whether a text may come from a decoder, which replaces invalid UTF-8 by this character. */
function mayBeReplaced(text: string): boolean {
  return text.includes("\uFFFD");
}

/** Whether SQLite may not have written a number exactly. */
export function isDelicate(number: number): boolean {
  const size = Math.abs(number);
  return size === 0 ? Object.is(number, -0) : size < 1e-30 || (size > 1e30 && size < Infinity);
}

/** A real with a point or an exponent, from which the same number is read. */
export function realText({ number, text }: RealValue): string {
  if (!isDelicate(number)) return text;
  return Object.is(number, -0) ? "-0.0" : number.toExponential();
}

/** Number of hexadecimal digits to write at once. */
const HEX_PART = 1 << 16;

/** Bytes as hexadecimal digits, in parts. */
function* hexParts(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at < bytes.length; at += HEX_PART / 2) {
    yield bytes.subarray(at, at + HEX_PART / 2).toHex().toUpperCase();
  }
}

const sqlNotation: Notation = {
  separator: ",\n",
  // Calling a function takes longer than checking that it is not needed.
  textSql: (columns) =>
    textOfRow(columns, ({ name }) => {
      const column = quoteName(name);
      return `iif(${column} IS NULL, 'NULL', quote(${column}))`;
    }),
  // The `sqlite3` shell drops a carriage return before a line break.
  isSuspect: (text) => mayBeReplaced(text) || text.includes("\r"),
  inexactText: (column) => `instr(${column}, char(0))`,
  before: (_, index) => index === 0 ? "(" : ",",
  end: ")",
  null: "NULL",
  real: ({ number, text }) => isDelicate(number) ? realLiteral(number) : text,
  text: textLiteral,
  blob: ["X'", "'"],
  invalid: ["CAST(X'", "' AS TEXT)"],
};

/** Rows of a `VALUES`: `(1,'a',NULL)`. */
export const sqlFormat: RowFormat = formatOf(sqlNotation);

/**
 * SQL expression for the text of a row; `number` makes the one of a column that contains neither
 * texts nor integers.
 */
function textOfRow(
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

/** Bits that a number is multiplied or divided by at once: the maximum of an integer. */
const FACTOR_BITS = 62;

/**
 * A number as SQL that every version of SQLite reads as exactly the same number: an integer,
 * multiplied or divided by powers of two, without rounding.
 */
export function realLiteral(number: number): string {
  if (number === 0) return Object.is(number, -0) ? "-0.0" : "0.0";
  const isLarge = Math.abs(number) > Number.MAX_SAFE_INTEGER;
  let whole = number;
  let power = 0;
  for (; !Number.isSafeInteger(whole); power++) whole *= isLarge ? 0.5 : 2;
  const sign = isLarge ? "*" : "/";
  let factors = "";
  for (let left = power; left > 0; left -= FACTOR_BITS) {
    factors += `${sign}${2n ** BigInt(Math.min(left, FACTOR_BITS))}`;
  }
  return `(1.0*${whole}${factors})`;
}

/** Text as SQL. NUL would end the SQL, and the `sqlite3` shell drops carriage returns. */
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

/**
 * Comma-separated values as in RFC 4180, with line feeds. Text is always quoted and nothing else
 * is, which distinguishes NULL from the empty text, and 1 from '1'. Blobs are written as in SQL:
 * `X'0A1B'`.
 */
export const csvFormat: RowFormat = formatOf({
  separator: "\n",
  textSql(columns) {
    const template = columns.map(({ affinity }) => affinity === "TEXT" ? "%s%s%s" : "%s").join(",");
    return `format('${template}', ${columns.flatMap(fields).join(", ")})`;
  },
  isSuspect: mayBeReplaced,
  inexactText: () => "TRUE",
  before: (_, index) => index === 0 ? "" : ",",
  end: "",
  null: "",
  real: realText,
  // Elsewhere a text in a column of numbers would be a number, or a mistake; this one is intended.
  text: (text, { isNumber }) => quoted(isNumber ? quoteText(text) : text),
  blob: ["X'", "'"],
  // CSV has no form for invalid text, so its bytes are written.
  invalid: ["X'", "'"],
});

/** The first line of a file: the names of the columns. */
export function csvHeader(columns: readonly DumpColumn[]): string {
  return `${columns.map(({ name }) => quoted(name)).join(",")}\n`;
}

function fields({ name, affinity }: DumpColumn): string[] {
  const column = quoteName(name);
  switch (affinity) {
    case "TEXT": {
      const quote = `iif(${column} IS NULL, '', '"')`;
      // Looking for a quote is cheaper than replacing none.
      return [quote, `iif(instr(${column}, '"'), replace(${column}, '"', '""'), ${column})`, quote];
    }
    case "INTEGER":
      return [column];
    default:
      return [`iif(${column} IS NULL, '', quote(${column}))`];
  }
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/**
 * One JSON object on each line. Integers are written with all digits, reals with a point or an
 * exponent, and values that JSON lacks as an object: a blob as `{"hex":"0A1B"}`.
 */
export const jsonlFormat: RowFormat = formatOf({
  separator: "\n",
  textSql(columns) {
    const object = (value: (column: DumpColumn) => string) => {
      const members = columns.map((column) => `${quoteText(column.name)}, ${value(column)}`);
      return `json_object(${members.join(", ")})`;
    };
    return `iif(${IS_ROUNDING}, ${object(withAllDigits)}, ${object(valueSql)})`;
  },
  isSuspect: mayBeReplaced,
  inexactText: () => "FALSE",
  before: ({ name }, index) => `${index === 0 ? "{" : ","}${JSON.stringify(name)}:`,
  end: "}",
  null: "null",
  real: realText,
  text: (text, { isNumber }) =>
    isNumber ? `{"text":${JSON.stringify(text)}}` : JSON.stringify(text),
  blob: ['{"hex":"', '"}'],
  // JSON has no form for invalid text, so its bytes are written.
  invalid: ['{"hex":"', '"}'],
});

/** Whether this SQLite writes reals in JSON with only 15 digits, as older versions do. */
const IS_ROUNDING = "length(json_array(1.0 / 3.0)) < 20";

function valueSql({ name }: DumpColumn): string {
  const column = quoteName(name);
  return `iif(${column} >= x'', json('{"hex":"' || hex(${column}) || '"}'), ${column})`;
}

function withAllDigits(column: DumpColumn): string {
  if (column.affinity === "TEXT") return valueSql(column);
  const name = quoteName(column.name);
  return `iif(typeof(${name}) = 'real', json(quote(${name})), ${valueSql(column)})`;
}

/**
 * Rows for a hash: as in SQL, except for reals. Versions of SQLite write the same real with
 * different digits, so each is written as an integer and a power of two to multiply it by; neither
 * is ever rounded.
 */
export const hashFormat: RowFormat = formatOf({
  ...sqlNotation,
  textSql: (columns) => textOfRow(columns, exactly),
  real: ({ number }) => realDigits(number),
});

/** Bits of the largest integer: any real below it times 2^{@link STEP} is an integer, too. */
const BITS = 62;

/** Exponents between two of the limits up to which reals are scaled equally. */
const STEP = 10;

/** From 2^-100 to 2^100, outside of which reals are delicate; zero belongs to the smallest. */
const POWERS: readonly number[] = Array.from({ length: 20 }, (_, index) => (index - 9) * STEP);

/** SQL for such a number: 1 is `4611686018427387904*2^-62`. */
function exactly({ name }: DumpColumn): string {
  const column = quoteName(name);
  return `iif(typeof(${column}) = 'real', ${scaled(column, POWERS)}, quote(${column}))`;
}

/** Halves the possible scales of a real until one is left. */
function scaled(column: string, powers: readonly number[]): string {
  const middle = powers.length >> 1;
  const size = powers[Math.max(0, middle - 1)] ?? 0;
  if (powers.length === 1) {
    const factor = realLiteral(2 ** (BITS - size));
    return `CAST(${column} * ${factor} AS INTEGER) || '*2^${size - BITS}'`;
  }
  const [low, high] = [powers.slice(0, middle), powers.slice(middle)];
  const limit = realLiteral(2 ** size);
  return `iif(${column} BETWEEN -${limit} AND ${limit}, ${scaled(column, low)}, ${
    scaled(column, high)
  })`;
}

/** A real, as SQLite writes it with {@link exactly} if it isn't delicate. */
function realDigits(number: number): string {
  if (isDelicate(number) || !Number.isFinite(number)) {
    return Object.is(number, -0) ? "-0.0" : number.toExponential();
  }
  const size = POWERS.find((power) => Math.abs(number) <= 2 ** power) ?? NaN;
  return `${BigInt(number * 2 ** (BITS - size))}*2^${size - BITS}`;
}

const formats: Readonly<Record<RowFormatName, RowFormat>> = {
  sql: sqlFormat,
  csv: csvFormat,
  jsonl: jsonlFormat,
  hash: hashFormat,
};
