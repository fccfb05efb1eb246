/**
 * The file of a new migration: its number, its template, and writing it.
 *
 * @module
 */
import { LocationError } from "../base/errors.ts";
import { ensureDirectory } from "../base/files.ts";
import { accessError } from "../base/paths.ts";
import { version } from "../base/version.ts";
import { compareIds } from "./migration.ts";

/** How to number a new migration. */
interface NumberOptions {
  /** Whether to use the current time as the number. */
  readonly byTime: boolean;
  readonly now: Date;
}

/**
 * The number after the highest one, with as many digits and at least three. If the highest one is a
 * time, the new one is too.
 */
export function nextId(known: readonly string[], { byTime, now }: NumberOptions): string {
  const highest = known.toSorted(compareIds).at(-1) ?? "0";
  const following = String(BigInt(highest) + 1n).padStart(Math.max(3, highest.length), "0");
  if (!byTime && highest.length !== TIME_DIGITS) return following;
  const time = now.toISOString().replace(/\D/g, "").slice(0, TIME_DIGITS);
  return compareIds(time, highest) > 0 ? time : following;
}

/** Digits of a time such as 20250120123000. */
const TIME_DIGITS = 14;

/** Advice in the errors of {@link writeNewFile}. */
interface NewFileOptions {
  /** Flag that names the directory. Default `--migrations-dir`. */
  readonly flag?: string;
  /** What to do if the file exists. Default: to run the command again. */
  readonly whenExists?: string;
}

/**
 * Writes the file of a new migration and creates its directory if needed; never overwrites a file.
 *
 * @throws {LocationError} if the file exists, or the directory cannot be created.
 * @throws {AccessError} if it cannot be written.
 */
export function writeNewFile(
  path: string,
  text: string,
  {
    flag = "--migrations-dir",
    whenExists = "run the command again for the next number",
  }: NewFileOptions = {},
): void {
  ensureDirectory(path, true, { what: "directory of the migrations", flag });
  try {
    // Never overwrite a file, such as that of another `new` running at the same time.
    Deno.writeTextFileSync(path, text, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) {
      throw new LocationError(`Cannot write ${path}: it already exists`, {
        cause: error,
        help: whenExists,
      });
    }
    throw accessError(`Cannot write ${path}`, error, {
      help: `check that this user may write there, or name another directory with ${flag}`,
    });
  }
}

/** Options of {@link templateOf}. */
interface TemplateOptions {
  /** Full name, such as `004_add_notes`. */
  readonly name: string;
  /** Name of the database that it changes. */
  readonly database: string;
  /** Type of the file. */
  readonly kind: "sql" | "ts" | "js";
}

/** The text of a new migration file, with examples of common changes as comments. */
export function templateOf(options: TemplateOptions): string {
  return options.kind === "sql" ? sqlTemplate(options) : moduleTemplate(options);
}

function sqlTemplate({ database }: TemplateOptions): string {
  return `-- database: ${database}

-- migrate:up
-- Write the change here. It runs in one transaction, all or nothing. Examples to edit or remove:
--
-- A new column. NOT NULL needs a default, because existing rows have no value for it:
--   ALTER TABLE example ADD COLUMN notes TEXT;
--   ALTER TABLE example ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
--
-- An index:
--   CREATE INDEX idx_example_notes ON example (notes);
--
-- A change of data. The WHERE clause makes it safe to run again:
--   UPDATE example SET notes = 'none' WHERE notes IS NULL;
--
-- A different check, type or key. SQLite cannot alter these, so rebuild the table in this order. Use
-- \`-- migrate:up foreign-keys:off\`, or DROP TABLE empties the tables that reference this one:
--   CREATE TABLE new_example (
--     id INTEGER PRIMARY KEY,
--     side TEXT NOT NULL CHECK (side IN ('buy', 'sell', 'short'))
--   );
--   INSERT INTO new_example (id, side) SELECT id, side FROM example;
--   DROP TABLE example;
--   ALTER TABLE new_example RENAME TO example;
--   -- then create every index, trigger and view of the old table again
--
-- A table whose rows may be destroyed: \`-- migrate:up destroys:example\`
--   DROP TABLE example;

-- migrate:down
-- Undo the change here, in reverse order. Without a statement here the migration cannot be rolled back.
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
  // \`upgrade\` and \`downgrade\` each run in one transaction, all or nothing.
  // foreignKeys: false, // for rebuilding a table: otherwise DROP TABLE empties child tables
  // destroys: ["example"], // tables whose rows may be destroyed

  upgrade: async (transaction) => {
    // A new column, and an index:
    //   await transaction.exec(\`
    //     ALTER TABLE example ADD COLUMN notes TEXT;
    //     CREATE INDEX idx_example_notes ON example (notes);
    //   \`);
    // A change of data that SQL alone cannot make:
    //   for (const { id, raw } of await transaction.all("SELECT id, raw FROM example")) {
    //     const { notes } = JSON.parse(raw);
    //     await transaction.run("UPDATE example SET notes = ? WHERE id = ?", [notes, id]);
    //   }
    throw new Error(\`Write the change of \${transaction.database} here\`);
  },

  // Undoes the change; without it the migration cannot be rolled back.
  // downgrade: \`
  //   DROP INDEX idx_example_notes;
  //   ALTER TABLE example DROP COLUMN notes;
  // \`,
}${isTypeScript ? ")" : ""};
`;
}
