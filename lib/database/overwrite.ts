import { DatabaseLockedError } from "../base/errors.ts";
import { sleep } from "../base/event_loop.ts";
import { type Connection, number, text } from "./connection.ts";
import { WHEN_LOCKED } from "./failure.ts";
import type { NodeSqliteConnection } from "./node_sqlite.ts";
import { openFile } from "./open.ts";
import { type TransactionOptions, whileBusy } from "./transaction.ts";

/** Pages copied at a time; the first ones must not be the last, which SQLite commits at once. */
const PAGES_PER_STEP = 10_000;

/** The same where SQLite must not have written into the file after the first ones. */
const FEW_PAGES = 16;

/** Milliseconds between two writes after which every local file system gives them different times. */
const CLOCK_TICK = 25;

/** How a database is watched. */
interface WatchOptions extends TransactionOptions {
  /** Whether the caller keeps it now; else that is asked for in any case. Default `true`. */
  readonly isKept?: boolean;
}

/** How a database is overwritten. */
export interface OverwriteOptions extends TransactionOptions {
  /** Keeps what others have committed since it was last kept. Called with the write lock held. */
  readonly keep: () => Promise<void>;
}

/**
 * Overwrites a database that others may have open, and loses none of their commits: those before it
 * are kept by the caller, and those after it change the new content.
 *
 * SQLite's backup opens a connection of its own, so it can't take over a lock of ours. In WAL mode a
 * commit in between is noticed once the backup holds the lock and before it commits; it is then rolled
 * back, and tried again. With a rollback journal the backup runs under our lock.
 */
export class Takeover implements AsyncDisposable {
  readonly #connection: NodeSqliteConnection;
  readonly #path: string;
  /** What `PRAGMA data_version` said before the newest copy. */
  #kept: number;

  private constructor(connection: NodeSqliteConnection, path: string, kept: number) {
    this.#connection = connection;
    this.#path = path;
    this.#kept = kept;
  }

  /** Begins to watch a database that is about to be kept: commits from now on are noticed. */
  static async watch(path: string, options: WatchOptions): Promise<Takeover> {
    const connection = await openFile(path, { verb: "open", mode: "ordinary" });
    try {
      // Fails while another program keeps everybody out.
      await whileBusy(connection, () => connection.get("SELECT 1 FROM sqlite_schema"), options);
      return new Takeover(
        connection,
        path,
        options.isKept === false ? NaN : connection.dataVersion(),
      );
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Makes the database the same as its source, in one transaction. */
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
    // The whole database is in the log now; it need not stay there, but no reader is waited for long.
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

  /** With a rollback journal: nobody else reads or writes until the copy is whole. */
  async #copyUnderLock(source: Connection, options: TransactionOptions): Promise<boolean> {
    const connection = this.#connection;
    let times = "";
    await whileBusy(connection, () => connection.exec("BEGIN EXCLUSIVE"), options);
    try {
      if (this.#hasOtherVersion()) return false;
      await source.copyTo(this.#path, { isLocked: true });
      return true;
    } catch (error) {
      // Deno's permissions may name paths, and SQLite's parameters are no part of one.
      if (!isNotPermitted(error)) throw error;
      await sleep(CLOCK_TICK);
      times = timesOf(this.#path);
    } finally {
      await connection.exec("ROLLBACK");
    }
    return await this.#copyUnless(source, () => timesOf(this.#path) !== times, FEW_PAGES);
  }

  readonly #hasOtherVersion = (): boolean => this.#connection.dataVersion() !== this.#kept;

  /** Copies, unless others turn out to have committed when the backup has the write lock. */
  async #copyUnless(
    source: Connection,
    isChanged: () => boolean,
    mostPages: number,
  ): Promise<boolean> {
    const row = await source.get("PRAGMA page_count");
    const pages = row === undefined ? 1 : number(row, "page_count");
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

  /** Beside a log all pages must have one size. Leaving it takes that nobody else has it open. */
  async #fitPages(source: Connection, options: TransactionOptions): Promise<void> {
    const connection = this.#connection;
    if (await pageSizeOf(connection) === await pageSizeOf(source)) return;
    await whileBusy(connection, () => connection.exec("PRAGMA journal_mode = DELETE"), options);
  }

  async #isWal(): Promise<boolean> {
    const row = await this.#connection.get("PRAGMA main.journal_mode");
    return row !== undefined && text(row, "journal_mode") === "wal";
  }

  #busy(timeout: number): DatabaseLockedError {
    return new DatabaseLockedError(
      `Cannot replace ${this.#path}: another program wrote to it all the time for ${timeout} s`,
      { help: WHEN_LOCKED },
    );
  }
}

async function pageSizeOf(connection: Connection): Promise<number> {
  const row = await connection.get("PRAGMA page_size");
  return row === undefined ? 0 : number(row, "page_size");
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
