/**
 * Reads the tables of a database: their names, columns and numbers of rows.
 *
 * @module
 */
import { type Connection, number, type Row, text, textOrNull } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import { MARKER_TABLE } from "../migration/migration.ts";

/** Number of rows of every table with rows, and of virtual tables known to store their own. */
export async function countRows(connection: Connection): Promise<Map<string, number>> {
  const rows = new Map<string, number>();
  for (const { name, store } of await usersTables(connection)) {
    if (store === null) continue;
    rows.set(name, await countRowsOf(connection, store));
  }
  return rows;
}

/** Number of rows of a table, even if the collation of an index is missing. */
export async function countRowsOf(connection: Connection, table: string): Promise<number> {
  // A temporary table may have the same name.
  const name = `main.${quoteName(table)}`;
  for (const from of [name, `${name} NOT INDEXED`]) {
    try {
      const count = await connection.get(`SELECT count(*) AS rows FROM ${from}`);
      return count === undefined ? 0 : number(count, "rows");
    } catch (error) {
      if (!needsExtension(error)) throw error;
    }
  }
  // In a table WITHOUT ROWID each cell is a row, on every page.
  const cells = await connection.get(
    "SELECT total(ncell) AS rows FROM dbstat WHERE name = ? AND pagetype <> 'overflow'",
    [table],
  );
  return cells === undefined ? 0 : number(cells, "rows");
}

/** A user table. */
interface UsersTable {
  /** Its name. */
  readonly name: string;
  /** Kind of the table. */
  readonly type: "table" | "virtual";
  /**
   * Name of the table that stores its rows; for full-text search and R-Tree a shadow table. Null if
   * unknown, or if the rows belong to another table, as for an external-content index.
   */
  readonly store: string | null;
}

/** Names of the tables in which virtual tables store their data. */
export async function shadowTables(connection: Connection): Promise<Set<string>> {
  const rows = await connection.all(
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'",
  );
  return new Set(rows.map((row) => text(row, "name")));
}

/** The user tables, without SQLite's internal tables, shadow tables and the markers. */
export async function usersTables(connection: Connection): Promise<UsersTable[]> {
  const tables = await connection.all(
    `SELECT name, type, iif(type = 'table', name, (
        SELECT inside.name
        FROM main.sqlite_schema AS inside
        WHERE inside.type = 'table'
            AND inside.name COLLATE NOCASE IN (list.name || '_content', list.name || '_rowid')
    )) AS store
    FROM pragma_table_list AS list
    WHERE schema = 'main' AND type IN ('table', 'virtual')
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> ?`,
    [MARKER_TABLE],
  );
  return tables.map((table) => ({
    name: text(table, "name"),
    type: table["type"] === "virtual" ? "virtual" : "table",
    store: textOrNull(table, "store"),
  }));
}

/** A column of a table, a virtual table or a view. */
interface TableColumn {
  readonly name: string;
  /** Its declared type; empty if it has none. */
  readonly type: string;
  readonly notNull: boolean;
  /** SQL of its default; null if it has none. */
  readonly default: string | null;
  /** Position in the primary key, starting at 1; 0 if it is not part of it. */
  readonly primaryKey: number;
  /** `hidden` is a column of a virtual table that `SELECT *` omits. */
  readonly kind: "ordinary" | "hidden" | "virtual" | "stored";
}

const COLUMN_KINDS = ["ordinary", "hidden", "virtual", "stored"] as const;

/** Options of {@link readColumns}. */
interface ReadColumnsOptions {
  /** Name of the schema; null for the one that SQLite finds the table in. Default `main`. */
  readonly schema?: string | null;
}

/** The columns of a table in order; none if the table or its module is missing. */
export async function readColumns(
  connection: Pick<Connection, "all">,
  table: string,
  { schema = "main" }: ReadColumnsOptions = {},
): Promise<TableColumn[]> {
  const rows = await connection.all(
    `SELECT name, type, "notnull", dflt_value, pk, hidden
    FROM pragma_table_xinfo(?, ?) ORDER BY cid`,
    [table, schema],
  ).catch((error: unknown): readonly Row[] => {
    if (needsExtension(error)) return [];
    throw error;
  });
  return rows.map((row) => ({
    name: text(row, "name"),
    type: text(row, "type"),
    notNull: row["notnull"] === 1,
    default: textOrNull(row, "dflt_value"),
    primaryKey: number(row, "pk"),
    kind: COLUMN_KINDS[number(row, "hidden")] ?? "ordinary",
  }));
}
