import type { Schema } from "../schema/model.ts";
import { countRowsOf, readColumns } from "../schema/tables.ts";
import { StatementError } from "../base/errors.ts";
import { type Connection, number, type Row, text, textOrNull } from "../database/connection.ts";
import { driverMessage } from "../database/failure.ts";
import { openMemory } from "../database/open.ts";
import { readSchema } from "../schema/read.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { type AuthorizerEvent, rowChanges } from "./authorizer.ts";

/** A table in SQLite's schema. */
export interface TableEntry {
  readonly name: string;
  readonly database: "main" | "temp";
  /** Root page, which a renamed table keeps; 0 if it has none. */
  readonly root: number;
}

const TABLES = `SELECT 'main' AS db, name, coalesce(rootpage, 0) AS root
  FROM main.sqlite_schema WHERE type = 'table'
  UNION ALL SELECT 'temp', name, coalesce(rootpage, 0) FROM temp.sqlite_schema WHERE type = 'table'`;

/**
 * The objects of a schema in an order in which they can be created. The shadow tables of a virtual
 * table are created with it, and SQLite creates its own tables.
 */
export const OBJECTS = `SELECT type, name, sql FROM main.sqlite_schema
  WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
    AND tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
  ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`;

const ALL_TEXTS =
  `SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), ' ; ') AS texts
  FROM (SELECT * FROM main.sqlite_schema ORDER BY type, name)`;

/** A database in memory with the schema of a real one and, at first, none of its rows. */
export class Scratch implements AsyncDisposable {
  readonly connection: Connection;
  /**
   * Objects of the real database that could not be created here, such as those of a missing module.
   */
  readonly missing: readonly string[];

  private constructor(connection: Connection, missing: readonly string[]) {
    this.connection = connection;
    this.missing = missing;
  }

