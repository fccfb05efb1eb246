import { statDatabase } from "./database/location.ts";
import { readDatabase } from "./database/reading.ts";
import { withSnapshot } from "./database/transaction.ts";
import { LocationError } from "./base/errors.ts";
import { knownDatabase } from "./state/refusals.ts";
import { readSchema } from "./schema/read.ts";
import { describe, type SchemaDescription } from "./schema/document.ts";
import type { Workspace } from "./state/workspace.ts";

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
  return describe(schema);
}
