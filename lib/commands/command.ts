import type { Migrator } from "../migrator.ts";
import type { Output } from "../terminal/output.ts";
import type { Flag, FlagValues } from "./arguments.ts";

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
  /**
   * Whether it does its work without the user's own migrations: then they aren't read, and one that is
   * wrong doesn't stop it. Default `false`.
   */
  readonly withoutMigrations?: boolean;
  /** Command lines that show its use, each with what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /** Runs it; returns the exit code. */
  run(context: CommandContext): Promise<number>;
}
