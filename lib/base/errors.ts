/** What an error carries besides its message. */
export interface CatalystErrorOptions extends ErrorOptions {
  /** What to do next, as one sentence or a few lines. */
  readonly help?: string;
  /** What the message leaves out, one line each, such as all affected tables. */
  readonly details?: readonly string[];
  /** Migration that the error is about, such as `001_create_positions_tables`. */
  readonly migration?: string;
  /** Database that the error is about, such as `positions`. */
  readonly database?: string;
  /** SQL statement that failed. */
  readonly statement?: string;
  /** Line on which the statement begins, in `path` or else in the migration's SQL; the first is 1. */
  readonly line?: number;
  /** Path of the migration's file. */
  readonly path?: string;
  /** Column of the error within its line, in characters; the first is 1. */
  readonly column?: number;
}

/** Lost rows of a table. */
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
  /** Ids of the migrations that this run applied or rolled back before the failure; they are not undone. */
  readonly done: readonly string[];
  /** Ids of the migrations that this run adopted. */
  readonly adopted: readonly string[];
  /** Ids of the migrations whose ledger row this run corrected. */
  readonly reconciled: readonly string[];
  /** Rows that a downgrade removed; absent for other commands. */
  readonly lost?: readonly LostRows[];
  /** Id of the migration that failed; null if none had started. */
  readonly failed: string | null;
}

/**
 * Base class of all errors that the toolkit throws on purpose. `code` is stable; the message is for people.
 *
 * @example Show an error
 * ```ts
 * import { CatalystError, createCatalystMigrator } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: `${await Deno.makeTempDir()}/no/such/place` });
 * try {
 *   await migrator.upgrade();
 * } catch (error) {
 *   if (!(error instanceof CatalystError)) throw error; // a bug
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
  /** Line on which the statement begins, in `path` or else in the migration's SQL. */
  readonly line: number | undefined;
  /** Path of the migration's file. */
  readonly path: string | undefined;
  /** Column of the error within its line, in characters. */
  readonly column: number | undefined;
  /** What was already done when the error stopped a command. */
  progress: Progress | undefined;

  /** Creates an error. */
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

/** A flag, argument or setting is invalid; nothing was attempted. */
export class UsageError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "USAGE";
}

/** The configuration file is invalid; nothing was attempted. */
export class ConfigurationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_CONFIGURATION";
}

/** A migration cannot reproduce the schema of an existing database; nothing was changed. */
export class AdoptionError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_ADOPTABLE";
}

/** The registry does not contain the requested migration. */
export class UnknownMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MIGRATION";
}

/** The list of migrations is inconsistent, such as a duplicate id or a name without a number. */
export class RegistryError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_REGISTRY";
}

/** A migration file is unreadable, incomplete or invalid; nothing was run. */
export class MigrationFileError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_MIGRATION_FILE";
}

/** A path cannot be used, such as a missing directory, or a file in place of a directory. */
export class LocationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_LOCATION";
}

/** Permission to read or write a file or directory is missing. */
export class AccessError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_PERMITTED";
}

/** The disk is full, or fails like a full one. */
export class DiskFullError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DISK_FULL";
}

/** Another connection kept a database locked for longer than the timeout. */
export class DatabaseLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DATABASE_LOCKED";
}

/** Another migrator worked on the same databases for longer than the timeout. */
export class MigratorLockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATOR_LOCKED";
}

/** A file is not an SQLite database, or is encrypted. */
export class NotADatabaseError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_A_DATABASE";
}

/** A database file is damaged or truncated. */
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

/** The ledger or a database's markers have a format that this version does not know. */
export class FormatError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_FORMAT";
}

/** A database records a migration that the registry does not contain, such as one of a newer toolkit. */
export class UnknownMarkerError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "UNKNOWN_MARKER";
}

/** A migration has changed since it was applied. */
export class ChangedMigrationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_CHANGED";
}

/** A database has tables with a migration's names but a different schema. */
export class SchemaConflictError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SCHEMA_CONFLICT";
}

/** A migration failed, in its SQL or in a check before its commit, and was rolled back. */
export class MigrationFailedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_FAILED";
}

