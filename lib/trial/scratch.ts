import { quoteName } from "../sql/tokens.ts";
import type { Connection } from "../database/connection.ts";
import { openMemory } from "../database/open.ts";
import { number, type Row, text, textOrNull } from "../database/connection.ts";
import { readSchema } from "../schema/read.ts";
import type { Schema } from "../schema/model.ts";

/** A table as SQLite keeps it. */
export interface TableEntry {
  readonly name: string;
  readonly database: "main" | "temp";
  /** First page, which a renamed table keeps; 0 where it has none. */
  readonly root: number;
}

const TABLES = `SELECT 'main' AS db, name, coalesce(rootpage, 0) AS root
  FROM main.sqlite_schema WHERE type = 'table'
  UNION ALL SELECT 'temp', name, coalesce(rootpage, 0) FROM temp.sqlite_schema WHERE type = 'table'`;

const ALL_TEXTS =
  `SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), ' ; ') AS texts
  FROM (SELECT * FROM main.sqlite_schema ORDER BY type, name)`;

/** A database in memory with the schema of a real one and, at first, none of its rows. */
export class Scratch implements AsyncDisposable {
  readonly connection: Connection;
  /** Objects of the real database that could not be made here, as those of a module that is not there. */
  readonly missing: readonly string[];

  private constructor(connection: Connection, missing: readonly string[]) {
    this.connection = connection;
    this.missing = missing;
  }

  /** Makes one like a real database; an empty one where there is none. */
  static async like(real: Connection | null): Promise<Scratch> {
    const connection = openMemory();
    try {
      // Enforcing them would need the rows, and would hide which columns a WHERE reads.
      await connection.exec("PRAGMA foreign_keys = OFF");
      // Else SQLite copies `INSERT INTO n SELECT * FROM t` as it is, and doesn't say what it reads.
      await connection.exec("PRAGMA count_changes = ON");
      return new Scratch(connection, real === null ? [] : await copySchema(real, connection));
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** All tables, temporary ones too. */
  async tables(): Promise<readonly TableEntry[]> {
    return (await this.connection.all(TABLES)).map(entryOf);
  }

  /** The texts of all objects, in one. */
  async texts(): Promise<string> {
    const row = await this.connection.get(ALL_TEXTS);
    return row === undefined ? "" : textOrNull(row, "texts") ?? "";
  }

  /** The schema; `previous` saves reading what has not changed. */
  async schema(previous?: Schema): Promise<Schema> {
    return await readSchema(this.connection, previous === undefined ? {} : { previous });
  }

  /** Names of the columns of a table of `main` or `temp`. */
  async columns(table: string, database = "main"): Promise<readonly string[]> {
    const rows = await this.connection.all("SELECT name FROM pragma_table_xinfo(?, ?)", [
      table,
      database,
    ]);
    return rows.map((row) => text(row, "name"));
  }

  /** Number of rows that migrations have put into a table here. */
  async rows(table: string): Promise<number> {
    const row = await this.connection.get(`SELECT count(*) AS rows FROM main.${quoteName(table)}`);
    return row === undefined ? 0 : number(row, "rows");
  }

  /** Number of rows that the last INSERT, UPDATE or DELETE changed. */
  async changes(): Promise<number> {
    const row = await this.connection.get("SELECT changes() AS rows");
    return row === undefined ? 0 : number(row, "rows");
  }

  /** Runs `work`, and takes back what it did. */
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

/** Makes the objects of one database in another; the names of those that can't be made. */
async function copySchema(real: Connection, scratch: Connection): Promise<string[]> {
  // The tables inside a virtual table are made with it, and SQLite's own by SQLite.
  const rows = await real.all(
    `SELECT type, name, sql FROM main.sqlite_schema
    WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
      AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
      AND tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
  );
  const missing: string[] = [];
  await scratch.exec("BEGIN");
  for (const row of rows) {
    try {
      await scratch.exec(text(row, "sql"));
    } catch {
      missing.push(text(row, "name"));
    }
  }
  await scratch.exec("COMMIT");
  return missing;
}
