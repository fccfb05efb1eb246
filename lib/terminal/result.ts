/**
 * Formats rows as a table, CSV, JSON or Markdown. Pure functions.
 *
 * @module
 */
import { formatDate } from "../base/format.ts";
import { printable, renderTable, visibleWidth } from "./text.ts";
import type { SqlValue } from "../database/connection.ts";

/** Names of the formats. */
export const resultFormats = ["table", "csv", "json", "jsonl", "markdown"] as const;

/** A format for rows. */
export type ResultFormat = (typeof resultFormats)[number];

/** Rows of a query. */
export interface ResultRows {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
}

/** Options for formatting rows. */
export interface ResultOptions {
  readonly format: ResultFormat;
  /** Cells of a line of a table. Default: as many as needed. */
  readonly width?: number;
  /** Whether to write values as stored in tables, too. Default `false`. */
  readonly raw?: boolean;
  /** Styles a NULL in a table. Default: no style. */
  readonly dim?: (text: string) => string;
}

/** Formats rows; the text has no line break at its end. */
export function formatResult(result: ResultRows, options: ResultOptions): string {
  const { columns, rows } = result;
  switch (options.format) {
    case "csv":
      return [columns.map(csvText), ...rows.map((row) => row.map(csvValue))]
        .map((fields) => fields.join(",")).join("\n");
    case "json":
      return rows.length === 0
        ? "[]"
        : `[\n${rows.map((row) => `  ${jsonObject(uniqueNames(columns), row)}`).join(",\n")}\n]`;
    case "jsonl":
      return rows.map((row) => jsonObject(uniqueNames(columns), row)).join("\n");
    case "markdown":
      return markdown(result, options);
    case "table":
      return table(result, options);
  }
}

function csvText(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** As `export` does: only text is in quotes, which distinguishes NULL from empty text. */
function csvValue(value: SqlValue): string {
  if (value === null) return "";
  if (typeof value === "string") return csvText(value);
  return value instanceof Uint8Array ? `X'${value.toHex().toUpperCase()}'` : numberText(value);
}

function numberText(value: number | bigint): string {
  if (value === Infinity) return "9e999";
  return value === -Infinity ? "-9e999" : String(value);
}

/** A value in a JSON document. A BLOB is an object with its bytes in hexadecimal. */
export type JsonCell = Exclude<SqlValue, Uint8Array> | { readonly hex: string };

/** Rows as objects. Repeated column names get a number, because the keys of an object are unique. */
export function rowObjects({ columns, rows }: ResultRows): Record<string, JsonCell>[] {
  const names = uniqueNames(columns);
  return rows.map((row) =>
    Object.fromEntries(names.map((name, at) => {
      const value = row[at] ?? null;
      return [name, value instanceof Uint8Array ? { hex: value.toHex().toUpperCase() } : value];
    }))
  );
}

function uniqueNames(columns: readonly string[]): string[] {
  return columns.map((name, at) => {
    const earlier = columns.slice(0, at).filter((other) => other === name).length;
    return earlier === 0 ? name : `${name}:${earlier}`;
  });
}

function jsonObject(names: readonly string[], row: readonly SqlValue[]): string {
  const members = names.map((name, at) => `${JSON.stringify(name)}: ${jsonValue(row[at] ?? null)}`);
  return `{${members.join(", ")}}`;
}

function jsonValue(value: SqlValue): string {
  if (value instanceof Uint8Array) return `{"hex": "${value.toHex().toUpperCase()}"}`;
  return typeof value === "string"
    ? JSON.stringify(value)
    : value === null
    ? "null"
    : numberText(value);
}

/** Readable text of a value: times as UTC, reals without their last, inexact digits. */
function cellText(value: SqlValue, column: string, raw: boolean): string {
  if (value === null) return "NULL";
  if (typeof value === "string") return printable(value);
  if (value instanceof Uint8Array) return `X'${value.toHex().toUpperCase()}'`;
  if (raw) return numberText(value);
  if (typeof value === "number" && isTime(column, value)) return formatDate(value);
  return typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(12)))
    : numberText(value);
}

/** By convention, integers in columns `*_at` and `*_time` are epoch seconds; small ones are durations. */
function isTime(column: string, value: number): boolean {
  return /_(at|time)$/i.test(column) && Number.isInteger(value) && value >= 1e8 && value < 1e11;
}

