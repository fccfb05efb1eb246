import { bundledMigrations } from "../../migrations/mod.ts";
import { LocationError, UsageError } from "../base/errors.ts";
import { printable } from "../terminal/text.ts";
import { listMigrationFiles } from "../migration/loader.ts";
import { nextId, templateOf, writeNewFile } from "../migration/new_file.ts";
import { unknownDatabase } from "../state/workspace.ts";
import { choiceFlag, stringFlag } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import { migrationsDirectory } from "./resolve_options.ts";
import type { Documents } from "./json_documents.ts";

const KINDS = ["sql", "ts", "js"] as const;
type Kind = (typeof KINDS)[number];

/** `new`: writes the file of the next migration. */
export const command: Command = {
  name: "new",
  summary: "write the file of your next migration, for you to edit",
  operands: "NAME",
  flags: {
    "database": { value: "DATABASE", help: "database that it changes" },
    "kind": { value: KINDS.join("|"), help: "kind of file (default: sql)" },
    "timestamp": { help: "number it by the current time (UTC), such as 20250120123000" },
  },
  withoutMigrations: true,
  examples: [
    ["new add_notes --database trading", "write migrations/004_add_notes.sql"],
    ["new fill_notes --database trading --kind ts", "write it as a function in TypeScript"],
  ],
  run: (context: CommandContext) => {
    const { flags, operands, migrator, configuration, output } = context;
    const description = descriptionOf(operands);
    const database = databaseOf(flags, migrator.databases);
    const kind = kindOf(flags);
    const directory = migrationsDirectory(context);
    const bundled = configuration?.bundled === false ? [] : bundledMigrations;
    const known = [...bundled, ...filesIn(directory)].map(({ id }) => id);
    const id = nextId(known, { byTime: flags["timestamp"] === true, now: new Date() });
    const name = `${id}_${description}`;
    const path = `${directory}/${name}.${kind}`;
    writeNewFile(path, templateOf({ name, database, kind }));
    const next = [
      ["lint", "look for problems"],
      ["rehearse", "try it on a copy of your data"],
      ["upgrade", "apply it"],
    ] as const;
    output.json({ ok: true, path, id, name, database, kind } satisfies Documents["new"]);
    output.report([
      `wrote ${printable(path)}`,
      `Next: edit it, then`,
      ...next.map(([line, does]) => `  catalyst-migrate ${line.padEnd(10)}${does}`),
    ].join("\n"));
    return Promise.resolve(0);
  },
};

/** A name that is safe in a file name: lower-case letters, digits and `_`. */
function descriptionOf(operands: readonly string[]): string {
  const given = operands.join(" ");
  // Accents are removed.
  const plain = given.normalize("NFKD").replace(/\p{Mark}/gu, "").toLowerCase();
  const description = plain.replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  if (description !== "" && description.length <= LONGEST) return description;
  throw new UsageError(
    operands.length === 0
      ? "Cannot create a migration: name it"
      : description === ""
      ? `Cannot name a migration ${
        JSON.stringify(given)
      }: it has no letter from a to z and no digit`
      : `Cannot name a migration "${
        given.slice(0, 20)
      }...": the name is longer than ${LONGEST} characters`,
    { help: "name it by what it does: `new add_notes --database trading`" },
  );
}

/** File names may have 255 bytes; the number and the ending need some. */
const LONGEST = 100;

function databaseOf(flags: FlagValues, databases: readonly string[]): string {
  const named = stringFlag(flags, "database");
  if (named === undefined) {
    throw new UsageError("Cannot create a migration: name its database", {
      help: `add --database DATABASE; the databases are ${databases.join(", ")}`,
    });
  }
  if (databases.includes(named)) return named;
  throw unknownDatabase(named, { verb: "create a migration of", names: databases });
}

function kindOf(flags: FlagValues): Kind {
  const kind = choiceFlag(flags, "kind", KINDS) ?? "sql";
  if (kind === "ts" && Deno.build.standalone) {
    throw new UsageError("Cannot create a migration in TypeScript: this executable can't load it", {
      help: "use --kind js or --kind sql, or run the toolkit with Deno",
    });
  }
  return kind;
}

function filesIn(directory: string): readonly { readonly id: string }[] {
  try {
    return listMigrationFiles(directory);
  } catch (error) {
    if (error instanceof LocationError && error.cause instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
