/**
 * The flags of a command line: those that several commands have, parsing, and reading their values.
 *
 * @module
 */
import { UsageError } from "../base/errors.ts";
import type {
  CommandDescription,
  CommandDescriptions,
  CommandForm,
  CommandForms,
  Flag,
  FlagValues,
} from "./command.ts";

/** Flags that every command has. */
export const commonFlags: Readonly<Record<string, Flag>> = {
  "data-dir": {
    value: "DIR",
    multiple: true,
    help: "directory of the databases (default: data); may be repeated and contain *",
  },
  "stop-at-first": { help: "with several data directories: stop at the first failure" },
  "config": { value: "FILE", help: "configuration file (default: catalyst.json, if it exists)" },
  "migrations-dir": {
    value: "DIR",
    help: "directory of your own migrations (default: migrations)",
  },
  "timeout": { value: "SECONDS", help: "how long to wait for a lock (default: 30)" },
  "json": { help: "print one JSON document on stdout" },
  "quiet": { help: "print only errors, warnings and requested data" },
  "verbose": { help: "print more details, and stack traces of errors" },
  "no-color": { help: "print no colours (or set NO_COLOR)" },
  "help": { short: "h", help: "show this text" },
};

/** The flag that confirms in advance. */
export const yesFlag: Flag = { short: "y", help: "confirm without asking" };

/** The flag that skips the snapshot before a change. */
export const noBackupFlag: Flag = {
  help: "take no snapshot before changing databases that hold rows",
};

/** The flag that shows what would be done. */
export const dryRunFlag: Flag = {
  help: "show what would be done; change nothing",
};

/** Value of a flag; undefined if it wasn't given. */
export function stringFlag(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** The given ones of several flags, as options. */
export function stringFlags<Name extends string>(
  flags: FlagValues,
  ...names: readonly Name[]
): { readonly [name in Name]?: string } {
  const given: { [name in Name]?: string } = {};
  for (const name of names) {
    const value = stringFlag(flags, name);
    if (value !== undefined) given[name] = value;
  }
  return given;
}

/** Values of a flag that may be repeated; empty if it wasn't given. */
export function listFlag(flags: FlagValues, name: string): readonly string[] {
  const value = flags[name];
  return Array.isArray(value) ? value : [];
}

/** The choices for a flag's value; empty if any value is allowed. */
export function choicesOf({ value = "" }: Pick<Flag, "value">): readonly string[] {
  return /^[a-z]+(\|[a-z]+)+$/.test(value) ? value.split("|") : [];
}

/** Value of a flag with choices, which `parseArguments` has checked. */
export function choiceFlag<const Choice extends string>(
  flags: FlagValues,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  return choices.find((choice) => choice === flags[name]);
}

/** Splits the command's name from the rest; the default is `upgrade`. */
export async function splitCommand(
  args: readonly string[],
  commands: CommandDescriptions,
): Promise<{ readonly name: string; readonly rest: readonly string[] }> {
  let valueFlags: ReadonlySet<string> | null = null;
  for (const [at, arg] of args.entries()) {
    if (arg.startsWith("-")) continue;
    const [, before = ""] = /^--([^=]+)$/.exec(args[at - 1] ?? "") ?? [];
    if (commonFlags[before]?.value !== undefined) continue;
    if (before !== "" && commonFlags[before] === undefined) {
      // A flag before an unknown command is rare enough to load all commands.
      valueFlags ??= await valueFlagsOf(commands);
      if (valueFlags.has(before)) continue;
    }
    return { name: arg, rest: args.toSpliced(at, 1) };
  }
  return { name: "upgrade", rest: args };
}

/**
 * Flags that take a value in every command that has them. Any other flag, such as `--check`, takes no
 * value before the command's name.
 */
async function valueFlagsOf({ names, load }: CommandDescriptions): Promise<ReadonlySet<string>> {
  const descriptions = await Promise.all(names.map(load));
  const flags = descriptions.flatMap((one) => Object.entries(one.flags));
  const withoutValue = new Set(
    flags.flatMap(([name, { value }]) => value === undefined ? [name] : []),
  );
  return new Set(flags.map(([name]) => name).filter((name) => !withoutValue.has(name)));
}

/** The arguments after a command's name. */
export interface Arguments {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
}

/**
 * Reads the flags of a command, `--flag`, `--flag VALUE`, `--flag=VALUE` or `-f`, and its operands.
 * Loading `parseArgs` of `node:util` would take a quarter of the run time of an empty script.
 *
 * @throws {UsageError} if a flag is unknown or lacks its value, or there are too many arguments.
 */
export async function parseArguments(
  command: CommandDescription,
  args: readonly string[],
): Promise<Arguments> {
  const operands: string[] = [];
  const flags = new Map(Object.entries({ ...commonFlags, ...command.flags }));
  const values: Record<string, string | boolean | readonly string[]> = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    // A single dash means stdin.
    if (command.operands !== undefined && (arg === "-" || !arg.startsWith("-"))) {
      if (arg === "") throw misuse(command, "an argument is empty");
      operands.push(arg);
      continue;
    }
    const recognized = recognize(arg, flags);
    if (recognized === null) throw await unrecognized(command, arg, [...flags.keys()]);
    const { name, flag, value } = recognized;
    if (flag.value !== undefined && !flag.multiple && name in values) {
      throw misuse(command, `--${name} is given twice`);
    }
    if (flag.value === undefined) {
      if (value !== undefined) throw misuse(command, `--${name} takes no value`);
      values[name] = true;
      continue;
    }
    // The value may be the next argument, which is then consumed.
    const given = value ?? args[++at];
    if (given === undefined || (value === undefined && given.startsWith("--"))) {
      throw misuse(command, `--${name} needs a value (${flag.value})`);
    }
    // From an unset variable: it would mean the root directory, or be ignored.
    if (given === "" && /\b(DIR|FILE)\b/.test(flag.value)) {
      throw misuse(command, `--${name} is empty`);
    }
    const choices = choicesOf(flag);
    if (choices.length > 0 && !choices.includes(given)) {
      throw await invalidChoice(`--${name}`, given, { command, choices });
    }
    values[name] = flag.multiple ? [...listFlag(values, name), given] : given;
  }
  return { flags: values, operands };
}

