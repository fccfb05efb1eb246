import { type CatalystError, SnapshotError } from "./base/errors.ts";
import { sizeOf } from "./base/paths.ts";
import type { OutputFileOptions } from "./dump/output_file.ts";
import type { ExportedTable, ExportOptions, ExportTablesOptions } from "./dump/export.ts";
import type { ImportOptions, ImportResult } from "./dump/import.ts";
import type { ImportRowsOptions, ImportRowsResult } from "./dump/import_rows.ts";
import type {
  Adoption,
  AdoptOptions,
  BaselineOptions,
  BaselineResult,
} from "./operations/baseline.ts";
import type { CopyDatabaseOptions, CopyDatabaseResult } from "./operations/copy.ts";
import type { DowngradeOptions, DowngradePlan, DowngradeResult } from "./operations/downgrade.ts";
import type { RedoOptions, RedoResult } from "./operations/redo.ts";
import type { AcceptResult, RepairOptions, RepairResult } from "./operations/repair.ts";
import type { TryRestoreOptions } from "./operations/try_restore.ts";
import type { SquashedMigration } from "./operations/squash.ts";
import { planUpgrade, upgrade } from "./operations/upgrade.ts";
import type {
  PlanUpgradeOptions,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./operations/run_migrations.ts";
import type { DataCheck, Verification, VerifyOptions } from "./operations/verify.ts";
import type { QueryOptions, QueryResult } from "./report/query.ts";
import type { Report, ReportFilter } from "./report/report.ts";
import type { SchemaDescription } from "./schema/document.ts";
import type { Schema } from "./schema/model.ts";
import type { Manifest } from "./snapshot/manifest.ts";
import type {
  FindSnapshotOptions,
  SnapshotOptions,
  VerifySnapshotOptions,
} from "./snapshot/mod.ts";
import type { PruneSnapshotsOptions } from "./snapshot/prune.ts";
import type { RestoreOptions, RestorePlan } from "./snapshot/restore.ts";
import type { RestoreResult } from "./snapshot/journal.ts";
import type { SnapshotCheck } from "./snapshot/sources.ts";
import type { SnapshotEntry } from "./snapshot/store.ts";
import type { LedgerEvent } from "./state/ledger.ts";
import type { DowngradeRequest } from "./state/plan.ts";
import { history, type Status, status } from "./state/status.ts";
import type { LostDatabase } from "./state/lost_databases.ts";
import {
  createWorkspace,
  isRestoring,
  locationOf,
  partsLeft,
  type Workspace,
  type WorkspaceOptions,
} from "./state/workspace.ts";
import type { LintOptions, LintResult } from "./trial/lint.ts";
import type { RehearseOptions } from "./trial/rehearse.ts";
import type { Rehearsal } from "./trial/rehearse_result.ts";

/** Options for reading the ledger's events. */
export interface HistoryOptions {
  /** Maximum number of events. Default 20. */
  readonly limit?: number;
  /** Only events of the migration with this id or name. Default: all. */
  readonly migration?: string;
  /** Only events of the database with this name. Default: all. */
  readonly database?: string;
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
  readonly #onRestoreFinished: MigratorOptions["onRestoreFinished"];

  /**
   * Resolves the options; opens nothing yet.
   *
   * @throws {RegistryError} if migrations contradict each other.
   * @throws {UsageError} if the timeout is not a duration, or two names have the same file.
   * @throws {LocationError} if an address does not name a file.
   */
  constructor(options: MigratorOptions & { readonly dataCheck?: DataCheck }) {
    this.#workspace = createWorkspace(options);
    this.#dataCheck = options.dataCheck;
    this.#onRestoreFinished = options.onRestoreFinished;
  }

  /**
   * Ids of the known migrations, such as `001`, in order.
   */
  get ids(): readonly string[] {
    return this.#workspace.registry.migrations.map(({ id }) => id);
  }

  /** Errors of the migrations that could not be read. */
  get unusable(): readonly CatalystError[] {
    return this.#workspace.unusable;
  }

  /** Names of the databases, in the order given. */
  get databases(): readonly string[] {
    return [...this.#workspace.locations.keys()];
  }

  /**
   * Path of a database's file, or `:memory:` for one in memory.
   *
   * @throws {UsageError} if no database has that name.
   */
  pathOf(database: string): string {
    return locationOf(this.#workspace, database).path;
  }

  /**
   * Paths of the SQLite files in the data directory that are not among the databases. Changes
   * nothing. This process must not have any of them open, because reading a file's header drops its
   * locks.
   */
  async uncoveredFiles(): Promise<readonly string[]> {
    const { uncoveredFiles } = await import("./state/uncovered_files.ts");
    return uncoveredFiles(this.#workspace);
  }

  /**
   * Checks that a file, such as an export, may be written: it must not be one of the databases,
   * belong to one of them, or be another database or snapshot. An existing file needs `force`.
   *
   * @throws {AccessError} naming what the path belongs to.
   */
  async refuseOccupied(path: string, options: OutputFileOptions = {}): Promise<void> {
    const { refuseOccupied } = await import("./dump/output_file.ts");
    await refuseOccupied(this.#workspace, path, options);
  }

  /**
   * Reads the state of the databases and migrations. Writes and creates nothing. Other programs may
   * keep writing to the databases.
   *
   * @throws {LocationError | AccessError} if a database's path can't be used or read.
   * @throws {NotADatabaseError | CorruptDatabaseError} if a file is not a database, or is damaged.
   * @throws {DatabaseLockedError} if a lock was not released within the timeout.
   * @throws {FormatError} if a newer version wrote the ledger or the markers.
   *
   * @example Find out whether migrations are pending
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   *
   * const { ok, pending } = await migrator.status();
   * console.assert(!ok && pending === 3);
   * ```
   */
  async status(): Promise<Status> {
    const readLastGood = async () =>
      await (await import("./snapshot/last_good.ts")).readLastGood(this.#workspace.backups);
    return await status(this.#workspace, { readLastGood });
  }

  /**
   * Reads the ledger's events, newest first. Writes nothing. A missing ledger has none.
   *
   * @throws {FormatError} if a newer version wrote the ledger.
   *
   * @example Show the latest event
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const [event] = await migrator.history({ limit: 1 });
   * console.assert(event?.id === "003" && event.outcome === "applied");
   * console.log(new Date((event?.endedAt ?? 0) * 1000)); // epoch seconds
   * ```
   */
  async history(options: HistoryOptions = {}): Promise<readonly LedgerEvent[]> {
    return await history(this.#workspace, { limit: 20, ...options });
  }

  /**
   * Plans what {@link Migrator.upgrade} would do. Writes and creates nothing.
   *
   * @throws {UnknownMigrationError} if a requested migration does not exist.
   * @throws {OutOfOrderError} if a migration would run before one that it must follow.
   * @throws {ChangedMigrationError} if the text of an applied migration has changed.
   * @throws {UnknownMarkerError} if a database has an unknown migration.
   *
   * @example List the pending migrations
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   *
   * const { apply } = await migrator.planUpgrade();
   * console.assert(apply.map(({ id }) => id).join() === "001,002,003");
   * ```
   */
  async planUpgrade(request: PlanUpgradeOptions = {}): Promise<UpgradePlan> {
    this.#requireAll();
    return await planUpgrade(this.#workspace, request).catch((error) => this.#explain(error));
  }

  /**
   * Finds problems in migrations, such as data loss, rebuilds that lose something and long locks.
   * It runs them, including their functions, on a scratch database in memory that has the real
   * schema. The real databases are only read.
   *
   * @throws {UnknownMigrationError} if a requested migration does not exist.
   *
   * @example Lint the pending migrations
   * ```ts
   * import { createCatalystMigrator, defineMigration } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({
   *   dataDir: await Deno.makeTempDir(),
   *   migrations: [defineMigration({
   *     name: "004_drop_fills",
   *     database: "trading",
   *     upgrade: "DROP TABLE fills;",
   *   })],
   * });
   * const { ok, findings } = await migrator.lint();
   * console.assert(!ok && findings[0]?.code === "table-dropped");
   * ```
   */
  async lint(options: LintOptions = {}): Promise<LintResult> {
    this.#requireAll();
    const { lint } = await import("./trial/lint.ts");
    return await lint(this.#workspace, options);
  }

  /**
   * Runs the pending migrations up, down and up again on a consistent set of copies of the
   * databases, and removes the copies afterwards. Reports what the migrations do to the real rows,
   * how long they take, how long they block writers, and whether rolling back restores the
   * original. The real databases are not changed. The copies need about twice the space of the
   * databases, next to them or in `directory`. The call blocks this thread.
   *
   * @throws {DiskFullError} if there is not enough space for the copies; none remain.
   * @throws {DatabaseLockedError} if a writer did not finish within the timeout.
   *
   * @example Rehearse a migration
   * ```ts
   * import { createCatalystMigrator, defineMigration } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({
   *   dataDir: await Deno.makeTempDir(),
   *   migrations: [defineMigration({
   *     name: "004_add_notes",
   *     database: "trading",
   *     upgrade: "ALTER TABLE orders ADD COLUMN notes TEXT;",
   *     downgrade: "ALTER TABLE orders DROP COLUMN notes;",
   *   })],
   * });
   * await migrator.upgrade({ to: "003" });
   * const { ok, migrations } = await migrator.rehearse();
   * console.assert(ok && migrations[0]?.name === "004_add_notes");
   * ```
   */
  async rehearse(options: RehearseOptions = {}): Promise<Rehearsal> {
    this.#requireAll();
    const { rehearse } = await import("./trial/rehearse.ts");
    return await rehearse(this.#workspace, options);
  }

  /**
   * Applies the pending migrations in order, each in one transaction with its marker, and stops at
   * the first failure.
   *
   * @throws {LintError} if a migration would lose data without declaring it; nothing was run.
   * @throws {MigrationFailedError} if a migration failed; `progress` lists those applied before it.
   * @throws {SchemaConflictError} if existing tables of the same names have a different shape.
   * @throws {ChangedMigrationError | OutOfOrderError | UnknownMarkerError} if the migrations don't
   * match those already applied; nothing was run.
   * @throws {MigratorLockedError | DatabaseLockedError} if a lock could not be acquired in time.
   * @throws {HookError} if a hook failed; migrations applied before it remain applied.
   * @throws {InterruptedError} if `signal` stopped it.
   *
   * @example Bring the databases up to date
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   *
   * const { applied } = await migrator.upgrade();
   * console.assert(applied.map(({ name }) => name)[0] === "001_create_positions_tables");
   * console.assert((await migrator.upgrade()).applied.length === 0); // once is enough
   * ```
   */
  async upgrade(options: UpgradeOptions = {}): Promise<UpgradeResult> {
    this.#requireAll();
    await this.#finishRestore();
    return await upgrade(this.#workspace, options).catch((error) => this.#explain(error));
  }

  /**
   * Plans what {@link Migrator.downgrade} would roll back and lose. Writes nothing.
   *
   * @throws {UnknownMigrationError} if a requested migration does not exist.
   * @throws {DowngradeBlockedError} if a later migration blocks it, or a migration has no
   * downgrade.
   *
   * @example See what would be lost
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { rollBack, losses } = await migrator.planDowngrade({ steps: 1 });
   * console.assert(rollBack[0]?.id === "003" && losses.every(({ rows }) => rows === 0));
   * ```
   */
  async planDowngrade(request: DowngradeRequest = {}): Promise<DowngradePlan> {
    const { planDowngrade } = await import("./operations/downgrade.ts");
    return await planDowngrade(this.#workspace, request);
  }

  /**
   * Rolls applied migrations back, newest first. If rows would be lost, it calls `confirm` first.
   *
   * @throws {ConfirmationError} if rows would be lost and this was not confirmed.
   * @throws {DowngradeBlockedError} if a later migration of the same database is applied.
   * @throws {MigrationFailedError} if one failed; `progress` lists those rolled back before it.
   * @throws {MigratorLockedError | DatabaseLockedError} if a lock could not be acquired in time.
   *
   * @example Roll the last migration back
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { rolledBack } = await migrator.downgrade({ steps: 1, confirm: () => false });
   * console.assert(rolledBack.join() === "003"); // there were no rows, so confirm was not called
   * ```
   */
  async downgrade(options: DowngradeOptions = {}): Promise<DowngradeResult> {
    await this.#finishRestore();
    const { downgrade } = await import("./operations/downgrade.ts");
    return await downgrade(this.#workspace, options);
  }

  /**
   * Plans what {@link Migrator.redo} would roll back and lose. Writes nothing.
   *
   * @throws {UnknownMigrationError} if the migration does not exist.
   * @throws {DowngradeBlockedError} if a later migration blocks it, or the migration has no
   * downgrade.
   *
   * @example See what would be rolled back
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { rollBack } = await migrator.planRedo();
   * console.assert(rollBack[0]?.name === "003_create_ml_training_tables");
   * ```
   */
  async planRedo(options: Pick<RedoOptions, "migration"> = {}): Promise<DowngradePlan> {
    this.#requireAll();
    const { planRedo } = await import("./operations/redo.ts");
    return await planRedo(this.#workspace, options);
  }

  /**
   * Rolls a migration back, by default the last one, and applies it again; useful while writing it.
   * If rows would be lost, it calls `confirm` first.
   *
   * @throws {ConfirmationError} if rows would be lost and this was not confirmed.
   * @throws {DowngradeBlockedError} if a later migration of the same database is applied.
   * @throws {UsageError} if no migration is applied, or its file is missing.
   * @throws {OutOfOrderError} if an earlier migration of the same database must be applied first.
   * @throws {MigrationFailedError} if rolling back or applying failed.
   *
   * @example Run a migration again
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { applied } = await migrator.redo({ migration: "002" });
   * console.assert(applied[0]?.id === "002");
   * ```
   */
  async redo(options: RedoOptions = {}): Promise<RedoResult> {
    this.#requireAll();
    await this.#finishRestore();
    const { redo } = await import("./operations/redo.ts");
    return await redo(this.#workspace, options);
  }

  /**
   * Records migrations whose changes are already in the databases as applied, after comparing the
   * schema with the migrations.
   *
   * @throws {SchemaConflictError} if a database has a different schema; no marker is written.
   * @throws {UnknownMigrationError} if the migration does not exist.
   *
   * @example Take over a database created by hand
   * ```ts
   * import { openDatabase } from "@catalyst/migrate/database";
   * import { defineMigration, Migrator } from "@catalyst/migrate";
   *
   * const directory = await Deno.makeTempDir();
   * const upgrade = "CREATE TABLE notes (body TEXT NOT NULL)";
   * openDatabase(`${directory}/app.db`).exec(upgrade);
   *
   * const migrator = new Migrator({
   *   databases: { app: `${directory}/app.db` },
   *   ledger: `${directory}/migrations.db`,
   *   migrations: [defineMigration({ name: "001_create_notes", database: "app", upgrade })],
   * });
   * const { marked } = await migrator.baseline({ to: "001" });
   * console.assert(marked.join() === "001" && (await migrator.status()).ok);
   * ```
   */
  async baseline(options: BaselineOptions): Promise<BaselineResult> {
    this.#requireAll();
    if (!options.dryRun) await this.#finishRestore();
    const { baseline } = await import("./operations/baseline.ts");
    return await baseline(this.#workspace, options);
  }

  /**
   * Brings an existing database under management: writes its schema as a migration to
   * `migrationsDir` and marks it as applied. A new migrator must load the migration. Needs write
   * permission on that directory.
   *
   * @throws {UsageError} if the database does not exist, is empty, or already has migrations.
   * @throws {AdoptionError} if its schema can't be recreated.
   *
   * @example Adopt a database that a program has created
   * ```ts
   * import { openDatabase } from "@catalyst/migrate/database";
   * import { Migrator } from "@catalyst/migrate";
   *
   * const directory = await Deno.makeTempDir();
   * openDatabase(`${directory}/market.db`).exec("CREATE TABLE prices (ticker TEXT, price REAL)");
   * const migrator = new Migrator({
   *   databases: { market: `${directory}/market.db` },
   *   ledger: `${directory}/migrations.db`,
   *   migrations: [],
   * });
   *
   * const { name } = await migrator.adopt("market", { migrationsDir: `${directory}/migrations` });
   * console.assert(name === "001_adopt_market");
   * ```
   */
  async adopt(database: string, options: AdoptOptions): Promise<Adoption> {
    if (!options.dryRun) await this.#finishRestore();
    const { adoptDatabase } = await import("./operations/baseline.ts");
    return await adoptDatabase(this.#workspace, database, options);
  }

  /**
   * Combines the migrations that were read from files, up to the given id or name, into one per
   * database. Writes nothing; a database that has the old ones adopts the new one automatically.
   *
   * @throws {SquashError} if a migration is not SQL, or the resulting schema would differ.
   * @throws {UnknownMigrationError} if the migration does not exist.
   *
   * @example Combine two files into one
   * ```ts
   * import { loadMigrations, Migrator } from "@catalyst/migrate";
   *
   * const directory = await Deno.makeTempDir();
   * const head = "-- database: app\n-- migrate:up\n";
   * await Deno.writeTextFile(`${directory}/001_a.sql`, `${head}CREATE TABLE a (x);\n`);
   * await Deno.writeTextFile(`${directory}/002_b.sql`, `${head}CREATE TABLE b (x);\n`);
   * const migrator = new Migrator({
   *   databases: { app: `${directory}/app.db` },
   *   ledger: `${directory}/migrations.db`,
   *   migrations: await loadMigrations(directory),
   * });
   * const [squashed] = await migrator.squash("002");
   * console.assert(squashed?.text.includes("CREATE TABLE a") && squashed.replacedFiles.length === 2);
   * ```
   */
  async squash(to: string): Promise<readonly SquashedMigration[]> {
    this.#requireAll();
    const { squash } = await import("./operations/squash.ts");
    return await squash(this.#workspace, to);
  }

  /**
   * Accepts the changed name and text of an applied migration, given by id or name. Runs nothing.
   *
   * @throws {UnknownMigrationError} if the migration does not exist.
   * @throws {UsageError} if it is not applied, or has not changed.
   *
   * @example Accept a later correction
   * ```ts
   * import { defineMigration, Migrator } from "@catalyst/migrate";
   *
   * const directory = await Deno.makeTempDir();
   * const migratorWith = (upgrade: string) =>
   *   new Migrator({
   *     databases: { app: `${directory}/app.db` },
   *     ledger: `${directory}/migrations.db`,
   *     migrations: [defineMigration({ name: "001_create_notes", database: "app", upgrade })],
   *   });
   * await migratorWith("CREATE TABLE notes (body)").upgrade();
   *
   * const changed = migratorWith("CREATE TABLE IF NOT EXISTS notes (body)");
   * const { name } = await changed.acceptChanged("001");
   * console.assert(name === "001_create_notes" && (await changed.status()).ok);
   * ```
   */
  async acceptChanged(migration: string): Promise<AcceptResult> {
    await this.#finishRestore();
    const { acceptChanged } = await import("./operations/repair.ts");
    return await acceptChanged(this.#workspace, migration);
  }

  /**
   * Compares each database with the schema that its applied migrations create. Writes nothing.
   * Problems are returned, each with a fix; it throws only if a database can't be read.
   *
   * @throws {LocationError | AccessError} if a database's path can't be used or read.
   * @throws {NotADatabaseError | CorruptDatabaseError} if a file is not a database, or is damaged.
   * @throws {DatabaseLockedError} if a lock was not released within the timeout.
   *
   * @example Find changes made by hand
   * ```ts
   * import { openDatabase } from "@catalyst/migrate/database";
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const dataDir = await Deno.makeTempDir();
   * const migrator = createCatalystMigrator({ dataDir });
   * await migrator.upgrade();
   * openDatabase(`${dataDir}/trading.db`).exec("DROP VIEW v_equity_curve");
   *
   * const { ok, databases } = await migrator.verify();
   * const problems = databases.flatMap(({ problems }) => problems);
   * console.assert(!ok && problems[0]?.detail === 'view "v_equity_curve" is missing');
   * ```
   */
  async verify(options: VerifyOptions = {}): Promise<Verification> {
    const { verify } = await import("./operations/verify.ts");
    return await verify(this.#workspace, { ...options, dataCheck: this.#dataCheck });
  }

  /**
   * Describes the schema of a database as SQL and as data, always in the same order and layout, so
   * that it can be kept in version control. Writes nothing.
   *
   * @throws {UsageError} if no database has that name.
   * @throws {LocationError} if the database does not exist yet.
   *
   * @example Describe a schema
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { sql, schema } = await migrator.describeSchema("positions");
   * console.assert(sql.startsWith("CREATE TABLE closed_positions ("));
   * console.assert(schema.tables.length === 2);
   * ```
   */
  async describeSchema(database: string): Promise<SchemaDescription> {
    const { describe } = await import("./schema/document.ts");
    return describe(await this.readSchema(database));
  }

  /**
   * Reads the schema of a database as it was written: lists in order of creation, and SQL with its
   * comments. Writes nothing.
   *
   * @throws {UsageError} if no database has that name.
   * @throws {LocationError} if the database does not exist yet.
   */
  async readSchema(database: string): Promise<Schema> {
    const { readKnownSchema } = await import("./operations/read_schema.ts");
    return await readKnownSchema(this.#workspace, database);
  }

  /**
   * Reconciles the ledger, creates missing tables, indexes, views and triggers, and replaces the
   * views of an adopted database that differ from the migrations' definitions. Changes no rows.
   *
   * @throws {MigratorLockedError | DatabaseLockedError} if a lock could not be acquired in time.
   *
   * @example Recreate a dropped view
   * ```ts
   * import { openDatabase } from "@catalyst/migrate/database";
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const dataDir = await Deno.makeTempDir();
   * const migrator = createCatalystMigrator({ dataDir });
   * await migrator.upgrade();
   * openDatabase(`${dataDir}/trading.db`).exec("DROP VIEW v_equity_curve");
   *
   * const { recreated } = await migrator.repair();
   * console.assert(recreated[0]?.name === "v_equity_curve" && (await migrator.verify()).ok);
   * ```
   */
  async repair(options: RepairOptions = {}): Promise<RepairResult> {
    if (!options.dryRun) await this.#finishRestore();
    const { repair } = await import("./operations/repair.ts");
    return await repair(this.#workspace, options);
  }

  /**
   * Finds the databases that are missing or empty although the ledger knows them or a snapshot has rows
   * of them, so that a new snapshot cannot include them.
   */
  async lostDatabases(
    { directory }: Pick<FindSnapshotOptions, "directory"> = {},
  ): Promise<readonly LostDatabase[]> {
    const [{ findLostDatabases }, { readLastGood }, { inspect }] = await Promise.all([
      import("./state/lost_databases.ts"),
      import("./snapshot/last_good.ts"),
      import("./state/inspect.ts"),
    ]);
    const found = await inspect(this.#workspace, { tolerant: true });
    return await findLostDatabases(this.#workspace, found, {
      readLastGood: () => readLastGood(directory ?? this.#workspace.backups),
    });
  }

  /**
   * Takes a snapshot: verified copies of all databases and the ledger, consistent with each other.
   * Writers wait for milliseconds, whatever the size; a separate thread does the copying. Needs
   * read and write permission on the databases and on the directory of the snapshots.
   *
   * @throws {DatabaseLockedError} if a writer did not finish within the timeout.
   * @throws {CorruptDatabaseError} if a database is damaged and there is no `onDamaged`; older
   * snapshots are kept.
   * @throws {UsageError} if a database is open through `jsr:@db/sqlite`.
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

  /**
   * Lists the snapshots of a directory, newest first. Default: the migrator's directory, `backups`
   * next to the ledger. A missing directory has no snapshots.
   *
   * @throws {LocationError | AccessError} if it is a file, or can't be read.
   *
   * @example Find the newest snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name } = await migrator.createSnapshot();
   * const [newest] = await migrator.listSnapshots();
   * console.assert(newest?.name === name && newest.problems.length === 0);
   * ```
   */
  async listSnapshots(
    directory: string = this.#workspace.backups,
  ): Promise<readonly SnapshotEntry[]> {
    const { listSnapshots } = await import("./snapshot/store.ts");
    return await listSnapshots(directory);
  }

  /**
   * Rereads a snapshot and compares every file with the manifest.
   *
   * @throws {SnapshotError} if no snapshot has that name, or its manifest is damaged.
   *
   * @example Check whether a snapshot is intact
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const dataDir = await Deno.makeTempDir();
   * const migrator = createCatalystMigrator({ dataDir });
   * await migrator.upgrade();
   * const { name, files } = await migrator.createSnapshot();
   * await Deno.truncate(`${dataDir}/backups/${files[0]?.file}`, 100);
   * console.assert(!(await migrator.verifySnapshot(name)).ok);
   * ```
   */
  async verifySnapshot(name: string, options: VerifySnapshotOptions = {}): Promise<SnapshotCheck> {
    const { verifySnapshot } = await import("./snapshot/mod.ts");
    return await verifySnapshot(options.directory ?? this.#workspace.backups, name, options);
  }

  /**
   * Finds the newest snapshot from which all databases can be restored, judging by names and sizes;
   * null if there is none. Snapshots taken by a restore don't count, nor do those dated in the
   * future.
   *
   * @throws {UsageError} if no database has one of the names.
   * @throws {LocationError | AccessError} if the directory is a file, or can't be read.
   *
   * @example Find the age of the newest backup
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * await migrator.createSnapshot();
   * const newest = await migrator.findSnapshot();
   * const ageSeconds = Date.now() / 1000 - (newest?.createdAt ?? 0);
   * console.assert(ageSeconds < 3600);
   * ```
   */
  async findSnapshot(options: FindSnapshotOptions = {}): Promise<Manifest | null> {
    const { findSnapshot } = await import("./snapshot/mod.ts");
    return await findSnapshot(this.#workspace, options);
  }

  /**
   * Finds when each database was last backed up: the date of its newest complete snapshot that was not
   * taken by a restore, in Unix epoch seconds, judging by names and sizes.
   *
   * @throws {LocationError | AccessError} if the directory of the snapshots can't be read.
   *
   * @example Find databases without a backup
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * await migrator.createSnapshot({ databases: ["trading"] });
   * const backups = await migrator.lastBackups();
   * console.assert(backups.has("trading") && !backups.has("positions"));
   * ```
   */
  async lastBackups(): Promise<ReadonlyMap<string, number>> {
    const { backups: directory, locations } = this.#workspace;
    // Most commands find no directory, and the module takes time to load.
    if (sizeOf(directory) === null) return new Map();
    const { lastBackups } = await import("./snapshot/store.ts");
    return await lastBackups(directory, {
      databases: [...locations.keys()],
      now: Date.now() / 1000,
    });
  }

  /**
   * Proves that a snapshot can be restored: restores it into a temporary directory next to the
   * databases, verifies schema and data there, and removes it. The databases are not changed.
   *
   * @throws {SnapshotError} if no snapshot has that name, or it can't be restored.
   * @throws {DiskFullError} if there is not enough space.
   *
   * @example Try a snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name } = await migrator.createSnapshot();
   * console.assert((await migrator.tryRestore(name)).ok);
   * ```
   */
  async tryRestore(name: string, options: TryRestoreOptions = {}): Promise<Verification> {
    const { tryRestore } = await import("./operations/try_restore.ts");
    return await tryRestore(this.#workspace, name, { ...options, dataCheck: this.#dataCheck });
  }

  /**
   * Removes the snapshots that the retention does not keep, but never the last intact one of a
   * database. Returns their names.
   *
   * @throws {MigratorLockedError} if another run uses that directory beyond the timeout.
   *
   * @example Keep the newest snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name: old } = await migrator.createSnapshot();
   * await migrator.createSnapshot();
   * console.assert((await migrator.pruneSnapshots({ keep: 1 })).join() === old);
   * ```
   */
  async pruneSnapshots(options: PruneSnapshotsOptions): Promise<readonly string[]> {
    // An interrupted restore may need what would be deleted.
    if (!options.dryRun) await this.#finishRestore();
    const { pruneSnapshots } = await import("./snapshot/prune.ts");
    return await pruneSnapshots(this.#workspace, options);
  }

  /**
   * Plans what restoring a snapshot would change. Writes nothing. `reference` is a snapshot's name,
   * its manifest's path, `latest`, or one database file.
   *
   * @throws {SnapshotError} if the snapshot does not exist or is damaged.
   *
   * @example Show the row counts of a snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * await migrator.createSnapshot();
   * const { changes } = await migrator.planRestore("latest");
   * console.assert(changes.find(({ database }) => database === "trading")?.then.rows.orders === 0);
   * ```
   */
  async planRestore(
    reference: string,
    options: Pick<RestoreOptions, "databases" | "directory" | "onStep"> = {},
  ): Promise<RestorePlan> {
    const { planRestore } = await import("./snapshot/restore.ts");
    return await planRestore(this.#workspace, reference, options);
  }

  /**
   * Restores a snapshot, given by name, by its manifest's path, as `latest`, or as one database
   * file. The snapshot is checked first, the existing data is kept in a safety snapshot, and
   * `confirm` is called if anything would be replaced. If the process is killed, the next command
   * completes the restore.
   *
   * @throws {SnapshotError} if the snapshot does not exist or is damaged; nothing is changed.
   * @throws {ConfirmationError} if it was not confirmed.
   * @throws {DatabaseLockedError} if another program writes for longer than the timeout.
   * @throws {DiskFullError} if there is not enough space; nothing is changed.
   * @throws {UsageError} if a database is open through `jsr:@db/sqlite`.
   *
   * @example Go back to a snapshot
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name } = await migrator.createSnapshot();
   * await migrator.downgrade({ steps: 1 });
   *
   * const { restored } = await migrator.restoreSnapshot(name, { confirm: () => true });
   * console.assert(restored.includes("ml_training") && (await migrator.status()).ok);
   * ```
   */
  async restoreSnapshot(reference: string, options: RestoreOptions = {}): Promise<RestoreResult> {
    await this.#finishRestore({ orReplace: true });
    const { restore } = await import("./snapshot/restore.ts");
    return await restore(this.#workspace, reference, options);
  }

  /**
   * Returns to the state before the last restore, as {@link Migrator.restoreSnapshot} does.
   *
   * @throws {SnapshotError} if nothing was restored yet, or that snapshot is missing or damaged.
   * @throws {ConfirmationError} if it was not confirmed.
   *
   * @example Undo a restore
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { name } = await migrator.createSnapshot();
   * const confirm = () => true;
   * const { safety } = await migrator.restoreSnapshot(name, { confirm });
   * console.assert((await migrator.undoRestore({ confirm })).snapshot === safety);
   * ```
   */
  async undoRestore(options: RestoreOptions = {}): Promise<RestoreResult> {
    await this.#finishRestore({ orReplace: true });
    const { undoRestore } = await import("./snapshot/restore.ts");
    return await undoRestore(this.#workspace, options);
  }

  /**
   * Copies a database to an empty namespace on a server, from a server, or into a new file. Each
   * end is the name of a database, a path, or an address such as
   * `libsql://db.example.com?namespace=app`. The copy is exact and all-or-nothing, and both ends
   * are compared afterwards. A server needs network permission, and its token in the variable
   * `CATALYST_LIBSQL_TOKEN`.
   *
   * @throws {LocationError} if the original does not exist.
   * @throws {ConfirmationError} if the target is not empty.
   * @throws {ServerError} if a server can't be reached.
   *
   * @example Copy a database into another file
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const dataDir = await Deno.makeTempDir();
   * const migrator = createCatalystMigrator({ dataDir });
   * await migrator.upgrade();
   * const { to } = await migrator.copyDatabase("trading", `${dataDir}/elsewhere.db`);
   * console.assert(to.endsWith("/elsewhere.db")); // or: "libsql://db.example.com?namespace=trading"
   * ```
   */
  async copyDatabase(
    from: string,
    to: string,
    options: CopyDatabaseOptions = {},
  ): Promise<CopyDatabaseResult> {
    const { copyDatabase } = await import("./operations/copy.ts");
    return await copyDatabase(this.#workspace, { from, to }, options);
  }

  /**
   * Runs one read-only statement on a database, or on the ledger under the name `ledger`; see
   * `runQuery`.
   *
   * @throws {UsageError} if the database does not exist, the text is not exactly one statement, or
   * a parameter has no value.
   * @throws {StatementError} if SQLite rejects the statement, because it is invalid or not read-only.
   * @throws {QueryTimeoutError} if it takes longer than `timeout`.
   *
   * @example Read the ledger
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { rows } = await migrator.query("ledger", {
   *   sql: "SELECT migration_name FROM migration_history WHERE status = :status",
   *   parameters: { status: "applied" },
   * });
   * console.assert(rows.length === 3);
   * ```
   */
  async query(database: string, options: QueryOptions): Promise<QueryResult> {
    const { queryDatabase } = await import("./report/make_report.ts");
    return await queryDatabase(this.#workspace, database, options);
  }

  /**
   * Computes the trading figures of a bot's databases; see `computeReport`.
   *
   * @throws {LocationError} if none of the bot's databases exists.
   *
   * @example Count the trades of a year
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { trades } = await migrator.report({ since: Date.UTC(2025, 0, 1) / 1000 });
   * console.assert(trades.all.trades === 0);
   * ```
   */
  async report(filter: ReportFilter = {}): Promise<Report> {
    const { reportFor } = await import("./report/make_report.ts");
    return await reportFor(this.#workspace, filter);
  }

  /**
   * Exports a database as SQL text, from which this toolkit and the `sqlite3` shell recreate it.
   * The export is consistent with the moment of the call; other programs may keep writing. Cancel
   * the stream if you don't read it to the end. Needs read permission on the database.
   *
   * @throws {LocationError} if the database does not exist.
   * @throws {UsageError} if the database has no such table.
   *
   * @example Export a database
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const dump = await migrator.exportDatabase("trading");
   * const sql = await new Response(dump).text();
   * console.assert(sql.includes("CREATE TABLE orders") && sql.endsWith("COMMIT;\n"));
   * ```
   */
  async exportDatabase(
    database: string,
    options: ExportOptions = {},
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
    const { exportSql } = await import("./dump/export.ts");
    return await exportSql(this.#workspace, database, options);
  }

  /**
   * Exports tables or views as CSV or JSON Lines, one after the other, as one consistent snapshot.
   * Read or cancel the rows of each table before requesting the next.
   *
   * @throws {LocationError} if the database does not exist.
   * @throws {UsageError} if the database has no such table.
   *
   * @example Export a table
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const options = { format: "csv", tables: ["fills"] } as const;
   * for await (const { name, rows } of migrator.exportTables("trading", options)) {
   *   const csv = await new Response(rows).text();
   *   console.assert(name === "fills" && csv.startsWith('"fill_id","order_id"'));
   * }
   * ```
   */
  async *exportTables(
    database: string,
    options: ExportTablesOptions,
  ): AsyncGenerator<ExportedTable, void, void> {
    const { exportTables } = await import("./dump/export.ts");
    yield* exportTables(this.#workspace, database, options);
  }

  /**
   * Imports a dump: SQL text as written by `export`, the `sqlite3` shell or Python's `iterdump`,
   * plain or gzip. Imports are all-or-nothing. It builds a new database next to the existing one,
   * then calls `confirm`, takes a snapshot and replaces it. With `intoExisting` it runs the dump
   * against the existing database, and calls `confirm` if existing rows are deleted or changed.
   * Statements that reach outside the database, such as ATTACH, are refused.
   *
   * @throws {DumpError} if the dump is invalid or incomplete; it gives the line and the reason.
   * @throws {ConfirmationError} if a database would be replaced, or its rows deleted or changed,
   * and this was not confirmed.
   * @throws {DatabaseLockedError} if another program writes for longer than the timeout.
   *
   * @example Import a dump
   * ```ts
   * import { Migrator } from "@catalyst/migrate";
   *
   * const directory = await Deno.makeTempDir();
   * const migrator = new Migrator({
   *   databases: { app: `${directory}/app.db` },
   *   ledger: `${directory}/migrations.db`,
   *   migrations: [],
   * });
   * const dump = new Blob(["CREATE TABLE notes (body TEXT); INSERT INTO notes VALUES ('hello');"]);
   * const { rows } = await migrator.importDump(dump.stream(), { database: "app" });
   * console.assert(rows.notes === 1);
   * ```
   */
  async importDump(
    source: ReadableStream<Uint8Array>,
    options: ImportOptions,
  ): Promise<ImportResult> {
    await this.#finishRestore();
    const { importDump } = await import("./dump/import.ts");
    return await importDump(this.#workspace, source, options);
  }

  /**
   * Inserts the rows of a CSV or JSON Lines text, plain or gzip, into a table in one transaction,
   * after taking a snapshot of the database. The first line of CSV and the keys of JSON Lines name
   * the columns; omitted columns get their defaults. A bad row cancels the import unless `onBadRow`
   * accepts it.
   *
   * @throws {DumpError} if the text or a row is invalid; it gives the line and the reason.
   * @throws {UsageError} if the database or table does not exist.
   * @throws {DatabaseLockedError} if another program writes for longer than the timeout.
   *
   * @example Import rows
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const csv = "fill_id,order_id,client_order_id,ticker,side,quantity,price,filled_at\n" +
   *   "f-1,o-1,c-1,AAPL,buy,10,187.5,1700000000\n";
   * const { rows, skipped } = await migrator.importRows(new Blob([csv]).stream(), {
   *   database: "trading",
   *   table: "fills",
   *   format: "csv",
   *   onBadRow: ({ line, reason }) => {
   *     console.assert(line === 2 && reason === "FOREIGN KEY constraint failed");
   *   },
   * });
   * console.assert(rows === 0 && skipped === 1);
   * ```
   */
  async importRows(
    source: ReadableStream<Uint8Array>,
    options: ImportRowsOptions,
  ): Promise<ImportRowsResult> {
    await this.#finishRestore();
    const { importRows } = await import("./dump/import_rows.ts");
    return await importRows(this.#workspace, source, options);
  }

  /** Throws an error, with a snapshot to restore if a database is damaged. */
  async #explain(error: unknown): Promise<never> {
    const { withRestoreHelp } = await import("./snapshot/last_good.ts");
    throw await withRestoreHelp(error, this.#workspace);
  }

  /** Operations that run or check migrations need all of them. */
  #requireAll(): void {
    const [first] = this.#workspace.unusable;
    if (first !== undefined) throw first;
  }

  /**
   * Completes a restore that was killed, or removes the leftovers of a killed command. Every
   * command that changes something calls it.
   */
  async #finishRestore({ orReplace = false } = {}): Promise<void> {
    if (!isRestoring(this.#workspace)) {
      if (partsLeft(this.#workspace).length === 0) return;
      const { tidyUp } = await import("./engine/lock.ts");
      return await tidyUp(this.#workspace);
    }
    const { finishRestore } = await import("./snapshot/finish_restore.ts");
    try {
      const finished = await finishRestore(this.#workspace);
      if (finished !== null) await this.#onRestoreFinished?.(finished);
    } catch (error) {
      // If its files are missing, another restore is the way out.
      if (!orReplace || !(error instanceof SnapshotError)) throw error;
    }
  }
}

/** What a {@link Migrator} works on. */
export interface MigratorOptions extends WorkspaceOptions {
  /**
   * Called after completing a killed restore or import, before the requested operation.
   * `laterSnapshots` of the result contain what was written in between.
   */
  readonly onRestoreFinished?: (result: RestoreResult) => void | Promise<void>;
}
