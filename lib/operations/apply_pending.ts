import { type Application, type DestroyedRows, runAndRecord, runOf } from "../engine/apply.ts";
import { CatalystError, InterruptedError } from "../base/errors.ts";
import { mayTouchRows } from "../engine/checks.ts";
import { reconcile } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import type { BeforeOptions } from "../snapshot/mod.ts";
import type { Safeguard, TakenSnapshots } from "../snapshot/safeguard.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { planFrom } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";
import {
  type AppliedMigration,
  type MigrationHooks,
  type UpgradeOptions,
  type UpgradeResult,
  withHooks,
} from "./upgrade_options.ts";

/** Takes the lock, reconciles, and applies the pending migrations; stops at the first failure. */
export async function applyPending(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  await using session = await Session.begin(workspace, { signal: options.signal });
  return await applyWith(workspace, session, options);
}

/** Options for applying while the lock is held. */
interface ApplyOptions extends UpgradeOptions {
  /** Copies taken before; null if none are to be taken. Default: the options decide. */
  readonly safeguard?: Safeguard | null | undefined;
}

/** Like {@link applyPending}, with a lock that is already held. */
export async function applyWith(
  workspace: Workspace,
  session: Session,
  options: ApplyOptions,
): Promise<UpgradeResult> {
  // Read again: another migrator may have worked before the lock was acquired.
  const found = await inspect(workspace);
  const { apply } = await planFrom(workspace, found, options);
  // Most migrations only create something; the others need the code that simulates them.
  const mayLoseRows = apply.some((one) =>
    mayTouchRows(one.upgrade) && !workspace.trusted.includes(one) &&
    found.databases.get(one.database)?.hasTables
  );
  if (mayLoseRows) {
    const { refuseDataLoss } = await import("../trial/lint.ts");
    await refuseDataLoss(workspace, apply);
  }
  // Started now: another thread computes them.
  const checksums = apply.map(({ upgrade }) => checksumOf(upgrade));
  const { safeguard = await safeguardFor(workspace, session, { apply, found, options }) } = options;
  const applied: AppliedMigration[] = [];
  let reconciliation = { adopted: [] as readonly string[], reconciled: [] as readonly string[] };
  const at: { current: Migration | null } = { current: null };
  try {
    reconciliation = await reconcile(workspace, session, found);
    const applyNext = async (migration: Migration, index: number) => {
      at.current = migration;
      const checksum = await checksums[index] ?? null;
      applied.push(
        await applyOne(workspace, session, { migration, checksum, safeguard, found, options }),
      );
    };
    await runEach(apply, applyNext, { direction: "upgrade", hooks: options.hooks });
    at.current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done: applied.map(({ id }) => id),
        ...reconciliation,
        failed: at.current?.id ?? null,
      };
    }
    throw error;
  }
  return { applied, ...reconciliation, ...takenBy(safeguard) };
}

/** Handles one migration after the other, with the program's hooks called around each. */
export async function runEach(
  migrations: readonly Migration[],
  work: (migration: Migration, index: number) => Promise<void>,
  { direction, hooks }: {
    readonly direction: "upgrade" | "downgrade";
    readonly hooks: MigrationHooks | undefined;
  },
): Promise<void> {
  if (hooks !== undefined) {
    return await withHooks(migrations, work, { direction, hooks });
  }
  for (const [index, migration] of migrations.entries()) await work(migration, index);
}

interface Stake {
  readonly apply: readonly Migration[];
  readonly found: Inspection;
  readonly options: UpgradeOptions;
}

/** Options for a snapshot before a change. */
export function beforeOptions(
  databases: readonly string[],
  { onSnapshot, signal }: Pick<UpgradeOptions, "onSnapshot" | "signal">,
): BeforeOptions {
  return {
    databases,
    ...(onSnapshot === undefined ? {} : { onProgress: onSnapshot }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/**
 * Takes a snapshot of the databases to change if they have tables. New databases have none, but one
 * migration may add rows that a later one destroys.
 */
async function safeguardFor(
  workspace: Workspace,
  session: Session,
  { apply, found, options }: Stake,
): Promise<Safeguard | null> {
  const atStake = apply.filter(({ database, destroys = [] }) =>
    destroys.length > 0 || found.databases.get(database)?.hasTables
  );
  if (options.backup === false || atStake.length === 0) return null;
  const databases = [...new Set(atStake.map(({ database }) => database))];
  const { Safeguard } = await import("../snapshot/safeguard.ts");
  return await Safeguard.begin(workspace, session, beforeOptions(databases, options));
}

/** Names of the snapshots taken. */
export function takenBy(safeguard: Safeguard | null): TakenSnapshots {
  return safeguard?.taken ?? { snapshot: null };
}

async function applyOne(
  workspace: Workspace,
  session: Session,
  application: Omit<Application, "signal"> & {
    readonly safeguard: Safeguard | null;
    readonly options: UpgradeOptions;
  },
): Promise<AppliedMigration> {
  const { migration, safeguard, options } = application;
  const { id, name, database } = migration;
  if (options.signal?.aborted) {
    throw new InterruptedError(`Cannot apply ${name}: interrupted`, {
      help: "run the command again to continue",
    });
  }
  const progress = { direction: "upgrade", id, name, database } as const;
  options.onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  let destroyed: readonly DestroyedRows[] = [];
  const seconds = await runAndRecord(
    workspace,
    session,
    runOf(workspace, {
      ...application,
      signal: options.signal,
      onDestroyed: (losses) => destroyed = losses,
    }),
  );
  safeguard?.recordChange();
  const durationSeconds = seconds ?? 0;
  options.onProgress?.({ kind: "finished", ...progress, durationSeconds });
  return {
    id,
    name,
    database,
    durationSeconds,
    ...(destroyed.length === 0 ? {} : { destroyed }),
  };
}
