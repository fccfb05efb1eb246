/**
 * Runs migrations one after the other while the lock is held: those of an upgrade or of a
 * downgrade, with their hooks.
 *
 * @module
 */
import { type DestroyedRows, type MigrationProgress, runOf } from "../engine/apply.ts";
import { runAndRecord } from "../engine/record_history.ts";
import {
  CatalystError,
  HookError,
  InterruptedError,
  type LintError,
  type LostRows,
} from "../base/errors.ts";
import { mayTouchRows } from "../engine/checks.ts";
import { reconcile, type Reconciliation } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { readLastGood } from "../snapshot/last_good.ts";
import type { BeforeOptions, Safeguard, TakenSnapshots } from "../snapshot/safeguard.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { findLostDatabases, type LostDatabase } from "../state/lost_databases.ts";
import { type PlannedWork, planWork } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";
import { messageOf } from "../base/format.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import type { MigrationEffects } from "../trial/effects.ts";

/** Takes the lock, reconciles, and applies the pending migrations; stops at the first failure. */
export async function applyPending(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  await using session = await Session.begin(workspace, { signal: options.signal });
  return await applyUnderLock(workspace, session, options);
}

/** Options for applying while the lock is held. */
interface ApplyOptions extends UpgradeOptions {
  /** Copies taken before; null if none are to be taken. Default: the options decide. */
  readonly safeguard?: Safeguard | null | undefined;
}