/** A migration would lose rows or values without declaring it; nothing was run. */
export class LintError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "LINT_REFUSED";
}

/** Migrations would run in the wrong order. */
export class OutOfOrderError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "OUT_OF_ORDER";
}

/** A migration cannot be rolled back, because of a later migration or a missing downgrade. */
export class DowngradeBlockedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DOWNGRADE_BLOCKED";
}

/** Rows would be lost, and the loss was not confirmed. */
export class ConfirmationError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_CONFIRMED";
}

/** A snapshot is damaged, incomplete, or of other databases. */
export class SnapshotError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SNAPSHOT_UNUSABLE";
}

/** A file to import is damaged or incomplete, or contains something that cannot be imported. */
export class DumpError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "DUMP_UNUSABLE";
}

/** Migrations cannot be squashed. */
export class SquashError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_SQUASHABLE";
}

/** A hook of the calling program failed; its error is the cause. */
export class HookError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "HOOK_FAILED";
}

/** The work is done and must not be repeated, but could not be recorded in the ledger. */
export class UnrecordedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "NOT_RECORDED";
}

/** The work was interrupted by Ctrl-C or an `AbortSignal`. */
export class InterruptedError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INTERRUPTED";
}

/**
 * A database server cannot be reached, or the connection to it was lost.
 *
 * @example A server that does not exist
 * ```ts
 * import { Migrator, ServerError } from "@catalyst/migrate";
 *
 * const migrator = new Migrator({
 *   databases: { app: "ws://127.0.0.1:1?namespace=app" },
 *   ledger: `${await Deno.makeTempDir()}/migrations.db`,
 *   migrations: [{ id: "001", name: "001_notes", database: "app", upgrade: "CREATE TABLE notes (a)" }],
 * });
 * const error: unknown = await migrator.upgrade().catch((error) => error);
 * console.assert(error instanceof ServerError);
 * ```
 */
export class ServerError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "SERVER_UNAVAILABLE";
}

/** A query exceeded its time limit and was interrupted. */
export class QueryTimeoutError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "QUERY_TIMEOUT";
}

/** A file with a user-defined query is invalid; `path` and `line` say where. */
export class QueryFileError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "INVALID_QUERY_FILE";
}

/** A problem that `checkMigrations` found. */
export interface MigrationProblem {
  /** Name of the migration; null if the problem concerns none or several. */
  readonly migration: string | null;
  /** Kind of the problem: the code of a `lint` finding or of an error. */
  readonly code: string;
  /** File that contains the problem; null if none does. */
  readonly file: string | null;
  /** Line of the file; null if unknown. */
  readonly line: number | null;
  /** What is wrong. */
  readonly reason: string;
  /** What to do. */
  readonly fix: string;
}

/** The check of a migrations directory found problems; the message lists all of them. */
export class MigrationCheckError extends CatalystError {
  /** Stable name of the condition. */
  readonly code = "MIGRATION_CHECK_FAILED";
  /** The problems, in the order of the migrations. */
  readonly problems: readonly MigrationProblem[];

  /** Creates an error. */
  constructor(
    message: string,
    options: CatalystErrorOptions & { readonly problems: readonly MigrationProblem[] },
  ) {
    super(message, options);
    this.problems = options.problems;
  }
}

/** An error as shown to a user, written to JSON or passed to another thread. */
export interface SerializedError {
  /** Stable name of the condition; `INTERNAL` for an unexpected error. */
  readonly code: string;
  /** What went wrong. */
  readonly message: string;
  /** What the message leaves out, one line each; absent if there is nothing more. */
  readonly details?: readonly string[];
  /** What to do next, in one or more lines; `null` if unknown. */
  readonly help: string | null;
}

/** The first error, if closing a resource failed after it. */
export function originalError(error: unknown): unknown {
  return error instanceof SuppressedError ? originalError(error.suppressed) : error;
}

/** Serializes anything that was thrown. */
export function serializeError(thrown: unknown): SerializedError {
  const error = originalError(thrown);
  if (error instanceof CatalystError) {
    const { code, message, details, help = null } = error;
    return details.length === 0 ? { code, message, help } : { code, message, details, help };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: "INTERNAL", message, help: null };
}
