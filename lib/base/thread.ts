/**
 * How a thread that works for another one answers, and passes its errors on.
 *
 * @module
 */
import { mayRead } from "./paths.ts";
import {
  AccessError,
  CatalystError,
  type CatalystErrorOptions,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  FormatError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
  NotADatabaseError,
  type SerializedError,
  serializeError,
  StatementError,
} from "./errors.ts";

/** Errors that work on another thread may throw, by code: error objects cannot be passed between threads. */
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

/** Recreates an error from another thread; `otherwise` creates it if its code is unknown. */
export function recreateError(
  { code, message, help, database }: Omit<ThreadFailure, "kind">,
  otherwise: (message: string, options: CatalystErrorOptions) => Error,
): Error {
  const options = {
    ...(help === null ? {} : { help }),
    ...(database === undefined ? {} : { database }),
  };
  const Kind = kinds[code];
  return Kind === undefined ? otherwise(message, options) : new Kind(message, options);
}

/**
 * Whether a module may be started as a thread: Deno then reads its file with the program's permissions.
 * `path` is the expected end of the module's URL. If it differs, a bundler has merged the module into a
 * program, which must not run a second time.
 */
export function mayStartThread(module: URL, path: string): boolean {
  if (!module.pathname.endsWith(path)) return false;
  return module.protocol !== "file:" || mayRead(module);
}

/** The answer of a thread whose work failed. */
export type ThreadFailure = SerializedError & {
  readonly kind: "failed";
  /** Database that the error is about. */
  readonly database?: string | undefined;
};

/** Sends an answer to the requesting thread, which then owns the buffers in `transfer`. */
export type Answer<Message> = (message: Message, transfer?: readonly ArrayBuffer[]) => void;

/** The part of a worker's global scope that this module uses. */
interface WorkerScope<Request, Message> {
  onmessage: ((event: MessageEvent<Request>) => void) | null;
  postMessage: Answer<Message | ThreadFailure>;
}

/**
 * Serves requests if this code runs on a thread with that name, in the order in which they arrive.
 * Errors that `work` throws are sent back as a {@link ThreadFailure}.
 */
export function serveThread<Request, Message>(
  name: string,
  work: (request: Request, answer: Answer<Message>) => Promise<void>,
): void {
  if (globalThis.name !== name) return;
  const scope = globalThis as unknown as WorkerScope<Request, Message>;
  const answer: Answer<Message> = (message, transfer = []) => scope.postMessage(message, transfer);
  let last: Promise<void> = Promise.resolve();
  scope.onmessage = ({ data }) => {
    last = last.then(() => work(data, answer)).catch((error) =>
      scope.postMessage({
        kind: "failed",
        ...serializeError(error),
        database: error instanceof CatalystError ? error.database : undefined,
      })
    );
  };
}
