import { messageOf } from "./format.ts";
import { AccessError, LocationError } from "./errors.ts";

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
    const message = messageOf(error);
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
interface SeenFile {
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

/** What two paths of one file have in common, whether through links or not; null where it is not there. */
export function fileIdentity(path: string): string | null {
  try {
    const { dev, ino } = Deno.statSync(path);
    return ino === null ? null : `${dev} ${ino}`;
  } catch {
    return null;
  }
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

export function parentOf(path: string): string {
  const end = Deno.build.os === "windows" ? path.search(/[^\\/]*$/) : path.lastIndexOf("/") + 1;
  return path.slice(0, end) || ".";
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

/** What is at a path that isn't an ordinary file, such as `a directory` or `a pipe`; null for a file. */
export function specialKind(info: Deno.FileInfo): string | null {
  if (info.isFile) return null;
  if (info.isDirectory) return "a directory";
  if (info.isFifo) return "a pipe";
  if (info.isSocket) return "a socket";
  return "a device";
}

/**
 * Refuses what isn't an ordinary file: to open a pipe waits for a writer, and a device may have no
 * end. A path at which nothing is, or that can't be looked at, is left to whoever opens it.
 *
 * @throws {LocationError} naming what is there.
 */
export function refuseSpecialFile(
  path: string,
  { cannot, help = "name a file, or move it away" }: {
    readonly cannot: string;
    readonly help?: string;
  },
): void {
  let kind: string | null;
  try {
    kind = specialKind(Deno.statSync(path));
  } catch {
    return;
  }
  if (kind === null) return;
  throw new LocationError(`Cannot ${cannot} ${path}: it is ${kind}, not a file`, {
    help,
  });
}

/**
 * Refuses a symbolic link in the place of a file of the toolkit's own, such as a lock: whoever may write
 * to its directory could else let it overwrite any file.
 *
 * @throws {LocationError} naming the link.
 */
export function refuseOwnLink(path: string): void {
  if (!isLink(path)) return;
  throw new LocationError(`Cannot write ${path}: it is a symbolic link`, {
    help: "remove the link, then run the command again",
  });
}
