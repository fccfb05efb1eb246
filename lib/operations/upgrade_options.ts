import type { DestroyedRows } from "../engine/apply.ts";
import { messageOf } from "../base/format.ts";
import { HookError } from "../base/errors.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import type { Migration } from "../migration/migration.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import type { PlannedWork } from "../state/upgrade_plan.ts";
import type { MigrationEffects } from "../trial/effects.ts";

/** How to upgrade. */
export interface UpgradeOptions extends UpgradeRequest {
  /** Stops before the next statement; the migration under way is rolled back. */
  readonly signal?: AbortSignal;
  /**
   * Whether to take a snapshot of databases that hold rows before they are changed. Default `true`.
   */
  readonly backup?: boolean;
  /** Called now and then while that snapshot is taken. */
  readonly onSnapshot?: (progress: SnapshotProgress) => void;
  /** Called before the work begins, which waits for it; not at all where there is nothing to do. */
  readonly onWork?: () => void | Promise<void>;
  /** A program's own functions to be called around the migrations. */
  readonly hooks?: MigrationHooks;
  /** Called before and after each migration. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** What to plan, and what to say of it. */
export interface PlanUpgradeOptions extends UpgradeRequest {
  /**
   * Whether to try the migrations on a scratch database with the real schema, to say what each would
   * do. Default `false`.
   */
  readonly effects?: boolean;
}

/** What an upgrade would do. */
export interface UpgradePlan extends PlannedWork {
  /** What each would create, change and drop; absent where not asked for, or more than 300 are pending. */
  readonly effects?: readonly MigrationEffects[];
}

/** What an upgrade did. */
export interface UpgradeResult extends TakenSnapshots {
  /** The migrations that it applied, in order. */
  readonly applied: readonly AppliedMigration[];
  /** Ids of the migrations that were there without a marker, and are now marked. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row was corrected. */
  readonly reconciled: readonly string[];
}

/** A migration that was applied. */
export interface AppliedMigration {
  /** Its id, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** How long it took, in seconds. */
  readonly durationSeconds: number;
  /** Rows that it has dropped as it declares; absent where there are none. */
  readonly destroyed?: readonly DestroyedRows[];
}

/** A migration that is about to run, or has run. */
export interface HookSubject extends Pick<Migration, "id" | "name" | "database"> {
  /** Whether it goes up or down. */
  readonly direction: "upgrade" | "downgrade";
}

/**
 * Functions of a program that are called around its migrations, and waited for. One that throws stops
 * the command there: before a migration it is not run, and those that ran stay.
 */
export interface MigrationHooks {
  /** Before the first migration, with all that will run; not where there is nothing to do. */
  readonly beforeAll?: (migrations: readonly HookSubject[]) => void | Promise<void>;
  /** After the last one, with all that ran. */
  readonly afterAll?: (migrations: readonly HookSubject[]) => void | Promise<void>;
  /** Before each migration. */
  readonly beforeEach?: (migration: HookSubject) => void | Promise<void>;
  /** After each migration, when it is committed. */
  readonly afterEach?: (migration: HookSubject) => void | Promise<void>;
  /** Where a migration or another hook failed; null where no migration was at work. What it throws is lost. */
  readonly onError?: (error: unknown, migration: HookSubject | null) => void | Promise<void>;
}

/** Which hooks, and for what. */
interface HookOptions {
  readonly direction: HookSubject["direction"];
  readonly hooks: MigrationHooks;
}

/**
 * Does work for one migration after the other, and calls the hooks around it.
 *
 * @throws {HookError} where a hook threw; what it threw is the cause.
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
      // The first failure is what has to be heard.
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
    throw new HookError(`Cannot go on: the hook ${name} failed${where}: ${reason}`, {
      cause: error,
      ...(subject === null ? {} : { migration: subject.name, database: subject.database }),
      help: "what was applied before stays; mend the hook's program, then run it again",
    });
  }
}
