/** What an error knows besides its message. */
export interface CatalystErrorOptions extends ErrorOptions {
  /** What to do next, as one sentence or a few lines. */
  readonly help?: string;
  /** What the message leaves out, one line each, such as every table concerned. */
  readonly details?: readonly string[];
  /** Migration that the error is about, such as `001_create_positions_tables`. */
  readonly migration?: string;
  /** Database that the error is about, such as `positions`. */
  readonly database?: string;
  /** SQL statement that failed. */
  readonly statement?: string;
  /** Line on which the statement begins: of `path`, or else of the migration's SQL; the first is 1. */
  readonly line?: number;
  /** Path of the migration's file. */
  readonly path?: string;
  /** Column of the fault in its line, in characters; the first is 1. */
  readonly column?: number;
}

/** Rows that are gone. */
export interface LostRows {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table. */
  readonly table: string;
  /** Number of rows. */
  readonly rows: number;
}

/** What a command had done before it failed. */
export interface Progress {
  /** Ids of the migrations that this run applied, or rolled back, before the failure; they stay so. */
  readonly done: readonly string[];
  /** Ids of the migrations that this run adopted. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row this run corrected. */
  readonly reconciled: readonly string[];
  /** Rows that a downgrade had taken away; absent for other commands. */
  readonly lost?: readonly LostRows[];
  /** Id of the migration that failed; null where none had begun. */
  readonly failed: string | null;
}

/**
 * Every error that the toolkit throws on purpose; `code` is stable, the message is for people.
 *
 * @example Tell a person what is wrong
 * ```ts
 * import { CatalystError, createCatalystMigrator } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: `${await Deno.makeTempDir()}/no/such/place` });
 * try {
 *   await migrator.upgrade();
 * } catch (error) {
 *   if (!(error instanceof CatalystError)) throw error; // a fault of a program
 *   console.assert(error.code === "INVALID_LOCATION");
 *   console.error(`${error.message}\n${error.help ?? ""}`);
 * }
 * ```
 */
export abstract class CatalystError extends Error {
  /** Stable name of the condition, such as `DATABASE_LOCKED`. */
  abstract readonly code: string;
  /** What to do next. */
  readonly help: string | undefined;
  /** What the message leaves out, one line each; the command line shows the first few. */
  readonly details: readonly string[];
  /** Migration that the error is about. */
  readonly migration: string | undefined;
  /** Database that the error is about. */
  readonly database: string | undefined;
  /** SQL statement that failed. */
  readonly statement: string | undefined;
  /** Line on which the statement begins: of `path`, or else of the migration's SQL. */
  readonly line: number | undefined;
  /** Path of the migration's file. */
  readonly path: string | undefined;
  /** Column of the fault in its line, in characters. */
  readonly column: number | undefined;
  /** What was already done, where the error ended a command in the middle. */
  progress: Progress | undefined;

  /** Makes an error with the message and what goes with it. */
  constructor(message: string, options: CatalystErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.help = options.help;
    this.details = options.details ?? [];
    this.migration = options.migration;
    this.database = options.database;
    this.statement = options.statement;
    this.line = options.line;
    this.path = options.path;
    this.column = options.column;
  }
}

/**
 * A flag, argument or setting is wrong; nothing was tried.
 *
 * @example A database that there is not
 * ```ts
 * import { createCatalystMigrator, UsageError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const error: unknown = await migrator.exportDatabase("tradnig").catch((error) => error);
 * console.assert(error instanceof UsageError && error.help?.includes("trading"));
 * ```
 */
export class UsageError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "USAGE";
}

/**
 * A migration was asked for that the registry doesn't have.
 *
 * @example A migration that there is not
 * ```ts
 * import { createCatalystMigrator, UnknownMigrationError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const error: unknown = await migrator.planUpgrade({ to: "999" }).catch((error) => error);
 * console.assert(error instanceof UnknownMigrationError);
 * ```
 */
export class UnknownMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MIGRATION";
}

/**
 * The list of migrations contradicts itself: a double id, a name without a number.
 *
 * @example A name without a number
 * ```ts
 * import { defineMigration, RegistryError } from "@catalyst/migrate";
 *
 * try {
 *   defineMigration({ name: "create_notes", database: "app", upgrade: "CREATE TABLE notes (body)" });
 * } catch (error) {
 *   console.assert(error instanceof RegistryError);
 * }
 * ```
 */
