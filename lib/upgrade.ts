import { attempt, type MigrationProgress } from "./attempt.ts";
import { CatalystError, InterruptedError } from "./errors.ts";
import { inspect, type Inspection } from "./inspect.ts";
import type { Migration } from "./migration.ts";
import { planUpgrade, type UpgradeRequest } from "./plan.ts";
import { needsReconciling, reconcile, refuseConflicts } from "./reconcile.ts";
import { Session } from "./session.ts";
import { assess, corrections, summarize } from "./state.ts";
import type { Workspace } from "./workspace.ts";

/** How to upgrade. */
export interface UpgradeOptions extends UpgradeRequest {
  /** Stops before the next statement; the migration under way is rolled back. */
  readonly signal?: AbortSignal;
  /** Called before and after each migration. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** What an upgrade would do. */
export interface UpgradePlan {
  /** The migrations that it would apply, in order. */
  readonly apply: readonly Migration[];
  /** Ids of the migrations that it would adopt. */
  readonly adopt: readonly string[];
  /** Ids of the migrations whose ledger row it would correct. */
  readonly reconcile: readonly string[];
}

/** What an upgrade did. */
export interface UpgradeResult {
  /** The migrations that it applied, in order. */
  readonly applied: readonly AppliedMigration[];
  /** Ids of the migrations that were there without a marker, and are now marked. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
}

/** A migration that was applied. */
export interface AppliedMigration {
  readonly id: string;
  readonly name: string;
  readonly database: string;
  /** How long it took, in seconds. */
  readonly durationSeconds: number;
}

/** Says what {@link upgrade} would do, and changes nothing. */
export async function plan(workspace: Workspace, request: UpgradeRequest): Promise<UpgradePlan> {
  return planFrom(workspace, await inspect(workspace), request);
}

/** Reconciles, then applies the pending migrations; stops at the first that fails. */
export async function upgrade(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  const first = await inspect(workspace);
  const hasWork = planFrom(workspace, first, options).apply.length > 0;
  if (!hasWork && !needsReconciling(workspace, first)) {
    return { applied: [], adopted: [], reconciled: [] };
  }
  await using session = await Session.begin(workspace, options.signal);
  // Another migrator may have worked until the lock was ours.
  const found = await inspect(workspace);
  const { apply } = planFrom(workspace, found, options);
  const applied: AppliedMigration[] = [];
  let reconciliation = { adopted: [] as readonly string[], reconciled: [] as readonly string[] };
  let current: Migration | null = null;
  try {
    reconciliation = await reconcile(workspace, session, found);
    for (current of apply) {
      applied.push(await applyOne(workspace, session, { migration: current, found, options }));
    }
    current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done: applied.map(({ id }) => id),
        ...reconciliation,
        failed: current?.id ?? null,
      };
    }
    throw error;
  }
  return { applied, ...reconciliation };
}

interface Application {
  readonly migration: Migration;
  readonly found: Inspection;
  readonly options: UpgradeOptions;
}

async function applyOne(
  workspace: Workspace,
  session: Session,
  { migration, found, options }: Application,
): Promise<AppliedMigration> {
  const { id, name, database } = migration;
  if (options.signal?.aborted) {
    throw new InterruptedError(`Cannot apply ${name}: interrupted`, {
      help: "run the command again to go on",
    });
  }
  const progress = { direction: "upgrade", id, name, database } as const;
  options.onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  const state = found.databases.get(database);
  const isFresh = state === undefined || (state.markers ?? []).length === 0 && !state.hasTables;
  const seconds = await attempt(workspace, session, {
    migration,
    direction: "upgrade",
    destroys: migration.destroys ?? [],
    verify: isFresh ? undefined : async (connection) => {
      const { expectCreated, mayFindExisting } = await import("./expectation.ts");
      if (mayFindExisting(migration)) {
        await expectCreated(connection, migration, workspace.registry);
      }
    },
    timeout: workspace.timeout,
    signal: options.signal,
  });
  const durationSeconds = seconds ?? 0;
  options.onProgress?.({ kind: "finished", ...progress, durationSeconds });
  return { id, name, database, durationSeconds };
}

function planFrom(workspace: Workspace, found: Inspection, request: UpgradeRequest): UpgradePlan {
  refuseConflicts(workspace, found);
  const { registry } = workspace;
  const { adopted, reconciled } = summarize(corrections(registry, found));
  return {
    apply: planUpgrade(registry, assess(registry, found), request),
    adopt: adopted,
    reconcile: reconciled,
  };
}
