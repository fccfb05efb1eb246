import { UsageError } from "../base/errors.ts";
import type { Migrator } from "../migrator.ts";
import type { Configuration } from "../state/configuration.ts";
import type { Output } from "../terminal/output.ts";

/** A flag as `node:util`'s `parseArgs` describes it, and what help says of it. */
export interface Flag {
  readonly type: "boolean" | "string";
  /** One letter. */
  readonly short?: string;
  /** Whether it may be given several times, each with a value. */
  readonly multiple?: boolean;
  /**
   * What stands for the value in help, and says what completes it: `ID` of a migration, `DATABASE`,
   * `SNAPSHOT`, `QUERY`, `DIR`, `FILE`, or the words of which it is one, as in `sql|json`. Others are free.
   */
  readonly value?: string;
  /** What help shows in place of a long list of words. Default: the value. */
  readonly shown?: string;
  readonly help: string;
}

/** What was given on the command line: the value of each flag. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Flags that every command has. */
export const commonFlags: Readonly<Record<string, Flag>> = {
  "data-dir": {
    type: "string",
    value: "DIR",
    multiple: true,
    help: "directory of the databases (default: data); may be repeated and contain *",
  },
  "stop-at-first": {
    type: "boolean",
    help: "with several data directories: stop at the first failure",
  },
  "config": {
    type: "string",
    value: "FILE",
    help: "configuration file (default: catalyst.json, if it exists)",
  },
  "migrations-dir": {
    type: "string",
    value: "DIR",
    help: "directory of your own migrations (default: migrations)",
  },
  "timeout": {
    type: "string",
    value: "SECONDS",
    help: "how long to wait for a lock (default: 30)",
  },
  "json": { type: "boolean", help: "print one JSON document on stdout" },
  "quiet": { type: "boolean", help: "print only errors, warnings and requested data" },
  "verbose": { type: "boolean", help: "print more details, and stack traces of errors" },
  "no-color": { type: "boolean", help: "print no colours (or set NO_COLOR)" },
  "help": { type: "boolean", short: "h", help: "show this text" },
};

/** The flag that answers a confirmation beforehand. */
export const yesFlag: Flag = { type: "boolean", short: "y", help: "confirm without asking" };

/** The flag that leaves out the snapshot before a change. */
export const noBackupFlag: Flag = {
  type: "boolean",
  help: "take no snapshot before changing databases that hold rows",
};

/** The flag that shows what would be done. */
export const dryRunFlag: Flag = {
  type: "boolean",
  help: "show what would be done; change nothing",
};

/** Value of a flag that takes one; undefined where it wasn't given. */
export function stringFlag(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}

/** Values of a flag that may be given several times; none where it wasn't given. */
export function listFlag(flags: FlagValues, name: string): readonly string[] {
  const value = flags[name];
  return Array.isArray(value) ? value : [];
}

/** The words of which a flag's value has to be one; none where it may be anything else. */
export function choicesOf({ value = "" }: Pick<Flag, "value">): readonly string[] {
  return /^[a-z]+(\|[a-z]+)+$/.test(value) ? value.split("|") : [];
}

/** Value of a flag that is one of some words, as `parseArguments` has seen to. */
export function choiceFlag<const Choice extends string>(
  flags: FlagValues,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  return choices.find((choice) => choice === flags[name]);
}

