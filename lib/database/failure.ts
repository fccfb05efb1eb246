import {
  AccessError,
  CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  LocationError,
  NotADatabaseError,
  StatementError,
} from "../base/errors.ts";
import { isTooManyFiles, RAISE_LIMIT, TOO_MANY_FILES } from "../base/files.ts";
import { describeHolders } from "../base/lock.ts";
import { brokenLinkHelp, denied, fileItself, isLink, sizeBeside, statPath } from "../base/paths.ts";
import { messageOf, shellWord } from "../base/format.ts";

/** Where a driver's error happened. */
export interface FailureContext {
  /** What was being done, such as `read` or `open`. */
  readonly verb: string;
  /** The database, as a person would name it. */
  readonly label: string;
  /** File into which it was to be copied. */
  readonly target?: string;
  /** The statement that failed. */
  readonly statement?: string;
  /** The line on which it begins, where it is part of a script. */
  readonly line?: number;
}

/** What to do about a database that somebody else has locked. */
export const WHEN_LOCKED =
  "stop that program, or let it finish its transaction, then run the command again; " +
  "--timeout SECONDS waits longer";

/** Tells whether a driver's error says that another connection is in the way. */
export function isBusy(error: unknown): boolean {
  return error instanceof DatabaseLockedError ||
    /database (schema )?is locked/.test(messageOf(error));
}

/** Turns what a driver threw into an error with a stable code; drivers differ only in decoration. */
export function translate(error: unknown, context: FailureContext): CatalystError {
  if (error instanceof CatalystError) return error;
  const { verb, label, target, statement, line } = context;
  const message = messageOf(error);
  const options = {
    cause: error,
    ...(statement === undefined ? {} : { statement }),
    ...(line === undefined ? {} : { line }),
  };
  const cannot = `Cannot ${verb} ${label}${target === undefined ? "" : ` to ${target}`}`;
  const [written, it] = target === undefined ? [label, "it"] : [target, target];
  if (isBusy(error)) {
    return new DatabaseLockedError(
      `${cannot}: ${it} is locked by ${describeHolders(written) || "another process"}`,
      { ...options, help: WHEN_LOCKED },
    );
  }
  if (/file is not a database|unsupported file format/.test(message)) {
    return new NotADatabaseError(
      `${cannot}: the file is not an SQLite database, or it is encrypted`,
      {
        ...options,
        help: "move the file away or decrypt it, then run the command again",
      },
    );
  }
  if (/image is malformed|malformed database schema|database corruption/.test(message)) {
    return new CorruptDatabaseError(`${cannot}: the file is damaged or cut short (${message})`, {
      ...options,
      help: `restore it from a backup; to save what is readable: sqlite3 ${
        shellWord(label)
      } .recover`,
    });
  }
  if (/disk I\/O error/.test(message)) {
    // SQLite says no more where the disk has no room for the files beside a WAL database.
    return new DiskFullError(`${cannot}: the disk is full, or it fails (${message})`, {
      ...options,
      help: "free some space and check the disk, then run the command again",
    });
  }
  if (/database or disk is full/.test(message)) {
    return new DiskFullError(`${cannot}: the disk is full`, {
      ...options,
      help: "free some space, then run the command again",
    });
  }
  const help = "check that this user may read and write the file and its directory";
  if (/NotCapable|Requires \w+ access/.test(message)) {
    const denial = denied(message, help);
    return new AccessError(`${cannot}: ${denial.reason}`, { ...options, help: denial.help });
  }
  if (/readonly database/.test(message)) {
    return new AccessError(`${cannot}: ${it} is read-only`, { ...options, help });
  }
  if (/unable to open database file/.test(message)) {
    if (isLink(label) && statPath(label) === null) {
      return new LocationError(
        `${cannot}: it is a link to ${fileItself(label)}, which isn't there and can't be made`,
        { ...options, help: brokenLinkHelp },
      );
    }
    const { reason, help: known = help } = whyNotOpened(written);
    return new AccessError(`${cannot}: ${reason}`, { ...options, help: known });
  }
  return new StatementError(`${cannot}: ${message}`, options);
}

/**
 * Whether a statement needs a collation, a function or a module that is not here: the program that made
 * the database brings it. Of a table WITHOUT ROWID SQLite then says only `no query solution`.
 */
export function needsExtension(error: unknown): boolean {
  return error instanceof StatementError &&
    /no such (collation sequence|function|module)|unknown function|no query solution/
      .test(driverMessage(error));
}

/** Bytes of the longest path that SQLite opens, which keeps room for the ending of a journal. */
const LONGEST_PATH = 512 - "-journal".length;

/** Why SQLite can't open a file, of which it says no more than that. */
function whyNotOpened(path: string): { readonly reason: string; readonly help?: string } {
  if (isAtLimitOfFiles()) return { reason: TOO_MANY_FILES, help: RAISE_LIMIT };
  const bytes = new TextEncoder().encode(wholePath(path)).length;
  if (Deno.build.os !== "windows" && bytes > LONGEST_PATH) {
    return {
      reason: `its path has ${bytes} bytes, and SQLite opens none of more than ${LONGEST_PATH}`,
      help: "use a directory with a shorter path",
    };
  }
  const itself = fileItself(path);
  if ((sizeBeside(itself, "-wal") ?? 0) > 0 && sizeBeside(itself, "-shm") === 0) {
    return {
      reason: `it has a log, ${itself}-wal, which needs a file beside it to be read`,
      help: "let this user write the directory, or copy both files to another one, and name that " +
        "by --data-dir",
    };
  }
  return { reason: "the file can't be opened" };
}

function wholePath(path: string): string {
  try {
    return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
  } catch {
    return path; // Deno may not say where it is
  }
}

/**
 * Whether no more files can be opened. Asked of a directory: to open and close a database here would
 * drop the locks that SQLite has on it.
 */
function isAtLimitOfFiles(): boolean {
  const opened: Deno.FsFile[] = [];
  try {
    // As many as SQLite opens for one database.
    for (let file = 0; file < 3; file++) opened.push(Deno.openSync("."));
    return false;
  } catch (error) {
    return isTooManyFiles(error);
  } finally {
    for (const file of opened) file.close();
  }
}

/** What the driver itself said, where an error of the toolkit stands for it; else the error's message. */
export function driverMessage(error: unknown): string {
  const isDrivers = error instanceof CatalystError && error.cause instanceof Error &&
    !(error.cause instanceof CatalystError);
  return messageOf(isDrivers ? error.cause : error);
}
