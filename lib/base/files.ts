import { AccessError, DiskFullError, LocationError } from "./errors.ts";
import {
  brokenLinkHelp,
  databasesDirectory,
  denied,
  fileItself,
  sizeBeside,
  statPath,
  whereAFileIs,
} from "./paths.ts";
import { shellWord } from "./suggestion.ts";

/**
 * Makes sure that the directory of a file is there.
 *
 * @throws {LocationError} where it isn't and may not be created, or is a file.
 */
export function ensureDirectory(
  path: string,
  mayCreate: boolean,
  use = databasesDirectory,
): void {
  const directory = directoryOf(path);
  const stat = statPath(directory, use);
  if (stat?.isDirectory) return;
  if (stat !== null) {
    throw new LocationError(`Cannot use ${directory} as ${use.what}: it is a file`, {
      help: whereAFileIs(use),
    });
  }
  if (!mayCreate) {
    throw new LocationError(`Cannot use ${directory} as ${use.what}: it does not exist`, {
      help: `create it first: mkdir -p ${shellWord(directory)}`,
    });
  }
  try {
    Deno.mkdirSync(directory);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      if (statPath(directory, use) !== null) return; // somebody else was quicker
      throw new LocationError(
        `Cannot use ${directory} as ${use.what}: it is a link to a place that is not there`,
        { cause: error, help: brokenLinkHelp },
      );
    }
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        cause: error,
        help: `create it first: mkdir -p ${shellWord(directory)}`,
      });
    }
    const message = error instanceof Error ? error.message : String(error);
    const check = `check that this user may write there${
      use.flag === null ? "" : `, or name another directory with ${use.flag}`
    }`;
    const { reason, help } = error instanceof Deno.errors.NotCapable
      ? denied(message, `give it read and write permission on the ${use.what}`)
      : { reason: message, help: check };
    throw new AccessError(`Cannot create ${directory}: ${reason}`, { cause: error, help });
  }
}

/** The directory part of a path, by either separator; `.` where it has none. */
export function directoryOf(path: string): string {
  const end = Math.max(
    path.lastIndexOf("/"),
    Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1,
  );
  return end === -1 ? "." : end === 0 ? "/" : path.slice(0, end);
}

/**
 * Refuses a prefix of file names whose directory isn't there.
 *
 * @throws {LocationError} naming the directory and the variable that holds the prefix.
 */
export function refuseMissingDirectory(prefix: string, variable: string): void {
  const directory = directoryOf(prefix);
  try {
    Deno.statSync(directory);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return; // said in full where it is used
    throw new LocationError(
      `Cannot use ${variable}=${JSON.stringify(prefix)}: directory ${directory} does not exist`,
      {
        cause: error,
        help: `create it (mkdir -p ${shellWord(directory)}), or correct ${variable}`,
      },
    );
  }
}

/** Whether an error of the system says that a disk, or what a user may have of it, is full. */
export function isFullDisk(error: unknown): boolean {
  return error instanceof Error && /os error (28|112|122)\b/.test(error.message);
}

/** Waits until a file is on the disk. */
export async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
}

/** Waits until the names in a directory are on the disk; where directories can't be opened it does nothing. */
export async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path);
  await directory.sync();
}

/** Writes a new text file and waits until it is on the disk. */
export async function writeDurably(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(path, text);
  await syncFile(path);
}

/** Removes a file if it is there. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes a database if it is there, with the files that SQLite keeps beside it while it works. */
export function removeDatabase(path: string): void {
  for (const ending of ["-journal", "-wal", "-shm", ""]) removeIfThere(`${path}${ending}`);
}

/** Size of a file in bytes; null where there is none. */
export function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Size of a database's log in bytes; 0 where there is none, or it can't be looked at. */
export function logSizeOf(path: string): number {
  return sizeBeside(fileItself(path), "-wal") ?? 0;
}

/** Whether there is a file of that name, and nothing else. */
export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Who asks for room. */
export interface RoomOptions {
  /** Flag by which another directory is named. Default `--out`. */
  readonly flag?: string;
}

/**
 * Refuses to begin what would not fit.
 *
 * @throws {DiskFullError} where a directory's disk has less room than `bytes`. Where Deno may not
 * ask for it, the disk itself will say so.
 */
export async function requireRoom(
  directory: string,
  bytes: number,
  { flag = "--out" }: RoomOptions = {},
): Promise<void> {
  const room = await roomIn(directory);
  if (room === null || room >= bytes) return;
  throw new DiskFullError(
    `Cannot write to ${directory}: ${megabytes(bytes)} are needed, and ${megabytes(room)} are free`,
    { help: `free some space, or name another directory with ${flag}; nothing was written` },
  );
}

/** Free bytes of a directory's disk; null where they can't be told. */
export async function roomIn(directory: string): Promise<number | null> {
  try {
    const { statfsSync } = await import("node:fs");
    const { bavail, bsize } = statfsSync(directory);
    return Number(bavail) * Number(bsize);
  } catch {
    return null;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** What a file is called until it is whole and checked. */
export function partOf(file: string): string {
  return `${file}.part`;
}

export const TOO_MANY_FILES = "this process may open no more files";
export const RAISE_LIMIT =
  "raise the limit, such as by `ulimit -n 1024`, then run the command again";

/** Whether an error of the system says that a process, or all of them, have too many files open. */
export function isTooManyFiles(error: unknown): boolean {
  return Deno.build.os !== "windows" && /os error (23|24)\b/.test(messageOf(error));
}

/** The error for {@link isTooManyFiles}. */
export function tooManyFiles(cannot: string, cause: unknown): AccessError {
  return new AccessError(`${cannot}: ${TOO_MANY_FILES}`, { cause, help: RAISE_LIMIT });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Waits for so many milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
