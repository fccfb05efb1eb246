/**
 * Combines flags, environment variables and the configuration file into options.
 *
 * @module
 */
import type { OutputFileOptions } from "../dump/output_file.ts";
import { bundledMigrations } from "../../migrations/mod.ts";
import { AccessError, UsageError } from "../base/errors.ts";
import { mayRead } from "../base/paths.ts";
import { catalystDatabases, prefixOf } from "../catalyst.ts";
import { isLibsqlAddress } from "../database/location.ts";
import type { Configuration, Placement } from "../state/configuration.ts";
import { type ConnectionSettings, settingsFrom, settingVariables } from "../database/connection.ts";
import { isNearlyMigration, parseFileName } from "../migration/migration.ts";
import { listFlag, numberFlag, stringFlag, withoutSlash } from "./flags.ts";
import type { CommandContext, Environment, FlagValues } from "./command.ts";

const DEFAULT_PREFIX = "data/";

/** Names of the configuration file in the working directory. */
const CONFIGURATION_FILES: readonly string[] = ["catalyst.json", "catalyst.jsonc"];

/** Default directory of the user's own migrations. */
const DEFAULT_MIGRATIONS = "migrations";

/** Environment variables that the command line reads. */
export const variables: readonly string[] = [
  "DB_PATH_PREFIX",
  "CATALYST_CONFIG",
  ...settingVariables,
];

/** Options from flags, variables and the configuration file, in this order of precedence. */
export interface ResolvedOptions {
  /** The configuration file; null if there is none. */
  readonly configuration: Configuration | null;
  /** Prefix of each relative path. */
  readonly prefix: string;
  readonly createDirectories: boolean;
  /** The files of the databases by name. */
  readonly databases: Readonly<Record<string, string>>;
  /** Address of the ledger, if it is on a server. */
  readonly ledger?: string;
  /** Whether they include the bundled databases. */
  readonly bundled: boolean;
  /** Directory of the snapshots. Default: in the data directory. */
  readonly backupDir?: string;
  readonly settings: ConnectionSettings;
  /** Seconds to wait for a lock. */
  readonly timeout: number;
}

/** Options of {@link resolveOptions}. */
export interface ResolveOptions {
  /** Whether it is one of several data directories, which must not share a database. Default `false`. */
  readonly isOneOfMany?: boolean;
  /** Whether to ignore the configuration file. Default `false`. */
  readonly withoutConfiguration?: boolean;
}

/**
 * Reads the options of every command.
 *
 * @throws {UsageError} if a flag or a variable is invalid.
 * @throws {ConfigurationError} if the configuration file is invalid.
 * @throws {AccessError} if Deno may not read a variable, or the file can't be read.
 * @throws {LocationError} if the variable names a directory that does not exist.
 */
export async function resolveOptions(
  flags: FlagValues,
  environment: Environment,
  { isOneOfMany = false, withoutConfiguration = false }: ResolveOptions = {},
): Promise<ResolvedOptions> {
  const variable = permitted(environment);
  const configuration = withoutConfiguration ? null : await configurationOf(flags, variable);
  const found = await placementOf(flags, variable, configuration);
  const placement = isOneOfMany ? { ...found, isIsolated: true } : found;
  const bundled = configuration?.bundled ?? true;
  const { backupDir, ledger } = configuration ?? {};
  const snapshotDir = stringFlag(flags, "out") ?? stringFlag(flags, "from") ?? backupDir;
  if (isOneOfMany && snapshotDir !== undefined) {
    throw new UsageError("Cannot keep the snapshots of several data directories in one directory", {
      help:
        "leave out --out, --from and backupDir; each data directory then keeps its own snapshots",
    });
  }
  return {
    configuration,
    prefix: placement.prefix,
    createDirectories: placement.createDirectories,
    databases: await databasesAt(placement, configuration),
    bundled,
    ...(ledger === undefined ? {} : { ledger }),
    ...(backupDir === undefined ? {} : { backupDir }),
    settings: settingsFrom(variable),
    timeout: numberFlag(flags, "timeout", 0) ?? configuration?.timeout ?? 30,
  };
}

async function configurationOf(
  flags: FlagValues,
  environment: Environment,
): Promise<Configuration | null> {
  const path = stringFlag(flags, "config") || environment("CATALYST_CONFIG") || findConfiguration();
  if (path === null) return null;
  const { readConfiguration } = await import("../state/configuration.ts");
  return await readConfiguration(path);
}

/**
 * The configuration file of the working directory; null if there is none, or Deno may not look.
 * Parent directories are not searched.
 */
function findConfiguration(): string | null {
  for (const name of CONFIGURATION_FILES) {
    // Without permission Deno would prompt at a terminal.
    if (!mayRead(name)) continue;
    try {
      if (Deno.statSync(name).isFile) return name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) return name; // reading it says what is wrong
    }
  }
  return null;
}

