/**
 * What a path leads to: a file, a link or nothing, and why Deno or the system refuses it.
 *
 * @module
 */
import { messageOf } from "./format.ts";
import { AccessError, LocationError } from "./errors.ts";

/** The purpose of a directory, for messages. */
export interface DirectoryUse {
  /** Such as `directory of the snapshots`. */
  readonly what: string;
  /** Flag that names another one; null if there is none. */
  readonly flag: string | null;
}

/** The directory that most operations use. */
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
 * File information for a path; null if it does not exist.
 *
 * @throws {LocationError} if a part of the path is a file.
 * @throws {AccessError} if permission to look at it is missing.
 */
export function statPath(path: string, use = databasesDirectory): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (error) {
    const { NotADirectory, NotFound } = Deno.errors;
    // For a path below a file, Windows only reports that it was not found.
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
    if (error instanceof Deno.errors.FilesystemLoop) {
      throw new LocationError(`Cannot use ${path}: it is a link to itself`, {
        cause: error,
        help: "correct the link, or remove it",
      });
    }
    throw accessError(`Cannot look at ${path}`, error, {
      help: `check that this user may read the ${use.what}`,
      permission: `give it read and write permission on the ${use.what}`,
    });
  }
}

/** The missing permission that Deno names, without its advice, which addresses the developer. */
export function missingPermission(message: string): string {
  return message.replace(/, (run again|specify) .*$/s, "");
}

/** Reason and help for a missing Deno permission; `help` applies if a narrow permission is enough. */
export function denied(
  message: string,
  help: string,
): { readonly reason: string; readonly help: string } {
  const missing = missingPermission(message);
  return {
    reason: `Deno was not given the permission (${missing})`,
    // /dev, /proc and /sys require all permissions.
    help: missing.startsWith("Requires all access")
      ? "Deno allows writing there only with -A: use another directory" +
        (Deno.build.standalone ? ", or deno run -A jsr:@catalyst/migrate" : "")
      : help,
  };
}

/** The error for a refused access: names the permission that Deno lacks, or the system's reason. */
export function accessError(
  cannot: string,
  error: unknown,
  { help, permission = help }: {
    readonly help: string;
    /** Help if Deno lacks a permission. Default: the same. */
    readonly permission?: string;
  },
): AccessError {
  const message = messageOf(error);
  const denial = error instanceof Deno.errors.NotCapable
    ? denied(message, permission)
    : { reason: message, help };
  return new AccessError(`${cannot}: ${denial.reason}`, { cause: error, help: denial.help });
}

/** The parent in a path that is a file instead of a directory; null if none is found. */
function fileIn(path: string): string | null {
  for (const { index } of path.matchAll(Deno.build.os === "windows" ? /[/\\]/g : /\//g)) {
    const part = path.slice(0, index);
    try {
      if (!Deno.statSync(part).isDirectory) return part;
    } catch {
      // The directories above the databases may be inaccessible.
    }
  }
  return null;
}

/** A file as seen without opening it. */
interface SeenFile {
  /**
   * Path of the file itself: SQLite keeps `-wal`, `-shm` and `-journal` beside the file, not beside a
   * link to it.
   */
  readonly itself: string;
  /** Whether it is an ordinary file. */
  readonly isFile: boolean;
  /** Changes with every write to the file. */
  readonly version: string;
}

/** Looks at a file, following links; null if it is missing or inaccessible. */
export function seeFile(path: string): SeenFile | null {
  try {
    const info = Deno.lstatSync(path);
    return info.isSymlink ? seen(Deno.realPathSync(path), Deno.statSync(path)) : seen(path, info);
  } catch {
    return null;
  }
}

function seen(itself: string, { isFile, mtime, size, ino }: Deno.FileInfo): SeenFile {
  return { itself, isFile, version: `${mtime?.getTime()} ${size} ${ino}` };
}

/** A value that changes with every write to a file; null if the file is missing or inaccessible. */
export function fileVersion(path: string): string | null {
  return seeFile(path)?.version ?? null;
}

/** Path of a file with links resolved, even if it does not exist yet; SQLite keeps its other files beside it. */
export function fileItself(path: string): string {
  return isLink(path) ? endOf(path) : path;
}

/** A value that is the same for all paths of one file, links included; null if it does not exist. */
export function fileIdentity(path: string): string | null {
  try {
    const { dev, ino } = Deno.statSync(path);
    return ino === null ? null : `${dev} ${ino}`;
  } catch {
    return null;
  }
}

/** Whether a path is a link, even a broken one. */
export function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch {
    return false;
  }
}

