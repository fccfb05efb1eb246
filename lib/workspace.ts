import {
  type DatabaseLocation,
  type DatabaseSource,
  locate,
  statPath,
} from "./database/location.ts";
import { type ConnectionSettings, defaultSettings } from "./database/settings.ts";
import { AccessError, LocationError } from "./errors.ts";
import type { Migration } from "./migration.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { shellWord } from "./shell_word.ts";

/** What a {@link Migrator} works on. */
export interface MigratorOptions {
  /** The databases by name, as the migrations name them. */
  readonly databases: Readonly<Record<string, DatabaseSource>>;
  /** The ledger: a database of its own. */
  readonly ledger: DatabaseSource;
  /** The known migrations, in any order. */
  readonly migrations: readonly Migration[];
  /** Connection settings, over the defaults. Databases that are already open keep their own. */
  readonly settings?: Partial<ConnectionSettings>;
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
  /**
   * Whether no other code of this process has the databases open, as in a command-line tool: then
   * they are read in the quickest way. Default `false`.
   */
  readonly alone?: boolean;
  /** Whether the directory of a file may be created, if its parent is there. Default `true`. */
  readonly createDirectories?: boolean;
}

/** The options, resolved: which migrations there are and where everything is. */
export interface Workspace {
  readonly registry: Registry;
  readonly locations: ReadonlyMap<string, DatabaseLocation>;
  readonly ledger: DatabaseLocation;
  readonly settings: ConnectionSettings;
  readonly timeout: number;
  readonly alone: boolean;
  readonly createDirectories: boolean;
}

/**
 * Resolves the options.
 *
 * @throws {RegistryError} where the migrations contradict each other.
 */
export function createWorkspace(options: MigratorOptions): Workspace {
  const timeout = options.timeout ?? defaultSettings.busyTimeout;
  return {
    registry: createRegistry(options.migrations, Object.keys(options.databases)),
    locations: new Map(
      Object.entries(options.databases).map(([name, source]) => [name, locate(source)]),
    ),
    ledger: locate(options.ledger),
    settings: { ...defaultSettings, ...options.settings, busyTimeout: timeout },
    timeout,
    alone: options.alone ?? false,
    createDirectories: options.createDirectories ?? true,
  };
}

/** Where a database is. The registry has made sure that every migration's database is known. */
export function locationOf(workspace: Workspace, database: string): DatabaseLocation {
  const location = workspace.locations.get(database);
  if (location === undefined) {
    throw new LocationError(`Cannot find database "${database}": it is not known`);
  }
  return location;
}

/**
 * Makes sure that the directory of a file is there.
 *
 * @throws {LocationError} where it isn't and may not be created, or is a file.
 */
export function ensureDirectory(path: string, mayCreate: boolean): void {
  const directory = directoryOf(path);
  const stat = statPath(directory);
  if (stat?.isDirectory) return;
  if (stat !== null) {
    throw new LocationError(`Cannot use ${directory} as data directory: it is a file`, {
      help: "name another directory with --data-dir, or move the file away",
    });
  }
  if (!mayCreate) {
    throw new LocationError(`Cannot use ${directory} as data directory: it does not exist`, {
      help: `create it first: mkdir -p ${shellWord(directory)}`,
    });
  }
  try {
    Deno.mkdirSync(directory);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        cause: error,
        help: `create it first: mkdir -p ${shellWord(directory)}`,
      });
    }
    throw new AccessError(`Cannot create ${directory}: ${reason(error)}`, {
      cause: error,
      help: "check that this user may write there, or name another directory with --data-dir",
    });
  }
}

/** The directory part of a path, by either separator; `.` where it has none. */
export function directoryOf(path: string): string {
  const end = Math.max(
    path.lastIndexOf("/"),
    Deno.build.os === "windows" ? path.lastIndexOf("\\") : -1,
  );
  return end === -1 ? "." : end === 0 ? "/" : path.slice(0, end);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
