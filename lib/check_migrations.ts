import type { LintFinding } from "./trial/finding.ts";

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

/** What a check without problems found. */
export interface CheckMigrationsResult {
  /** Ids of the directory's migrations, in order. */
  readonly migrations: readonly string[];
  /** Warnings of `lint`, which don't count. */
  readonly warnings: readonly LintFinding[];
}

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
  // Whoever imports the toolkit for something else need not load it.
  const { check } = await import("./check_migrations_run.ts");
  return await check(options);
}