/** Splits the command's name from the rest; `upgrade` where none is given. */
export async function splitCommand(
  args: readonly string[],
  commands: CommandDescriptions,
): Promise<{ readonly name: string; readonly rest: readonly string[] }> {
  let valueFlags: ReadonlySet<string> | null = null;
  for (const [at, arg] of args.entries()) {
    if (arg.startsWith("-")) continue;
    const [, before = ""] = /^--([^=]+)$/.exec(args[at - 1] ?? "") ?? [];
    if (commonFlags[before]?.type === "string") continue;
    if (before !== "" && commonFlags[before] === undefined) {
      // A flag of a command that is not yet known: rare enough to load all of them.
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
    flags.flatMap(([name, { type }]) => type === "string" ? [] : [name]),
  );
  return new Set(flags.map(([name]) => name).filter((name) => !withoutValue.has(name)));
}

/**
 * Reads the flags of a command: `--flag`, `--flag VALUE`, `--flag=VALUE`, `-f`. Not by `parseArgs` of
 * `node:util`, since loading that module takes a quarter of an empty script's whole run time.
 *
 * @throws {UsageError} where a flag is unknown, has no value, or an argument is one too many.
 */
export async function parseFlags(
  command: CommandDescription,
  args: readonly string[],
): Promise<FlagValues> {
  return (await parseArguments(command, args)).flags;
}

/** What stands behind a command's name. */
export interface Arguments {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
}

/** Reads flags as {@link parseFlags} does, and with them the operands of a command that takes some. */
export async function parseArguments(
  command: CommandDescription,
  args: readonly string[],
): Promise<Arguments> {
  const operands: string[] = [];
  const flags = new Map(Object.entries({ ...commonFlags, ...command.flags }));
  const values: Record<string, string | boolean | readonly string[]> = {};
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? "";
    // A single dash stands for stdin.
    if (command.operands !== undefined && (arg === "-" || !arg.startsWith("-"))) {
      if (arg === "") throw misuse(command, "an argument is empty");
      operands.push(arg);
      continue;
    }
    const recognized = recognize(arg, flags);
    if (recognized === null) throw await unrecognized(command, arg, [...flags.keys()]);
    const { name, flag, value } = recognized;
    if (flag.type === "string" && !flag.multiple && name in values) {
      throw misuse(command, `--${name} is given twice`);
    }
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
    // As of a variable that isn't set: it would mean the root of the file system, or be as if not given.
    if (given === "" && /\b(DIR|FILE)\b/.test(flag.value ?? "")) {
      throw misuse(command, `--${name} is empty`);
    }
    const choices = choicesOf(flag);
    if (choices.length > 0 && !choices.includes(given)) {
      throw await noChoice(`--${name}`, given, { command, choices });
    }
    values[name] = flag.multiple ? [...listFlag(values, name), given] : given;
  }
  return { flags: values, operands };
}

interface Recognized {
  readonly name: string;
  readonly flag: Flag;
  /** What stands behind `=`. */
  readonly value: string | undefined;
}

function recognize(arg: string, flags: ReadonlyMap<string, Flag>): Recognized | null {
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
  return misuse(command, `it has no flag ${written}`, hint);
}

/** What may stand in a place, and the command that it belongs to. */
interface ChoiceContext {
  readonly command: Pick<CommandDescription, "name">;
  readonly choices: readonly string[];
}

/** The error for a value that is not one of the choices. */
export async function noChoice(
  what: string,
  given: string,
  { command, choices }: ChoiceContext,
): Promise<UsageError> {
  const { alternatives, didYouMean } = await import("../base/format.ts");
  const reason = `expected ${alternatives(choices)}`;
  return new UsageError(`Cannot use ${what} ${JSON.stringify(given)}: ${reason}`, {
    help: `${
      didYouMean(given, choices)
    }\`catalyst-migrate ${command.name} --help\` says what each is`,
  });
}

function misuse(command: CommandDescription, reason: string, hint = ""): UsageError {
  return new UsageError(`Cannot run ${command.name}: ${reason}`, {
    help: `${hint}\`catalyst-migrate ${command.name} --help\` lists what it takes`,
  });
}

/**
 * Refuses flags that exclude each other.
 *
 * @throws {UsageError} where more than one of them is given.
 */
export function refuseTogether(command: string, flags: FlagValues, names: readonly string[]): void {
  const given = names.filter((name) => flags[name] !== undefined);
  if (given.length < 2) return;
  throw new UsageError(`Cannot run ${command}: --${given.join(" and --")} say different things`, {
    help: "give one of them",
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
      `Cannot use --${flag} ${
        JSON.stringify(text)
      }: it is not a whole number from ${least} to 999999999`,
      { help: `give a number such as --${flag} ${Math.max(least, 5)}` },
    );
  }
  return Number(text);
}

/**
 * The directory of snapshots that `--from` names; null where it wasn't given.
 *
 * @throws {UsageError} where it does not exist, or is a file.
 */
