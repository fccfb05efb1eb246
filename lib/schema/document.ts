/**
 * The schema of a database as a document: SQL and data in a stable form that can be compared.
 *
 * @module
 */
import { LocationError, StatementError } from "../base/errors.ts";
import { locate, statDatabase } from "../database/location.ts";
import { openForReading, openMemory } from "../database/open.ts";
import { defaultSettings } from "../database/connection.ts";
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

// Action codes of SQLite's authorizer: BEGIN and COMMIT, SAVEPOINT; ATTACH, DETACH.
const TRANSACTION: readonly number[] = [22, 32];
const FILE: readonly number[] = [24, 25];

/** Options of {@link describeSchema}. */
export interface DescribeSchemaOptions {
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
}

/**
 * Describes the schema of a database file, given by its path or `file:` URL, without SQLite's internal
 * tables and the toolkit's markers. A bot may have the file open and keep writing; nothing is changed.
 * Needs read permission on the file and its directory.
 *
 * @throws {LocationError} if the file does not exist or is a directory.
 * @throws {NotADatabaseError} if it is not an SQLite database.
 * @throws {CorruptDatabaseError} if it is damaged.
 * @throws {DatabaseLockedError} if it was locked for longer than the timeout.
 * @throws {AccessError} if permission to read it is missing.
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
 * console.log(sql); // CREATE TABLE notes ( … with one column per line
 * console.assert(schema.tables[0]?.columns[1]?.name === "body");
 * ```
 */
export async function describeSchema(
  database: string | URL,
  options: DescribeSchemaOptions = {},
): Promise<SchemaDescription> {
  const location = locate(database);
  if (!statDatabase(location).exists) {
    throw new LocationError(`Cannot describe ${location.path}: file not found`, {
      help: "check the path; `catalyst-migrate upgrade` creates the bot's databases",
    });
  }
  const { timeout = defaultSettings.busyTimeout } = options;
  await using connection = await openForReading(location, { busyTimeout: timeout });
  return describe(await withSnapshot(connection, () => readSchema(connection)));
}

/**
 * Describes the schema that SQL text creates, such as that of a `schema.sql`. The statements run in a
 * new in-memory database and cannot access files. Needs no permission.
 *
 * @throws {StatementError} if a statement fails; `statement` and `line` say which.
 *
 * @example Format SQL
 * ```ts
 * import { parseSchema } from "@catalyst/migrate/schema";
 *
 * const { sql, schema } = await parseSchema("create table notes(body text not null)");
 * console.assert(sql.startsWith("CREATE TABLE notes (")); // one column per line
 * console.assert(schema.tables[0]?.columns[0]?.notNull);
 * ```
 */
export async function parseSchema(sql: string): Promise<SchemaDescription> {
  await using connection = openMemory({ label: "a new database in memory" });
  // Without rows there is nothing to enforce, and a child may be created before its parent.
  await connection.exec("PRAGMA foreign_keys = OFF");
  let refused = false;
  using _confined = connection.confine((action) => {
    if (TRANSACTION.includes(action)) return 2; // ignored: a dump has its own transaction, and nothing needs to be rolled back here
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
      help: "remove ATTACH and similar statements; a schema is that of one database",
      statement,
      line,
    });
  }
  return describe(await readSchema(connection));
}

/** The schema of a database in a stable form, which changes only if the schema does. */
export interface SchemaDescription {
  /** SQL that creates the same schema in an empty database; empty for an empty schema. */
  readonly sql: string;
  /** The same as data, with lists sorted by name and canonical texts. */
  readonly schema: Schema;
}

/** Describes a schema. */
export function describe(schema: Schema): SchemaDescription {
  return { sql: formatSchema(schema), schema: stableSchema(schema) };
}

/**
 * The schema with lists sorted by name and canonical texts, so that databases with the same formatted
 * schema give the same document.
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