/** Whether Deno may look for a configuration file, if none is named. */
export function seesConfiguration(flags: FlagValues): boolean {
  return stringFlag(flags, "config") !== undefined || CONFIGURATION_FILES.every(mayRead);
}

interface ResolvedPlacement extends Placement {
  readonly createDirectories: boolean;
}

async function placementOf(
  flags: FlagValues,
  environment: Environment,
  configuration: Configuration | null,
): Promise<ResolvedPlacement> {
  const [directory] = listFlag(flags, "data-dir");
  if (directory !== undefined) {
    return { prefix: prefixOf(directory), isIsolated: false, createDirectories: true };
  }
  const variable = environment("DB_PATH_PREFIX");
  if (!variable || variable === DEFAULT_PREFIX) {
    const prefix = variable || prefixOf(configuration?.dataDir ?? DEFAULT_PREFIX);
    return { prefix, isIsolated: Boolean(variable), createDirectories: true };
  }
  (await import("../base/files.ts")).refuseMissingDirectory(variable, "DB_PATH_PREFIX");
  return { prefix: variable, isIsolated: true, createDirectories: false };
}

/** The files of the databases; without a configuration the bundled ones at their default paths. */
export async function databasesAt(
  placement: Placement,
  configuration: Configuration | null,
): Promise<Record<string, string>> {
  const names = configuration?.bundled === false ? [] : catalystDatabases;
  if (configuration === null) {
    return Object.fromEntries(names.map((name) => [name, `${placement.prefix}${name}.db`]));
  }
  const { databaseFiles } = await import("../state/configuration.ts");
  return databaseFiles(configuration, names, placement);
}

/**
 * Whether the user's own migrations can be found: a directory is named, or Deno may look for the default
 * one.
 */
export function seesOwnMigrations(
  flags: FlagValues,
  configuration: Configuration | null,
): boolean {
  return namedMigrations(flags, configuration) !== undefined || mayRead(DEFAULT_MIGRATIONS);
}

function namedMigrations(
  flags: FlagValues,
  configuration: Configuration | null,
): string | undefined {
  return stringFlag(flags, "migrations-dir") ?? configuration?.migrationsDir;
}

/** Directory for the user's own migrations, which need not exist. */
export function migrationsDirectory(
  { flags, configuration }: Pick<CommandContext, "flags" | "configuration">,
): string {
  return withoutSlash(namedMigrations(flags, configuration) ?? DEFAULT_MIGRATIONS);
}

/** Directory of the user's own migrations; null if none is named and the default one has none. */
export function ownMigrations(
  flags: FlagValues,
  configuration: Configuration | null,
): string | null {
  const named = namedMigrations(flags, configuration);
  if (named !== undefined) return named;
  // Without permission Deno would prompt at a terminal.
  if (!mayRead(DEFAULT_MIGRATIONS)) return null;
  try {
    for (const { name } of Deno.readDirSync(DEFAULT_MIGRATIONS)) {
      const isMeant = parseFileName(name) !== null || isNearlyMigration(name);
      if (isMeant && !isBundled(name)) return DEFAULT_MIGRATIONS;
    }
    return null;
  } catch (error) {
    // The default directory need not exist.
    const { NotADirectory, NotFound } = Deno.errors;
    if ([NotADirectory, NotFound].some((kind) => error instanceof kind)) return null;
    return DEFAULT_MIGRATIONS; // reading it will say what is wrong
  }
}

/** Which files output may replace: never a migration or the configuration, others with `--force`. */
export function outputFileOptions(
  { flags, configuration }: Pick<CommandContext, "flags" | "configuration">,
): Pick<OutputFileOptions, "force" | "migrationsDir" | "configuration"> {
  return {
    force: flags.force === true,
    migrationsDir: ownMigrations(flags, configuration),
    configuration: configuration?.path,
  };
}

/** Whether a file is a bundled migration: the toolkit's repository has them in `migrations/`. */
function isBundled(file: string): boolean {
  return bundledMigrations.some(({ name }) => file.startsWith(`${name}.`));
}

/**
 * Gives up the network permission, unless one of the arguments is the address of a server. The permissions
 * of the executable are fixed, but the user's code, such as a migration, must not use the network.
 */
export function giveUpNetwork(unlessNamed: readonly string[]): void {
  if (!Deno.build.standalone || unlessNamed.some(isLibsqlAddress)) return;
  Deno.permissions.revokeSync({ name: "net" });
}

/** Names the missing permission if Deno may not read a variable. */
function permitted(environment: Environment): Environment {
  return (name) => {
    try {
      return environment(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotCapable)) throw error;
      throw new AccessError(`Cannot read the variable ${name}: permission denied by Deno`, {
        cause: error,
        help: `run it with --allow-env=${variables.join()}`,
      });
    }
  };
}
