import { SnapshotError } from "./errors.ts";
import type { LedgerEvent } from "./ledger.ts";
import type { DowngradeOptions, DowngradePlan, DowngradeResult } from "./downgrade.ts";
import type { DowngradeRequest, UpgradeRequest } from "./plan.ts";
import type { RepairOptions, RepairResult } from "./repair.ts";
// What every start needs is loaded with the migrator; the rest when it is called.
import { history, type Status, status } from "./status.ts";
import {
  plan as planUpgrade,
  upgrade,
  type UpgradeOptions,
  type UpgradePlan,
  type UpgradeResult,
} from "./upgrade.ts";
import type { DataCheck, Verification, VerifyOptions } from "./verify.ts";
import type {
  PruneSnapshotsOptions,
  SnapshotOptions,
  VerifySnapshotOptions,
} from "./snapshot/mod.ts";
import type { SnapshotCheck } from "./snapshot/check.ts";
import type { Manifest } from "./snapshot/manifest.ts";
import type { RestoreOptions, RestorePlan, RestoreResult } from "./snapshot/restore.ts";
import type { SnapshotEntry } from "./snapshot/store.ts";
import { createWorkspace, isRestoring, type MigratorOptions, type Workspace } from "./workspace.ts";

/** How to read the ledger's events. */
export interface HistoryOptions {
  /** How many events at most. Default 20. */
  readonly limit?: number;
}

/**
 * Creates and changes the schema of a program's databases. It prints nothing; it returns data and
 * throws {@link CatalystError}s. Needs read and write permission on the directory of the databases.
 *
 * @example Migrate a program's own database
 * ```ts
 * import { defineMigration, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migrator = new Migrator({
 *   databases: { app: `${directory}/app.db` },
 *   ledger: `${directory}/migrations.db`,
 *   migrations: [
 *     defineMigration({
 *       name: "001_create_notes",
 *       database: "app",
 *       upgrade: "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL)",
 *       downgrade: "DROP TABLE notes",
 *     }),
 *   ],
 * });
 * const { applied } = await migrator.upgrade();
 * console.assert(applied.length === 1);
 * ```
 */
export class Migrator {
  readonly #workspace: Workspace;
  readonly #dataCheck: DataCheck | undefined;

  /**
   * Resolves the options; opens nothing yet.
   *
   * @throws {RegistryError} where the migrations contradict each other.
   */
  constructor(options: MigratorOptions & { readonly dataCheck?: DataCheck }) {
    this.#workspace = createWorkspace(options);
    this.#dataCheck = options.dataCheck;
  }

  /** Ids of the known migrations, in order. */
  get ids(): readonly string[] {
    return this.#workspace.registry.migrations.map(({ id }) => id);
  }

