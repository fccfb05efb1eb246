import { LocationError } from "../base/errors.ts";
import { statDatabase } from "../database/location.ts";
import { openForReading } from "../database/open.ts";
import { withSnapshot } from "../database/transaction.ts";
import type { Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { requireKnownDatabase, type Workspace } from "../state/workspace.ts";

/**
 * Reads the schema of a database, without the markers; writes nothing.
 *
 * @throws {UsageError} if no database has that name.
 * @throws {LocationError} if the database does not exist yet.
 */
export async function readKnownSchema(workspace: Workspace, database: string): Promise<Schema> {
  const location = requireKnownDatabase(workspace, database, "describe");
  if (!statDatabase(location).exists) {
    throw new LocationError(`Cannot describe ${database}: there is no file ${location.path}`, {
      database,
      help: "`catalyst-migrate upgrade` creates it",
    });
  }
  await using connection = await openForReading(location, workspace.settings);
  // Must not see the intermediate state of a running migration.
  return await withSnapshot(connection, () => readSchema(connection));
}
