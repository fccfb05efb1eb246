import type { Affinity } from "../schema/model.ts";
import type { DumpColumn } from "./table.ts";
import type { Value } from "./value.ts";

/** Formats in which rows are written; `hash` is only for the hash of what a database says. */
export type RowFormatName = "sql" | "csv" | "jsonl" | "hash";

/**
 * How a row is written. SQLite itself builds the text of many rows at once, which is the fast way; for
 * the few values with which it can't, `row` does it.
 */
export interface RowFormat {
  /** What is between two rows. */
  readonly separator: string;
  /** SQL expression that is a row's text. */
  textSql(columns: readonly DumpColumn[]): string;
  /** SQL condition that holds for rows of which `textSql` would lose something. */
  inexactSql(columns: readonly DumpColumn[]): string;
  /** Whether a text of rows, as it was read, may have lost something. */
  isSuspect(text: string): boolean;
  /** The text of one row, in parts. */
  row(values: readonly Value[], columns: readonly DumpColumn[]): Iterable<string>;
}

/** What stands in a text where bytes were that are no UTF-8. */
const REPLACEMENT = "\uFFFD";

/** Whether a text may be the work of a decoder that met bytes which are no UTF-8. */
export function mayBeReplaced(text: string): boolean {
  return text.includes(REPLACEMENT);
}

/**
 * SQL condition for reals that SQLite doesn't write as exactly as JavaScript reads them. Some versions
 * get the last digit wrong where the exponent is far from zero; and none writes the sign of -0.0,
 * which only a column without a type keeps.
 */
export function isDelicateReal(column: string, affinity: Affinity): string {
  if (affinity === "BLOB") {
    return `(typeof(${column}) = 'real' AND abs(${column}) NOT BETWEEN 1e-30 AND 1e30)`;
  }
  // A text or a blob, which such a column rarely has, is greater than every number.
  // The first comparison decides for most numbers, and for NULL.
  return `(${column} NOT BETWEEN 1e-30 AND 1e30 AND ${column} <> 0 AND ` +
    `${column} NOT BETWEEN -1e30 AND -1e-30)`;
}

/**
 * SQL conditions for what is no integer in a column of integers. The one real that SQLite leaves one,
 * though it is whole, is -2^63.
 */
export function notIntegers(column: string): string[] {
  return [`${column} <> CAST(${column} AS INTEGER)`, `${column} < -9223372036854775807`];
}

/** Whether SQLite may not have written a number as it is. */
export function isDelicate(number: number): boolean {
  const size = Math.abs(number);
  return size === 0 ? Object.is(number, -0) : size < 1e-30 || (size > 1e30 && size < Infinity);
}

/** A real with a point or an exponent, of which the same number is made again. */
export function realText({ number, text }: Value & { type: "real" }): string {
  if (!isDelicate(number)) return text;
  return Object.is(number, -0) ? "-0.0" : number.toExponential();
}

/** Characters of hexadecimal digits that are written at once. */
const HEX_PART = 1 << 16;

/** Bytes as hexadecimal digits, in parts. */
export function* hexParts(bytes: Uint8Array): Generator<string> {
  for (let at = 0; at < bytes.length; at += HEX_PART / 2) {
    yield bytes.subarray(at, at + HEX_PART / 2).toHex().toUpperCase();
  }
}
