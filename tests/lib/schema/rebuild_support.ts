import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import type { MigrationTransaction } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";
import type { RebuildOptions } from "../../../lib/schema/rebuild_definition.ts";
import { migrationOf, type TemporaryDirectory, withDatabase } from "../support.ts";

/** A database file `app.db` created by SQL, and a migrator without applied migrations. */
export interface App {
  readonly path: string;
  /** Applies one migration that runs `work` with foreign keys off. */
  migrate(
    work: (transaction: MigrationTransaction) => Promise<void>,
    destroys?: readonly string[],
  ): Promise<void>;
  /** Applies one migration that rebuilds a table. */
  rebuild(table: string, options?: RebuildOptions): Promise<void>;
  /** All rows of a query. */
  query(sql: string): Record<string, SQLOutputValue>[];
  /** Runs SQL outside a migration. */
  execute(sql: string): void;
}

/** Creates the database with SQL, with foreign keys off. */
export function appOf(directory: TemporaryDirectory, sql: string): App {
  const path = directory.file("app.db");
  const execute = (statements: string) =>
    withDatabase(path, (db) => db.exec(`PRAGMA foreign_keys = OFF; ${statements}`));
  execute(`PRAGMA journal_mode = WAL; ${sql}`);
  let count = 0;
  const all = [
    migrationOf({ name: "1_begin", upgrade: "SELECT 1" }),
  ];
  const migrate: App["migrate"] = async (work, destroys = []) => {
    const name = `${all.length + 1}_rebuild_${++count}`;
    const migrations = [...all, migrationOf({ name, foreignKeys: false, destroys, upgrade: work })];
    await new Migrator({
      databases: { app: path },
      ledger: directory.file("migrations.db"),
      migrations,
    }).upgrade();
    all.splice(0, all.length, ...migrations);
  };
  return {
    path,
    migrate,
    rebuild: (table, options = {}) =>
      migrate(
        (transaction) => rebuildTable(transaction, table, options),
        options.drops === undefined ? [] : [table],
      ),
    query: (statement) =>
      withDatabase(path, (db) => db.prepare(statement).all().map((row) => ({ ...row }))),
    execute,
  };
}

/** The content of a database: the schema, and every row with its row id and its values as SQL literals. */
export function contentOf(path: string): unknown {
  using db = new DatabaseSync(path);
  const all = (sql: string, ...parameters: string[]) =>
    db.prepare(sql).all(...parameters).map((row) => ({ ...row }));
  const schema = all(
    "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE tbl_name <> 'catalyst_migrations'",
  );
  const tables = all(
    `SELECT name, wr FROM pragma_table_list
    WHERE schema = 'main' AND type = 'table' AND name NOT IN ('catalyst_migrations', 'sqlite_schema')
    ORDER BY name`,
  );
  const rows = tables.map(({ name, wr }) => {
    const columns = all("SELECT name FROM pragma_table_xinfo(?)", String(name))
      .map((column) => String(column["name"]));
    const free = ["rowid", "_rowid_", "oid"].find((one) => !columns.includes(one));
    const values = columns.map((column) => `quote("${column.replaceAll('"', '""')}")`);
    const hasNone = wr === 1 || free === undefined || name === "sqlite_sequence";
    const id = hasNone ? [] : [`quote(${free})`];
    const place = [...id, ...values].map((_, index) => index + 1).join(", ");
    return [
      name,
      all(
        `SELECT ${[...id, ...values].join(", ")} FROM "${String(name).replaceAll('"', '""')}"
        ORDER BY ${place}`,
      ),
    ];
  });
  return { schema, rows };
}
