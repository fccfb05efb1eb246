import { LocationError, StatementError } from "../base/errors.ts";
import { locate, statDatabase } from "../database/location.ts";
import { openMemory, readDatabase } from "../database/open.ts";
import { defaultSettings, withTimeout } from "../database/connection.ts";
import { withSnapshot } from "../database/transaction.ts";
import { oneLine } from "../sql/layout.ts";
import { spell } from "../sql/spelling.ts";
import { fold, tokenize } from "../sql/tokens.ts";
import {
  formatIndex,
  formatSchema,
  formatTable,
  formatTrigger,
  formatView,
  sorted,
} from "./format.ts";
import type { ColumnSchema, IndexSchema, Schema, TableSchema } from "./model.ts";
import { readSchema } from "./read.ts";

// What SQLite is about to do, as its authorizer numbers it: BEGIN and COMMIT, SAVEPOINT; ATTACH, DETACH.
const TRANSACTION: readonly number[] = [22, 32];
const FILE: readonly number[] = [24, 25];

/** How to read the schema of a database. */
export interface DescribeSchemaOptions {
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
}

/**
 * Describes the schema of a database file, named by its path or `file:` URL, without SQLite's own
 * tables and the toolkit's markers. A bot may have it open and go on writing; nothing is changed. Needs
 * read permission on the file and its directory.
 *
 * @throws {LocationError} if there is no such file, or a directory is in its place.
 * @throws {NotADatabaseError} if it is no SQLite database.
 * @throws {CorruptDatabaseError} if it is damaged.
 * @throws {DatabaseLockedError} if a lock was not gone within the timeout.
 * @throws {AccessError} if it may not be read.
 *
 * @example Print the schema of a database
 * ```ts
 * import { openDatabase } from "@catalyst/migrate/database";
 * import { describeSchema } from "@catalyst/migrate/schema";
 *
 * const path = `${await Deno.makeTempDir()}/app.db`;
 * openDatabase(path).exec("create table notes(note_id integer primary key, body text)");
 *
 * const { sql, schema } = await describeSchema(path);
 * console.log(sql); // CREATE TABLE notes ( … one column a line
 * console.assert(schema.tables[0]?.columns[1]?.name === "body");
 * ```
 */
export async function describeSchema(
  database: string | URL,
  options: DescribeSchemaOptions = {},
): Promise<SchemaDescription> {
  const location = locate(database);
  if (!statDatabase(location).exists) {
    throw new LocationError(`Cannot describe ${location.path}: there is no such file`, {
      help: "check the path; `catalyst-migrate upgrade` creates the bot's databases",
    });
  }
  const { timeout = defaultSettings.busyTimeout } = options;
  const settings = withTimeout(timeout);
  // The caller may have it open: what is quicker would drop its locks.
  const schema = await readDatabase(
    location,
    { settings, alone: false },
    (connection) => withSnapshot(connection, () => readSchema(connection)),
  );
  return describe(schema);
}

/**
 * Describes the schema that SQL text makes, such as that of a `schema.sql`. The statements run in a new
 * database in memory; they can reach no file. Needs no permission.
 *
 * @throws {StatementError} if a statement fails; `statement` and `line` say which.
 *
 * @example Lay SQL out anew
 * ```ts
 * import { parseSchema } from "@catalyst/migrate/schema";
 *
 * const { sql, schema } = await parseSchema("create table notes(body text not null)");
 * console.assert(sql.startsWith("CREATE TABLE notes (")); // one column a line
 * console.assert(schema.tables[0]?.columns[0]?.notNull);
 * ```
 */
export async function parseSchema(sql: string): Promise<SchemaDescription> {
  await using connection = openMemory({ label: "a new database in memory" });
  // Without rows there is nothing to enforce, and a parent may be made after its child.
  await connection.exec("PRAGMA foreign_keys = OFF");
  let refused = false;
  using _confined = connection.confine((action) => {
    if (TRANSACTION.includes(action)) return 2; // a dump has its own; here is nothing to roll back
    refused ||= FILE.includes(action);
    return FILE.includes(action) ? 1 : 0;
  });
  try {
    await connection.script(sql);
  } catch (error) {
    if (!refused || !(error instanceof StatementError)) throw error;
    const { statement = sql, line = 1 } = error;
    throw new StatementError(`Cannot read a schema from SQL: line ${line} opens another file`, {
      cause: error,
      help: "take ATTACH and the like out; a schema is of one database",
      statement,
      line,
    });
  }
  return describe(await readSchema(connection));
}

/** The schema of a database in a form that stays the same as long as the schema does. */
export interface SchemaDescription {
  /** SQL that makes the same schema in an empty database; empty if there is none. */
  readonly sql: string;
  /** The same as data: lists of objects by name, texts in one spelling. */
  readonly schema: Schema;
}

/** Describes a schema as it was read. */
export function describe(schema: Schema): SchemaDescription {
  return { sql: formatSchema(schema), schema: stableSchema(schema) };
}

/**
 * The schema with its lists in the order of names and its texts in one spelling, so that two
 * databases with the same text of schema give the same document.
 */
export function stableSchema(schema: Schema): Schema {
  const tables = new Map(schema.tables.map((table) => [fold(table.name), table]));
  return {
    tables: sorted(schema.tables).map(stableTable),
    indexes: sorted(schema.indexes).map((index) =>
      stableIndex(index, tables.get(fold(index.table)))
    ),
    views: sorted(schema.views).map((view) => ({ ...view, sql: formatView(view) })),
    triggers: sorted(schema.triggers).map((trigger) => ({
      ...trigger,
      sql: formatTrigger(trigger),
    })),
  };
}

function stableTable(table: TableSchema): TableSchema {
  return {
    ...table,
    columns: table.columns.map((column): ColumnSchema => ({
      ...column,
      type: oneLine(spell(tokenize(column.type), { names: new Set() })),
      default: column.default === null ? null : oneSpelling(column.default),
      generated: column.generated === null ? null : {
        ...column.generated,
        expression: oneSpelling(column.generated.expression, table),
      },
    })),
    checks: table.checks.map(({ name, expression }) => ({
      name,
      expression: oneSpelling(expression, table),
    })),
    sql: formatTable(table),
  };
}

function stableIndex(index: IndexSchema, table: TableSchema | undefined): IndexSchema {
  return {
    ...index,
    columns: index.columns.map((column) => ({
      ...column,
      expression: column.expression === null ? null : oneSpelling(column.expression, table),
    })),
    where: index.where === null ? null : oneSpelling(index.where, table),
    sql: formatIndex(index, table),
  };
}

function oneSpelling(sql: string, table?: TableSchema): string {
  const known = new Set(table?.columns.map(({ name }) => fold(name)));
  return oneLine(spell(tokenize(sql), { names: new Set(), known, isExpression: true }));
}
