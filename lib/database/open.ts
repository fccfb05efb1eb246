import { DatabaseSync } from "node:sqlite";
import type { Connection } from "./connection.ts";
import { translate } from "./failure.ts";
import type { DatabaseLocation } from "./location.ts";
import { NodeSqliteConnection } from "./node_sqlite.ts";
import { number, text } from "./row.ts";
import { connectionPragmas, type ConnectionSettings } from "./settings.ts";

/** Opens a database to change it, and creates the file where there is none. */
export async function openForWriting(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  const connection = openFile(location.path, { verb: "open", mode: "ordinary" });
  try {
    await connection.exec(connectionPragmas(settings));
    if (await isNew(connection)) await setUpNewFile(connection, settings);
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
 * Only a new file gets a journal mode: a bot may have an old one open and rely on its mode. And only a
 * new file, which has nothing to lose, is written without waiting for the disk, until
 * {@link makeDurable}: a process that is killed loses nothing by it, since the log's checksums tell
 * what is whole, and there are half as many waits.
 */
async function setUpNewFile(connection: Connection, settings: ConnectionSettings): Promise<void> {
  if (settings.journalMode === "WAL") await connection.exec("PRAGMA synchronous = OFF");
  await connection.exec(`PRAGMA journal_mode = ${settings.journalMode}`);
}

/**
 * Waits until everything that was committed is on the disk. With `synchronous = NORMAL` it is there
 * only after a checkpoint, and closing a connection makes none while a bot has the database open.
 */
export async function makeDurable(
  connection: Connection,
  settings: ConnectionSettings,
): Promise<void> {
  await connection.exec(
    `PRAGMA synchronous = ${settings.synchronous}; PRAGMA wal_checkpoint(PASSIVE)`,
  );
}

/** How to read a database. */
export interface ReadingOptions {
  readonly settings: ConnectionSettings;
  /** Whether no other code of this process has the database open; allows what is quicker. */
  readonly alone: boolean;
}

/**
 * Opens an existing database to read it, and leaves nothing behind: neither a file nor a byte.
 * The settings' busy timeout holds.
 */
export async function openForReading(
  location: DatabaseLocation,
  options: ReadingOptions,
): Promise<Connection> {
  if (location.kind === "open") return await wrapHandle(location);
  const pragmas = `PRAGMA query_only = ON;
    PRAGMA busy_timeout = ${Math.round(options.settings.busyTimeout * 1000)}`;
  let failure: unknown;
  for (const mode of readingModes(location.path, options.alone)) {
    let connection: Connection | null = null;
    try {
      connection = openFile(location.path, { verb: "read", mode });
      await connection.exec(pragmas);
      await connection.get("SELECT count(*) FROM sqlite_schema");
      return connection;
    } catch (error) {
      await connection?.close();
      failure ??= error;
      if (mode !== "immutable" && !isAccessProblem(error)) throw error;
    }
  }
  throw failure;
}

/** Journal mode of a database that was opened to be read, in small letters. */
export async function readJournalMode(
  location: DatabaseLocation,
  connection: Connection,
  alone: boolean,
): Promise<string> {
  // An immutable connection calls every file's mode "delete"; the file itself knows better.
  if (alone && location.kind === "file" && isWalFile(location.path)) return "wal";
  const row = await connection.get("PRAGMA journal_mode");
  return row === undefined ? "" : text(row, "journal_mode");
}

type OpenMode = "ordinary" | "read-only" | "immutable";

/**
 * A read-only connection to a WAL database creates `-wal` and `-shm` and can't remove them, while
 * an ordinary one removes them when it closes. So: beside an existing log read-only, since an
 * ordinary close would move the log into the database; else ordinary; and in a directory that
 * can't be written as an immutable file, which needs no lock and no other file.
 *
 * Immutable is also the quickest, but closing such a connection drops the locks that other
 * connections of this process have on the file: it comes first only where there are none.
 */
function readingModes(path: string, alone: boolean): readonly OpenMode[] {
  if (hasContent(`${path}-wal`)) return ["read-only"];
  // A journal may have to be played back, which immutable would not: it read half a transaction.
  if (hasContent(`${path}-journal`)) return ["ordinary", "read-only"];
  return alone ? ["immutable", "ordinary", "read-only"] : ["ordinary", "read-only", "immutable"];
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
  using file = Deno.openSync(path);
  const header = new Uint8Array(20);
  return file.readSync(header) === 20 && header[18] === 2;
}

function isAccessProblem(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "NOT_PERMITTED";
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
