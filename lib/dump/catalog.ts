import { type Affinity, affinityOf, isNumberColumn } from "../schema/model.ts";
import { readColumns, shadowTables } from "../schema/tables.ts";
import {
  type Connection,
  number,
  numberOrNull,
  type Row,
  text,
  textOrNull,
} from "../database/connection.ts";
import { driverMessage, needsExtension } from "../database/failure.ts";
import { fold, isVirtualTable, quoteName, rowIdName, tokenize } from "../sql/tokens.ts";

/** The contents of a database, as a dump writes them. */
export interface Catalog {
  /** In bytes. */
  readonly pageSize: number;
  /** Such as `UTF-8`. */
  readonly encoding: string;
  readonly autoVacuum: number;
  readonly userVersion: number;
  readonly applicationId: number;
  /** All created objects, in the order of creation, except SQLite's own tables. */
  readonly objects: readonly CatalogObject[];
  /** Names of SQLite's own tables that exist, such as `sqlite_sequence`. */
  readonly internal: ReadonlySet<string>;
}

/** Kind of an object; a virtual table keeps its rows in `shadow` tables. */
export type ObjectKind = "table" | "shadow" | "virtual" | "index" | "view" | "trigger";

/** A created object. */
export interface CatalogObject {
  readonly kind: ObjectKind;
  readonly name: string;
  /** Table that it belongs to; its own name if it is a table. */
  readonly table: string;
  /** The `CREATE` statement. */
  readonly sql: string;
}

