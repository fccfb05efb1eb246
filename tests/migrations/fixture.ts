import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";
import { bundledMigrations } from "../../migrations/mod.ts";
import type { Migration } from "../../lib/migration.ts";

/** Values of a row by column name. */
export type Values = Readonly<Record<string, SQLInputValue>>;

/** The bundled migration of a database. */
export function migrationOf(database: string): Migration {
  const migration = bundledMigrations.find((each) => each.database === database);
  if (migration === undefined) throw new Error(`no bundled migration of "${database}"`);
  return migration;
}

/** SQL of a migration's one direction; the bundled ones are all text. */
export function sqlOf(migration: Migration, direction: "upgrade" | "downgrade"): string {
  const body = migration[direction];
  if (typeof body !== "string") throw new Error(`${direction} of ${migration.name} is not SQL`);
  return body;
}

/** An empty database in memory, closed when it is disposed of. */
export class MemoryDatabase extends DatabaseSync {
  constructor(options: { foreignKeys?: boolean } = {}) {
    super(":memory:", { enableForeignKeyConstraints: options.foreignKeys ?? true });
  }

  /** One in which a database's bundled migration has run. */
  static migrated(database: string, options: { foreignKeys?: boolean } = {}): MemoryDatabase {
    const db = new MemoryDatabase(options);
    db.exec(sqlOf(migrationOf(database), "upgrade"));
    return db;
  }

  /** All rows of a query, as plain objects. */
  rows(sql: string, ...parameters: SQLInputValue[]): Record<string, SQLOutputValue>[] {
    return this.prepare(sql).all(...parameters).map((row) => ({ ...row }));
  }

  /** All values of a query's only column. */
  column(sql: string, ...parameters: SQLInputValue[]): SQLOutputValue[] {
    return this.rows(sql, ...parameters).flatMap((row) => Object.values(row));
  }

  /** Inserts one row; columns that are not given get their defaults. */
  insert(table: string, values: Values): void {
    const columns = Object.keys(values);
    this.prepare(
      `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    ).run(...Object.values(values));
  }

  /** What the schema consists of, without SQLite's own tables. */
  objects(): Record<string, SQLOutputValue>[] {
    return this.rows(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema
       WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid`,
    );
  }
}