export class RegistryError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_REGISTRY";
}

/**
 * A migration's file can't be used: it can't be read, lacks a part, or has a fault; nothing was run.
 *
 * @example A file without a part that it needs
 * ```ts
 * import { loadMigrations, MigrationFileError } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${directory}/001_notes.sql`, "CREATE TABLE notes (body);");
 * const error: unknown = await loadMigrations(directory).catch((error) => error);
 * console.assert(error instanceof MigrationFileError && error.path?.endsWith("001_notes.sql"));
 * ```
 */
export class MigrationFileError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_MIGRATION_FILE";
}

/**
 * A database's place can't be used: no such directory, a file where a directory should be.
 *
 * @example A directory whose parent is not there
 * ```ts
 * import { createCatalystMigrator, LocationError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: `${await Deno.makeTempDir()}/no/such/place` });
 * const error: unknown = await migrator.upgrade().catch((error) => error);
 * console.assert(error instanceof LocationError);
 * ```
 */
export class LocationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_LOCATION";
}

/**
 * A file or directory may not be read or written.
 *
 * @example A database that can't be opened
 * ```ts
 * import { AccessError, openDatabase } from "@catalyst/migrate";
 *
 * try {
 *   openDatabase(`${await Deno.makeTempDir()}/no/such/place/app.db`);
 * } catch (error) {
 *   console.assert(error instanceof AccessError);
 * }
 * ```
 */
export class AccessError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_PERMITTED";
}

/**
 * The disk is full, or it fails as a full one does.
 *
 * @example Make room, then try again
 * ```ts no-eval
 * import { createCatalystMigrator, DiskFullError } from "@catalyst/migrate";
 *
 * // Not run: it needs a full disk.
 * const migrator = createCatalystMigrator();
 * const error: unknown = await migrator.createSnapshot().catch((error) => error);
 * if (error instanceof DiskFullError) await migrator.pruneSnapshots({ keep: 3 });
 * ```
 */
export class DiskFullError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DISK_FULL";
}

/**
 * Another connection holds a database past the timeout.
 *
 * @example Somebody else is writing
 * ```ts
 * import { createCatalystMigrator, DatabaseLockedError, openDatabase } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * using db = openDatabase(`${dataDir}/trading.db`);
 * db.exec("BEGIN IMMEDIATE");
 * const migrator = createCatalystMigrator({ dataDir, timeout: 0 });
 * const error: unknown = await migrator.upgrade().catch((error) => error);
 * console.assert(error instanceof DatabaseLockedError);
 * ```
 */
export class DatabaseLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DATABASE_LOCKED";
}

/**
 * Another migrator works on the same databases past the timeout.
 *
 * @example Two at the same time
 * ```ts
 * import { createCatalystMigrator, MigratorLockedError } from "@catalyst/migrate";
 *
 * const options = { dataDir: await Deno.makeTempDir(), timeout: 0 };
 * let error: unknown = null;
 * await createCatalystMigrator(options).upgrade({
 *   hooks: {
 *     beforeAll: async () => {
 *       error = await createCatalystMigrator(options).upgrade().catch((error) => error);
 *     },
 *   },
 * });
 * console.assert(error instanceof MigratorLockedError);
 * ```
 */
export class MigratorLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATOR_LOCKED";
}

/**
 * A file is not an SQLite database, or is encrypted.
 *
 * @example A text file in the place of a database
 * ```ts
 * import { createCatalystMigrator, NotADatabaseError } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * await Deno.writeTextFile(`${dataDir}/trading.db`, "hello\n".repeat(100));
 * const migrator = createCatalystMigrator({ dataDir });
 * const error: unknown = await migrator.status().catch((error) => error);
 * console.assert(error instanceof NotADatabaseError);
 * ```
 */
export class NotADatabaseError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_A_DATABASE";
}

/**
 * A database file is damaged or cut short.
 *
 * @example A file that was cut short
 * ```ts
 * import { CorruptDatabaseError, createCatalystMigrator } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * const migrator = createCatalystMigrator({ dataDir });
 * await migrator.upgrade();
 * await Deno.truncate(`${dataDir}/trading.db`, 8192);
 * const error: unknown = await migrator.createSnapshot().catch((error) => error);
 * console.assert(error instanceof CorruptDatabaseError);
 * ```
 */
