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

/** A flag, argument or setting is wrong; nothing was tried. */
export class UsageError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "USAGE";
}

/** The configuration file is not as it should be; nothing was tried. */
export class ConfigurationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_CONFIGURATION";
}

/** The schema of an existing database can't be created again by a migration; nothing was changed. */
export class AdoptionError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_ADOPTABLE";
}

/** A migration was asked for that the registry doesn't have. */
export class UnknownMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MIGRATION";
}

/** The list of migrations contradicts itself: a double id, a name without a number. */
export class RegistryError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_REGISTRY";
}

/**
 * A migration's file can't be used: it can't be read, lacks a part, or has a fault; nothing was run.
 */
export class MigrationFileError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_MIGRATION_FILE";
}

/** A database's place can't be used: no such directory, a file where a directory should be. */
export class LocationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_LOCATION";
}

/** A file or directory may not be read or written. */
export class AccessError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_PERMITTED";
}

/** The disk is full, or it fails as a full one does. */
export class DiskFullError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DISK_FULL";
}

/** Another connection holds a database past the timeout. */
export class DatabaseLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DATABASE_LOCKED";
}

/** Another migrator works on the same databases past the timeout. */
export class MigratorLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATOR_LOCKED";
}

/** A file is not an SQLite database, or is encrypted. */
export class NotADatabaseError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_A_DATABASE";
}

/** A database file is damaged or cut short. */
export class CorruptDatabaseError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DATABASE_CORRUPT";
}

/** Whether an error says that a file is damaged, or not a database at all. */
export function isDamage(error: unknown): error is CorruptDatabaseError | NotADatabaseError {
  return error instanceof CorruptDatabaseError || error instanceof NotADatabaseError;
}

/** A statement failed; the cause is the driver's own error. */
export class StatementError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "STATEMENT_FAILED";
}

/** The ledger or a database's markers are in a format that this version doesn't know. */
export class FormatError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_FORMAT";
}

/** A database holds a migration that the registry doesn't have; a newer toolkit wrote it. */
export class UnknownMarkerError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MARKER";
}

/** A migration's text is not what was applied. */
export class ChangedMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_CHANGED";
}

/** A database has tables of a migration's names, but of another shape. */
export class SchemaConflictError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SCHEMA_CONFLICT";
}

/** A migration failed and was rolled back: its own SQL, or a check before its commit. */
export class MigrationFailedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_FAILED";
}

/** A migration would lose rows or values that it doesn't declare; nothing was run. */
export class LintError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "LINT_REFUSED";
}

/** A migration would run before one that it must follow, or after one that it must precede. */
export class OutOfOrderError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "OUT_OF_ORDER";
}

/** A rollback can't be done: a later migration is in the way, or there is no downgrade. */
export class DowngradeBlockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DOWNGRADE_BLOCKED";
}

/** Rows would be lost, and nobody has confirmed it. */
export class ConfirmationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_CONFIRMED";
}

/** A snapshot is damaged, incomplete, or not one of these databases. */
export class SnapshotError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SNAPSHOT_UNUSABLE";
}

/** A file to import is damaged, incomplete, or holds what may not or can't be imported. */
export class DumpError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DUMP_UNUSABLE";
}

/** Migrations can't be made into one. */
export class SquashError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_SQUASHABLE";
}

/** A program's own hook failed; its error is the cause. */
export class HookError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "HOOK_FAILED";
}

/** The work is done, but the ledger could not be told; it must not be repeated. */
export class UnrecordedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_RECORDED";
}

/** The work was interrupted from outside, by Ctrl-C or an `AbortSignal`. */
export class InterruptedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INTERRUPTED";
}

/**
 * A database server can't be reached, or the connection to it was lost.
 *
 * @example A server that does not exist
 * ```ts
 * import { Migrator, ServerError } from "@catalyst/migrate";
 *
 * const migrator = new Migrator({
 *   databases: { app: "ws://127.0.0.1:1?namespace=app" },
 *   ledger: `${await Deno.makeTempDir()}/migrations.db`,
 *   migrations: [],
 * });
 * const error: unknown = await migrator.status().catch((error) => error);
 * console.assert(error instanceof ServerError);
 * ```
 */
export class ServerError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SERVER_UNAVAILABLE";
}

/** A query took longer than it was allowed to, and was interrupted. */
export class QueryTimeoutError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "QUERY_TIMEOUT";
}

/** A file with a query of the user's own cannot be used; `path` and `line` say where. */
export class QueryFileError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_QUERY_FILE";
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

/** The check of a directory of migrations has found something; the message lists all of it. */
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