/** Number of links that an operating system follows before it gives up. */
const MOST_LINKS = 40;

/** Target of a link, even if it does not exist or Deno may not look further. */
function endOf(path: string, links = MOST_LINKS): string {
  try {
    return Deno.realPathSync(path);
  } catch {
    try {
      const next = Deno.readLinkSync(path);
      if (links === 0) return path;
      return endOf(
        isAbsolute(next) ? next : `${Deno.realPathSync(directoryOf(path))}/${next}`,
        links - 1,
      );
    } catch {
      return path;
    }
  }
}

/** Whether a path begins at a root or at a Windows drive. Avoids `node:path`, which is slow to load. */
export function isAbsolute(path: string): boolean {
  return /^([A-Za-z]:)?[\\/]/.test(path);
}

/** Help for a broken link. */
export const brokenLinkHelp =
  "check that the disk is mounted and the target's directory exists, or correct the link";

/**
 * Size of a file that SQLite keeps beside a database; 0 if there is none. Null if unknown, because it is
 * not a file, or a link leads to a place that SQLite can read but Deno may not.
 */
export function sizeBeside(
  itself: string,
  ending: "-wal" | "-shm" | "-journal",
): number | null {
  try {
    const { isFile, size } = Deno.statSync(`${itself}${ending}`);
    return isFile ? size : null;
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? 0 : null;
  }
}

/** Whether a path exists, or whether this is unknown. */
export function mayBeThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Whether Deno may read a path or URL; does not prompt. */
export function mayRead(path: string | URL): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

/** Kind of a path that is not an ordinary file, such as `a directory` or `a pipe`; null for a file. */
export function specialKind(info: Deno.FileInfo): string | null {
  if (info.isFile) return null;
  if (info.isDirectory) return "a directory";
  if (info.isFifo) return "a pipe";
  if (info.isSocket) return "a socket";
  return "a device";
}

/**
 * Refuses anything but an ordinary file: opening a pipe waits for a writer, and a device may have no
 * end. For a missing or inaccessible path, opening it reports the error.
 *
 * @throws {LocationError} if it is something else; the message says what.
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
 * Refuses a symbolic link in place of one of the toolkit's own files, such as a lock. Otherwise anyone
 * who may write to the directory could make the toolkit overwrite any file.
 *
 * @throws {LocationError} if it is a link.
 */
export function refuseOwnLink(path: string): void {
  if (!isLink(path)) return;
  throw new LocationError(`Cannot write ${path}: it is a symbolic link`, {
    help: "remove the link, then run the command again",
  });
}

/** The directory part of a path, with either separator; `.` if it has none. */
export function directoryOf(path: string): string {
  const end = Math.max(
    path.lastIndexOf("/"),
    Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1,
  );
  if (end === -1) return ".";
  const isRoot = /^([A-Za-z]:)?$/.test(path.slice(0, end));
  return path.slice(0, isRoot ? end + 1 : end);
}

/** Size of a file in bytes; null if there is none. */
export function sizeOf(path: string): number | null {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Name of a file until it is complete and checked. */
export function partFileOf(file: string): string {
  return `${file}.part`;
}

export const TOO_MANY_FILES = "this process has too many open files";

export const RAISE_LIMIT =
  "raise the limit, for example with `ulimit -n 1024`, then run the command again";

/** Whether a system error says that the process or the system has too many open files. */
export function isTooManyFiles(error: unknown): boolean {
  return Deno.build.os !== "windows" && /os error (23|24)\b/.test(messageOf(error));
}

/** The error for {@link isTooManyFiles}. */
export function tooManyFiles(cannot: string, cause: unknown): AccessError {
  return new AccessError(`${cannot}: ${TOO_MANY_FILES}`, { cause, help: RAISE_LIMIT });
}
