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
  fileItself,
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

/** A process that holds a lock on a file. */
export interface Holder {
  /** Its process id. */
  readonly pid: number;
  /** Its command line, shortened; empty if it is unreadable. */
  readonly command: string;
}

/** Length in characters to which a command line is shortened. */
const COMMAND_LENGTH = 60;

/**
 * Processes whose locks prevent others from writing a database file, from Linux's `/proc/locks`. Empty on
 * other systems and without permission to read it (`-A` grants it).
 */
export function writersOf(path: string): Holder[] {
  try {
    // In WAL mode the write lock is on the shared-memory file, otherwise on the database itself.
    const inodes = [path, `${fileItself(path)}-shm`].flatMap(inodeOf);
    const locks = parseLocks(readLocks())
      .filter((lock) => inodes.includes(lock.inode));
    const writing = locks.filter((lock) => lock.exclusive);
    // Outside WAL mode a reader blocks writers too; in WAL mode every connection has a shared lock.
    const pids = (writing.length === 0 && inodes.length === 1 ? locks : writing)
      .map((lock) => lock.pid);
    return othersOf(pids);
  } catch {
    return [];
  }
}

/** Processes other than this one, each once; locks held by the kernel have no process. */
export function othersOf(pids: readonly number[]): Holder[] {
  return [...new Set(pids)].filter((pid) => pid > 0 && pid !== Deno.pid)
    .map((pid) => ({ pid, command: commandOf(pid) }));
}

/** The writers of a file as a phrase, such as `process 4242 (deno run bot.ts)`. */
export function describeHolders(path: string): string {
  return writersOf(path)
    .map(({ pid, command }) => `process ${pid}${command === "" ? "" : ` (${command})`}`)
    .join(", ");
}

/**
 * Reads Linux's list of locks in pieces as large as the kernel returns. The list may change between two
 * reads, so with the small pieces of `readTextFile` a lock could be missed.
 */
export function readLocks(): string {
  using file = Deno.openSync("/proc/locks");
  const piece = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  let text = "";
  for (let size = file.readSync(piece); size !== null; size = file.readSync(piece)) {
    text += decoder.decode(piece.subarray(0, size));
  }
  return text;
}

/** A lock that a process holds on part of a file. */
interface FileLock {
  readonly exclusive: boolean;
  readonly pid: number;
  readonly inode: number;
  /** Its first byte. */
  readonly start: number;
  /** Its last byte; infinite if it extends to the end. */
  readonly end: number;
}

/** Reads lines such as `1: POSIX  ADVISORY  WRITE 6582 fe:00:1603 120 120`. */
export function parseLocks(text: string): FileLock[] {
  return text.split("\n").flatMap((line) => {
    const match = /(READ|WRITE)\s+(\d+)\s+\S+:(\d+)\s+(\d+)\s+(\d+|EOF)/.exec(line);
    if (match === null || line.includes("->")) return [];
    const [, kind, pid, inode, start, end] = match;
    return [{
      exclusive: kind === "WRITE",
      pid: Number(pid),
      inode: Number(inode),
      start: Number(start),
      end: end === "EOF" ? Infinity : Number(end),
    }];
  });
}

function inodeOf(path: string): number[] {
  try {
    const { ino } = Deno.statSync(path);
    return ino === null ? [] : [ino];
  } catch {
    return [];
  }
}

/** Command line of a process, shortened; empty if it is unreadable. */
export function commandOf(pid: number): string {
  try {
    const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
    return command.length > COMMAND_LENGTH ? `${command.slice(0, COMMAND_LENGTH)}...` : command;
  } catch {
    return "";
  }
}
