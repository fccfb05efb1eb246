import { quoteName } from "../sql/tokens.ts";
import {
  hexParts,
  isDelicateReal,
  mayBeReplaced,
  notIntegers,
  realText,
  type RowFormat,
  type Value,
} from "./row.ts";
import type { DumpColumn } from "./catalog.ts";

/**
 * Comma-separated values by RFC 4180, with line feeds. Text is always in quotes and nothing else ever
 * is, so that NULL and the empty text, or 1 and '1', stay apart. Blobs are as in SQL: `X'0A1B'`.
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
  *row(values) {
    let before = "";
    for (const value of values) {
      yield before;
      yield* field(value);
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
      // To look for a quote is cheaper than to replace none.
      return [quote, `iif(instr(${column}, '"'), replace(${column}, '"', '""'), ${column})`, quote];
    }
    case "INTEGER":
      return [column];
    default:
      return [`iif(${column} IS NULL, '', quote(${column}))`];
  }
}

/** Conditions for values that need more care than {@link fields} takes. */
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
  // There is no CSV for text that isn't valid; so its bytes are kept.
  yield "X'";
  yield* hexParts(value.bytes);
  yield "'";
}

function quoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}
