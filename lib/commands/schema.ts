import { sameLines, unifiedDiff } from "../base/diff.ts";
import { AccessError, LocationError, UsageError } from "../base/errors.ts";
import { refuseSpecialFile } from "../base/paths.ts";
import { stableSchema } from "../schema/document.ts";
import { catalystDatabases } from "../catalyst.ts";
import { formatSchema } from "../schema/format.ts";
import type { Schema } from "../schema/model.ts";
import { createWriter, type Output } from "../terminal/output.ts";
import { printableJson, type Style } from "../terminal/text.ts";
import { messageOf } from "../base/format.ts";
import { choiceFlag, stringFlag } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import type { Documents } from "./json_documents.ts";

const FORMATS = ["sql", "json", "mermaid", "markdown", "typescript", "python"] as const;

type Format = typeof FORMATS[number];

/** `schema`: prints the schema for version control, people or programs, or compares it with a file. */
export const command: Command = {
  name: "schema",
  summary: "print the schema as SQL, diagram, documentation or types; or compare it with a file",
  operands: "[DATABASE]",
  flags: {
    "format": {
      value: FORMATS.join("|"),
      shown: "FORMAT",
      help: "sql (default), json, mermaid, markdown, typescript or python",
    },
    "check": {
      value: "FILE",
      help: "print the differences from this file; exit with 1 if there are any",
    },
  },
  examples: [
    ["schema trading > schema.sql", "write the schema to a file for version control"],
    ["schema trading --check schema.sql", "check that it has not changed"],
    ["schema --format markdown > schema.md", "describe all databases, with diagrams"],
    ["schema trading --format python > trading_types.py", "write types for a Python program"],
  ],
  run: async (context: CommandContext) => {
    const { flags, operands, migrator, output } = context;
    const [database, ...others] = operands;
    if (others[0] !== undefined) {
      throw new UsageError(`Cannot use "${others[0]}": \`schema\` takes one database`, {
        help: "name one, or none for all databases",
      });
    }
    const file = stringFlag(flags, "check");
    const format = formatOf(flags);
    const schemas = new Map<string, Schema>();
    for (const name of database === undefined ? migrator.databases : [database]) {
      schemas.set(name, await migrator.readSchema(name));
    }
    if (file !== undefined) {
      return await check(await textOf(schemas, format), { file, database, format, output });
    }
    output.json(documentOf(schemas));
    if (output.isJson) return 0;
    print(await textOf(schemas, format), output);
    for (const [name, schema] of schemas) {
      if (!isEmpty(schema)) continue;
      const isBundled = catalystDatabases.some((bundled) => bundled === name);
      output.narrate(
        `${name} has no tables yet${isBundled ? "; `upgrade` creates them" : ""}.`,
      );
    }
    return 0;
  },
};

type Schemas = ReadonlyMap<string, Schema>;

/** With `--check`, `--json` is the format of the answer, and `--format` that of the file. */
function formatOf(flags: FlagValues): Format {
  const format = choiceFlag(flags, "format", FORMATS) ?? "sql";
  const isDocument = flags.json === true && flags["check"] === undefined;
  if (isDocument && flags["format"] !== undefined && format !== "json") {
    throw new UsageError(`Cannot run schema: --json and --format ${format} contradict each other`, {
      help: "use one of them",
    });
  }
  return format;
}

async function textOf(schemas: Schemas, format: Format): Promise<string> {
  switch (format) {
    case "sql":
      return sqlOf(schemas);
    case "json":
      return `${printableJson(JSON.stringify(documentOf(schemas), null, 2))}\n`;
    case "mermaid":
      return (await import("../schema/markdown.ts")).formatMermaid(schemas);
    case "markdown":
      return (await import("../schema/markdown.ts")).formatMarkdown(schemas);
    case "typescript":
      return (await import("../schema/typescript.ts")).formatTypeScript(schemas);
    case "python":
      return (await import("../schema/python.ts")).formatPython(schemas);
  }
}

function sqlOf(schemas: Schemas): string {
  const [only, ...others] = schemas.values();
  if (only !== undefined && others.length === 0) return formatSchema(only);
  return [...schemas].map(([name, schema]) => `-- database: ${name}\n${formatSchema(schema)}`)
    .join("\n");
}

function documentOf(schemas: Schemas): Documents["schema"] {
  const stable = [...schemas].map(([name, schema]) => [name, stableSchema(schema)]);
  return { ok: true, databases: Object.fromEntries(stable) };
}

function isEmpty({ tables, views }: Schema): boolean {
  return tables.length + views.length === 0;
}

/** Writes the text unchanged to a file or pipe, and made safe to a terminal. */
function print(text: string, output: Output): void {
  if (!Deno.stdout.isTerminal()) createWriter(Deno.stdout)(text);
  else if (text !== "") output.answer(text.trimEnd());
}

interface Check {
  readonly file: string;
  readonly database: string | undefined;
  readonly format: Format;
  readonly output: Output;
}

async function check(text: string, { file, database, format, output }: Check): Promise<number> {
  const flag = format === "sql" ? undefined : `--format ${format}`;
  const line = ["catalyst-migrate schema", database, flag, ">", file]
    .filter((word) => word !== undefined).join(" ");
  const kept = await read(file, line);
  const what = database ?? "all databases";
  const ok = sameLines(kept, text);
  const diff = unifiedDiff(kept, text, { before: file, after: what });
  output.json({ ok, file, diff } satisfies Documents["schema"]);
  if (ok) {
    output.report(`${file} matches the schema of ${what}.`);
    return 0;
  }
  output.answer(colored(diff, output.answerStyle));
  output.narrate(`${file} differs from the schema of ${what}; \`${line}\` updates it.`);
  return 1;
}

async function read(file: string, line: string): Promise<string> {
  refuseSpecialFile(file, { cannot: "compare the schema with" });
  try {
    const bytes = await Deno.readFile(file);
    // Windows PowerShell writes UTF-16 into files.
    const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : "utf-8";
    return new TextDecoder(encoding).decode(bytes);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot compare with ${file}: file not found`, {
        cause: error,
        help: `\`${line}\` creates it`,
      });
    }
    const message = messageOf(error);
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
