import type { MigrationProgress } from "../engine/apply.ts";
import type { MigrationHooks } from "../migration/hooks.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import type { PlannedWork } from "../state/upgrade_plan.ts";
import type { MigrationEffects } from "../trial/effects.ts";

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

/** What an upgrade would do. */
export interface UpgradePlan extends PlannedWork {
  /** What each would create, change and drop; absent where not asked for, or more than 300 are pending. */
  readonly effects?: readonly MigrationEffects[];
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
