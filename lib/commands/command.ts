import type { Migrator } from "../migrator.ts";
import type { Output } from "../terminal/output.ts";

/** A flag as `node:util`'s `parseArgs` describes it, and what help says of it. */
export interface Flag {
  readonly type: "boolean" | "string";
  /** One letter. */
  readonly short?: string;
  /** What stands for the value in help, such as `DIR`. */
  readonly value?: string;
  readonly help: string;
}

/** What was given on the command line: the value of each flag. */
export type FlagValues = Readonly<Record<string, string | boolean | undefined>>;

/** What a command works with. */
export interface CommandContext {
  readonly flags: FlagValues;
  /** The arguments that are no flags. */
  readonly operands: readonly string[];
  readonly migrator: Migrator;
  readonly output: Output;
}

/** One command of the command line: parses its flags, calls the toolkit, renders. */
export interface Command {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** What arguments it takes besides flags, such as `[DATABASE…]`; absent where it takes none. */
  readonly operands?: string;
  /** Its own flags, besides the common ones. */
  readonly flags: Readonly<Record<string, Flag>>;
  /** Command lines that show its use, each with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** Runs it; returns the exit code. */
  run(context: CommandContext): Promise<number>;
}

/** Flags that every command has. */
export const commonFlags: Readonly<Record<string, Flag>> = {
  "data-dir": { type: "string", value: "DIR", help: "where the databases are (default: data)" },
  "timeout": {
    type: "string",
    value: "SECONDS",
    help: "how long to wait for a lock (default: 30)",
  },
  "json": { type: "boolean", help: "one JSON document on stdout" },
  "quiet": { type: "boolean", help: "say nothing but the answer and errors" },
  "verbose": { type: "boolean", help: "say more, with stack traces" },
  "no-color": { type: "boolean", help: "no colours (NO_COLOR does the same)" },
  "help": { type: "boolean", short: "h", help: "this text" },
};

/** The flag that answers a confirmation beforehand. */
export const yesFlag: Flag = { type: "boolean", short: "y", help: "answer yes to a confirmation" };

/** The flag that leaves out the snapshot before a change. */
export const noBackupFlag: Flag = {
  type: "boolean",
  help: "take no snapshot of databases with rows before changing them",
};

/** The flag that shows what would be done. */
export const dryRunFlag: Flag = {
  type: "boolean",
  help: "show what would be done, change nothing",
};

/** Value of a flag that takes one; undefined where it wasn't given. */
export function stringFlag(flags: FlagValues, name: string): string | undefined {
  const value = flags[name];
  return typeof value === "string" ? value : undefined;
}
