import { bundledMigrations } from "../migrations/mod.ts";
import { UsageError } from "./base/errors.ts";
import type { DatabaseSource } from "./database/location.ts";
import type { LoadMigrationsOptions, UsableMigrations } from "./migration/loader.ts";
import { compareIds, type Migration, sameNumber } from "./migration/migration.ts";
import { Migrator, type MigratorOptions } from "./migrator.ts";
import type { DataCheck } from "./operations/verify.ts";
import { ledgerOf } from "./state/workspace.ts";
import type { CheckMigrationsResult } from "./trial/check_directory.ts";

/** Names of the bot's databases. */
export const catalystDatabases = ["positions", "trading", "ml_training"] as const;

/** Name of one of the bot's databases. */
export type CatalystDatabase = (typeof catalystDatabases)[number];

/** Where the bot's databases are, and what to use besides the bundled migrations. */
export interface CatalystOptions extends
  Pick<
    MigratorOptions,
    | "backupDir"
    | "unusable"
    | "settings"
    | "timeout"
    | "idleTimeout"
    | "alone"
    | "createDirectories"
    | "onRestoreFinished"
  > {
  /** Directory of the databases. Default `data`. */
  readonly dataDir?: string;
  /** Replaces `dataDir/` before each file name: `test_` gives `test_positions.db`. */
  readonly prefix?: string;
  /**
   * More databases by name, and other locations for the bundled ones: paths, or databases that the
   * program has open.
   */
  readonly databases?: Readonly<Record<string, DatabaseSource>>;
  /**
   * Address of the ledger on a server, for several machines that run migrations. Default: a file in the
   * data directory.
   */
  readonly ledger?: string;
  /** Whether the three bundled databases and their migrations exist. Default `true`. */
  readonly bundled?: boolean;
  /** Migrations in addition to the bundled ones. */
  readonly migrations?: readonly Migration[];
}

/**
 * Makes a {@link Migrator} for the bot's three databases with the bundled migrations. Opens and
 * creates nothing yet. Needs read and write permission on the data directory.
 *
 * @throws {UsageError} if the prefix contains a NUL character.
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
  const {
    dataDir = "data",
    databases = {},
    ledger,
    bundled = true,
    migrations = [],
    prefix,
    ...rest
  } = options;
  const before = prefix ?? prefixOf(dataDir);
  if (before.includes("\0")) {
    throw new UsageError("Cannot use the databases' path: it has a NUL character", {
      help: "check --data-dir and DB_PATH_PREFIX",
    });
  }
  const files = bundled ? catalystDatabases.map((name) => [name, `${before}${name}.db`]) : [];
  return new Migrator({
    ...rest,
    databases: { ...Object.fromEntries(files), ...databases },
    ledger: ledger ?? ledgerOf(before),
    prefix: before,
    migrations: [...(bundled ? bundledMigrations : []), ...migrations],
    trusted: bundledMigrations,
    ...(bundled ? { dataCheck } : {}),
  });
}

const dataCheck: DataCheck = async (databases) => {
  const { checkCatalystData } = await import("./catalyst_data.ts");
  return await checkCatalystData(databases);
};

/** {@link CatalystOptions}, with the bot's own migrations read from files. */
export interface OpenCatalystOptions extends CatalystOptions {
  /** Directory of the bot's own migrations, in addition to the bundled ones. Default: none. */
  readonly migrationsDir?: string;
  /**
   * Configuration file, such as `catalyst.json`; the other options override it. Default: none.
   */
  readonly config?: string;
  /**
   * Whether unusable migrations block only operations that need all of them, such as `upgrade`;
   * {@link Migrator.unusable} has their errors. Default `false`: it throws.
   */
  readonly lenient?: boolean;
}

