import { parseArgs } from "node:util";
import { UsageError } from "../errors.ts";
import { didYouMean } from "../suggestion.ts";
import { type Command, commonFlags, type FlagValues } from "./command.ts";

/** Splits the command's name from the rest; `upgrade` where none is given. */
export function splitCommand(args: readonly string[]): { name: string; rest: readonly string[] } {
  const index = args.findIndex((arg, at) => !arg.startsWith("-") && !takesValue(args[at - 1]));
  const name = args[index];
  if (name === undefined) return { name: "upgrade", rest: args };
  return { name, rest: args.toSpliced(index, 1) };
}

/** Whether an argument is a common flag whose value follows it. */
function takesValue(arg: string | undefined): boolean {
  if (arg === undefined || !arg.startsWith("--") || arg.includes("=")) return false;
  return commonFlags[arg.slice(2)]?.type === "string";
}

/**
 * Reads the flags of a command.
 *
 * @throws {UsageError} where a flag is unknown, has no value, or an argument is one too many.
 */
export function parseFlags(command: Command, args: readonly string[]): FlagValues {
  const options = { ...commonFlags, ...command.flags };
  try {
    const { values } = parseArgs({
      args: [...args],
      options,
      strict: true,
      allowPositionals: false,
    });
    return values;
  } catch (error) {
    throw toUsageError(error, command.name, Object.keys(options));
  }
}

function toUsageError(error: unknown, command: string, flags: readonly string[]): UsageError {
  const message = error instanceof Error ? error.message : String(error);
  const word = /'([^']*)'/.exec(message)?.[1] ?? "";
  const seeHelp = `\`catalyst-migrate ${command} --help\` lists what it takes`;
  const code = error instanceof Error && "code" in error ? error.code : "";
  switch (code) {
    case "ERR_PARSE_ARGS_UNKNOWN_OPTION":
      return new UsageError(`Cannot run ${command}: it has no flag ${word}`, {
        cause: error,
        help: didYouMean(word, flags.map((flag) => `--${flag}`)) + seeHelp,
      });
    case "ERR_PARSE_ARGS_UNEXPECTED_POSITIONAL":
      return new UsageError(`Cannot run ${command}: it takes no argument "${word}"`, {
        cause: error,
        help: seeHelp,
      });
    default:
      return new UsageError(`Cannot run ${command}: ${message.replace(/\.\s.*$/s, "")}`, {
        cause: error,
        help: seeHelp,
      });
  }
}

/**
 * Reads a whole number of at least `least`.
 *
 * @throws {UsageError} where the text is something else.
 */
export function wholeNumber(text: string, flag: string, least: number): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < least) {
    throw new UsageError(
      `Cannot use --${flag} ${JSON.stringify(text)}: it is no whole number from ${least} on`,
    );
  }
  return Number(text);
}
