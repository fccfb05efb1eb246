import { messageOf } from "../base/format.ts";
import { AccessError, DiskFullError, InterruptedError, UsageError } from "../base/errors.ts";
import { ensureDirectory, isFullDisk, logSizeOf, requireRoom } from "../base/files.ts";
import { sizeOf } from "../base/paths.ts";
import { acquireLock } from "../base/file_lock.ts";
import {
  rehearsalLock,
  rehearsalsOf,
  removeRehearsal,
  removeRehearsals,
} from "../engine/remove_leftovers.ts";
import type { Connection, CopyProgress } from "../database/connection.ts";
import type { DatabaseLocation } from "../database/location.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import { refuseOpenTransaction } from "../database/transaction.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import { pin } from "../snapshot/pin_databases.ts";
import {
  createWorkspace,
  LEDGER_FILE,
  locationOf,
  prefixOfLedger,
  restoreJournal,
  type Workspace,
} from "../state/workspace.ts";

/** Options for copying. */
interface CopyDatabasesOptions {
  readonly directory: RehearsalDirectory;
  readonly paths: CopyPaths;
  /** Whether to copy the rows of databases on a server, too. */
  readonly data: boolean;
  /** Called with the share of a database that is copied, from 0 to 1. */
  readonly onShare: (database: string, share: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Result of copying. */
export interface Copies {
  /** Bytes by database name, without missing databases. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly seconds: number;
  readonly heldSeconds: number;
}

/** Paths of the copies. */
interface CopyPaths {
  readonly databases: ReadonlyMap<string, string>;
  readonly ledger: string;
}

/** Chooses the paths of the copies. A database's name may contain anything, a file's may not. */
export function copyPaths(directory: RehearsalDirectory, databases: readonly string[]): CopyPaths {
  const pathOf = (name: string, index: number) =>
    directory.file(`${index + 1}_${name.replace(/[^\w.-]/g, "_")}.db`);
  return {
    databases: new Map(databases.map((name, index) => [name, pathOf(name, index)])),
    ledger: directory.file(LEDGER_FILE),
  };
}

/** The same migrations for the copies only, with settings that make them cheap. */
export function copiedWorkspace(
  workspace: Workspace,
  { databases, ledger }: CopyPaths,
): Workspace {
  const { registry, trusted, settings, timeout, idleTimeout } = workspace;
  return createWorkspace({
    databases: Object.fromEntries(databases),
    ledger,
    migrations: registry.migrations.filter(({ database }) => databases.has(database)),
    trusted,
    settings: { ...settings, journalMode: "WAL", walAutocheckpoint: 0 },
    timeout,
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    alone: true,
    createDirectories: false,
  });
}

/**
 * Copies the databases and the ledger as a consistent set. Nothing is synced: the copies are
 * useless after a crash.
 */
export async function copyDatabases(
  workspace: Workspace,
  options: CopyDatabasesOptions,
): Promise<Copies> {
  const { directory, paths, data, onShare, signal } = options;
  const start = performance.now();
  const sources = [
    ...[...paths.databases].map(([database, target]) => ({
      database,
      location: locationOf(workspace, database),
      target,
    })),
    { database: "the ledger", location: workspace.ledger, target: paths.ledger },
  ];
  const files = sources.filter(({ location }) =>
    location.path !== ":memory:" && hasBytes(location)
  );
  const inMemory = sources.filter(({ location }) =>
    location.path === ":memory:" && location.kind === "open"
  );
  for (const { database, location } of [...files, ...inMemory]) await refuse(database, location);
  const bytes = files.reduce((sum, { location }) => sum + bytesOf(location), 0);
  // A rebuild writes a table a second time.
  await requireRoom(directory.path, bytes * 2, { flag: "--dir" });
  const sizes = new Map<string, number>();
  const copy = async (connection: Connection, database: string, target: string) => {
    const report = ({ done, total }: CopyProgress) => {
      if (signal?.aborted) throw interrupted();
      onShare(database, done / Math.max(1, total));
    };
    report({ done: 0, total: 1 });
    // A rehearsal needs the rows of the markers and the ledger, which show the state.
    const hasRows = (table: string) => data || target === paths.ledger || table === MARKER_TABLE;
    await connection.copyTo(target, { onProgress: report, hasRows });
    if (signal?.aborted) throw interrupted();
    if (target !== paths.ledger) sizes.set(database, sizeOf(target) ?? 0);
  };
  for (const { database, location, target } of inMemory) {
    await copy(await openForWriting(location, workspace.settings), database, target);
  }
  let heldSeconds = 0;
  if (files.length > 0) {
    const targets = files.map(({ database, location }) => ({
      database,
      path: location.path,
      server: location.kind === "server" ? location : undefined,
    }));
    await using pinned = await pin(targets, {
      timeout: workspace.timeout,
      restoreNote: restoreJournal(workspace.ledgerFile),
      signal,
    });
    heldSeconds = pinned.heldSeconds;
    for (const [index, { connection }] of pinned.databases.entries()) {
      const file = files[index];
      if (file !== undefined) await copy(connection, file.database, file.target);
    }
  }
  return { sizes, seconds: (performance.now() - start) / 1000, heldSeconds };
}

function interrupted(): InterruptedError {
  return new InterruptedError("Cannot rehearse: interrupted", {
    help: "no copies remain; the databases are unchanged",
  });
}

/** An empty file is not a database yet. */
function hasBytes({ kind, path }: DatabaseLocation): boolean {
  return kind === "server" || (sizeOf(path) ?? 0) > 0;
}

function bytesOf({ path }: DatabaseLocation): number {
  return (sizeOf(path) ?? 0) + logSizeOf(path);
}

/** A connection of the caller may belong to another SQLite library, or be in a transaction. */
async function refuse(database: string, location: DatabaseLocation): Promise<void> {
  if (location.kind !== "open") return;
  if (!("location" in location.handle)) {
    throw new UsageError(`Cannot rehearse on ${database}: its driver can't copy it`, {
      help: "open it with node:sqlite, or pass its path instead of the open database",
    });
  }
  refuseOpenTransaction(await openForReading(location));
}

/** A directory for the copies, removed on disposal. */
export interface RehearsalDirectory extends Disposable {
  readonly path: string;
  /** Path of a file in it. */
  file(name: string): string;
}

/**
 * Creates a separate directory, `<prefix>rehearsal-1a2b3c4d`, for copies, and removes those of
 * killed rehearsals with the same prefix.
 */
export async function makeRehearsalDirectory(
  workspace: Workspace,
  wanted: string | undefined,
): Promise<RehearsalDirectory> {
  const prefix = prefixOf(workspace, wanted);
  ensureDirectory(rehearsalsOf(prefix), true, {
    what: "directory of the rehearsal",
    flag: "--dir",
  });
  await removeRehearsals(prefix);
  const directory = makeDirectory(rehearsalsOf(prefix));
  const lock = await acquireLock(rehearsalLock(directory), {
    timeout: 0,
    holder: "rehearsal",
    directory: "directory of the rehearsal",
  });
  return {
    path: directory,
    file: (name) => `${directory}/${name}`,
    [Symbol.dispose]: () => {
      lock[Symbol.dispose]();
      // The next rehearsal removes what can't be removed now.
      removeRehearsal(directory);
    },
  };
}

/** Where the copies go: next to the data, because space or permissions may be missing elsewhere. */
function prefixOf({ ledgerFile, locations }: Workspace, directory: string | undefined): string {
  if (directory !== undefined) return /[/\\]$/.test(directory) ? directory : `${directory}/`;
  if (ledgerFile !== ":memory:") return prefixOfLedger(ledgerFile);
  const file = [...locations.values()].find(({ path }) => path !== ":memory:");
  if (file !== undefined) return file.path.replace(/[^/\\]*$/, "");
  throw new UsageError(
    "Cannot rehearse: all databases are in memory, and copies need a directory",
    {
      help: "name one as `directory`",
    },
  );
}

function makeDirectory(beginning: string): string {
  for (let attempt = 1;; attempt++) {
    const directory = beginning + crypto.getRandomValues(new Uint8Array(4)).toHex();
    try {
      Deno.mkdirSync(directory, { mode: 0o700 });
      return directory;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists && attempt < 10) continue;
      const message = messageOf(error);
      const options = {
        cause: error,
        help: "name a writable directory with --dir; nothing was changed",
      };
      throw isFullDisk(error)
        ? new DiskFullError(`Cannot create ${directory}: the disk is full`, options)
        : new AccessError(`Cannot create ${directory}: ${message}`, options);
    }
  }
}
