import { messageOf } from "../base/format.ts";
import { DatabaseSync } from "node:sqlite";
import type { Connection } from "./connection.ts";
import { mayBeThere, missingPermission, seeFile } from "../base/paths.ts";
import { AccessError } from "../base/errors.ts";
import { LENIENT, NodeSqliteConnection } from "./node_sqlite.ts";
import type { ConnectionSettings } from "./settings.ts";

/** How often a file that is changed while it is copied is copied again. */
const ATTEMPTS = 3;

/**
 * Reads a database in a directory that nobody may write from a copy in the directory for temporary
 * files, which only this user can read and which goes when the connection is closed. That is for a
 * WAL database under restricted permissions: SQLite wants a file beside it, and Deno lets nobody say
 * that the database is immutable. Null where the copy can't be made, or may not be without a question.
 *
 * Nothing has the database open where it has no log, so that its file alone says all.
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

/** A connection whose file goes with it. */
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
      `Cannot read ${path}: no file can be made beside it, and for a copy of it ` +
        `the directory for temporary files can't be used (${missingPermission(message)})`,
      { cause: error, help: "name one that this user may write in the variable TMPDIR" },
    );
  }
}

/** Copies a file that has no log before and after, and is the same before and after. */
function copyUnchanged(path: string, copy: string): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = stateOf(path);
    if (before === null) return false;
    try {
      Deno.copyFileSync(path, copy);
      Deno.chmodSync(copy, 0o600); // a read-only original makes a read-only copy
    } catch {
      return false;
    }
    if (before === stateOf(path)) return true;
  }
  return false;
}

/** Changes with each write to the file; null where there is a log or a journal beside it, or no file. */
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
