import type { Connection } from "../database/connection.ts";
import { number, type Row, text, textOrNull } from "../database/connection.ts";
import { StatementError } from "../base/errors.ts";
import { type Entry, groups, indexOf, tableOf } from "./from_rows.ts";
import {
  type IndexSchema,
  MARKER_TABLE,
  type Schema,
  type TableSchema,
  type TriggerSchema,
  type ViewSchema,
} from "./model.ts";
import { fold } from "../sql/tokens.ts";

/** What may be told to {@link readSchema}. */
export interface ReadSchemaOptions {
  /** Says of a name that it is left out, with the indexes and triggers of it. Default: none is. */
  readonly ignore?: (name: string) => boolean;
  /**
   * What was read from the same database before. Tables and indexes whose text is still the same
   * are taken from there, as the same objects, and not read again.
   */
  readonly previous?: Schema;
}

// The driver hands names to the pragmas as one JSON list, so that any number of tables is one query.
const OF_EACH = "FROM json_each(?) AS asked";
const COLUMNS = `SELECT asked.value AS owner, x.name, x.type, x."notnull", x.dflt_value, x.pk,
  x.hidden ${OF_EACH}, pragma_table_xinfo(asked.value, 'main') AS x ORDER BY asked.key, x.cid`;
const INDEXED = `SELECT asked.value AS owner, l.name AS "index", l."unique", l.origin, x.name,
  x."desc", x.coll ${OF_EACH}, pragma_index_list(asked.value, 'main') AS l,
  pragma_index_xinfo(l.name, 'main') AS x
  WHERE x.key AND l.origin IN ('c', 'u') ORDER BY asked.key, l.seq DESC, x.seqno`;
const FOREIGN_KEYS = `SELECT asked.value AS owner, f.id, f."table", f."from", f."to", f.on_update,
  f.on_delete ${OF_EACH}, pragma_foreign_key_list(asked.value, 'main') AS f
  ORDER BY asked.key, f.id DESC, f.seq`;

/**
 * Reads the schema of a database. SQLite's own objects, the marker table and the inner tables of
 * virtual tables are left out.
 */
export async function readSchema(
  connection: Connection,
  options: ReadSchemaOptions = {},
): Promise<Schema> {
  const { ignore = () => false, previous } = options;
  const all = await readEntries(connection);
  const shadows = await readShadows(connection, all);
  const hidden = (name: string): boolean =>
    /^sqlite_/i.test(name) || fold(name) === MARKER_TABLE || shadows.has(name) || ignore(name);
  const entries = all.filter((entry) => !hidden(entry.name) && !hidden(entry.table));

  const known = new Map(previous?.tables.map((table) => [table.name, table]));
  const knownIndexes = new Map(previous?.indexes.map((index) => [index.name, index]));
  const isKnown = (table: Entry): boolean => known.get(table.name)?.sql === table.sql;
  const fresh = entries.filter((entry) => entry.type === "table" && !isKnown(entry));
  // An index that is new, or whose table is, has its columns read again.
  const stale = new Set(fresh.map((table) => fold(table.name)));
  for (const entry of entries) {
    if (entry.type === "index" && knownIndexes.get(entry.name)?.sql !== entry.sql) {
      stale.add(fold(entry.table));
    }
  }
  const indexed = new Set(all.flatMap((e) => e.type === "index" ? [e.table] : []))
    .values().filter((table) => stale.has(fold(table))).toArray();
  const indexRows = groups(await ask(connection, INDEXED, indexed), "owner");
  const details = await readTables(connection, fresh, indexRows);

  const tables: TableSchema[] = [];
  const indexes: IndexSchema[] = [];
  const triggers: TriggerSchema[] = [];
  for (const entry of entries) {
    const { type, name, table, sql } = entry;
    if (type === "table") {
      const found = details.get(name) ?? known.get(name);
      if (found !== undefined) tables.push(found);
    } else if (type === "index") {
      const old = stale.has(fold(table)) ? undefined : knownIndexes.get(name);
      const rows = indexRows.get(table)?.filter((row) => row["index"] === name) ?? [];
      indexes.push(old ?? indexOf(entry, rows));
    } else if (type === "trigger") {
      triggers.push({ name, table, sql });
    }
  }
  const views = await readViews(connection, entries.filter((entry) => entry.type === "view"));
  return { tables, indexes, views, triggers };
}

async function readEntries(connection: Connection): Promise<Entry[]> {
  const rows = await connection.all(
    `SELECT type, name, tbl_name, coalesce(rootpage, 0) AS rootpage, sql
     FROM main.sqlite_schema ORDER BY rowid`,
  );
  return rows.map((row) => ({
    type: text(row, "type"),
    name: text(row, "name"),
    table: text(row, "tbl_name"),
    virtual: row["type"] === "table" && number(row, "rootpage") === 0,
    sql: textOrNull(row, "sql") ?? "",
  }));
}

async function readShadows(
  connection: Connection,
  entries: readonly Entry[],
): Promise<Set<string>> {
  if (!entries.some((entry) => entry.virtual)) return new Set();
  const rows = await connection.all(
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'",
  );
  return new Set(rows.map((row) => text(row, "name")));
}

async function readTables(
  connection: Connection,
  entries: readonly Entry[],
  indexRows: ReadonlyMap<string, readonly Row[]>,
): Promise<Map<string, TableSchema>> {
  const ordinary = entries.filter((entry) => !entry.virtual).map((entry) => entry.name);
  const virtual = entries.filter((entry) => entry.virtual).map((entry) => entry.name);
  const referring = entries.filter((entry) => /references/i.test(entry.sql)).map((e) => e.name);
  const columns = groups(await ask(connection, COLUMNS, ordinary), "owner");
  for (const [name, rows] of await askFragile(connection, virtual)) columns.set(name, rows);
  const foreignKeys = groups(await ask(connection, FOREIGN_KEYS, referring), "owner");
  return new Map(entries.map((entry) => [
    entry.name,
    tableOf(entry, {
      columns: columns.get(entry.name) ?? [],
      foreignKeys: foreignKeys.get(entry.name) ?? [],
      uniques: indexRows.get(entry.name)?.filter((row) => row["origin"] === "u") ?? [],
    }),
  ]));
}

async function readViews(
  connection: Connection,
  entries: readonly Entry[],
): Promise<ViewSchema[]> {
  const columns = await askFragile(connection, entries.map((entry) => entry.name));
  return entries.map(({ name, sql }) => ({
    name,
    columns: columns.get(name)?.map((row) => text(row, "name")) ?? [],
    sql,
  }));
}

/** Columns of views and virtual tables: one that is broken has none, and the others have theirs. */
async function askFragile(
  connection: Connection,
  names: readonly string[],
): Promise<Map<string, Row[]>> {
  try {
    return groups(await ask(connection, COLUMNS, names), "owner");
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    const found = new Map<string, Row[]>();
    if (names.length > 1) {
      for (const name of names) {
        for (const [owner, rows] of await askFragile(connection, [name])) found.set(owner, rows);
      }
    }
    return found;
  }
}

async function ask(connection: Connection, sql: string, names: readonly string[]): Promise<Row[]> {
  return names.length === 0 ? [] : await connection.all(sql, [JSON.stringify(names)]);
}
