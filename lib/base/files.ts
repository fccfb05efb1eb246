import { AccessError, DiskFullError, LocationError } from "./errors.ts";
import {
  brokenLinkHelp,
  databasesDirectory,
  denied,
  fileItself,
  isAbsolute,
  refuseOwnLink,
  sizeBeside,
  statPath,
  whereAFileIs,
} from "./paths.ts";
import { messageOf, shellWord } from "./format.ts";

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
    const message = messageOf(error);
    const check = `check that this user may write there${
      use.flag === null ? "" : `, or name another directory with ${use.flag}`
    }`;
    const { reason, help } = error instanceof Deno.errors.NotCapable
      ? denied(message, `give it read and write permission on the ${use.what}`)
      : { reason: message, help: check };
    throw new AccessError(`Cannot create ${directory}: ${reason}`, { cause: error, help });
  }
}

/**
 * Makes sure that the directory of a file is there, with those between it and `base`, which has to be
 * there already: where a disk is not mounted, nothing is created in its place.
 *
 * @throws {LocationError} where a directory isn't there and may not be created, or is a file.
 */
export function ensureDirectories(
  path: string,
  { base, mayCreate }: { readonly base: string; readonly mayCreate: boolean },
): void {
  const before = base === "." && !isAbsolute(path) ? "" : `${base.replace(/\/$/, "")}/`;
  if (!path.startsWith(before)) return ensureDirectory(path, mayCreate);
  const parts = path.slice(before.length).split("/");
  for (let count = 2; count <= parts.length; count++) {
    ensureDirectory(before + parts.slice(0, count).join("/"), true);
  }
  if (parts.length === 1) ensureDirectory(path, mayCreate);
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

/**
 * Mode for a new file with the contents of others: whoever may not read one of them may not read it
 * either. Undefined, for what the umask says, where none of them is there, or files have no modes.
 */
export function modeLike(...paths: readonly string[]): number | undefined {
  let mode: number | null = null;
  for (const path of paths) {
    try {
      mode = (mode ?? 0o666) & (Deno.statSync(path).mode ?? 0o666);
    } catch {
      // It isn't there, or may not be looked at, and so is not what is copied.
    }
  }
  return mode ?? undefined;
}

/** Makes an empty file to be filled with the contents of another one; one that is there stays as it is. */
export function createLike(path: string, source: string): void {
  refuseOwnLink(path);
  const mode = modeLike(source);
  if (mode === undefined) return;
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: mode | 0o200 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
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
export async function writeDurably(
  path: string,
  text: string,
  mode?: number | undefined,
): Promise<void> {
  refuseOwnLink(path);
  await Deno.writeTextFile(path, text, mode === undefined ? {} : { mode });
  await syncFile(path);
}

/** Writes a small text file of the toolkit's own. */
export function writeNote(path: string, text: string): void {
  refuseOwnLink(path);
  Deno.writeTextFileSync(path, text);
}

/** Removes a file if it is there. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Cleans up after something else has failed, or all is done. Its own failure must not hide the outcome.
 */
export async function ignoring(work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    // What is left is removed later, or is only in the way.
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
interface RoomOptions {
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
    { help: `free some space, or name another directory with ${flag}` },
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

/**
 * Unpacks what gzip packed, also where several packed files follow each other, as `cat` or `bgzip`
 * leave them. Fails with an error whose code begins with `Z_` where the data is damaged or cut short.
 */
export async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const [{ createGunzip }, { Readable }] = await Promise.all([
    import("node:zlib"),
    import("node:stream"),
  ]);
  const source = Readable.from(chunks);
  const unpacked = source.pipe(createGunzip());
  source.on("error", (error) => unpacked.destroy(error));
  try {
    yield* unpacked;
  } finally {
    source.destroy();
    unpacked.destroy();
  }
}

/** Whether an error of {@link gunzip} says that the packed data is damaged or cut short. */
export function isDamagedGzip(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^Z_/.test(String(error.code));
}
