import type { Migration } from "../migration/migration.ts";
import { choose } from "../operations/upgrade.ts";
import type { MigrationEffects } from "../trial/effects.ts";
import { assess, corrections, summarize } from "./assess.ts";
import type { Inspection } from "./inspect.ts";
import type { UpgradeRequest } from "./plan.ts";
import type { Workspace } from "./workspace.ts";

/** What an upgrade would do. */
export interface UpgradePlan {
  /** The migrations that it would apply, in order. */
  readonly apply: readonly Migration[];
  /** Ids of the migrations that it would adopt. */
  readonly adopt: readonly string[];
  /** Ids of the migrations whose ledger row it would correct. */
  readonly reconcile: readonly string[];
  /** What each would create, change and drop; absent where not asked for, or more than 300 are pending. */
  readonly effects?: readonly MigrationEffects[];
}

/** What has to be done about what was found. */
export async function planFrom(
  workspace: Workspace,
  found: Inspection,
  request: UpgradeRequest,
): Promise<UpgradePlan> {
  if (found.conflicts.size > 0) {
    const { refuseConflicts } = await import("./refusals.ts");
    refuseConflicts(workspace, found);
  }
  const { registry } = workspace;
  const { adopted, reconciled } = summarize(corrections(registry, found));
  const statuses = assess(registry, found);
  const isSettled = statuses.every(({ state }) => state === "applied") &&
    request.migration === undefined && request.to === undefined;
  return {
    apply: isSettled ? [] : await choose(workspace, found, { statuses, request }),
    adopt: adopted,
    reconcile: reconciled,
  };
}
