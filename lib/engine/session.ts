/**
 * Holds the lock while databases are changed, and opens them on demand.
 *
 * @module
 */
import { UnrecordedError } from "../base/errors.ts";
import { ensureDirectories, ignoringErrors } from "../base/files.ts";
import { messageOf } from "../base/format.ts";
import { directoryOf } from "../base/paths.ts";
import type { Connection } from "../database/connection.ts";
import type { DatabaseLocation, ServerLocation } from "../database/location.ts";
import { openForWriting } from "../database/open.ts";
import { makeDurable, refuseOpenTransaction, withTransaction } from "../database/transaction.ts";
import { createLedger } from "../state/ledger.ts";
import { locationOf, lockBeside, type Workspace } from "../state/workspace.ts";
import { holderOf, Lease, type MigratorLockOptions, takeMigratorLock } from "./lock.ts";

/** The databases while a migrator changes them: holds the lock, and opens databases on demand. */
export class Session implements AsyncDisposable {
  readonly #workspace: Workspace;
  readonly #signal: AbortSignal | undefined;
  readonly #connections = new Map<string, Connection>();
  readonly #leases = new Map<Connection, Lease>();
  /** The lease of a ledger on a server, in addition to the lock on one machine. */
  #ledgerLease: Lease | null = null;
  #ledger: Connection | null = null;
  /** The connections that the session has opened, and so must sync. */
  readonly #opened: Connection[] = [];
  /** The lock, and after it connections and leases; disposed of in reverse order. */
  readonly #held = new AsyncDisposableStack();

  private constructor(workspace: Workspace, signal?: AbortSignal) {
    this.#workspace = workspace;
    this.#signal = signal;
  }

  /** Takes the lock, waiting up to the workspace's timeout. */
  static async begin(workspace: Workspace, options: MigratorLockOptions = {}): Promise<Session> {
    const session = new Session(workspace, options.signal);
    session.#held.use(await takeMigratorLock(workspace, options));
    try {
      if (workspace.ledger.kind === "server") await session.#lockLedger(workspace.ledger);
      return session;
    } catch (error) {
      await session.#held.disposeAsync();
      throw error;
    }
  }

  /** The database, open for writing; its file is created if it does not exist. */
  async database(name: string): Promise<Connection> {
    let connection = this.#connections.get(name);
    if (connection === undefined) {
      const location = locationOf(this.#workspace, name);
      if (location.kind === "file" && location.path !== ":memory:") {
        ensureDirectories(location.path, {
          base: directoryOf(this.#workspace.ledgerFile),
          mayCreate: this.#workspace.createDirectories,
        });
      }
      connection = await this.#open(location);
      this.#connections.set(name, connection);
    }
    await this.#ledgerLease?.renew();
    await this.#leases.get(connection)?.renew();
    return connection;
  }

  /** The ledger, open for writing, with its tables. */
  async ledger(): Promise<Connection> {
    if (this.#ledger === null) {
      this.#ledger = await this.#open(this.#workspace.ledger);
      await this.record(createLedger);
    }
    return this.#ledger;
  }

  /** Runs `work` on the ledger in one transaction. */
  async record(work: (ledger: Connection) => Promise<void>): Promise<void> {
    const ledger = await this.ledger();
    await withTransaction(ledger, () => work(ledger), {
      timeout: this.#workspace.timeout,
      signal: this.#signal,
    });
  }

  /** Waits until all commits are on disk. */
  async sync(): Promise<void> {
    for (const connection of this.#opened) {
      await makeDurable(connection);
    }
  }

  /** Closes all databases and then releases the lock. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // Even after a failure, earlier migrations must be durable.
      await this.sync();
    } catch {
      // The original error is being reported, and SQLite recovers its log when it opens the file.
    }
    await this.#held.disposeAsync();
  }

  async #open(location: DatabaseLocation): Promise<Connection> {
    const connection = await openForWriting(location, {
      ...this.#workspace.settings,
      signal: this.#signal,
    });
    // It closes only what it has opened itself, and the caller must sync its own connection, too.
    this.#held.defer(() => ignoringErrors(() => connection.close()));
    if (location.kind !== "open") this.#opened.push(connection);
    refuseOpenTransaction(connection);
    const isLedger = location === this.#workspace.ledger;
    if (location.kind === "server" && !isLedger) {
      this.#leases.set(connection, await this.#take(connection));
    }
    return connection;
  }

  /** Keeps out migrators on other machines that share the ledger, until the session ends. */
  async #lockLedger(ledger: ServerLocation): Promise<void> {
    const connection = await openForWriting(ledger, this.#workspace.settings);
    this.#held.defer(() => ignoringErrors(() => connection.close()));
    this.#opened.push(connection);
    this.#ledgerLease = await this.#take(connection);
    this.#ledgerLease.keepUp();
  }

  /** Prevents migrators on other machines from changing a database on a server. */
  async #take(connection: Connection): Promise<Lease> {
    const { ledgerFile, timeout } = this.#workspace;
    const holder = holderOf(lockBeside(ledgerFile));
    const lease = await Lease.take(connection, { holder, timeout, signal: this.#signal });
    this.#held.defer(() => lease.release());
    return lease;
  }
}

/** A description of committed work, which must not be repeated. */
export interface Committed {
  /** What was done, such as `Imported 3 rows into trading`. */
  readonly done: string;
  /** What to do next. */
  readonly help: string;
}

/**
 * Runs work after a commit, such as recording it in the ledger.
 *
 * @throws {UnrecordedError} if it fails; the message says what was committed.
 */
export async function afterCommit<T>(
  { done, help }: Committed,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UnrecordedError(`${done}, but could not record it: ${messageOf(error)}`, {
      cause: error,
      help,
    });
  }
}
