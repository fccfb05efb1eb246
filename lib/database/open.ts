/**
 * Opens databases, wherever they are: {@link openForReading}, {@link openForWriting},
 * {@link openMemory} for a new one, and {@link readDatabase} for a quick look.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { fileItself, fileVersion, mayBeThere, seeFile, sizeBeside } from "../base/paths.ts";
import {
  type Connection,
  connectionPragmas,
  type ConnectionSettings,
  defaultSettings,
  readPragma,
} from "./connection.ts";
import {
  type DatabaseLocation,
  type FileLocation,
  refuseLogWithoutDatabase,
  refuseSpecialDatabase,
} from "./location.ts";
import { explain, LENIENT, NodeSqliteConnection, uriOf } from "./node_sqlite.ts";

/** Opens a new, empty database in memory, which exists until the connection is closed. */
export function openMemory(
  { label = ":memory:" }: { readonly label?: string } = {},
): NodeSqliteConnection {
  return new NodeSqliteConnection(new DatabaseSync(":memory:", LENIENT), { label, owned: true });
}

/** Version of SQLite used for local databases, such as `3.53.2`. */
export function sqliteVersion(): string {
  using db = new DatabaseSync(":memory:");
  return String(db.prepare("SELECT sqlite_version() AS version").get()?.version);
}

/** Options of {@link openForWriting}. */
interface WritingOptions extends Partial<ConnectionSettings> {
  /** Stops the wait for a lock. */
  readonly signal?: AbortSignal | undefined;
  /** Whether an empty file stays empty, as for a mere lock. Default `false`. */
  readonly asItIs?: boolean;
}

/**
 * Opens a database for writing, and creates the file if it does not exist. Waits for another
 * connection's lock for as long as the busy timeout.
 */
