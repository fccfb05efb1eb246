import { needsExtension } from "../database/failure.ts";
import { quoteName, quoteText } from "../sql/tokens.ts";
import { type Connection, number, type Row, type SqlValue, text } from "../database/connection.ts";
import { type DumpColumn, type DumpTable, MOST_COLUMNS } from "./catalog.ts";

/** Some rows of a table by their row ids, inclusive. */
export interface RowRange {
  readonly first: number | bigint;
  readonly last: number | bigint;
}

/** Options for dividing a table. */
interface RangeOptions {
  /** Number of rows in a range. */
  readonly rows: number;
  /** Only these rows. Default: all. */
  readonly within?: RowRange | null;
}

const ALL_ROWS: RowRange = { first: -(2n ** 63n), last: 2n ** 63n - 1n };

/**
 * Divides the rows of a table into ranges, in order; null, for all rows, if there are no row ids.
 */
export async function* rangesOf(
  connection: Connection,
  { name, order }: DumpTable,
  { rows, within }: RangeOptions,
): AsyncGenerator<RowRange | null> {
  if (order.by === "columns") return yield null;
  const { first, last } = within ?? ALL_ROWS;
  const key = quoteName(order.name);
  const sql = `SELECT min(key) AS first, max(key) AS last
    FROM (
        SELECT ${key} AS key
        FROM main.${quoteName(name)} NOT INDEXED
        WHERE ${key} >= ? AND ${key} <= ?
        ORDER BY ${key}
        LIMIT ${rows}
    )`;
  for (let from = BigInt(first); from <= BigInt(last);) {
    const found = await connection.get(sql, [from, last]);
    if (!isKey(found?.["first"]) || !isKey(found["last"])) return;
    yield { first: found["first"], last: found["last"] };
    from = BigInt(found["last"]) + 1n;
  }
}

function isKey(value: SqlValue | undefined): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

/** Rows of a table, and how to write them. */
interface RowsJob extends Omit<RowsPart, "kind" | "format"> {
  readonly format: RowFormat;
}

/** Reads the rows of a range as text, in pieces of any length. */
export async function* readRows(
  connection: Connection,
  job: RowsJob,
  range: RowRange | null,
): AsyncGenerator<string> {
  const { table, opening, closing } = job;
  const isFast = !table.isSmall && job.encoding === "UTF-8" && table.columns.length <= MOST_COLUMNS;
  for await (
    const piece of rangesOf(connection, table, { rows: table.rowsPerPiece, within: range })
  ) {
    const fast = isFast && piece !== null ? await tryFast(connection, job, piece) : null;
    if (fast !== null) yield opening + fast + closing;
    else yield* readExactly(connection, job, piece);
  }
}

/** The fast way compares values, which may need a collation that only the bot has. */
async function tryFast(
  connection: Connection,
  job: RowsJob,
  range: RowRange,
): Promise<string | null> {
  try {
    return await readFast(connection, job, range);
  } catch (error) {
    if (needsExtension(error)) return null;
    throw error;
  }
}

/** Bytes of rows above which they are not all read at once. */
const LARGE = 8e6;

/** The rows of a range in one text, built by SQLite; null if that would not be exact. */
async function readFast(
  connection: Connection,
  { table, format }: RowsJob,
  range: RowRange,
): Promise<string | null> {
  const where = whereOf(table);
  const parameters = [range.first, range.last];
  if (table.hasLargeRows) {
    const lengths = table.columns.map(({ name }) => `ifnull(octet_length(${quoteName(name)}), 0)`);
    const found = await connection.get(
      `SELECT total(${lengths.join(" + ")}) AS bytes FROM main.${quoteName(table.name)} ${where}`,
      parameters,
    );
    if (found === undefined || number(found, "bytes") > LARGE) return null;
  }
  const row = await connection.get(
    `SELECT
        group_concat(${format.textSql(table.columns)}, ${quoteText(format.separator)}) AS text,
        count(*) FILTER (WHERE ${format.inexactSql(table.columns)}) AS inexact
    FROM main.${quoteName(table.name)} ${where}`,
    parameters,
  );
  if (row === undefined || number(row, "inexact") > 0) return null;
  const rows = text(row, "text");
  return format.isSuspect(rows) ? null : rows;
}

/** Characters after which a group of rows is complete, whatever its number of rows. */
const GROUP_LENGTH = 64_000;

async function* readExactly(
  connection: Connection,
  job: RowsJob,
  range: RowRange | null,
): AsyncGenerator<string> {
  const { table, format, opening, closing } = job;
  let rows = 0;
  let length = 0;
  for await (const values of readValues(connection, job, range)) {
    yield rows === 0 ? opening : format.separator;
    for (const part of format.row(values, table.columns)) {
      yield part;
      length += part.length;
    }
    rows++;
    if (rows < table.rowsPerPiece && length < GROUP_LENGTH) continue;
    yield closing;
    rows = length = 0;
  }
  if (rows > 0) yield closing;
}