export class CorruptDatabaseError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DATABASE_CORRUPT";
}

/**
 * A statement failed; the cause is the driver's own error.
 *
 * @example SQL with a fault
 * ```ts
 * import { parseSchema, StatementError } from "@catalyst/migrate/schema";
 *
 * const error: unknown = await parseSchema("SELECT 1;\nCREATE TABEL notes").catch((error) => error);
 * console.assert(error instanceof StatementError && error.line === 2);
 * ```
 */
export class StatementError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "STATEMENT_FAILED";
}

/**
 * The ledger or a database's markers are in a format that this version doesn't know.
 *
 * @example A ledger of a later version
 * ```ts
 * import { createCatalystMigrator, FormatError, openDatabase } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * const migrator = createCatalystMigrator({ dataDir });
 * await migrator.upgrade();
 * openDatabase(`${dataDir}/migrations.db`).exec("PRAGMA user_version = 99");
 * const error: unknown = await migrator.history().catch((error) => error);
 * console.assert(error instanceof FormatError);
 * ```
 */
export class FormatError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_FORMAT";
}

/**
 * A database holds a migration that the registry doesn't have; a newer toolkit wrote it.
 *
 * @example An older program finds a newer database
 * ```ts
 * import { defineMigration, type Migration, Migrator, UnknownMarkerError } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migratorWith = (...migrations: Migration[]) =>
 *   new Migrator({
 *     databases: { app: `${directory}/app.db` },
 *     ledger: `${directory}/migrations.db`,
 *     migrations,
 *   });
 * const notes = defineMigration({
 *   name: "001_notes",
 *   database: "app",
 *   upgrade: "CREATE TABLE notes (body)",
 * });
 * await migratorWith(notes).upgrade();
 * const error: unknown = await migratorWith().upgrade().catch((error) => error);
 * console.assert(error instanceof UnknownMarkerError);
 * ```
 */
export class UnknownMarkerError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MARKER";
}

/**
 * A migration's text is not what was applied.
 *
 * @example A migration that was edited afterwards
 * ```ts
 * import { ChangedMigrationError, defineMigration, type Migration, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migratorWith = (...migrations: Migration[]) =>
 *   new Migrator({
 *     databases: { app: `${directory}/app.db` },
 *     ledger: `${directory}/migrations.db`,
 *     migrations,
 *   });
 * const notes = (upgrade: string) => defineMigration({ name: "001_notes", database: "app", upgrade });
 * await migratorWith(notes("CREATE TABLE notes (body)")).upgrade();
 *
 * const changed = migratorWith(notes("CREATE TABLE notes (body TEXT)"));
 * const error: unknown = await changed.upgrade().catch((error) => error);
 * console.assert(error instanceof ChangedMigrationError && error.migration === "001_notes");
 * ```
 */
export class ChangedMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_CHANGED";
}

/**
 * A database has tables of a migration's names, but of another shape.
 *
 * @example A table of the same name and another shape
 * ```ts
 * import { createCatalystMigrator, openDatabase, SchemaConflictError } from "@catalyst/migrate";
 *
 * const dataDir = await Deno.makeTempDir();
 * openDatabase(`${dataDir}/positions.db`).exec("CREATE TABLE positions (mine TEXT)");
 * const error: unknown = await createCatalystMigrator({ dataDir }).upgrade().catch((error) => error);
 * console.assert(error instanceof SchemaConflictError && error.database === "positions");
 * ```
 */
export class SchemaConflictError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SCHEMA_CONFLICT";
}

/**
 * A migration failed and was rolled back: its own SQL, or a check before its commit.
 *
 * @example SQL that fails
 * ```ts
 * import { defineMigration, type Migration, MigrationFailedError, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migratorWith = (...migrations: Migration[]) =>
 *   new Migrator({
 *     databases: { app: `${directory}/app.db` },
 *     ledger: `${directory}/migrations.db`,
 *     migrations,
 *   });
 * const migrator = migratorWith(
 *   defineMigration({ name: "001_a", database: "app", upgrade: "CREATE TABLE a (x)" }),
 *   defineMigration({ name: "002_b", database: "app", upgrade: "INSERT INTO b VALUES (1)" }),
 * );
 * const error: unknown = await migrator.upgrade().catch((error) => error);
 * console.assert(error instanceof MigrationFailedError && error.progress?.done.join() === "001");
 * ```
 */
