/**
 * Keeps the state of several databases at one moment readable, so that their copies are consistent.
 *
 * @module
 */
import { briefly, sleep } from "../base/event_loop.ts";
import type { Connection } from "../database/connection.ts";
import { isBusy } from "../database/failure.ts";
import type { StopFlag } from "../base/file_lock.ts";
import { describeHolders } from "../base/lock_holders.ts";
import type { DatabaseLocation, ServerLocation } from "../database/location.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import { isFile } from "../base/files.ts";
import { beginReading } from "../database/transaction.ts";
import {
  AccessError,
  type CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  InterruptedError,
  isDamage,
  NotADatabaseError,
  ServerError,
} from "../base/errors.ts";

/** A database to copy. */
export interface PinTarget {
  readonly database: string;
  readonly path: string;
  /** Its server, if it is on one. Default: a file at the path. */
  readonly server?: ServerLocation | undefined;
  /** Whether the caller holds the write lock, so that it need not be taken. Default `false`. */
  readonly held?: boolean;
}

/** A database whose current state is pinned by an open read transaction. */
export interface Pinned extends PinTarget {
  readonly connection: Connection;
}

/** Databases pinned to a consistent state. Disposing of it releases them. */
interface PinnedSet extends AsyncDisposable {
  readonly databases: readonly Pinned[];
  /** How long writers were kept waiting, in seconds. */
  readonly heldSeconds: number;
}

/** Options for pinning. */
interface PinOptions {
  /** Seconds to wait for other writers. */
  readonly timeout: number;
  /** File that exists while a restore replaces the databases one after the other. Default: none. */
  readonly restoreNote?: string | undefined;
  readonly signal?: StopFlag | undefined;
}

interface Pair extends PinTarget {
  /** Takes the write lock; null if no other program can write. */
  readonly writer: Connection | null;
  readonly reader: Connection;
}

/**
 * Pins a consistent state of several databases. While it holds the write locks on all of them,
 * nothing can be committed, so read transactions that begin then are consistent. The locks are
 * released at once.
 *
 * The locks are tried together: waiting for one while holding another would block the bot for as
 * long as the other writer takes.
 */
export async function pin(
  targets: readonly PinTarget[],
  options: PinOptions,
): Promise<PinnedSet> {
  await using opened = new AsyncDisposableStack();
  const pairs: Pair[] = [];
  // A server makes us wait for its lock, and no other lock should be held during that time.
  const inOrder = targets.toSorted((a, b) => Number(!a.server) - Number(!b.server));
  for (const target of inOrder) {
    const location = locationOf(target);
    await nameDatabaseInErrors(target, async () => {
      const writer = target.held ? null : await openWriter(location, options);
      if (writer !== null) opened.use(writer);
      const reader = opened.use(await openForReading(location, { busyTimeout: options.timeout }));
      pairs.push({ ...target, writer, reader });
    });
  }
  const heldSeconds = await holdTogether(pairs, options);
  // Before the readers: the last connection to close a file checkpoints what a crash left in its
  // log.
  for (const { writer } of pairs) await writer?.close();
  const readers = opened.move();
  return {
    databases: targets.flatMap((target) =>
      pairs.filter(({ path }) => path === target.path)
        .map(({ reader }) => ({ ...target, connection: reader }))
    ),
    heldSeconds,
    [Symbol.asyncDispose]: () => readers.disposeAsync(),
  };
}

/** Whether an error says that a database is damaged, or that its server can't be reached or used. */
export function isUnreadable(
  error: unknown,
  { server }: Pick<PinTarget, "server">,
): error is CatalystError {
  return isDamage(error) ||
    server !== undefined && (error instanceof ServerError || error instanceof AccessError);
}

/** Lets an error about an unreadable database say which one it is. */
export async function nameDatabaseInErrors<T>(
  target: PinTarget,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isUnreadable(error, target)) throw error;
    const { message, help } = error;
    const { database } = target;
    const options = { cause: error, database, ...(help === undefined ? {} : { help }) };
    const kinds = [NotADatabaseError, ServerError, AccessError];
    const kind = kinds.find((one) => error instanceof one) ?? CorruptDatabaseError;
    throw new kind(message, options);
  }
}

function locationOf({ path, server }: PinTarget): DatabaseLocation {
  return server ?? { kind: "file", path };
}

async function openWriter(
  location: DatabaseLocation,
  { timeout }: PinOptions,
): Promise<Connection | null> {
  try {
    const writer = await openForWriting(location, { busyTimeout: timeout, asItIs: true });
    // From here on the loop waits for all of them together.
    if (!writer.isRemote) await writer.exec("PRAGMA busy_timeout = 0");
    return writer;
  } catch (error) {
    if (error instanceof AccessError) return null;
    throw error;
  }
}

async function holdTogether(pairs: readonly Pair[], options: PinOptions): Promise<number> {
  const deadline = performance.now() + options.timeout * 1000;
  for (let pause = 1;; pause = Math.min(pause * 2, 50)) {
    const start = performance.now();
    const busy = await tryTogether(pairs, options);
    if (busy === null) return (performance.now() - start) / 1000;
    if (performance.now() + pause > deadline) {
      throw busy === options.restoreNote ? restoring(options) : locked(busy, options.timeout);
    }
    await sleep(pause);
    if (options.signal?.aborted) {
      throw new InterruptedError("Cannot take a snapshot: interrupted", {
        help: "run the command again",
      });
    }
  }
}

/** Begins all read transactions under all write locks. Returns the path that was busy, or null. */
async function tryTogether(
  pairs: readonly Pair[],
  { restoreNote }: PinOptions,
): Promise<string | null> {
  const held: Connection[] = [];
  try {
    for (const pair of pairs) {
      const { writer, path } = pair;
      try {
        await nameDatabaseInErrors(
          pair,
          async () => await briefly(() => writer?.exec("BEGIN IMMEDIATE")),
        );
        if (writer !== null) held.push(writer);
      } catch (error) {
        if (isBusy(error)) return path;
        // A file that can't be written has no writers to lock out.
        if (!(error instanceof AccessError)) throw error;
      }
    }
    // With the locks held no restore can proceed; an interrupted one has replaced only some
    // databases.
    if (restoreNote !== undefined && isFile(restoreNote)) return restoreNote;
    for (const pair of pairs) await nameDatabaseInErrors(pair, () => beginReading(pair.reader));
    return null;
  } finally {
    for (const writer of held) await writer.exec("ROLLBACK");
  }
}

function restoring({ timeout }: PinOptions): DatabaseLockedError {
  return new DatabaseLockedError(
    `Cannot take a snapshot: a restore was under way for ${timeout} s`,
    { help: "let it finish, or wait longer with --timeout SECONDS" },
  );
}

function locked(path: string, timeout: number): DatabaseLockedError {
  const holders = describeHolders(path) || "another process";
  return new DatabaseLockedError(
    `Cannot take a snapshot: ${path} was locked for ${timeout} s by ${holders}`,
    { help: "let it finish its transaction, or wait longer with --timeout SECONDS" },
  );
}
