import { UsageError } from "../base/errors.ts";
import { alternatives } from "../base/format.ts";

/** Result of a statement that returns no rows. */
export interface StatementResult {
  /** Number of rows inserted, updated or deleted. */
  readonly changes: number;
}

/** Options for running a script. */
export interface ScriptOptions {
  /** Called with each statement's text before it runs; may throw to stop. */
  readonly onStatement?: (sql: string) => void;
  /** Called instead of running each prepared statement; either runs it or skips it. */
  readonly around?: (statement: ScriptStatement) => Promise<void>;
  /** For a database on a server: called after each statement; otherwise statements are sent together. */
  readonly between?: (() => Promise<void>) | undefined;
}

/** A statement of a script. */
export interface ScriptStatement {
  /** Its text. */
  readonly sql: string;
  /** Line of the script on which it begins; the first is 1. */
  readonly line: number;
  /** Runs it. */
  readonly run: () => void;
}

/** Options for copying a database. */
export interface CopyOptions {
  /** Called regularly with the progress; may throw to stop. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Pages copied between two calls of `onProgress`. Default 10,000. */
  readonly pagesPerStep?: number;
  /** Whether the caller already holds the lock. Default `false`. */
  readonly isLocked?: boolean;
  /** For a database on a server: whether to copy the rows of a table. Default: all tables. */
  readonly hasRows?: (table: string) => boolean;
}

/** Progress of a copy. */
export interface CopyProgress {
  /** Pages copied. */
  readonly done: number;
  /** Total number of pages. */
  readonly total: number;
}

/**
 * Answer to SQLite's authorizer: 0 allows the action, 1 makes the statement fail, 2 ignores the action,
 * so that a pragma or the start or end of a transaction does nothing.
 */
export type Verdict = 0 | 1 | 2;

/** Decides whether a statement may do something; takes the arguments of SQLite's authorizer. */
export type Judge = (
  action: number,
  first: string | null,
  second: string | null,
  database: string | null,
  cause: string | null,
) => Verdict;

/** Options of {@link Connection.confine}. */
export interface ConfineOptions {
  /** Whether to use defensive mode. Default: `true` if a judge is given. */
  readonly defensive?: boolean;
}

/** Options of {@link Connection.select}. */
export interface SelectOptions {
  /** Values of the statement's parameters, by name without `:`, `@` or `$`. */
  readonly parameters: Readonly<Record<string, SqlValue>>;
  /** Maximum number of rows. */
  readonly limit: number;
}

/** Rows as arrays, since two columns may have the same name. */
export interface SelectedRows {
  /** Names of the columns, possibly with duplicates. */
  readonly columns: readonly string[];
  /** Values in column order. */
  readonly rows: readonly (readonly SqlValue[])[];
  /** Whether there were more rows than the limit. */
  readonly isCut: boolean;
}

/**
 * An open database, independent of the driver. All methods are asynchronous because the database may
 * be remote. Only one caller may use a connection at a time.
 */
export interface Connection extends AsyncDisposable {
  /** Name of the database in messages: a path, an address or `:memory:`. */
  readonly label: string;
  /** Whether the database is on a server. Default: `false`. */
  readonly isRemote?: boolean;
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs any number of statements and discards their rows. */
  exec(sql: string): Promise<void>;
  /** Runs the statements of a script one by one; an error names the statement and its line. */
  script(sql: string, options?: ScriptOptions): Promise<void>;
  /** Runs one statement. */
  run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult>;
  /** Returns all rows of one statement. */
  all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
  /** Reads the rows of one statement one by one, without keeping them in memory. */
  iterate(sql: string, parameters?: readonly SqlValue[]): AsyncIterable<Row>;
  /** Returns the first row of one statement. */
  get(sql: string, parameters?: readonly SqlValue[]): Promise<Row | undefined>;
  /** Returns the rows and column names of one statement, with parameters bound by name. */
  select(sql: string, options: SelectOptions): Promise<SelectedRows>;
  /**
   * Makes SQLite refuse to end the transaction and to attach or detach a file, until the returned
   * object is disposed of. Does nothing if the driver has no authorizer.
   *
   * A `judge` decides instead, in defensive mode: `sqlite_schema` and the shadow tables of virtual
   * tables cannot be written. In this case a driver without an authorizer throws.
   */
  confine(judge?: Judge, options?: ConfineOptions): Disposable;
  /**
   * Copies the database into a new file or over another database with SQLite's backup API, page by
   * page. Copies what an open read transaction of this connection sees. Blocks the thread.
   */
  copyTo(path: string, options?: CopyOptions): Promise<void>;
  /** Closes the database, unless the caller opened it. Closing twice does nothing. */
  close(): Promise<void>;
}

