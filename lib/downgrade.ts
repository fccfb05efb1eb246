import { beforeOptions, forEach } from "./apply_pending.ts";
import { attempt } from "./attempt.ts";
import { openForReading } from "./database/reading.ts";
import { checksumOf, type Migration } from "./migration.ts";
import { refuseConflicts } from "./conflicts.ts";
import { CatalystError, ConfirmationError, InterruptedError } from "./errors.ts";
import { inspect, type Inspection } from "./inspect.ts";
import { withKept } from "./kept.ts";
import type { Loss } from "./loss.ts";
import { type DowngradeRequest, planDowngrade } from "./plan.ts";
import { reconcile } from "./reconcile.ts";
import { Session } from "./session.ts";
import { assess, corrections } from "./state.ts";
import type { UpgradeOptions } from "./upgrade.ts";
import { locationOf, type Workspace } from "./workspace.ts";

/** What a downgrade would do. */
export interface DowngradePlan {
  /** The migrations that it would roll back, newest first. */
  readonly rollBack: readonly Migration[];
  /** What would be lost, table by table; also tables without rows. */
  readonly losses: readonly Loss[];
}

/** How to downgrade. */
export interface DowngradeOptions
  extends DowngradeRequest, Omit<UpgradeOptions, "migration" | "to"> {
  /**
   * Asked before rows are lost, with the plan; only `true` goes on. Not asked where no rows are lost.
   */
  readonly confirm?: (plan: DowngradePlan) => boolean | Promise<boolean>;
}

/** What a downgrade did. */
export interface DowngradeResult {
  /** Ids of the migrations that it rolled back, newest first. */
  readonly rolledBack: readonly string[];
  /** What was lost, table by table; only tables that had rows. */
  readonly lost: readonly Loss[];
  /** Ids of the migrations that were there without a marker, and were marked before. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
  /** Name of the snapshot that was taken before; null where no rows were at stake. */
  readonly snapshot: string | null;
}

/** Says what {@link downgrade} would do, and changes nothing. */
export async function plan(
  workspace: Workspace,
  request: DowngradeRequest,
): Promise<DowngradePlan> {
  return await planFrom(workspace, await inspect(workspace), request);
}

/** Reconciles, then rolls migrations back, newest first; stops at the first that fails. */
export async function downgrade(
  workspace: Workspace,
  options: DowngradeOptions,
): Promise<DowngradeResult> {
  const first = await inspect(workspace);
  const planned = await planFrom(workspace, first, options);
  if (planned.rollBack.length === 0 && corrections(workspace.registry, first).length === 0) {
    return { rolledBack: [], lost: [], adopted: [], reconciled: [], snapshot: null };
  }
  await confirmLosses(planned, options);
  await options.onWork?.();
  await using session = await Session.begin(workspace, { signal: options.signal });
  const found = await inspect(workspace);
  const { rollBack, losses } = await planFrom(workspace, found, options);
  refuseOtherLosses(planned, losses);
  const snapshot = options.backup === false
    ? null
    : await snapshotOf(workspace, session, { rollBack, options });
  const rolledBack: string[] = [];
  let reconciliation = { adopted: [] as readonly string[], reconciled: [] as readonly string[] };
  const at: { current: Migration | null } = { current: null };
  try {
    reconciliation = await reconcile(workspace, session, found);
    const rollBackNext = async (migration: Migration) => {
      at.current = migration;
      await rollBackOne(workspace, session, { migration, snapshot, losses, options });
      rolledBack.push(migration.id);
    };
    await forEach(rollBack, rollBackNext, { direction: "downgrade", hooks: options.hooks });
    at.current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done: rolledBack,
        ...reconciliation,
        lost: lossesOf(rollBack.filter(({ id }) => rolledBack.includes(id)), losses),
        failed: at.current?.id ?? null,
      };
    }
    throw error;
  }
  return { rolledBack, lost: losses.filter(({ rows }) => rows > 0), ...reconciliation, snapshot };
}

/** Losses in the databases of some migrations. */
function lossesOf(migrations: readonly Migration[], losses: readonly Loss[]): Loss[] {
  const databases = new Set(migrations.map(({ database }) => database));
  return losses.filter(({ database, rows }) => rows > 0 && databases.has(database));
}

