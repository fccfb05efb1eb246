import { DatabaseSync } from "node:sqlite";
import { AccessError, DiskFullError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import { translate } from "./failure.ts";
import type { DatabaseLocation } from "./location.ts";
import { NodeSqliteConnection } from "./node_sqlite.ts";
import { number, text } from "./row.ts";
import { whileBusy } from "./transaction.ts";
import { connectionPragmas, type ConnectionSettings } from "./settings.ts";

/**
 * Opens a database to change it, and creates the file where there is none. It waits for another
 * connection's lock as long as the settings' busy timeout says; `signal` ends the wait.
 */
export async function openForWriting(
  location: DatabaseLocation,
  { signal, ...settings }: ConnectionSettings & { readonly signal?: AbortSignal | undefined },
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  const connection = openFile(location.path, { verb: "open", mode: "ordinary" });
  try {
    const setUp = async () => {
      await connection.exec(connectionPragmas({ ...settings, busyTimeout: 0 }));
      if (await isNew(connection)) await setUpNewFile(connection, settings);
    };
    await whileBusy(connection, setUp, { timeout: settings.busyTimeout, signal });
    await connection.exec(`PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`);
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
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
 * Waits until everything that was committed is on the disk. With `synchronous = NORMAL` it is there
 * only after a checkpoint, and closing a connection makes none while a bot has the database open.
 */
export async function makeDurable(connection: Connection): Promise<void> {
  await connection.exec("PRAGMA wal_checkpoint(PASSIVE)");
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
  let failure: unknown;
  for (const mode of readingModes(location.path)) {
    try {
      return await openReadOnly(location.path, mode, settings);
    } catch (error) {
      failure ??= error;
      if (mode !== "immutable" && !isAccessProblem(error)) throw error;
    }
  }
  throw failure;
}

/** How {@link readDatabase} reads. */
export interface ReadingOptions {
  readonly settings: ConnectionSettings;
  /** Whether no other code of this process has the database open; allows what is quicker. */
  readonly alone: boolean;
}

/** Journal mode of the file, in small letters, and what was read. */
export interface Reading<T> {
  readonly journalMode: string;
  readonly result: T;
}

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
  work: (connection: Connection) => Promise<T>,
): Promise<Reading<T>> {
  const { path } = location;
  if (options.alone && location.kind === "file" && !hasLog(path)) {
    const before = versionOf(path);
    const outcome = await readImmutable(path, options.settings, work).catch(() => null);
    if (outcome !== null && before !== null && before === versionOf(path)) return outcome;
  }
  await using connection = await openForReading(location, options.settings);
  const result = await work(connection);
  const row = await connection.get("PRAGMA journal_mode");
  return { result, journalMode: row === undefined ? "" : text(row, "journal_mode") };
}

async function readImmutable<T>(
  path: string,
  settings: ConnectionSettings,
  work: (connection: Connection) => Promise<T>,
): Promise<Reading<T>> {
  await using connection = await openReadOnly(path, "immutable", settings);
  const result = await work(connection);
  // An immutable connection calls every file's mode "delete"; the file itself knows better.
  return { result, journalMode: isWalFile(path) ? "wal" : "delete" };
}

/** Changes with each write to the file. */
function versionOf(path: string): string | null {
  try {
    const { mtime, size, ino } = Deno.statSync(path);
    return `${mtime?.getTime()} ${size} ${ino}`;
  } catch {
    return null;
  }
}

function hasLog(path: string): boolean {
  return hasContent(`${path}-wal`) || hasContent(`${path}-journal`);
}

async function openReadOnly(
  path: string,
  mode: OpenMode,
  settings: ConnectionSettings,
): Promise<Connection> {
  const connection = openFile(path, { verb: "read", mode });
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

type OpenMode = "ordinary" | "read-only" | "immutable";

/**
 * A read-only connection to a WAL database creates `-wal` and `-shm` and can't remove them, while
 * an ordinary one removes them when it closes. So: beside an existing log read-only, since an
 * ordinary close would move the log into the database; else ordinary; and in a directory that
 * can't be written as an immutable file, which needs no lock and no other file. That is refused
 * under restricted permissions, where without permission to write only read-only is left.
 */
function* readingModes(path: string): Generator<OpenMode> {
  if (hasContent(`${path}-wal`)) return yield "read-only";
  // A journal may have to be played back, which immutable would not: it read half a transaction.
  if (hasContent(`${path}-journal`)) return yield* ["ordinary", "read-only"] as const;
  yield "ordinary";
  // Nobody has a WAL database open that has no log.
  if (isWalFile(path)) yield* ["immutable", "read-only"] as const;
  else yield* ["read-only", "immutable"] as const;
}

function hasContent(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch {
    return false;
  }
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

interface OpenFileOptions {
  readonly verb: string;
  readonly mode: OpenMode;
}

function openFile(path: string, { verb, mode }: OpenFileOptions): Connection {
  try {
    const db = mode === "ordinary"
      ? new DatabaseSync(path)
      : new DatabaseSync(mode === "immutable" ? immutableUri(path) : path, { readOnly: true });
    return new NodeSqliteConnection(db, { label: path, owned: true });
  } catch (error) {
    throw translate(error, { verb, label: path });
  }
}

function immutableUri(path: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23")}?immutable=1`;
}

async function wrapHandle(location: DatabaseLocation & { kind: "open" }): Promise<Connection> {
  const { handle, path } = location;
  if (handle instanceof DatabaseSync) {
    return new NodeSqliteConnection(handle, { label: path, owned: false });
  }
  const { DenoSqliteConnection } = await import("./deno_sqlite.ts");
  return new DenoSqliteConnection(handle, { label: path });
}
