import type { DatabaseSync } from "node:sqlite";
import { AccessError, LocationError, UsageError } from "../errors.ts";
import type { DenoSqliteDatabase } from "./deno_sqlite.ts";

/**
 * What a program may name as a database: a path, a `file:` URL, or a database that it has open,
 * a `DatabaseSync` of `node:sqlite` or a `Database` of `jsr:@db/sqlite`. Of the latter no snapshot is
 * taken: two SQLite libraries in one process must not open the same file.
 */
export type DatabaseSource = string | URL | DatabaseSync | DenoSqliteDatabase;

/** Where a database is. */
export type DatabaseLocation =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "open";
    readonly handle: DatabaseSync | DenoSqliteDatabase;
    readonly path: string;
  };

/**
 * Whether a database is open through another SQLite library than ours. Two of them must not open the
 * same file in one process: to close it in one drops the locks of the other.
 */
export function isForeign(location: DatabaseLocation): boolean {
  return location.kind === "open" && !("location" in location.handle);
}

/**
 * Refuses a database whose file would be opened by our SQLite while another one has it open.
 *
 * @throws {UsageError} where it is open through another SQLite library.
 */
export function refuseForeign(
  location: DatabaseLocation,
  { cannot }: { readonly cannot: string },
): void {
  if (!isForeign(location)) return;
  throw new UsageError(`Cannot ${cannot}: it is open through another SQLite library`, {
    help: "close it first, and give its path in place of the open database",
  });
}

/** What can be told of a database without opening it. */
export interface DatabaseStat {
  /** Whether there is one. */
  readonly exists: boolean;
  /** Size of its main file in bytes; null where it isn't a file. */
  readonly sizeBytes: number | null;
}

/** Says where a source is. */
export function locate(source: DatabaseSource): DatabaseLocation {
  if (typeof source === "string") return { kind: "file", path: source };
  if (source instanceof URL) return { kind: "file", path: pathOf(source) };
  const path = "location" in source ? source.location() : source.path;
  return { kind: "open", handle: source, path: path || ":memory:" };
}

/** Not by `node:url`, which takes long to load. */
function pathOf(url: URL): string {
  if (url.protocol !== "file:" || url.host !== "") {
    throw new LocationError(
      `Cannot use ${url.href} as a database: it is no address of a file here`,
      {
        help: "give a path, or an address that begins with file:///",
      },
    );
  }
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.replace(/^\/(?=[A-Za-z]:)/, "") : path;
}

/**
 * Says whether a database is there; never creates anything.
 *
 * @throws {LocationError} where something else is in its place.
 */
export function statDatabase(location: DatabaseLocation): DatabaseStat {
  if (location.kind === "open") return { exists: true, sizeBytes: sizeOf(location.path) };
  // By this name SQLite opens a new one in memory, and no file.
  if (location.path === ":memory:") return { exists: false, sizeBytes: null };
  const stat = statPath(location.path);
  if (stat?.isDirectory) {
    throw new LocationError(`Cannot use ${location.path} as a database: it is a directory`, {
      help: "move the directory away, or name another place for the databases",
    });
  }
  return stat === null
    ? { exists: false, sizeBytes: null }
    : { exists: true, sizeBytes: stat.size };
}

function sizeOf(path: string): number | null {
  if (path === ":memory:") return null;
  try {
    return Deno.statSync(path).size;
  } catch {
    return null; // nobody allowed to look
  }
}

/** What a directory is for, so that a message about it says so. */
export interface DirectoryUse {
  /** Such as `directory of the snapshots`. */
  readonly what: string;
  /** Flag by which another one is named; null where there is none. */
  readonly flag: string | null;
}

/** The directory that most of what is done needs. */
export const databasesDirectory: DirectoryUse = {
  what: "directory of the databases",
  flag: "--data-dir",
};

/** `name another directory with --out, or move the file away`. */
export function whereAFileIs({ flag }: DirectoryUse): string {
  return flag === null
    ? "move the file away"
    : `name another directory with ${flag}, or move the file away`;
}

/**
 * What is at a path; null where there is nothing.
 *
 * @throws {LocationError} where a part of the path is a file.
 * @throws {AccessError} where it may not be looked at.
 */
export function statPath(path: string, use = databasesDirectory): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new LocationError(`Cannot use ${path}: ${fileIn(path)} is a file, not a directory`, {
        cause: error,
        help: whereAFileIs(use),
      });
    }
    const message = error instanceof Error ? error.message : String(error);
    throw error instanceof Deno.errors.NotCapable
      ? new AccessError(`Cannot look at ${path}: Deno was not given the permission (${message})`, {
        cause: error,
        help: `give it read and write permission on the ${use.what}`,
      })
      : new AccessError(`Cannot look at ${path}: ${message}`, {
        cause: error,
        help: `check that this user may read the ${use.what}`,
      });
  }
}

/** The part of a path that is a file, where a directory should be. */
function fileIn(path: string): string {
  for (let end = path.indexOf("/", 1); end !== -1; end = path.indexOf("/", end + 1)) {
    const part = path.slice(0, end);
    try {
      if (!Deno.statSync(part).isDirectory) return part;
    } catch {
      // Nobody has to be allowed to look at what is above the databases.
    }
  }
  return "a part of it";
}

/** A file, seen without opening it. */
export interface SeenFile {
  /**
   * Where the file itself is: SQLite keeps `-wal`, `-shm` and `-journal` beside the file, and not
   * beside a link to it.
   */
  readonly itself: string;
  /** Changes with each write to it. */
  readonly version: string;
}

/** Looks at a file, through links; null where there is none, or it can't be looked at. */
export function seeFile(path: string): SeenFile | null {
  try {
    const info = Deno.lstatSync(path);
    if (!info.isSymlink) return { itself: path, version: versionOf(info) };
    return { itself: Deno.realPathSync(path), version: versionOf(Deno.statSync(path)) };
  } catch {
    return null;
  }
}

function versionOf({ mtime, size, ino }: Deno.FileInfo): string {
  return `${mtime?.getTime()} ${size} ${ino}`;
}

/** Changes with each write to a file; null where it can't be looked at. */
export function fileVersion(path: string): string | null {
  return seeFile(path)?.version ?? null;
}

/** Where a file itself is, for what SQLite keeps beside it; the path as it is where there is no file. */
export function fileItself(path: string): string {
  return seeFile(path)?.itself ?? path;
}

/** Whether a path is a link, also one to a place where nothing is. */
export function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

/**
 * Refuses a database that is a link into a directory where Deno may not write: SQLite itself follows
 * it, but what has to be made, moved or removed beside the file could not be.
 *
 * @throws {AccessError} where it is one.
 */
export function refuseHiddenFile(path: string, { cannot }: { readonly cannot: string }): void {
  const itself = fileItself(path);
  const beside = `${itself}-wal`;
  if (itself === path || mayRead(beside) && mayWrite(beside)) return;
  throw new AccessError(
    `Cannot ${cannot}: ${path} is a link to ${itself}, and Deno may not write beside that`,
    { help: "name the directory that it leads to in --allow-read and --allow-write as well" },
  );
}

/** Whether Deno may read a path or an address; it asks nobody. */
export function mayRead(path: string | URL): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}
