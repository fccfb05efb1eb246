import { DatabaseSync } from "node:sqlite";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { messageOf } from "../base/format.ts";
import { fileItself, fileVersion, mayBeThere, seeFile, sizeBeside } from "../base/paths.ts";
import { type Connection, number, text } from "./connection.ts";
import {
  type DatabaseLocation,
  refuseLostDatabase,
  refuseSpecialDatabase,
  type ServerLocation,
} from "./location.ts";
import { explain, LENIENT, NodeSqliteConnection, uriOf } from "./node_sqlite.ts";
import { connectionPragmas, type ConnectionSettings } from "./settings.ts";
import { whileBusy } from "./transaction.ts";

/** Opens a new, empty database in memory; it is gone when the connection is closed. */
export function openMemory({ label = ":memory:" }: { readonly label?: string } = {}): Connection {
  return new NodeSqliteConnection(new DatabaseSync(":memory:", LENIENT), { label, owned: true });
}

/** Version of the SQLite that drives local databases, such as `3.53.2`. */
export function sqliteVersion(): string {
  using db = new DatabaseSync(":memory:");
  return String(db.prepare("SELECT sqlite_version() AS version").get()?.version);
}

/**
 * Opens a database to change it, and creates the file where there is none. It waits for another
 * connection's lock as long as the settings' busy timeout says; `signal` ends the wait.
 */
