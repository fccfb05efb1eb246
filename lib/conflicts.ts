import { SchemaConflictError } from "./base/errors.ts";
import type { Inspection } from "./state/inspect.ts";
import { shellWord } from "./base/suggestion.ts";
import { locationOf, type Workspace } from "./state/workspace.ts";

/**
 * Refuses databases with tables of the migrations' names and of another shape.
 *
 * @throws {SchemaConflictError} naming each table and what is missing or different.
 */
export function refuseConflicts(workspace: Workspace, found: Inspection): void {
  for (const [database, differences] of found.conflicts) {
    const { path } = locationOf(workspace, database);
    const file = shellWord(path);
    throw new SchemaConflictError(
      `Cannot upgrade ${database} (${path}): it has tables of the same name and another shape: ` +
        differences.join("; "),
      {
        database,
        help: "nothing was changed. To keep your table under another name: " +
          `sqlite3 ${file} 'ALTER TABLE <name> RENAME TO my_<name>', then run upgrade again; ` +
          "or add and mend the columns that are named above, so that it is adopted",
      },
    );
  }
}