export class MigrationFailedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_FAILED";
}

/**
 * A migration would lose rows or values that it doesn't declare; nothing was run.
 *
 * @example Data loss that is not declared
 * ```ts
 * import { defineMigration, LintError, Migrator, openDatabase } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * openDatabase(`${directory}/app.db`).exec("CREATE TABLE old (x); INSERT INTO old VALUES (1)");
 * const dropped = { name: "001_drop_old", database: "app", upgrade: "DROP TABLE old" };
 * const migrator = new Migrator({
 *   databases: { app: `${directory}/app.db` },
 *   ledger: `${directory}/migrations.db`,
 *   migrations: [defineMigration(dropped)], // with `destroys: ["old"]` it runs
 * });
 * const error: unknown = await migrator.upgrade().catch((error) => error);
 * console.assert(error instanceof LintError && error.migration === "001_drop_old");
 * ```
 */
export class LintError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "LINT_REFUSED";
}

/**
 * A migration would run before one that it must follow, or after one that it must precede.
 *
 * @example The second without the first
 * ```ts
 * import { defineMigration, type Migration, Migrator, OutOfOrderError } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migratorWith = (...migrations: Migration[]) =>
 *   new Migrator({
 *     databases: { app: `${directory}/app.db` },
 *     ledger: `${directory}/migrations.db`,
 *     migrations,
 *   });
 * const migrator = migratorWith(
 *   defineMigration({ name: "001_a", database: "app", upgrade: "CREATE TABLE a (x)" }),
 *   defineMigration({ name: "002_b", database: "app", upgrade: "CREATE TABLE b (x)" }),
 * );
 * const error: unknown = await migrator.upgrade({ migration: "002" }).catch((error) => error);
 * console.assert(error instanceof OutOfOrderError);
 * ```
 */
export class OutOfOrderError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "OUT_OF_ORDER";
}

/**
 * A rollback can't be done: a later migration is in the way, or there is no downgrade.
 *
 * @example A migration without a way back
 * ```ts
 * import { defineMigration, DowngradeBlockedError, type Migration, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migratorWith = (...migrations: Migration[]) =>
 *   new Migrator({
 *     databases: { app: `${directory}/app.db` },
 *     ledger: `${directory}/migrations.db`,
 *     migrations,
 *   });
 * const migrator = migratorWith(
 *   defineMigration({ name: "001_a", database: "app", upgrade: "CREATE TABLE a (x)" }),
 * );
 * await migrator.upgrade();
 * const error: unknown = await migrator.downgrade().catch((error) => error);
 * console.assert(error instanceof DowngradeBlockedError);
 * ```
 */
export class DowngradeBlockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DOWNGRADE_BLOCKED";
}

/**
 * Rows would be lost, and nobody has confirmed it.
 *
 * @example Rows are at stake
 * ```ts
 * import {
 *   ConfirmationError,
 *   defineMigration,
 *   Migrator,
 *   openDatabase,
 * } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migrator = new Migrator({
 *   databases: { app: `${directory}/app.db` },
 *   ledger: `${directory}/migrations.db`,
 *   migrations: [defineMigration({
 *     name: "001_a",
 *     database: "app",
 *     upgrade: "CREATE TABLE a (x)",
 *     downgrade: "DROP TABLE a",
 *   })],
 * });
 * await migrator.upgrade();
 * openDatabase(`${directory}/app.db`).exec("INSERT INTO a VALUES (1)");
 * const error: unknown = await migrator.downgrade().catch((error) => error);
 * console.assert(error instanceof ConfirmationError); // with `confirm: () => true` it is done
 * ```
 */
export class ConfirmationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_CONFIRMED";
}

/**
 * A snapshot is damaged, incomplete, or not one of these databases.
 *
 * @example A snapshot that there is not
 * ```ts
 * import { createCatalystMigrator, SnapshotError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const error: unknown = await migrator.verifySnapshot("20250120_123000").catch((error) => error);
 * console.assert(error instanceof SnapshotError);
 * ```
 */
