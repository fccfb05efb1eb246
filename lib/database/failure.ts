import {
  AccessError,
  CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  NotADatabaseError,
  StatementError,
} from "../errors.ts";
import { describeHolders } from "./holders.ts";

/** Where a driver's error happened. */
export interface FailureContext {
  /** What was being done, such as `read` or `open`. */
  readonly verb: string;
  /** The database, as a person would name it. */
  readonly label: string;
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
    /database (table |schema )?is locked/.test(messageOf(error));
}

/** Turns what a driver threw into an error with a stable code; drivers differ only in decoration. */
export function translate(error: unknown, context: FailureContext): CatalystError {
  if (error instanceof CatalystError) return error;
  const { verb, label, statement, line } = context;
  const message = messageOf(error);
  const options = {
    cause: error,
    ...(statement === undefined ? {} : { statement }),
    ...(line === undefined ? {} : { line }),
  };
  const cannot = `Cannot ${verb} ${label}`;
  if (isBusy(error)) {
    return new DatabaseLockedError(
      `${cannot}: it is locked by ${describeHolders(label) || "another process"}`,
      { ...options, help: WHEN_LOCKED },
    );
  }
  if (/file is not a database|unsupported file format/.test(message)) {
    return new NotADatabaseError(
      `${cannot}: the file is not an SQLite database, or it is encrypted`,
      {
        ...options,
        help: "move the file away or decrypt it, then run the command again; nothing was changed",
      },
    );
  }
  if (/malformed|database corruption/.test(message)) {
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
      help: "free some space, then run the command again; nothing was lost",
    });
  }
  if (
    /readonly database|unable to open database file|NotCapable|Requires \w+ access/.test(message)
  ) {
    return new AccessError(`${cannot}: ${reasonOfAccess(message)}`, {
      ...options,
      help: "check that this user may read and write the file and its directory",
    });
  }
  return new StatementError(`${cannot}: ${message}`, options);
}

function reasonOfAccess(message: string): string {
  if (/readonly/.test(message)) return "it is read-only";
  if (/Requires/.test(message)) return `Deno was not given the permission (${message})`;
  return "the file can't be opened";
}

/** What the driver itself said, where an error of the toolkit stands for it; else the error's message. */
export function driverMessage(error: unknown): string {
  const isDrivers = error instanceof CatalystError && error.cause instanceof Error &&
    !(error.cause instanceof CatalystError);
  return messageOf(isDrivers ? error.cause : error);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A text as one word of a shell's command line, for commands that a message tells a user to type. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
