import { AccessError, LocationError } from "../base/errors.ts";
import { directoryOf } from "../base/paths.ts";
import { messageOf } from "../base/format.ts";
import { version } from "../base/version.ts";
import { compareIds } from "./migration.ts";

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

/**
 * Writes the file of a new migration, and its directory where there is none; never over a file.
 *
 * @throws {LocationError} if the file exists, or the directory can't be created.
 * @throws {AccessError} if it can't be written.
 */
export function writeNewFile(path: string, text: string): void {
  const directory = directoryOf(path);
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
