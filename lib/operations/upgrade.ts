import { inspect } from "../state/inspect.ts";
import { planFrom } from "../state/upgrade_plan.ts";
import type { Workspace } from "../state/workspace.ts";
import type {
  PlanUpgradeOptions,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./upgrade_options.ts";

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
