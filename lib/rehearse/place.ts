import { isFullDisk } from "../base/files.ts";
import { AccessError, DiskFullError } from "../base/errors.ts";
import { ensureDirectory } from "../base/files.ts";
import { acquireLock } from "../base/lock.ts";

/** Name of the lock in a rehearsal's directory; it dies with the process. */
const LOCK = "rehearsal.lock";

/** Path of the lock of a rehearsal's directory. */
export function rehearsalLock(directory: string): string {
  return `${directory}/${LOCK}`;
}

/** What the names of such directories begin with: `data/rehearsal-`. */
function beginningOf(prefix: string): string {
  return `${prefix}rehearsal-`;
}

/** Whether a name is that of a rehearsal's directory, where names begin with a prefix; often empty. */
export function isRehearsal(name: string, prefix: string): boolean {
  const beginning = beginningOf(prefix);
  return name.startsWith(beginning) && /^[0-9a-f]{8}$/.test(name.slice(beginning.length));
}

/** Milliseconds after which a directory without a lock belongs to nobody. */
export const GRACE = 60_000;

/** A directory for the copies; it is removed when it is disposed of. */
export interface Place extends Disposable {
  readonly directory: string;
  /** Path of a file in it. */
  file(name: string): string;
}

/**
 * Makes a directory of its own, `<prefix>rehearsal-1a2b3c4d`, for copies, and removes those that killed
 * rehearsals of the same prefix left.
 */
export async function makePlace(prefix: string): Promise<Place> {
  ensureDirectory(beginningOf(prefix), true, { what: "directory of the rehearsal", flag: "--dir" });
  await removeLeftovers(prefix);
  const directory = makeDirectory(beginningOf(prefix));
  const lock = await acquireLock(rehearsalLock(directory), {
    timeout: 0,
    holder: "rehearsal",
    directory: "directory of the rehearsal",
  });
  return {
    directory,
    file: (name) => `${directory}/${name}`,
    [Symbol.dispose]: () => {
      lock[Symbol.dispose]();
      // What can't be removed now, the next rehearsal removes.
      remove(directory);
    },
  };
}

function makeDirectory(beginning: string): string {
  for (let attempt = 1;; attempt++) {
    const directory = beginning + crypto.getRandomValues(new Uint8Array(4)).toHex();
    try {
      Deno.mkdirSync(directory, { mode: 0o700 });
      return directory;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists && attempt < 10) continue;
      const message = error instanceof Error ? error.message : String(error);
      const options = {
        cause: error,
        help: "name a directory that may be written with --dir; nothing was changed",
      };
      throw isFullDisk(error)
        ? new DiskFullError(`Cannot create ${directory}: the disk is full`, options)
        : new AccessError(`Cannot create ${directory}: ${message}`, options);
    }
  }
}

/** Removes the directories of rehearsals whose process is gone. */
async function removeLeftovers(prefix: string): Promise<void> {
  const [, parent = "", beginning = ""] = /^(.*?)([^/\\]*)$/s.exec(prefix) ?? [];
  for (const { name, isDirectory } of Deno.readDirSync(parent === "" ? "." : parent)) {
    if (isDirectory && isRehearsal(name, beginning) && await isAbandoned(parent + name)) {
      remove(parent + name);
    }
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    if (!exists(rehearsalLock(directory))) {
      // One that is being made has no lock yet; nothing else but a rehearsal's directory is removed.
      const { mtime } = Deno.statSync(directory);
      const isEmpty = [...Deno.readDirSync(directory)].length === 0;
      return isEmpty && mtime !== null && Date.now() - mtime.getTime() > GRACE;
    }
    using _lock = await acquireLock(rehearsalLock(directory), { timeout: 0 });
    return true;
  } catch {
    return false; // somebody holds the lock, or it is another user's
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function remove(directory: string): void {
  try {
    // The lock last: until then a rehearsal that is killed here is known for one.
    for (const { name } of Deno.readDirSync(directory)) {
      if (name !== LOCK) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // Another rehearsal was quicker, or the next one will have to.
  }
}
