import type { DestroyedRows, MigrationProgress } from "../engine/apply.ts";
import { messageOf } from "../base/format.ts";
import { HookError } from "../base/errors.ts";
import type { Migration } from "../migration/migration.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import type { PlannedWork } from "../state/status.ts";
import type { MigrationEffects } from "../trial/effects.ts";

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
  /** Called, and awaited, before the work begins; not called if there is nothing to do. */
  readonly onWork?: () => void | Promise<void>;
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
}

/** Result of an upgrade. */
export interface UpgradeResult extends TakenSnapshots {
  /** The applied migrations, in order. */
  readonly applied: readonly AppliedMigration[];
  /** Ids of migrations that were present without a marker, and are now marked. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
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

/** The hooks, and the migrations to call them for. */
interface HookOptions {
  readonly direction: HookSubject["direction"];
  readonly hooks: MigrationHooks;
}

/**
 * Handles one migration after the other and calls the hooks around each.
 *
 * @throws {HookError} if a hook threw; the cause is its error.
 */
export async function withHooks(
  migrations: readonly Migration[],
  work: (migration: Migration, index: number) => Promise<void>,
  { direction, hooks }: HookOptions,
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
