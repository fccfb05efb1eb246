import { createCatalystMigrator, prefixOf } from "../catalyst/mod.ts";
import { settingsFrom, settingVariables } from "../database/settings.ts";
import { AccessError, CatalystError, LocationError, UsageError } from "../errors.ts";
import { shellWord } from "../shell_word.ts";
import { createOutput } from "../terminal/output.ts";
import { directoryOf } from "../workspace.ts";
import { parseFlags, splitCommand, wholeNumber } from "./arguments.ts";
import { type FlagValues, stringFlag } from "./command.ts";
import { loadCommand } from "./mod.ts";

/** Errors that are the caller's mistake; the command exits with 2. */
const USAGE_CODES: readonly string[] = ["USAGE", "UNKNOWN_MIGRATION"];

const DEFAULT_PREFIX = "data/";

/** Reads a variable of the environment; undefined where it is not set. */
export type Environment = (name: string) => string | undefined;

/** Runs a command line and returns its exit code: 0 done, 1 failed or found something, 2 misused. */
export async function main(args: readonly string[], environment: Environment): Promise<number> {
  const { name, rest } = splitCommand(args);
  // Errors in the flags themselves must come in the form that was asked for.
  let output = createOutput({ json: args.includes("--json"), verbose: args.includes("--verbose") });
  try {
    if (name === "help" || (name === "upgrade" && !args.includes("upgrade") && wantsHelp(rest))) {
      return await help(rest, output.answer);
    }
    if (args.includes("--version") || args.includes("-V")) return await printVersion(output.answer);
    const command = await loadCommand(name);
    const flags = parseFlags(command, rest);
    if (flags.help) {
      const { commandHelp } = await import("./help.ts");
      output.answer(commandHelp(command));
      return 0;
    }
    output = createOutput({
      json: flags.json === true,
      quiet: flags.quiet === true,
      verbose: flags.verbose === true,
      noColor: flags["no-color"] === true,
    });
    const variable = permitted(environment);
    const migrator = createCatalystMigrator({
      ...place(flags, variable),
      ...limits(flags, variable),
    });
    return await command.run({ flags, migrator, output });
  } catch (error) {
    output.error(error);
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
function place(
  flags: FlagValues,
  environment: Environment,
): { prefix: string; createDirectories: boolean } {
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
  refuseMissingDirectory(prefix);
  return { prefix, createDirectories: false };
}

function refuseMissingDirectory(prefix: string): void {
  const directory = directoryOf(prefix);
  try {
    Deno.statSync(directory);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return; // said in full where it is used
    throw new LocationError(
      `Cannot use DB_PATH_PREFIX=${JSON.stringify(prefix)}: directory ${directory} does not exist`,
      {
        cause: error,
        help: `create it (mkdir -p ${shellWord(directory)}), or correct DB_PATH_PREFIX`,
      },
    );
  }
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
