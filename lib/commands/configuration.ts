import { bundledMigrations } from "../../migrations/mod.ts";
import { AccessError } from "../base/errors.ts";
import { mayRead } from "../base/paths.ts";
import { prefixOf } from "../catalyst.ts";
import { type ConnectionSettings, settingsFrom, settingVariables } from "../database/settings.ts";
import { isNearlyMigration, parseFileName } from "../migration/file_name.ts";
import { type Environment, type FlagValues, stringFlag, wholeNumber } from "./arguments.ts";

const DEFAULT_PREFIX = "data/";

/** Where the user's own migrations are, unless `--migrations-dir` says otherwise. */
export const DEFAULT_MIGRATIONS = "migrations";

/** Variables of the environment that the command line reads. */
export const variables: readonly string[] = ["DB_PATH_PREFIX", ...settingVariables];

/** Where the databases are, and how they are opened. */
export interface PlaceAndLimits {
  /** Put before each file name. */
  readonly prefix: string;
  readonly createDirectories: boolean;
  readonly settings: ConnectionSettings;
  /** Seconds to wait for a lock. */
  readonly timeout: number;
}

/**
 * Reads where the databases are (`--data-dir`, else `DB_PATH_PREFIX`, else `data/`), and the limits.
 *
 * @throws {UsageError} where a flag or a variable holds something else than it may.
 * @throws {AccessError} where Deno may not read a variable.
 */
export async function placeAndLimits(
  flags: FlagValues,
  environment: Environment,
): Promise<PlaceAndLimits> {
  const variable = permitted(environment);
  return { ...await place(flags, variable), ...limits(flags, variable) };
}

/**
 * Reads where the databases are: `--data-dir`, else `DB_PATH_PREFIX`, else `data/`.
 *
 * @throws {LocationError} where the variable names a directory that isn't there.
 */
export async function place(
  flags: FlagValues,
  environment: Environment,
): Promise<Pick<PlaceAndLimits, "prefix" | "createDirectories">> {
  const directory = stringFlag(flags, "data-dir");
  if (directory !== undefined) {
    return { prefix: prefixOf(directory), createDirectories: true };
  }
  const prefix = environment("DB_PATH_PREFIX") || DEFAULT_PREFIX;
  if (prefix === DEFAULT_PREFIX) return { prefix, createDirectories: true };
  (await import("../base/files.ts")).refuseMissingDirectory(prefix, "DB_PATH_PREFIX");
  return { prefix, createDirectories: false };
}

/**
 * Whether it can be told if there are migrations of the user's own: where none is named, Deno must be
 * allowed to look.
 */
export function seesOwnMigrations(flags: FlagValues): boolean {
  return stringFlag(flags, "migrations-dir") !== undefined || mayRead(DEFAULT_MIGRATIONS);
}

/** Directory of the user's own migrations; null where none is named and none has any. */
export function ownMigrations(flags: FlagValues): string | null {
  const named = stringFlag(flags, "migrations-dir");
  if (named !== undefined) return named;
  // Without the permission Deno would ask a person at a terminal for it.
  if (!mayRead(DEFAULT_MIGRATIONS)) return null;
  try {
    for (const { name } of Deno.readDirSync(DEFAULT_MIGRATIONS)) {
      const isMeant = parseFileName(name) !== null || isNearlyMigration(name);
      if (isMeant && !isBundled(name)) return DEFAULT_MIGRATIONS;
    }
    return null;
  } catch (error) {
    // Nobody has named it.
    const { NotADirectory, NotFound } = Deno.errors;
    if ([NotADirectory, NotFound].some((kind) => error instanceof kind)) return null;
    return DEFAULT_MIGRATIONS; // reading it will say what is wrong
  }
}

/** The toolkit's own repository has the bundled migrations in a directory of this name. */
function isBundled(file: string): boolean {
  return bundledMigrations.some(({ name }) => file.startsWith(`${name}.`));
}

/** Says which permission is missing where Deno may not read a variable. */
function permitted(environment: Environment): Environment {
  return (name) => {
    try {
      return environment(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
      throw new AccessError(`Cannot read the variable ${name}: Deno was not given the permission`, {
        cause: error,
        help: `run it with --allow-env=${variables.join()}`,
      });
    }
  };
}

function limits(
  flags: FlagValues,
  environment: Environment,
): Pick<PlaceAndLimits, "settings" | "timeout"> {
  const timeout = stringFlag(flags, "timeout");
  return {
    settings: settingsFrom(environment),
    timeout: timeout === undefined ? 30 : wholeNumber(timeout, "timeout", 0),
  };
}
