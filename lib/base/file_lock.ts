import { sleep } from "./event_loop.ts";
import {
  AccessError,
  type CatalystError,
  DiskFullError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
} from "./errors.ts";
import { isFullDisk } from "./files.ts";
import {
  accessError,
  isTooManyFiles,
  refuseOwnLink,
  refuseSpecialFile,
  seeFile,
  tooManyFiles,
} from "./paths.ts";
import { messageOf, shellWord } from "./format.ts";

/** Signals whether to stop, such as an `AbortSignal`. */
export interface StopFlag {
  /** Whether to stop. */
  readonly aborted: boolean;
}

/** Options of {@link acquireLock}. */
export interface LockOptions {
  /** Seconds to wait for another holder. */
  readonly timeout: number;
  /** Stops the wait. */
  readonly signal?: StopFlag | undefined;
  /** Kind of the holder, for messages. Default `migrator`. */
  readonly holder?: string;
  /** Name of the directory that contains the lock file, for messages. Default `directory of the databases`. */
  readonly directory?: string;
}

/**
 * Takes the lock that prevents two migrators from running at once. It is an operating system lock on a
 * file, so it is released when its process ends, even by a kill. The file itself is kept; its text
 * names the last holder.
 *
 * @throws {MigratorLockedError} if another process holds it for longer than the timeout.
 * @throws {LocationError | AccessError | DiskFullError} if the lock file cannot be written.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Disposable> {
  const file = openLockFile(path, options);
  try {
    const deadline = performance.now() + options.timeout * 1000;
    for (let pause = 1; !tryLock(file, path); pause = Math.min(pause * 2, 50)) {
      if (performance.now() + pause > deadline) throw lockedBy(path, options);
      await sleep(pause);
      if (options.signal?.aborted) {
        throw new InterruptedError(`Cannot take the lock ${path}: interrupted`, {
          help: "run the command again to continue",
        });
      }
    }
    leaveName(file);
  } catch (error) {
    file.close();
    throw error;
  }
  return { [Symbol.dispose]: () => file.close() };
}

function tryLock(file: Deno.FsFile, path: string): boolean {
  try {
    return file.tryLockSync(true);
  } catch (error) {
    // Windows can open a directory as well, and some file systems have no locks.
    const message = messageOf(error);
    throw new AccessError(`Cannot lock ${path}: ${message}`, {
      cause: error,
      help: "check that it is a file on a local disk",
    });
  }
}

/**
 * Names the holder for those that wait. A full disk must not stop the holder here. A file with other
 * content does not belong to the toolkit and is left unchanged.
 */
function leaveName(file: Deno.FsFile): void {
  try {
    const former = new Uint8Array(64);
    const length = file.readSync(former) ?? 0;
    if (!/^(process \d+\n)?$/.test(new TextDecoder().decode(former.subarray(0, length)))) return;
    file.seekSync(0, Deno.SeekMode.Start);
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`process ${Deno.pid}\n`));
  } catch {
    // The lock is held anyway.
  }
}

function openLockFile(path: string, { directory }: LockOptions): Deno.FsFile {
  refuseSpecialFile(path, { cannot: "lock", help: "move it away" });
  refuseOwnLink(path);
  try {
    return Deno.openSync(path, { create: true, read: true, write: true });
  } catch (error) {
    throw unusable(path, { error, directory });
  }
}

function unusable(
  path: string,
  { error, directory = "directory of the databases" }: {
    readonly error: unknown;
    readonly directory: string | undefined;
  },
): CatalystError {
  if (error instanceof Deno.errors.NotFound) {
    return new LocationError(`Cannot create ${path}: its directory does not exist`, {
      cause: error,
      help: "create the directory first",
    });
  }
  if (isFullDisk(error)) {
    return new DiskFullError(`Cannot create ${path}: the disk is full`, {
      cause: error,
      help: "free some space, then run the command again",
    });
  }
  if (isTooManyFiles(error)) return tooManyFiles(`Cannot open ${path}`, error);
  const help = `check that this user may write to the ${directory}`;
  if (error instanceof Deno.errors.NotCapable) {
    return accessError(`Cannot write ${path}`, error, { help });
  }
  const isReadOnly = /os error 30\b/.test(messageOf(error)); // the whole file system is
  if (seeFile(path) !== null && !isReadOnly) {
    return new AccessError(`Cannot write ${path}: this user may not write the file`, {
      cause: error,
      // A process that still holds this file would not exclude the holder of a new one.
      help: "the file holds no data: if no other catalyst-migrate is running, delete it " +
        `(rm ${shellWord(path)}); ${help}`,
    });
  }
  const reason = isReadOnly ? "the file system is read-only" : "its directory is not writable";
  return new AccessError(`Cannot write ${path}: ${reason}`, { cause: error, help });
}

function lockedBy(
  path: string,
  { timeout, holder = "migrator" }: LockOptions,
): MigratorLockedError {
  return new MigratorLockedError(
    `Cannot take the lock ${path}: another ${holder} held it for ${timeout} s (${
      lastHolder(path)
    })`,
    {
      help:
        "wait until it has finished, then run the command again; --timeout SECONDS waits longer",
    },
  );
}

function lastHolder(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim() || "unknown process";
  } catch {
    return "unknown process";
  }
}