  /** Makes one like a real database, or an empty one. */
  static async like(real: Connection | null): Promise<Scratch> {
    const connection = openMemory();
    try {
      // Enforcing them would need the rows, and would hide which columns a WHERE reads.
      await connection.exec("PRAGMA foreign_keys = OFF");
      // Otherwise SQLite copies `INSERT INTO n SELECT * FROM t` as a whole, without reporting what
      // it reads.
      await connection.exec("PRAGMA count_changes = ON");
      return new Scratch(connection, real === null ? [] : await copySchema(real, connection));
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** All tables, including temporary ones. */
  async tables(): Promise<readonly TableEntry[]> {
    return (await this.connection.all(TABLES)).map(entryOf);
  }

  /** The SQL of all objects, as one text. */
  async texts(): Promise<string> {
    const row = await this.connection.get(ALL_TEXTS);
    return row === undefined ? "" : textOrNull(row, "texts") ?? "";
  }

  /** The schema; `previous` avoids rereading what has not changed. */
  async schema(previous?: Schema): Promise<Schema> {
    return await readSchema(this.connection, previous === undefined ? {} : { previous });
  }

  /** Names of the columns of a table of `main` or `temp`. */
  async columns(table: string, schema = "main"): Promise<readonly string[]> {
    return (await readColumns(this.connection, table, { schema })).map(({ name }) => name);
  }

  /** Number of rows that migrations have inserted into a table here. */
  async rows(table: string): Promise<number> {
    return await countRowsOf(this.connection, table);
  }

  /** Number of rows that the last INSERT, UPDATE or DELETE changed. */
  async changes(): Promise<number> {
    const row = await this.connection.get("SELECT changes() AS rows");
    return row === undefined ? 0 : number(row, "rows");
  }

  /** Runs `work`, and rolls back its changes. */
  async tentatively<T>(work: () => Promise<T>): Promise<T> {
    await this.connection.exec("SAVEPOINT catalyst_lint");
    try {
      return await work();
    } finally {
      await this.connection.exec("ROLLBACK TO catalyst_lint; RELEASE catalyst_lint");
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.connection.close();
  }
}

function entryOf(row: Row): TableEntry {
  return {
    name: text(row, "name"),
    database: text(row, "db") === "temp" ? "temp" : "main",
    root: number(row, "root"),
  };
}

/**
 * Creates the objects of one database in another; returns the names of those that can't be created.
 */
async function copySchema(real: Connection, scratch: Connection): Promise<string[]> {
  const rows = await real.all(OBJECTS);
  const missing: string[] = [];
  await scratch.exec("BEGIN");
  for (const row of rows) {
    const sql = text(row, "sql");
    try {
      await scratch.exec(sql);
    } catch {
      // A collation that only the bot has affects the order of rows, not the schema.
      const plain = sql.replaceAll(/\bcollate\s+("[^"]+"|\w+)/gi, "");
      await scratch.exec(plain).catch(() => missing.push(text(row, "name")));
    }
  }
  await scratch.exec("COMMIT");
  return missing;
}

/** Options for trying a statement. */
interface ProbeOptions {
  readonly scratch: Scratch;
  /** Whether a table may really have rows. */
  readonly mayHaveRows: (table: string) => Promise<boolean>;
}

/**
 * The error of a statement that fails only if a table has a row: an ALTER TABLE that adds a column
 * which existing rows can't have, or an INSERT that copies rows without a required column. The
 * statement is tried with one made-up row and rolled back. Null if it succeeds.
 */
export async function failureOnRows(
  sql: string,
  events: readonly AuthorizerEvent[],
  { scratch, mayHaveRows }: ProbeOptions,
): Promise<string | null> {
  const altered = events.find(({ action }) => action === "alter-table")?.second;
  const table = altered ?? copiedTable(events);
  if (table === undefined) return null;
  if (altered === undefined) {
    if (!await leavesOutRequired(scratch, table, events)) return null;
  } else if (!mayDependOnRows(sql, events)) return null;
  if (!await mayHaveRows(table) || await scratch.rows(table).catch(() => 1) > 0) return null;
  const message = await scratch.tentatively(() => failureOnMadeUpRow(sql, table, scratch));
  // A made-up row may violate other rules that real rows satisfy.
  return altered !== undefined || /^NOT NULL constraint/.test(message ?? "") ? message : null;
}

/** Skips statements that can't fail: renaming, dropping, and adding a plain column. */
function mayDependOnRows(sql: string, events: readonly AuthorizerEvent[]): boolean {
  // Renaming and dropping read the temporary schema, too.
  return !events.some(({ first }) => fold(first) === "sqlite_temp_master") &&
    /\b(as|check|constraint|default|null|references)\b/i.test(sql);
}

/** Whether the target of copied rows has required columns that the source lacks. */
async function leavesOutRequired(
  scratch: Scratch,
  from: string,
  events: readonly AuthorizerEvent[],
): Promise<boolean> {
  const target = targetOf(events);
  if (target === undefined) return false;
  const required = (await readColumns(scratch.connection, target)).filter((column) =>
    column.notNull && column.default === null && column.kind === "ordinary"
  );
  if (required.length === 0) return false;
  const known = new Set((await scratch.columns(from)).map(fold));
  return required.some(({ name }) => !known.has(fold(name)));
}

function targetOf(events: readonly AuthorizerEvent[]): string | undefined {
  return rowChanges(events).find(({ kind }) => kind === "insert")?.table;
}

/** The only table whose rows a statement inserts into another. */
function copiedTable(events: readonly AuthorizerEvent[]): string | undefined {
  const target = targetOf(events);
  if (target === undefined) return undefined;
  const read = events.filter(({ action, cause, second, first }) =>
    action === "read" && cause === null && second !== "" && fold(first) !== fold(target)
  );
  const [table, ...others] = new Set(read.map(({ first }) => first));
  return others.length === 0 ? table : undefined;
}

/** Runs a statement on a table with one row without NULLs; returns SQLite's error. */
async function failureOnMadeUpRow(
  sql: string,
  table: string,
  { connection }: Scratch,
): Promise<string | null> {
  const columns = (await readColumns(connection, table)).filter(({ kind }) => kind === "ordinary");
  const list = columns.map(({ name }) => quoteName(name)).join(", ");
  const values = columns.map(({ type }) => madeUp(type)).join(", ");
  // ALTER TABLE may check all rows again, and the made-up row may violate checks.
  await connection.exec("PRAGMA ignore_check_constraints = ON");
  try {
    const inserted = await connection.run(
      `INSERT INTO ${quoteName(table)} (${list}) VALUES (${values})`,
    ).then(() => true, () => false);
    if (inserted) await connection.run(sql);
    return null;
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    return driverMessage(error);
  } finally {
    await connection.exec("PRAGMA ignore_check_constraints = OFF");
  }
}

function madeUp(type: string): string {
  if (/char|clob|text|any/i.test(type)) return "'1'";
  return /blob/i.test(type) ? "x'31'" : "1";
}

/** Drops views and tables, with their indexes and triggers: all of them, or none if that fails. */
export async function dropObjects(
  connection: Connection,
  names: readonly string[],
): Promise<void> {
  const views = await connection.all("SELECT name FROM main.sqlite_schema WHERE type = 'view'");
  const isView = new Set(views.map((row) => row["name"]));
  await connection.exec("BEGIN");
  try {
    for (const name of names) {
      const kind = isView.has(name) ? "VIEW" : "TABLE";
      await connection.exec(`DROP ${kind} main.${quoteName(name)}`);
    }
    await connection.exec("COMMIT");
  } catch {
    await connection.exec("ROLLBACK"); // keeping them only takes time
  }
}