/** A value as SQLite stores it. Integers beyond 2^53 are `bigint`, all others `number`. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** One result row: values by column name. */
export type Row = Readonly<Record<string, SqlValue>>;

/** The value as a `number` if it is an integer that fits. */
export function narrowed(value: SqlValue): SqlValue {
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** Reads a text column; throws a `TypeError` for any other value. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw unexpected(column, "text", value);
  return value;
}

/** Reads a column that holds text or NULL; throws a `TypeError` for any other value. */
export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Reads a numeric column; throws a `TypeError` for any other value. */
export function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw unexpected(column, "a number", value);
  return value;
}

/** Reads a column that holds a number or NULL; throws a `TypeError` for any other value. */
export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : number(row, column);
}

/** The value of a pragma; null if it has none. */
export async function readPragma(
  connection: Pick<Connection, "get">,
  name: string,
): Promise<SqlValue> {
  return Object.values(await connection.get(`PRAGMA ${name}`) ?? {})[0] ?? null;
}

function unexpected(column: string, wanted: string, value: SqlValue | undefined): TypeError {
  return new TypeError(`Cannot read column "${column}": expected ${wanted}, found ${typeof value}`);
}

/** Settings of a connection to a bot's database; each is an SQLite pragma. */
export interface ConnectionSettings {
  /** `journal_mode`; `WAL` lets readers and one writer work at the same time. */
  readonly journalMode: "WAL" | "DELETE" | "TRUNCATE" | "PERSIST";
  /** `synchronous`; how often SQLite syncs to disk. */
  readonly synchronous: "NORMAL" | "FULL" | "EXTRA" | "OFF";
  /** `cache_size` in pages, or in KiB if negative. */
  readonly cacheSize: number;
  /** `mmap_size` in bytes; Deno's build of SQLite caps it at about 2 GB. */
  readonly mmapSize: number;
  /** `wal_autocheckpoint` in pages. */
  readonly walAutocheckpoint: number;
  /** `busy_timeout` in seconds: how long a statement waits for another connection's lock. */
  readonly busyTimeout: number;
}

/** The default settings: WAL, NORMAL, 10000 pages, a busy timeout of 30 s. */
export const defaultSettings: ConnectionSettings = {
  journalMode: "WAL",
  synchronous: "NORMAL",
  cacheSize: 10_000,
  mmapSize: 30_000_000_000,
  walAutocheckpoint: 500,
  busyTimeout: 30,
};

/** Environment variables that override the settings. */
export const settingVariables = [
  "SQLITE_WAL_MODE",
  "SQLITE_SYNCHRONOUS",
  "SQLITE_CACHE_SIZE",
  "SQLITE_MMAP_SIZE",
] as const;

/** Name of an environment variable that overrides a setting. */
export type SettingVariable = (typeof settingVariables)[number];

/** SQLite treats a larger value as 0. */
const LARGEST_CACHE = 2 ** 31 - 1;

const JOURNAL_MODES = ["WAL", "DELETE", "TRUNCATE", "PERSIST"] as const;
const SYNCHRONOUS = ["NORMAL", "FULL", "EXTRA", "OFF"] as const;

