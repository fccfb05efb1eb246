/**
 * Reads the schema of a database from its pragmas, and from the SQL of its objects what those omit.
 *
 * @module
 */
import { StatementError } from "../base/errors.ts";
import { type Connection, number, type Row, text, textOrNull } from "../database/connection.ts";
import {
  canonicalSpelling,
  fold,
  originalText,
  type Token,
  tokenIs,
  tokenize,
} from "../sql/tokens.ts";
import { closingParenthesis, itemsOf } from "../sql/parentheses.ts";
import type {
  CheckSchema,
  ColumnSchema,
  ForeignKeySchema,
  IndexSchema,
  Schema,
  TableSchema,
  TriggerSchema,
  ViewSchema,
} from "./model.ts";
import { shadowTables } from "./tables.ts";
import { MARKER_TABLE } from "../migration/migration.ts";

/** Details of a `CREATE TABLE` that SQLite's pragmas lack. Column names are in lower case. */
interface TableText {
  readonly checks: readonly CheckSchema[];
  /** Collations in upper case, by column. */
  readonly collations: ReadonlyMap<string, string>;
  /** Expressions of generated columns, by column. */
  readonly generated: ReadonlyMap<string, string>;
  /** Whether each foreign key is checked at commit, in the order of the SQL. */
  readonly deferred: readonly boolean[];
  /** Each non-default `ON CONFLICT`, such as `NOT NULL (side): REPLACE`. */
  readonly conflicts: readonly string[];
  readonly autoincrement: boolean;
  readonly withoutRowid: boolean;
  readonly strict: boolean;
}

/** Details of a `CREATE INDEX` that SQLite's pragmas lack. */
interface IndexText {
  /** Text of each term, without sort order and collation. */
  readonly terms: readonly string[];
  /** Condition of a partial index; null if there is none. */
  readonly where: string | null;
}

/** Whether an item of a `CREATE TABLE` is a constraint of the table rather than a column. */
export function isConstraint([first]: readonly Token[]): boolean {
  return tokenIs(first, "constraint", "primary", "unique", "check", "foreign");
}

/** The columns and constraints that a `CREATE TABLE` defines; none without a list of them. */
export function definitionsIn(tokens: readonly Token[]): Token[][] {
  const open = tokens.findIndex((token) => tokenIs(token, "("));
  return open === -1 ? [] : itemsOf(tokens, open);
}

/** Reads a `CREATE TABLE` statement that SQLite has accepted. */
export function readTableText(sql: string): TableText {
  const tokens = tokenize(sql);
  const open = tokens.findIndex((token) => tokenIs(token, "("));
  const reader = new ConstraintReader(sql);
  for (const item of definitionsIn(tokens)) reader.read(item);
  const options = open === -1 ? [] : tokens.slice(closingParenthesis(tokens, open) + 1);
  return {
    ...reader.found,
    autoincrement: tokens.some((token) => tokenIs(token, "autoincrement")),
    withoutRowid: options.some((token) => tokenIs(token, "without")),
    strict: options.some((token) => tokenIs(token, "strict")),
  };
}

/** Reads a `CREATE INDEX` statement that SQLite has accepted. */
export function readIndexText(sql: string): IndexText {
  const tokens = tokenize(sql);
  const on = tokens.findIndex((token) => tokenIs(token, "on"));
  const open = tokens.findIndex((token, at) => at > on && tokenIs(token, "("));
  const rest = tokens.slice(closingParenthesis(tokens, open) + 1);
  return {
    terms: itemsOf(tokens, open).map((item) => originalText(sql, withoutOrder(item))),
    where: tokenIs(rest[0], "where") ? originalText(sql, rest.slice(1)) : null,
  };
}

function withoutOrder(term: readonly Token[]): readonly Token[] {
  const unordered = tokenIs(term.at(-1), "asc", "desc") ? term.slice(0, -1) : term;
  return tokenIs(unordered.at(-2), "collate") ? unordered.slice(0, -2) : unordered;
}

/** Collects the constraints of a table from its column and constraint definitions. */
class ConstraintReader {
  readonly #sql: string;
  readonly found = {
    checks: [] as CheckSchema[],
    collations: new Map<string, string>(),
    generated: new Map<string, string>(),
    deferred: [] as boolean[],
    conflicts: [] as string[],
  };

  constructor(sql: string) {
    this.#sql = sql;
  }

