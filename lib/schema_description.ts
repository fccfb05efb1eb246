import { statDatabase } from "./database/location.ts";
import { readDatabase } from "./database/reading.ts";
import { withSnapshot } from "./database/transaction.ts";
import { LocationError } from "./errors.ts";
import { knownDatabase } from "./known_database.ts";
import { formatSchema } from "./schema/format_sql.ts";
import type { Schema } from "./schema/model.ts";
import { readSchema } from "./schema/read.ts";
import { stableSchema } from "./schema/stable.ts";
import type { Workspace } from "./workspace.ts";

/** The schema of a database in a form that stays the same as long as the schema does. */
export interface SchemaDescription {
  /** SQL that makes the same schema in an empty database; empty where there is none. */
  readonly sql: string;
  /** The same as data: lists of objects by name, texts in one spelling. */
  readonly schema: Schema;
}

/**
 * Describes the schema of a database, without the markers; writes nothing.
 *
 * @throws {UsageError} where no database has that name.
 * @throws {LocationError} where it is not there yet.
 */
export async function describeSchema(
  workspace: Workspace,
  database: string,
): Promise<SchemaDescription> {
  const location = await knownDatabase(workspace, database, "describe");
  if (!statDatabase(location).exists) {
    throw new LocationError(`Cannot describe ${database}: there is no file ${location.path}`, {
      database,
      help: "`catalyst-migrate upgrade` creates it",
    });
  }
  const schema = await readDatabase(
    location,
    workspace,
    // A migrator at work must not be seen between two of its steps.
    (connection) => withSnapshot(connection, () => readSchema(connection)),
  );
  return { sql: formatSchema(schema), schema: stableSchema(schema) };
}
