import { fileItself, sizeOf } from "./paths.ts";

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
    const index = `${fileItself(path)}-shm`;
    const locks = locksOn(path, index);
    const writing = locks.filter((lock) => lock.exclusive);
    // Outside WAL mode a reader blocks writers too; in WAL mode every connection has a shared lock.
    return otherHolders(writing.length === 0 && sizeOf(index) === null ? locks : writing);
  } catch {
    return [];
  }
}

/**
 * The holders of locks other than this process, each once; locks held by the kernel have no process.
 */
export function otherHolders(locks: readonly Pick<FileLock, "pid">[]): Holder[] {
  return [...new Set(locks.map(({ pid }) => pid))].filter((pid) => pid > 0 && pid !== Deno.pid)
    .map((pid) => ({ pid, command: commandLineOf(pid) }));
}

/** The writers of a file as a phrase, such as `process 4242 (deno run bot.ts)`. */
export function describeHolders(path: string): string {
  return writersOf(path)
    .map(({ pid, command }) => `process ${pid}${command === "" ? "" : ` (${command})`}`)
    .join(", ");
}

/** The locks that any process, even this one, holds on files, from Linux's `/proc/locks`. */
export function locksOn(...paths: readonly string[]): FileLock[] {
  const inodes = paths.flatMap(inodeOf);
  return parseLocks(readLocks()).filter(({ inode }) => inodes.includes(inode));
}

/**
 * Reads Linux's list of locks in pieces as large as the kernel returns. The list may change between two
 * reads, so with the small pieces of `readTextFile` a lock could be missed.
 */
function readLocks(): string {
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
export function commandLineOf(pid: number): string {
  try {
    const command = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
    return command.length > COMMAND_LENGTH ? `${command.slice(0, COMMAND_LENGTH)}...` : command;
  } catch {
    return "";
  }
}