  /** Reads the state of the databases and migrations; writes nothing, creates nothing. */
  async status(): Promise<Status> {
    return await status(this.#workspace);
  }

  /** Says what {@link Migrator.upgrade} would do; writes nothing, creates nothing. */
  async planUpgrade(request: UpgradeRequest = {}): Promise<UpgradePlan> {
    return await planUpgrade(this.#workspace, request);
  }

  /**
   * Applies the pending migrations in order, each in one transaction with its marker, and stops at
   * the first that fails.
   *
   * @throws {MigrationFailedError} where one failed; `progress` says what was applied before.
   * @throws {SchemaConflictError} where tables of the same names have another shape.
   * @throws {MigratorLockedError | DatabaseLockedError} where a lock was not to be had in time.
   */
  async upgrade(options: UpgradeOptions = {}): Promise<UpgradeResult> {
    await this.#finishRestore();
    return await upgrade(this.#workspace, options);
  }

  /** Says what {@link Migrator.downgrade} would roll back and lose; writes nothing. */
  async planDowngrade(request: DowngradeRequest = {}): Promise<DowngradePlan> {
    const { plan } = await import("./downgrade.ts");
    return await plan(this.#workspace, request);
  }

  /**
   * Rolls applied migrations back, newest first. Where rows would be lost it asks `confirm` first.
   *
   * @throws {ConfirmationError} where rows would be lost and nobody confirmed it.
   * @throws {DowngradeBlockedError} where a later migration of the same database is applied.
   * @throws {MigrationFailedError} where one failed; `progress` says what was rolled back before.
   */
  async downgrade(options: DowngradeOptions = {}): Promise<DowngradeResult> {
    await this.#finishRestore();
    const { downgrade } = await import("./downgrade.ts");
    return await downgrade(this.#workspace, options);
  }

  /** Compares each database with what its applied migrations make; writes nothing. */
  async verify(options: VerifyOptions = {}): Promise<Verification> {
    const { verify } = await import("./verify.ts");
    return await verify(this.#workspace, { ...options, dataCheck: this.#dataCheck });
  }

  /** Reconciles the ledger, and creates missing tables, indexes and views; drops nothing. */
  async repair(options: RepairOptions = {}): Promise<RepairResult> {
    if (!options.dryRun) await this.#finishRestore();
    const { repair } = await import("./repair.ts");
    return await repair(this.#workspace, options);
  }

  /**
   * Takes a snapshot: verified copies of all databases and the ledger, of one moment. Writers wait
   * for milliseconds, whatever the size; the copying runs on a thread of its own. Needs read and
   * write permission on the databases and on the directory of the snapshots.
   *
   * @throws {DatabaseLockedError} where a writer was not done within the timeout.
   * @throws {CorruptDatabaseError} where a database is damaged; older snapshots stay as they were.
   *
   * @example Take a snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name, files } = await migrator.createSnapshot();
   * console.assert(files.length === 4 && (await migrator.verifySnapshot(name)).ok);
   * ```
   */
  async createSnapshot(options: SnapshotOptions = {}): Promise<Manifest> {
    await this.#finishRestore();
    const { createSnapshot } = await import("./snapshot/mod.ts");
    return await createSnapshot(this.#workspace, options);
  }

  /** Lists the snapshots of a directory, the newest first. Default: the migrator's directory. */
  async listSnapshots(
    directory: string = this.#workspace.backups,
  ): Promise<readonly SnapshotEntry[]> {
    const { listSnapshots } = await import("./snapshot/store.ts");
    return await listSnapshots(directory);
  }

  /**
   * Reads a snapshot again and compares every file with the manifest.
   *
   * @throws {SnapshotError} where there is none of that name, or its manifest is damaged.
   */
  async verifySnapshot(name: string, options: VerifySnapshotOptions = {}): Promise<SnapshotCheck> {
    const { verifySnapshot } = await import("./snapshot/mod.ts");
    const { directory = this.#workspace.backups, verify = "quick" } = options;
    return await verifySnapshot(directory, name, verify);
  }

  /** Removes snapshots that a retention doesn't keep, never the only whole one; their names. */
  async pruneSnapshots(options: PruneSnapshotsOptions): Promise<readonly string[]> {
    const { directory = this.#workspace.backups, dryRun = false, ...retention } = options;
    // What is to be deleted may be what an interrupted restore needs.
    if (!dryRun) await this.#finishRestore();
    const { prune } = await import("./snapshot/mod.ts");
    return await prune(directory, this.#workspace.timeout, { retention, dryRun });
  }

  /**
   * Says what restoring a snapshot would change; writes nothing.
   *
   * @throws {SnapshotError} where there is no such snapshot, or it is damaged.
   */
  async planRestore(
    reference: string,
    options: Pick<RestoreOptions, "databases"> = {},
  ): Promise<RestorePlan> {
    const { planRestore } = await import("./snapshot/restore.ts");
    return await planRestore(this.#workspace, reference, options);
  }

  /**
   * Restores a snapshot, by its name, its manifest's path, `latest`, or one database file. It is
   * checked first; what is there is kept in a snapshot of its own; where anything is replaced,
   * `confirm` is asked. Killed at any moment, the next command finishes it.
   *
   * @throws {SnapshotError} where there is no such snapshot, or it is damaged; nothing is changed.
   * @throws {ConfirmationError} where nobody confirmed.
   */
  async restoreSnapshot(reference: string, options: RestoreOptions = {}): Promise<RestoreResult> {
    await this.#finishRestore({ orReplace: true });
    const { restore } = await import("./snapshot/restore.ts");
    return await restore(this.#workspace, reference, options);
  }

  /** Goes back to what was there before the last restore, as {@link Migrator.restoreSnapshot} does. */
  async undoRestore(options: RestoreOptions = {}): Promise<RestoreResult> {
    await this.#finishRestore({ orReplace: true });
    const { undoRestore } = await import("./snapshot/restore.ts");
    return await undoRestore(this.#workspace, options);
  }

  /** Finishes a restore that was killed in the middle; every command that changes something does. */
  async #finishRestore({ orReplace = false } = {}): Promise<void> {
    if (!isRestoring(this.#workspace)) return;
    const { finishRestore } = await import("./snapshot/restore.ts");
    try {
      await finishRestore(this.#workspace);
    } catch (error) {
      // Where its files are gone, another restore is what helps.
      if (!orReplace || !(error instanceof SnapshotError)) throw error;
    }
  }

  /** Reads the ledger's events, the newest first. */
  async history(options: HistoryOptions = {}): Promise<readonly LedgerEvent[]> {
    return await history(this.#workspace, options.limit ?? 20);
  }
}
