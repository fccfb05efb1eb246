import { ConfirmationError } from "../base/errors.ts";
import { type Connection, readPragma } from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import type { DestroyedRows } from "../engine/apply.ts";
import { runAndRecord } from "../engine/record_history.ts";
import type { Reconciliation } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import type { Safeguard, TakenSnapshots } from "../snapshot/safeguard.ts";
import { fold } from "../sql/tokens.ts";
import { assess, corrections } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { type DowngradeRequest, migrationsToRollBack } from "../state/plan.ts";
import { withRollbackHelp, withVanishedMigrations } from "../state/refusals.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { runMigrations, safeguardFor, takenBy, type UpgradeOptions } from "./run_migrations.ts";
import {
  describeLosses,
  findLosses,
  goneBetween,
  type Loss,
  recountLosses,
  uncountedLosses,
} from "./rollback_losses.ts";

/** What a downgrade would do. */
export interface DowngradePlan {
  /** The migrations that it would roll back, newest first. */
  readonly rollBack: readonly Migration[];
  /** Losses by table, including tables without rows. */
  readonly losses: readonly Loss[];
}

/** Options for a downgrade. */
export interface DowngradeOptions
  extends DowngradeRequest, Omit<UpgradeOptions, "migration" | "to"> {
  /**
   * Called with the plan before rows are lost, and only then; anything but `true` cancels.
   */
  readonly confirm?: (plan: DowngradePlan) => boolean | Promise<boolean>;
}

/** Result of a downgrade. */
export interface DowngradeResult extends TakenSnapshots, Reconciliation {
  /** Ids of the migrations that were rolled back, newest first. */
  readonly rolledBack: readonly string[];
  /** Losses by table, counted in the transactions that caused them; only tables that had rows. */
  readonly lost: readonly Loss[];
}

/** Plans what {@link downgrade} would do; changes nothing. */
export async function planDowngrade(
  workspace: Workspace,
  request: DowngradeRequest,
): Promise<DowngradePlan> {
  const { rollBack, losses } = await planRollback(workspace, await inspect(workspace), request);
  return { rollBack, losses };
}

/** Reconciles, then rolls migrations back, newest first; stops at the first failure. */
export async function downgrade(
  workspace: Workspace,
  options: DowngradeOptions,
): Promise<DowngradeResult> {
  const first = await inspect(workspace);
  const planned = await planRollback(workspace, first, options);
  if (planned.rollBack.length === 0 && corrections(workspace.registry, first).length === 0) {
    return { rolledBack: [], lost: [], adopted: [], reconciled: [], snapshot: null };
  }
  await requireConfirmation(planned, options);
  await options.onWork?.(planned.rollBack);
  await using session = await Session.begin(workspace, { signal: options.signal });
  const { safeguard, ...done } = await rollBackWith(workspace, session, { planned, options });
  return { ...done, ...takenBy(safeguard) };
}

/** What was confirmed, and how to roll it back. */
interface Confirmed {
  readonly planned: DowngradePlan;
  readonly options: DowngradeOptions;
}

/** What was rolled back while the lock was held. */
interface RolledBack extends Omit<DowngradeResult, keyof TakenSnapshots> {
  /** The snapshots taken; null if none was requested, or nothing was done. */
  readonly safeguard: Safeguard | null;
}

/** Rolls back what was confirmed, with a lock that is already held. */
export async function rollBackWith(
  workspace: Workspace,
  session: Session,
  { planned, options }: Confirmed,
): Promise<RolledBack> {
  const found = await inspect(workspace);
  const { rollBack, losses, uncertain } = await planRollback(workspace, found, options);
  refuseOtherLosses(planned, losses);
  const safeguard = await safeguardFor(workspace, session, { migrations: rollBack, options });
  const rolledBack: string[] = [];
  const lost: Loss[] = [];
  const reconciliation = await runMigrations(workspace, session, {
    migrations: rollBack,
    direction: "downgrade",
    found,
    safeguard,
    options,
    lost,
    run: async (migration) => {
      const isCertain = !uncertain.has(migration.database);
      const rollback = { migration, safeguard, losses, isCertain, planned, options };
      const done = await rollBackOne(workspace, session, rollback);
      lost.push(...done.lost);
      rolledBack.push(migration.id);
      return done.durationSeconds;
    },
  });
  return { rolledBack, lost, ...reconciliation, safeguard };
}

interface Rollback extends Confirmed {
  readonly migration: Migration;
  readonly safeguard: Safeguard | null;
  readonly losses: readonly Loss[];
  /** Whether the list is complete. */
  readonly isCertain: boolean;
}

