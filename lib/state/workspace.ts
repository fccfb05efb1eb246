import { type CatalystError, LocationError, UsageError } from "../base/errors.ts";
import { directoryOf, fileIdentity, fileItself, partOf, sizeOf } from "../base/paths.ts";
import { type DatabaseLocation, type DatabaseSource, locate } from "../database/location.ts";
import { type ConnectionSettings, defaultSettings } from "../database/connection.ts";
import { createRegistry, type Migration, type Registry } from "../migration/migration.ts";

/** Which databases and migrations there are, and how to work on them. */
export interface WorkspaceOptions {
  /** The databases by name, as the migrations name them. */
  readonly databases: Readonly<Record<string, DatabaseSource>>;
  /** The ledger: a database of its own. On a server it is the ledger of several machines. */
  readonly ledger: DatabaseSource;
  /**
   * Put before the names of the lock, the snapshots and the like if the ledger is on a server; else they
   * are beside it. Default `data/`.
   */
  readonly prefix?: string;
  /** The known migrations, in any order. */
  readonly migrations: readonly Migration[];
  /**
   * What is wrong with migrations that could not be read. It stops only what needs all migrations, such
   * as `upgrade`. Default: none.
   */
  readonly unusable?: readonly CatalystError[];
  /** Those of them that `lint` need not look at, since they are released and tested. Default: none. */
  readonly trusted?: readonly Migration[];
  /** Connection settings, over the defaults. Databases that are already open keep their own. */
  readonly settings?: Partial<ConnectionSettings>;
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
  /** Seconds that a migration's function may go without a statement before it fails. Default 60. */
  readonly idleTimeout?: number;
  /**
   * Whether no other code of this process has the databases open, as in a command-line tool: then
   * they are read in the quickest way. Default `false`.
   */
  readonly alone?: boolean;
  /** Whether the directory of a file may be created, if its parent is there. Default `true`. */
  readonly createDirectories?: boolean;
  /** Directory of the snapshots. Default: `backups` beside the ledger, with the same prefix. */
  readonly backupDir?: string;
}

/** The options, resolved: which migrations there are and where everything is. */
export interface Workspace {
  readonly registry: Registry;
  /** What is wrong with migrations that could not be read. */
  readonly unusable: readonly CatalystError[];
  /** Migrations that `lint` doesn't look at. */
  readonly trusted: readonly Migration[];
  readonly locations: ReadonlyMap<string, DatabaseLocation>;
  readonly ledger: DatabaseLocation;
  /**
   * Path of the ledger's file, or where it would be if the ledger is on a server: the lock, the
   * snapshots and the like are beside it.
   */
  readonly ledgerFile: string;
  readonly settings: ConnectionSettings;
  readonly timeout: number;
  readonly idleTimeout: number | undefined;
  readonly alone: boolean;
  readonly createDirectories: boolean;
  /** Directory of the snapshots. */
  readonly backups: string;
}

/**
 * Resolves the options.
 *
 * @throws {RegistryError} if the migrations contradict each other.
 * @throws {UsageError} if the timeout is no time, or one file has two names.
 */
export function createWorkspace(options: WorkspaceOptions): Workspace {
  const timeout = options.timeout ?? defaultSettings.busyTimeout;
  if (!(timeout >= 0 && timeout < Infinity)) {
    throw new UsageError(
      `Cannot wait for ${timeout} s: the timeout is a number of seconds from 0 on`,
    );
  }
  const locations = new Map(
    Object.entries(options.databases).map(([name, source]) => [name, locate(source, name)]),
  );
  const ledger = locate(options.ledger, "ledger");
  const ledgerFile = ledger.kind === "server" ? ledgerOf(options.prefix ?? "data/") : ledger.path;
  refuseSharedFiles([...locations, ["the ledger", ledger]]);
  return {
    registry: createRegistry(options.migrations, Object.keys(options.databases)),
    unusable: options.unusable ?? [],
    trusted: options.trusted ?? [],
    locations,
    ledger,
    ledgerFile,
    settings: { ...defaultSettings, ...options.settings, busyTimeout: timeout },
    timeout,
    idleTimeout: options.idleTimeout,
    alone: options.alone ?? false,
    createDirectories: options.createDirectories ?? true,
    backups: options.backupDir ?? backupsBeside(ledgerFile),
  };
}

