import { inspect, type Inspection, inspectLedger } from "./inspect.ts";
import type { EventFilter, LedgerEvent } from "./ledger.ts";
import {
  assess,
  corrections,
  type DatabaseConflict,
  type DatabaseState,
  type MigrationStatus,
  summarize,
} from "./assess.ts";
import type { LostDatabase, LostDatabaseOptions } from "./lost_databases.ts";
import { isRestoring, type Workspace } from "./workspace.ts";
import { ChangedMigrationError, UnknownMarkerError } from "../base/errors.ts";
import type { Migration } from "../migration/migration.ts";
import type { UpgradeRequest } from "./plan.ts";

/** State of the databases and of every migration. */
export interface Status {
  /** Whether everything is applied and nothing is wrong. */
  readonly ok: boolean;
  /** Number of migrations that `upgrade` would apply. */
  readonly pending: number;
  /** Every database, in the order given. */
  readonly databases: readonly DatabaseState[];
  /** Every migration, lowest number first. */
  readonly migrations: readonly MigrationStatus[];
  /** Ids of migrations whose tables exist without a marker; `upgrade` adopts them. */
  readonly adoptable: readonly string[];
  /** Databases that are missing or empty although they had content before. */
  readonly lost: readonly LostDatabase[];
  /** Ids of migrations with a different state in the ledger; `upgrade` and `repair` correct it. */
  readonly unreconciled: readonly string[];
  /** Whether a restore was interrupted; the next command that changes the databases finishes it. */
  readonly restoring: boolean;
  /** The newest outcomes of the last 24 hours, at most 5. */
  readonly recent: readonly LedgerEvent[];
  /** Unreadable databases or ledger, in plain words. */
  readonly unreadable: readonly string[];
  /** Errors of migrations that could not be read, in plain words. */
  readonly unusable: readonly string[];
  /** Tables with a different schema than the migrations create. */
  readonly conflicts: readonly DatabaseConflict[];
}

/** Number of outcomes that {@link status} reads, and their maximum age in seconds. */
const RECENT = 5;
const DAY = 86_400;

/** Reads the state; writes and creates nothing. */
export async function status(
  workspace: Workspace,
  options: LostDatabaseOptions,
): Promise<Status> {
  const found = await inspect(workspace, {
    events: { limit: RECENT, outcomesSince: Math.floor(Date.now() / 1000) - DAY },
    journalModes: true,
    tolerant: true,
  });
  // A database with markers is not lost, so most starts need not load the code that decides.
  if (found.databases.values().every(({ markers }) => markers !== null)) {
    return statusOf(workspace, found, []);
  }
  const { findLostDatabases } = await import("./lost_databases.ts");
  return statusOf(workspace, found, await findLostDatabases(workspace, found, options));
}

/** Derives the status from the observed state. */
function statusOf(
  workspace: Workspace,
  found: Inspection,
  lost: readonly LostDatabase[],
): Status {
  const migrations = assess(workspace.registry, found);
  const conflicts = [...found.conflicts.values()].flat();
  const { adopted, reconciled } = summarize(corrections(workspace.registry, found));
  const restoring = isRestoring(workspace);
  const wanting = ["pending", "failed", "rolled_back"];
  return {
    ok: conflicts.length === 0 && lost.length === 0 && !restoring &&
      workspace.unusable.length === 0 &&
      found.unreadable.length === 0 &&
      migrations.every(({ state }) => state === "applied"),
    pending: migrations.filter(({ state }) => wanting.includes(state)).length,
    databases: [...found.databases.values()],
    migrations,
    adoptable: adopted,
    lost,
    unreconciled: reconciled,
    restoring,
    recent: found.events,
    unreadable: found.unreadable,
    unusable: workspace.unusable.map(({ message }) => message),
    conflicts,
  };
}

/** What brings a lost database back. */
export function wayBack({ database, snapshot }: LostDatabase): string {
  return snapshot === null
    ? `no snapshot has ${database}`
    : `\`restore ${snapshot} ${database}\` brings it back`;
}

/** Reads events of the ledger, newest first; none if there is no ledger. */
export async function history(
  workspace: Workspace,
  events: EventFilter,
): Promise<readonly LedgerEvent[]> {
  return (await inspectLedger(workspace, events)).events;
}

/** The work that an upgrade would do. */
export interface PlannedWork {
  /** The migrations to apply, in order. */
  readonly apply: readonly Migration[];
  /** Ids of the migrations to adopt. */
  readonly adopt: readonly string[];
  /** Ids of the migrations whose ledger rows to correct. */
  readonly reconcile: readonly string[];
}

/** The work that an upgrade would do, and what blocks it. */
export interface UpgradeWork extends PlannedWork {
  /** Databases whose requested migrations are skipped because of conflicting tables. */
  readonly blocked: readonly string[];
}

/** Plans the work for the observed state. */
export async function planWork(
  workspace: Workspace,
  found: Inspection,
  request: UpgradeRequest,
): Promise<UpgradeWork> {
  const { registry } = workspace;
  const { adopted, reconciled } = summarize(corrections(registry, found));
  const statuses = assess(registry, found);
  const isSettled = statuses.every(({ state }) => state === "applied") &&
    request.migration === undefined && request.to === undefined;
  const chosen = isSettled ? [] : await choose(workspace, found, { statuses, request });
  return {
    // A conflict in one database does not block those of another.
    apply: chosen.filter(({ database }) => !found.conflicts.has(database)),
    adopt: adopted,
    reconcile: reconciled,
    blocked: [...found.conflicts.keys()].filter((name) =>
      chosen.some(({ database }) => database === name)
    ),
  };
}

async function choose(
  workspace: Workspace,
  found: Inspection,
  { statuses, request }: {
    readonly statuses: readonly MigrationStatus[];
    readonly request: UpgradeRequest;
  },
): Promise<Migration[]> {
  const { registry } = workspace;
  const { migrationsToApply } = await import("./plan.ts");
  try {
    const chosen = migrationsToApply(registry, statuses, request);
    if (chosen.some(({ source }) => source !== undefined)) {
      const { refuseSyntaxErrors } = await import("../migration/syntax.ts");
      refuseSyntaxErrors(chosen);
    }
    return chosen;
  } catch (error) {
    if (error instanceof UnknownMarkerError) {
      const { withRollbackHelp } = await import("./refusals.ts");
      throw await withRollbackHelp(error, { workspace, found });
    }
    if (!(error instanceof ChangedMigrationError)) throw error;
    const { withAppliedDiff } = await import("./refusals.ts");
    throw withAppliedDiff(error, registry, found);
  }
}