async function rollBackOne(
  workspace: Workspace,
  session: Session,
  { migration, safeguard, losses, isCertain, planned, options }: Rollback,
): Promise<{ readonly lost: readonly Loss[]; readonly durationSeconds: number }> {
  const { database } = migration;
  const atStake = losses.filter((loss) => loss.database === database);
  const isInside = migration.transaction !== false;
  let others: readonly Loss[] = [];
  let lost: Loss[] = [];
  const declared = new Set((migration.destroys ?? []).map(fold));
  let destroyed: readonly DestroyedRows[] = [];
  const durationSeconds = await runAndRecord(workspace, session, {
    migration,
    direction: "downgrade",
    checksum: await checksumOf(migration.downgrade),
    get snapshot() {
      return safeguard?.nameFor(database) ?? null;
    },
    // What was confirmed or declared: rows added to an empty table since then stop the rollback.
    destroys: [
      ...atStake.filter(({ rows }) => rows > 0).map(({ table }) => table),
      ...migration.destroys ?? [],
    ],
    onDestroyed: (losses) => destroyed = losses,
    begin: async (connection) => {
      others = await recountLosses(connection, await uncountedLosses(connection, atStake));
      const isEarly = !isCertain || !isInside || !await isReadableLater(connection);
      if (isEarly && (declared.size > 0 || atStake.some(({ rows }) => rows > 0))) {
        await safeguard?.secure(connection, database);
      }
    },
    verify: async (connection, { before, after }) => {
      lost = goneBetween(
        atStake,
        { rows: before, others },
        { rows: after, others: await recountLosses(connection, others) },
      );
      const undeclared = lost.filter(({ table }) => !declared.has(fold(table)));
      const whole = new Set(
        lost.filter(({ columns }) => columns === undefined).map(({ table }) => fold(table)),
      );
      for (const { table, rows } of destroyed) {
        const isNew = declared.has(fold(table)) && !whole.has(fold(table));
        if (isNew) lost.push({ database, table, rows });
      }
      if (!isInside) return;
      refuseOtherLosses(planned, undeclared);
      // A copy takes long, so it is only made before a commit that removes rows.
      if (lost.length > 0) await safeguard?.secure(connection, database);
    },
    timeout: workspace.timeout,
    signal: options.signal,
  });
  return { lost, durationSeconds: durationSeconds ?? 0 };
}

/**
 * Whether other connections can still read the committed data while a large transaction is open.
 */
async function isReadableLater(connection: Connection): Promise<boolean> {
  return await readPragma(connection, "main.journal_mode") === "wal";
}

interface FullPlan extends DowngradePlan {
  /** Names of the databases whose losses cannot be determined in memory. */
  readonly uncertain: ReadonlySet<string>;
}

async function planRollback(
  workspace: Workspace,
  found: Inspection,
  request: DowngradeRequest,
): Promise<FullPlan> {
  // A migration missing from the registry is rolled back with what the databases stored of it, but
  // only on request: rolling back everything must not undo the work of a newer version.
  const isAsked = (request.migration ?? request.to ?? request.steps) !== undefined;
  const registry = isAsked
    ? await withVanishedMigrations(workspace, assess(workspace.registry, found))
    : workspace.registry;
  const statuses = assess(registry, found);
  let rollBack: Migration[];
  try {
    rollBack = migrationsToRollBack(registry, statuses, request);
  } catch (error) {
    throw await withRollbackHelp(error, { workspace, found });
  }
  const applied = new Set(
    statuses.filter(({ state }) => state === "applied" || state === "changed").map(({ id }) => id),
  );
  const losses: Loss[] = [];
  const uncertain = new Set<string>();
  for (const [database, own] of Map.groupBy(rollBack, (one) => one.database)) {
    const location = locationOf(workspace, database);
    await using connection = await openForReading(location, workspace.settings);
    const before = registry.migrations.filter((one) =>
      one.database === database && applied.has(one.id)
    );
    const found = await findLosses(connection, before, own);
    losses.push(...found.losses);
    if (!found.isCertain) uncertain.add(database);
  }
  return { rollBack, losses, uncertain };
}

/** Asks for confirmation before rows are lost. */
export async function requireConfirmation(
  plan: DowngradePlan,
  options: DowngradeOptions,
): Promise<void> {
  if (plan.losses.every(({ rows }) => rows === 0)) return;
  if (await options.confirm?.(plan) === true) return;
  throw new ConfirmationError(
    `Cannot roll back ${plan.rollBack.map(({ id }) => id).join(", ")}: it would lose ${
      describeLosses(plan.losses)
    }`,
    { help: "nothing was changed; confirm with `yes`, or use --yes in a non-interactive session" },
  );
}

/** While the question was open, the bot may have inserted rows into an empty table. */
function refuseOtherLosses(confirmed: DowngradePlan, losses: readonly Loss[]): void {
  const key = ({ database, table }: Loss) => `${database}.${table}`;
  const known = new Set(confirmed.losses.filter(({ rows }) => rows > 0).map(key));
  const added = losses.filter((loss) => loss.rows > 0 && !known.has(key(loss)));
  if (added.length === 0) return;
  throw new ConfirmationError(
    `Cannot roll back: rows were added after the confirmation: ${describeLosses(added)}`,
    { help: "they were kept; run the command again" },
  );
}
