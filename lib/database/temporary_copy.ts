import { DatabaseSync } from "node:sqlite";
import { accessError, directoryOf, mayBeThere, mayRead, seeFile } from "../base/paths.ts";
import type { Connection, CopyOptions } from "./connection.ts";
import { LENIENT, NodeSqliteConnection } from "./node_sqlite.ts";

/** A temporary file that is removed when it is disposed of. */
export interface TemporaryCopy extends AsyncDisposable {
  /** Its path. */
  readonly path: string;
}

/** Copies a database into a temporary file; copies what an open transaction of the connection sees. */
export async function temporaryCopy(
  connection: Connection,
  options: CopyOptions = {},
): Promise<TemporaryCopy> {
  const copy = await makeRoom(`Cannot copy ${connection.label} into a temporary file`);
  try {
    await connection.copyTo(copy.path, options);
    return copy;
  } catch (error) {
    await copy[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Opens a temporary copy of a database in a read-only directory; closing the connection removes it. This
 * is for a WAL database under restricted permissions: SQLite needs a file beside it, and Deno does not
 * allow opening it as immutable. Null if the copy cannot be made, or not without a permission prompt.
 *
 * A database without a log is not open anywhere, so its file alone is complete.
 */
export async function openPrivateCopy(path: string): Promise<Connection | null> {
  if (Deno.permissions.querySync({ name: "write" }).state !== "granted") return null;
  if (stateOf(path) === null) return null;
  const copy = await makeRoom(
    `Cannot read ${path}: no file can be created beside it, and the directory for temporary ` +
      "files cannot be used for a copy",
  );
  if (!copyUnchanged(path, copy.path)) {
    await copy[Symbol.asyncDispose]();
    return null;
  }
  return new CopyConnection(copy, path);
}

/** A connection that removes its file when it is closed. */
class CopyConnection extends NodeSqliteConnection {
  readonly #copy: TemporaryCopy;

  constructor(copy: TemporaryCopy, label: string) {
    super(new DatabaseSync(copy.path, LENIENT), { label, owned: true });
    this.#copy = copy;
  }

  override async close(): Promise<void> {
    await super.close();
    await this.#copy[Symbol.asyncDispose]();
  }
}

/** Attempts to copy a file that changes while it is copied. */
const ATTEMPTS = 3;

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

const PREFIX = "catalyst-migrate-";

/** A file beside the copy. Its lock is released when the process ends, even by a kill. */
const LOCK = "copy.lock";

/** Makes a temporary directory for a copy, which only this user can read. */
async function makeRoom(cannot: string): Promise<TemporaryCopy> {
  let directory: string;
  try {
    directory = await Deno.makeTempDir({ prefix: PREFIX });
  } catch (error) {
    throw accessError(cannot, error, {
      help: "set TMPDIR to a directory that this user may write to",
    });
  }
  const made = new AsyncDisposableStack();
  made.defer(() => removeDirectory(directory));
  // Whatever prevents the lock must not prevent the copy.
  made.use(await takeLock(directory).catch(() => null));
  await removeAbandoned(directoryOf(directory));
  return { path: `${directory}/copy.db`, [Symbol.asyncDispose]: () => made.disposeAsync() };
}

async function takeLock(directory: string): Promise<Deno.FsFile> {
  const path = `${directory}/new.lock`;
  const lock = await Deno.open(path, { write: true, createNew: true });
  try {
    await lock.tryLock(true);
    // Only now may another process find it.
    await Deno.rename(path, `${directory}/${LOCK}`);
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/** Removes the copies of killed processes, as far as possible: others may belong to other users. */
async function removeAbandoned(parent: string): Promise<void> {
  if (!mayRead(parent)) return;
  try {
    for await (const { name, isDirectory } of Deno.readDir(parent)) {
      if (isDirectory && name.startsWith(PREFIX)) {
        await removeUnlocked(`${parent}/${name}`).catch(() => {});
      }
    }
  } catch {
    // The directory can't be listed.
  }
}

async function removeUnlocked(directory: string): Promise<void> {
  const path = `${directory}/${LOCK}`;
  if (!(await Deno.lstat(path)).isFile) return; // opening a pipe would wait
  using lock = await Deno.open(path, { write: true });
  if (await lock.tryLock(true)) await removeDirectory(directory);
}

async function removeDirectory(directory: string): Promise<void> {
  try {
    await Deno.remove(directory, { recursive: true });
  } catch (error) {
    // Another process may have removed it as abandoned.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
