import type { DatabaseSync } from "node:sqlite";
import { AccessError, LocationError, UsageError } from "../base/errors.ts";
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
  if (stat === null) return { exists: false, sizeBytes: null };
  if (!stat.isFile) throw noFile(location.path, stat);
  return { exists: true, sizeBytes: stat.size };
}

/** What is wrong with a database's place in which something else is, such as a pipe. */
export function noFile(path: string, { isDirectory }: Deno.FileInfo): LocationError {
  const [what, it] = isDirectory ? ["a directory", "the directory"] : ["not a file", "it"];
  return new LocationError(`Cannot use ${path} as a database: it is ${what}`, {
    help: `move ${it} away, or name another place for the databases`,
  });
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
    const { NotADirectory, NotFound } = Deno.errors;
    // Of a path below a file Windows says only that there is none.
    const file = error instanceof NotADirectory
      ? fileIn(path) ?? "a part of it"
      : error instanceof NotFound && Deno.build.os === "windows"
      ? fileIn(path)
      : null;
    if (file !== null) {
      throw new LocationError(`Cannot use ${path}: ${file} is a file, not a directory`, {
        cause: error,
        help: whereAFileIs(use),
      });
    }
    if (error instanceof NotFound) return null;
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Deno.errors.NotCapable) {
      const denial = denied(message, `give it read and write permission on the ${use.what}`);
      throw new AccessError(`Cannot look at ${path}: ${denial.reason}`, {
        cause: error,
        help: denial.help,
      });
    }
    if (error instanceof Deno.errors.FilesystemLoop) {
      throw new LocationError(`Cannot use ${path}: it is a link that leads back to itself`, {
        cause: error,
        help: "correct the link, or remove it",
      });
    }
    throw new AccessError(`Cannot look at ${path}: ${message}`, {
      cause: error,
      help: `check that this user may read the ${use.what}`,
    });
  }
}

/** What Deno says is missing, without its advice, which is for whoever starts or builds the program. */
export function missingPermission(message: string): string {
  return message.replace(/, (run again|specify) .*$/s, "");
}

/** How a message says what Deno doesn't permit, and what to do: `help`, where that is enough. */
export function denied(
  message: string,
  help: string,
): { readonly reason: string; readonly help: string } {
  const missing = missingPermission(message);
  return {
    reason: `Deno was not given the permission (${missing})`,
    // So it is of /dev, /proc and /sys, whatever permissions are named.
    help: missing.startsWith("Requires all access")
      ? "Deno lets no program write there but one that it runs with -A: use another directory" +
        (Deno.build.standalone ? ", or deno run -A jsr:@catalyst/migrate" : "")
      : help,
  };
}

/** The part of a path that is a file, where a directory should be; null where none can be seen. */
function fileIn(path: string): string | null {
  for (const { index } of path.matchAll(Deno.build.os === "windows" ? /[/\\]/g : /\//g)) {
    const part = path.slice(0, index);
    try {
      if (!Deno.statSync(part).isDirectory) return part;
    } catch {
      // Nobody has to be allowed to look at what is above the databases.
    }
  }
  return null;
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

/** Where a file itself is, or would be made, for what SQLite keeps beside it. */
export function fileItself(path: string): string {
  return isLink(path) ? endOf(path) : path;
}

/** Whether a path is a link, also one to a place where nothing is. */
export function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

/** Links that a system follows before it gives up. */
const MOST_LINKS = 40;

/** Where a link leads, also where nothing is there, or Deno may not look further. */
function endOf(path: string, links = MOST_LINKS): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    try {
      const next = Deno.readLinkSync(path);
      if (links === 0) return path;
      return endOf(
        isAbsolute(next) ? next : `${Deno.realPathSync(parentOf(path))}/${next}`,
        links - 1,
      );
    } catch {
      return path;
    }
  }
}

/** Whether a path begins at a root, or at a drive of Windows. Not by `node:path`: that takes time to load. */
export function isAbsolute(path: string): boolean {
  return /^([A-Za-z]:)?[\\/]/.test(path);
}

function parentOf(path: string): string {
  const end = Deno.build.os === "windows" ? path.search(/[^\\/]*$/) : path.lastIndexOf("/") + 1;
  return path.slice(0, end) || ".";
}

/**
 * Refuses a database that is a link to where its file can't be replaced: SQLite follows a link by
 * itself, but Deno has to make, move and remove files beside that file.
 *
 * @throws {AccessError} where Deno may not do that, or the link leads to itself.
 * @throws {LocationError} where there is no directory for it.
 */
export function refuseLink(path: string, { cannot }: { readonly cannot: string }): void {
  if (!isLink(path)) return;
  statPath(path); // says it of a link that leads to itself
  const itself = fileItself(path);
  const directory = parentOf(itself);
  if (!mayRead(directory) || !mayWrite(directory)) {
    throw new AccessError(
      `Cannot ${cannot}: ${path} is a link to ${itself}, and Deno may not write in ${directory}`,
      { help: `give it read and write permission on ${directory} as well` },
    );
  }
  if (statPath(directory) !== null) return;
  throw new LocationError(
    `Cannot ${cannot}: ${path} is a link to ${itself}, which isn't there and can't be made`,
    { help: brokenLinkHelp },
  );
}

/** What to do about a link to a place that isn't there. */
export const brokenLinkHelp =
  "check that the disk and the directory that it leads to are there, or correct the link";

/**
 * Size of what SQLite keeps beside a file; 0 where there is nothing. Null where it can't be told: a
 * link may lead to where Deno may not look, while SQLite does.
 */
export function sizeBeside(
  itself: string,
  ending: "-wal" | "-shm" | "-journal",
): number | null {
  try {
    return Deno.statSync(`${itself}${ending}`).size;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? 0 : null;
  }
}

/** Whether there is something at a path, or it can't be told. */
export function mayBeThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Whether Deno may read a path or an address; it asks nobody. */
export function mayRead(path: string | URL): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}
