import { bundledMigrations } from "../../migrations/mod.ts";
import { catalystDatabases } from "../catalyst.ts";
import { UsageError } from "../base/errors.ts";
import { compareIds } from "../migration/registry.ts";
import { compareSnapshotNames, manifestOf } from "../snapshot/manifest.ts";
import { createWriter } from "../terminal/output.ts";
import { backupsBeside, ledgerOf } from "../state/workspace.ts";
import { printable } from "../base/format.ts";
import { type FlagValues, noChoice, stringFlag } from "./arguments.ts";
import type { SelfContainedCommand, SelfContainedContext } from "./command.ts";
import type { Candidate, Completion, CompletionState, ValueKind } from "./complete.ts";
import { type Environment, ownMigrations, place } from "./configuration.ts";

const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** A shell that there is a script for. */
export type Shell = (typeof SHELLS)[number];

/** `completion`: prints the script by which a shell completes command lines. */
export const command: SelfContainedCommand = {
  name: "completion",
  summary: "print the script by which your shell completes commands, flags and values",
  operands: SHELLS.join("|"),
  flags: {
    "name": {
      type: "string",
      value: "NAME",
      help: "another name by which you call the program, such as an alias",
    },
    "words": {
      type: "boolean",
      help:
        "what the scripts call: complete the words behind it, each written with a dot before it",
    },
  },
  examples: [
    ["completion bash >> ~/.bashrc", "for bash; it holds from the next shell on"],
    ["completion zsh >> ~/.zshrc", "for zsh, behind the line with compinit if there is one"],
    ["completion fish >> ~/.config/fish/config.fish", "for fish"],
    ["completion powershell >> $PROFILE", "for PowerShell"],
    ["completion bash --name migrate >> ~/.bashrc", "for an alias that is called migrate"],
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
      throw new UsageError("Cannot print a script: one shell has to be named", {
        help: `there are ${SHELLS.join(", ")}`,
      });
    }
    if (known === undefined) throw await noChoice("shell", shell, { command, choices: SHELLS });
    const { scriptFor } = await import("./completion_scripts.ts");
    const script = scriptFor(known, nameOf(flags));
    output.json({ ok: true, shell: known, script });
    // As it is, since a shell reads it.
    if (!output.isJson) createWriter(Deno.stdout)(script);
    return 0;
  },
};

/** A name of which no shell makes anything else. */
function nameOf(flags: FlagValues): string {
  const name = stringFlag(flags, "name") ?? "catalyst-migrate";
  if (/^[A-Za-z0-9_][\w.+-]*$/.test(name)) return name;
  throw new UsageError(
    `Cannot use --name ${
      JSON.stringify(name)
    }: it has more than letters, digits, ".", "_", "+", "-"`,
    { help: "give the name alone, without a directory" },
  );
}

/** Writes candidates. Whatever is wrong, nothing is said: a person is typing. */
async function answerWords(
  shell: Shell,
  words: readonly string[],
  { flags, environment }: SelfContainedContext,
): Promise<void> {
  try {
    const { complete } = await import("./complete.ts");
    const { commandNames, loadCommand } = await import("./main.ts");
    const read = words.map((word) => word.slice(1))
      .map((word) => shell === "bash" ? unquoted(word) : word);
    const state: CompletionState = {
      commandNames,
      load: loadCommand,
      // An alias or a function may give flags too, before the script's own.
      values: (kind, line) => valuesOfKind(kind, { ...flags, ...line }, environment),
    };
    const completion = await complete(read, state);
    createWriter(Deno.stdout)(rendered(completion, shell, read.at(-1) ?? ""));
  } catch {
    // Without candidates the line can be typed on.
  }
}

/** A word of bash as the program would get it; nothing in it is expanded. */
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
 * What a script reads: the sort of paths that the shell adds, then a value in each line, a tab, and
 * what it is. A value that a shell could take for anything but a plain word is left out.
 */
export function rendered(completion: Completion, shell: Shell, word: string): string {
  const { candidates, paths } = completion;
  // zsh takes what is done of the word away by itself.
  const prefix = shell === "zsh" ? "" : completion.prefix;
  // The others choose by themselves, some more kindly than by the beginning alone.
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
      return migrations(flags);
    case "DATABASE":
      return catalystDatabases.map((name) => ({ value: name, description: "" }));
    case "SNAPSHOT":
      return await snapshots(flags, environment);
  }
}

/** By their files' names: to read them would take longer, and one that is wrong would stop it. */
function migrations(flags: FlagValues): Candidate[] {
  const directory = ownMigrations(flags);
  const own = (directory === null ? [] : fileNames(directory)).flatMap((file) =>
    /^(\d+_[\w.-]+)\.(?:sql|ts|js)$/i.exec(file)?.[1] ?? []
  );
  return [...new Set([...bundledMigrations.map(({ name }) => name), ...own])]
    .map((name) => {
      const [, id = "", description = ""] = /^(\d+)_(.*)$/.exec(name) ?? [];
      return { value: id, description: description.replaceAll("_", " ") };
    })
    .toSorted((a, b) => compareIds(a.value, b.value));
}

async function snapshots(flags: FlagValues, environment: Environment): Promise<Candidate[]> {
  const directory = stringFlag(flags, "out") ??
    backupsBeside(ledgerOf((await place(flags, environment)).prefix));
  const names = fileNames(directory)
    .flatMap((file) => manifestOf(file) ?? [])
    .toSorted((a, b) => compareSnapshotNames(b, a));
  const latest = names.length === 0 ? [] : [{ value: "latest", description: "the newest one" }];
  return [...latest, ...names.map((name) => ({ value: name, description: momentOf(name) }))];
}

/** `20250120_123000` is of 2025-01-20 12:30:00 UTC. */
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
