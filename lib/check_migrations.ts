import { bundledMigrations } from "../migrations/mod.ts";
import { catalystDatabases } from "./catalyst.ts";
import type { CheckMigrationsResult } from "./trial/check.ts";

/**
 * Checks a directory of migrations, for a program's own tests: reads every file, checks the numbers with
 * the bundled migrations, lints, and runs all of it up, down and up again in memory, comparing the
 * schemas. Needs read permission on the directory; it writes nothing.
 *
 * @throws {MigrationCheckError} where something is wrong, listing all that was found, each with its file and line.
 * @throws {LocationError | AccessError} where the directory isn't there or can't be read.
 *
 * @example A test for `deno test`
 * ```ts ignore
 * // Not run: it is a test itself, of a directory that is not there.
 * import { checkMigrations } from "@catalyst/migrate";
 *
 * Deno.test("migrations are fine", async () => {
 *   await checkMigrations({ migrationsDir: "migrations" });
 * });
 * ```
 *
 * @example What is found
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
  // Only those who call it need to load it.
  const { checkDirectory } = await import("./trial/check.ts");
  return await checkDirectory({ migrationsDir, databases, bundled, strict });
}

/** What to check, and how. */
export interface CheckMigrationsOptions {
  /** Directory of the migrations. */
  readonly migrationsDir: string;
  /**
   * Names of the databases that there are. Default: the bot's three, with the bundled migrations before
   * those of the directory.
   */
  readonly databases?: readonly string[];
  /** Whether the warnings of `lint` count as well. Default `false`. */
  readonly strict?: boolean;
}
