import { SchemaConflictError, UsageError } from "../base/errors.ts";
import { openForReading } from "../database/open.ts";
import { withTransaction } from "../database/transaction.ts";
import { adopt, reconcile, type Reconciliation } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, compareIds, type Migration } from "../migration/migration.ts";
import { assess, migrationsIn } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { addOccurrence } from "../state/ledger.ts";
import { rewriteMarker } from "../state/marker.ts";
import { findMigration } from "../state/plan.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { compareWithReference } from "./verify.ts";

/** Result of accepting a changed migration. */
export interface AcceptResult extends Reconciliation {
  /** Id of the migration. */
  readonly id: string;
  /** Its current name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
}

/**
 * Accepts the changed name and text of an applied migration: rewrites its marker and runs nothing.
 *
 * @throws {UnknownMigrationError} if the migration does not exist.
 * @throws {UsageError} if it is not applied, or has not changed.
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
        help: "`status --verbose` shows the state of every migration",
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
  // The ledger may still have the old name.
  const reconciliation = await reconcile(workspace, session, await inspect(workspace));
  await session.sync();
  return { id, name, database, ...reconciliation };
}

/** Options for a baseline. */
export interface BaselineOptions {
  /** The last migration to mark, by id or name. */
  readonly to: string;
  /** Only migrations of this database. Default: all databases. */
  readonly database?: string;
  /** Only return what would be marked. Default `false`. */
  readonly dryRun?: boolean;
}

/** What was marked, or would be. */
export interface BaselineResult {
  /** Ids of the migrations that are now marked as applied. */
  readonly marked: readonly string[];
}

/**
 * Marks migrations whose changes are already in the databases as applied, after comparing the
 * schema with the migrations. Writes nothing else.
 *
 * @throws {SchemaConflictError} if a database has a different schema; no marker is written.
 * @throws {UnknownMigrationError} if the migration does not exist.
 */
export async function baseline(
  workspace: Workspace,
  { to, database, dryRun = false }: BaselineOptions,
): Promise<BaselineResult> {
  const last = findMigration(workspace.registry, to);
  await using session = dryRun ? null : await Session.begin(workspace);
  const found = await inspect(workspace);
  const marked = unmarked(workspace, found, last).filter((one) =>
    database === undefined || one.database === database
  );
  for (const database of new Set(marked.map((one) => one.database))) {
    await refuseOtherSchema(workspace, found, {
      database,
      marked: marked.filter((one) => one.database === database),
    });
  }
  if (session !== null) {
    for (const migration of marked) {
      const row = found.ledger.history.get(migration.id);
      await adopt(workspace, session, { kind: "adopt", migration, row });
    }
    await session.sync();
  }
  return { marked: marked.map(({ id }) => id) };
}

/** The migrations up to the last one that have no marker, in order. */
function unmarked({ registry }: Workspace, found: Inspection, last: Migration): Migration[] {
  const marked = new Set(
    [...found.databases.values()].flatMap(({ markers }) => (markers ?? []).map(({ id }) => id)),
  );
  return registry.migrations.filter(({ id }) => compareIds(id, last.id) <= 0 && !marked.has(id));
}

async function refuseOtherSchema(
  workspace: Workspace,
  found: Inspection,
  { database, marked }: { readonly database: string; readonly marked: readonly Migration[] },
): Promise<void> {
  const location = locationOf(workspace, database);
  const fail = (reason: string) =>
    new SchemaConflictError(
      `Cannot mark ${marked.map(({ id }) => id).join(", ")} as applied to ${database}: ${reason}`,
      { database, help: "nothing was changed; `upgrade` applies missing migrations" },
    );
  if (found.databases.get(database)?.exists !== true) {
    throw fail(`there is no file ${location.path}`);
  }
  const present = migrationsIn(workspace.registry, found, database);
  const migrations = [...present.filter((one) => !marked.includes(one)), ...marked];
  await using connection = await openForReading(location, workspace.settings);
  const { problems, notices } = await compareWithReference(connection, {
    migrations,
    adopted: true,
  });
  const unchecked = notices.filter(({ kind }) => kind === "unchecked");
  const reasons = [...problems, ...unchecked].map(({ detail }) => detail);
  if (reasons.length > 0) throw fail(`its schema differs: ${reasons.join("; ")}`);
}