/** Like {@link applyPending}, with a lock that is already held. */
export async function applyUnderLock(
  workspace: Workspace,
  session: Session,
  options: ApplyOptions,
): Promise<UpgradeResult> {
  // Read again: another migrator may have worked before the lock was acquired.
  const found = await inspect(workspace);
  const { apply } = await planWork(workspace, found, options);
  const lost = options.onLost === undefined ? [] : await findLostDatabases(workspace, found, {
    readLastGood: () => readLastGood(workspace.backups),
  });
  // Most migrations only create something; the others need the code that simulates them.
  const mayLoseRows = apply.some((one) =>
    mayTouchRows(one.upgrade) && !workspace.trusted.includes(one) &&
    found.databases.get(one.database)?.hasTables
  );
  if (mayLoseRows) {
    const { findDataLoss } = await import("../trial/lint.ts");
    const refusal = await findDataLoss(workspace, apply);
    if (refusal !== null) throw refusal;
  }
  // Started now: another thread computes them.
  const checksums = apply.map(({ upgrade }) => checksumOf(upgrade));
  // New databases have no rows, but one migration may add rows that a later one destroys.
  const atStake = apply.filter(({ database, destroys = [] }) =>
    destroys.length > 0 || found.databases.get(database)?.hasTables
  );
  const { safeguard = await safeguardFor(workspace, session, { migrations: atStake, options }) } =
    options;
  const applied: AppliedMigration[] = [];
  const reconciliation = await runMigrations(workspace, session, {
    migrations: apply,
    direction: "upgrade",
    found,
    safeguard,
    options,
    run: async (migration, index) => {
      const { id, name, database } = migration;
      let destroyed: readonly DestroyedRows[] = [];
      const run = runOf(workspace, {
        migration,
        checksum: await checksums[index] ?? null,
        safeguard,
        found,
        signal: options.signal,
        onDestroyed: (losses) => destroyed = losses,
      });
      const durationSeconds = await runAndRecord(workspace, session, run) ?? 0;
      applied.push({
        id,
        name,
        database,
        durationSeconds,
        ...(destroyed.length === 0 ? {} : { destroyed }),
      });
      return durationSeconds;
    },
    onFinished: ({ database }) => {
      const isFirst = applied.filter((one) => one.database === database).length === 1;
      const created = lost.find((one) => isFirst && one.database === database);
      if (created !== undefined) options.onLost?.(created);
    },
  });
  return { applied, ...reconciliation, ...takenBy(safeguard) };
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

/** Takes a snapshot of the migrations' databases, if there are any and the options want it. */
export async function safeguardFor(
  workspace: Workspace,
  session: Session,
  { migrations, options }: {
    readonly migrations: readonly Migration[];
    readonly options: Pick<UpgradeOptions, "backup" | "onSnapshot" | "signal">;
  },
): Promise<Safeguard | null> {
  if (options.backup === false || migrations.length === 0) return null;
  const databases = [...new Set(migrations.map(({ database }) => database))];
  const { Safeguard } = await import("../snapshot/safeguard.ts");
  return await Safeguard.begin(workspace, session, beforeOptions(databases, options));
}

/** Names of the snapshots taken. */
export function takenBy(safeguard: Safeguard | null): TakenSnapshots {
  return safeguard?.taken ?? { snapshot: null };
}

/** What to run while the lock is held. */
interface Series {
  readonly migrations: readonly Migration[];
  readonly direction: "upgrade" | "downgrade";
  readonly found: Inspection;
  readonly safeguard: Safeguard | null;
  readonly options: Pick<UpgradeOptions, "signal" | "onProgress" | "hooks">;
  /** Runs and records one migration; returns its duration in seconds. */
  readonly run: (migration: Migration, index: number) => Promise<number>;
  readonly onFinished?: (migration: Migration) => void;
  /** The rows removed so far; a failure reports them. */
  readonly lost?: readonly LostRows[];
}

/**
 * Reconciles, then runs one migration after the other; stops at the first failure, whose error says
 * what was done before.
 */
export async function runMigrations(
  workspace: Workspace,
  session: Session,
  series: Series,
): Promise<Reconciliation> {
  const { migrations, direction, found, safeguard, options, run, onFinished, lost } = series;
  const { signal, onProgress, hooks = {} } = options;
  const done: string[] = [];
  let reconciliation: Reconciliation = { adopted: [], reconciled: [] };
  const at: { current: Migration | null } = { current: null };
  try {
    reconciliation = await reconcile(workspace, session, found);
    await withHooks(migrations, { direction, hooks }, async (migration, index) => {
      at.current = migration;
      const { id, name, database } = migration;
      if (signal?.aborted) {
        const verb = direction === "upgrade" ? "apply" : "roll back";
        throw new InterruptedError(`Cannot ${verb} ${name}: interrupted`, {
          help: "run the command again to continue",
        });
      }
      const progress = { direction, id, name, database };
      onProgress?.({ kind: "started", ...progress, durationSeconds: null });
      const durationSeconds = await run(migration, index);
      safeguard?.recordChange();
      done.push(id);
      onProgress?.({ kind: "finished", ...progress, durationSeconds });
      onFinished?.(migration);
    });
    at.current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done,
        ...reconciliation,
        ...(lost === undefined ? {} : { lost }),
        failed: at.current?.id ?? null,
      };
    }
    throw error;
  }
  return reconciliation;
}

