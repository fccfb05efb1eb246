import { mayRead } from "./paths.ts";
import {
  AccessError,
  type CatalystError,
  type CatalystErrorOptions,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  FormatError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
  NotADatabaseError,
  StatementError,
} from "./errors.ts";
import type { SerializedError } from "./serialized_error.ts";

/** Errors that work on another thread throws, by their code: only their parts can be handed over. */
const kinds: Readonly<
  Record<string, new (message: string, options: CatalystErrorOptions) => CatalystError>
> = {
  NOT_PERMITTED: AccessError,
  DATABASE_CORRUPT: CorruptDatabaseError,
  DATABASE_LOCKED: DatabaseLockedError,
  DISK_FULL: DiskFullError,
  STATEMENT_FAILED: StatementError,
  UNKNOWN_FORMAT: FormatError,
  INTERRUPTED: InterruptedError,
  INVALID_LOCATION: LocationError,
  MIGRATOR_LOCKED: MigratorLockedError,
  NOT_A_DATABASE: NotADatabaseError,
};

/** Makes an error of another thread again; where its code is of no kind that is known here, `otherwise` makes it. */
export function fromFailure(
  { code, message, help }: SerializedError,
  otherwise: (message: string, options: CatalystErrorOptions) => Error,
): Error {
  const options = help === null ? {} : { help };
  const Kind = kinds[code];
  return Kind === undefined ? otherwise(message, options) : new Kind(message, options);
}

/**
 * Whether a thread of this module may be started: Deno reads its file as the program would. `path` is
 * how the module's address ends; where it has another one, a bundler has put it into a program, which
 * must not be run once more.
 */
export function mayStart(module: URL, path: string): boolean {
  if (!module.pathname.endsWith(path)) return false;
  return module.protocol !== "file:" || mayRead(module);
}

/** Whether this code runs on a thread that was started by this name. */
export function isThread(name: string): boolean {
  return globalThis.name === name;
}
