import { bundledMigrations } from "../../migrations/mod.ts";
import { AccessError, LocationError, UsageError } from "../base/errors.ts";
import { didYouMean, messageOf, printable } from "../base/format.ts";
import { listMigrationFiles } from "../migration/loader.ts";
import { version } from "../base/version.ts";
import { compareIds } from "../migration/registry.ts";
import {
  choiceFlag,
  type Command,
  type CommandContext,
  type FlagValues,
  stringFlag,
} from "./arguments.ts";
import { DEFAULT_MIGRATIONS } from "./options.ts";
import type { Documents } from "./documents.ts";

const KINDS = ["sql", "ts", "js"] as const;
type Kind = (typeof KINDS)[number];

/** `new`: writes the file of the next migration. */
export const command: Command = {
  name: "new",
  summary: "write the file of your next migration, to be edited",
  operands: "NAME",
  flags: {
    "database": { type: "string", value: "DATABASE", help: "the database that it changes" },
    "kind": { type: "string", value: KINDS.join("|"), help: "the kind of file (default: sql)" },
    "timestamp": { type: "boolean", help: "number it by the time (UTC), such as 20250120123000" },
  },
  withoutMigrations: true,
  examples: [
    ["new add_notes --database trading", "write migrations/004_add_notes.sql"],
    ["new fill_notes --database trading --kind ts", "as a function in TypeScript"],
  ],
  run: ({ flags, operands, migrator, configuration, output }: CommandContext) => {
    const description = descriptionOf(operands);
    const database = databaseOf(flags, migrator.databases);
    const kind = kindOf(flags);
    const directory =
      (stringFlag(flags, "migrations-dir") ?? configuration?.migrationsDir ?? DEFAULT_MIGRATIONS)
        .replace(/(?<=[^/\\])[/\\]+$/, "");
    const bundled = configuration?.bundled === false ? [] : bundledMigrations;
    const known = [...bundled, ...filesIn(directory)].map(({ id }) => id);
    const id = nextId(known, { byTime: flags["timestamp"] === true, now: new Date() });
    const name = `${id}_${description}`;
    const path = `${directory}/${name}.${kind}`;
    writeNew(path, directory, templateOf({ name, database, kind }));
    const next = [
      ["lint", "look for what may go wrong"],
      ["rehearse", "try it on a copy of your data"],
      ["upgrade", "apply it"],
    ] as const;
    output.json({ ok: true, path, id, name, database, kind } satisfies Documents["new"]);
    output.answer([
      `wrote ${printable(path)}`,
      `Next: edit it, then`,
      ...next.map(([line, does]) => `  catalyst-migrate ${line.padEnd(10)}${does}`),
    ].join("\n"));
    return Promise.resolve(0);
  },
};

