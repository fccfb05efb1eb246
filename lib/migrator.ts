import { type CatalystError, SnapshotError } from "./base/errors.ts";
import { sizeOf } from "./base/files.ts";
import type { OutputFileOptions } from "./dump/output_guard.ts";
import type { ExportedTable, ExportOptions, ExportTablesOptions } from "./dump/export.ts";
import type { ImportOptions, ImportResult } from "./dump/import.ts";
import type { ImportRowsOptions, ImportRowsResult } from "./dump/import_rows.ts";
import type { Adoption, AdoptOptions } from "./operations/adopt.ts";
import type { AcceptResult, BaselineOptions, BaselineResult } from "./operations/baseline.ts";
import type { CopyDatabaseOptions, CopyDatabaseResult } from "./operations/copy.ts";
import type { DowngradeOptions, DowngradePlan, DowngradeResult } from "./operations/downgrade.ts";
import type { RedoOptions, RedoResult } from "./operations/redo.ts";
import type { RepairOptions, RepairResult } from "./operations/repair.ts";
import type { TryRestoreOptions } from "./operations/try_restore.ts";
import type { SquashedMigration } from "./operations/squash.ts";
import { planUpgrade, upgrade } from "./operations/upgrade.ts";
import type {
  PlanUpgradeOptions,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./operations/upgrade_options.ts";
import type { DataCheck, Verification, VerifyOptions } from "./operations/verify.ts";
import type { QueryOptions, QueryResult } from "./report/query.ts";
import type { Report, ReportFilter } from "./report/report.ts";
import type { SchemaDescription } from "./schema/document.ts";
import type { Schema } from "./schema/model.ts";
import type { Manifest } from "./snapshot/manifest.ts";
import type {
  FindSnapshotOptions,
  PruneSnapshotsOptions,
  SnapshotOptions,
  VerifySnapshotOptions,
} from "./snapshot/mod.ts";
import type { RestoreOptions, RestorePlan } from "./snapshot/restore.ts";
import type { RestoreResult } from "./snapshot/journal.ts";
import type { SnapshotCheck } from "./snapshot/sources.ts";
import type { SnapshotEntry } from "./snapshot/store.ts";
import type { LedgerEvent } from "./state/ledger.ts";
import type { DowngradeRequest } from "./state/plan.ts";
import { history, missingDatabases, type Status, status } from "./state/status.ts";
import {
  createWorkspace,
  hasParts,
  isRestoring,
  locationOf,
  type Workspace,
  type WorkspaceOptions,
} from "./state/workspace.ts";
import type { LintOptions, LintResult } from "./trial/lint.ts";
import type { RehearseOptions } from "./trial/rehearse.ts";
import type { Rehearsal } from "./trial/rehearse_result.ts";

/** Which of the ledger's events to read. */
export interface HistoryOptions {
  /** How many events at most. Default 20. */
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
   * @throws {RegistryError} where the migrations contradict each other.
   * @throws {UsageError} where the timeout is no time, or two names have the same file.
   * @throws {LocationError} where an address is not that of a file.
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

  /** What is wrong with migrations that could not be read. */
  get unusable(): readonly CatalystError[] {
    return this.#workspace.unusable;
  }

  /** Names of the databases, in the order given. */
  get databases(): readonly string[] {
    return [...this.#workspace.locations.keys()];
  }

  /**
   * Path of a database's file; `:memory:` for one in memory.
   *
   * @throws {UsageError} where there is no database of that name.
   */
  pathOf(database: string): string {
    return locationOf(this.#workspace, database).path;
  }

  /**
   * Makes sure that a file may be written, such as an export: that it is none of the databases, nor what
   * belongs to them, nor a database or snapshot of others. A file that is there needs `force`.
   *
   * @throws {AccessError} saying what is there.
   */
  async refuseOccupied(path: string, options: OutputFileOptions = {}): Promise<void> {
    const { refuseOccupied } = await import("./dump/output_guard.ts");
    await refuseOccupied(this.#workspace, path, options);
  }

  /**
   * Reads the state of the databases and migrations; writes nothing, creates nothing. A bot may have the
   * databases open and go on writing.
   *
   * @throws {LocationError | AccessError} where a database's place can't be used or read.
   * @throws {NotADatabaseError | CorruptDatabaseError} where a file is no database, or damaged.
   * @throws {DatabaseLockedError} where a lock was not gone within the timeout.
   * @throws {FormatError} where a newer version wrote the ledger or the markers.
   *
   * @example Tell whether there is something to do
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
    return await status(this.#workspace);
  }

  /**
   * Says what {@link Migrator.upgrade} would do; writes nothing, creates nothing.
   *
   * @throws {UnknownMigrationError} where it asks for a migration that there is not.
   * @throws {OutOfOrderError} where a migration would run before one that it must follow.
   * @throws {ChangedMigrationError} where an applied migration's text is not what was applied.
   * @throws {UnknownMarkerError} where a database has a migration that is not known.
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
    return await planUpgrade(this.#workspace, request);
  }

  /**
   * Looks for what is dangerous or wrong in migrations, by running them on a scratch database in memory
   * with the schema of the real one: data loss, rebuilds that lose something, long locks and more. The
   * functions of migrations are called too. The real databases are only read.
   *
   * @throws {UnknownMigrationError} where it asks for a migration that there is not.
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
   * Runs the pending migrations up, down and up again on copies of the databases, of one moment, which
   * are removed afterwards: what they do to the real rows, how long they take and keep others from
   * writing, and whether the way back gives what was there. The real databases are not changed.
   * It needs about twice their room, beside them or in `directory`. It keeps this thread busy.
   *
   * @throws {DiskFullError} where there is no room for the copies; nothing is left.
   * @throws {DatabaseLockedError} where a writer was not done within the timeout.
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
   * the first that fails.
   *
   * @throws {LintError} where one would lose data that it doesn't declare; nothing was run.
   * @throws {MigrationFailedError} where one failed; `progress` says what was applied before.
   * @throws {SchemaConflictError} where tables of the same names have another shape.
   * @throws {ChangedMigrationError | OutOfOrderError | UnknownMarkerError} where the migrations don't go with
   * what was applied; nothing was run.
   * @throws {MigratorLockedError | DatabaseLockedError} where a lock was not to be had in time.
   * @throws {HookError} where a hook failed; what was applied before stays.
   * @throws {InterruptedError} where `signal` stopped it.
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
    return await upgrade(this.#workspace, options);
  }

  /**
   * Reads rows of a database, or of the ledger under the name `ledger`, by one statement; see `runQuery`.
   *
   * @throws {UsageError} if there is no such database, it is not exactly one statement, or a parameter has
   * no value.
   * @throws {StatementError} if SQLite refuses the statement, because it is wrong or does not only read.
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
    const { queryDatabase } = await import("./report/compute.ts");
    return await queryDatabase(this.#workspace, database, options);
  }

  /**
   * Computes the figures of a trading bot's databases; see `computeReport`.
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
    const { reportFor } = await import("./report/compute.ts");
    return await reportFor(this.#workspace, filter);
  }

  /**
   * Says what {@link Migrator.downgrade} would roll back and lose; writes nothing.
   *
   * @throws {UnknownMigrationError} where it asks for a migration that there is not.
   * @throws {DowngradeBlockedError} where a later migration is in the way, or there is no way back.
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
   * Rolls applied migrations back, newest first. Where rows would be lost it asks `confirm` first.
   *
   * @throws {ConfirmationError} where rows would be lost and nobody confirmed it.
   * @throws {DowngradeBlockedError} where a later migration of the same database is applied.
   * @throws {MigrationFailedError} where one failed; `progress` says what was rolled back before.
   * @throws {MigratorLockedError | DatabaseLockedError} where a lock was not to be had in time.
   *
   * @example Roll the last migration back
   * ```ts
   * import { createCatalystMigrator } from "@catalyst/migrate";
   *
   * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
   * await migrator.upgrade();
   * const { rolledBack } = await migrator.downgrade({ steps: 1, confirm: () => false });
   * console.assert(rolledBack.join() === "003"); // there were no rows, so nobody was asked
   * ```
   */
  async downgrade(options: DowngradeOptions = {}): Promise<DowngradeResult> {
    await this.#finishRestore();
    const { downgrade } = await import("./operations/downgrade.ts");
    return await downgrade(this.#workspace, options);
  }

  /**
   * Says what {@link Migrator.redo} would roll back and lose; writes nothing.
   *
   * @throws {UnknownMigrationError} where there is no such migration.
   * @throws {DowngradeBlockedError} where a later migration is in the way, or there is no way back.
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
   * Rolls a migration back and applies it again, by default the last one, as is needed while it is being
   * written. Where rows would be lost it asks `confirm` first.
   *
   * @throws {ConfirmationError} where rows would be lost and nobody confirmed it.
   * @throws {DowngradeBlockedError} where a later migration of the same database is applied.
   * @throws {UsageError} where none is applied, or its file is gone.
   * @throws {OutOfOrderError} where an earlier one of the same database has to be applied first.
   * @throws {MigrationFailedError} where one way failed.
   *
   * @example Run a migration once more
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
   * Marks migrations as applied that are in the databases already, after comparing the schema with what
   * they make.
   *
   * @throws {SchemaConflictError} where a database has another schema; no marker is written then.
   * @throws {UnknownMigrationError} where there is no such migration.
   *
   * @example Take over a database that was made by hand
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
   * Brings an existing database under management: writes a migration with its schema to
   * `migrationsDir` and marks it as applied. The migration is known from the next start on. Needs write
   * permission on that directory.
   *
   * @throws {UsageError} where the database does not exist, is empty, or has migrations already.
   * @throws {AdoptionError} where its schema can't be created again.
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
    const { adoptDatabase } = await import("./operations/adopt.ts");
    return await adoptDatabase(this.#workspace, database, options);
  }

  /**
   * SQLite files in the data directory that none of the databases is, as paths. Changes nothing. This
   * process must not have one of them open, since reading its header drops the locks on it.
   */
  async uncoveredFiles(): Promise<readonly string[]> {
    const { uncoveredFiles } = await import("./state/discover.ts");
    return uncoveredFiles(this.#workspace);
  }

  /**
   * Makes one migration for each database out of those that were read from files, up to one of them by id
   * or name. It writes nothing; a database that has the old ones takes the new one over by itself.
   *
   * @throws {SquashError} where one of them is no SQL, or the outcome would be another schema.
   * @throws {UnknownMigrationError} where there is no such migration.
   *
   * @example Make one file out of two
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
   * Takes over the changed name and text of an applied migration, by id or name; it runs nothing.
   *
   * @throws {UnknownMigrationError} where there is no such migration.
   * @throws {UsageError} where it isn't applied, or not changed.
   *
   * @example Take over what was corrected afterwards
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
    const { acceptChanged } = await import("./operations/baseline.ts");
    return await acceptChanged(this.#workspace, migration);
  }

  /**
   * Compares each database with what its applied migrations make; writes nothing. What it finds is
   * returned, with what to do about each; it throws only where a database can't be read.
   *
   * @throws {LocationError | AccessError} where a database's place can't be used or read.
   * @throws {NotADatabaseError | CorruptDatabaseError} where a file is no database, or damaged.
   * @throws {DatabaseLockedError} where a lock was not gone within the timeout.
   *
   * @example Find what was changed by hand
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
   * Describes the schema of a database as SQL and as data, always in the same order and layout, so that
   * it can be kept in version control; writes nothing.
   *
   * @throws {UsageError} where no database has that name.
   * @throws {LocationError} where it is not there yet.
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
   * Reads the schema of a database as it was written: lists in the order of creation, and SQL with its
   * comments. Writes nothing.
   *
   * @throws {UsageError} if no database has that name.
   * @throws {LocationError} if the database does not exist yet.
   */
  async readSchema(database: string): Promise<Schema> {
    const { readKnownSchema } = await import("./operations/squash.ts");
    return await readKnownSchema(this.#workspace, database);
  }

  /**
   * Reconciles the ledger, creates missing tables, indexes, views and triggers, and replaces the
   * views of an adopted database that differ from the migrations' own. It touches no row.
   *
   * @throws {MigratorLockedError | DatabaseLockedError} where a lock was not to be had in time.
   *
   * @example Create a view again that somebody dropped
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
   * Names of databases that the ledger knows, and that are missing or empty: a snapshot can't have them.
   */
  async missingDatabases(): Promise<readonly string[]> {
    return await missingDatabases(this.#workspace);
  }

  /**
   * Takes a snapshot: verified copies of all databases and the ledger, of one moment. Writers wait
   * for milliseconds, whatever the size; the copying runs on a thread of its own. Needs read and
   * write permission on the databases and on the directory of the snapshots.
   *
   * @throws {DatabaseLockedError} where a writer was not done within the timeout.
   * @throws {CorruptDatabaseError} where a database is damaged; older snapshots stay as they were.
   * @throws {UsageError} where a database is open through `jsr:@db/sqlite`.
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
   * Lists the snapshots of a directory, the newest first. Default: the migrator's directory, `backups`
   * beside the ledger. A directory that is not there has none.
   *
   * @throws {LocationError | AccessError} where it is a file, or can't be read.
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
   * Reads a snapshot again and compares every file with the manifest.
   *
   * @throws {SnapshotError} where there is none of that name, or its manifest is damaged.
   *
   * @example Find out whether a snapshot is still whole
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
    const { directory = this.#workspace.backups, verify = "quick" } = options;
    return await verifySnapshot(directory, name, verify);
  }

  /**
   * Finds the newest snapshot from which all databases can be restored, as far as names and sizes tell;
   * null where there is none. Snapshots that a restore took don't count, nor do those dated in the future.
   *
   * @throws {UsageError} where there is no database of a name.
   * @throws {LocationError | AccessError} where the directory is a file, or can't be read.
   *
   * @example Tell how old the newest backup is
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
   * Tells when each database was last backed up: the date of its newest complete snapshot that was not
   * taken by a restore, in Unix epoch seconds, as far as names and sizes show.
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
   * Proves that a snapshot can be restored: restores it into a temporary directory beside the databases,
   * verifies schema and data there, and removes it. The databases themselves stay as they are.
   *
   * @throws {SnapshotError} where there is no such snapshot, or it can't be restored.
   * @throws {DiskFullError} where there is no room.
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
   * Removes snapshots that a retention does not keep, never a database's last whole one; their names.
   *
   * @throws {MigratorLockedError} where another run works in that directory past the timeout.
   *
   * @example Keep the newest one
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
    // What is to be deleted may be what an interrupted restore needs.
    if (!options.dryRun) await this.#finishRestore();
    const { pruneSnapshots } = await import("./snapshot/mod.ts");
    return await pruneSnapshots(this.#workspace, options);
  }

  /**
   * Says what restoring a snapshot would change; writes nothing. `reference` is its name, its manifest's
   * path, `latest`, or one database file.
   *
   * @throws {SnapshotError} where there is no such snapshot, or it is damaged.
   *
   * @example See how many rows there were
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
    options: Pick<RestoreOptions, "databases" | "directory"> = {},
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
   * @throws {DatabaseLockedError} where another program writes for longer than the timeout.
   * @throws {DiskFullError} where there is no room; nothing is changed.
   * @throws {UsageError} where a database is open through `jsr:@db/sqlite`.
   *
   * @example Go back
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
   * Goes back to what was there before the last restore, as {@link Migrator.restoreSnapshot} does.
   *
   * @throws {SnapshotError} where nothing was restored yet, or that snapshot is gone or damaged.
   * @throws {ConfirmationError} where nobody confirmed.
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
   * Copies a database to another place: to an empty namespace on a server, from one, or into a new file.
   * Each end is the name of a database, a path, or an address such as
   * `libsql://db.example.com?namespace=app`. Schema and rows are exact, it is all or nothing, and both
   * are compared at the end. A server needs network permission, and its token in the variable
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
   * Exports a database as SQL text, which this toolkit and the `sqlite3` shell load back to the same
   * database. All of it is of the moment of the call; a program may go on writing meanwhile. Cancel the
   * stream if you don't read it to its end. Needs read permission on the database.
   *
   * @throws {LocationError} where there is no such database.
   * @throws {UsageError} where it has no such table.
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
   * Exports tables or views as CSV or JSON Lines, one after the other, all of one moment. Each one's rows
   * are to be read, or cancelled, before the next is asked for.
   *
   * @throws {LocationError} where there is no such database.
   * @throws {UsageError} where it has no such table.
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
   * Imports a dump, SQL text as `export`, the `sqlite3` shell or Python's `iterdump` writes it, plain or
   * gzip: all of it, or nothing. A new database is built beside the one that is there, which it then
   * replaces after `confirm` was asked and a snapshot was taken; with `intoExisting` the dump is run
   * against that one. What reaches out of the database, such as ATTACH, is refused.
   *
   * @throws {DumpError} where the dump is bad or incomplete; it says which line and why.
   * @throws {ConfirmationError} where a database would be replaced and nobody confirmed it.
   * @throws {DatabaseLockedError} where another program writes for longer than the timeout.
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
   * Puts the rows of a CSV or JSON Lines text, plain or gzip, into a table, in one transaction, with a
   * snapshot of the database before. CSV names the columns in its first line, JSON Lines by its keys;
   * what is left out gets its default. One bad row, and nothing is imported, unless `onBadRow` takes it.
   *
   * @throws {DumpError} where the text or a row of it is bad; it says which line and why.
   * @throws {UsageError} where there is no such database or table.
   * @throws {DatabaseLockedError} where another program writes for longer than the timeout.
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

  /** What runs or checks migrations needs all of them. */
  #requireAll(): void {
    const [first] = this.#workspace.unusable;
    if (first !== undefined) throw first;
  }

  /**
   * Finishes a restore that was killed in the middle, or removes what a killed command left; every command
   * that changes something does.
   */
  async #finishRestore({ orReplace = false } = {}): Promise<void> {
    if (!isRestoring(this.#workspace)) {
      if (!hasParts(this.#workspace)) return;
      const { tidyUp } = await import("./engine/session.ts");
      return await tidyUp(this.#workspace);
    }
    const { finishRestore } = await import("./snapshot/restore.ts");
    try {
      const finished = await finishRestore(this.#workspace);
      if (finished !== null) await this.#onRestoreFinished?.(finished);
    } catch (error) {
      // Where its files are gone, another restore is what helps.
      if (!orReplace || !(error instanceof SnapshotError)) throw error;
    }
  }

  /**
   * Reads the ledger's events, the newest first; writes nothing. A ledger that is not there has none.
   *
   * @throws {FormatError} where a newer version wrote the ledger.
   *
   * @example See what was done last
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
}

/** What a {@link Migrator} works on. */
export interface MigratorOptions extends WorkspaceOptions {
  /**
   * Told when a restore or an import that was killed has been finished, before what was asked for. Its
   * `laterSnapshots` have what was written meanwhile.
   */
  readonly onRestoreFinished?: (result: RestoreResult) => void | Promise<void>;
}