/** Columns in one query, which needs three for each; SQLite's limit is 2,000. */
const COLUMNS_AT_ONCE = 600;

async function* readValues(
  connection: Connection,
  { table, encoding }: RowsJob,
  range: RowRange | null,
): AsyncGenerator<Value[]> {
  const parameters = range === null ? [] : [range.first, range.last];
  const readers = [];
  for (let at = 0; at < table.columns.length; at += COLUMNS_AT_ONCE) {
    const columns = table.columns.slice(at, at + COLUMNS_AT_ONCE);
    const sql = `SELECT ${exactColumns(columns)}
      FROM main.${quoteName(table.name)} ${range === null ? orderOf(table) : whereOf(table)}`;
    const read = valueReader(columns, encoding);
    readers.push({ read, rows: connection.iterate(sql, parameters)[Symbol.asyncIterator]() });
  }
  const [first, ...others] = readers;
  if (first === undefined) return;
  try {
    for (;;) {
      const found = await first.rows.next();
      if (found.done) return;
      const values = first.read(found.value);
      for (const { read, rows } of others) {
        const more = await rows.next();
        if (!more.done) values.push(...read(more.value));
      }
      yield values;
    }
  } finally {
    for (const { rows } of readers) await rows.return?.();
  }
}

/** Neither an index nor anything else may change the order of the rows. */
function whereOf({ order }: DumpTable): string {
  if (order.by === "columns") return "";
  const key = quoteName(order.name);
  return `NOT INDEXED WHERE ${key} >= ? AND ${key} <= ?`;
}

function orderOf({ order }: DumpTable): string {
  if (order.by === "rowid") return `ORDER BY ${quoteName(order.name)}`;
  return order.names.length === 0 ? "" : `ORDER BY ${order.names.map(quoteName).join(", ")}`;
}

/** Which content of a database to write. */
export type DumpContent = "all" | "schema" | "data";

/** A part of a dump. */
export type DumpPart =
  | { readonly kind: "text"; readonly text: string }
  | RowsPart;

/** The rows of a table, in pieces that each stand between an opening and a closing text. */
export interface RowsPart {
  readonly kind: "rows";
  readonly table: DumpTable;
  readonly format: RowFormatName;
  /** Encoding of the database, such as `UTF-8`. */
  readonly encoding: string;
  readonly opening: string;
  readonly closing: string;
}

/** Formats of rows; `hash` is only for the hash of a database's content. */
export type RowFormatName = "sql" | "csv" | "jsonl" | "hash";

/**
 * How to write a row. In the fast way SQLite itself builds the text of many rows at once; `row`
 * writes the few values with which it can't.
 */
export interface RowFormat {
  /** Text between two rows. */
  readonly separator: string;
  /** SQL expression for a row's text. */
  textSql(columns: readonly DumpColumn[]): string;
  /** SQL condition for rows that `textSql` would not write exactly. */
  inexactSql(columns: readonly DumpColumn[]): string;
  /** Whether a text of rows, as read, may have lost something. */
  isSuspect(text: string): boolean;
  /** The text of one row, in parts. */
  row(values: readonly Value[], columns: readonly DumpColumn[]): Iterable<string>;
}

/** A value, exactly as in SQLite. */
export type Value =
  | { readonly type: "null" }
  /** As SQLite writes it. */
  | { readonly type: "integer"; readonly text: string }
  /** As SQLite writes it, such as `1.0` or `9.0e+999`, and the number itself, which may be -0. */
  | { readonly type: "real"; readonly text: string; readonly number: number }
  /**
   * The bytes are in the encoding of the database; the text is null if they are not valid in it.
   */
  | { readonly type: "text"; readonly bytes: Uint8Array; readonly text: string | null }
  | { readonly type: "blob"; readonly bytes: Uint8Array };

/** Reads the values of a row, selected with {@link exactColumns}. */
type ValueReader = (row: Row) => Value[];

/** Makes a reader for a database with an encoding, such as `UTF-16le`. */
export function valueReader(columns: readonly DumpColumn[], encoding: string): ValueReader {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true });
  const isUtf8 = encoding === "UTF-8";
  const decode = (bytes: Uint8Array): string | null => {
    try {
      const text = decoder.decode(bytes);
      // When SQLite converts UTF-8 to UTF-16, it replaces these two, although they are valid.
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
      const number = Number(row[`n${index}`]);
      // Some versions of SQLite write `Inf`, which none of them can read.
      const text = Number.isFinite(number) ? value : `${number < 0 ? "-" : ""}9.0e+999`;
      return { type: "real", text, number };
    });
}

/**
 * The columns of a query whose rows give each value exactly: text is read as bytes, because Deno
 * reads a text only up to a NUL, and replaces invalid parts.
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
