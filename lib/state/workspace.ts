import { type CatalystError, LocationError, UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { directoryOf, fileIdentity, fileItself, partFileOf } from "../base/paths.ts";
import { type DatabaseLocation, type DatabaseSource, locate } from "../database/location.ts";
import { type ConnectionSettings, defaultSettings } from "../database/connection.ts";
import { createRegistry, type Migration, type Registry } from "../migration/migration.ts";

/** The databases and migrations, and how to work with them. */
export interface WorkspaceOptions {
  /** The databases by the names that the migrations use. */
  readonly databases: Readonly<Record<string, DatabaseSource>>;
  /** The ledger, a separate database. On a server, several machines share it. */
  readonly ledger: DatabaseSource;
  /**
   * Prefix of the lock, the snapshots and similar files if the ledger is on a server; otherwise they are
   * beside the ledger. Default `data/`.
   */
  readonly prefix?: string;
  /** The known migrations, in any order. */
  readonly migrations: readonly Migration[];
  /**
   * Errors of migrations that could not be read. They stop only operations that need all migrations, such
   * as `upgrade`. Default: none.
   */
  readonly unusable?: readonly CatalystError[];
  /** Released and tested migrations that `lint` skips. Default: none. */
  readonly trusted?: readonly Migration[];
  /** Connection settings that override the defaults. Databases that are already open keep theirs. */
  readonly settings?: Partial<ConnectionSettings>;
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
  /** Seconds that a migration's function may run without a statement before it fails. Default 60. */
  readonly idleTimeout?: number;
  /**
   * Whether no other code of this process has the databases open, as in a command-line tool. Allows a
   * faster way of reading them. Default `false`.
   */
  readonly alone?: boolean;
  /** Whether the directory of a file may be created if its parent exists. Default `true`. */
  readonly createDirectories?: boolean;
  /** Directory of the snapshots. Default: `backups` beside the ledger, with the same prefix. */
  readonly backupDir?: string;
}

/** The resolved options. */
export interface Workspace {
  readonly registry: Registry;
  /** Errors of migrations that could not be read. */
  readonly unusable: readonly CatalystError[];
  /** Migrations that `lint` skips. */
  readonly trusted: readonly Migration[];
  readonly locations: ReadonlyMap<string, DatabaseLocation>;
  readonly ledger: DatabaseLocation;
  /**
   * Path of the ledger's file, or where it would be if the ledger is on a server. The lock, the
   * snapshots and similar files are beside it.
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

/** In milliseconds, SQLite and timers would take a longer one for no time at all. */
const LONGEST_TIMEOUT = 2_000_000;

/**
 * Resolves the options.
 *
 * @throws {RegistryError} if the migrations contradict each other.
 * @throws {UsageError} if the timeout is invalid, or one file has two names.
 */
export function createWorkspace(options: WorkspaceOptions): Workspace {
  const timeout = options.timeout ?? defaultSettings.busyTimeout;
  if (!(timeout >= 0 && timeout <= LONGEST_TIMEOUT)) {
    throw new UsageError(
      `Cannot wait for ${timeout} s: the timeout must be a number of seconds, 0 or more`,
      { help: `set it to at most ${LONGEST_TIMEOUT}, which is 23 days` },
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

/** Refuses one file for two databases, because they would lock each other out. */
function refuseSharedFiles(locations: readonly (readonly [string, DatabaseLocation])[]): void {
  const names = new Map<string, string>();
  for (const [name, location] of locations) {
    const { path } = location;
    if (path === ":memory:") continue;
    // Through links, different paths may lead to the same file.
    const keys = location.kind === "file"
      ? [path, fileIdentity(path) ?? resolvedPath(path)]
      : [path];
    const other = keys.map((key) => names.get(key)).find((found) => found !== undefined);
    if (other !== undefined) {
      throw new UsageError(`Cannot use ${path} for ${name}: it is the file of ${other}`, {
        help: "give each database and the ledger a separate file",
      });
    }
    for (const key of keys) names.set(key, name);
  }
}

/** The resolved path of a file, whether it exists or not. */
export function resolvedPath(path: string): string {
  const end = fileItself(path);
  try {
    return `${Deno.realPathSync(directoryOf(end))}/${end.replace(/^.*[/\\]/, "")}`;
  } catch {
    return end; // its directory does not exist either
  }
}

/** Path of the journal of a running restore, beside the ledger: `data/migrations.restore`. */
export function restoreJournal(ledger: string): string {
  return `${ledger.replace(/\.db$/, "")}.restore`;
}

/** Name of the ledger among the databases, as in a snapshot. */
export const LEDGER = "migrations";

/** Name of the ledger's file. */
export const LEDGER_FILE = `${LEDGER}.db`;

/** The ledger for a prefix: `data/migrations.db` for `data/`. */
export function ledgerOf(prefix: string): string {
  return `${prefix}${LEDGER_FILE}`;
}

/** The lock of a ledger: `data/migrations.lock` for `data/migrations.db`. */
export function lockBeside(ledger: string): string {
  return `${ledger.replace(/\.db$/, "")}.lock`;
}

/** Paths of the partial databases of an import or a restore, whether they exist or not. */
export function partsOf({ locations, ledger }: Workspace): string[] {
  return [...locations.values(), ledger].flatMap(({ kind, path }) =>
    kind !== "file" || path === ":memory:"
      ? []
      : [partFileOf(fileItself(path)), partFileOf(`${path}.import`)]
  );
}

/**
 * Paths of the partial databases that a killed import or restore left behind, also if only a log of
 * one is left. One list of each directory takes less time than a look for each name.
 */
export function partsLeft(workspace: Workspace): string[] {
  const parts = partsOf(workspace);
  const files = new Map(
    [...new Set(parts.map(directoryOf))].map((directory) => [directory, namesIn(directory)]),
  );
  return parts.filter((part) => {
    const directory = directoryOf(part);
    const name = part.replace(/^.*[/\\]/s, "");
    return DATABASE_FILES.some((ending) => files.get(directory)?.has(name + ending));
  });
}

/** Endings of a database file and of the files that SQLite keeps beside it. */
const DATABASE_FILES = ["", "-wal", "-shm", "-journal"];

function namesIn(directory: string): ReadonlySet<string> {
  try {
    return new Set(Array.from(Deno.readDirSync(directory), ({ name }) => name));
  } catch {
    return new Set(); // the operation that needs the directory reports the error
  }
}

/** Whether a restore was started but not finished. */
export function isRestoring(workspace: Workspace): boolean {
  if (workspace.ledgerFile === ":memory:") return false;
  try {
    return Deno.statSync(restoreJournal(workspace.ledgerFile)).isFile;
  } catch {
    return false;
  }
}

/** The snapshots of a ledger: `data/backups` for `data/migrations.db`, `test_backups` for `test_migrations.db`. */
export function backupsBeside(ledger: string): string {
  return `${prefixOfLedger(ledger)}backups`;
}

/** The prefix of a ledger: `data/` for `data/migrations.db`. */
export function prefixOfLedger(ledger: string): string {
  return ledger.endsWith(LEDGER_FILE)
    ? ledger.slice(0, -LEDGER_FILE.length)
    : ledger.replace(/[^/\\]*$/, "");
}

/** The location of a database. The registry guarantees that every migration's database is known. */
export function locationOf(workspace: Workspace, database: string): DatabaseLocation {
  const location = workspace.locations.get(database);
  if (location === undefined) {
    throw new LocationError(`Cannot find database "${database}": unknown name`);
  }
  return location;
}

/**
 * The location of a database named by the user.
 *
 * @throws {UsageError} if the name is unknown; `verb` is the action for the message, such as `export`.
 */
export function requireKnownDatabase(
  { locations }: Workspace,
  database: string,
  verb: string,
): DatabaseLocation {
  const location = locations.get(database);
  if (location === undefined) {
    throw unknownDatabase(database, { verb, names: [...locations.keys()] });
  }
  return location;
}

/** The error for a database that the user named and that does not exist. */
export function unknownDatabase(
  database: string,
  { verb, names, more = "" }: {
    /** The action, such as `export`. */
    readonly verb: string;
    /** The names of the existing databases. */
    readonly names: readonly string[];
    /** The end of the help. */
    readonly more?: string;
  },
): UsageError {
  return new UsageError(`Cannot ${verb} "${database}": database not found`, {
    help: `${didYouMean(database, names)}the databases are ${names.join(", ")}${more}`,
  });
}
