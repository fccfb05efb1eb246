import type { Migrator } from "../migrator.ts";
import type { Output } from "../terminal/output.ts";
import type { Flag, FlagValues } from "./arguments.ts";
import type { Environment } from "./configuration.ts";

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
}

/** What a {@link SelfContainedCommand} works with. */
export interface SelfContainedContext extends Invocation {
  readonly environment: Environment;
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
  readonly withoutMigrations?: boolean;
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
