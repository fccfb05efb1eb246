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

/**
 * What is at a path; null where there is nothing.
 *
 * @throws {LocationError} where a part of the path is a file.
 * @throws {AccessError} where it may not be looked at.
 */
export function statPath(path: string): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof Deno.errors.NotADirectory) {
      throw new LocationError(`Cannot use ${path}: ${fileIn(path)} is a file, not a directory`, {
        cause: error,
        help: "name another directory with --data-dir, or move the file away",
      });
    }
    const message = error instanceof Error ? error.message : String(error);
    throw error instanceof Deno.errors.NotCapable
      ? new AccessError(`Cannot look at ${path}: Deno was not given the permission (${message})`, {
        cause: error,
        help: "give it read and write permission on the directory of the databases",
      })
      : new AccessError(`Cannot look at ${path}: ${message}`, {
        cause: error,
        help: "check that this user may read the directory of the databases",
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

/** Whether Deno may read a path or an address; it asks nobody. */
export function mayRead(path: string | URL): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** Changes with each write to a file; null where it can't be looked at. */
export function fileVersion(path: string): string | null {
  try {
    const { mtime, size, ino } = Deno.statSync(path);
    return `${mtime?.getTime()} ${size} ${ino}`;
  } catch {
    return null;
  }
}