async function snapshotOf(
  workspace: Workspace,
  session: Session,
  { rollBack, options }: Pick<DowngradePlan, "rollBack"> & { readonly options: DowngradeOptions },
): Promise<string | null> {
  if (rollBack.length === 0) return null;
  const databases = [...new Set(rollBack.map(({ database }) => database))];
  const { snapshotBefore } = await import("./snapshot/mod.ts");
  return await snapshotBefore(workspace, session, beforeOptions(databases, options));
}

interface Rollback {
  readonly migration: Migration;
  readonly snapshot: string | null;
  readonly losses: readonly Loss[];
  readonly options: DowngradeOptions;
}

async function rollBackOne(
  workspace: Workspace,
  session: Session,
  { migration, snapshot, losses, options }: Rollback,
): Promise<void> {
  const { id, name, database } = migration;
  if (options.signal?.aborted) {
    throw new InterruptedError(`Cannot roll back ${name}: interrupted`, {
      help: "run the command again to go on",
    });
  }
  const progress = { direction: "downgrade", id, name, database } as const;
  options.onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  const durationSeconds = await attempt(workspace, session, {
    migration,
    direction: "downgrade",
    // Only what was confirmed: rows that came into an empty table since then stop the rollback.
    checksum: await checksumOf(migration.downgrade),
    snapshot,
    destroys: losses.filter((loss) => loss.database === database && loss.rows > 0)
      .map(({ table }) => table),
    timeout: workspace.timeout,
    signal: options.signal,
  });
  options.onProgress?.({ kind: "finished", ...progress, durationSeconds });
}

async function planFrom(
  workspace: Workspace,
  found: Inspection,
  request: DowngradeRequest,
): Promise<DowngradePlan> {
  refuseConflicts(workspace, found);
  // What vanished from the registry is rolled back by what the databases keep of it, if it is asked
  // for; to roll back all must not undo what a newer version did.
  const isAsked = (request.migration ?? request.to ?? request.steps) !== undefined;
  const registry = isAsked
    ? await withKept(workspace, assess(workspace.registry, found))
    : workspace.registry;
  const statuses = assess(registry, found);
  const rollBack = planDowngrade(registry, statuses, request);
  const applied = new Set(
    statuses.filter(({ state }) => state === "applied" || state === "changed").map(({ id }) => id),
  );
  const losses: Loss[] = [];
  if (rollBack.length > 0) {
    const { findLosses } = await import("./loss.ts");
    for (const database of new Set(rollBack.map((one) => one.database))) {
      const belongs = (one: Migration) => one.database === database;
      await using connection = await openForReading(
        locationOf(workspace, database),
        workspace.settings,
      );
      losses.push(
        ...await findLosses(
          connection,
          registry.migrations.filter((one) => belongs(one) && applied.has(one.id)),
          rollBack.filter(belongs),
        ),
      );
    }
  }
  return { rollBack, losses };
}

async function confirmLosses(plan: DowngradePlan, options: DowngradeOptions): Promise<void> {
  if (plan.losses.every(({ rows }) => rows === 0)) return;
  if (await options.confirm?.(plan) === true) return;
  throw new ConfirmationError(
    `Cannot roll back ${plan.rollBack.map(({ id }) => id).join(", ")}: it would lose ${
      describeLosses(plan.losses)
    }`,
    { help: "nothing was changed; confirm with `yes`, or with --yes where nobody can be asked" },
  );
}

/** While the question stood, the bot may have put rows into a table that was empty then. */
function refuseOtherLosses(confirmed: DowngradePlan, losses: readonly Loss[]): void {
  const key = ({ database, table }: Loss) => `${database}.${table}`;
  const known = new Set(confirmed.losses.filter(({ rows }) => rows > 0).map(key));
  const added = losses.filter((loss) => loss.rows > 0 && !known.has(key(loss)));
  if (added.length === 0) return;
  throw new ConfirmationError(
    `Cannot roll back: meanwhile there are rows that nobody was asked about: ${
      describeLosses(added)
    }`,
    { help: "nothing was changed; run the command again" },
  );
}

/** `3 rows of trading.orders, the values of notes in 2 rows of trading.fills`. */
export function describeLosses(losses: readonly Loss[]): string {
  return losses.filter(({ rows }) => rows > 0).map(({ database, table, rows, columns }) => {
    const what = `${rows} ${rows === 1 ? "row" : "rows"} of ${database}.${table}`;
    return columns === undefined ? what : `the values of ${columns.join(", ")} in ${what}`;
  }).join(", ");
}
