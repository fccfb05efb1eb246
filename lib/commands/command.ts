import type { Migrator } from "../migrator.ts";
import type { Configuration } from "../state/configuration.ts";
import type { Output } from "../terminal/output.ts";

/** A flag, such as `--to ID`. */
export interface Flag {
  /** One letter. */
  readonly short?: string;
  /** Whether it may be repeated, each time with a value. */
  readonly multiple?: boolean;
  /**
   * The value's placeholder in help; absent if the flag takes no value. It also selects the
   * completion: `ID` of a migration, `DATABASE`, `SNAPSHOT`, `QUERY`, `DIR`, `FILE`, or the choices,
   * as in `sql|json`. Other placeholders are not completed.
   */
  readonly value?: string;
  /** What help shows instead of a long list of choices. Default: `value`. */
  readonly shown?: string;
  readonly help: string;
}

/** The values of the flags on the command line. */
export type FlagValues = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** Input and output of every command. */
interface Invocation {
  readonly flags: FlagValues;
  /** The arguments that are not flags. */
  readonly operands: readonly string[];
  readonly output: Output;
}

/** Input and output of a {@link Command}. */
export interface CommandContext extends Invocation {
  readonly migrator: Migrator;
  /** The configuration file; null if there is none. */
  readonly configuration: Configuration | null;
}

/** Input and output of a {@link SelfContainedCommand}. */
export interface SelfContainedContext extends Invocation {
  readonly environment: Environment;
  readonly commands: CommandSet;
}

/** Descriptions of all commands, loaded on demand. */
export interface CommandDescriptions {
  /** Their names, in the order in which help lists them. */
  readonly names: readonly string[];
  /** Describes a command. */
  readonly load: (name: string) => Promise<CommandDescription>;
}

/** All commands, loaded on demand. */
export interface CommandSet extends CommandDescriptions {
  /** Their names, as help groups them. */
  readonly groups: readonly (readonly [title: string, names: readonly string[]])[];
  /** Loads a command by its name. */
  readonly load: (name: string) => Promise<AnyCommand>;
}

/** A subcommand, or the command without one. */
export interface CommandForm {
  /** The subcommand; null for the command without one. */
  readonly word: string | null;
  /** What it does, in one line. */
  readonly summary: string;
  /** Its arguments other than flags; absent if it takes none. */
  readonly operands?: string;
  /** Names of the command's own flags that apply to it. */
  readonly flags: readonly string[];
}

/** The forms of a command; the first is the one without a subcommand. */
export type CommandForms = readonly [CommandForm, ...CommandForm[]];

/** Description of a command for help, completions and the manual page. */
export interface CommandDescription {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary: string;
  /** Its arguments other than flags, such as `[DATABASE...]`; absent if it takes none. */
  readonly operands?: string;
  /** Its forms, if it has subcommands. */
  readonly forms?: CommandForms;
  /** Its own flags, in addition to the common ones. */
  readonly flags: Readonly<Record<string, Flag>>;
  /** Example command lines, each with an explanation. */
  readonly examples: readonly (readonly [line: string, does: string])[];
}

/** One command of the command line: parses its flags, calls the toolkit, renders. */
export interface Command extends CommandDescription {
  /**
   * Whether it works without the user's own migrations: they are not read, and an invalid one does not
   * stop it. Default `false`.
   */
  readonly withoutMigrations?: boolean | ((flags: FlagValues) => boolean);
  /** Runs it; returns the exit code. */
  run(context: CommandContext): Promise<number>;
}

/** A command that works even if no migrator can be created. */
export interface SelfContainedCommand extends CommandDescription {
  /** Runs it; returns the exit code. */
  runAlone(context: SelfContainedContext): Promise<number>;
}

/** Any command. */
export type AnyCommand = Command | SelfContainedCommand;

/** Reads an environment variable; undefined if it is not set. */
export type Environment = (name: string) => string | undefined;
