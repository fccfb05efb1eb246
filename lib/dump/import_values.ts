import type { SqlValue } from "../database/connection.ts";
import { shortened, type TargetColumn } from "./import_target.ts";

/**
 * A number as SQLite accepts it from text for a numeric column, with the white space that SQLite
 * recognises.
 */
const NUMBER = /^[\t-\r ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[\t-\r ]*$/i;

/** A number as JSON and SQL write it. Other digits, such as `007`, are treated as text. */
const PLAIN_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/**
 * The value of a CSV field; undefined if it is not a valid value for the column. Quotes only
 * distinguish empty text from NULL, and a text that looks like a blob from a blob.
 */
export function csvValue(
  text: string,
  isQuoted: boolean,
  column: TargetColumn,
): SqlValue | undefined {
  if (!isQuoted) {
    if (text === "") return null;
    const blob = blobOf(text);
    if (blob !== null) return blob;
  }
  switch (column.affinity) {
    case "TEXT":
      return text;
    case "BLOB":
      return !isQuoted && PLAIN_NUMBER.test(text) ? exactNumber(text) ?? text : text;
    default:
      return numericValue(text, column);
  }
}

/** How a dump writes infinite numbers. */
const INFINITE = /^-?9\.0e\+999$/;

/** The value of a text in a numeric column; undefined if it is not a number. */
function numericValue(text: string, column: TargetColumn): SqlValue | undefined {
  const { wantsNumber, takesTruth, affinity } = column;
  if (!NUMBER.test(text)) {
    if (!wantsNumber) return text;
    if (text === "") return null;
    // As an export marks a text in such a column.
    const marked = /^'((?:[^']|'')*)'$/.exec(text)?.[1];
    if (marked !== undefined) return marked.replaceAll("''", "'");
    const truth = takesTruth ? /^(true|false)$/i.exec(text)?.[1] : undefined;
    return truth === undefined ? undefined : truth.toLowerCase() === "true" ? 1 : 0;
  }
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  const exact = exactNumber(text);
  if (exact !== undefined) return exact;
  // Too large for a 64-bit integer: only valid in a column of doubles.
  return affinity === "REAL" && Number.isFinite(number) ? number : wantsNumber ? undefined : text;
}

/** Why {@link csvValue} found no value. */
export function notANumber(text: string, { name, type }: TargetColumn): string {
  const of = type === "" ? "" : ` (${type})`;
  return `column "${name}"${of}: "${shortened(text)}" is not a number`;
}

/** A blob is written as in SQL: `x'0a1b'`. */
function blobOf(text: string): Uint8Array | null {
  const isLiteral = text.charCodeAt(1) === 39 && /^x/i.test(text) && text.length > 2 &&
    text.endsWith("'");
  return isLiteral ? bytesOf(text.slice(2, -1)) : null;
}

function bytesOf(hex: string): Uint8Array | null {
  try {
    return Uint8Array.fromHex(hex);
  } catch {
    return null;
  }
}

/** A number as written; undefined if neither a 64-bit integer nor a double can hold it. */
function exactNumber(text: string): number | bigint | undefined {
  if (/^\s*[+-]?\d+\s*$/.test(text)) {
    // BigInt does not accept a plus sign.
    const integer = BigInt(text.replace("+", ""));
    return BigInt.asIntN(64, integer) === integer ? integer : undefined;
  }
  const number = Number(text);
  return Number.isFinite(number) || INFINITE.test(text) ? number : undefined;
}

/**
 * JSON.parse can report how a number was written, and keep it so; the type declarations lack this.
 */
interface RawJson {
  readonly rawJSON: string;
}
const { rawJSON } = JSON as unknown as { rawJSON(text: string): RawJson };

/** Parses a JSON text so that {@link jsonValue} can read each number exactly; slower. */
export function parseExactly(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" && context?.source !== undefined ? rawJSON(context.source) : value;
  return JSON.parse(text, reviver);
}

/**
 * The value of a JSON value; undefined if it requires {@link parseExactly}, or is not valid for the
 * column.
 */
export function jsonValue(value: unknown, column: TargetColumn): SqlValue | undefined {
  const { affinity, wantsNumber, takesTruth } = column;
  switch (typeof value) {
    case "string":
      return wantsNumber ? numericValue(value, column) : value;
    case "boolean":
      return wantsNumber && !takesTruth ? undefined : value ? 1n : 0n;
    case "number": {
      const isExact = (affinity === "REAL" && Number.isFinite(value)) ||
        (affinity !== "TEXT" && affinity !== "BLOB" &&
          (Number.isSafeInteger(value) || !Number.isInteger(value)));
      return isExact && Number.isFinite(value) ? value : undefined;
    }
    default:
      return value === null ? null : objectValue(value as object, column);
  }
}

function objectValue(value: object, { wantsNumber }: TargetColumn): SqlValue | undefined {
  if (wantsNumber && "text" in value && typeof value.text === "string") return value.text;
  if ("hex" in value && typeof value.hex === "string" && Object.keys(value).length === 1) {
    const bytes = bytesOf(value.hex);
    if (bytes !== null) return bytes;
  }
  return undefined;
}

/**
 * Like {@link jsonValue}, for a text parsed by {@link parseExactly}; undefined if it is not valid
 * for the column.
 */
export function exactJsonValue(value: unknown, column: TargetColumn): SqlValue | undefined {
  if (!isRaw(value)) {
    const found = jsonValue(value, column);
    if (found !== undefined || column.wantsNumber) return found;
    return value === null ? null : JSON.stringify(value);
  }
  const { rawJSON: text } = value;
  const exact = exactNumber(text);
  if (exact !== undefined) return exact;
  if (column.affinity === "TEXT") return text;
  const number = Number(text);
  return column.affinity === "REAL" && Number.isFinite(number) ? number : undefined;
}

function isRaw(value: unknown): value is RawJson {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}