/**
 * Makes a {@link Migrator} as {@link createCatalystMigrator} does, adding the migrations of a
 * directory. Reads and checks all of them first. Needs read permission on the directory.
 *
 * @throws {MigrationFileError} if a file is not a valid migration; the message says where and why.
 * @throws {LocationError | AccessError} if the directory is missing or can't be read.
 * @throws {RegistryError} if a file has the number of a bundled migration.
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
  const { config, lenient = false, ...explicit } = options;
  const configured = config === undefined ? {} : await configuredOptions(config, explicit);
  const { migrationsDir, migrations = [], ...rest } = { ...configured, ...explicit };
  const databases = { ...configured.databases, ...explicit.databases };
  if (migrationsDir === undefined) {
    return createCatalystMigrator({ ...rest, databases, migrations });
  }
  const { bundled = true } = rest;
  const limits = {
    databases: [...new Set([...(bundled ? catalystDatabases : []), ...Object.keys(databases)])],
    except: bundled ? bundledMigrations.map(({ name }) => name) : [],
  };
  if (!lenient) {
    const own = await loadMigrations(migrationsDir, limits);
    return createCatalystMigrator({ ...rest, databases, migrations: [...migrations, ...own] });
  }
  const { readUsableMigrations } = await import("./migration/loader.ts");
  const read = await readUsableMigrations(migrationsDir, limits);
  const others = [...(bundled ? bundledMigrations : []), ...migrations];
  const { migrations: own, unusable } = withoutDoubles(others, read);
  return createCatalystMigrator({
    ...rest,
    databases,
    migrations: [...migrations, ...own],
    unusable,
  });
}

/** Leaves out files that have the number of another migration. */
function withoutDoubles(
  others: readonly Migration[],
  { migrations, unusable }: UsableMigrations,
): UsableMigrations {
  const doubleOf = ({ id }: Migration) => others.find((one) => compareIds(one.id, id) === 0);
  return {
    migrations: migrations.filter((one) => doubleOf(one) === undefined),
    unusable: [
      ...unusable,
      ...migrations.flatMap((one) => {
        const other = doubleOf(one);
        return other === undefined ? [] : [sameNumber(other.name, one.name)];
      }),
    ],
  };
}

/** The contents of a configuration file as options. */
async function configuredOptions(
  config: string,
  { dataDir, prefix }: CatalystOptions,
): Promise<OpenCatalystOptions> {
  const { databaseFiles, readConfiguration } = await import("./state/configuration.ts");
  const configuration = await readConfiguration(config);
  const { bundled, ledger, migrationsDir, backupDir, timeout } = configuration;
  const directory = dataDir ?? configuration.dataDir ?? "data";
  return {
    bundled,
    dataDir: directory,
    databases: databaseFiles(configuration, bundled ? catalystDatabases : [], {
      prefix: prefix ?? prefixOf(directory),
      isIsolated: prefix !== undefined,
    }),
    ...(ledger === undefined ? {} : { ledger }),
    ...(migrationsDir === undefined ? {} : { migrationsDir }),
    ...(backupDir === undefined ? {} : { backupDir }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

/**
 * Reads and checks every migration of a directory, lowest number first: `004_add_notes.sql`, `.ts`
 * or `.js`. Ignores other files and subdirectories. Needs read permission on the directory.
 *
 * @throws {MigrationFileError} if a file is not a valid migration, or two have the same number.
 * @throws {LocationError | AccessError} if the directory is missing or can't be read.
 *
 * @example Migrate a program's own database with files
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

/**
 * Checks a directory of migrations, for a program's own tests: reads every file, checks the numbers
 * together with the bundled migrations, lints, and runs everything up, down and up again in memory,
 * comparing the schemas. Writes nothing. Needs read permission on the directory.
 *
 * @throws {MigrationCheckError} if there are problems; it lists all of them, each with file and
 * line.
 * @throws {LocationError | AccessError} if the directory is missing or can't be read.
 *
 * @example A test for `deno test`
 * ```ts ignore
 * // Not run: it is itself a test, of a directory that does not exist.
 * import { checkMigrations } from "@catalyst/migrate";
 *
 * Deno.test("migrations are fine", async () => {
 *   await checkMigrations({ migrationsDir: "migrations" });
 * });
 * ```
 *
 * @example Find a problem
 * ```ts
 * import { checkMigrations, MigrationCheckError } from "@catalyst/migrate";
 *
 * const migrationsDir = await Deno.makeTempDir();
 * await Deno.writeTextFile(
 *   `${migrationsDir}/004_drop_fills.sql`,
 *   "-- database: trading\n-- migrate:up\nDROP TABLE fills;\n",
 * );
 * const error: unknown = await checkMigrations({ migrationsDir }).catch((error) => error);
 * console.assert(error instanceof MigrationCheckError && error.problems[0]?.line === 3);
 * ```
 */
export async function checkMigrations(
  options: CheckMigrationsOptions,
): Promise<CheckMigrationsResult> {
  const { migrationsDir, databases = catalystDatabases, strict = false } = options;
  const bundled = options.databases === undefined ? bundledMigrations : [];
  const { checkDirectory } = await import("./trial/check_directory.ts");
  return await checkDirectory({ migrationsDir, databases, bundled, strict });
}

/** What to check, and how. */
export interface CheckMigrationsOptions {
  /** Directory of the migrations. */
  readonly migrationsDir: string;
  /**
   * Names of the databases. Default: the bot's three, with the bundled migrations before those of
   * the directory.
   */
  readonly databases?: readonly string[];
  /** Whether the warnings of `lint` count, too. Default `false`. */
  readonly strict?: boolean;
}
