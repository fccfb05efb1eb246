import { inspect, type Inspection } from "../state/inspect.ts";
import { planWork, type UpgradeWork } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";
import type {
  PlanUpgradeOptions,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./run_migrations.ts";

/**
 * Maximum number of migrations whose effects are found: each one requires reading the whole schema.
 */
const MOST_EFFECTS = 300;

/** Plans what {@link upgrade} would do; changes nothing. */
export async function planUpgrade(
  workspace: Workspace,
  request: PlanUpgradeOptions,
): Promise<UpgradePlan> {
  const found = await inspect(workspace);
  const { blocked, ...planned } = await planWork(workspace, found, request);
  await refuseConflicts(workspace, found, { blocked });
  if (!request.effects || planned.apply.length > MOST_EFFECTS) return planned;
  const { findEffects } = await import("../trial/effects.ts");
  const effects = await findEffects(workspace, planned.apply);
  const { findDataLoss } = await import("../trial/lint.ts");
  const refusal = await findDataLoss(workspace, planned.apply);
  return { ...planned, effects, ...refusal === null ? {} : { refusal } };
}

/** Reconciles, then applies the pending migrations; stops at the first failure. */
export async function upgrade(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  const found = await inspect(workspace);
  for (const reason of found.unreadable) options.onUnreadable?.(reason);
  const { apply, adopt, reconcile, blocked } = await planWork(workspace, found, options);
  if (apply.length + adopt.length + reconcile.length === 0) {
    await refuseConflicts(workspace, found, { blocked });
    return { applied: [], adopted: [], reconciled: [], snapshot: null };
  }
  await options.onWork?.(apply);
  // Most runs end here. Only a run with work loads the code that does it.
  const { applyPending } = await import("./run_migrations.ts");
  const result = await applyPending(workspace, options);
  await refuseConflicts(workspace, found, { blocked, result });
  return result;
}

/**
 * Fails if tables of a database conflict with its migrations; the other databases were upgraded
 * first.
 */
async function refuseConflicts(
  workspace: Workspace,
  found: Inspection,
  { blocked, result }: Pick<UpgradeWork, "blocked"> & { readonly result?: UpgradeResult },
): Promise<void> {
  if (blocked.length === 0) return;
  const { conflictError } = await import("../state/refusals.ts");
  const error = conflictError(workspace, found, blocked);
  if (result !== undefined) {
    const { applied, adopted, reconciled } = result;
    error.progress = { done: applied.map(({ id }) => id), adopted, reconciled, failed: null };
  }
  throw error;
}