function markdown({ columns, rows }: ResultRows, { raw = false }: ResultOptions): string {
  const escape = (text: string): string => text.replace(/[\\|`*_<>[\]]/g, "\\$&");
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const isNumber = numberColumns({ columns, rows });
  return [
    line(columns.map((name) => escape(printable(name)))),
    line(isNumber.map((is) => is ? "---:" : "---")),
    ...rows.map((row) =>
      line(row.map((value, at) => escape(cellText(value, columns[at] ?? "", raw))))
    ),
  ].join("\n");
}

/** Which columns hold only numbers, apart from times. */
function numberColumns({ columns, rows }: ResultRows): boolean[] {
  return columns.map((_, at) => {
    const values = rows.map((row) => row[at] ?? null).filter((value) => value !== null);
    return values.length > 0 &&
      values.every((value) => typeof value === "number" || typeof value === "bigint");
  });
}

const GAP = 2;
const NARROWEST = 8;

/**
 * A table within the width of the terminal: wide columns are cut, with `…` at the cut. If even narrow
 * columns do not fit, each row becomes a block with one line for each column.
 */
function table(result: ResultRows, options: ResultOptions): string {
  const { raw = false, width = Infinity, dim = (text) => text } = options;
  const columns = result.columns.map(printable);
  const cells = result.rows.map((row) =>
    row.map((value, at) => cellText(value, result.columns[at] ?? "", raw))
  );
  const widest = columns.map((_, at) =>
    cells.reduce((most, row) => Math.max(most, visibleWidth(row[at] ?? "")), 0)
  );
  const paint = (text: string, row: number, at: number): string =>
    (result.rows[row]?.[at] ?? null) === null ? dim(text) : text;
  const widths = fit(
    columns.map((name, at) => ({ header: name, data: widest[at] ?? 0 })),
    width - GAP * (columns.length - 1),
  );
  if (widths === null) {
    return blocks(columns, cells, { width, paint });
  }
  const headers = columns.map((name, at) => breakName(name, widths[at] ?? 0));
  const height = headers.reduce((most, { length }) => Math.max(most, length), 1);
  return renderTable([
    ...Array.from({ length: height }, (_, line) =>
      // Short names are aligned at the bottom.
      headers.map((parts) => parts[line - height + parts.length] ?? "")),
    widths.map((one) => "-".repeat(one)),
    ...cells.map((row, index) =>
      row.map((text, at) => paint(shorten(text, widths[at] ?? 0), index, at))
    ),
  ], { align: numberColumns(result).map((is) => is ? "right" : "left") });
}

/** Breaks a name into lines after underscores. */
function breakName(name: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of name.match(/[^_]*_+|[^_]+$/g) ?? [name]) {
    const last = lines.at(-1);
    if (last !== undefined && visibleWidth(last + part) <= width) {
      lines[lines.length - 1] = last + part;
    } else lines.push(part);
  }
  return lines;
}

/**
 * Widths of columns that fit the line: names are broken first, then the widest columns are cut. Null if
 * they would become too narrow.
 */
function fit(
  columns: readonly { readonly header: string; readonly data: number }[],
  room: number,
): number[] | null {
  const widths = columns.map(({ header, data }) => Math.max(visibleWidth(header), data));
  const broken = columns.map(({ header, data }) =>
    Math.max(data, ...breakName(header, 0).map(visibleWidth))
  );
  return shrink(widths, { room, least: broken }) ??
    shrink(broken, { room, least: broken.map((one) => Math.min(one, NARROWEST)) });
}

/** Shrinks the widest columns until all fit, none below its minimum; null if that is impossible. */
function shrink(
  widths: readonly number[],
  { room, least }: { readonly room: number; readonly least: readonly number[] },
): number[] | null {
  if (least.reduce((a, b) => a + b, 0) > room) return null;
  const result = [...widths];
  let excess = result.reduce((a, b) => a + b, 0) - room;
  while (excess > 0) {
    let widest = -1;
    for (const [at, one] of result.entries()) {
      if (one > (least[at] ?? 0) && one > (result[widest] ?? 0)) widest = at;
    }
    result[widest] = (result[widest] ?? 0) - 1;
    excess--;
  }
  return result;
}

function shorten(text: string, width: number): string {
  if (visibleWidth(text) <= width) return text;
  let kept = "";
  for (const character of text) {
    if (visibleWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

function blocks(
  columns: readonly string[],
  cells: readonly (readonly string[])[],
  { width, paint }: {
    readonly width: number;
    readonly paint: (text: string, row: number, at: number) => string;
  },
): string {
  const label = columns.reduce((most, name) => Math.max(most, visibleWidth(name)), 0);
  const room = Math.max(NARROWEST, width - label - GAP);
  return cells.map((row, index) =>
    renderTable(
      row.map((text, at) => [columns[at] ?? "", paint(shorten(text, room), index, at)]),
    )
  ).join("\n\n");
}
