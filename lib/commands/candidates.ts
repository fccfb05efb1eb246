/**
 * Completes a command line: answers the scripts that `completion` prints.
 *
 * @module
 */
import { bundledMigrations } from "../../migrations/mod.ts";
import { printable, renderTable } from "../terminal/text.ts";
import { compareIds, parseFileName } from "../migration/migration.ts";
import { compareSnapshotNames, manifestOf } from "../snapshot/names.ts";
import { backupsBeside, ledgerOf } from "../state/workspace.ts";
import { createWriter } from "../terminal/output.ts";
import {
  bareFlags,
  choicesOf,
  commonFlags,
  formOf,
  formsOf,
  helpCommand,
  recognize,
  splitCommand,
  stringFlag,
} from "./flags.ts";
import type {
  CommandDescription,
  CommandDescriptions,
  Environment,
  Flag,
  FlagValues,
} from "./command.ts";
import {
  giveUpNetwork,
  ownMigrations,
  type ResolvedOptions,
  resolveOptions,
} from "./resolve_options.ts";

/** Shells with a completion script. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** A shell with a completion script. */
export type Shell = (typeof SHELLS)[number];

/** A candidate for the word at the cursor. */
interface Candidate {
  readonly value: string;
  /** Its description; may be empty. */
  readonly description: string;
}

/** Kinds of values that the program can list; `ID` is that of a migration. */
const VALUE_KINDS = ["QUERY", "ID", "DATABASE", "SNAPSHOT"] as const;

/** A kind of values that the program can list. */
export type ValueKind = (typeof VALUE_KINDS)[number];

/** What completion needs besides the line. */
export interface CompletionState extends CommandDescriptions {
  /** The existing values of a kind, given the flags of the line. */
  readonly values: (kind: ValueKind, flags: FlagValues) => Promise<readonly Candidate[]>;
}

/** The candidates for the word at the cursor. */
export interface Completion {
  /** The completed part of the word, which precedes each value: `--to=`. */
  readonly prefix: string;
  readonly candidates: readonly Candidate[];
  /** Which paths the shell adds. */
  readonly paths: "none" | "files" | "directories";
}

const NOTHING: Completion = { prefix: "", candidates: [], paths: "none" };

/**
 * Completes a command line, given its words without the program's name. The last word is the one at
 * the cursor, up to the cursor; it is empty after a space. Candidates are not filtered by it.
 */
export async function complete(
  words: readonly string[],
  state: CompletionState,
): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const before = withoutRedirections(words.slice(0, -1));
  // A file follows `>`.
  if (before === null) return { ...NOTHING, paths: "files" };
  const { name, rest } = await splitCommand(before, state);
  const isNamed = rest.length < before.length;
  if (isNamed && name === "help") return await completeTopic(rest, state);
  const command = await state.load(name);
  const known = new Map(Object.entries({ ...command.flags, ...commonFlags }));
  const line = readLine(rest, known);
  if (line.awaiting !== null) return await valuesOf(line.awaiting, line, state);
  const [, inline] = /^--([^=]+)=/s.exec(current) ?? [];
  if (inline !== undefined) {
    const flag = known.get(inline);
    if (flag?.value === undefined) return NOTHING;
    return { ...await valuesOf(flag, line, state), prefix: `--${inline}=` };
  }
  const flags = (): Completion => {
    const own = formOf(command, line.operands[0]).flags;
    const open = [...known, ...isNamed ? [] : Object.entries(bareFlags)]
      .filter(([name]) => own.includes(name) || !Object.hasOwn(command.flags, name))
      .filter(([name, { multiple }]) => multiple || !Object.hasOwn(line.flags, name));
    const candidates = open.map(([name, { help }]) => ({ value: `--${name}`, description: help }));
    return { ...NOTHING, candidates };
  };
  if (current.startsWith("-") && current !== "-") return flags();
  const operands = isNamed
    ? await operandsOf(command, line, state)
    : { ...NOTHING, candidates: await commandsOf(state) };
  const isEmpty = operands.candidates.length === 0 && operands.paths === "none";
  return isEmpty || current === "-" ? flags() : operands;
}

/** The words without redirections; null if the cursor is at a redirection's file. */
function withoutRedirections(words: readonly string[]): string[] | null {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!/^\d*(<|>>?|>\||&>>?)$/.test(word)) kept.push(word);
    else if (++at === words.length) return null;
  }
  return kept;
}

/** The words before the cursor, parsed as far as possible. */
interface Line {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  /** The flag whose value is at the cursor. */
  readonly awaiting: Flag | null;
}

