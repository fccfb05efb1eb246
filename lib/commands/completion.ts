import { bundledMigrations } from "../../migrations/mod.ts";
import { UsageError } from "../base/errors.ts";
import { printable } from "../base/format.ts";
import { compareIds } from "../migration/migration.ts";
import { compareSnapshotNames, manifestOf } from "../snapshot/names.ts";
import { backupsBeside, ledgerOf } from "../state/workspace.ts";
import { createWriter } from "../terminal/output.ts";
import {
  bareFlags,
  choicesOf,
  type CommandDescription,
  type CommandDescriptions,
  type CommandForm,
  commonFlags,
  type Environment,
  type Flag,
  type FlagValues,
  formsOf,
  helpCommand,
  noChoice,
  type SelfContainedCommand,
  type SelfContainedContext,
  type Shell,
  SHELLS,
  splitCommand,
  stringFlag,
} from "./arguments.ts";
import { ownMigrations, resolveOptions } from "./options.ts";
import type { Documents } from "./documents.ts";

/** A candidate for the word at the cursor. */
export interface Candidate {
  readonly value: string;
  /** Its description; may be empty. */
  readonly description: string;
}

/** Kinds of values that the program can list; `ID` is that of a migration. */
export type ValueKind = "ID" | "DATABASE" | "SNAPSHOT" | "QUERY";

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
  const line = readLine(rest, { ...command.flags, ...commonFlags });
  if (line.awaiting !== null) return await valuesOf(line.awaiting.value, line, state);
  const [, inline] = /^--([^=]+)=/s.exec(current) ?? [];
  if (inline !== undefined) {
    const flag = flagOf({ ...command.flags, ...commonFlags }, inline);
    if (flag?.type !== "string") return NOTHING;
    return { ...await valuesOf(flag.value, line, state), prefix: `--${inline}=` };
  }
  const form = formOf(command, line.operands[0]);
  const flags = (): Completion => {
    const own = Object.entries(command.flags).filter(([flag]) => form.flags.includes(flag));
    return flagsOf({
      ...Object.fromEntries(own),
      ...commonFlags,
      ...(isNamed ? {} : bareFlags),
    }, line);
  };
  if (current.startsWith("-") && current !== "-") return flags();
  const operands = isNamed
    ? await operandsOf(command, { form, line, state })
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
function readLine(words: readonly string[], known: Readonly<Record<string, Flag>>): Line {
  const flags: Record<string, string | boolean | readonly string[]> = {};
  const operands: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!word.startsWith("-") || word === "-") {
      operands.push(word);
      continue;
    }
    const [, name = "", value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    const flag = flagOf(known, name);
    if (flag === null) continue;
    if (flag.type === "boolean" || value !== undefined) {
      flags[name] = flag.multiple && value !== undefined ? [value] : value ?? true;
    } else if (++at === words.length) return { flags, operands, awaiting: flag };
    else flags[name] = flag.multiple ? [words[at] ?? ""] : words[at] ?? "";
  }
  return { flags, operands, awaiting: null };
}

function flagOf(flags: Readonly<Record<string, Flag>>, name: string): Flag | null {
  return Object.hasOwn(flags, name) ? flags[name] ?? null : null;
}

function flagsOf(flags: Readonly<Record<string, Flag>>, line: Line): Completion {
  const open = Object.entries(flags).filter(([name, { multiple = false }]) =>
    multiple || !Object.hasOwn(line.flags, name)
  );
  return {
    ...NOTHING,
    candidates: open.map(([name, { help }]) => ({ value: `--${name}`, description: help })),
  };
}

/** The form that the first operand selects; otherwise the one without a subcommand. */
function formOf(command: CommandDescription, word: string | undefined): CommandForm {
  const forms = formsOf(command);
  const bare = forms.find((form) => form.word === null);
  return forms.find((form) => form.word === word) ?? bare ?? { word: null, summary: "", flags: [] };
}

interface OperandContext {
  readonly form: CommandForm;
  readonly line: Line;
  readonly state: CompletionState;
}

