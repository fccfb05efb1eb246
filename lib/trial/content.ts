import { type Affinity, affinityOf } from "../schema/model.ts";
import { countRowsOf, readColumns } from "../schema/tables.ts";
import { createYielder } from "../base/event_loop.ts";
import type { Connection, SqlValue } from "../database/connection.ts";
import { fold, quoteName, rowIdName } from "../sql/tokens.ts";

/** What to read from a table. */
export interface ContentQuestion {
  readonly table: string;
  /** Columns whose values are read, folded. With none, only the rows are counted. */
  readonly columns: readonly string[];
}

/** The content of a table at one point. */
export interface TableContent {
  readonly rows: number;
  /** SHA-256 of the values in row order; empty if no columns were requested. */
  readonly digest: string;
}

/** Rows to read at once. */
const PIECE_ROWS = 1000;

/** Bytes of a row's values above which it is read alone, so that a batch fits into memory. */
const LARGE = 65_536;

/** Minimum limit of SQLite for a function's arguments. */
const MOST_ARGUMENTS = 100;

/**
 * Reads some columns of a table, exactly. SQLite combines many rows into one blob, each value with
 * its type and, if it is text, its length. This is several times faster than fetching every value.
 */
export async function readContent(
  connection: Connection,
  { table, columns }: ContentQuestion,
): Promise<TableContent> {
  const name = `main.${quoteName(table)}`;
  const rows = await countRowsOf(connection, table);
  if (columns.length === 0 || rows === 0) return { rows, digest: "" };
  const shape = await shapeOf(connection, table);
  // By name: a rebuild may change their order.
  const wanted = shape.columns.filter(({ name }) => columns.includes(fold(name)))
    .toSorted((a, b) => fold(a.name) < fold(b.name) ? -1 : 1);
  // Generated columns are derived from others, which are read.
  if (wanted.length === 0) return { rows, digest: "" };
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const yielder = createYielder();
  const add = async (bytes: SqlValue | undefined) => {
    if (bytes instanceof Uint8Array) hash.update(bytes);
    await yielder();
  };
  const single = `SELECT CAST(${rowText(wanted)} AS BLOB) AS bytes FROM ${name} NOT INDEXED`;
  if (shape.rowid === null) {
    for await (const row of connection.iterate(single)) await add(row["bytes"]);
    return { rows, digest: hash.digest("hex") };
  }
  const key = quoteName(shape.rowid);
  const piece = `SELECT
      max(k) AS last,
      total(octet_length(v) >= ${LARGE}) AS large,
      CAST(group_concat(iif(octet_length(v) < ${LARGE}, v, NULL), '') AS BLOB) AS bytes
    FROM (
      SELECT ${key} AS k, ${rowText(wanted)} AS v
      FROM ${name} NOT INDEXED
      WHERE ${key} > ?
      ORDER BY ${key}
      LIMIT ${PIECE_ROWS}
    )`;
  // Less than every integer, since even the smallest may be a row id.
  for (let from: SqlValue = -1e300;;) {
    const found = await connection.get(piece, [from]);
    const last: SqlValue = found?.["last"] ?? null;
    if (found === undefined || last === null) break;
    if (found["large"] === 0) await add(found["bytes"]);
    else {
      const each = connection.iterate(
        `${single} WHERE ${key} > ? AND ${key} <= ? ORDER BY ${key}`,
        [from, last],
      );
      for await (const row of each) await add(row["bytes"]);
    }
    from = last;
  }
  return { rows, digest: hash.digest("hex") };
}

/** A stored column. */
interface Column {
  readonly name: string;
  readonly affinity: Affinity;
}

/** The stored columns of a table, and a name for its row id; null if it has none. */
async function shapeOf(
  connection: Connection,
  table: string,
): Promise<{ readonly columns: readonly Column[]; readonly rowid: string | null }> {
  const listed = await connection.get(
    "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?",
    [table],
  );
  const columns = await readColumns(connection, table);
  const rowid = rowIdName(columns.map(({ name }) => name));
  return {
    columns: columns.filter(({ kind }) => kind === "ordinary").map(({ name, type }) => ({
      name,
      affinity: affinityOf(type, listed?.["strict"] === 1),
    })),
    rowid: listed?.["wr"] === 0 ? rowid : null,
  };
}

/** A row's values, separated by commas and ending with a line break. */
function rowText(columns: readonly Column[]): string {
  const values = columns.flatMap(valueTexts);
  const parts: string[] = [];
  for (let at = 0; at < values.length; at += MOST_ARGUMENTS) {
    parts.push(`concat_ws(',', ${values.slice(at, at + MOST_ARGUMENTS).join(", ")})`);
  }
  return `${parts.join(" || ',' || ")} || char(10)`;
}

/**
 * Texts that represent a value exactly. A text is preceded by its length instead of being quoted.
 */
function valueTexts({ name, affinity }: Column): string[] {
  const column = quoteName(name);
  switch (affinity) {
    case "TEXT": // every text is less than every blob; a NULL length is left out
      return [`octet_length(${column})`, `iif(${column} < x'', ${column}, quote(${column}))`];
    case "INTEGER":
      return [exactText(column, `WHEN 'integer' THEN ${column}`)];
    default:
      return [`iif(${column} IS NULL, 'N', ${exactText(column, "")})`];
  }
}

/** SQLite's `quote` truncates a text at a NUL. */
function exactText(column: string, first: string): string {
  return `CASE typeof(${column})
    ${first}
    WHEN 'text' THEN octet_length(${column}) || ':' || ${column}
    ELSE quote(${column})
  END`;
}
