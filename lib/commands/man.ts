import { version } from "../base/version.ts";
import { createWriter } from "../terminal/output.ts";
import {
  bareFlags,
  type CommandDescription,
  commonFlags,
  type Flag,
  formsOf,
  type SelfContainedCommand,
} from "./arguments.ts";
import { environment, exitCodes, files, flagRows, PROGRAM, purpose, usageOf } from "./help.ts";
import type { Documents } from "./documents.ts";

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
    // As it is, since a program reads it.
    if (!output.isJson) createWriter(Deno.stdout)(page);
    return 0;
  },
};

/** The manual page in roff, with the `man` macros; the same for the same commands and version. */
export function manualPage(commands: readonly CommandDescription[]): string {
  const title = PROGRAM.toUpperCase();
  return [
    `.TH ${quoted(title)} "1" "" ${quoted(`${PROGRAM} ${version}`)} "User Commands"`,
    section("NAME"),
    text(`${PROGRAM} - ${uncapitalized(purpose).replace(/\.$/, "")}`),
    section("SYNOPSIS"),
    `${bold(PROGRAM)} [${italic("COMMAND")}] [${italic("OPTIONS")}]`,
    section("DESCRIPTION"),
    ...DESCRIPTION.flatMap((paragraph, at) =>
      at === 0 ? [text(paragraph)] : [".PP", text(paragraph)]
    ),
    section("OPTIONS"),
    "These are taken by every command.",
    ...definitions(flagTags({ ...commonFlags, ...bareFlags })),
    section("COMMANDS"),
    ...commands.flatMap(renderCommand),
    section("ENVIRONMENT"),
    ...definitions(environment.map(([name, does]) => [bold(name), does])),
    section("FILES"),
    ...definitions(files.map(([path, holds]) => [italic(path), holds])),
    section("EXIT STATUS"),
    ...definitions(exitCodes.map(([code, says]) => [bold(code), says])),
    section("SEE ALSO"),
    `${bold("sqlite3")}(1)`,
    "",
  ].join("\n");
}

const DESCRIPTION: readonly string[] = [
  `${purpose} Without a command it runs \`upgrade\`, which does what is missing and nothing else, and ` +
  "may be run as often as you like, also while the bot is running.",
  "No command loses rows without having said how many of which table, having been confirmed, and " +
  "having taken a snapshot to go back to. After a failure each database is as it was before the " +
  "migration that failed.",
  "The answer goes to stdout, and what is told of the work to stderr. An error is one line that says " +
  "what is the case, and `help:` with the next step.",
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
      text(`${capitalized(form.summary)}.`),
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

/** Words that stand for something are in italics, those that are typed are bold. */
function usage(line: string): string {
  const words = line.split(" ").map((word) =>
    word === word.toLowerCase() ? bold(word) : italic(word)
  );
  return `${bold(PROGRAM)} ${words.join(" ")} [${italic("OPTIONS")}]`;
}

function flagTags(flags: Readonly<Record<string, Flag>>): (readonly [string, string])[] {
  return flagRows(flags).map(([flag, help]) => [
    flag.split(" ").map((word) => word.startsWith("-") ? bold(word) : italic(word)).join(" "),
    help,
  ]);
}

/** Terms, in roff, each with what it is. */
function definitions(rows: readonly (readonly [term: string, is: string])[]): string[] {
  return rows.flatMap(([term, is]) => [".TP", term, text(is)]);
}

function section(name: string): string {
  return `.SH ${quoted(name)}`;
}

/** A text in roff; what is in backquotes is bold. */
function text(words: string): string {
  const line = words.split("`").map((part, at) => at % 2 === 0 ? escaped(part) : bold(part)).join(
    "",
  );
  // A line that begins with a dot or an apostrophe would be a command.
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

/** So that each character is shown as itself, in ASCII. */
function escaped(words: string): string {
  return words.replace(/[\\\-'`^~]/g, (character) => SPECIAL[character] ?? character)
    .replace(
      /[^\n -~]/gu,
      (character) =>
        `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}

function capitalized(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function uncapitalized(words: string): string {
  return words.charAt(0).toLowerCase() + words.slice(1);
}
