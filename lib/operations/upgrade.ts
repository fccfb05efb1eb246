import type { MigrationProgress } from "../engine/apply.ts";
import { ChangedMigrationError, UnknownMarkerError } from "../base/errors.ts";
import type { MigrationHooks } from "../migration/hooks.ts";
import type { Migration } from "../migration/migration.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { MigrationStatus } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import { planFrom, type UpgradePlan } from "../state/upgrade_plan.ts";
import type { Workspace } from "../state/workspace.ts";

/** How to upgrade. */
export interface UpgradeOptions extends UpgradeRequest {
  /** Stops before the next statement; the migration under way is rolled back. */
  readonly signal?: AbortSignal;
  /**
   * Whether to take a snapshot of databases that hold rows before they are changed. Default `true`.
   */
  readonly backup?: boolean;
  /** Called now and then while that snapshot is taken. */
  readonly onSnapshot?: (progress: SnapshotProgress) => void;
  /** Called before the work begins, which waits for it; not at all where there is nothing to do. */
  readonly onWork?: () => void | Promise<void>;
  /** A program's own functions to be called around the migrations. */
  readonly hooks?: MigrationHooks;
  /** Called before and after each migration. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** What to plan, and what to say of it. */
export interface PlanUpgradeOptions extends UpgradeRequest {
  /**
   * Whether to try the migrations on a scratch database with the real schema, to say what each would
   * do. Default `false`.
   */
  readonly effects?: boolean;
}

/** What an upgrade did. */
export interface UpgradeResult extends TakenSnapshots {
  /** The migrations that it applied, in order. */
  readonly applied: readonly AppliedMigration[];
  /** Ids of the migrations that were there without a marker, and are now marked. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
}

/** A migration that was applied. */
export interface AppliedMigration {
  /** Its id, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** How long it took, in seconds. */
  readonly durationSeconds: number;
}

/** Migrations of which effects are found, at most: for each, the schema is read as it is by then. */
const MOST_EFFECTS = 300;

/** Says what {@link upgrade} would do, and changes nothing. */
export async function plan(
  workspace: Workspace,
  request: PlanUpgradeOptions,
): Promise<UpgradePlan> {
  const planned = await planFrom(workspace, await inspect(workspace), request);
  if (!request.effects || planned.apply.length > MOST_EFFECTS) return planned;
  const { findEffects } = await import("../trial/effects.ts");
  return { ...planned, effects: await findEffects(workspace, planned.apply) };
}

/** Reconciles, then applies the pending migrations; stops at the first that fails. */
export async function upgrade(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  const { apply, adopt, reconcile } = await planFrom(workspace, await inspect(workspace), options);
  if (apply.length + adopt.length + reconcile.length === 0) {
    return { applied: [], adopted: [], reconciled: [], snapshot: null };
  }
  await options.onWork?.();
  // Most starts end here; only those with work load what does it.
  const { applyPending } = await import("./apply_pending.ts");
  return await applyPending(workspace, options);
}

export async function choose(
  workspace: Workspace,
  found: Inspection,
  { statuses, request }: {
    readonly statuses: readonly MigrationStatus[];
    readonly request: UpgradeRequest;
  },
): Promise<Migration[]> {
  const { registry } = workspace;
  const { planUpgrade } = await import("../state/plan.ts");
  try {
    const chosen = planUpgrade(registry, statuses, request);
    if (chosen.some(({ source }) => source !== undefined)) {
      const { refuseSyntaxErrors } = await import("../migration/syntax.ts");
      refuseSyntaxErrors(chosen);
    }
    return chosen;
  } catch (error) {
    if (error instanceof UnknownMarkerError) {
      const { withWayBack } = await import("../state/refusals.ts");
      throw await withWayBack(error, { workspace, found });
    }
    if (!(error instanceof ChangedMigrationError)) throw error;
    const { withDifference } = await import("../state/refusals.ts");
    throw withDifference(error, registry, found);
  }
}