/**
 * Returns the default settings, overridden by environment variables. `variable` returns a variable's
 * value; an unset or empty one changes nothing. `Deno.env.get` needs permission to read the variables.
 *
 * @throws {UsageError} if a variable's value is invalid.
 *
 * @example Open a database with the settings of the environment
 * ```ts
 * import { openDatabase, settingsFrom, settingsInForce } from "@catalyst/migrate/database";
 *
 * const settings = settingsFrom((name) => name === "SQLITE_CACHE_SIZE" ? "500" : undefined);
 * using db = openDatabase(`${await Deno.makeTempDir()}/trading.db`, { settings });
 * console.assert(settingsInForce(db).cacheSize === 500); // or settingsFrom((name) => Deno.env.get(name))
 * ```
 */
export function settingsFrom(
  variable: (name: SettingVariable) => string | undefined,
): ConnectionSettings {
  const journal = variable("SQLITE_WAL_MODE");
  const synchronous = variable("SQLITE_SYNCHRONOUS");
  return {
    ...defaultSettings,
    ...(journal ? { journalMode: journalMode(journal) } : {}),
    ...(synchronous ? { synchronous: choice("SQLITE_SYNCHRONOUS", synchronous, SYNCHRONOUS) } : {}),
    ...integer("SQLITE_CACHE_SIZE", "cacheSize", variable),
    ...integer("SQLITE_MMAP_SIZE", "mmapSize", variable),
  };
}

/** Without these, macOS reports bytes as written before they are on disk, and may reorder writes. */
const FULL_SYNC = Deno.build.os === "darwin"
  ? "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;"
  : "";

/** The pragmas of a connection, without `journal_mode`, which belongs to the file. */
export function connectionPragmas(settings: ConnectionSettings): string {
  return `PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)};
    PRAGMA foreign_keys = ON;
    PRAGMA synchronous = ${settings.synchronous};
    PRAGMA cache_size = ${settings.cacheSize};
    PRAGMA mmap_size = ${settings.mmapSize};
    PRAGMA temp_store = MEMORY;
    PRAGMA wal_autocheckpoint = ${settings.walAutocheckpoint};
    ${FULL_SYNC}`;
}

/** `SQLITE_WAL_MODE` names a journal mode; on means WAL and off means DELETE. */
function journalMode(value: string): ConnectionSettings["journalMode"] {
  const upper = value.toUpperCase();
  if (["ON", "TRUE", "1", "YES"].includes(upper)) return "WAL";
  if (["OFF", "FALSE", "0", "NO"].includes(upper)) return "DELETE";
  return choice("SQLITE_WAL_MODE", value, JOURNAL_MODES);
}

function choice<T extends string>(name: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === value.toUpperCase());
  if (found === undefined) {
    throw new UsageError(
      `Cannot use ${name}=${JSON.stringify(value)}: expected ${alternatives(allowed)}`,
      {
        help: `set ${name} to one of them, or unset it for ${allowed[0]}`,
      },
    );
  }
  return found;
}

function integer(
  name: "SQLITE_CACHE_SIZE" | "SQLITE_MMAP_SIZE",
  key: "cacheSize" | "mmapSize",
  variable: (name: SettingVariable) => string | undefined,
): Partial<ConnectionSettings> {
  const value = variable(name);
  if (!value) return {};
  const help = `set ${name} to a number, or unset it for ${defaultSettings[key]}`;
  if (!/^-?\d{1,15}$/.test(value)) {
    throw new UsageError(`Cannot use ${name}=${JSON.stringify(value)}: it is not a whole number`, {
      help,
    });
  }
  if (key === "cacheSize" && Math.abs(Number(value)) > LARGEST_CACHE) {
    const limit = Number(value) < 0 ? `less than -${LARGEST_CACHE}` : `more than ${LARGEST_CACHE}`;
    throw new UsageError(`Cannot use ${name}=${value}: it is ${limit}`, { help });
  }
  return { [key]: Number(value) };
}
