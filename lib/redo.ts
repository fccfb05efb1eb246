import { downgrade, type DowngradeOptions, type DowngradePlan, plan } from "./downgrade.ts";
import { UsageError } from "./errors.ts";
import type { Loss } from "./loss.ts";
import { type AppliedMigration, upgrade } from "./upgrade.ts";
import type { Workspace } from "./workspace.ts";

/** How to redo. */
export interface RedoOptions extends Omit<DowngradeOptions, "migration" | "to" | "steps"> {
  /** Which migration, by id or name. Default: the last one that was applied. */
  readonly migration?: string;
}

/** What was redone. */
export interface RedoResult {
  /** The migration, as applied again. */
  readonly applied: readonly AppliedMigration[];
  /** What was lost on the way, table by table; only tables that had rows. */
  readonly lost: readonly Loss[];
  /** Name of the snapshot that was taken before; null where no rows were at stake. */
  readonly snapshot: string | null;
}

/** Says what rolling back would lose; writes nothing. */
export async function planRedo(workspace: Workspace, options: RedoOptions): Promise<DowngradePlan> {
  return await plan(workspace, requestOf(options));
}

/** Rolls a migration back and applies it again, with the same care as a downgrade. */
export async function redo(workspace: Workspace, options: RedoOptions): Promise<RedoResult> {
  const [migration] = (await planRedo(workspace, options)).rollBack;
  if (migration === undefined) {
    throw new UsageError("Cannot redo a migration: none is applied", {
      help: "`status` shows the state of every migration",
    });
  }
  if (!workspace.registry.byId.has(migration.id)) {
    throw new UsageError(
      `Cannot redo ${migration.name}: its file is gone, so it can't be applied again`,
      {
        migration: migration.name,
        database: migration.database,
        help: `put the file back; \`downgrade --migration ${migration.id}\` only rolls it back`,
      },
    );
  }
  const { lost, snapshot } = await downgrade(workspace, { ...options, ...requestOf(options) });
  const { migration: _, ...control } = options;
  const { applied } = await upgrade(workspace, {
    ...control,
    migration: migration.id,
    // What was at stake has been copied before the way down.
    backup: false,
    outOfOrder: true,
  });
  return { applied, lost, snapshot };
}

function requestOf({ migration }: RedoOptions): { migration: string } | { steps: number } {
  return migration === undefined ? { steps: 1 } : { migration };
}
