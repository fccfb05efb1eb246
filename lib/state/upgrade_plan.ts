import { ChangedMigrationError, UnknownMarkerError } from "../base/errors.ts";
import type { Migration } from "../migration/migration.ts";
import { assess, corrections, type MigrationStatus, summarize } from "./assess.ts";
import type { Inspection } from "./inspect.ts";
import type { UpgradeRequest } from "./plan.ts";
import type { Workspace } from "./workspace.ts";

/** What has to be done, as the state of the databases says. */
export interface PlannedWork {
  /** The migrations that it would apply, in order. */
  readonly apply: readonly Migration[];
  /** Ids of the migrations that it would adopt. */
  readonly adopt: readonly string[];
  /** Ids of the migrations whose ledger row it would correct. */
  readonly reconcile: readonly string[];
}

/** What has to be done, and what can't be. */
export interface UpgradeWork extends PlannedWork {
  /** Databases whose requested migrations it would leave out, because tables are in their way. */
  readonly blocked: readonly string[];
}

/** What has to be done about what was found. */
export async function planFrom(
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