/** Reads flags as `parseArguments` does, but ignores mistakes, which may still be corrected. */
function readLine(words: readonly string[], known: ReadonlyMap<string, Flag>): Line {
  const flags: Record<string, string | boolean | readonly string[]> = {};
  const operands: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!word.startsWith("-") || word === "-") operands.push(word);
    const found = recognize(word, known);
    if (found === null) continue;
    const { name, flag } = found;
    const value = flag.value === undefined || (found.value ?? words[++at]);
    if (value === undefined) return { flags, operands, awaiting: flag };
    flags[name] = flag.multiple && typeof value === "string" ? [value] : value;
  }
  return { flags, operands, awaiting: null };
}

async function operandsOf(
  command: CommandDescription,
  line: Line,
  state: CompletionState,
): Promise<Completion> {
  const form = formOf(command, line.operands[0]);
  const given = line.operands.slice(form.word === null ? 0 : 1);
  const value = operandAt(form.operands ?? "", given.length);
  const values = await valuesOf({ value }, line, state);
  const subcommands = line.operands.length === 0 ? subcommandsOf(command) : [];
  const open = values.candidates.filter(({ value }) => !given.includes(value));
  return { ...values, candidates: [...subcommands, ...open] };
}

/** The kind of an operand, by its index, in a usage such as `SNAPSHOT|FILE [DATABASE...]`. */
function operandAt(usage: string, index: number): string {
  const specs = usage.split(" ").map((spec) => spec.replace(/^\[|\]$/g, ""));
  const last = specs.at(-1) ?? "";
  const spec = index < specs.length ? specs[index] ?? "" : last.endsWith("...") ? last : "";
  return spec.replace(/\.\.\.$/, "");
}

function subcommandsOf(command: CommandDescription): Candidate[] {
  return formsOf(command).flatMap(({ word, summary }) =>
    word === null ? [] : [{ value: word, description: summary }]
  );
}

/** The candidates for a value such as `FILE|ID` or `sql|json`. */
async function valuesOf(
  flag: Pick<Flag, "value">,
  line: Line,
  state: CompletionState,
): Promise<Completion> {
  const kinds = (flag.value ?? "").split("|");
  const choices = choicesOf(flag).map((value) => ({ value, description: "" }));
  const found = await Promise.all(
    VALUE_KINDS.filter((kind) => kinds.includes(kind))
      .map((kind) => state.values(kind, line.flags)),
  );
  return {
    prefix: "",
    candidates: [...choices, ...found.flat()],
    paths: kinds.includes("FILE") ? "files" : kinds.includes("DIR") ? "directories" : "none",
  };
}

async function commandsOf({ names, load }: CompletionState): Promise<Candidate[]> {
  const commands = [...await Promise.all(names.map(load)), helpCommand];
  return commands.map(({ name, summary }) => ({ value: name, description: summary }));
}

async function completeTopic(
  [topic, ...others]: readonly string[],
  state: CompletionState,
): Promise<Completion> {
  if (topic === undefined) return { ...NOTHING, candidates: await commandsOf(state) };
  if (others.length > 0) return NOTHING;
  return { ...NOTHING, candidates: subcommandsOf(await state.load(topic)) };
}

/** What a script asks. */
export interface Question {
  readonly shell: Shell;
  /** The words of the line after the program's name, up to the cursor, without quotation marks. */
  readonly words: readonly string[];
  /** The end of the last word, which bash replaces. Default: all of it. */
  readonly replaced?: string;
  /** Cells of a line of the list that bash shows. Default: it shows none, and inserts a candidate. */
  readonly width?: number;
}

/**
 * Answers `completion SHELL --words ...`, before which an alias or a function may have put other words.
 * Errors are not reported, because they would appear while the user types.
 */
export async function answerScript(
  args: readonly string[],
  environment: Environment,
  commands: CommandDescriptions,
): Promise<void> {
  const at = args.indexOf("--words");
  const shell = SHELLS.find((one) => one === args[at - 1]);
  if (shell === undefined) return;
  giveUpNetwork([]);
  try {
    const question = questionOf(shell, args.slice(at + 1));
    const completion = await complete([...args.slice(0, at - 2), ...question.words], {
      ...commands,
      values: (kind, flags) => valuesOfKind(kind, flags, environment),
    });
    createWriter(Deno.stdout)(renderCompletion(completion, question));
  } catch {
    // Without candidates the user continues typing.
  }
}

/**
 * bash and zsh pass the line. The others pass its words, each with a dot, because Windows PowerShell 5.1
 * drops empty arguments.
 */