/** A name that is safe as part of a file's name: small letters, digits and `_`. */
function descriptionOf(operands: readonly string[]): string {
  const given = operands.join(" ");
  // A letter with a mark becomes the letter alone.
  const plain = given.normalize("NFKD").replace(/\p{Mark}/gu, "").toLowerCase();
  const description = plain.replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");
  if (description !== "" && description.length <= LONGEST) return description;
  throw new UsageError(
    operands.length === 0
      ? "Cannot make a migration: it has no name"
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
  const help = `the databases are ${databases.join(", ")}`;
  if (named === undefined) {
    throw new UsageError("Cannot make a migration: it doesn't say which database it changes", {
      help: `add --database DATABASE; ${help}`,
    });
  }
  if (databases.includes(named)) return named;
  throw new UsageError(`Cannot make a migration of "${named}": there is no such database`, {
    help: `${didYouMean(named, databases)}${help}`,
  });
}

function kindOf(flags: FlagValues): Kind {
  const kind = choiceFlag(flags, "kind", KINDS) ?? "sql";
  if (kind === "ts" && Deno.build.standalone) {
    throw new UsageError("Cannot make a migration in TypeScript: this executable can't load it", {
      help: "give --kind js or --kind sql, or run the toolkit with Deno",
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

/** Number of a new migration, and how it is made. */
export interface NumberOptions {
  /** Whether to number it by the time. */
  readonly byTime: boolean;
  readonly now: Date;
}

/**
 * The number after the highest one, as wide as that and at least three digits. Where the highest is a
 * time, so is this one.
 */
export function nextId(known: readonly string[], { byTime, now }: NumberOptions): string {
  const highest = known.toSorted(compareIds).at(-1) ?? "0";
  const following = String(BigInt(highest) + 1n).padStart(Math.max(3, highest.length), "0");
  if (!byTime && highest.length !== TIME_DIGITS) return following;
  const time = now.toISOString().replace(/\D/g, "").slice(0, TIME_DIGITS);
  return compareIds(time, highest) > 0 ? time : following;
}

/** As in 20250120123000. */
const TIME_DIGITS = 14;

function writeNew(path: string, directory: string, text: string): void {
  try {
    try {
      Deno.mkdirSync(directory);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    // Never over a file that is there, such as that of another `new` at the same time.
    Deno.writeTextFileSync(path, text, { createNew: true });
  } catch (error) {
    const reason = messageOf(error);
    const options = { cause: error };
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new LocationError(`Cannot write ${path}: it is there already`, {
        ...options,
        help: "run the command again for the next number",
      });
    }
    if (error instanceof Deno.errors.NotFound) {
      throw new LocationError(`Cannot create ${directory}: the directory above it does not exist`, {
        ...options,
        help: "create it first, or name another with --migrations-dir",
      });
    }
    throw new AccessError(`Cannot write ${path}: ${reason}`, {
      ...options,
      help: "check that this user may write there, or name another directory with --migrations-dir",
    });
  }
}

/** What a new migration's file is made for. */
export interface TemplateOptions {
  /** Whole name, such as `004_add_notes`. */
  readonly name: string;
  /** Name of the database that it changes. */
  readonly database: string;
  /** Which kind of file. */
  readonly kind: "sql" | "ts" | "js";
}

/** The text of a new migration's file, with examples of the usual changes as comments. */
export function templateOf(options: TemplateOptions): string {
  return options.kind === "sql" ? sqlTemplate(options) : moduleTemplate(options);
}

function sqlTemplate({ database }: TemplateOptions): string {
  return `-- database: ${database}

-- migrate:up
-- The change. Everything below runs in one transaction: all of it, or nothing. Examples, to be edited
-- or taken out:
--
-- A new column. NOT NULL needs a default, since the rows that are there have no value for it:
--   ALTER TABLE example ADD COLUMN notes TEXT;
--   ALTER TABLE example ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
--
-- An index:
--   CREATE INDEX idx_example_notes ON example (notes);
--
-- A change of data; a WHERE makes sure that it means the same when it runs again:
--   UPDATE example SET notes = 'none' WHERE notes IS NULL;
--
-- Another check, type or key. SQLite can't alter these: the table is made anew, in this order. Write
-- \`-- migrate:up foreign-keys:off\` then, or DROP TABLE empties the tables that point to this one:
--   CREATE TABLE new_example (
--     id INTEGER PRIMARY KEY,
--     side TEXT NOT NULL CHECK (side IN ('buy', 'sell', 'short'))
--   );
--   INSERT INTO new_example (id, side) SELECT id, side FROM example;
--   DROP TABLE example;
--   ALTER TABLE new_example RENAME TO example;
--   -- and every index, trigger and view that the old table had
--
-- A table whose rows may go: \`-- migrate:up destroys:example\`
--   DROP TABLE example;

-- migrate:down
-- What takes the change back, in the opposite order. Without a statement here the migration can't be
-- rolled back.
--   DROP INDEX idx_example_notes;
--   ALTER TABLE example DROP COLUMN notes;
`;
}

function moduleTemplate({ name, database, kind }: TemplateOptions): string {
  const isTypeScript = kind === "ts";
  const head = isTypeScript
    ? `import { defineMigration } from "jsr:@catalyst/migrate@^${version}";\n\nexport default defineMigration({`
    : `/** @type {import("jsr:@catalyst/migrate@^${version}").MigrationDefinition} */\nexport default {`;
  return `${head}
  name: "${name}",
  database: "${database}",
  // What \`upgrade\` and \`downgrade\` do runs in one transaction: all of it, or nothing.
  // foreignKeys: false, // for a table that is made anew: with them, DROP TABLE empties child tables
  // destroys: ["example"], // tables whose rows may go

  upgrade: async (transaction) => {
    // A new column, and an index:
    //   await transaction.exec(\`
    //     ALTER TABLE example ADD COLUMN notes TEXT;
    //     CREATE INDEX idx_example_notes ON example (notes);
    //   \`);
    // A change of data that SQL alone can't make:
    //   for (const { id, raw } of await transaction.all("SELECT id, raw FROM example")) {
    //     const { notes } = JSON.parse(raw);
    //     await transaction.run("UPDATE example SET notes = ? WHERE id = ?", [notes, id]);
    //   }
    throw new Error(\`Write what \${transaction.database} has to become\`);
  },

  // What takes the change back; without it the migration can't be rolled back.
  // downgrade: \`
  //   DROP INDEX idx_example_notes;
  //   ALTER TABLE example DROP COLUMN notes;
  // \`,
}${isTypeScript ? ")" : ""};
`;
}
