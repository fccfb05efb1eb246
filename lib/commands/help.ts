import { UsageError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { renderTable, visibleWidth, wrapText } from "../terminal/text.ts";
import { answerWidth, type Output } from "../terminal/output.ts";
import { exitCodes } from "./exit_code.ts";
import { bareFlags, commonFlags, formsOf, helpCommand } from "./flags.ts";
import type { CommandDescription, CommandForm, CommandSet, Flag } from "./command.ts";
import { sqliteVersion } from "../database/open.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { version } from "../base/version.ts";
import type { Documents, VersionReport } from "./json_documents.ts";

/** What the program is called. */
export const PROGRAM = "catalyst-migrate";

/** What the program does, in one sentence. */
export const purpose = "Creates, migrates, checks, backs up and shows SQLite databases.";

/** Environment variables and their meanings. */
export const environment: readonly (readonly [variable: string, does: string])[] = [
  ["DB_PATH_PREFIX", "prefix of each file name (default: data/)"],
  ["CATALYST_CONFIG", "configuration file (default: catalyst.json, if it exists)"],
  [
    "CATALYST_LIBSQL_TOKEN",
    "token for databases on a server; CATALYST_LIBSQL_TOKEN_NAME for one of them",
  ],
  ["SQLITE_WAL_MODE", "journal mode of new databases (default: WAL)"],
  ["SQLITE_SYNCHRONOUS", "NORMAL, FULL, EXTRA or OFF (default: NORMAL)"],
  ["SQLITE_CACHE_SIZE", "cache in pages, or in KiB if negative (default: 10000)"],
  ["SQLITE_MMAP_SIZE", "memory map in bytes (default: 30000000000)"],
  ["NO_COLOR", "if set, no colours are printed"],
  ["TERM", "if dumb, no colours and no progress are printed"],
];

/** Files that the program writes or reads, and their contents. */
export const files: readonly (readonly [path: string, holds: string])[] = [
  ["data/positions.db", "open and closed positions"],
  ["data/trading.db", "orders, fills, portfolio snapshots, performance metrics"],
  ["data/ml_training.db", "training runs and their results"],
  ["data/migrations.db", "the ledger: the history of migrations"],
  ["data/migrations.lock", "prevents two runs at once; leave it in place"],
  ["data/backups/", "snapshots"],
  ["migrations/", "your own migrations"],
];

/** How a help text is laid out. */
interface HelpOptions {
  /** Cells of a line. Default: the width of the terminal, at most 120. */
  readonly width?: number;
}

type Row = readonly [name: string, text: string];

/** The text of `--help`: commands, options, variables. */
export async function generalHelp(
  { groups, load }: CommandSet,
  options: HelpOptions = {},
): Promise<string> {
  const { width = answerWidth() } = options;
  const table = tableOf(width);
  const sections = await Promise.all(groups.map(async ([title, names], at) => {
    const commands: CommandDescription[] = await Promise.all(names.map(load));
    if (at === groups.length - 1) commands.push(helpCommand);
    return [title, table(commands.map(({ name, summary }) => [name, summary])), ``];
  }));
  return [
    ...wrapText(purpose, width),
    ``,
    ...hanging(`${PROGRAM} [COMMAND] [OPTIONS]`, { first: "Usage: ", width }),
    ``,
    ...sections.flat(),
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
    ...wrapText(
      `\`${PROGRAM} help COMMAND\` shows the options of a command, with examples.`,
      width,
    ),
  ].join("\n");
}

/** How the help of a command is laid out, and which form it covers. */
interface CommandHelpOptions extends HelpOptions {
  /** Words after the command; the first may be a subcommand. Default: none. */
  readonly operands?: readonly string[];
}

/** The text of `COMMAND --help`, or that of its subcommand. */
export function commandHelp(command: CommandDescription, options: CommandHelpOptions = {}): string {
  const { width = answerWidth(), operands: [word] = [] } = options;
  const form = formsOf(command).find((one) => one.word === word);
  return renderHelp(form === undefined ? command : withForm(command, form), width);
}

/** The command as if it had only one form. */
function withForm(command: CommandDescription, form: CommandForm): CommandDescription {
  const { name, flags, examples } = command;
  return {
    ...command,
    summary: form.summary,
    forms: [form],
    flags: Object.fromEntries(Object.entries(flags).filter(([flag]) => form.flags.includes(flag))),
    examples: examples.filter(([line]) => `${line} `.startsWith(`${name} ${form.word} `)),
  };
}

/**
 * Refuses help for an unknown subcommand.
 *
 * @throws {UsageError} if the command has no subcommand of that name.
 */
export function refuseUnknownForm(command: CommandDescription, word: string): void {
  const words = formsOf(command).flatMap((form) => form.word ?? []);
  if (words.includes(word)) return;
  const has = words.length === 0
    ? "the command has no subcommands"
    : `its subcommands are ${words.join(", ")}`;
  throw new UsageError(`Cannot show help of "${command.name} ${word}": ${has}`, {
    help: `${
      didYouMean(word, words)
    }\`${PROGRAM} help ${command.name}\` shows the help of the command`,
  });
}

/** How a form of a command is called, without the program: `backup verify SNAPSHOT`. */
export function usageOf({ name }: CommandDescription, { word, operands }: CommandForm): string {
  return [name, word, operands].filter((part) => part !== null && part !== undefined).join(" ");
}

function renderHelp(command: CommandDescription, width: number): string {
  const { name, summary, flags, examples } = command;
  const forms = formsOf(command);
  const table = tableOf(width);
  const title = forms.length === 1 ? [name, forms[0].word ?? ""].join(" ").trim() : name;
  return [
    ...wrapText(`${PROGRAM} ${title}: ${summary}.`, width),
    ``,
    ...forms.flatMap((form, at) => {
      const usage = `${PROGRAM} ${usageOf(command, form)} [OPTIONS]`;
      return hanging(usage, { first: at === 0 ? "Usage: " : "       ", width });
    }),
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

/** Renders an example, with its explanation below it. */
function renderExample(width: number): (example: readonly [string, string]) => string[] {
  return ([line, does]) => [
    ...hanging(`${PROGRAM} ${line}`, { first: "  ", width, end: " \\" }),
    ...wrapText(does, width - 6).map((part) => `      ${part}`),
  ];
}

interface Hanging {
  /** What stands before the first line. */
  readonly first: string;
  readonly width: number;
  /** What continues a line. Default: nothing. */
  readonly end?: string;
}

/** Breaks a command line at its spaces; the lines after the first are indented further. */
function hanging(text: string, { first, width, end = "" }: Hanging): string[] {
  const indent = " ".repeat(first.length + 2);
  const lines = wrapText(text, width - indent.length - end.length);
  return lines.map((line, at) =>
    (at === 0 ? first : indent) + line + (at === lines.length - 1 ? "" : end)
  );
}

/** Cells for a text beside its name; with fewer, it stands below the name. */
const BESIDE = 30;

function tableOf(width: number): (rows: readonly Row[]) => string {
  return (rows) => {
    const longest = rows.reduce((most, [name]) => Math.max(most, visibleWidth(name)), 0);
    if (width - longest - 4 >= BESIDE) return renderTable(rows, { indent: 2, width });
    return rows.flatMap(([name, text]) => [
      `  ${name}`,
      ...wrapText(text, width - 6).map((line) => `      ${line}`),
    ]).join("\n");
  };
}

/** Flags as help lists them, each with what it does. */
export function flagRows(flags: Readonly<Record<string, Flag>>): (readonly [string, string])[] {
  return Object.entries(flags).map(([name, { short, value, shown = value, help }]) => [
    `${short === undefined ? "" : `-${short}, `}--${name}${shown === undefined ? "" : ` ${shown}`}`,
    help,
  ]);
}

/** `--version`: says what this program is made of. */
export async function printVersion(
  output: Output,
  migrations: readonly Migration[],
): Promise<void> {
  const report = await versionReport(migrations);
  output.json({ ok: true, ...report } satisfies Documents["version"]);
  output.answer(renderVersion(report));
}

/** Finds out what this program is made of. */
export async function versionReport(migrations: readonly Migration[]): Promise<VersionReport> {
  const bundled = await Promise.all(
    migrations.map(async ({ name, upgrade }) => ({ name, checksum: await checksumOf(upgrade) })),
  );
  const lines = bundled.map(({ name, checksum }) => `${name} ${checksum ?? "-"}\n`).join("");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(lines));
  return {
    version,
    deno: Deno.version.deno,
    sqlite: sqliteVersion(),
    standalone: Deno.build.standalone,
    target: Deno.build.target,
    migrations: {
      count: bundled.length,
      sha256: new Uint8Array(digest).toHex(),
      bundled,
    },
  };
}

function renderVersion(report: VersionReport): string {
  const { deno, sqlite, standalone, target, migrations } = report;
  return [
    `catalyst-migrate ${report.version}`,
    renderTable([
      ["deno", deno],
      ["sqlite", sqlite],
      ["migrations", `${migrations.count}, sha256 ${migrations.sha256.slice(0, 12)}`],
      ["program", `${standalone ? "standalone executable" : "run by deno"}, ${target}`],
    ]),
  ].join("\n");
}