async function operandsOf(
  command: CommandDescription,
  { form, line, state }: OperandContext,
): Promise<Completion> {
  const given = line.operands.slice(form.word === null ? 0 : 1);
  const spec = operandAt(form.operands ?? "", given.length);
  const values = await valuesOf(spec, line, state);
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
  value: string | undefined,
  line: Line,
  state: CompletionState,
): Promise<Completion> {
  const kinds = (value ?? "").split("|");
  const words = choicesOf(value === undefined ? {} : { value });
  const dynamic = await Promise.all(
    kinds.filter(isValueKind).map((kind) => state.values(kind, line.flags)),
  );
  return {
    prefix: "",
    candidates: [...words.map((word) => ({ value: word, description: "" })), ...dynamic.flat()],
    paths: kinds.includes("FILE") ? "files" : kinds.includes("DIR") ? "directories" : "none",
  };
}

function isValueKind(kind: string): kind is ValueKind {
  return kind === "ID" || kind === "DATABASE" || kind === "SNAPSHOT" || kind === "QUERY";
}

async function commandsOf({ names, load }: CompletionState): Promise<Candidate[]> {
  const commands = await Promise.all(names.map(load));
  return [
    ...commands.map(({ name, summary }) => ({ value: name, description: summary })),
    { value: helpCommand.name, description: helpCommand.summary },
  ];
}

async function completeTopic(
  [topic, ...others]: readonly string[],
  state: CompletionState,
): Promise<Completion> {
  if (topic === undefined) return { ...NOTHING, candidates: await commandsOf(state) };
  if (others.length > 0) return NOTHING;
  return { ...NOTHING, candidates: subcommandsOf(await state.load(topic)) };
}

/** `completion`: prints the script that completes command lines in a shell. */
export const command: SelfContainedCommand = {
  name: "completion",
  summary: "print the script that completes commands, flags and values in your shell",
  operands: SHELLS.join("|"),
  flags: {
    "name": {
      type: "string",
      value: "NAME",
      help: "another name for the program, such as an alias",
    },
    "words": {
      type: "boolean",
      help: "for the scripts: complete the following words, each preceded by a dot",
    },
  },
  examples: [
    ["completion bash >> ~/.bashrc", "for bash; it takes effect in the next shell"],
    ["completion zsh >> ~/.zshrc", "for zsh; put it after the line with compinit, if you have one"],
    ["completion fish >> ~/.config/fish/config.fish", "for fish"],
    ["completion powershell >> $PROFILE", "for PowerShell"],
    ["completion bash --name migrate >> ~/.bashrc", "for an alias named migrate"],
  ],
  runAlone: async (context: SelfContainedContext) => {
    const { flags, operands, output } = context;
    const [shell, ...others] = operands;
    const known = SHELLS.find((one) => one === shell);
    if (flags["words"] === true) {
      if (known !== undefined) await answerWords(known, others, context);
      return 0;
    }
    if (shell === undefined || others.length > 0) {
      throw new UsageError("Cannot print a script: name a shell", {
        help: `expected ${SHELLS.slice(0, -1).join(", ")} or ${SHELLS.at(-1)}`,
      });
    }
    if (known === undefined) throw await noChoice("shell", shell, { command, choices: SHELLS });
    const { scriptFor } = await import("./completion_scripts.ts");
    const script = scriptFor(known, nameOf(flags));
    output.json({ ok: true, shell: known, script } satisfies Documents["completion"]);
    // A shell reads it, so nothing is escaped.
    if (!output.isJson) createWriter(Deno.stdout)(script);
    return 0;
  },
};

/** The program's name, in characters that no shell interprets. */
function nameOf(flags: FlagValues): string {
  const name = stringFlag(flags, "name") ?? "catalyst-migrate";
  if (/^[A-Za-z0-9_][\w.+-]*$/.test(name)) return name;
  throw new UsageError(
    `Cannot use --name ${
      JSON.stringify(name)
    }: only letters, digits, ".", "_", "+" and "-" are allowed`,
    { help: "use the name alone, without a directory" },
  );
}

