import { quoteName } from "../sql/tokens.ts";
import type { Row } from "../database/connection.ts";
import type { DumpColumn } from "./table.ts";

/** A value, exactly as SQLite has it. */
export type Value =
  | { readonly type: "null" }
  /** As SQLite writes it. */
  | { readonly type: "integer"; readonly text: string }
  /** As SQLite writes it, such as `1.0` or `9.0e+999`, and the number itself, which may be -0. */
  | { readonly type: "real"; readonly text: string; readonly number: number }
  /** The bytes are in the encoding of the database; the text is null where they aren't valid in it. */
  | { readonly type: "text"; readonly bytes: Uint8Array; readonly text: string | null }
  | { readonly type: "blob"; readonly bytes: Uint8Array };

/** Makes of a row, selected by {@link exactColumns}, its values. */
export type ValueReader = (row: Row) => Value[];

/** Makes a reader for a database of an encoding, such as `UTF-16le`. */
export function valueReader(columns: readonly DumpColumn[], encoding: string): ValueReader {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  const isUtf8 = encoding === "UTF-8";
  const decode = (bytes: Uint8Array): string | null => {
    try {
      const text = decoder.decode(bytes);
      // Where SQLite makes UTF-16 of UTF-8, it replaces these two, although they are valid.
      return !isUtf8 && /[\uFFFE\uFFFF]/.test(text) ? null : text;
    } catch {
      return null;
    }
  };
  return (row) =>
    columns.map((_, index): Value => {
      const type = row[`t${index}`];
      const value = row[`v${index}`];
      if (value instanceof Uint8Array) {
        if (type !== "text") return { type: "blob", bytes: value };
        return { type, bytes: value, text: decode(value) };
      }
      if (type === "null" || typeof value !== "string") return { type: "null" };
      if (type === "integer") return { type, text: value };
      return { type: "real", text: value, number: Number(row[`n${index}`]) };
    });
}

/**
 * The columns of a query whose rows tell each value exactly: text comes as its bytes, since Deno reads
 * a text only up to a NUL, and replaces what is not valid.
 */
export function exactColumns(columns: readonly DumpColumn[]): string {
  return columns.map(({ name }, index) => {
    const column = quoteName(name);
    const type = `typeof(${column}) AS t${index}`;
    const value = `CASE typeof(${column})
        WHEN 'text' THEN CAST(${column} AS BLOB)
        WHEN 'blob' THEN ${column}
        ELSE quote(${column})
    END AS v${index}`;
    const number = `iif(typeof(${column}) = 'real', ${column}, NULL) AS n${index}`;
    return [type, value, number].join(", ");
  }).join(", ");
}