export class SnapshotError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SNAPSHOT_UNUSABLE";
}

/**
 * A file to import is damaged, incomplete, or holds what may not or can't be imported.
 *
 * @example SQL that can't be loaded
 * ```ts
 * import { DumpError, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * const migrator = new Migrator({
 *   databases: { app: `${directory}/app.db` },
 *   ledger: `${directory}/migrations.db`,
 *   migrations: [],
 * });
 * const dump = new Blob(["CREATE TABLE a (x);\nINSERT INTO b VALUES (1);\n"]).stream();
 * const error: unknown = await migrator.importDump(dump, { database: "app" }).catch((error) => error);
 * console.assert(error instanceof DumpError && error.message.includes("line 2"));
 * ```
 */
export class DumpError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DUMP_UNUSABLE";
}

/**
 * Migrations can't be made into one.
 *
 * @example Migrations that were read from no file
 * ```ts
 * import { createCatalystMigrator, SquashError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const error: unknown = await migrator.squash("003").catch((error) => error);
 * console.assert(error instanceof SquashError);
 * ```
 */
export class SquashError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_SQUASHABLE";
}

/**
 * A program's own hook failed; its error is the cause.
 *
 * @example A hook that throws
 * ```ts
 * import { createCatalystMigrator, HookError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const beforeAll = () => {
 *   throw new Error("the bot is trading");
 * };
 * const error: unknown = await migrator.upgrade({ hooks: { beforeAll } }).catch((error) => error);
 * console.assert(error instanceof HookError && error.cause instanceof Error);
 * ```
 */
export class HookError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "HOOK_FAILED";
}

/**
 * The work was interrupted from outside, by Ctrl-C or an `AbortSignal`.
 *
 * @example Stop by a signal
 * ```ts
 * import { createCatalystMigrator, InterruptedError } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 *
 * const signal = AbortSignal.abort();
 * const error: unknown = await migrator.upgrade({ signal }).catch((error) => error);
 * console.assert(error instanceof InterruptedError);
 * ```
 */
export class InterruptedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INTERRUPTED";
}

/** Something that `checkMigrations` has found. */
export interface MigrationProblem {
  /** Name of the migration; null where it is about none or several. */
  readonly migration: string | null;
  /** What sort it is: the code of a finding of `lint`, or of an error. */
  readonly code: string;
  /** File that it is in; null where it is in none. */
  readonly file: string | null;
  /** Line of the file; null where it can't be told. */
  readonly line: number | null;
  /** What is the case. */
  readonly reason: string;
  /** What to do. */
  readonly fix: string;
}

/**
 * The check of a directory of migrations has found something; the message lists all of it.
 *
 * @example Print what was found
 * ```ts
 * import { checkMigrations, MigrationCheckError } from "@catalyst/migrate";
 *
 * const migrationsDir = await Deno.makeTempDir();
 * await Deno.writeTextFile(
 *   `${migrationsDir}/004_drop_fills.sql`,
 *   "-- database: trading\n-- migrate:up\nDROP TABLE fills;\n",
 * );
 * const error: unknown = await checkMigrations({ migrationsDir }).catch((error) => error);
 * console.assert(error instanceof MigrationCheckError && error.problems[0]?.line === 3);
 * ```
 */
export class MigrationCheckError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_CHECK_FAILED";
  /** What was found, in the order of the migrations. */
  readonly problems: readonly MigrationProblem[];

  /** Makes an error with the message and what was found. */
  constructor(
    message: string,
    options: CatalystErrorOptions & { readonly problems: readonly MigrationProblem[] },
  ) {
    super(message, options);
    this.problems = options.problems;
  }
}

/** What of an error a user, a JSON document or another thread gets. */
export interface Failure {
  /** Stable name of the condition; `INTERNAL` where the toolkit didn't foresee it. */
  readonly code: string;
  /** What is the case. */
  readonly message: string;
  /** What the message leaves out, one line each; absent where it says everything. */
  readonly details?: readonly string[];
  /** What to do next, in one line or more; `null` where nothing is known. */
  readonly help: string | null;
}

/** Reads what was thrown, whatever it is. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CatalystError) {
    const { code, message, details, help = null } = error;
    return details.length === 0 ? { code, message, help } : { code, message, details, help };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: "INTERNAL", message, help: null };
}
