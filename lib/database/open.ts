import { DatabaseSync } from "node:sqlite";
import type { Connection } from "./connection.ts";
import { DenoSqliteConnection } from "./deno_sqlite.ts";
import { translate } from "./failure.ts";
import type { DatabaseLocation } from "./location.ts";
import { NodeSqliteConnection } from "./node_sqlite.ts";
import { number } from "./row.ts";
import { connectionPragmas, type ConnectionSettings } from "./settings.ts";

/** Opens a database to change it, and creates the file where there is none. */
export async function openForWriting(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Connection> {
  if (location.kind === "open") return wrapHandle(location);
  const connection = openFile(location.path, { verb: "open" });
  try {
    await connection.exec(connectionPragmas(settings));
    // An existing file keeps its journal mode: a bot may have it open and rely on it.
    const pages = await connection.get("PRAGMA page_count");
    if (pages !== undefined && number(pages, "page_count") === 0) {
      await connection.exec(`PRAGMA journal_mode = ${settings.journalMode}`);
    }
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/**
 * Opens an existing database to read it, and leaves nothing behind: neither a file nor a byte.
 * The settings' busy timeout holds.
 */
export async function openForReading(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Connection> {
  if (location.kind === "open") return wrapHandle(location);
  const { path } = location;
  let failure: unknown;
  for (const open of readingAttempts(path)) {
    try {
      const connection = open();
      await connection.exec(
        `PRAGMA query_only = ON; PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`,
      );
      await connection.get("SELECT count(*) FROM sqlite_schema");
      return connection;
    } catch (error) {
      failure ??= error;
      if (!isAccessProblem(error)) break;
    }
  }
  throw failure;
}

/**
 * A read-only connection to a WAL database creates `-wal` and `-shm` and can't remove them, while
 * an ordinary one removes them when it closes. So: beside an existing log read-only, since an
 * ordinary close would move the log into the database; else ordinary; and in a directory that
 * can't be written as an immutable file.
 */
function readingAttempts(path: string): (() => Connection)[] {
  const ordinary = () => openFile(path, { verb: "read" });
  const readOnly = () => openFile(path, { verb: "read", readOnly: true });
  if (hasLog(path)) return [readOnly];
  return [
    ordinary,
    readOnly,
    () => openFile(path, { verb: "read", readOnly: true, immutable: true }),
  ];
}

function hasLog(path: string): boolean {
  try {
    return Deno.statSync(`${path}-wal`).size > 0;
  } catch {
    return false;
  }
}

function isAccessProblem(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "NOT_PERMITTED";
}

interface OpenFileOptions {
  readonly verb: string;
  readonly readOnly?: boolean;
  readonly immutable?: boolean;
}

function openFile(path: string, options: OpenFileOptions): Connection {
  const { verb, readOnly = false, immutable = false } = options;
  const uri = `file:${encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23")}?immutable=1`;
  try {
    const db = new DatabaseSync(immutable ? uri : path, { readOnly });
    return new NodeSqliteConnection(db, { label: path, owned: true });
  } catch (error) {
    throw translate(error, { verb, label: path });
  }
}

function wrapHandle(location: DatabaseLocation & { kind: "open" }): Connection {
  const { handle, path } = location;
  return handle instanceof DatabaseSync
    ? new NodeSqliteConnection(handle, { label: path, owned: false })
    : new DenoSqliteConnection(handle, { label: path });
}