/** Reads the contents of a database. */
export async function readCatalog(connection: Connection): Promise<Catalog> {
  const pragma = async (name: string) => {
    const row = await connection.get(`PRAGMA ${name}`);
    return row?.[name] ?? 0;
  };
  const shadows = await shadowTables(connection);
  const rows = await connection.all(
    `SELECT type, name, tbl_name, sql
    FROM sqlite_schema
    WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL
    ORDER BY rowid`,
  );
  const internal = await connection.all(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  return {
    pageSize: Number(await pragma("page_size")),
    encoding: String(await pragma("encoding")),
    autoVacuum: Number(await pragma("auto_vacuum")),
    userVersion: Number(await pragma("user_version")),
    applicationId: Number(await pragma("application_id")),
    objects: rows.map((row) => {
      const name = text(row, "name");
      const sql = text(row, "sql");
      return {
        kind: kindOf(text(row, "type"), sql, shadows.has(name)),
        name,
        sql,
        table: text(row, "tbl_name"),
      };
    }),
    internal: new Set(internal.map((row) => text(row, "name"))),
  };
}

function kindOf(type: string, sql: string, isShadow: boolean): ObjectKind {
  if (type === "index" || type === "view" || type === "trigger") return type;
  if (isVirtualTable(sql)) return "virtual";
  return isShadow ? "shadow" : "table";
}

/** Intended bytes of SQL text in one piece. */
const PIECE_BYTES = 64_000;

/**
 * Maximum number of rows in a piece: an error in one is reported with the line where the piece
 * begins.
 */
const PIECE_ROWS = 250;

/** Maximum bytes of a piece's rows if all were as large as the largest one. */
const SAFE_BYTES = 16e6;

/**
 * What SQLite lists about all tables at once, by name; asking for each would list all each time.
 */
export interface TableLists {
  /** Kind of each table and view. */
  readonly kinds: ReadonlyMap<string, Row>;
  /** Pages of each table. */
  readonly pages: ReadonlyMap<string, Row>;
}

/** Number of tables from which all are listed at once, which reads every page of the database. */
const MANY_TABLES = 100;

/** Lists all tables if many will be read; null if asking for each is faster. */
export async function listTables(
  connection: Connection,
  count: number,
): Promise<TableLists | null> {
  if (count < MANY_TABLES) return null;
  const byName = (rows: readonly Row[]) => new Map(rows.map((row) => [text(row, "name"), row]));
  return {
    kinds: byName(await connection.all(`${KINDS} WHERE schema = 'main'`)),
    pages: byName(await connection.all(`${PAGES} WHERE aggregate = TRUE`)),
  };
}

const KINDS = "SELECT name, type, wr, strict FROM pragma_table_list";
const PAGES = "SELECT name, ncell, payload, mx_payload FROM dbstat";

/** Reads what is needed to read the rows of a table, a virtual table or a view. */
export async function readTable(
  connection: Connection,
  name: string,
  lists: TableLists | null = null,
): Promise<DumpTable> {
  const listed = lists === null
    ? await connection.get(`${KINDS} WHERE schema = 'main' AND name = ?`, [name])
    : lists.kinds.get(name);
  const isStrict = listed?.["strict"] === 1;
  const all = await readColumns(connection, name);
  const ordinary = all.filter(({ kind }) => kind === "ordinary");
  const columns = ordinary.map((column): DumpColumn => ({
    name: column.name,
    affinity: affinityOf(column.type, isStrict),
    isStrict,
    isNumber: isNumberColumn(column.type, isStrict),
  }));
  const keys = ordinary.filter(({ primaryKey }) => primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey)
    .map((column) => column.name);
  // A view has no rows of its own, and a virtual table's module may not support ranges.
  const hasRowids = listed?.["wr"] === 0 && /^(table|shadow)$/.test(String(listed["type"]));
  const order = hasRowids
    ? await rowidOrder(connection, name, { names: all.map((column) => column.name), keys })
    : { by: "columns" as const, names: keys };
  const pages = lists === null
    ? await connection.get(`${PAGES} WHERE name = ? AND aggregate = TRUE`, [name])
    : lists.pages.get(name);
  const isSmall = lists !== null && (pages === undefined || number(pages, "payload") < PIECE_BYTES);
  return { name, columns, order, isSmall, ...sizeOfRows(pages) };
}

/**
 * Why the rows of a virtual table, or of a table WITHOUT ROWID, can't be read here; null if they
 * can. Its module, or the collation of its key, may be one that only the bot has.
 */
export async function whyUnreadable(
  connection: Connection,
  { kind, name, sql }: CatalogObject,
): Promise<string | null> {
  const isSuspect = kind === "virtual" ||
    (kind === "table" && /\bwithout\s+rowid\b/i.test(sql));
  if (!isSuspect) return null;
  try {
    await connection.get(`SELECT 1 FROM main.${quoteName(name)} LIMIT 1`);
    return null;
  } catch (error) {
    if (!needsExtension(error)) throw error;
    const reason = driverMessage(error);
    return reason === "no query solution" ? "its collation is missing" : reason;
  }
}

async function rowidOrder(
  connection: Connection,
  table: string,
  { names, keys }: { readonly names: readonly string[]; readonly keys: readonly string[] },
): Promise<RowOrder> {
  const uniques = await connection.all(
    `SELECT origin FROM pragma_index_list(?, 'main') WHERE "unique" = 1 AND partial = 0`,
    [table],
  );
  // A primary key without an index is the row id itself.
  const [key] = keys;
  const hasKeyIndex = uniques.some((row) => row["origin"] === "pk");
  if (key !== undefined && !hasKeyIndex) {
    return { by: "rowid", name: key, isColumn: true, isOnlyKey: false };
  }
  const name = rowIdName(names);
  if (name === null) return { by: "columns", names: [] };
  return { by: "rowid", name, isColumn: false, isOnlyKey: uniques.length === 0 };
}

/** Examines the pages, which is much faster than examining the rows. */
function sizeOfRows(
  found: Row | undefined,
): Pick<DumpTable, "rowsPerPiece" | "hasLargeRows"> {
  const cells = found === undefined ? 0 : numberOrNull(found, "ncell") ?? 0;
  if (found === undefined || cells === 0) return { rowsPerPiece: PIECE_ROWS, hasLargeRows: false };
  const average = number(found, "payload") / cells;
  const rowsPerPiece = Math.max(
    1,
    Math.min(PIECE_ROWS, Math.floor(PIECE_BYTES / (average * 1.5 + 1))),
  );
  return { rowsPerPiece, hasLargeRows: number(found, "mx_payload") * rowsPerPiece > SAFE_BYTES };
}

/** The `AUTOINCREMENT` counters, as SQL literals, by table. */
export async function readSequences(connection: Connection): Promise<Map<string, string>> {
  const rows = await connection.all(
    "SELECT name, quote(seq) AS seq FROM main.sqlite_sequence ORDER BY rowid",
  );
  return new Map(
    rows.flatMap((row) => {
      const name = textOrNull(row, "name");
      return name === null ? [] : [[name, text(row, "seq")]];
    }),
  );
}

/** A table with its row ids as a column, for a format that must keep them. */
export function withRowid(table: DumpTable): DumpTable {
  if (table.order.by === "columns" || table.order.isColumn) return table;
  const rowid: DumpColumn = { name: table.order.name, affinity: "INTEGER", isStrict: true };
  return { ...table, columns: [rowid, ...table.columns] };
}

/** A table with its row ids as a column, if its rows have no other key. */
export function withOnlyKey(table: DumpTable): DumpTable {
  return table.order.by === "rowid" && table.order.isOnlyKey ? withRowid(table) : table;
}

/** An SQL list of a table's columns. */
export function columnList({ columns }: DumpTable): string {
  return columns.map(({ name }) => quoteName(name)).join(", ");
}

/** A table to be read and written elsewhere; plain data, so that it can be sent to a thread. */
export interface DumpTable {
  readonly name: string;
  /** The stored columns; generated ones are recomputed. */
  readonly columns: readonly DumpColumn[];
  /** How to read its rows in order. */
  readonly order: RowOrder;
  /** Whether it is one of many small tables, which are not worth a thread or a large query. */
  readonly isSmall: boolean;
  /** Rows to write as one piece of about 64 KB. */
  readonly rowsPerPiece: number;
  /** Whether rows may be so large that many of them do not fit into memory. */
  readonly hasLargeRows: boolean;
}

/** A column of a {@link DumpTable}. */
export interface DumpColumn {
  readonly name: string;
  readonly affinity: Affinity;
  /** Whether SQLite guarantees that every value is NULL or of the declared type. */
  readonly isStrict: boolean;
  /**
   * Whether text in it is certainly a mistake, so that it must be marked as text. Default `false`.
   */
  readonly isNumber?: boolean;
}

/** How to read the rows of a table in order. */
type RowOrder =
  /** By a row id; any range can be read at once. */
  | {
    readonly by: "rowid";
    /** A name that refers to the row id. */
    readonly name: string;
    /** Whether one of the columns is the row id. */
    readonly isColumn: boolean;
    /** Whether the rows have no other key, so that the row id is part of their content. */
    readonly isOnlyKey: boolean;
  }
  /** By columns, or in no order if there are none; read from first to last. */
  | { readonly by: "columns"; readonly names: readonly string[] };

/** Maximum number of columns for which one call of an SQLite function builds a row's text. */
export const MOST_COLUMNS = 100;

/** How to write the content of a virtual table without that of its shadow tables. */
type VirtualRows =
  | { readonly kind: "rows"; readonly table: DumpTable }
  /**
   * It keeps no rows: a statement that creates its content from elsewhere, or a comment that says
   * so.
   */
  | { readonly kind: "sql"; readonly sql: string };

/** How to write the rows of a virtual table, given the statement that created it. */
export function virtualRows(sql: string, table: DumpTable): VirtualRows {
  const words = tokenize(sql).map(({ value }) => fold(value));
  const module = words[words.indexOf("using") + 1] ?? "";
  if (!module.startsWith("fts")) return { kind: "rows", table };
  // These show the content of another table.
  if (/vocab|aux/.test(module)) return { kind: "sql", sql: withoutRows(table) };
  const at = words.findIndex((word, index) => word === "content" && words[index + 1] === "=");
  if (at === -1) {
    const rowid = { name: "rowid", affinity: "INTEGER", isStrict: true } as const;
    return { kind: "rows", table: { ...table, columns: [rowid, ...table.columns] } };
  }
  if (words[at + 2] === "") return { kind: "sql", sql: withoutRows(table) };
  const name = quoteName(table.name);
  return { kind: "sql", sql: `INSERT INTO ${name} (${name}) VALUES ('rebuild');\n` };
}

function withoutRows({ name }: DumpTable): string {
  return `-- ${quoteName(name).replaceAll(/\s/g, " ")} keeps no rows that could be written\n`;
}
