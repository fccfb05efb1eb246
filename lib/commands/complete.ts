import { choicesOf, commonFlags, type Flag, type FlagValues, splitCommand } from "./arguments.ts";
import type { CommandDescription, CommandForm } from "./command.ts";
import { bareFlags, formsOf, helpCommand } from "./help.ts";

/** Something that may stand where the cursor is. */
export interface Candidate {
  readonly value: string;
  /** What it is; empty where there is nothing to say. */
  readonly description: string;
}

/** Values of which the program knows what there is now; `ID` is that of a migration. */
export type ValueKind = "ID" | "DATABASE" | "SNAPSHOT";

/** What is known besides the line. */
export interface CompletionState {
  /** Names of the commands. */
  readonly commandNames: readonly string[];
  /** Describes a command. */
  readonly load: (name: string) => Promise<CommandDescription>;
  /** The values of a kind that there are, given the flags of the line. */
  readonly values: (kind: ValueKind, flags: FlagValues) => Promise<readonly Candidate[]>;
}

/** What may stand where the cursor is. */
export interface Completion {
  /** Part of the word that is done, and stands before each value: `--to=`. */
  readonly prefix: string;
  readonly candidates: readonly Candidate[];
  /** Which paths the shell adds. */
  readonly paths: "none" | "files" | "directories";
}

const NOTHING: Completion = { prefix: "", candidates: [], paths: "none" };

/**
 * Completes a command line, given its words without the program's name. The last one is where the
 * cursor is, up to it; empty behind a space. A candidate is in it whatever the word begins with.
 */
export async function complete(
  words: readonly string[],
  state: CompletionState,
): Promise<Completion> {
  const current = words.at(-1) ?? "";
  const before = withoutRedirections(words.slice(0, -1));
  // Behind `>` stands a file.
  if (before === null) return { ...NOTHING, paths: "files" };
  const { name, rest } = splitCommand(before);
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

/** Without what sends output elsewhere; null where the file that it goes to is yet to come. */
function withoutRedirections(words: readonly string[]): string[] | null {
  const kept: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!/^\d*(<|>>?|>\||&>>?)$/.test(word)) kept.push(word);
    else if (++at === words.length) return null;
  }
  return kept;
}

/** What stands before the cursor, read as far as it can be. */
interface Line {
  readonly flags: FlagValues;
  readonly operands: readonly string[];
  /** The flag whose value is where the cursor is. */
  readonly awaiting: Flag | null;
}

/** Reads flags as `parseArguments` does, but passes over what is wrong: it may be mended yet. */
function readLine(words: readonly string[], known: Readonly<Record<string, Flag>>): Line {
  const flags: Record<string, string | boolean> = {};
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
    if (flag.type === "boolean" || value !== undefined) flags[name] = value ?? true;
    else if (++at === words.length) return { flags, operands, awaiting: flag };
    else flags[name] = words[at] ?? "";
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

/** The form that the first operand chooses, else that without a subcommand. */
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

/** What the operand of an index is, in a usage such as `SNAPSHOT|FILE [DATABASE...]`. */
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

/** What may stand for a value such as `FILE|ID` or `sql|json`. */
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
  return kind === "ID" || kind === "DATABASE" || kind === "SNAPSHOT";
}

async function commandsOf({ commandNames, load }: CompletionState): Promise<Candidate[]> {
  const commands = await Promise.all(commandNames.map(load));
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
