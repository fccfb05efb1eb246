import type { DatabaseLocation } from "./database/location.ts";
import { UsageError } from "./base/errors.ts";
import type { Workspace } from "./state/workspace.ts";

/**
 * Where a database is that a person has named.
 *
 * @throws {UsageError} where there is none of that name; `verb` is what was to be done, such as `export`.
 */
export async function knownDatabase(
  workspace: Workspace,
  database: string,
  verb: string,
): Promise<DatabaseLocation> {
  const location = workspace.locations.get(database);
  if (location !== undefined) return location;
  const names = [...workspace.locations.keys()];
  const { didYouMean } = await import("./base/suggestion.ts");
  throw new UsageError(`Cannot ${verb} "${database}": there is no such database`, {
    help: `${didYouMean(database, names)}the databases are ${names.join(", ")}`,
  });
}