export async function openForWriting(
  location: FileLocation,
  options?: WritingOptions,
): Promise<NodeSqliteConnection>;
export async function openForWriting(
  location: DatabaseLocation,
  options?: WritingOptions,
): Promise<Connection>;
export async function openForWriting(
  location: DatabaseLocation,
  { signal, asItIs = false, ...given }: WritingOptions = {},
): Promise<Connection> {
  const settings = { ...defaultSettings, ...given };
  if (location.kind !== "file") return await openOther(location, settings);
  const connection = await openFile(location.path, { verb: "open", mode: "ordinary" });
  try {
    const setUp = async () => {
      await connection.exec(connectionPragmas({ ...settings, busyTimeout: 0 }));
      if (!asItIs && await readPragma(connection, "page_count") === 0) {
        await setUpNewFile(connection, settings);
      }
      if (settings.synchronous !== "OFF") await syncJournals(connection);
    };
    const { whileBusy } = await import("./transaction.ts"); // not needed for reading
    await whileBusy(connection, setUp, { timeout: settings.busyTimeout, signal });
    await connection.exec(`PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * Sets the journal mode of a new file only: a bot may have an existing one open and rely on its mode.
 * The first page of a new file, which has nothing to lose, is written without syncing. It needs its
 * journal: after a failed write, the next start could not use the file without it.
 */
async function setUpNewFile(connection: Connection, settings: ConnectionSettings): Promise<void> {
  const { journalMode, synchronous } = settings;
  if (journalMode !== "WAL") return await connection.exec(`PRAGMA journal_mode = ${journalMode}`);
  // A commit without changes creates the log.
  await connection.exec(
    `PRAGMA synchronous = OFF;
    PRAGMA journal_mode = WAL;
    BEGIN IMMEDIATE;
    PRAGMA user_version = 0;
    COMMIT;
    PRAGMA synchronous = ${synchronous};`,
  );
}

/**
 * With a rollback journal, deleting the journal commits the transaction, and only EXTRA syncs the
 * deletion. Otherwise the journal may reappear after a power cut and roll the commit back.
 */
async function syncJournals(connection: Connection): Promise<void> {
  if (await readPragma(connection, "journal_mode") === "wal") return;
  await connection.exec("PRAGMA synchronous = EXTRA");
}

/** Options of {@link openForReading}. */
interface ReadingOptions extends Partial<Pick<ConnectionSettings, "busyTimeout">> {
  /** Whether no program has the file open, as with a copy, whose journal is then kept. Default `false`. */
  readonly isUnused?: boolean;
}

/**
 * Opens an existing database for reading and leaves no files behind. Only if a crash left a log or a
 * journal does SQLite need its other files; it then rolls the journal back.
 */
export async function openForReading(
  location: DatabaseLocation,
  options: ReadingOptions = {},
): Promise<Connection> {
  if (location.kind !== "file") return await openOther(location, options);
  return await openItself(location.path, { ...options, itself: fileItself(location.path) });
}

async function openItself(
  path: string,
  { itself, isUnused = false, ...settings }: ReadingOptions & { readonly itself: string },
): Promise<Connection> {
  let failure: unknown;
  for (const mode of readingModes(itself, isUnused)) {
    try {
      return await openReadOnly(path, mode, settings);
    } catch (error) {
      failure ??= error;
      if (mode !== "immutable" && !isAccessProblem(error)) throw error;
    }
  }
  const connection = await openCopy(path, settings);
  if (connection === null) throw failure;
  return connection;
}

/** As a last resort, opens a copy elsewhere if only its directory prevents a WAL database from being read. */
async function openCopy(path: string, settings: ReadingOptions): Promise<Connection | null> {
  if (!isWalFile(path)) return null;
  const { openPrivateCopy } = await import("./temporary_copy.ts");
  const copy = await openPrivateCopy(path);
  return copy && await prepareToRead(copy, settings);
}

/** Work of {@link readDatabase}; `journalMode` returns the journal mode in lower case. */
type ReadingWork<T> = (
  connection: Connection,
  journalMode: () => Promise<string>,
) => Promise<T>;

/**
 * Opens an existing database, runs `work` on it and closes it.
 *
 * The fastest way is to open the file as immutable, without locks or files beside it. It is used if
 * there is no log and nothing in this process has the file open, because closing the file would drop
 * its locks. If the file changes in the meantime, it is read again.
 */
export async function readDatabase<T>(
  location: DatabaseLocation,
  { settings, alone }: {
    readonly settings: ConnectionSettings;
    /** Whether no other code of this process has the database open; allows a faster way. */
    readonly alone: boolean;
  },
  work: ReadingWork<T>,
): Promise<T> {
  const { path } = location;
  const seen = location.kind === "file" ? seeFile(path) : null;
  if (alone && seen?.isFile && !mayHaveLog(seen.itself)) {
    const outcome = await readImmutable(path, work).catch(() => null);
    if (outcome !== null && seen.version === fileVersion(path)) return outcome.result;
  }
  await using connection = seen === null
    ? await openForReading(location, settings)
    : await openItself(path, { ...settings, itself: seen.itself });
  return await work(connection, async () => String(await readPragma(connection, "journal_mode")));
}

async function readImmutable<T>(path: string, work: ReadingWork<T>): Promise<{ result: T }> {
  await using connection = connect(path, "immutable");
  // An immutable connection always reports "delete", so the mode is read from the file.
  const journalMode = () => Promise.resolve(isWalFile(path) ? "wal" : "delete");
  return { result: await work(connection, journalMode) };
}

function mayHaveLog(itself: string): boolean {
  return sizeBeside(itself, "-wal") !== 0 || sizeBeside(itself, "-journal") !== 0;
}

async function openReadOnly(
  path: string,
  mode: OpenMode,
  options: ReadingOptions,
): Promise<Connection> {
  return await prepareToRead(await openFile(path, { verb: "read", mode }), options);
}

async function prepareToRead(
  connection: Connection,
  { busyTimeout = defaultSettings.busyTimeout }: ReadingOptions,
): Promise<Connection> {
  try {
    await connection.exec(
      `PRAGMA query_only = ON; PRAGMA busy_timeout = ${Math.round(busyTimeout * 1000)}`,
    );
    // Only the first read shows whether the file can be read at all.
    await connection.get("SELECT count(*) FROM sqlite_schema");
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * A read-only connection to a WAL database creates `-wal` and `-shm` and cannot remove them; an
 * ordinary one removes them when it closes. So a database with a log is opened read-only, because an
 * ordinary close would checkpoint the log. Otherwise it is opened as ordinary or, in a read-only
 * directory, as immutable, which needs no lock and no other file. Restricted permissions forbid
 * immutable: what remains is read-only without write permission, and a copy with it.
 */
function* readingModes(itself: string, isUnused: boolean): Generator<OpenMode> {
  if (isUnused) {
    return yield* mayHaveLog(itself) ? ["read-only"] as const : ["immutable", "read-only"] as const;
  }
  if (sizeBeside(itself, "-wal")) return yield "read-only";
  // A journal may have to be rolled back. An immutable connection would read half a transaction.
  if (sizeBeside(itself, "-journal") !== 0) return yield* ["ordinary", "read-only"] as const;
  // If the file is gone, an ordinary connection would create an empty database.
  if (!mayBeThere(itself)) return yield "read-only";
  yield "ordinary";
  // A WAL database without a log is not open anywhere.
  if (isWalFile(itself)) yield* ["immutable", "read-only"] as const;
  else yield* ["read-only", "immutable"] as const;
}

/** Bytes 18 and 19 of an SQLite file are 2 in WAL mode, otherwise 1. */
function isWalFile(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const header = new Uint8Array(20);
    return file.readSync(header) === 20 && header[18] === 2;
  } catch {
    return false; // unreadable; SQLite will report it
  }
}

/** Whether an error may mean that no file can be created beside the database. */
function isAccessProblem(error: unknown): boolean {
  return error instanceof AccessError || error instanceof DiskFullError;
}

/** How a file is opened: for reading and writing, read-only, or as immutable. */
type OpenMode = "ordinary" | "read-only" | "immutable";

/** Options of {@link openFile}. */
interface OpenFileOptions {
  /** Purpose, as a verb for error messages, such as `read`. */
  readonly verb: string;
  readonly mode: OpenMode;
}

/** Opens a database file; SQLite reads it only at the first statement. */
async function openFile(
  path: string,
  { verb, mode }: OpenFileOptions,
): Promise<NodeSqliteConnection> {
  refuseSpecialDatabase(path);
  refuseLogWithoutDatabase(path);
  try {
    return connect(path, mode);
  } catch (error) {
    return await explain(error, { verb, label: path });
  }
}

function connect(path: string, mode: OpenMode): NodeSqliteConnection {
  const db = mode === "ordinary"
    ? new DatabaseSync(path, LENIENT)
    : new DatabaseSync(mode === "immutable" ? uriOf(path, "immutable=1") : path, {
      ...LENIENT,
      readOnly: true,
    });
  return new NodeSqliteConnection(db, { label: path, owned: true });
}

/** Wraps a database that the caller opened, or connects to a server; only this loads its modules. */
async function openOther(
  location: Exclude<DatabaseLocation, FileLocation>,
  { busyTimeout = defaultSettings.busyTimeout }: ReadingOptions,
): Promise<Connection> {
  if (location.kind === "server") {
    const { openLibsql } = await import("./libsql.ts");
    return await openLibsql(location, { timeout: busyTimeout });
  }
  const { handle, path } = location;
  if (handle instanceof DatabaseSync) {
    return new NodeSqliteConnection(handle, { label: path, owned: false });
  }
  const { DenoSqliteConnection } = await import("./deno_sqlite.ts");
  return new DenoSqliteConnection(handle, { label: path });
}