/** One file for two of them would be locked by the one against the other. */
function refuseSharedFiles(locations: readonly (readonly [string, DatabaseLocation])[]): void {
  const names = new Map<string, string>();
  for (const [name, location] of locations) {
    const { path } = location;
    if (path === ":memory:") continue;
    // Paths that differ may lead to one file through links.
    const keys = location.kind === "file" ? [path, fileIdentity(path) ?? futureFile(path)] : [path];
    const other = keys.map((key) => names.get(key)).find((found) => found !== undefined);
    if (other !== undefined) {
      throw new UsageError(`Cannot use ${path} for ${name}: it is the file of ${other}`, {
        help: "give each database, and the ledger, a file of its own",
      });
    }
    for (const key of keys) names.set(key, name);
  }
}

/** Where a file would be that is not there yet. */
function futureFile(path: string): string {
  const end = fileItself(path);
  try {
    return `${Deno.realPathSync(directoryOf(end))}/${end.replace(/^.*[/\\]/, "")}`;
  } catch {
    return end; // neither is its directory
  }
}

/** Path of the note of a restore that is under way, beside the ledger: `data/migrations.restore`. */
export function restoreJournal(ledger: string): string {
  return `${ledger.replace(/\.db$/, "")}.restore`;
}

/** Name by which the ledger goes beside the databases, as in a snapshot. */
export const LEDGER = "migrations";

/** Name of the ledger's file. */
export const LEDGER_FILE = `${LEDGER}.db`;

/** The ledger of what has a prefix: `data/` has `data/migrations.db`. */
export function ledgerOf(prefix: string): string {
  return `${prefix}${LEDGER_FILE}`;
}

/** `data/migrations.db` is locked by `data/migrations.lock`. */
export function lockBeside(ledger: string): string {
  return `${ledger.replace(/\.db$/, "")}.lock`;
}

/** Paths of the databases that imports and restores build, which a killed one leaves. */
export function partsOf({ locations, ledger }: Workspace): string[] {
  return [...locations.values(), ledger].flatMap(({ kind, path }) =>
    kind !== "file" || path === ":memory:"
      ? []
      : [partOf(fileItself(path)), partOf(`${path}.import`)]
  );
}

/** Whether a killed command left such a database. */
export function hasParts(workspace: Workspace): boolean {
  try {
    return partsOf(workspace).some((path) => sizeOf(path) !== null);
  } catch {
    return false; // whoever needs the directory says why it can't be read
  }
}

/** Whether a restore was begun and not finished. */
export function isRestoring(workspace: Workspace): boolean {
  if (workspace.ledgerFile === ":memory:") return false;
  try {
    return Deno.statSync(restoreJournal(workspace.ledgerFile)).isFile;
  } catch {
    return false;
  }
}

/** `data/migrations.db` has `data/backups`, and `test_migrations.db` has `test_backups`. */
export function backupsBeside(ledger: string): string {
  return `${prefixOfLedger(ledger)}backups`;
}

/** What stands before the names of what belongs to a ledger: `data/` of `data/migrations.db`. */
export function prefixOfLedger(ledger: string): string {
  return ledger.endsWith(LEDGER_FILE)
    ? ledger.slice(0, -LEDGER_FILE.length)
    : ledger.replace(/[^/\\]*$/, "");
}

/** Where a database is. The registry has made sure that every migration's database is known. */
export function locationOf(workspace: Workspace, database: string): DatabaseLocation {
  const location = workspace.locations.get(database);
  if (location === undefined) {
    throw new LocationError(`Cannot find database "${database}": it is not known`);
  }
  return location;
}
