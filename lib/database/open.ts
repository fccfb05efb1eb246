import { DatabaseSync } from "node:sqlite";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { messageOf } from "../base/format.ts";
import { fileItself, fileVersion, mayBeThere, seeFile, sizeBeside } from "../base/paths.ts";
import {
  type Connection,
  connectionPragmas,
  type ConnectionSettings,
  number,
  text,
} from "./connection.ts";
import {
  type DatabaseLocation,
  refuseLostDatabase,
  refuseSpecialDatabase,
  type ServerLocation,
} from "./location.ts";
import { explain, LENIENT, NodeSqliteConnection, uriOf } from "./node_sqlite.ts";

/** Opens a new, empty database in memory, which exists until the connection is closed. */
export function openMemory({ label = ":memory:" }: { readonly label?: string } = {}): Connection {
  return new NodeSqliteConnection(new DatabaseSync(":memory:", LENIENT), { label, owned: true });
}

/** Version of SQLite used for local databases, such as `3.53.2`. */
export function sqliteVersion(): string {
  using db = new DatabaseSync(":memory:");
  return String(db.prepare("SELECT sqlite_version() AS version").get()?.version);
}

/** Options of {@link openForWriting}. */
interface WritingOptions extends ConnectionSettings {
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
  location: DatabaseLocation,
  { signal, asItIs = false, ...settings }: WritingOptions,
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  if (location.kind === "server") return await openServer(location, settings);
  const connection = await openFile(location.path, { verb: "open", mode: "ordinary" });
  try {
    const setUp = async () => {
      await connection.exec(connectionPragmas({ ...settings, busyTimeout: 0 }));
      if (!asItIs && await isNew(connection)) await setUpNewFile(connection, settings);
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

/** Opens a database on a server; only this loads the modules for servers. */
export async function openServer(
  location: ServerLocation,
  { busyTimeout }: Pick<ConnectionSettings, "busyTimeout">,
): Promise<Connection> {
  const { openLibsql } = await import("./libsql.ts");
  return await openLibsql(location, { timeout: busyTimeout });
}

async function isNew(connection: Connection): Promise<boolean> {
  const pages = await connection.get("PRAGMA page_count");
  return pages !== undefined && number(pages, "page_count") === 0;
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
  const mode = await connection.get("PRAGMA journal_mode");
  if (mode !== undefined && text(mode, "journal_mode") === "wal") return;
  await connection.exec("PRAGMA synchronous = EXTRA");
}

/**
 * Waits until all commits are on disk. With `synchronous = NORMAL` they are synced only by a
 * checkpoint, and closing a connection runs none while a bot has the database open.
 */
export async function makeDurable(connection: Connection): Promise<void> {
  if (connection.isRemote) return; // a server answers after the sync
  await connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
}

/** SQLite's parser over an empty database; it does not run anything. */
export interface Parser extends Disposable {
  /** SQLite's error for the first statement of a text that holds at least one; null if there is none. */
  errorIn(sql: string): string | null;
}

/** Opens a parser. */
export function openParser(): Parser {
  const db = new DatabaseSync(":memory:");
  return {
    errorIn: (sql) => {
      try {
        db.prepare(sql);
        return null;
      } catch (error) {
        return messageOf(error);
      }
    },
    [Symbol.dispose]: () => db.close(),
  };
}

/**
 * Opens an existing database for reading and leaves no files behind. Only if a crash left a log or a
 * journal does SQLite need its other files; it then rolls the journal back.
 */
export async function openForReading(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  if (location.kind === "server") return await openServer(location, settings);
  const { path } = location;
  return await openItself(path, { itself: fileItself(path), settings });
}

async function openItself(
  path: string,
  { itself, settings }: { readonly itself: string; readonly settings: ConnectionSettings },
): Promise<Connection> {
  let failure: unknown;
  for (const mode of readingModes(itself)) {
    try {
      return await openReadOnly(path, mode, settings);
    } catch (error) {
      failure ??= error;
      if (mode !== "immutable" && !isAccessProblem(error)) throw error;
    }
  }
  return await openCopy(path, settings) ?? fail(failure);
}

/**
 * Opens a database file that no other process has open, such as a copy, for reading. Opens it as
 * immutable. If there is a log, or Deno's permissions forbid that, opens it read-only, which leaves an
 * empty `-wal` and a `-shm` behind.
 */
export async function openPrivateFile(
  path: string,
  settings: ConnectionSettings,
): Promise<Connection> {
  if (!mayHaveLog(fileItself(path))) {
    try {
      return await openReadOnly(path, "immutable", settings);
    } catch (error) {
      if (!isAccessProblem(error)) throw error;
    }
  }
  try {
    return await openReadOnly(path, "read-only", settings);
  } catch (error) {
    const connection = isAccessProblem(error) ? await openCopy(path, settings) : null;
    return connection ?? fail(error);
  }
}

/** As a last resort, opens a copy elsewhere if only its directory prevents a WAL database from being read. */
async function openCopy(path: string, settings: ConnectionSettings): Promise<Connection | null> {
  if (!isWalFile(path)) return null;
  const { openPrivateCopy } = await import("./untouched.ts");
  return await openPrivateCopy(path, settings);
}

function fail(error: unknown): never {
  throw error;
}

/** Options of {@link readDatabase}. */
interface ReadingOptions {
  readonly settings: ConnectionSettings;
  /** Whether no other code of this process has the database open; allows a faster way. */
  readonly alone: boolean;
}

/** Reads an open database; `journalMode` returns the journal mode in lower case. */
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
  options: ReadingOptions,
  work: ReadingWork<T>,
): Promise<T> {
  const { path } = location;
  const seen = location.kind === "file" ? seeFile(path) : null;
  if (options.alone && seen?.isFile && !mayHaveLog(seen.itself)) {
    const outcome = await readImmutable(path, work).catch(() => null);
    if (outcome !== null && seen.version === fileVersion(path)) return outcome.result;
  }
  await using connection = seen === null
    ? await openForReading(location, options.settings)
    : await openItself(path, { ...seen, settings: options.settings });
  return await work(connection, async () => {
    const row = await connection.get("PRAGMA journal_mode");
    return row === undefined ? "" : text(row, "journal_mode");
  });
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
  settings: ConnectionSettings,
): Promise<Connection> {
  const connection = await openFile(path, { verb: "read", mode });
  try {
    await connection.exec(
      `PRAGMA query_only = ON; PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`,
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
function* readingModes(itself: string): Generator<OpenMode> {
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
export type OpenMode = "ordinary" | "read-only" | "immutable";

/** Options of {@link openFile}. */
interface OpenFileOptions {
  /** Purpose, as a verb for error messages, such as `read`. */
  readonly verb: string;
  readonly mode: OpenMode;
}

/** Opens a database file; SQLite reads it only at the first statement. */
export async function openFile(
  path: string,
  { verb, mode }: OpenFileOptions,
): Promise<NodeSqliteConnection> {
  refuseSpecialDatabase(path);
  refuseLostDatabase(path);
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

/** Wraps a database that the caller opened. */
export async function wrapHandle(
  location: DatabaseLocation & { kind: "open" },
): Promise<Connection> {
  const { handle, path } = location;
  if (handle instanceof DatabaseSync) {
    return new NodeSqliteConnection(handle, { label: path, owned: false });
  }
  const { DenoSqliteConnection } = await import("./deno_sqlite.ts");
  return new DenoSqliteConnection(handle, { label: path });
}
