import { bundledMigrations } from "../migrations/mod.ts";
import type { DatabaseSource } from "./database/location.ts";
import type { ConnectionSettings } from "./database/settings.ts";
import { UsageError } from "./base/errors.ts";
import type { LoadMigrationsOptions } from "./migration/loader.ts";
import type { Migration } from "./migration/migration.ts";
import { Migrator } from "./migrator.ts";
import type { RestoreResult } from "./snapshot/restore_result.ts";
import { ledgerOf } from "./state/workspace.ts";

/** Names of the bot's databases. */
export const catalystDatabases = ["positions", "trading", "ml_training"] as const;

/** Name of one of the bot's databases. */
export type CatalystDatabase = (typeof catalystDatabases)[number];

/** Where the bot's databases are, and what besides the bundled migrations there is. */
export interface CatalystOptions {
  /** Directory of the databases. Default `data`. */
  readonly dataDir?: string;
  /** Put before each file name in place of `dataDir/`: `test_` gives `test_positions.db`. */
  readonly prefix?: string;
  /** Databases that the program has open, in place of files. */
  readonly databases?: Partial<Readonly<Record<CatalystDatabase, DatabaseSource>>>;
  /** Migrations besides the bundled ones. */
  readonly migrations?: readonly Migration[];
  /** Connection settings, over the defaults. */
  readonly settings?: Partial<ConnectionSettings>;
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
  /** Seconds that a migration's function may go without a statement before it fails. Default 60. */
  readonly idleTimeout?: number;
  /** Whether no other code of this process has the databases open. Default `false`. */
  readonly alone?: boolean;
  /** Whether the data directory may be created, if its parent is there. Default `true`. */
  readonly createDirectories?: boolean;
  /**
   * Told when a restore or an import that was killed has been finished, before what was asked for. Its
   * `laterSnapshots` have what was written meanwhile.
   */
  readonly onRestoreFinished?: (result: RestoreResult) => void | Promise<void>;
}

/**
 * Makes a {@link Migrator} for the bot's three databases with the bundled migrations. It opens and
 * creates nothing yet. Needs read and write permission on the data directory.
 *
 * @throws {UsageError} where the prefix has a NUL character.
 *
 * @example Create the databases of a bot
 * ```ts
 * import { createCatalystMigrator } from "@catalyst/migrate";
 *
 * const migrator = createCatalystMigrator({ dataDir: await Deno.makeTempDir() });
 * const { applied } = await migrator.upgrade();
 * console.assert(applied.length === 3);
 * console.assert((await migrator.status()).ok);
 * ```
 */
export function createCatalystMigrator(options: CatalystOptions = {}): Migrator {
  const { dataDir = "data", databases, migrations = [], prefix, ...rest } = options;
  const before = prefix ?? prefixOf(dataDir);
  if (before.includes("\0")) {
    throw new UsageError("Cannot use the databases' path: it has a NUL character", {
      help: "check --data-dir and DB_PATH_PREFIX",
    });
  }
  return new Migrator({
    ...rest,
    databases: Object.fromEntries(
      catalystDatabases.map((name) => [name, databases?.[name] ?? `${before}${name}.db`]),
    ),
    ledger: ledgerOf(before),
    migrations: [...bundledMigrations, ...migrations],
    trusted: bundledMigrations,
    dataCheck: async (connections) => {
      const { checkCatalystData } = await import("./catalyst_data.ts");
      return await checkCatalystData(connections);
    },
  });
}

/** {@link CatalystOptions}, with the bot's own migrations in files. */
export interface OpenCatalystOptions extends CatalystOptions {
  /** Directory of the bot's own migrations, beside the bundled ones. Default: there is none. */
  readonly migrationsDir?: string;
}

/**
 * Makes a {@link Migrator} as {@link createCatalystMigrator} does, with the migrations of a directory
 * too: all are read and checked first. Needs read permission on it.
 *
 * @throws {MigrationFileError} where a file is no right migration; the message says where and why.
 * @throws {LocationError | AccessError} where the directory isn't there or can't be read.
 * @throws {RegistryError} where a file has the number of a bundled migration.
 *
 * @example Apply a bot's own migrations
 * ```ts
 * import { openCatalystMigrator } from "@catalyst/migrate";
 *
 * const migrationsDir = await Deno.makeTempDir();
 * await Deno.writeTextFile(
 *   `${migrationsDir}/004_add_notes.sql`,
 *   `-- database: trading
 * -- migrate:up
 * ALTER TABLE orders ADD COLUMN notes TEXT;
 * -- migrate:down
 * ALTER TABLE orders DROP COLUMN notes;
 * `,
 * );
 * const migrator = await openCatalystMigrator({
 *   dataDir: await Deno.makeTempDir(),
 *   migrationsDir,
 * });
 * const { applied } = await migrator.upgrade();
 * console.assert(applied.at(-1)?.id === "004");
 * ```
 */
export async function openCatalystMigrator(options: OpenCatalystOptions = {}): Promise<Migrator> {
  const { migrationsDir, migrations = [], ...rest } = options;
  if (migrationsDir === undefined) return createCatalystMigrator({ ...rest, migrations });
  const own = await loadMigrations(migrationsDir, {
    databases: catalystDatabases,
    except: bundledMigrations.map(({ name }) => name),
  });
  return createCatalystMigrator({ ...rest, migrations: [...migrations, ...own] });
}

/**
 * Reads and checks every migration of a directory, lowest number first: `004_add_notes.sql`, `.ts` or
 * `.js`. Other files and subdirectories don't matter. Needs read permission on the directory.
 *
 * @throws {MigrationFileError} where a file is no right migration, or two have the same number.
 * @throws {LocationError | AccessError} where the directory isn't there or can't be read.
 *
 * @example Migrate a program's own database by files
 * ```ts
 * import { loadMigrations, Migrator } from "@catalyst/migrate";
 *
 * const directory = await Deno.makeTempDir();
 * await Deno.writeTextFile(
 *   `${directory}/001_create_notes.sql`,
 *   "-- database: app\n-- migrate:up\nCREATE TABLE notes (body TEXT NOT NULL);\n",
 * );
 * const migrator = new Migrator({
 *   databases: { app: `${directory}/app.db` },
 *   ledger: `${directory}/migrations.db`,
 *   migrations: await loadMigrations(directory, { databases: ["app"] }),
 * });
 * console.assert(migrator.ids.join() === "001");
 * ```
 */
export async function loadMigrations(
  directory: string,
  options: LoadMigrationsOptions = {},
): Promise<Migration[]> {
  const { readMigrations } = await import("./migration/loader.ts");
  return await readMigrations(directory, options);
}

/** A directory as a prefix: `data` is `data/`. */
export function prefixOf(directory: string): string {
  return directory === "" || /[/\\]$/.test(directory) ? directory : `${directory}/`;
}
