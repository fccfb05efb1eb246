import { bundledMigrations } from "../../migrations/mod.ts";
import type { DatabaseSource } from "../database/location.ts";
import type { ConnectionSettings } from "../database/settings.ts";
import { UsageError } from "../errors.ts";
import type { Migration } from "../migration.ts";
import { Migrator } from "../migrator.ts";

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
  /** Whether no other code of this process has the databases open. Default `false`. */
  readonly alone?: boolean;
  /** Whether the data directory may be created, if its parent is there. Default `true`. */
  readonly createDirectories?: boolean;
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
    ledger: `${before}migrations.db`,
    migrations: [...bundledMigrations, ...migrations],
    dataCheck: async (connections) => {
      const { checkCatalystData } = await import("./consistency.ts");
      return await checkCatalystData(connections);
    },
  });
}

/** A directory as a prefix: `data` is `data/`. */
export function prefixOf(directory: string): string {
  return directory === "" || /[/\\]$/.test(directory) ? directory : `${directory}/`;
}