interface Recognized {
  readonly name: string;
  readonly flag: Flag;
  /** The text after `=`. */
  readonly value: string | undefined;
}

/** The flag that an argument is or begins; null if it is none. */
export function recognize(arg: string, flags: ReadonlyMap<string, Flag>): Recognized | null {
  const [, long, value] = /^--([^=]+)(?:=(.*))?$/s.exec(arg) ?? [];
  const short = /^-([^-])$/.exec(arg)?.[1];
  for (const [name, flag] of flags) {
    if (name === long || (short !== undefined && flag.short === short)) {
      return { name, flag, value };
    }
  }
  return null;
}

async function unrecognized(
  command: CommandDescription,
  arg: string,
  names: readonly string[],
): Promise<UsageError> {
  if (!arg.startsWith("-")) return misuse(command, `it takes no argument "${arg}"`);
  const { didYouMean } = await import("../base/format.ts");
  const written = /^--[^=]+/.exec(arg)?.[0] ?? arg;
  const all = [...names, ...Object.keys(bareFlags)];
  const hint = didYouMean(written, all.map((name) => `--${name}`));
  return misuse(command, `it has no flag ${written}`, { hint });
}

/** The choices for a value, and the command they belong to. */
interface ChoiceContext {
  readonly command: Pick<CommandDescription, "name">;
  readonly choices: readonly string[];
}

/** The error for a value that is not one of the choices. */
export async function invalidChoice(
  what: string,
  given: string,
  { command, choices }: ChoiceContext,
): Promise<UsageError> {
  const { alternatives, didYouMean } = await import("../base/format.ts");
  const reason = `expected ${alternatives(choices)}`;
  return new UsageError(`Cannot use ${what} ${JSON.stringify(given)}: ${reason}`, {
    help: `${didYouMean(given, choices)}\`catalyst-migrate ${command.name} --help\` explains them`,
  });
}

