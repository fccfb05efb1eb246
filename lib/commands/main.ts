import { bundledMigrations } from "../../migrations/mod.ts";
import { createCatalystMigrator, openCatalystMigrator, prefixOf } from "../catalyst/mod.ts";
import { settingsFrom, settingVariables } from "../database/settings.ts";
import { AccessError, CatalystError, UsageError } from "../errors.ts";
import { createOutput } from "../terminal/output.ts";
import {
  type FlagValues,
  parseArguments,
  splitCommand,
  stringFlag,
  wholeNumber,
} from "./arguments.ts";
import type { Command } from "./command.ts";

/** Errors that are the caller's mistake; the command exits with 2. */
const USAGE_CODES: readonly string[] = ["USAGE", "UNKNOWN_MIGRATION"];

const DEFAULT_PREFIX = "data/";

/** Where the user's own migrations are, unless `--migrations-dir` says otherwise. */
export const DEFAULT_MIGRATIONS = "migrations";

/**
 * Every command, loaded when it is called. To wait for that makes the event loop turn, which is when
 * Deno stores compiled code for the next start: a command that has nothing to do waits for no more.
 */
const loaders: Readonly<Record<string, () => Promise<{ readonly command: Command }>>> = {
  upgrade: () => import("./upgrade.ts"),
  new: () => import("./new.ts"),
  downgrade: () => import("./downgrade.ts"),
  redo: () => import("./redo.ts"),
  baseline: () => import("./baseline.ts"),
  squash: () => import("./squash.ts"),
  status: () => import("./status.ts"),
  verify: () => import("./verify.ts"),
  lint: () => import("./lint.ts"),
  rehearse: () => import("./rehearse.ts"),
  repair: () => import("./repair.ts"),
  history: () => import("./history.ts"),
  backup: () => import("./backup.ts"),
  restore: () => import("./restore.ts"),
  export: () => import("./export.ts"),
  import: () => import("./import.ts"),
  schema: () => import("./schema.ts"),
};

/** Names of all commands, in the order in which help lists them. */
export const commandNames: readonly string[] = Object.keys(loaders);

/**
 * Loads a command by its name.
 *
 * @throws {UsageError} where there is none of that name.
 */
export async function loadCommand(name: string): Promise<Command> {
  const load = Object.hasOwn(loaders, name) ? loaders[name] : undefined;
  if (load === undefined) {
    const { didYouMean } = await import("../suggestion.ts");
    throw new UsageError(`Cannot run "${name}": there is no such command`, {
      help: `${didYouMean(name, commandNames)}\`catalyst-migrate --help\` lists the commands`,
    });
  }
  return (await load()).command;
}

/** Reads a variable of the environment; undefined where it is not set. */
export type Environment = (name: string) => string | undefined;

/** Runs a command line and returns its exit code: 0 done, 1 failed or found something, 2 misused. */
export async function main(args: readonly string[], environment: Environment): Promise<number> {
  const { name, rest } = splitCommand(args);
  // Before the flags are parsed: errors in them must come in the form that was asked for.
  const output = createOutput({
    json: args.includes("--json"),
    quiet: args.includes("--quiet"),
    verbose: args.includes("--verbose"),
    noColor: args.includes("--no-color"),
  });
  try {
    if (name === "help" || (name === "upgrade" && !args.includes("upgrade") && wantsHelp(rest))) {
      return await help(rest, output.answer);
    }
    if (args.includes("--version") || args.includes("-V")) return await printVersion(output.answer);
    const command = await loadCommand(name);
    const { flags, operands } = await parseArguments(command, rest);
    if (flags.help) {
      const { commandHelp } = await import("./help.ts");
      output.answer(commandHelp(command));
      return 0;
    }
    const variable = permitted(environment);
    const options = {
      ...await place(flags, variable),
      ...limits(flags, variable),
      alone: true,
    };
    const migrationsDir = command.withoutMigrations ? null : ownMigrations(flags);
    const migrator = migrationsDir === null
      ? createCatalystMigrator(options)
      : await openCatalystMigrator({ ...options, migrationsDir });
    return await command.run({ flags, operands, migrator, output });
  } catch (error) {
    await output.error(error);
    return error instanceof CatalystError && USAGE_CODES.includes(error.code) ? 2 : 1;
  }
}

function wantsHelp(args: readonly string[]): boolean {
  return args.includes("--help") || args.includes("-h");
}

async function help(args: readonly string[], answer: (text: string) => void): Promise<number> {
  const { commandHelp, generalHelp } = await import("./help.ts");
  const topic = args.find((arg) => !arg.startsWith("-"));
  answer(topic === undefined ? await generalHelp() : commandHelp(await loadCommand(topic)));
  return 0;
}

async function printVersion(answer: (text: string) => void): Promise<number> {
  const { version } = await import("../version.ts");
  answer(`catalyst-migrate ${version} (deno ${Deno.version.deno})`);
  return 0;
}

/** Where the databases are: `--data-dir`, else `DB_PATH_PREFIX`, else `data/`. */
async function place(
  flags: FlagValues,
  environment: Environment,
): Promise<{ prefix: string; createDirectories: boolean }> {
  const directory = stringFlag(flags, "data-dir");
  if (directory !== undefined) {
    if (directory === "") {
      throw new UsageError("Cannot use --data-dir: it is empty", {
        help: "name a directory such as --data-dir data",
      });
    }
    return { prefix: prefixOf(directory), createDirectories: true };
  }
  const prefix = environment("DB_PATH_PREFIX") || DEFAULT_PREFIX;
  if (prefix === DEFAULT_PREFIX) return { prefix, createDirectories: true };
  (await import("../directory.ts")).refuseMissingDirectory(prefix, "DB_PATH_PREFIX");
  return { prefix, createDirectories: false };
}

/** Directory of the user's own migrations; null where none is named and none has any. */
function ownMigrations(flags: FlagValues): string | null {
  const named = stringFlag(flags, "migrations-dir");
  if (named === "") {
    throw new UsageError("Cannot use --migrations-dir: it is empty", {
      help: "name a directory such as --migrations-dir migrations",
    });
  }
  if (named !== undefined) return named;
  try {
    // Without the permission Deno would ask a person at a terminal for it.
    if (Deno.stdin.isTerminal() && !mayRead(DEFAULT_MIGRATIONS)) return null;
    for (const { name } of Deno.readDirSync(DEFAULT_MIGRATIONS)) {
      if (/^\d+_.*\.(sql|ts|js)$/i.test(name) && !isBundled(name)) return DEFAULT_MIGRATIONS;
    }
    return null;
  } catch (error) {
    // No such directory, or none that Deno may read: nobody has named it.
    const { NotADirectory, NotCapable, NotFound } = Deno.errors;
    const kinds = [NotADirectory, NotCapable, NotFound];
    if (kinds.some((kind) => error instanceof kind)) return null;
    return DEFAULT_MIGRATIONS; // reading it will say what is wrong
  }
}

function mayRead(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
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
      const names = ["DB_PATH_PREFIX", ...settingVariables].join();
      throw new AccessError(`Cannot read the variable ${name}: Deno was not given the permission`, {
        cause: error,
        help: `run it with --allow-env=${names}`,
      });
    }
  };
}

function limits(
  flags: FlagValues,
  environment: Environment,
): { settings: ReturnType<typeof settingsFrom>; timeout: number } {
  const timeout = stringFlag(flags, "timeout");
  return {
    settings: settingsFrom(environment),
    timeout: timeout === undefined ? 30 : wholeNumber(timeout, "timeout", 0),
  };
}
