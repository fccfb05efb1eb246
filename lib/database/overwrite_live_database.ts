import { DatabaseLockedError } from "../base/errors.ts";
import { sleep } from "../base/event_loop.ts";
import { type Connection, readPragma } from "./connection.ts";
import { WHEN_LOCKED } from "./failure.ts";
import type { NodeSqliteConnection } from "./node_sqlite.ts";
import { openForWriting } from "./open.ts";
import { type TransactionOptions, whileBusy } from "./transaction.ts";

/** Pages copied per step; SQLite commits with the last step, so the first must not be the last. */
const PAGES_PER_STEP = 10_000;

/** Pages of the first step if SQLite must not write to the file during it. */
const FEW_PAGES = 16;

/** Milliseconds after which every local file system gives a second write a different time. */
const CLOCK_TICK = 25;

/** Options of {@link WatchedDatabase.watch}. */
interface WatchOptions extends TransactionOptions {
  /** Whether the caller keeps the content now; otherwise `keep` is called in any case. Default `true`. */
  readonly isKept?: boolean;
}

/** Options of {@link WatchedDatabase.overwriteWith}. */
export interface OverwriteOptions extends TransactionOptions {
  /** Keeps what others have committed since the last time. Called with the write lock held. */
  readonly keep: () => Promise<void>;
}

/**
 * Overwrites a database that others may have open without losing any of their commits: the caller keeps
 * earlier commits, and later ones change the new content.
 *
 * SQLite's backup opens its own connection, so it cannot take over our lock. In WAL mode, a commit in
 * between is noticed after the backup has the lock and before it commits; the backup is then rolled
 * back and tried again. With a rollback journal the backup runs under our lock.
 */
export class WatchedDatabase implements AsyncDisposable {
  readonly #connection: NodeSqliteConnection;
  readonly #path: string;
  /** Value of `PRAGMA data_version` before the newest copy. */
  #kept: number;

  private constructor(connection: NodeSqliteConnection, path: string, kept: number) {
    this.#connection = connection;
    this.#path = path;
    this.#kept = kept;
  }

  /** Starts to watch a database before its content is kept; commits from now on are noticed. */
  static async watch(path: string, options: WatchOptions): Promise<WatchedDatabase> {
    const { timeout, signal, isKept = true } = options;
    const connection = await openForWriting(
      { kind: "file", path },
      { busyTimeout: timeout, signal, asItIs: true },
    );
    return new WatchedDatabase(connection, path, isKept ? connection.dataVersion() : NaN);
  }

  /** Replaces the content of the database with that of the source, in one transaction. */
  async overwriteWith(source: Connection, options: OverwriteOptions): Promise<void> {
    const connection = this.#connection;
    await this.#fitPages(source, options);
    const deadline = performance.now() + options.timeout * 1000;
    for (;;) {
      await this.#keepWritten(options);
      const isDone = await this.#isWal()
        ? await this.#copyUnless(source, this.#hasOtherVersion, PAGES_PER_STEP)
        : await this.#copyUnderLock(source, options);
      if (isDone) break;
      if (performance.now() > deadline) throw this.#busy(options.timeout);
    }
    // The whole database is in the log now. Try to checkpoint it, but do not wait long for readers.
    const wait = Math.min(1, options.timeout) * 1000;
    await connection.exec(`PRAGMA busy_timeout = ${wait}; PRAGMA wal_checkpoint(TRUNCATE)`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }

  async #keepWritten(options: OverwriteOptions): Promise<void> {
    const connection = this.#connection;
    await whileBusy(connection, () => connection.exec("BEGIN IMMEDIATE"), options);
    try {
      const version = connection.dataVersion();
      if (version === this.#kept) return;
      await options.keep();
      this.#kept = version;
    } finally {
      await connection.exec("ROLLBACK");
    }
  }

  /** Copies under an exclusive lock, with a rollback journal: nothing else reads or writes until it is done. */
  async #copyUnderLock(source: Connection, options: TransactionOptions): Promise<boolean> {
    const connection = this.#connection;
    let times = "";
    await whileBusy(connection, () => connection.exec("BEGIN EXCLUSIVE"), options);
    try {
      if (this.#hasOtherVersion()) return false;
      await source.copyTo(this.#path, { isLocked: true });
      return true;
    } catch (error) {
      // Under restricted permissions Deno does not accept a path with SQLite's URI parameters.
      if (!isNotPermitted(error)) throw error;
      await sleep(CLOCK_TICK);
      times = timesOf(this.#path);
    } finally {
      await connection.exec("ROLLBACK");
    }
    return await this.#copyUnless(source, () => timesOf(this.#path) !== times, FEW_PAGES);
  }

  readonly #hasOtherVersion = (): boolean => this.#connection.dataVersion() !== this.#kept;

  /** Copies, unless others have committed by the time the backup has the write lock. */
  async #copyUnless(
    source: Connection,
    isChanged: () => boolean,
    mostPages: number,
  ): Promise<boolean> {
    const pages = Number(await readPragma(source, "page_count"));
    const changed = new Error("others have committed");
    let isFirst = true;
    try {
      await source.copyTo(this.#path, {
        pagesPerStep: Math.max(1, Math.min(mostPages, Math.floor(pages / 2))),
        onProgress: () => {
          if (isFirst && isChanged()) throw changed;
          isFirst = false;
        },
      });
      return true;
    } catch (error) {
      if (error === changed) return false;
      throw error;
    }
  }

  /** In WAL mode the page size cannot change. Leaving WAL mode requires that no other connection is open. */
  async #fitPages(source: Connection, options: TransactionOptions): Promise<void> {
    const connection = this.#connection;
    const [own, other] = [connection, source].map((one) => readPragma(one, "page_size"));
    if (await own === await other) return;
    await whileBusy(connection, () => connection.exec("PRAGMA journal_mode = DELETE"), options);
  }

  async #isWal(): Promise<boolean> {
    return await readPragma(this.#connection, "main.journal_mode") === "wal";
  }

  #busy(timeout: number): DatabaseLockedError {
    return new DatabaseLockedError(
      `Cannot replace ${this.#path}: another program kept writing to it for ${timeout} s`,
      { help: WHEN_LOCKED },
    );
  }
}

function timesOf(path: string): string {
  const { mtime, size } = Deno.statSync(path);
  return `${mtime?.getTime()} ${size}`;
}

function isNotPermitted(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof Deno.errors.NotCapable) return true;
  }
  return false;
}
