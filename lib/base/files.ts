/**
 * Creates, syncs and removes files and directories, and checks the free space.
 *
 * @module
 */
import { AccessError, DiskFullError, LocationError } from "./errors.ts";
import {
  accessError,
  brokenLinkHelp,
  databasesDirectory,
  directoryOf,
  fileItself,
  isAbsolute,
  isLink,
  mayRead,
  refuseOwnLink,
  sizeBeside,
  statPath,
  whereAFileIs,
} from "./paths.ts";
import { shellWord } from "./format.ts";

/**
 * Makes sure that a directory exists.
 *
 * @throws {LocationError} if it does not exist and may not be created, or is a file.
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
      if (statPath(directory, use) !== null) return; // another process created it first
      throw new LocationError(
        `Cannot use ${directory} as ${use.what}: it is a link to a missing directory`,
        { cause: error, help: brokenLinkHelp },
      );
    }
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        cause: error,
        help: `create it first: mkdir -p ${shellWord(directory)}`,
      });
    }
    throw accessError(`Cannot create ${directory}`, error, {
      help: "check that this user may write there" +
        (use.flag === null ? "" : `, or name another directory with ${use.flag}`),
      permission: `give it read and write permission on the ${use.what}`,
    });
  }
}

/**
 * Makes sure that a directory exists, with those between it and `base`. `base` itself must exist: if
 * its disk is not mounted, nothing is created in the mount point.
 *
 * @throws {LocationError} if a directory does not exist and may not be created, or is a file.
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

/**
 * Refuses a link to a file that cannot be replaced. SQLite follows links, but Deno must be able to
 * create, move and remove files beside the target.
 *
 * @throws {AccessError} if Deno may not do that, or the link leads to itself.
 * @throws {LocationError} if the target's directory does not exist.
 */
export function refuseLink(path: string, { cannot }: { readonly cannot: string }): void {
  if (!isLink(path)) return;
  statPath(path); // reports a link to itself
  const itself = fileItself(path);
  const directory = directoryOf(itself);
  if (!mayRead(directory) || !mayWrite(directory)) {
    throw new AccessError(
      `Cannot ${cannot}: ${path} is a link to ${itself}, and Deno may not write in ${directory}`,
      { help: `give it read and write permission on ${directory} as well` },
    );
  }
  if (statPath(directory) !== null) return;
  throw new LocationError(
    `Cannot ${cannot}: ${path} is a link to ${itself}, which does not exist and cannot be created`,
    { help: brokenLinkHelp },
  );
}

function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}

/**
 * Refuses a prefix of file names whose directory does not exist.
 *
 * @throws {LocationError} naming the directory and the variable that holds the prefix.
 */
export function refuseMissingDirectory(prefix: string, variable: string): void {
  const directory = directoryOf(prefix);
  try {
    Deno.statSync(directory);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return; // reported in full where it is used
    throw new LocationError(
      `Cannot use ${variable}=${JSON.stringify(prefix)}: directory ${directory} does not exist`,
      {
        cause: error,
        help: `create it (mkdir -p ${shellWord(directory)}), or correct ${variable}`,
      },
    );
  }
}

/** Whether a system error says that a disk is full or a quota is exceeded. */
export function isFullDisk(error: unknown): boolean {
  return error instanceof Error && /os error (28|112|122)\b/.test(error.message);
}

/**
 * Mode for a new file with the contents of other files: only users who may read all of them may read
 * it. Undefined, which leaves it to the umask, if none of them exists or files have no modes.
 */
export function modeLike(...paths: readonly string[]): number | undefined {
  let mode: number | null = null;
  for (const path of paths) {
    try {
      mode = (mode ?? 0o666) & (Deno.statSync(path).mode ?? 0o666);
    } catch {
      // Missing or inaccessible, so it is not what is copied.
    }
  }
  return mode ?? undefined;
}

/** Creates an empty file for the contents of another one; an existing file is left unchanged. */
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

/** Syncs a file to disk. */
export async function syncFile(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true, write: true });
  await file.sync();
}

/** Syncs the entries of a directory to disk; does nothing where directories cannot be opened. */
export async function syncDirectory(path: string): Promise<void> {
  if (Deno.build.os === "windows") return;
  using directory = await Deno.open(path);
  await directory.sync();
}

/** Writes a new text file and syncs it to disk. */
export async function writeDurably(
  path: string,
  text: string,
  mode?: number | undefined,
): Promise<void> {
  refuseOwnLink(path);
  await Deno.writeTextFile(path, text, mode === undefined ? {} : { mode });
  await syncFile(path);
}

/** Writes a small text file for the toolkit's own use. */
export function writeNote(path: string, text: string): void {
  refuseOwnLink(path);
  Deno.writeTextFileSync(path, text);
}

/** Removes a file if it exists. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Cleans up after the work has failed or finished. A failure here must not hide the outcome.
 */
export async function ignoringErrors(work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch {
    // Leftovers are removed later, or do no harm.
  }
}

/** Removes a database if it exists, with the files that SQLite keeps beside it. */
export function removeDatabase(path: string): void {
  for (const ending of ["-journal", "-wal", "-shm", ""]) removeIfThere(`${path}${ending}`);
}

/** Size of a database's log in bytes; 0 if there is none or it is inaccessible. */
export function logSizeOf(path: string): number {
  return sizeBeside(fileItself(path), "-wal") ?? 0;
}

/** Whether a path is an ordinary file. */
export function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Options of {@link requireRoom}. */
interface RoomOptions {
  /** Flag that names another directory. Default `--out`. */
  readonly flag?: string;
}

/**
 * Checks that there is enough free space.
 *
 * @throws {DiskFullError} if the disk of a directory has fewer than `bytes` free. Without permission
 * to ask, nothing is checked.
 */
export async function requireRoom(
  directory: string,
  bytes: number,
  { flag = "--out" }: RoomOptions = {},
): Promise<void> {
  const room = await roomIn(directory);
  if (room === null || room >= bytes) return;
  throw new DiskFullError(
    `Cannot write to ${directory}: ${megabytes(bytes)} needed, ${megabytes(room)} free`,
    { help: `free some space, or name another directory with ${flag}` },
  );
}

/** Free bytes on a directory's disk; null if unknown. */
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

/**
 * Decompresses gzip data, including several gzip files in a row as `cat` or `bgzip` write them. Fails
 * with an error whose code begins with `Z_` if the data is damaged or truncated.
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

/** Whether an error of {@link gunzip} says that the data is damaged or truncated. */
export function isDamagedGzip(error: unknown): boolean {
  return error instanceof Error && "code" in error && /^Z_/.test(String(error.code));
}
