import { ChangedMigrationError, UnknownMarkerError } from "../base/errors.ts";
import type { Migration } from "../migration/migration.ts";
import type { MigrationStatus } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import { planFrom, type UpgradePlan } from "../state/upgrade_plan.ts";
import type { Workspace } from "../state/workspace.ts";
import type { PlanUpgradeOptions, UpgradeOptions, UpgradeResult } from "./upgrade_options.ts";

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