function questionOf(shell: Shell, args: readonly string[]): Question {
  if (shell !== "bash" && shell !== "zsh") {
    return { shell, words: args.map((word) => word.slice(1)) };
  }
  const [line = "", replaced, type, width] = args;
  return {
    shell,
    words: wordsOf(line),
    ...replaced === undefined ? {} : { replaced },
    // The code of a question mark means that the candidates are listed.
    ...type === "63" ? { width: Number(width) } : {},
  };
}

/** The words after the program's name in a line of bash or zsh, without expansions. */
export function wordsOf(line: string): string[] {
  const words = /\d*(?:&?>>?|>\||<)|(?:\\[^]|'[^']*'?|"(?:\\[^]|[^"\\])*"?|[^\s\\'"<>])+/g;
  const quoted = /\\([^])|'([^']*)'?|"((?:\\[^]|[^"\\])*)"?/g;
  // A dot at the cursor makes an empty word visible.
  const read = (`${line}.`.match(words) ?? []).slice(1).map((word) =>
    word.replace(
      quoted,
      (_, escaped, single, double) => escaped ?? single ?? double.replace(/\\(["\\$`])/g, "$1"),
    )
  );
  return read.map((word, at) => at === read.length - 1 ? word.slice(0, -1) : word);
}

/**
 * The text that a script reads: the kind of paths that the shell adds, then one line for each value, with
 * a tab and its description, or as bash inserts or lists it. Values that a shell could interpret are
 * omitted.
 */
export function renderCompletion(completion: Completion, question: Question): string {
  const { shell, words, width } = question;
  const word = words.at(-1) ?? "";
  // zsh removes the completed part of the word itself.
  const prefix = shell === "zsh" ? "" : completion.prefix;
  // The other shells filter the values themselves, some by more than the prefix.
  const begin = shell === "bash" || shell === "powershell" ? word : "";
  const rows = completion.candidates
    .map(({ value, description }) => [prefix + value, printable(description)] as const)
    .filter(([value]) => /^[\w.=+-]+$/.test(value) && value.startsWith(begin));
  const { replaced = word } = question;
  const inserted = rows.map(([value, what]) => [value.slice(word.length - replaced.length), what]);
  const lines = shell !== "bash"
    ? rows.map((row) => row.join("\t"))
    : width === undefined || rows.length < 2
    ? inserted.map(([value]) => value)
    : renderTable(inserted).split("\n").map((line) => line.slice(0, width - 2));
  return [completion.paths, ...lines, ""].join("\n");
}

async function valuesOfKind(
  kind: ValueKind,
  flags: FlagValues,
  environment: Environment,
): Promise<Candidate[]> {
  if (kind === "QUERY") {
    const { findQueries } = await import("../report/queries.ts");
    const { queries } = await findQueries();
    return queries.map(({ name, about }) => ({ value: name, description: about }));
  }
  const options = await resolveOptions(flags, environment);
  switch (kind) {
    case "ID":
      return migrationsOf(ownMigrations(flags, options.configuration), options);
    case "DATABASE":
      return Object.entries(options.databases)
        .map(([value, description]) => ({ value, description }));
    case "SNAPSHOT":
      return snapshotsIn(
        stringFlag(flags, "out") ?? stringFlag(flags, "from") ?? options.backupDir ??
          backupsBeside(ledgerOf(options.prefix)),
      );
  }
}

/** Found by file names: reading the files would take longer, and an invalid one would stop it. */
function migrationsOf(
  directory: string | null,
  { bundled }: Pick<ResolvedOptions, "bundled">,
): Candidate[] {
  const files = directory === null ? [] : fileNames(directory);
  const all = [...(bundled ? bundledMigrations : []).map(({ name }) => `${name}.sql`), ...files];
  const found = all.flatMap((file) => parseFileName(file) ?? [])
    .filter(({ description }) => /^[\w.-]+$/.test(description))
    .map(({ id, description }) => [id, description.replaceAll("_", " ")] as const);
  return [...new Map(found)].map(([value, description]) => ({ value, description }))
    .toSorted((a, b) => compareIds(a.value, b.value));
}

function snapshotsIn(directory: string): Candidate[] {
  const names = fileNames(directory)
    .flatMap((file) => manifestOf(file) ?? [])
    .toSorted((a, b) => compareSnapshotNames(b, a));
  const latest = names.length === 0 ? [] : [{ value: "latest", description: "the newest one" }];
  return [...latest, ...names.map((name) => ({ value: name, description: momentOf(name) }))];
}

/** The time in a snapshot's name: `20250120_123000` is 2025-01-20 12:30:00 UTC. */
function momentOf(name: string): string {
  return name.replace(/^(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d).*$/, "$1-$2-$3 $4:$5:$6 UTC");
}

function fileNames(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return []; // missing or unreadable
  }
}