export function fromFlag(flags: FlagValues): { readonly directory: string } | null {
  const directory = stringFlag(flags, "from")?.replace(/(.)[/\\]+$/, "$1");
  if (directory === undefined) return null;
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
 * Reads a duration such as `90m`, `24h` or `7d`, in seconds; undefined where the flag wasn't given.
 *
 * @throws {UsageError} where the text is something else.
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

/** What every command works with. */
interface Invocation {
  readonly flags: FlagValues;
  /** The arguments that are no flags. */
  readonly operands: readonly string[];
  readonly output: Output;
}

/** What a {@link Command} works with. */
export interface CommandContext extends Invocation {
  readonly migrator: Migrator;
  /** The configuration file; null where there is none. */
  readonly configuration: Configuration | null;
}

/** What a {@link SelfContainedCommand} works with. */
export interface SelfContainedContext extends Invocation {
  readonly environment: Environment;
  readonly commands: CommandSet;
}

/** Descriptions of all commands; each is loaded when it is asked for. */
export interface CommandDescriptions {
  /** Their names, in the order in which help lists them. */
  readonly names: readonly string[];
  /** Describes a command. */
  readonly load: (name: string) => Promise<CommandDescription>;
}

/** All commands; each is loaded when it is asked for. */
export interface CommandSet extends CommandDescriptions {
  /** Loads a command by its name. */
  readonly load: (name: string) => Promise<AnyCommand>;
}

/** One of the ways in which a command is called that has subcommands. */
export interface CommandForm {
  /** The subcommand; null where it is called without one. */
  readonly word: string | null;
  /** What it does, in one line. */
  readonly summary: string;
  /** What arguments it takes besides flags; absent where it takes none. */
  readonly operands?: string;
  /** Names of the command's own flags that it heeds. */
  readonly flags: readonly string[];
}

/** How a command is called, as help, completions and the man page tell it. */
export interface CommandDescription {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** What arguments it takes besides flags, such as `[DATABASE...]`; absent where it takes none. */
  readonly operands?: string;
  /** The ways in which it is called, where that is more than one. */
  readonly forms?: readonly CommandForm[];
  /** Its own flags, besides the common ones. */
  readonly flags: Readonly<Record<string, Flag>>;
  /** Command lines that show its use, each with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
}

/** One command of the command line: parses its flags, calls the toolkit, renders. */
export interface Command extends CommandDescription {
  /**
   * Whether it does its work without the user's own migrations: then they aren't read, and one that is
   * wrong doesn't stop it. Default `false`.
   */
  readonly withoutMigrations?: boolean | ((flags: FlagValues) => boolean);
  /** Runs it; returns the exit code. */
  run(context: CommandContext): Promise<number>;
}

/** A command that has to work where no migrator can be made, or needs none. */
export interface SelfContainedCommand extends CommandDescription {
  /** Runs it; returns the exit code. */
  runAlone(context: SelfContainedContext): Promise<number>;
}

/** Any command. */
export type AnyCommand = Command | SelfContainedCommand;

/** Reads a variable of the environment; undefined where it is not set. */
export type Environment = (name: string) => string | undefined;

/** `help`, which is no command like the others: it does without loading most of what they need. */
export const helpCommand: CommandDescription = {
  name: "help",
  summary: "show the help of a command, for example `help upgrade`",
  operands: "[COMMAND]",
  flags: {},
  examples: [],
};

/** Flags of a command line without a command, besides those of every command and of `upgrade`. */
export const bareFlags: Readonly<Record<string, Flag>> = {
  "version": {
    type: "boolean",
    short: "V",
    help: "show the versions of the program, Deno, SQLite and the bundled migrations",
  },
};

/** The ways in which a command is called; one where it has no subcommands. */
export function formsOf(command: CommandDescription): readonly CommandForm[] {
  const { summary, operands, flags, forms } = command;
  return forms ?? [{
    word: null,
    summary,
    ...(operands === undefined ? {} : { operands }),
    flags: Object.keys(flags),
  }];
}

export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** A shell that there is a script for. */
export type Shell = (typeof SHELLS)[number];
