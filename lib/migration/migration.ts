/**
 * What a migration is, how its checksum is computed, and the registry: which migrations there are, and
 * in which order.
 *
 * @module
 */
import { RegistryError } from "../base/errors.ts";
import type { Row, SqlValue, StatementResult } from "../database/connection.ts";

/**
 * The open transaction of a migration function. The function may read and write its own database; it
 * may not end the transaction, attach a file, or change journal settings.
 */
export interface MigrationTransaction {
  /** Name of the database being migrated. */
  readonly database: string;
  /** Runs any number of statements and discards their rows. */
  exec(sql: string): Promise<void>;
  /** Runs one statement with parameters and returns the number of changed rows. */
  run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult>;
  /** Returns all rows of one statement; integers beyond 2^53 are `bigint`. */
  all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
}

/** SQL text with any number of statements, or a function that receives the open transaction. */
export type MigrationBody = string | ((transaction: MigrationTransaction) => void | Promise<void>);

/** One numbered change of one database, as plain data; frozen once released. */
export interface Migration {
  /** Leading digits of the name, such as `001`. Unique in a registry, by number. */
  readonly id: string;
  /** Full name, such as `001_create_positions_tables`. */
  readonly name: string;
  /** Name of the database that it changes, such as `positions`. */
  readonly database: string;
  /** Makes the change. */
  readonly upgrade: MigrationBody;
  /** Undoes the change; a migration without it cannot be rolled back. */
  readonly downgrade?: MigrationBody;
  /**
   * Tables whose rows the migration may destroy, up or down. Losing rows of any other table fails the migration
   * and rolls it back.
   */
  readonly destroys?: readonly string[];
  /**
   * `false` turns foreign key enforcement off while the migration runs, which a table rebuild needs:
   * with enforcement on, `DROP TABLE` empties child tables by cascade. Violations before and after are
   * still compared. Default `true`.
   */
  readonly foreignKeys?: boolean;
  /**
   * `false` runs the upgrade and the downgrade without a transaction, which `VACUUM` needs. If it is
   * killed midway, completed statements keep their effect, and the next run starts again. Default `true`.
   */
  readonly transaction?: boolean;
  /**
   * Ids of the migrations that this one replaces, including its own, as written by `squash`. In a
   * database that has applied all of them, its marker replaces theirs, and it does not run.
   */
  readonly replaces?: readonly string[];
  /** Suppressed findings of `lint`, each with a code and a reason. */
  readonly allows?: readonly LintAllowance[];
  /** The file that it was read from; absent if a program defined it. */
  readonly source?: MigrationSource;
}

/** Suppresses a finding of `lint`. */
export interface LintAllowance {
  /** Code of the finding, such as `table-dropped`. */
  readonly code: string;
  /** Why the finding is suppressed. */
  readonly reason: string;
}

/** The file that a migration was read from. */
export interface MigrationSource {
  /** Its path. */
  readonly path: string;
  /** Line of the file on which the upgrade's text begins; the first is 1. Absent for a module. */
  readonly upgradeLine?: number;
  /** Line on which the downgrade's text begins. Absent for a module, or if there is no downgrade. */
  readonly downgradeLine?: number;
}

/** Argument of {@link defineMigration}: a {@link Migration} whose id is derived from its name. */
export type MigrationDefinition = Omit<Migration, "id">;

