import { version } from "../base/version.ts";
import { createWriter } from "../terminal/output.ts";
import { exitCodes } from "./exit_code.ts";
import { bareFlags, commonFlags, formsOf } from "./flags.ts";
import type { CommandDescription, Flag, SelfContainedCommand } from "./command.ts";
import { environment, files, flagRows, PROGRAM, purpose, usageOf } from "./help.ts";
import type { Documents } from "./json_documents.ts";

/** `man`: prints the manual page. */
export const command: SelfContainedCommand = {
  name: "man",
  summary: "print the manual page for `man`",
  flags: {},
  examples: [
    ["man | man -l -", "read it"],
    ["man > /usr/local/share/man/man1/catalyst-migrate.1", "install it"],
  ],
  runAlone: async ({ commands, output }) => {
    const page = manualPage(await Promise.all(commands.names.map(commands.load)));
    output.json({ ok: true, page } satisfies Documents["man"]);
    // A program reads it, so nothing is escaped.
    if (!output.isJson) createWriter(Deno.stdout)(page);
    return 0;
  },
};

/** The manual page in roff, with the `man` macros. */
export function manualPage(commands: readonly CommandDescription[]): string {
  const title = PROGRAM.toUpperCase();
  return [
    `.TH ${quoted(title)} "1" "" ${quoted(`${PROGRAM} ${version}`)} "User Commands"`,
    '.SH "NAME"',
    text(`${PROGRAM} - ${purpose.charAt(0).toLowerCase()}${purpose.slice(1, -1)}`),
    '.SH "SYNOPSIS"',
    `${bold(PROGRAM)} [${italic("COMMAND")}] [${italic("OPTIONS")}]`,
    '.SH "DESCRIPTION"',
    DESCRIPTION.map(text).join("\n.PP\n"),
    '.SH "OPTIONS"',
    "Every command takes these.",
    ...definitions(flagTags({ ...commonFlags, ...bareFlags })),
    '.SH "COMMANDS"',
    ...commands.flatMap(renderCommand),
    '.SH "ENVIRONMENT"',
    ...definitions(environment.map(([name, does]) => [bold(name), does])),
    '.SH "FILES"',
    ...definitions(files.map(([path, holds]) => [italic(path), holds])),
    '.SH "EXIT STATUS"',
    ...definitions(exitCodes.map(([code, says]) => [bold(code), says])),
    '.SH "SEE ALSO"',
    `${bold("sqlite3")}(1)`,
    "",
  ].join("\n");
}

const DESCRIPTION: readonly string[] = [
  `${purpose} Without a command it runs \`upgrade\`, which applies only what is missing. It can be run ` +
  "as often as you like, even while the bot is running.",
  "No command loses rows without naming the tables and row counts, getting confirmation, and keeping a " +
  "snapshot to return to. After a failure each database is as it was before the migration that failed.",
  "The answer goes to stdout, and messages about the work go to stderr. An error is one line that says " +
  "what failed and why, followed by `help:` with the next step.",
];

function renderCommand(command: CommandDescription): string[] {
  const { name, flags, examples } = command;
  const forms = formsOf(command);
  return [
    `.SS ${quoted(name)}`,
    ...forms.flatMap((form, at) => [
      ...at === 0 ? [] : [".PP"],
      usage(usageOf(command, form)),
      ".br",
      text(`${form.summary.charAt(0).toUpperCase()}${form.summary.slice(1)}.`),
    ]),
    ...definitions(flagTags(flags)),
    ".PP",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.flatMap(([line, does]) => [
      ".PP",
      ".nf",
      `.RS 4`,
      text(`${PROGRAM} ${line}`),
      `.RE`,
      ".fi",
      ".RS 8",
      text(does),
      ".RE",
    ]),
  ];
}

function usage(line: string): string {
  return `${bold(PROGRAM)} ${marked(line)} [${italic("OPTIONS")}]`;
}

function flagTags(flags: Readonly<Record<string, Flag>>): (readonly [string, string])[] {
  return flagRows(flags).map(([flag, help]) => [marked(flag), help]);
}

/** Literal words are bold, placeholders are in italics. */
function marked(line: string): string {
  return line.split(" ").map((word) => /^-|^[^A-Z]+$/.test(word) ? bold(word) : italic(word))
    .join(" ");
}

/** Terms with their definitions, in roff. */
function definitions(rows: readonly (readonly [term: string, is: string])[]): string[] {
  return rows.flatMap(([term, is]) => [".TP", term, text(is)]);
}

/** A text in roff; text in backquotes is bold. */
function text(words: string): string {
  const parts = words.split("`").map((part, at) => at % 2 === 0 ? escaped(part) : bold(part));
  const line = parts.join("");
  // Otherwise a line that begins with a dot or an apostrophe is a command.
  return /^[.']/.test(line) ? `\\&${line}` : line;
}

function bold(words: string): string {
  return `\\fB${escaped(words)}\\fR`;
}

function italic(words: string): string {
  return `\\fI${escaped(words)}\\fR`;
}

function quoted(words: string): string {
  return `"${escaped(words).replaceAll('"', '""')}"`;
}

const SPECIAL: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "`": "\\(ga",
  "^": "\\(ha",
  "~": "\\(ti",
};

/** Escapes characters that roff interprets, and those outside ASCII. */
function escaped(words: string): string {
  return words.replace(/[\\\-'`^~]|[^\n -~]/gu, (character) =>
    SPECIAL[character] ??
      `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`);
}
