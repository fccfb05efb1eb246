/**
 * Describes the schema of a database, as data and as SQL in a stable order and layout, and compares the
 * meaning of two schemas. Reading needs read permission on the database; nothing is written.
 *
 * @example Check whether a database still has the schema that is stored in a file
 * ```ts
 * import { openDatabase } from "@catalyst/migrate/database";
 * import { compareSchemas, describeSchema, parseSchema } from "@catalyst/migrate/schema";
 *
 * const kept = "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL);";
 * const path = `${await Deno.makeTempDir()}/app.db`;
 * using db = openDatabase(path);
 * db.exec("CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT)");
 *
 * const { schema: expected } = await parseSchema(kept);
 * const { schema: actual } = await describeSchema(path);
 * for (const { detail } of compareSchemas(expected, actual)) console.log(detail);
 * ```
 *
 * @module
 */
export {
  AccessError,
  CatalystError,
  type CatalystErrorOptions,
  CorruptDatabaseError,
  DatabaseLockedError,
  LocationError,
  type LostRows,
  NotADatabaseError,
  type Progress,
  StatementError,
} from "../base/errors.ts";
export { compareSchemas } from "./compare.ts";
export type {
  CheckSchema,
  ColumnSchema,
  Difference,
  ForeignKeySchema,
  GeneratedSchema,
  IndexColumn,
  IndexSchema,
  Schema,
  TableSchema,
  TriggerSchema,
  ViewSchema,
} from "./model.ts";
export {
  describeSchema,
  type DescribeSchemaOptions,
  parseSchema,
  type SchemaDescription,
} from "./document.ts";
export { formatSchema } from "./format.ts";
