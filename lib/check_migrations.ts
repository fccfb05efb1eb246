import type { CheckMigrationsOptions, CheckMigrationsResult } from "./check_migrations_run.ts";

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
