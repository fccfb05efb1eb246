import { bundledMigrations } from "../migrations/mod.ts";
import { type CatalystError, UsageError } from "./base/errors.ts";
import { type Connection, type ConnectionSettings, number, text } from "./database/connection.ts";
import type { DatabaseSource } from "./database/location.ts";
import type { LoadMigrationsOptions, UsableMigrations } from "./migration/loader.ts";
import { compareIds, type Migration, sameNumber } from "./migration/migration.ts";
import { Migrator } from "./migrator.ts";
import type { DataCheck } from "./operations/verify.ts";
import type { Finding } from "./schema/model.ts";
import type { RestoreResult } from "./snapshot/journal.ts";
import { ledgerOf } from "./state/workspace.ts";

/** Names of the bot's databases. */
export const catalystDatabases = ["positions", "trading", "ml_training"] as const;

/** Name of one of the bot's databases. */
export type CatalystDatabase = (typeof catalystDatabases)[number];

/** Where the bot's databases are, and what to use besides the bundled migrations. */
export interface CatalystOptions {
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
  /** Directory of the snapshots. Default: `backups` in the data directory, with the same prefix. */
  readonly backupDir?: string;
  /** Migrations in addition to the bundled ones. */
  readonly migrations?: readonly Migration[];
  /**
   * Errors of migrations that could not be read. They block only operations that need all
   * migrations, such as `upgrade`. Default: none.
   */
  readonly unusable?: readonly CatalystError[];
  /** Connection settings that override the defaults. */
  readonly settings?: Partial<ConnectionSettings>;
  /** Seconds to wait for a lock. Default 30. */
  readonly timeout?: number;
  /** Seconds that a migration's function may run without a statement before it fails. Default 60. */
  readonly idleTimeout?: number;
  /** Whether no other code of this process has the databases open. Default `false`. */
  readonly alone?: boolean;
  /** Whether the data directory may be created if its parent exists. Default `true`. */
  readonly createDirectories?: boolean;
  /**
   * Called after completing a killed restore or import, before the requested operation.
   * `laterSnapshots` of the result contain what was written in between.
   */
  readonly onRestoreFinished?: (result: RestoreResult) => void | Promise<void>;
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
    ...(bundled ? { dataCheck: checkCatalystData } : {}),
  });
}

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

type CatalystFinding = Finding & { readonly database: string };

/** How many position ids are looked up at once; bounds the memory for any number of rows. */
const BATCH = 5_000;

/**
 * Rules between the bot's tables that no foreign key can express: a fill has an order, orders and
 * fills have a position, and snapshots follow each other in time.
 */
export const checkCatalystData: DataCheck = async (databases) => {
  const trading = databases.get("trading");
  if (trading === undefined) return [];
  const tables = await tablesOf(trading);
  const findings: CatalystFinding[] = [];
  if (tables.has("fills") && tables.has("orders")) {
    findings.push(...await fillsWithoutOrder(trading));
    const positions = databases.get("positions");
    if (positions !== undefined && (await tablesOf(positions)).has("closed_positions")) {
      findings.push(...await withoutPosition({ trading, positions, table: "orders" }));
      findings.push(...await withoutPosition({ trading, positions, table: "fills" }));
    }
  }
  if (tables.has("portfolio_snapshots")) findings.push(...await snapshotsOutOfOrder(trading));
  return findings;
};

async function tablesOf(connection: Connection): Promise<Set<string>> {
  const rows = await connection.all("SELECT name FROM sqlite_schema WHERE type = 'table'");
  return new Set(rows.map((row) => text(row, "name")));
}

async function fillsWithoutOrder(trading: Connection): Promise<CatalystFinding[]> {
  const row = await trading.get(
    `SELECT count(*) AS fills, min(fill_id) AS example
    FROM fills
    WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.order_id = fills.order_id)`,
  );
  if (row === undefined || number(row, "fills") === 0) return [];
  return [{
    database: "trading",
    kind: "fill_without_order",
    object: "fills",
    detail: `${row.fills} fill(s) belong to a missing order, such as ${row.example}`,
    fix: "restore the orders from a backup, or delete those fills",
  }];
}

interface PositionSearch {
  readonly trading: Connection;
  readonly positions: Connection;
  readonly table: "orders" | "fills";
}

async function withoutPosition(
  { trading, positions, table }: PositionSearch,
): Promise<CatalystFinding[]> {
  const unknown: string[] = [];
  let last: string | null = null;
  for (;;) {
    // An empty id is looked up, too. A BLOB sorts after all texts: it is not an id and bounds the
    // range.
    const batch: string[] = (await trading.all(
      `SELECT DISTINCT position_id
      FROM ${table}
      WHERE position_id ${last === null ? ">=" : ">"} ? AND position_id < x''
      ORDER BY position_id
      LIMIT ${BATCH}`,
      [last ?? ""],
    )).map((row) => text(row, "position_id"));
    const end = batch.at(-1);
    if (end === undefined) break;
    last = end;
    unknown.push(...await unknownPositions(positions, batch));
  }
  if (unknown.length === 0) return [];
  return [{
    database: "trading",
    kind: "position_missing",
    object: table,
    detail:
      `${table} name ${unknown.length} position(s) that are neither open nor closed, such as ${
        unknown[0]
      }`,
    fix: "restore the positions from a backup, or set their position_id to NULL",
  }];
}

async function unknownPositions(positions: Connection, ids: readonly string[]): Promise<string[]> {
  const rows = await positions.all(
    `SELECT value AS position_id
    FROM json_each(?)
    WHERE NOT EXISTS (SELECT 1 FROM positions WHERE positions.position_id = value)
      AND NOT EXISTS (SELECT 1 FROM closed_positions WHERE closed_positions.position_id = value)`,
    [JSON.stringify(ids)],
  );
  return rows.map((row) => String(row.position_id));
}

async function snapshotsOutOfOrder(trading: Connection): Promise<CatalystFinding[]> {
  const row = await trading.get(
    `SELECT count(*) AS snapshots, min(snapshot_id) AS example
    FROM (
        SELECT
            snapshot_id,
            snapshot_time < lag(snapshot_time) OVER (ORDER BY snapshot_id) AS is_earlier,
            snapshot_time < lag(snapshot_time) OVER (ORDER BY snapshot_date) AS contradicts_date
        FROM portfolio_snapshots
    )
    WHERE is_earlier OR contradicts_date`,
  );
  if (row === undefined || number(row, "snapshots") === 0) return [];
  return [{
    database: "trading",
    kind: "snapshot_out_of_order",
    object: "portfolio_snapshots",
    detail:
      `${row.snapshots} snapshot(s) have an earlier time than the one before, such as snapshot_id ${row.example}`,
    fix: "correct their snapshot_time or snapshot_date; the clock may have been set back",
  }];
}
