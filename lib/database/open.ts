import { messageOf } from "../base/format.ts";
import { DatabaseSync } from "node:sqlite";
import { type Connection, number, text } from "./connection.ts";
import type { DatabaseLocation, ServerLocation } from "./location.ts";
import { NodeSqliteConnection, openFile, wrapHandle } from "./node_sqlite.ts";
import { connectionPragmas, type ConnectionSettings } from "./settings.ts";
import { whileBusy } from "./transaction.ts";

/** Opens a new, empty database in memory; it is gone when the connection is closed. */
export function openMemory({ label = ":memory:" }: { readonly label?: string } = {}): Connection {
  return new NodeSqliteConnection(new DatabaseSync(":memory:"), { label, owned: true });
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
