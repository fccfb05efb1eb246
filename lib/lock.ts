import { sleep } from "./database/transaction.ts";
import {
  AccessError,
  DiskFullError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
} from "./errors.ts";

/** Says whether to stop; an `AbortSignal` is one. */
export interface StopFlag {
  /** Whether to stop. */
  readonly aborted: boolean;
}

/** How to wait for the lock. */
export interface LockOptions {
  /** Seconds to wait for another migrator. */
  readonly timeout: number;
  /** Ends the wait. */
  readonly signal?: StopFlag | undefined;
}

/**
 * Takes the lock that keeps two migrators apart: an operating system's lock on a file, so that it
 * dies with the process that held it, whatever killed it. The file itself stays; its text names the
 * last holder.
 *
 * @throws {MigratorLockedError} where another migrator holds it for longer than the timeout.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<Disposable> {
  const file = openLockFile(path);
  try {
    const deadline = performance.now() + options.timeout * 1000;
    for (let pause = 1; !file.tryLockSync(true); pause = Math.min(pause * 2, 50)) {
      if (performance.now() + pause > deadline) throw lockedBy(path, options.timeout);
      await sleep(pause);
      if (options.signal?.aborted) {
        throw new InterruptedError(`Cannot take the lock ${path}: interrupted`, {
          help: "nothing was changed; run the command again to go on",
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

/** Only a help for whoever waits: a full disk must not stop the holder here. */
function leaveName(file: Deno.FsFile): void {
  try {
    file.truncateSync();
    file.writeSync(new TextEncoder().encode(`process ${Deno.pid}\n`));
  } catch {
    // The lock itself is held all the same.
  }
}

function openLockFile(path: string): Deno.FsFile {
  try {
    return Deno.openSync(path, { create: true, read: true, write: true });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${path}: its directory does not exist`, {
        cause: error,
        help: "create the directory first; nothing was changed",
      });
    }
    if (/os error (28|122)\b|os error 112/.test(message)) {
      throw new DiskFullError(`Cannot create ${path}: the disk is full`, {
        cause: error,
        help: "free some space, then run the command again; nothing was lost",
      });
    }
    const reason = error instanceof Deno.errors.NotCapable
      ? `Deno was not given the permission (${message})`
      : "the file or its directory is not writable";
    throw new AccessError(`Cannot write ${path}: ${reason}`, {
      cause: error,
      help: "check that this user may write the directory of the databases; nothing was changed",
    });
  }
}

function lockedBy(path: string, timeout: number): MigratorLockedError {
  return new MigratorLockedError(
    `Cannot take the lock ${path}: another migrator held it for ${timeout} s (${holder(path)})`,
    {
      help:
        "wait until it has finished, then run the command again; --timeout SECONDS waits longer",
    },
  );
}

function holder(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim() || "unknown process";
  } catch {
    return "unknown process";
  }
}
