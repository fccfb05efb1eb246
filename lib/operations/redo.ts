import { type AppliedMigration, applyUnderLock } from "./run_migrations.ts";
import {
  type DowngradeOptions,
  type DowngradePlan,
  planDowngrade,
  requireConfirmation,
  rollBackWith,
} from "./downgrade.ts";
import type { Loss } from "./rollback_losses.ts";
import { UsageError } from "../base/errors.ts";
import { inspect } from "../state/inspect.ts";
import type { Migration } from "../migration/migration.ts";
import { migrationsToApply } from "../state/plan.ts";
import { Session } from "../engine/session.ts";
import { assess } from "../state/assess.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { Workspace } from "../state/workspace.ts";

/** Options for redoing a migration. */
export interface RedoOptions extends Omit<DowngradeOptions, "migration" | "to" | "steps"> {
  /** Migration to redo, by id or name. Default: the last one applied. */
  readonly migration?: string;
}

/** Result of redoing a migration. */
export interface RedoResult extends TakenSnapshots {
  /** The migration, as applied again. */
  readonly applied: readonly AppliedMigration[];
  /** Losses by table; only tables that had rows. */
  readonly lost: readonly Loss[];
}

/** Plans what rolling back would lose; writes nothing. */
export async function planRedo(workspace: Workspace, options: RedoOptions): Promise<DowngradePlan> {
  const { migration } = options;
  return await planDowngrade(workspace, migration === undefined ? { steps: 1 } : { migration });
}

/** Rolls a migration back and applies it again, with the same safeguards as a downgrade. */
export async function redo(workspace: Workspace, options: RedoOptions): Promise<RedoResult> {
  const planned = await planRedo(workspace, options);
  const [migration] = planned.rollBack;
  if (migration === undefined) {
    throw new UsageError("Cannot redo a migration: none is applied", {
      help: "`status --verbose` shows the state of every migration",
    });
  }
  if (!workspace.registry.byId.has(migration.id)) {
    throw new UsageError(
      `Cannot redo ${migration.name}: its file is missing, so it can't be applied again`,
      {
        migration: migration.name,
        database: migration.database,
        help: `restore the file; \`downgrade --migration ${migration.id}\` only rolls it back`,
      },
    );
  }
  await requireConfirmation(planned, options);
  await options.onWork?.([migration]);
  // No other migrator may run between the downgrade and the upgrade.
  await using session = await Session.begin(workspace, { signal: options.signal });
  await requireWayUp(workspace, migration);
  const { lost, safeguard } = await rollBackWith(workspace, session, {
    planned,
    // Another migration may have been applied last in the meantime.
    options: { ...options, migration: migration.id },
  });
  // The databases are open now, so plain file calls must not read them.
  const shared = { ...workspace, alone: false };
  const { applied, adopted: _adopted, reconciled: _reconciled, ...taken } = await applyUnderLock(
    shared,
    session,
    { ...options, migration: migration.id, outOfOrder: true, safeguard: safeguard ?? undefined },
  );
  return { applied, lost, ...taken };
}

/** Checks that a migration may be applied again after it is rolled back. */
async function requireWayUp(workspace: Workspace, { id }: Migration): Promise<void> {
  const { registry } = workspace;
  const statuses = assess(registry, await inspect(workspace))
    .map((one) => one.id === id ? { ...one, state: "rolled_back" as const } : one);
  migrationsToApply(registry, statuses, { migration: id, outOfOrder: true });
}
