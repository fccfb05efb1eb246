import { withTransaction } from "./database/transaction.ts";
import { UsageError } from "./base/errors.ts";
import { inspect } from "./state/inspect.ts";
import { addOccurrence } from "./state/ledger.ts";
import { rewriteMarker } from "./state/marker.ts";
import { checksumOf } from "./migration/migration.ts";
import { findMigration } from "./state/plan.ts";
import { reconcile, type Reconciliation } from "./engine/reconcile.ts";
import { Session } from "./engine/session.ts";
import { assess } from "./state/assess.ts";
import { locationOf, type Workspace } from "./state/workspace.ts";

/** What was accepted. */
export interface AcceptResult extends Reconciliation {
  /** Id of the migration. */
  readonly id: string;
  /** Its name, as it is now. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
}

/**
 * Takes over the changed name and text of an applied migration: only its marker is written anew,
 * nothing is run.
 *
 * @throws {UnknownMigrationError} where there is no such migration.
 * @throws {UsageError} where it isn't applied, or not changed.
 */
export async function acceptChanged(workspace: Workspace, wanted: string): Promise<AcceptResult> {
  const { registry } = workspace;
  const migration = findMigration(registry, wanted);
  const { id, name, database } = migration;
  await using session = await Session.begin(workspace);
  const status = assess(registry, await inspect(workspace)).find((one) => one.id === id);
  if (status?.state !== "changed") {
    throw new UsageError(
      `Cannot accept ${name}: it is ${status?.state ?? "unknown"}, not changed`,
      {
        migration: name,
        database,
        help: "`status` shows the state of every migration",
      },
    );
  }
  const connection = await session.database(database);
  const checksum = await checksumOf(migration.upgrade);
  await withTransaction(connection, () => rewriteMarker(connection, migration, checksum), {
    timeout: workspace.timeout,
  });
  await session.record((ledger) =>
    addOccurrence(ledger, {
      name,
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "repair",
      detail: `accepted the changed text of ${id}`,
    })
  );
  // The ledger may still have its former name.
  const reconciliation = await reconcile(workspace, session, await inspect(workspace));
  await session.sync();
  return { id, name, database, ...reconciliation };
}
