import { DatabaseSync, type SQLInputValue, type SQLOutputValue } from "node:sqlite";
import { bundledMigrations } from "../../migrations/mod.ts";
import type { Migration } from "../../lib/migration/migration.ts";

/** Values of a row by column name. */
export type Values = Readonly<Record<string, SQLInputValue>>;

/** The bundled migrations of the same database before a given one. */
export function earlierThan(migration: Migration): readonly Migration[] {
  return bundledMigrations.slice(0, bundledMigrations.indexOf(migration))
    .filter(({ database }) => database === migration.database);
}

/** SQL of one direction of a migration; all bundled ones are SQL. */
export function sqlOf(migration: Migration, direction: "upgrade" | "downgrade"): string {
  const body = migration[direction];
  if (typeof body !== "string") throw new Error(`${direction} of ${migration.name} is not SQL`);
  return body;
}

/** An empty in-memory database, closed on disposal. */
export class MemoryDatabase extends DatabaseSync {
  constructor(options: { foreignKeys?: boolean } = {}) {
    super(":memory:", { enableForeignKeyConstraints: options.foreignKeys ?? true });
  }

  /** A database after its bundled migrations. */
  static migrated(database: string, options: { foreignKeys?: boolean } = {}): MemoryDatabase {
    return new MemoryDatabase(options).upgraded(
      bundledMigrations.filter((each) => each.database === database),
    );
  }

  /** A database before a given bundled migration. */
  static before(migration: Migration): MemoryDatabase {
    return new MemoryDatabase().upgraded(earlierThan(migration));
  }

  /** Runs migrations and returns itself. */
  upgraded(migrations: readonly Migration[]): this {
    for (const migration of migrations) this.exec(sqlOf(migration, "upgrade"));
    return this;
  }

  /** All rows of a query, as plain objects. */
  rows(sql: string, ...parameters: SQLInputValue[]): Record<string, SQLOutputValue>[] {
    return this.prepare(sql).all(...parameters).map((row) => ({ ...row }));
  }

  /** All values of a query's only column. */
  column(sql: string, ...parameters: SQLInputValue[]): SQLOutputValue[] {
    return this.rows(sql, ...parameters).flatMap((row) => Object.values(row));
  }

  /** Inserts one row; omitted columns get their defaults. */
  insert(table: string, values: Values): void {
    const columns = Object.keys(values);
    this.prepare(
      `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    ).run(...Object.values(values));
  }

  /** The objects of the schema, without SQLite's internal tables. */
  objects(): Record<string, SQLOutputValue>[] {
    return this.rows(
      `SELECT type, name, tbl_name, sql FROM sqlite_schema
       WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid`,
    );
  }
}
