import { sameLines, unifiedDiff } from "../base/diff.ts";
import { AccessError, LocationError, UsageError } from "../base/errors.ts";
import { refuseSpecialFile } from "../base/paths.ts";
import type { SchemaDescription } from "../schema/document.ts";
import { createWriter, type Output, type Style } from "../terminal/output.ts";
import { printableJson } from "../base/format.ts";
import {
  choiceFlag,
  type Command,
  type CommandContext,
  type FlagValues,
  stringFlag,
} from "./arguments.ts";

const FORMATS = ["sql", "json"] as const;

/** `schema`: prints the schema in a form for version control, or compares it with a file. */
export const command: Command = {
  name: "schema",
  summary: "print the schema in a stable order and layout, or compare it with a file",
  operands: "[DATABASE]",
  flags: {
    "format": {
      type: "string",
      value: FORMATS.join("|"),
      help: "how it is written (default: sql)",
    },
    "check": {
      type: "string",
      value: "FILE",
      help: "print only how it differs from the file; exit with 1 where it does",
    },
  },
  examples: [
    ["schema trading > schema.sql", "keep the schema in a file, for version control"],
    ["schema trading --check schema.sql", "tell whether it is still the same"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands, migrator, output } = context;
    const [database, ...others] = operands;
    if (others[0] !== undefined) {
      throw new UsageError(`Cannot use "${others[0]}": \`schema\` takes one database`, {
        help: "without a name it takes all databases",
      });
    }
    const file = stringFlag(flags, "check");
    const format = formatOf(flags);
    const described = new Map<string, SchemaDescription>();
    for (const name of database === undefined ? migrator.databases : [database]) {
      described.set(name, await migrator.describeSchema(name));
    }
    if (file !== undefined) {
      const text = format === "sql" ? sqlOf(described) : jsonOf(described);
      return await check(text, { file, database, flags, output });
    }
    output.json(documentOf(described));
    if (output.isJson) return 0;
    print(format === "sql" ? sqlOf(described) : jsonOf(described), output);
    for (const [name, { sql }] of described) {
      if (sql === "") output.narrate(`${name} has no tables yet; \`upgrade\` creates them.`);
    }
    return 0;
  },
};

type Descriptions = ReadonlyMap<string, SchemaDescription>;

/** With `--check`, `--json` is about the answer, and `--format` about the file. */
function formatOf(flags: FlagValues): "sql" | "json" {
  const format = choiceFlag(flags, "format", FORMATS);
  if (flags.json === true && flags["check"] === undefined && format === "sql") {
    throw new UsageError("Cannot run schema: --json and --format sql say different things", {
      help: "give one of them",
    });
  }
  return format ?? "sql";
}

function sqlOf(described: Descriptions): string {
  const [only, ...others] = described.values();
  if (only !== undefined && others.length === 0) return only.sql;
  return [...described].map(([name, { sql }]) => `-- database: ${name}\n${sql}`).join("\n");
}

function documentOf(described: Descriptions): unknown {
  return {
    ok: true,
    databases: Object.fromEntries([...described].map(([name, { schema }]) => [name, schema])),
  };
}

function jsonOf(described: Descriptions): string {
  return `${printableJson(JSON.stringify(documentOf(described), null, 2))}\n`;
}

/** A file gets the text as it is, since it is there to be loaded; a terminal, what is safe to show. */
function print(text: string, output: Output): void {
  if (!Deno.stdout.isTerminal()) createWriter(Deno.stdout)(text);
  else if (text !== "") output.answer(text.trimEnd());
}

interface Check {
  readonly file: string;
  readonly database: string | undefined;
  readonly flags: FlagValues;
  readonly output: Output;
}

async function check(text: string, { file, database, flags, output }: Check): Promise<number> {
  const line = ["catalyst-migrate schema", database, formatFlag(flags), ">", file]
    .filter((word) => word !== undefined).join(" ");
  const kept = await read(file, line);
  const what = database ?? "all databases";
  const ok = sameLines(kept, text);
  const diff = unifiedDiff(kept, text, { before: file, after: what });
  output.json({ ok, file, diff });
  if (ok) {
    output.answer(`${file} has the schema of ${what}.`);
    return 0;
  }
  output.answer(colored(diff, output.answerStyle));
  output.narrate(`${file} does not have the schema of ${what}; \`${line}\` writes it anew.`);
  return 1;
}

function formatFlag(flags: FlagValues): string | undefined {
  return flags["format"] === "json" ? "--format json" : undefined;
}

async function read(file: string, line: string): Promise<string> {
  refuseSpecialFile(file, { cannot: "compare the schema with" });
  try {
    const bytes = await Deno.readFile(file);
    // Windows PowerShell writes UTF-16 where output goes into a file.
    const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8";
    return new TextDecoder(encoding).decode(bytes);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot compare with ${file}: there is no such file`, {
        cause: error,
        help: `\`${line}\` makes it`,
      });
    }
    const message = error instanceof Error ? error.message : String(error);
    throw new AccessError(`Cannot compare with ${file}: ${message}`, {
      cause: error,
      help: error instanceof Deno.errors.NotCapable
        ? `run it with --allow-read=${file} besides`
        : "name a file that this user may read",
    });
  }
}

function colored(diff: string, { bold, red, green, dim }: Style): string {
  const paints: Readonly<Record<string, (text: string) => string>> = {
    "-": red,
    "+": green,
    "@": dim,
  };
  return diff.split("\n").map((line, at) =>
    at < 2 ? bold(line) : (paints[line.charAt(0)] ?? String)(line)
  ).join("\n");
}