const NAME = /^(\d+)_[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/**
 * Creates a {@link Migration} from its definition; the id is the number at the start of the name.
 *
 * @throws {RegistryError} if the name does not consist of digits, an underscore and a description.
 *
 * @example Define a migration
 * ```ts
 * import { defineMigration } from "@catalyst/migrate";
 *
 * const migration = defineMigration({
 *   name: "004_add_notes",
 *   database: "trading",
 *   upgrade: "ALTER TABLE orders ADD COLUMN notes TEXT;",
 *   downgrade: "ALTER TABLE orders DROP COLUMN notes;",
 * });
 * console.assert(migration.id === "004");
 * ```
 */
export function defineMigration(definition: MigrationDefinition): Migration {
  const id = NAME.exec(definition.name)?.[1];
  if (id === undefined) {
    throw new RegistryError(
      `Cannot define migration "${definition.name}": its name is not a number, "_" and a description`,
      { help: `name it like "004_add_notes"` },
    );
  }
  return Object.freeze({ id, ...definition });
}

/** The SQL text of a migration body; null if it is a function. */
export function sqlOf(body: MigrationBody | undefined): string | null {
  return typeof body === "string" ? body : null;
}

// Databases contain checksums of the canonical text, so it never changes, whatever the lexer accepts.
const COMMENT_OR_QUOTED =
  /--[^\n]*|\/\*[^]*?(?:\*\/|$)|'[^']*(?:''[^']*)*'(?!')|"[^"]*(?:""[^"]*)*"(?!")|`[^`]*(?:``[^`]*)*`(?!`)|\[[^\]]*\]/g;

/** An SQL text without its insignificant parts. */
export function canonical(sql: string): string {
  const text = sql.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  return text.replace(COMMENT_OR_QUOTED, (piece) =>
    // A line break inside quotes is part of the text, not the end of a line.
    piece.startsWith("--") || piece.startsWith("/*") ? " " : piece.replaceAll("\n", "\0"))
    .split("\n").map((line) => line.trimEnd()).filter((line) => line !== "").join("\n");
}

/** Whether two SQL texts have the same checksum; equal texts are not parsed. */
export function sameText(a: string, b: string): boolean {
  return a === b || canonical(a) === canonical(b);
}

/**
 * SHA-256 in hexadecimal of the significant parts of an SQL text: ignores line endings, trailing white
 * space, blank lines, comments and a byte-order mark.
 */
export async function checksum(sql: string): Promise<string> {
  const bytes = new TextEncoder().encode(canonical(sql));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return digest.toHex();
}

/** Checksum of a migration's body; null if it is a function, or there is none. */
export async function checksumOf(body: MigrationBody | undefined): Promise<string | null> {
  return typeof body === "string" ? await checksum(body) : null;
}

/** The option that names tables whose rows may be destroyed, such as `destroys:fills,"trade history"`. */
export function destroysOption(tables: readonly string[]): string {
  const names = tables.map((name) =>
    /^[^\s",]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
  );
  return `destroys:${names.join(",")}`;
}

/** How to declare that a migration may destroy rows, up or down. */
export function howToDeclare(tables: readonly string[]): string {
  return `${destroysOption(tables)} on the "-- migrate:up" line, or destroys: ${
    JSON.stringify(tables)
  } in a module`;
}

/** Table with a database's migration markers; not part of its schema. */
export const MARKER_TABLE = "catalyst_migrations";

/** The ordered list of known migrations. */
export interface Registry {
  /** All migrations, lowest number first. */
  readonly migrations: readonly Migration[];
  /** Names of their databases, in the given order. */
  readonly databases: readonly string[];
  /** Migrations by id. */
  readonly byId: ReadonlyMap<string, Migration>;
}

/**
 * Checks and orders migrations.
 *
 * @throws {RegistryError} if two have the same number, or one names an unknown database.
 */
export function createRegistry(
  migrations: readonly Migration[],
  databases: readonly string[],
): Registry {
  const sorted = sortById(migrations);
  sorted.forEach((migration, index) => {
    const previous = sorted[index - 1];
    if (previous !== undefined && compareIds(previous.id, migration.id) === 0) {
      throw sameNumber(previous.name, migration.name);
    }
    if (!databases.includes(migration.database)) {
      throw new RegistryError(
        `Cannot use migration "${migration.name}": unknown database "${migration.database}"`,
        { migration: migration.name, help: `the databases are ${databases.join(", ")}` },
      );
    }
  });
  return { migrations: sorted, databases, byId: new Map(sorted.map((one) => [one.id, one])) };
}

/** Migrations or their files in the order in which they run, lowest number first. */
export function sortById<T extends Pick<Migration, "id">>(migrations: readonly T[]): T[] {
  return migrations.toSorted((a, b) => compareIds(a.id, b.id));
}

/** Compares ids as numbers of any length: `2` before `010` before `20250120123000`. */
export function compareIds(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The error for two migrations with the same number. */
export function sameNumber(first: string, second: string): RegistryError {
  return new RegistryError(
    `Cannot use the migrations: "${first}" and "${second}" have the same number`,
    { migration: second, help: "give one of them the next free number" },
  );
}

/** The parts of a migration file's name. */
interface MigrationFileName {
  /** The number at the start. */
  readonly id: string;
  /** The part between the number and the extension. */
  readonly description: string;
  readonly kind: "sql" | "ts" | "js";
}

// A file name may contain any character, even a line break.
const FILE_NAME = /^(\d+)_(.*)\.(sql|ts|js)$/is;

/** Parses the name of a migration file, such as `004_add_notes.sql`; null if it is not one. */
export function parseFileName(name: string): MigrationFileName | null {
  const [, id, description, ending] = FILE_NAME.exec(name) ?? [];
  if (id === undefined || description === undefined || ending === undefined) return null;
  if (/\.d$/i.test(description)) return null; // type declarations
  const kind = ending.toLowerCase();
  return { id, description, kind: kind === "ts" || kind === "js" ? kind : "sql" };
}

const NEARLY = [
  /\.sql\s*$/i,
  /^\s*v?\d.*\.(sql\.txt|[cm]?[jt]sx?)\s*$/is,
  /^\d+[ _-][^.]*$/s,
];

/** Whether a file looks like a misnamed migration: `004-notes.sql`, `notes.sql`, `004_notes.mts`. */
export function isNearlyMigration(name: string): boolean {
  if (name.startsWith(".") || /\.d\.[cm]?ts$/i.test(name)) return false;
  return parseFileName(name) === null && NEARLY.some((pattern) => pattern.test(name));
}
