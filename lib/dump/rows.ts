import { needsExtension } from "../database/failure.ts";
import { quoteName, quoteText } from "../sql/tokens.ts";
import { type Connection, number, type SqlValue, text } from "../database/connection.ts";
import { exactColumns, type RowFormat, type Value, valueReader } from "./row.ts";
import { type DumpTable, MOST_COLUMNS } from "./catalog.ts";

/** Some rows of a table by their row ids, both included. */
export interface RowRange {
  readonly first: number | bigint;
  readonly last: number | bigint;
}

/** How to divide a table. */
interface RangeOptions {
  /** Number of rows in a range. */
  readonly rows: number;
  /** Only these rows. Default: all. */
  readonly within?: RowRange | null;
}

const ALL_ROWS: RowRange = { first: -(2n ** 63n), last: 2n ** 63n - 1n };

/** Divides the rows of a table into ranges, in order; null, for all, where they have no row ids. */
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

/** Rows of a table, and how they are written. */
interface RowsJob {
  readonly table: DumpTable;
  readonly format: RowFormat;
  /** Encoding of the database, such as `UTF-8`. */
  readonly encoding: string;
  /** Stands before a group of rows of about 64 KB. */
  readonly opening: string;
  /** Stands behind it. */
  readonly closing: string;
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

/** Comparing values, as the quick way does, may need a collation that only the bot has. */
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

/** The rows of a range in one text, built by SQLite; null where that would not be exact. */
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

/** Characters after which a group of rows is complete, however many it has. */
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

/** Columns that are read by one query, which takes three for each; SQLite has 2,000 at most. */
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

/** Neither an index nor any other thing must change the order in which the rows come. */
function whereOf({ order }: DumpTable): string {
  if (order.by === "columns") return "";
  const key = quoteName(order.name);
  return `NOT INDEXED WHERE ${key} >= ? AND ${key} <= ?`;
}

function orderOf({ order }: DumpTable): string {
  if (order.by === "rowid") return `ORDER BY ${quoteName(order.name)}`;
  return order.names.length === 0 ? "" : `ORDER BY ${order.names.map(quoteName).join(", ")}`;
}
