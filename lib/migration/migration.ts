import { RegistryError } from "../base/errors.ts";
import type { Row, SqlValue, StatementResult } from "../database/connection.ts";
import { canonical } from "../sql/tokens.ts";

/**
 * The open transaction that a migration written as a function works in. It may read and write
 * its own database; it may not end the transaction, attach a file, or change journal settings.
 */
export interface MigrationTransaction {
  /** Name of the database that is being migrated. */
  readonly database: string;
  /** Runs any number of statements and discards their rows. */
  exec(sql: string): Promise<void>;
  /** Runs one statement with parameters and tells how many rows it changed. */
  run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult>;
  /** Reads all rows of one statement; integers beyond 2^53 come as `bigint`. */
  all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
}

/** SQL text of any number of statements, or a function that gets the open transaction. */
export type MigrationBody = string | ((transaction: MigrationTransaction) => void | Promise<void>);

/** One numbered change of one database; plain data, frozen once it is released. */
export interface Migration {
  /** Leading digits of the name, such as `001`. Unique in a registry, by number. */
  readonly id: string;
  /** Whole name, such as `001_create_positions_tables`. */
  readonly name: string;
  /** Name of the database that it changes, such as `positions`. */
  readonly database: string;
  /** Makes the change. */
  readonly upgrade: MigrationBody;
  /** Takes the change back; a migration without it cannot be rolled back. */
  readonly downgrade?: MigrationBody;
  /**
   * Tables whose rows the migration may destroy, up or down. Losing rows of any other table fails the migration
   * and rolls it back.
   */
  readonly destroys?: readonly string[];
  /**
   * `false` turns foreign key enforcement off while the migration runs, as a table rebuild needs:
   * with it on, `DROP TABLE` empties child tables by cascade. Violations are compared before and
   * after all the same. Default `true`.
   */
  readonly foreignKeys?: boolean;
  /**
   * `false` runs the upgrade and the downgrade outside of a transaction, as `VACUUM` needs: killed in the
   * middle, what was done stays, and the next run begins anew. Default `true`.
   */
  readonly transaction?: boolean;
  /**
   * Ids of the migrations whose work this one does, its own among them, as `squash` writes it. A database
   * that has all of them gets this one's marker in place of theirs; it is not run there.
   */
  readonly replaces?: readonly string[];
  /** Findings of `lint` that are meant so: a code and the reason for each. */
  readonly allows?: readonly LintAllowance[];
  /** Where it was read from; absent if a program defined it. */
  readonly source?: MigrationSource;
}

/** A finding of `lint` that is meant so. */
export interface LintAllowance {
  /** Code of the finding, such as `table-dropped`. */
  readonly code: string;
  /** Why it is meant so. */
  readonly reason: string;
}

/** The file that a migration was read from. */
export interface MigrationSource {
  /** Its path. */
  readonly path: string;
  /** Line of the file on which the upgrade's text begins; the first is 1. Absent for a module. */
  readonly upgradeLine?: number;
  /** Line on which the downgrade's text begins. Absent for a module, or where there is none. */
  readonly downgradeLine?: number;
}

/** What {@link defineMigration} takes: a {@link Migration} whose id comes from its name. */
export type MigrationDefinition = Omit<Migration, "id">;

const NAME = /^(\d+)_[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/**
 * Makes a {@link Migration} from its definition; the id is the number that the name begins with.
 *
 * @throws {RegistryError} if the name is not digits, an underscore and a description.
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

/**
 * SHA-256, in hexadecimal, of what an SQL text does: line ends, white space at line ends, blank
 * lines, comments and a byte-order mark don't count.
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

/** The option that names tables whose rows may go, such as `destroys:fills,"trade history"`. */
export function destroysOption(tables: readonly string[]): string {
  const names = tables.map((name) =>
    /^[^\s",]+$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
  );
  return `destroys:${names.join(",")}`;
}

/** How a migration declares that rows of tables may go, up or down. */
export function howToDeclare(tables: readonly string[]): string {
  return `${destroysOption(tables)} behind "-- migrate:up", or destroys: ${
    JSON.stringify(tables)
  } in a module`;
}

/** Table in which a database keeps the markers of its migrations; no part of its schema. */
export const MARKER_TABLE = "catalyst_migrations";

/** The ordered list of known migrations. */
export interface Registry {
  /** All migrations, lowest number first. */
  readonly migrations: readonly Migration[];
  /** Names of the databases that they belong to, in the order given. */
  readonly databases: readonly string[];
  /** Finds a migration by the id that the registry gave it. */
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
  const sorted = migrations.toSorted((a, b) => compareIds(a.id, b.id));
  sorted.forEach((migration, index) => {
    const previous = sorted[index - 1];
    if (previous !== undefined && compareIds(previous.id, migration.id) === 0) {
      throw sameNumber(previous.name, migration.name);
    }
    if (!databases.includes(migration.database)) {
      throw new RegistryError(
        `Cannot use migration "${migration.name}": its database "${migration.database}" is not known`,
        { migration: migration.name, help: `the databases are ${databases.join(", ")}` },
      );
    }
  });
  return { migrations: sorted, databases, byId: new Map(sorted.map((one) => [one.id, one])) };
}

/** Orders ids as numbers of any length: `2` before `010` before `20250120123000`. */
export function compareIds(a: string, b: string): number {
  const [left, right] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** The error for two migrations of one number. */
export function sameNumber(first: string, second: string): RegistryError {
  return new RegistryError(
    `Cannot use the migrations: "${first}" and "${second}" have the same number`,
    { migration: second, help: "give one of them the next free number" },
  );
}

/** What a migration file's name says. */
interface MigrationFileName {
  /** The number it begins with. */
  readonly id: string;
  /** What stands between the number and the ending. */
  readonly description: string;
  readonly kind: "sql" | "ts" | "js";
}

// Any character may be in a file's name, even a line break.
const FILE_NAME = /^(\d+)_(.*)\.(sql|ts|js)$/is;

/** Reads the name of a migration file, such as `004_add_notes.sql`; null if it is another name. */
export function parseFileName(name: string): MigrationFileName | null {
  const [, id, description, ending] = FILE_NAME.exec(name) ?? [];
  if (id === undefined || description === undefined || ending === undefined) return null;
  if (/\.d$/i.test(description)) return null; // declarations of types
  const kind = ending.toLowerCase();
  return { id, description, kind: kind === "ts" || kind === "js" ? kind : "sql" };
}

const NEARLY = [
  /\.sql\s*$/i,
  /^\s*v?\d.*\.(sql\.txt|[cm]?[jt]sx?)\s*$/is,
  /^\d+[ _-][^.]*$/s,
];

/** Whether a file looks like a migration and isn't one, for its name: `004-notes.sql`, `notes.sql`, `004_notes.mts`. */
export function isNearlyMigration(name: string): boolean {
  if (name.startsWith(".") || /\.d\.[cm]?ts$/i.test(name)) return false;
  return parseFileName(name) === null && NEARLY.some((pattern) => pattern.test(name));
}