  read(item: readonly Token[]): void {
    const ofTable = isConstraint(item);
    const column = ofTable ? "" : fold(item[0]?.value ?? "");
    let name: string | null = null;
    let rule = "";
    let columns = column;
    for (let at = ofTable ? 0 : 1; at < item.length; at++) {
      const token = item[at];
      const next = item[at + 1];
      if (tokenIs(token, "(")) {
        const end = closingParenthesis(item, at);
        if (ofTable && tokenIs(item[at - 1], "key", "unique")) {
          columns = canonicalSpelling(item.slice(at + 1, end)).replaceAll(" ,", ",");
        }
        at = end;
      } else if (tokenIs(token, "constraint") && next !== undefined) {
        name = next.value;
        at++;
      } else if (tokenIs(token, "check", "as") && tokenIs(next, "(")) {
        const end = closingParenthesis(item, at + 1);
        const expression = originalText(this.#sql, item.slice(at + 2, end));
        if (tokenIs(token, "check")) this.found.checks.push({ name, expression });
        else this.found.generated.set(column, expression);
        name = null;
        rule = "";
        at = end;
      } else if (tokenIs(token, "collate") && next !== undefined) {
        this.found.collations.set(column, next.value.toUpperCase());
        at++;
      } else if (tokenIs(token, "not") && tokenIs(next, "null")) {
        rule = "NOT NULL";
        name = null;
      } else if (tokenIs(token, "unique", "primary")) {
        rule = tokenIs(token, "unique") ? "UNIQUE" : "PRIMARY KEY";
        name = null;
      } else if (tokenIs(token, "references")) {
        this.found.deferred.push(false);
        name = null;
      } else if (tokenIs(token, "deferrable")) {
        const deferred = !tokenIs(item[at - 1], "not") && tokenIs(next, "initially") &&
          tokenIs(item[at + 2], "deferred");
        if (deferred && this.found.deferred.length > 0) this.found.deferred.splice(-1, 1, true);
      } else if (tokenIs(token, "on") && tokenIs(next, "conflict")) {
        const action = item[at + 2]?.value.toUpperCase() ?? "";
        if (action !== "ABORT" && rule !== "") {
          this.found.conflicts.push(`${rule} (${columns}): ${action}`);
        }
      }
    }
  }
}

/** An entry of `sqlite_schema`. */
interface Entry {
  readonly type: string;
  readonly name: string;
  readonly table: string;
  readonly virtual: boolean;
  readonly sql: string;
}

/** Groups rows by the value of a column, in order. */
function groupRows(rows: readonly Row[], column: string): Map<string, Row[]> {
  return Map.groupBy(rows, (row) => String(row[column]));
}

/** The pragmas' rows for one table. */
interface TableRows {
  readonly columns: readonly Row[];
  readonly foreignKeys: readonly Row[];
  readonly uniques: readonly Row[];
}

/** Builds a table from its SQL and the pragmas' rows. */
export function tableOf(entry: Entry, rows: TableRows): TableSchema {
  const { name, virtual, sql } = entry;
  const told = readTableText(virtual ? "" : sql);
  const collationOf = (column: string): string => told.collations.get(fold(column)) ?? "BINARY";
  const columns = rows.columns.filter((row) => row["hidden"] !== 1).map((row): ColumnSchema => ({
    name: text(row, "name"),
    type: text(row, "type"),
    notNull: row["notnull"] === 1,
    default: textOrNull(row, "dflt_value"),
    primaryKey: number(row, "pk"),
    collation: collationOf(text(row, "name")),
    generated: row["hidden"] === 0 ? null : {
      kind: row["hidden"] === 3 ? "stored" : "virtual",
      expression: told.generated.get(fold(text(row, "name"))) ?? "",
    },
  }));
  const uniques = groupRows(rows.uniques, "index").values().map((unique) =>
    unique.map((row) => {
      const column = text(row, "name");
      const collation = text(row, "coll").toUpperCase();
      return collation === collationOf(column) ? column : `${column} COLLATE ${collation}`;
    })
  ).toArray();
  const foreignKeys = groupRows(rows.foreignKeys, "id").values().map((key, place) =>
    foreignKeyOf(key, told.deferred[place] ?? false)
  ).toArray();
  const { checks, conflicts, autoincrement, withoutRowid, strict } = told;
  return {
    ...{ name, columns, uniques, foreignKeys, checks, conflicts },
    ...{ autoincrement, withoutRowid, strict, virtual, sql },
  };
}

function foreignKeyOf(rows: readonly Row[], deferred: boolean): ForeignKeySchema {
  const [first = {}] = rows;
  return {
    columns: rows.map((row) => text(row, "from")),
    table: text(first, "table"),
    references: rows.flatMap((row) => textOrNull(row, "to") ?? []),
    onUpdate: text(first, "on_update"),
    onDelete: text(first, "on_delete"),
    deferred,
  };
}

/** Builds an index from its SQL and the pragmas' rows, one for each term. */
export function indexOf(entry: Entry, rows: readonly Row[]): IndexSchema {
  const { name, table, sql } = entry;
  const { terms, where } = readIndexText(sql);
  const columns = rows.map((row, place) => {
    const column = textOrNull(row, "name");
    return {
      name: column,
      expression: column === null ? terms[place] ?? "" : null,
      descending: row["desc"] === 1,
      collation: text(row, "coll").toUpperCase(),
    };
  });
  return { name, table, unique: rows[0]?.["unique"] === 1, columns, where, sql };
}

/** Options of {@link readSchema}. */
export interface ReadSchemaOptions {
  /** Whether to ignore a table or view, with its indexes and triggers. Default: ignore nothing. */
  readonly ignore?: (name: string) => boolean;
  /**
   * The schema read from the same database before. Tables and indexes with unchanged SQL are taken from
   * it, as the same objects, and not read again.
   */
  readonly previous?: Schema;
}

// Passes the names to the pragmas as one JSON list, so that any number of tables needs one query,
// unlike `readColumns`, which reads one table.
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
 * Reads the schema of a database, without SQLite's internal objects, the marker table and the shadow
 * tables of virtual tables.
 */
export async function readSchema(
  connection: Connection,
  options: ReadSchemaOptions = {},
): Promise<Schema> {
  const { ignore = () => false, previous } = options;
  const all = await readEntries(connection);
  const shadows = all.some(({ virtual }) => virtual)
    ? await shadowTables(connection)
    : new Set<string>();
  const hidden = (name: string): boolean =>
    /^sqlite_/i.test(name) || fold(name) === MARKER_TABLE || shadows.has(name) || ignore(name);
  const entries = all.filter((entry) => !hidden(entry.name) && !hidden(entry.table));

  const known = new Map(previous?.tables.map((table) => [table.name, table]));
  const knownIndexes = new Map(previous?.indexes.map((index) => [index.name, index]));
  const isKnown = (table: Entry): boolean => known.get(table.name)?.sql === table.sql;
  const fresh = entries.filter((entry) => entry.type === "table" && !isKnown(entry));
  // Read the columns of an index again if it or its table is new.
  const stale = new Set(fresh.map((table) => fold(table.name)));
  for (const entry of entries) {
    if (entry.type === "index" && knownIndexes.get(entry.name)?.sql !== entry.sql) {
      stale.add(fold(entry.table));
    }
  }
  const indexed = new Set(all.flatMap((e) => e.type === "index" ? [e.table] : []))
    .values().filter((table) => stale.has(fold(table))).toArray();
  const indexRows = groupRows(await ask(connection, INDEXED, indexed), "owner");
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

async function readTables(
  connection: Connection,
  entries: readonly Entry[],
  indexRows: ReadonlyMap<string, readonly Row[]>,
): Promise<Map<string, TableSchema>> {
  const ordinary = entries.filter((entry) => !entry.virtual).map((entry) => entry.name);
  const virtual = entries.filter((entry) => entry.virtual).map((entry) => entry.name);
  const referring = entries.filter((entry) => /references/i.test(entry.sql)).map((e) => e.name);
  const columns = groupRows(await ask(connection, COLUMNS, ordinary), "owner");
  for (const [name, rows] of await askFragile(connection, virtual)) columns.set(name, rows);
  const foreignKeys = groupRows(await ask(connection, FOREIGN_KEYS, referring), "owner");
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

/** Reads the columns of views and virtual tables; a broken one has none and does not affect the others. */
async function askFragile(
  connection: Connection,
  names: readonly string[],
): Promise<Map<string, Row[]>> {
  try {
    return groupRows(await ask(connection, COLUMNS, names), "owner");
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
