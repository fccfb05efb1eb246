import { UsageError } from "../errors.ts";
import { didYouMean } from "../suggestion.ts";
import { type Command, commonFlags, type Flag, type FlagValues } from "./command.ts";

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
 * Reads the flags of a command: `--flag`, `--flag VALUE`, `--flag=VALUE`, `-f`. Not by `parseArgs` of
 * `node:util`, since loading that module takes a quarter of an empty script's whole run time.
 *
 * @throws {UsageError} where a flag is unknown, has no value, or an argument is one too many.
 */
export function parseFlags(command: Command, args: readonly string[]): FlagValues {
  const flags = new Map(Object.entries({ ...commonFlags, ...command.flags }));
  const values: Record<string, string | boolean> = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    const { name, flag, value } = recognize(arg, flags, command);
    if (flag.type === "boolean") {
      if (value !== undefined) throw misuse(command, `--${name} takes no value`);
      values[name] = true;
      continue;
    }
    // The value may be the next argument, which then is used up.
    const given = value ?? args[++at];
    if (given === undefined || (value === undefined && given.startsWith("--"))) {
      throw misuse(command, `--${name} needs a value (${flag.value ?? "VALUE"})`);
    }
    values[name] = given;
  }
  return values;
}

interface Recognized {
  readonly name: string;
  readonly flag: Flag;
  /** What stands behind `=`. */
  readonly value: string | undefined;
}

function recognize(arg: string, flags: ReadonlyMap<string, Flag>, command: Command): Recognized {
  const [, long, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
  const short = /^-([^-])$/.exec(arg)?.[1];
  for (const [name, flag] of flags) {
    if (name === long || (short !== undefined && flag.short === short)) {
      return { name, flag, value };
    }
  }
  if (!arg.startsWith("-")) throw misuse(command, `it takes no argument "${arg}"`);
  const written = long === undefined ? arg : `--${long}`;
  const known = [...flags.keys()].map((name) => `--${name}`);
  throw misuse(command, `it has no flag ${written}`, didYouMean(written, known));
}

function misuse(command: Command, reason: string, hint = ""): UsageError {
  return new UsageError(`Cannot run ${command.name}: ${reason}`, {
    help: `${hint}\`catalyst-migrate ${command.name} --help\` lists what it takes`,
  });
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
      { help: `give a number such as --${flag} ${Math.max(least, 5)}` },
    );
  }
  return Number(text);
}
