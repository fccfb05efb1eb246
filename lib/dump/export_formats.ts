import type { Connection } from "../database/connection.ts";
import { quoteName, quoteText } from "../sql/tokens.ts";
import type { DumpColumn } from "./catalog.ts";
import {
  hexParts,
  isDelicate,
  isDelicateReal,
  mayBeReplaced,
  notIntegers,
  readRows,
  realText,
  type RowFormat,
  type RowFormatName,
  type RowRange,
  type RowsPart,
  type Value,
} from "./export_rows.ts";
import { literal, realLiteral, sqlFormat, textOfRow, tuple } from "./export_sql.ts";

/** Bytes of UTF-8, as written to a file. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Writes the rows of a range as UTF-8. */
export async function* renderRows(
  connection: Connection,
  part: RowsPart,
  range: RowRange | null,
): AsyncGenerator<Bytes> {
  const format = formats[part.format];
  yield* encode(readRows(connection, { ...part, format }, range));
}

/** Number of characters to encode at once. */
const CHUNK = 1 << 18;

/** Encodes text as UTF-8, in chunks that are worth a system call. */
export async function* encode(texts: AsyncIterable<string>): AsyncGenerator<Bytes> {
  const encoder = new TextEncoder();
  let pending: string[] = [];
  let length = 0;
  for await (const text of texts) {
    pending.push(text);
    length += text.length;
    if (length < CHUNK) continue;
    yield encoder.encode(pending.join(""));
    pending = [];
    length = 0;
  }
  if (length > 0) yield encoder.encode(pending.join(""));
}

/**
 * Comma-separated values as in RFC 4180, with line feeds. Text is always quoted and nothing else
 * is, which distinguishes NULL from the empty text, and 1 from '1'. Blobs are written as in SQL:
 * `X'0A1B'`.
 */
export const csvFormat: RowFormat = {
  separator: "\n",
  textSql(columns) {
    const template = columns.map(({ affinity }) => affinity === "TEXT" ? "%s%s%s" : "%s").join(",");
    return `format('${template}', ${columns.flatMap(fields).join(", ")})`;
  },
  inexactSql(columns) {
    return columns.flatMap(inexact).join(" OR ");
  },
  isSuspect: mayBeReplaced,
  *row(values, columns) {
    let before = "";
    for (const [index, value] of values.entries()) {
      yield before;
      // Elsewhere such a text would be a number, or a mistake; this one is intended.
      const isMarked = value.type === "text" && value.text !== null && columns[index]?.isNumber;
      if (isMarked) yield quoted(quoteText(value.text ?? ""));
      else yield* field(value);
      before = ",";
    }
  },
};

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

/** Conditions for values that {@link fields} would not write exactly. */
function inexact({ name, affinity }: DumpColumn): string[] {
  const column = quoteName(name);
  switch (affinity) {
    case "TEXT":
      // Every number is less than every text, and every text less than every blob.
      return [`${column} >= x''`, `instr(${column}, char(0))`];
    case "INTEGER":
      return notIntegers(column);
    case "REAL":
    case "NUMERIC":
      return [isDelicateReal(column, affinity)];
    case "BLOB":
      return [`typeof(${column}) = 'text'`, isDelicateReal(column, affinity)];
  }
}

function* field(value: Value): Generator<string> {
  switch (value.type) {
    case "null":
      return;
    case "integer":
      return yield value.text;
    case "real":
      return yield realText(value);
    case "text":
      if (value.text !== null) return yield quoted(value.text);
  }
  // CSV has no form for invalid text, so its bytes are written.
  yield "X'";
  yield* hexParts(value.bytes);
  yield "'";
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/**
 * One JSON object on each line. Integers are written with all digits, reals with a point or an
 * exponent, and values that JSON lacks as an object: a blob as `{"hex":"0A1B"}`.
 */
export const jsonlFormat: RowFormat = {
  separator: "\n",
  textSql(columns) {
    const object = (value: (column: DumpColumn) => string) => {
      const members = columns.map((column) => `${quoteText(column.name)}, ${value(column)}`);
      return `json_object(${members.join(", ")})`;
    };
    return `iif(${IS_ROUNDING}, ${object(withAllDigits)}, ${object(valueSql)})`;
  },
  inexactSql(columns) {
    return columns.flatMap(({ name, affinity }) => {
      const column = quoteName(name);
      if (affinity === "INTEGER") return [`${column} <> CAST(${column} AS INTEGER)`];
      // Every number is less than every text, and every text less than every blob.
      const isBlob = `${column} >= x''`;
      return affinity === "TEXT" ? [isBlob] : [isBlob, isDelicateReal(column, affinity)];
    }).join(" OR ");
  },
  isSuspect: mayBeReplaced,
  *row(values, columns) {
    let before = "{";
    for (const [index, { name }] of columns.entries()) {
      yield `${before}${JSON.stringify(name)}:`;
      const value = values[index] ?? { type: "null" };
      const isMarked = value.type === "text" && value.text !== null && columns[index]?.isNumber;
      if (isMarked) yield `{"text":${JSON.stringify(value.text)}}`;
      else yield* member(value);
      before = ",";
    }
    yield "}";
  },
};

/** Whether this SQLite writes reals in JSON with only 15 digits, as older versions do. */
const IS_ROUNDING = "length(json_array(1.0 / 3.0)) < 20";

function valueSql({ name }: DumpColumn): string {
  const column = quoteName(name);
  // JSON has no blobs, and SQLite would fail; such a row is written separately.
  return `iif(${column} >= x'', NULL, ${column})`;
}

function withAllDigits(column: DumpColumn): string {
  if (column.affinity === "TEXT") return valueSql(column);
  const name = quoteName(column.name);
  return `iif(typeof(${name}) = 'real', json(quote(${name})), ${valueSql(column)})`;
}

function* member(value: Value): Generator<string> {
  switch (value.type) {
    case "null":
      return yield "null";
    case "integer":
      return yield value.text;
    case "real":
      return yield realText(value);
    case "text":
      if (value.text !== null) return yield JSON.stringify(value.text);
  }
  // JSON has no form for invalid text, so its bytes are written.
  yield '{"hex":"';
  yield* hexParts(value.bytes);
  yield '"}';
}

/**
 * Rows for a hash: as in SQL, except for reals. Versions of SQLite write the same real with
 * different digits, so each is written as an integer and a power of two to multiply it by; neither
 * is ever rounded.
 */
export const hashFormat: RowFormat = {
  ...sqlFormat,
  textSql: (columns) => textOfRow(columns, exactly),
  row: (values) => tuple(values, hashed),
};

function* hashed(value: Value): Generator<string> {
  if (value.type === "real") yield realDigits(value.number);
  else yield* literal(value);
}

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
