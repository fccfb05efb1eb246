import { messageOf } from "../base/format.ts";
import { DatabaseSync } from "node:sqlite";
import type { Connection, ConnectionSettings } from "./connection.ts";
import { mayBeThere, missingPermission, seeFile } from "../base/paths.ts";
import { AccessError } from "../base/errors.ts";
import { LENIENT, NodeSqliteConnection } from "./node_sqlite.ts";

/** Attempts to copy a file that changes while it is copied. */
const ATTEMPTS = 3;

/**
 * Opens a temporary copy of a database in a read-only directory. Only this user can read the copy, and
 * closing the connection removes it. This is for a WAL database under restricted permissions: SQLite
 * needs a file beside it, and Deno does not allow opening it as immutable. Null if the copy cannot be
 * made, or not without a permission prompt.
 *
 * A database without a log is not open anywhere, so its file alone is complete.
 */
export async function openPrivateCopy(
  path: string,
  settings: ConnectionSettings,
): Promise<Connection | null> {
  if (Deno.permissions.querySync({ name: "write" }).state !== "granted") return null;
  if (stateOf(path) === null) return null;
  const directory = makeDirectory(path);
  const copy = `${directory}/copy.db`;
  if (!copyUnchanged(path, copy)) {
    remove(directory);
    return null;
  }
  const connection = new CopyConnection(copy, { label: path, directory });
  try {
    await connection.exec(
      `PRAGMA query_only = ON; PRAGMA busy_timeout = ${Math.round(settings.busyTimeout * 1000)}`,
    );
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  }
}

/** A connection that removes its file when it is closed. */
class CopyConnection extends NodeSqliteConnection {
  readonly #directory: string;

  constructor(
    copy: string,
    { label, directory }: { readonly label: string; readonly directory: string },
  ) {
    super(new DatabaseSync(copy, LENIENT), { label, owned: true });
    this.#directory = directory;
  }

  override async close(): Promise<void> {
    await super.close();
    remove(this.#directory);
  }
}

function makeDirectory(path: string): string {
  try {
    return Deno.makeTempDirSync({ prefix: "catalyst-migrate-" });
  } catch (error) {
    const message = messageOf(error);
    throw new AccessError(
      `Cannot read ${path}: no file can be created beside it, and the directory for temporary ` +
        `files cannot be used for a copy (${missingPermission(message)})`,
      { cause: error, help: "set TMPDIR to a directory that this user may write to" },
    );
  }
}

/** Copies a file; fails if it has a log or changes during the copy. */
function copyUnchanged(path: string, copy: string): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = stateOf(path);
    if (before === null) return false;
    try {
      Deno.copyFileSync(path, copy);
      Deno.chmodSync(copy, 0o600); // the copy of a read-only file is read-only
    } catch {
      return false;
    }
    if (before === stateOf(path)) return true;
  }
  return false;
}

/** A value that changes with every write to the file; null if it is missing or has a log or journal. */
function stateOf(path: string): string | null {
  const seen = seeFile(path);
  if (seen === null) return null;
  const endings = ["-wal", "-journal"];
  return endings.some((ending) => mayBeThere(`${seen.itself}${ending}`)) ? null : seen.version;
}

function remove(directory: string): void {
  try {
    Deno.removeSync(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
