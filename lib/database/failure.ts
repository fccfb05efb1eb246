/**
 * Translates drivers' errors, and recognizes their causes.
 *
 * @module
 */
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
import {
  brokenLinkHelp,
  denied,
  fileItself,
  isLink,
  isTooManyFiles,
  RAISE_LIMIT,
  sizeBeside,
  statPath,
  TOO_MANY_FILES,
} from "../base/paths.ts";
import { describeHolders } from "../base/lock_holders.ts";
import { messageOf, shellWord } from "../base/format.ts";

/** Where a driver's error happened. */
export interface FailureContext {
  /** What was being done, such as `read` or `open`. */
  readonly verb: string;
  /** Name of the database in messages. */
  readonly label: string;
  /** File to which it was being copied. */
  readonly target?: string;
  /** The statement that failed. */
  readonly statement?: string;
  /** Line on which it begins, if it is part of a script. */
  readonly line?: number;
}

/** Help for a database that another process has locked. */
export const WHEN_LOCKED =
  "stop that program, or let it finish its transaction, then run the command again; " +
  "--timeout SECONDS waits longer";

/** Whether a driver's error says that another connection holds a lock. */
export function isBusy(error: unknown): boolean {
  return error instanceof DatabaseLockedError ||
    /database (schema )?is locked/.test(messageOf(error));
}

/** Translates a driver's error into one with a stable code; the drivers' messages differ only in decoration. */
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
    return new CorruptDatabaseError(`${cannot}: the file is damaged or truncated (${message})`, {
      ...options,
      help: `restore it from a backup; to save readable data: sqlite3 ${shellWord(label)} .recover`,
    });
  }
  if (/disk I\/O error/.test(message)) {
    // SQLite reports only this if the disk has no room for the files beside a WAL database.
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
        `${cannot}: it is a link to ${
          fileItself(label)
        }, which does not exist and cannot be created`,
        { ...options, help: brokenLinkHelp },
      );
    }
    const { reason, help: known = help } = whyNotOpened(written);
    return new AccessError(`${cannot}: ${reason}`, { ...options, help: known });
  }
  return new StatementError(`${cannot}: ${message}`, options);
}

/**
 * Whether a statement needs a collation, function or module that only the program that created the
 * database provides. For a table WITHOUT ROWID, SQLite then reports only `no query solution`.
 */
export function needsExtension(error: unknown): boolean {
  return error instanceof StatementError &&
    /no such (collation sequence|function|module)|unknown function|no query solution/
      .test(driverMessage(error));
}

/** Length in bytes of the longest path that SQLite opens; it reserves space for the suffix of a journal. */
const LONGEST_PATH = 512 - "-journal".length;

/** Finds out why SQLite cannot open a file, because SQLite does not say. */
function whyNotOpened(path: string): { readonly reason: string; readonly help?: string } {
  if (isAtLimitOfFiles()) return { reason: TOO_MANY_FILES, help: RAISE_LIMIT };
  const bytes = new TextEncoder().encode(wholePath(path)).length;
  if (Deno.build.os !== "windows" && bytes > LONGEST_PATH) {
    return {
      reason: `its path has ${bytes} bytes, and SQLite allows at most ${LONGEST_PATH}`,
      help: "use a directory with a shorter path",
    };
  }
  const itself = fileItself(path);
  if ((sizeBeside(itself, "-wal") ?? 0) > 0 && sizeBeside(itself, "-shm") === 0) {
    return {
      reason: `it has a log, ${itself}-wal, and reading it requires creating a file beside it`,
      help: "let this user write to the directory, or copy both files to another one and name it " +
        "with --data-dir",
    };
  }
  return { reason: "the file cannot be opened" };
}

function wholePath(path: string): string {
  try {
    return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
  } catch {
    return path; // Deno may not resolve it
  }
}

/**
 * Whether no more files can be opened. Tries it with a directory: opening and closing a database here
 * would drop SQLite's locks on it.
 */
function isAtLimitOfFiles(): boolean {
  const opened: Deno.FsFile[] = [];
  try {
    // SQLite opens this many files for one database.
    for (let file = 0; file < 3; file++) opened.push(Deno.openSync("."));
    return false;
  } catch (error) {
    return isTooManyFiles(error);
  } finally {
    for (const file of opened) file.close();
  }
}

/** The driver's own message if an error of the toolkit wraps it, otherwise the error's message. */
export function driverMessage(error: unknown): string {
  const isDrivers = error instanceof CatalystError && error.cause instanceof Error &&
    !(error.cause instanceof CatalystError);
  return messageOf(isDrivers ? error.cause : error);
}