/** Options for an upgrade. */
export interface UpgradeOptions extends UpgradeRequest {
  /** Stops before the next statement; the running migration is rolled back. */
  readonly signal?: AbortSignal;
  /**
   * Whether to take a snapshot of databases that hold rows before changing them. Default `true`.
   */
  readonly backup?: boolean;
  /** Called periodically while that snapshot is taken. */
  readonly onSnapshot?: (progress: SnapshotProgress) => void;
  /**
   * Called, and awaited, before the work begins, with the migrations to run; not called if there is
   * nothing to do.
   */
  readonly onWork?: (migrations: readonly Migration[]) => void | Promise<void>;
  /** Called with the reason for each database without migrations that can't be read. */
  readonly onUnreadable?: (reason: string) => void;
  /**
   * Called for each database that was created without rows because its file was missing or empty,
   * although it had content before.
   */
  readonly onLost?: (lost: LostDatabase) => void;
  /** Functions of the program to call around the migrations. */
  readonly hooks?: MigrationHooks;
  /** Called before and after each migration. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** Options for planning an upgrade. */
export interface PlanUpgradeOptions extends UpgradeRequest {
  /**
   * Whether to try the migrations on a scratch database with the real schema to find their effects.
   * Default `false`.
   */
  readonly effects?: boolean;
}

/** What an upgrade would do. */
export interface UpgradePlan extends PlannedWork {
  /**
   * What each would create, change and drop; absent if not requested, or if more than 300 are
   * pending.
   */
  readonly effects?: readonly MigrationEffects[];
  /**
   * Why the upgrade would refuse them: one loses data without declaring it. Absent if none does, or
   * if the effects are absent.
   */
  readonly refusal?: LintError;
}

/** Result of an upgrade. */
export interface UpgradeResult extends TakenSnapshots, Reconciliation {
  /** The applied migrations, in order. */
  readonly applied: readonly AppliedMigration[];
}

/** An applied migration. */
export interface AppliedMigration {
  /** Its id, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Duration in seconds. */
  readonly durationSeconds: number;
  /** Rows that it dropped, as it declares; absent if there are none. */
  readonly destroyed?: readonly DestroyedRows[];
}

/** A migration that is about to run, or has run. */
export interface HookSubject extends Pick<Migration, "id" | "name" | "database"> {
  /** Direction of the run. */
  readonly direction: "upgrade" | "downgrade";
}

/**
 * Functions of a program that are called, and awaited, around its migrations. If one throws, the
 * command stops there: before a migration, that migration does not run; migrations applied earlier
 * remain applied.
 */
export interface MigrationHooks {
  /** Before the first migration, with all that will run; not called if there is nothing to do. */
  readonly beforeAll?: (migrations: readonly HookSubject[]) => void | Promise<void>;
  /** After the last migration, with all that ran. */
  readonly afterAll?: (migrations: readonly HookSubject[]) => void | Promise<void>;
  /** Before each migration. */
  readonly beforeEach?: (migration: HookSubject) => void | Promise<void>;
  /** After each migration is committed. */
  readonly afterEach?: (migration: HookSubject) => void | Promise<void>;
  /**
   * After a migration or another hook failed; null if no migration was running. Its own errors are
   * ignored.
   */
  readonly onError?: (error: unknown, migration: HookSubject | null) => void | Promise<void>;
}

/**
 * Handles one migration after the other and calls the hooks around each.
 *
 * @throws {HookError} if a hook threw; the cause is its error.
 */
async function withHooks(
  migrations: readonly Migration[],
  { direction, hooks }: Pick<Series, "direction"> & { readonly hooks: MigrationHooks },
  work: (migration: Migration, index: number) => Promise<void>,
): Promise<void> {
  const subjectOf = ({ id, name, database }: Migration) => ({ id, name, database, direction });
  const subjects = migrations.map(subjectOf);
  let current: HookSubject | null = null;
  try {
    await call("beforeAll", () => hooks.beforeAll?.(subjects), current);
    for (const [index, migration] of migrations.entries()) {
      const subject = current = subjectOf(migration);
      await call("beforeEach", () => hooks.beforeEach?.(subject), subject);
      await work(migration, index);
      await call("afterEach", () => hooks.afterEach?.(subject), subject);
    }
    current = null;
    await call("afterAll", () => hooks.afterAll?.(subjects), current);
  } catch (error) {
    try {
      await hooks.onError?.(error, current);
    } catch {
      // Report the first failure.
    }
    throw error;
  }
}

async function call(
  name: keyof MigrationHooks,
  hook: () => void | Promise<void>,
  subject: HookSubject | null,
): Promise<void> {
  try {
    await hook();
  } catch (error) {
    const reason = messageOf(error);
    const where = subject === null ? "" : ` for ${subject.name}`;
    throw new HookError(`Cannot continue: the hook ${name} failed${where}: ${reason}`, {
      cause: error,
      ...(subject === null ? {} : { migration: subject.name, database: subject.database }),
      help: "migrations applied earlier remain applied; fix the hook, then run the command again",
    });
  }
}