export async function openForWriting(
  location: DatabaseLocation,
  { signal, ...settings }: ConnectionSettings & { readonly signal?: AbortSignal | undefined },
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  if (location.kind === "server") return await openServer(location, settings);
  const connection = await openFile(location.path, { verb: "open", mode: "ordinary" });
  try {
    const setUp = async () => {
      await connection.exec(connectionPragmas({ ...settings, busyTimeout: 0 }));
      if (await isNew(connection)) await setUpNewFile(connection, settings);
      if (settings.synchronous !== "OFF") await syncJournals(connection);
    };
    await whileBusy(connection, setUp, { timeout: settings.busyTimeout, signal });
    await connection.exec(`PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** Opens a database on a server; only this loads what that needs. */
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
 * Only a new file gets a journal mode: a bot may have an old one open and rely on its mode. And only
 * the first page of a new file, which has nothing to lose, is written without waiting for the disk.
 */
async function setUpNewFile(connection: Connection, settings: ConnectionSettings): Promise<void> {
  const { journalMode, synchronous } = settings;
  if (journalMode !== "WAL") return await connection.exec(`PRAGMA journal_mode = ${journalMode}`);
  // The commit that changes nothing begins the log.
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
 * A commit without a log ends when the journal is gone, which only this makes sure of: else the
 * journal may be there again after a power cut, and take the commit back.
 */
async function syncJournals(connection: Connection): Promise<void> {
  const mode = await connection.get("PRAGMA journal_mode");
  if (mode !== undefined && text(mode, "journal_mode") === "wal") return;
  await connection.exec("PRAGMA synchronous = EXTRA");
}

/**
 * Waits until everything that was committed is on the disk. With `synchronous = NORMAL` it is there
 * only after a checkpoint, and closing a connection makes none while a bot has the database open.
 */
export async function makeDurable(connection: Connection): Promise<void> {
  if (connection.isRemote) return; // a server answers when it is
  await connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
}

/** SQLite's own parser, over an empty database: it runs nothing. */
export interface Parser extends Disposable {
  /** What SQLite says against the first statement of a text that holds one; null where nothing. */
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
 * Opens an existing database to read it, and leaves nothing behind. Only beside a log or a journal
 * that a crash left does SQLite need its other files, and plays the journal back.
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
 * Opens a database file that nobody else has open, such as a copy, only to be read: as an immutable
 * file, or where there is a log, or Deno's permissions forbid it, read-only, which leaves an empty
 * `-wal` and a `-shm` behind.
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

/** The last resort: a copy elsewhere, where only the place of a WAL database keeps it from being read. */
async function openCopy(path: string, settings: ConnectionSettings): Promise<Connection | null> {
  if (!isWalFile(path)) return null;
  const { openPrivateCopy } = await import("./private_copy.ts");
  return await openPrivateCopy(path, settings);
}

function fail(error: unknown): never {
  throw error;
}

/** How {@link readDatabase} reads. */
interface ReadingOptions {
  readonly settings: ConnectionSettings;
  /** Whether no other code of this process has the database open; allows what is quicker. */
  readonly alone: boolean;
}

/** Reads an open database; `journalMode` asks for the journal mode, in small letters. */
type ReadingWork<T> = (
  connection: Connection,
  journalMode: () => Promise<string>,
) => Promise<T>;

/**
 * Reads an existing database by `work` and closes it.
 *
 * The quickest way is to read the file as immutable: no lock, no file beside it. It is taken where
 * there is no log and nobody in this process has the file open, whose locks closing it would drop.
 * Where the file was changed meanwhile, which then may have been seen half, it is read again.
 */
export async function readDatabase<T>(
  location: DatabaseLocation,
  options: ReadingOptions,
  work: ReadingWork<T>,
): Promise<T> {
  const { path } = location;
  const seen = location.kind === "file" ? seeFile(path) : null;
  if (options.alone && seen !== null && !mayHaveLog(seen.itself)) {
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
  await using connection = await openFile(path, { verb: "read", mode: "immutable" });
  // An immutable connection calls every file's mode "delete"; the file itself knows better.
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
    // Only the first look into the file says whether it can be read at all.
    await connection.get("SELECT count(*) FROM sqlite_schema");
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * A read-only connection to a WAL database creates `-wal` and `-shm` and can't remove them, while
 * an ordinary one removes them when it closes. So: beside an existing log read-only, since an
 * ordinary close would move the log into the database; else ordinary; and in a directory that
 * can't be written as an immutable file, which needs no lock and no other file. That is refused
 * under restricted permissions, where without permission to write only read-only is left, and with
 * it a copy.
 */
function* readingModes(itself: string): Generator<OpenMode> {
  if (sizeBeside(itself, "-wal")) return yield "read-only";
  // A journal may have to be played back, which immutable would not: it read half a transaction.
  if (sizeBeside(itself, "-journal") !== 0) return yield* ["ordinary", "read-only"] as const;
  // Of one that is gone an ordinary connection would make an empty database.
  if (!mayBeThere(itself)) return yield "read-only";
  yield "ordinary";
  // Nobody has a WAL database open that has no log.
  if (isWalFile(itself)) yield* ["immutable", "read-only"] as const;
  else yield* ["read-only", "immutable"] as const;
}

/** Bytes 18 and 19 of an SQLite file are 2 in WAL mode, else 1. */
function isWalFile(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const header = new Uint8Array(20);
    return file.readSync(header) === 20 && header[18] === 2;
  } catch {
    return false; // not to be read by anybody; SQLite will say so
  }
}

/** Whether there may be no file beside the database, for want of permission or of room. */
function isAccessProblem(error: unknown): boolean {
  return error instanceof AccessError || error instanceof DiskFullError;
}

/** How a file is opened: to be changed too, only to be read, or as if nobody could ever change it. */
export type OpenMode = "ordinary" | "read-only" | "immutable";

/** Options of {@link openFile}. */
interface OpenFileOptions {
  /** What it is opened for, in the words of an error, such as `read`. */
  readonly verb: string;
  readonly mode: OpenMode;
}

/** Opens a database file; SQLite looks into it only at the first statement. */
export async function openFile(
  path: string,
  { verb, mode }: OpenFileOptions,
): Promise<NodeSqliteConnection> {
  refuseSpecialDatabase(path);
  refuseLostDatabase(path);
  try {
    const db = mode === "ordinary"
      ? new DatabaseSync(path, LENIENT)
      : new DatabaseSync(mode === "immutable" ? uriOf(path, "immutable=1") : path, {
        ...LENIENT,
        readOnly: true,
      });
    return new NodeSqliteConnection(db, { label: path, owned: true });
  } catch (error) {
    return await explain(error, { verb, label: path });
  }
}

/** Takes a database that the caller has open. */
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
