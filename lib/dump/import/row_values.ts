import type { SqlValue } from "../../database/connection.ts";
import { shortened, type TargetColumn } from "../import_target.ts";

/** A number as SQLite takes it from text for a column of numbers; only this white space is any to it. */
const NUMBER = /^[\t-\r ]*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?[\t-\r ]*$/i;

/** A number as JSON and SQL write it. What else looks like one, such as `007`, is rather a text. */
const PLAIN_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/** What a field of a CSV file stands for; undefined where it is not a value for the column. */
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
      return !isQuoted && PLAIN_NUMBER.test(text) ? exactNumber(text) : text;
    default:
      if (NUMBER.test(text)) return storedNumber(text);
      return isQuoted || !column.wantsNumber ? text : undefined;
  }
}

/** Why {@link csvValue} found no value. */
export function notANumber(text: string, { name, type }: TargetColumn): string {
  return `column "${name}" (${type}): "${shortened(text)}" is not a number`;
}

/** A blob is written as SQL writes it: `x'0a1b'`. */
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

/**
 * A number for a column of numbers, which makes integers of what has no fraction: bound as a double
 * where that is exact, which is quicker.
 */
function storedNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) || !Number.isInteger(number) ? number : exactNumber(text);
}

/** An integer, if it is written as one and SQLite has room for it; else a double. */
function exactNumber(text: string): number | bigint {
  if (/^\s*[+-]?\d+\s*$/.test(text)) {
    // BigInt takes no plus sign.
    const integer = BigInt(text.replace("+", ""));
    if (BigInt.asIntN(64, integer) === integer) return integer;
  }
  return Number(text);
}

/** JSON.parse tells of a number how it was written, and keeps it so; the type declarations lack it. */
interface RawJson {
  readonly rawJSON: string;
}
const { rawJSON } = JSON as unknown as { rawJSON(text: string): RawJson };

/** Parses a JSON text so that {@link jsonValue} can tell each number exactly; takes longer. */
export function parseExactly(text: string): unknown {
  const reviver = (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" && context?.source !== undefined ? rawJSON(context.source) : value;
  return JSON.parse(text, reviver);
}

/**
 * What a value of a JSON object stands for; undefined where that can be told only of a text that is
 * parsed by {@link parseExactly}.
 */
export function jsonValue(value: unknown, { affinity }: TargetColumn): SqlValue | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
      return value ? 1n : 0n;
    case "number": {
      const isExact = affinity === "REAL" ||
        (affinity !== "TEXT" && affinity !== "BLOB" &&
          (Number.isSafeInteger(value) || !Number.isInteger(value)));
      return isExact ? value : undefined;
    }
    default:
      return value === null ? null : objectValue(value as object);
  }
}

function objectValue(value: object): SqlValue | undefined {
  if ("hex" in value && typeof value.hex === "string" && Object.keys(value).length === 1) {
    const bytes = bytesOf(value.hex);
    if (bytes !== null) return bytes;
  }
  return undefined;
}

/** As {@link jsonValue}, of a text that was parsed by {@link parseExactly}. */
export function exactJsonValue(value: unknown, column: TargetColumn): SqlValue {
  if (isRaw(value)) return exactNumber(value.rawJSON);
  return jsonValue(value, column) ?? (value === null ? null : JSON.stringify(value));
}

function isRaw(value: unknown): value is RawJson {
  return (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}
