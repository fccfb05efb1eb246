import { UsageError } from "../base/errors.ts";
import { didYouMean, renderTable, wrapText } from "../base/format.ts";
import { answerWidth } from "../terminal/output.ts";
import {
  bareFlags,
  type CommandDescription,
  type CommandForm,
  type CommandSet,
  commonFlags,
  type Flag,
  formsOf,
  helpCommand,
} from "./arguments.ts";

/** What the program is called. */
export const PROGRAM = "catalyst-migrate";

/** What the program does, in one sentence. */
export const purpose = "Creates and migrates the SQLite databases of a paper-trading bot.";

/** Variables of the environment, and what each is for. */
export const environment: readonly (readonly [variable: string, does: string])[] = [
  ["DB_PATH_PREFIX", "put before each file name (default: data/)"],
  ["CATALYST_LIBSQL_TOKEN", "token for databases on a server; _NAME behind it: for one of them"],
  ["SQLITE_WAL_MODE", "journal mode of new databases (default: WAL)"],
  ["SQLITE_SYNCHRONOUS", "NORMAL, FULL, EXTRA or OFF (default: NORMAL)"],
  ["SQLITE_CACHE_SIZE", "cache in pages; a negative number is in KiB (default: 10000)"],
  ["SQLITE_MMAP_SIZE", "memory map in bytes (default: 30000000000)"],
  ["NO_COLOR", "set to anything: no colours"],
  ["TERM", "dumb: no colours and no progress"],
];

/** Files that the program makes or reads, and what is in each. */
export const files: readonly (readonly [path: string, holds: string])[] = [
  ["data/positions.db", "open and closed positions"],
  ["data/trading.db", "orders, fills, portfolio snapshots, performance metrics"],
  ["data/ml_training.db", "training runs and what came of them"],
  ["data/migrations.db", "the ledger: what was migrated when"],
  ["data/migrations.lock", "keeps two migrators apart; may stay, is never in the way"],
  ["data/backups/", "snapshots"],
  ["migrations/", "your own migrations"],
];

/** Exit codes, and what each says. */
export const exitCodes: readonly (readonly [code: string, says: string])[] = [
  ["0", "done, or nothing to do"],
  ["1", "it failed, or a check found something"],
  ["2", "wrong usage"],
  ["130", "interrupted by Ctrl-C or SIGTERM"],
];

/** How a help text is laid out. */
export interface HelpOptions {
  /** Cells of a line. Default: as wide as the terminal, within 60 and 100. */
  readonly width?: number;
}

/** The text of `--help`: commands, options, variables. */
export async function generalHelp(
  { names, load }: CommandSet,
  options: HelpOptions = {},
): Promise<string> {
  const { width = answerWidth() } = options;
  const table = tableOf(width);
  const commands = await Promise.all(names.map(load));
  return [
    ...wrapText(purpose, width),
    ``,
    `Usage: ${PROGRAM} [COMMAND] [OPTIONS]`,
    ``,
    `Commands`,
    table([
      ...commands.map(({ name, summary }) => [name, summary] as const),
      [helpCommand.name, helpCommand.summary],
    ]),
    ``,
    `Options of every command`,
    table(flagRows({ ...commonFlags, ...bareFlags })),
    ``,
    `Environment`,
    table(environment),
    ``,
    `Files`,
    table(files),
    ``,
    `Exit codes`,
    table(exitCodes),
    ``,
    ...wrapText(`\`${PROGRAM} COMMAND --help\` tells more of one command, with examples.`, width),
  ].join("\n");
}

/** A command of which help tells only one form. */
export interface CommandHelpOptions extends HelpOptions {
  /** Words behind the command, of which the first may be a subcommand. Default: none. */
  readonly operands?: readonly string[];
}

/** The text of `COMMAND --help`, or that of its subcommand. */
export function commandHelp(command: CommandDescription, options: CommandHelpOptions = {}): string {
  const { width = answerWidth(), operands: [word] = [] } = options;
  const forms = formsOf(command);
  const only = word === undefined ? undefined : forms.find((form) => form.word === word);
  return only === undefined
    ? renderHelp(command, { forms, width })
    : renderHelp({ ...command, ...partOf(command, only) }, { forms: [only], width });
}

/**
 * Refuses a subcommand that isn't there, where help of it was asked for.
 *
 * @throws {UsageError} where the command has none of that name.
 */
export function refuseUnknownForm(command: CommandDescription, word: string): void {
  const words = formsOf(command).flatMap((form) => form.word ?? []);
  if (words.includes(word)) return;
  const has = words.length === 0 ? "it has no subcommands" : `there are ${words.join(", ")}`;
  throw new UsageError(`Cannot show help of "${command.name} ${word}": ${has}`, {
    help: `${didYouMean(word, words)}\`${PROGRAM} help ${command.name}\` shows that of the command`,
  });
}

/** How a form of a command is called, without the program: `backup verify SNAPSHOT`. */
export function usageOf({ name }: CommandDescription, { word, operands }: CommandForm): string {
  return [name, word, operands].filter((part) => part !== null && part !== undefined).join(" ");
}

/** The examples of a command that show one of its forms. */
function partOf(
  { name, flags, examples }: CommandDescription,
  { word, summary, flags: heeded }: CommandForm,
): Pick<CommandDescription, "name" | "summary" | "flags" | "examples"> {
  return {
    name,
    summary,
    flags: Object.fromEntries(Object.entries(flags).filter(([flag]) => heeded.includes(flag))),
    examples: examples.filter(([line]) => `${line} `.startsWith(`${name} ${word} `)),
  };
}

interface Layout {
  readonly forms: readonly CommandForm[];
  readonly width: number;
}

function renderHelp(command: CommandDescription, { forms, width }: Layout): string {
  const { name, summary, flags, examples } = command;
  const table = tableOf(width);
  const title = forms.length === 1 ? [name, forms[0]?.word ?? ""].join(" ").trim() : name;
  return [
    ...wrapText(`${PROGRAM} ${title}: ${summary}.`, width),
    ``,
    ...forms.map((form, at) =>
      `${at === 0 ? "Usage: " : "       "}${PROGRAM} ${usageOf(command, form)} [OPTIONS]`
    ),
    ``,
    ...forms.length === 1
      ? []
      : [`Subcommands`, table(forms.map((form) => [form.word ?? "(none)", form.summary])), ``],
    ...Object.keys(flags).length === 0 ? [] : [`Options`, table(flagRows(flags)), ``],
    `Options of every command`,
    table(flagRows(commonFlags)),
    ...examples.length === 0 ? [] : [``, `Examples`, ...examples.flatMap(renderExample(width))],
  ].join("\n");
}

/** What an example does stands below it: beside a long line there would be no room. */
function renderExample(width: number): (example: readonly [string, string]) => string[] {
  return ([line, does]) => [
    `  ${PROGRAM} ${line}`,
    ...wrapText(does, width - 6).map((part) => `      ${part}`),
  ];
}

function tableOf(width: number): (rows: readonly (readonly string[])[]) => string {
  return (rows) => renderTable(rows, { indent: 2, width });
}

/** Flags as help lists them, each with what it does. */
export function flagRows(flags: Readonly<Record<string, Flag>>): (readonly [string, string])[] {
  return Object.entries(flags).map(([name, { short, value, shown = value, help }]) => [
    `${short === undefined ? "" : `-${short}, `}--${name}${shown === undefined ? "" : ` ${shown}`}`,
    help,
  ]);
}
