import { removeLeftovers } from "./leftovers.ts";
import { CatalystError, SnapshotError } from "../base/errors.ts";
import type { Connection } from "../database/connection.ts";
import type { DatabaseLocation, ServerLocation } from "../database/location.ts";
import { makeDurable, openForWriting, openServer } from "../database/open.ts";
import type { Lease } from "./lease.ts";
import { refuseOpenTransaction, withTransaction } from "../database/transaction.ts";
import { createLedger } from "../state/ledger.ts";
import { acquireLock } from "../base/lock.ts";
import { ensureDirectories, ensureDirectory, ignoring } from "../base/files.ts";
import { directoryOf } from "../base/paths.ts";
import { isRestoring, locationOf, lockBeside, type Workspace } from "../state/workspace.ts";

/** How a session begins. */
interface SessionOptions {
  /** Ends the wait for the lock. */
  readonly signal?: AbortSignal | undefined;
  /** Whether it is there to restore, and so may find a restore that was interrupted. Default `false`. */
  readonly restores?: boolean;
}

/** The databases while a migrator changes them: it holds the lock, and opens what is needed. */
export class Session implements AsyncDisposable {
  readonly #workspace: Workspace;
  readonly #signal: AbortSignal | undefined;
  readonly #lock: Disposable | null;
  readonly #connections = new Map<string, Connection>();
  readonly #leases = new Map<Connection, Lease>();
  /** Of a ledger on a server: what the lock is on one machine. */
  #ledgerLease: Lease | null = null;
  #ledger: Connection | null = null;
  readonly #opened: Connection[] = [];

  private constructor(workspace: Workspace, lock: Disposable | null, signal?: AbortSignal) {
    this.#workspace = workspace;
    this.#lock = lock;
    this.#signal = signal;
  }

  /** Takes the lock, waiting as long as the workspace's timeout says. */
  static async begin(workspace: Workspace, options: SessionOptions = {}): Promise<Session> {
    const { signal, restores = false } = options;
    const { ledger, ledgerFile, timeout, createDirectories } = workspace;
    // A ledger in memory belongs to this process alone: nobody to keep out.
    if (ledgerFile === ":memory:") return new Session(workspace, null, signal);
    ensureDirectory(ledgerFile, createDirectories);
    const lock = await acquireLock(lockBeside(ledgerFile), { timeout, signal });
    try {
      if (!restores) refuseRestoring(workspace);
      // Of a restore that is to go on, the files are needed.
      if (!isRestoring(workspace)) await removeLeftovers(workspace);
      const session = new Session(workspace, lock, signal);
      if (ledger.kind === "server") await session.#lockLedger(ledger);
      return session;
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The database, open for writing; its file is created where there is none. */
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

  /** Waits until everything that was committed is on the disk. */
  async sync(): Promise<void> {
    for (const connection of this.#opened) {
      await makeDurable(connection);
    }
  }

  /** Closes what was opened, and frees the lock last. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // After a failure too, what was applied before it must last.
      await this.sync();
    } catch {
      // The failure itself is being reported, and SQLite replays its log when it opens the file.
    }
    for (const lease of this.#leases.values()) await lease.release();
    await this.#ledgerLease?.release();
    for (const connection of [...this.#connections.values(), ...this.#opened]) {
      await ignoring(() => connection.close());
    }
    this.#lock?.[Symbol.dispose]();
  }

  async #open(location: DatabaseLocation): Promise<Connection> {
    const connection = await openForWriting(location, {
      ...this.#workspace.settings,
      signal: this.#signal,
    });
    // What a caller brought is the caller's to sync and to close.
    if (location.kind !== "open") this.#opened.push(connection);
    refuseOpenTransaction(connection);
    const isLedger = location === this.#workspace.ledger;
    if (location.kind === "server" && !isLedger) {
      this.#leases.set(connection, await this.#take(connection));
    }
    return connection;
  }

  /** Keeps migrators on other machines out, which share the ledger, until the session ends. */
  async #lockLedger(ledger: ServerLocation): Promise<void> {
    const connection = await openServer(ledger, this.#workspace.settings);
    this.#opened.push(connection);
    try {
      this.#ledgerLease = await this.#take(connection);
      this.#ledgerLease.keepUp();
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  /** Keeps migrators on other machines from changing a database on a server meanwhile. */
  async #take(connection: Connection): Promise<Lease> {
    const { Lease, holderOf } = await import("./lease.ts");
    const { ledgerFile, timeout } = this.#workspace;
    const holder = holderOf(lockBeside(ledgerFile));
    return await Lease.take(connection, { holder, timeout, signal: this.#signal });
  }
}

/** Removes what killed commands left, unless another command is at work. */
export async function tidyUp(workspace: Workspace): Promise<void> {
  try {
    await using _session = await Session.begin({ ...workspace, timeout: 0 });
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    // The command itself says what is in the way.
  }
}

function refuseRestoring(workspace: Workspace): void {
  if (!isRestoring(workspace)) return;
  throw new SnapshotError(
    "Cannot continue: meanwhile a restore was interrupted, and the databases don't fit together",
    { help: "run the command again: it finishes the restore first" },
  );
}
