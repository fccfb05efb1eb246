import { quoteName, quoteText } from "../sql/tokens.ts";
import {
  hexParts,
  isDelicateReal,
  mayBeReplaced,
  realText,
  type RowFormat,
  type Value,
} from "./row.ts";
import type { DumpColumn } from "./catalog.ts";

/**
 * One JSON object on each line. Integers are written with all their digits, reals with a point or an
 * exponent, and what JSON has no word for as an object: a blob as `{"hex":"0A1B"}`.
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
      yield* member(values[index] ?? { type: "null" });
      before = ",";
    }
    yield "}";
  },
};

/** Whether this SQLite writes reals in JSON with 15 digits, which are too few, as older ones do. */
const IS_ROUNDING = "length(json_array(1.0 / 3.0)) < 20";

function valueSql({ name }: DumpColumn): string {
  const column = quoteName(name);
  // JSON has no blobs, and SQLite would fail; such a row is written in another way.
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
  // There is no JSON for text that isn't valid; so its bytes are kept.
  yield '{"hex":"';
  yield* hexParts(value.bytes);
  yield '"}';
}
