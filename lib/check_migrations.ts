import { bundledMigrations } from "../migrations/mod.ts";
import { catalystDatabases } from "./catalyst.ts";
import type { CheckMigrationsResult } from "./trial/check_directory.ts";

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
  // Loaded only when called.
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
