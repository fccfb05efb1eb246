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
import { createWorkspace, type MigratorOptions, type Workspace } from "./workspace.ts";

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
    const { repair } = await import("./repair.ts");
    return await repair(this.#workspace, options);
  }

  /** Reads the ledger's events, the newest first. */
  async history(options: HistoryOptions = {}): Promise<readonly LedgerEvent[]> {
    return await history(this.#workspace, options.limit ?? 20);
  }
}
