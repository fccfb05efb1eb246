import { type Affinity, affinityOf, isNumberColumn, readColumns } from "../schema/model.ts";
import {
  type Connection,
  number,
  numberOrNull,
  type Row,
  text,
  textOrNull,
} from "../database/connection.ts";
import { driverMessage, needsExtension } from "../database/failure.ts";
import { fold, quoteName, tokenize } from "../sql/tokens.ts";

/** What a database consists of, as a dump writes it. */
export interface Catalog {
  /** In bytes. */
  readonly pageSize: number;
  /** Such as `UTF-8`. */
  readonly encoding: string;
  readonly autoVacuum: number;
  readonly userVersion: number;
  readonly applicationId: number;
  /** All that has been created, in the order of creation, SQLite's own tables apart. */
  readonly objects: readonly CatalogObject[];
  /** Names of SQLite's own tables that are there, such as `sqlite_sequence`. */
  readonly internal: ReadonlySet<string>;
}

/** What kind of thing an object is; a `shadow` table is one in which a virtual table keeps its rows. */
export type ObjectKind = "table" | "shadow" | "virtual" | "index" | "view" | "trigger";

/** A thing that was created. */
export interface CatalogObject {
  readonly kind: ObjectKind;
  readonly name: string;
  /** Table that it belongs to; its own name where it is one. */
  readonly table: string;
  /** The `CREATE` statement. */
  readonly sql: string;
}

/** Reads what a database consists of. */
export async function readCatalog(connection: Connection): Promise<Catalog> {
  const pragma = async (name: string) => {
    const row = await connection.get(`PRAGMA ${name}`);
    return row?.[name] ?? 0;
  };
  const shadows = new Set(
    (await connection.all(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'",
    )).map((row) => text(row, "name")),
  );
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
  if (/^CREATE VIRTUAL\b/i.test(sql)) return "virtual";
  return isShadow ? "shadow" : "table";
}

/** Bytes of SQL text that one piece should have. */
const PIECE_BYTES = 64_000;

/** Rows in a piece, at most: what goes wrong in one is told by the line where it begins. */
const PIECE_ROWS = 250;

/** Bytes that the rows of a piece may have together, if all were as large as the largest one. */
const SAFE_BYTES = 16e6;

/** What SQLite lists of all tables at once, by name; to ask for each would list all each time. */
export interface TableLists {
  /** Kind of each table and view. */
  readonly kinds: ReadonlyMap<string, Row>;
  /** Pages of each table. */
  readonly pages: ReadonlyMap<string, Row>;
}

/** Tables from which on all are listed at once, which looks at every page of the database. */
const MANY_TABLES = 100;

/** Lists all tables where many will be read; null where it is quicker to ask for each. */
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

/** Reads what has to be known of a table, a virtual table or a view, to read its rows. */
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
  // A view has no rows of its own, and a virtual table's module may know no ranges.
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
 * Why the rows of a virtual table, or of a table WITHOUT ROWID, can't be read here; null where they can:
 * the module, or the collation of its key, may be one that only the bot has.
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
    return reason === "no query solution" ? "its collation is not here" : reason;
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
  // A primary key that needs no index is the row id itself.
  const [key] = keys;
  const hasKeyIndex = uniques.some((row) => row["origin"] === "pk");
  if (key !== undefined && !hasKeyIndex) {
    return { by: "rowid", name: key, isColumn: true, isOnlyKey: false };
  }
  const taken = new Set(names.map(fold));
  const name = ["rowid", "_rowid_", "oid"].find((one) => !taken.has(one));
  if (name === undefined) return { by: "columns", names: [] };
  return { by: "rowid", name, isColumn: false, isOnlyKey: uniques.length === 0 };
}

/** Looks at the pages, which is much quicker than to look at the rows. */
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

/** The high-water marks of `AUTOINCREMENT`, as SQL literals, by table. */
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

/** A table as it is read to be written elsewhere; plain data, so that a thread can have it. */
export interface DumpTable {
  readonly name: string;
  /** The columns that are stored; what is generated comes again by itself. */
  readonly columns: readonly DumpColumn[];
  /** How its rows are found in their order. */
  readonly order: RowOrder;
  /** Whether it is one of many small tables, for which neither a thread nor a large query is worth its start. */
  readonly isSmall: boolean;
  /** Rows that are written as one piece, so that it has about 64 KB. */
  readonly rowsPerPiece: number;
  /** Whether a row may be so large that many of them together would not fit into memory. */
  readonly hasLargeRows: boolean;
}

/** A column of a {@link DumpTable}. */
export interface DumpColumn {
  readonly name: string;
  readonly affinity: Affinity;
  /** Whether SQLite has made sure that every value is NULL or of the declared type. */
  readonly isStrict: boolean;
  /** Whether text in it is surely a mistake, so that it has to be marked as text. Default `false`. */
  readonly isNumber?: boolean;
}

/** How the rows of a table are found in their order. */
type RowOrder =
  /** By a row id, of which any range can be read at once. */
  | {
    readonly by: "rowid";
    /** A name that means the row id. */
    readonly name: string;
    /** Whether one of the columns is the row id. */
    readonly isColumn: boolean;
    /** Whether the rows have no other key, so that the row id is part of what they say. */
    readonly isOnlyKey: boolean;
  }
  /** By columns, or in no order where there are none; read from the first to the last. */
  | { readonly by: "columns"; readonly names: readonly string[] };

/** Columns of which a row's text may be built by one call of a function of SQLite. */
export const MOST_COLUMNS = 100;

/** How the content of a virtual table is written without that of its inner tables. */
type VirtualRows =
  | { readonly kind: "rows"; readonly table: DumpTable }
  /** It keeps no rows: a statement that makes its content from elsewhere, or a comment that says so. */
  | { readonly kind: "sql"; readonly sql: string };

/** Says how to write the rows of a virtual table, by the statement that created it. */
export function virtualRows(sql: string, table: DumpTable): VirtualRows {
  const words = tokenize(sql).map(({ value }) => fold(value));
  const module = words[words.indexOf("using") + 1] ?? "";
  if (!module.startsWith("fts")) return { kind: "rows", table };
  // These show what is in another table.
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
