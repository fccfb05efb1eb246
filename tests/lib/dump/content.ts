/** The content of a database, for comparison, read in a different way from an export. */
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { quoted } from "./recipes.ts";

/** The content of a database. */
export interface Content {
  readonly pragmas: Readonly<Record<string, unknown>>;
  readonly schema: readonly string[];
  /** Rows of each table, virtual ones included; each value with its type and all its bits. */
  readonly rows: Readonly<Record<string, readonly string[]>>;
  readonly integrity: unknown;
}

/** Which content of a database to read. */
export interface ContentOptions {
  /** Whether row ids that are not a column count. Default `true`. */
  readonly hasRowids?: boolean;
  /** Whether generated columns count. Default `true`. */
  readonly hasGenerated?: boolean;
}

const PRAGMAS = ["page_size", "encoding", "auto_vacuum", "user_version", "application_id"];

/** Reads the content of a database file. */
export function contentOf(path: string, options: ContentOptions = {}): Content {
  using db = new DatabaseSync(path, { readOnly: true });
  const all = (sql: string) => db.prepare(sql).all();
  const tables = all(
    `SELECT name, type, wr FROM pragma_table_list
    WHERE schema = 'main' AND type <> 'view' AND name NOT IN ('sqlite_schema', 'sqlite_stat4')`,
  );
  return {
    pragmas: Object.fromEntries(
      PRAGMAS.map((name) => [name, all(`PRAGMA ${name}`)[0]?.[name]]),
    ),
    // Most builds of the shell have no table for the samples of ANALYZE.
    schema: all(
      "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name <> 'sqlite_stat4'",
    )
      // A comment at the end of an index is followed by the line break that ends it.
      .map((row) => JSON.stringify({ ...row, sql: String(row["sql"]).trimEnd() })).toSorted(),
    rows: Object.fromEntries(
      tables.map(({ name, type, wr }) => {
        const table = String(name);
        const isInternal = table.startsWith("sqlite_");
        const rowid = wr === 0 && type !== "virtual" && !isInternal && options.hasRowids !== false;
        const rows = rowsOf(db, table, { ...options, rowid });
        return [table, isInternal ? rows.toSorted() : rows] as const;
      }).toSorted(([a], [b]) => a < b ? -1 : 1),
    ),
    integrity: all("PRAGMA integrity_check"),
  };
}

function rowsOf(
  db: DatabaseSync,
  table: string,
  { rowid: wantsRowid, hasGenerated = true }: ContentOptions & { readonly rowid: boolean },
): string[] {
  const columns = db.prepare("SELECT name, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1")
    .all(table);
  const taken = new Set(columns.map(({ name }) => String(name).toLowerCase()));
  const rowid = ["rowid", "_rowid_", "oid"].find((name) => !taken.has(name));
  const wanted = columns.filter(({ hidden }) => hasGenerated || hidden === 0)
    .map(({ name }) => String(name));
  if (wantsRowid && rowid !== undefined) wanted.unshift(rowid);
  const order = wantsRowid && rowid !== undefined ? `ORDER BY ${quoted(rowid)}` : "";
  const parts: string[][] = [];
  // SQLite reads at most 2,000 columns.
  for (let at = 0; at < wanted.length; at += 900) {
    const rows = db.prepare(
      `SELECT ${expressions(wanted.slice(at, at + 900))} FROM ${quoted(table)} ${order}`,
    ).all();
    rows.forEach((row, index) => (parts[index] ??= []).push(...valuesOf(row)));
  }
  return parts.map((values) => values.join(", "));
}

function expressions(names: readonly string[]): string {
  const values = names.flatMap((name, index) => {
    const column = quoted(name);
    return [
      `CASE typeof(${column})
        WHEN 'integer' THEN CAST(${column} AS TEXT)
        WHEN 'null' THEN 'NULL'
        WHEN 'real' THEN 'real'
        ELSE typeof(${column}) || ' ' || hex(CAST(${column} AS BLOB))
      END AS c${index}`,
      `iif(typeof(${column}) = 'real', ${column}, NULL) AS n${index}`,
    ];
  });
  return values.join(", ");
}

function valuesOf(row: Record<string, SQLOutputValue>): string[] {
  const values: string[] = [];
  for (let index = 0; `c${index}` in row; index++) {
    const number = row[`n${index}`];
    values.push(typeof number === "number" ? `real ${bitsOf(number)}` : String(row[`c${index}`]));
  }
  return values;
}

function bitsOf(number: number): string {
  return new Uint8Array(Float64Array.of(number).buffer).toHex();
}