/** Writes candidates. Errors are not reported, because they would appear while the user types. */
async function answerWords(
  shell: Shell,
  words: readonly string[],
  { flags, environment, commands }: SelfContainedContext,
): Promise<void> {
  try {
    const read = words.map((word) => word.slice(1))
      .map((word) => shell === "bash" ? unquoted(word) : word);
    const state: CompletionState = {
      ...commands,
      // An alias or a function may add flags before the script's own.
      values: (kind, line) => valuesOfKind(kind, { ...flags, ...line }, environment),
    };
    const completion = await complete(read, state);
    createWriter(Deno.stdout)(rendered(completion, shell, read.at(-1) ?? ""));
  } catch {
    // Without candidates the user continues typing.
  }
}

/** A word of bash as the program would receive it, without expansions. */
export function unquoted(word: string): string {
  let text = "";
  let quote = "";
  for (let at = 0; at < word.length; at++) {
    const character = word.charAt(at);
    if (character === quote) quote = "";
    else if (quote === "" && /['"]/.test(character)) quote = character;
    else if (character === "\\" && isEscape(quote, word.charAt(at + 1))) text += word.charAt(++at);
    else text += character;
  }
  return text;
}

function isEscape(quote: string, next: string): boolean {
  return quote === "" || (quote === '"' && /["\\$`]/.test(next));
}

/**
 * The text that a script reads: the kind of paths that the shell adds, then one line for each value, with
 * a tab and its description. Values that a shell could interpret are omitted.
 */
export function rendered(completion: Completion, shell: Shell, word: string): string {
  const { candidates, paths } = completion;
  // zsh removes the completed part of the word itself.
  const prefix = shell === "zsh" ? "" : completion.prefix;
  // The other shells filter the values themselves, some by more than the prefix.
  const begin = shell === "bash" || shell === "powershell" ? word : "";
  const lines = candidates
    .map(({ value, description }) => ({ value: prefix + value, description }))
    .filter(({ value }) => /^[\w.=+-]+$/.test(value) && value.startsWith(begin))
    .map(({ value, description }) => `${value}\t${printable(description)}`);
  return [paths, ...lines, ""].join("\n");
}

async function valuesOfKind(
  kind: ValueKind,
  flags: FlagValues,
  environment: Environment,
): Promise<Candidate[]> {
  switch (kind) {
    case "ID":
      return await migrations(flags, environment);
    case "DATABASE":
      return Object.entries((await resolveOptions(flags, environment)).databases)
        .map(([value, description]) => ({ value, description }));
    case "SNAPSHOT":
      return await snapshots(flags, environment);
    case "QUERY":
      return await queries();
  }
}

async function queries(): Promise<Candidate[]> {
  const { findQueries } = await import("../report/queries.ts");
  const { queries } = await findQueries();
  return queries.map(({ name, about }) => ({ value: name, description: about }));
}

/** Found by file names: reading the files would take longer, and an invalid one would stop it. */
async function migrations(flags: FlagValues, environment: Environment): Promise<Candidate[]> {
  const { configuration, bundled } = await resolveOptions(flags, environment);
  const directory = ownMigrations(flags, configuration);
  const own = (directory === null ? [] : fileNames(directory)).flatMap((file) =>
    /^(\d+_[\w.-]+)\.(?:sql|ts|js)$/i.exec(file)?.[1] ?? []
  );
  return [...new Set([...(bundled ? bundledMigrations : []).map(({ name }) => name), ...own])]
    .map((name) => {
      const [, id = "", description = ""] = /^(\d+)_(.*)$/.exec(name) ?? [];
      return { value: id, description: description.replaceAll("_", " ") };
    })
    .toSorted((a, b) => compareIds(a.value, b.value));
}

async function snapshots(flags: FlagValues, environment: Environment): Promise<Candidate[]> {
  const { prefix, backupDir } = await resolveOptions(flags, environment);
  const directory = stringFlag(flags, "out") ?? stringFlag(flags, "from") ?? backupDir ??
    backupsBeside(ledgerOf(prefix));
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
    return []; // it isn't there, or may not be read
  }
}
