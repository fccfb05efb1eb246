import { CatalystError, SnapshotError, UnrecordedError } from "../base/errors.ts";
import type { Connection } from "../database/connection.ts";
import type { DatabaseLocation, ServerLocation } from "../database/location.ts";
import { makeDurable, openForWriting, openServer } from "../database/open.ts";
import type { Lease } from "./lease.ts";
import { refuseOpenTransaction, withTransaction } from "../database/transaction.ts";
import { createLedger } from "../state/ledger.ts";
import { acquireLock } from "../base/lock.ts";
import {
  ensureDirectories,
  ensureDirectory,
  ignoring,
  removeDatabase,
  removeIfThere,
} from "../base/files.ts";
import { directoryOf, mayRead, partOf } from "../base/paths.ts";
import {
  isRestoring,
  locationOf,
  lockBeside,
  partsLeft,
  prefixOfLedger,
  restoreJournal,
  type Workspace,
} from "../state/workspace.ts";
import { messageOf } from "../base/format.ts";

/** Options of {@link Session.begin}. */
interface SessionOptions {
  /** Stops the wait for the lock. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the session is for a restore, and so may find an interrupted restore. Default `false`. */
  readonly restores?: boolean;
}

/** The databases while a migrator changes them: holds the lock, and opens databases on demand. */
export class Session implements AsyncDisposable {
  readonly #workspace: Workspace;
  readonly #signal: AbortSignal | undefined;
  readonly #lock: Disposable | null;
  readonly #connections = new Map<string, Connection>();
  readonly #leases = new Map<Connection, Lease>();
  /** The lease of a ledger on a server, in addition to the lock on one machine. */
  #ledgerLease: Lease | null = null;
  #ledger: Connection | null = null;
  readonly #opened: Connection[] = [];

  private constructor(workspace: Workspace, lock: Disposable | null, signal?: AbortSignal) {
    this.#workspace = workspace;
    this.#lock = lock;
    this.#signal = signal;
  }

  /** Takes the lock, waiting up to the workspace's timeout. */
  static async begin(workspace: Workspace, options: SessionOptions = {}): Promise<Session> {
    const { signal, restores = false } = options;
    const { ledger, ledgerFile, timeout, createDirectories } = workspace;
    // An in-memory ledger belongs to this process alone and needs no lock.
    if (ledgerFile === ":memory:") return new Session(workspace, null, signal);
    ensureDirectory(ledgerFile, createDirectories);
    const lock = await acquireLock(lockBeside(ledgerFile), { timeout, signal });
    try {
      if (!restores) refuseRestoring(workspace);
      // An interrupted restore still needs its files.
      if (!isRestoring(workspace)) await removeLeftovers(workspace);
      const session = new Session(workspace, lock, signal);
      if (ledger.kind === "server") await session.#lockLedger(ledger);
      return session;
    } catch (error) {
      lock[Symbol.dispose]();
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
    // The caller must sync and close its own connections.
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

  /** Prevents migrators on other machines from changing a database on a server. */
  async #take(connection: Connection): Promise<Lease> {
    const { Lease, holderOf } = await import("./lease.ts");
    const { ledgerFile, timeout } = this.#workspace;
    const holder = holderOf(lockBeside(ledgerFile));
    return await Lease.take(connection, { holder, timeout, signal: this.#signal });
  }
}

/** Removes leftovers of killed commands, unless another command is running. */
export async function tidyUp(workspace: Workspace): Promise<void> {
  try {
    await using _session = await Session.begin({ ...workspace, timeout: 0 });
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    // The command itself reports the problem.
  }
}

function refuseRestoring(workspace: Workspace): void {
  if (!isRestoring(workspace)) return;
  throw new SnapshotError(
    "Cannot continue: a restore was interrupted in the meantime, and the databases are inconsistent",
    { help: "run the command again: it finishes the restore first" },
  );
}

/**
 * Removes the leftovers of killed commands beside the databases, except those that cannot be removed.
 * The caller must hold the migrator's lock.
 */
async function removeLeftovers(workspace: Workspace): Promise<void> {
  try {
    removeParts(workspace);
    await removeRehearsals(prefixOfLedger(workspace.ledgerFile));
  } catch {
    // It does no harm, and `doctor` reports it.
  }
}

function removeParts(workspace: Workspace): void {
  // The incomplete journal of a killed restore.
  removeIfThere(partOf(restoreJournal(workspace.ledgerFile)));
  for (const part of partsLeft(workspace)) removeDatabase(part);
}

/** Name of the lock in a rehearsal's directory; it dies with the process. */
const LOCK = "rehearsal.lock";

/** Path of the lock of a rehearsal's directory. */
export function rehearsalLock(directory: string): string {
  return `${directory}/${LOCK}`;
}

/** Prefix of the names of such directories: `data/rehearsal-`. */
export function rehearsalsOf(prefix: string): string {
  return `${prefix}rehearsal-`;
}

/** Whether a name is that of a rehearsal's directory, with a prefix that is often empty. */
export function isRehearsal(name: string, prefix: string): boolean {
  const beginning = rehearsalsOf(prefix);
  return name.startsWith(beginning) && /^[0-9a-f]{8}$/.test(name.slice(beginning.length));
}

/** Milliseconds after which a directory without a lock counts as abandoned. */
export const GRACE = 60_000;

/** Removes the directories of rehearsals whose process has ended. */
export async function removeRehearsals(prefix: string): Promise<void> {
  const [, parent = "", beginning = ""] = /^(.*?)([^/\\]*)$/s.exec(prefix) ?? [];
  const place = parent === "" ? "." : parent;
  // Without permission Deno would prompt at a terminal.
  if (!mayRead(place)) return;
  for (const { name, isDirectory } of Deno.readDirSync(place)) {
    if (isDirectory && isRehearsal(name, beginning) && await isAbandoned(parent + name)) {
      removeRehearsal(parent + name);
    }
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    if (!exists(rehearsalLock(directory))) {
      // A new directory has no lock yet. Only directories of rehearsals are removed.
      const { mtime } = Deno.statSync(directory);
      const isEmpty = [...Deno.readDirSync(directory)].length === 0;
      return isEmpty && mtime !== null && Date.now() - mtime.getTime() > GRACE;
    }
    using _lock = await acquireLock(rehearsalLock(directory), { timeout: 0 });
    return true;
  } catch {
    return false; // the lock is held, or belongs to another user
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

export function removeRehearsal(directory: string): void {
  try {
    // Remove the lock last, so that a killed removal can be continued.
    for (const { name } of Deno.readDirSync(directory)) {
      if (name !== LOCK) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // Another rehearsal removed it first, or the next one will.
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
