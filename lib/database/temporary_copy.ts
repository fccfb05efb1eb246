import { AccessError } from "../base/errors.ts";
import { denied, directoryOf, mayRead } from "../base/paths.ts";
import type { Connection, CopyOptions } from "./connection.ts";

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
  const directory = await makeTemporaryDirectory(connection.label);
  // Whatever prevents the lock must not prevent the copy.
  const lock = await takeLock(directory).catch(() => null);
  const remove = async () => {
    lock?.close();
    await removeDirectory(directory);
  };
  try {
    await removeAbandoned(directoryOf(directory));
    const path = `${directory}/copy.db`;
    await connection.copyTo(path, options);
    return { path, [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

const PREFIX = "catalyst-migrate-";

/** A file beside the copy. Its lock is released when the process ends, even by a kill. */
const LOCK = "copy.lock";

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

async function makeTemporaryDirectory(label: string): Promise<string> {
  try {
    return await Deno.makeTempDir({ prefix: PREFIX });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const help = "check the directory for temporary files";
    const { reason, help: next } = error instanceof Deno.errors.NotCapable
      ? denied(message, `${help}; it needs write permission`)
      : { reason: message, help };
    throw new AccessError(`Cannot copy ${label} into a temporary file: ${reason}`, {
      cause: error,
      help: next,
    });
  }
}