/** The error for arguments that a command can't use. */
export function misuse(
  command: Pick<CommandDescription, "name">,
  reason: string,
  { hint = "" }: { readonly hint?: string } = {},
): UsageError {
  return new UsageError(`Cannot run ${command.name}: ${reason}`, {
    help: `${hint}\`catalyst-migrate ${command.name} --help\` lists its arguments`,
  });
}

/**
 * Refuses flags that exclude each other.
 *
 * @throws {UsageError} if more than one of them is given.
 */
export function refuseTogether(command: string, flags: FlagValues, names: readonly string[]): void {
  const given = names.filter((name) => flags[name] !== undefined);
  if (given.length < 2) return;
  throw new UsageError(`Cannot run ${command}: --${given.join(" and --")} contradict each other`, {
    help: "use one of them",
  });
}

/**
 * Reads a whole number of at least `least`; undefined if the flag wasn't given.
 *
 * @throws {UsageError} if the value is not valid.
 */
export function numberFlag(flags: FlagValues, name: string, least: number): number | undefined {
  const text = stringFlag(flags, name);
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  throw new UsageError(
    `Cannot use --${name} ${
      JSON.stringify(text)
    }: it is not a whole number from ${least} to 999999999`,
    { help: `give a number such as --${name} ${Math.max(least, 5)}` },
  );
}

/** A directory's path without a separator at its end. */
export function withoutSlash(path: string): string {
  return path.replace(/(.)[/\\]+$/, "$1");
}

/**
 * The directory of snapshots that `--from` names; null if it wasn't given.
 *
 * @throws {UsageError} if it does not exist, or is a file.
 */
export function fromFlag(flags: FlagValues): { readonly directory: string } | null {
  const from = stringFlag(flags, "from");
  if (from === undefined) return null;
  const directory = withoutSlash(from);
  let isDirectory = false;
  try {
    isDirectory = Deno.statSync(directory).isDirectory;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return { directory }; // reading it says why
  }
  if (isDirectory) return { directory };
  throw new UsageError(`Cannot read snapshots from ${directory}: the directory does not exist`, {
    help: "name a directory with copies of snapshots, manifests and databases",
  });
}

/** Seconds of each unit of a duration. */
const UNITS: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };

/**
 * Reads a duration such as `90m`, `24h` or `7d`, in seconds; undefined if the flag wasn't given.
 *
 * @throws {UsageError} if the text is not valid.
 */
export function durationFlag(flags: FlagValues, name: string): number | undefined {
  const text = stringFlag(flags, name);
  if (text === undefined) return undefined;
  const [, count, unit = ""] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const seconds = Number(count) * (UNITS[unit] ?? 0);
  if (seconds > 0) return seconds;
  throw new UsageError(`Cannot use --${name} ${JSON.stringify(text)}: it is not a duration`, {
    help: "write a number and m, h or d, such as 90m, 24h or 7d",
  });
}

/** `help`, which is not a command like the others: it loads only descriptions. */
export const helpCommand: CommandDescription = {
  name: "help",
  summary: "show the help of a command, for example `help upgrade`",
  operands: "[COMMAND]",
  flags: {},
  examples: [],
};

/** Flags of a command line without a command, in addition to those of `upgrade`. */
export const bareFlags: Readonly<Record<string, Flag>> = {
  "version": {
    short: "V",
    help: "show the versions of the program, Deno, SQLite and the bundled migrations",
  },
};

/** The forms of a command; a single one if it has no subcommands. */
export function formsOf(command: CommandDescription): CommandForms {
  const { summary, operands, flags, forms } = command;
  return forms ?? [{
    word: null,
    summary,
    ...(operands === undefined ? {} : { operands }),
    flags: Object.keys(flags),
  }];
}

/** The form that an operand selects. */
export function formOf(command: CommandDescription, word: string | undefined): CommandForm {
  const forms = formsOf(command);
  return forms.find((form) => form.word === word) ?? forms[0];
}
