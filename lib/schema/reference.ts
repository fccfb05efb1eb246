import { runBody } from "../migration/body.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";
import { openMemory } from "../database/open.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import type { Schema } from "./model.ts";
import { readSchema } from "./read.ts";

/** The schema that migrations should make, or why it can't be told. */
export type Reference = BuiltReference | UnknownReference;

/** The schema that migrations should make. */
interface BuiltReference {
  /** Whether it can be told. */
  readonly known: true;
  /** Schema after all of the migrations. */
  readonly schema: Schema;
  /** New names of the tables that were renamed while migrations were rolled back, by their old ones, folded. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** A migration could not be run on an empty database in memory, as when it needs rows. */
export interface UnknownReference {
  /** Whether it can be told. */
  readonly known: false;
  /** The migration that failed. */
  readonly migration: Migration;
  /** What it threw. */
  readonly error: unknown;
}

/** The schema after one migration of a list. */
interface ReferenceStep {
  /** The migration. */
  readonly migration: Migration;
  /** Schema after it. */
  readonly schema: Schema;
  /** The objects that were not there before, or not of this text; in the order of creation. */
  readonly made: Schema;
}

/** The schema after each migration, or why it can't be told. */
type ReferenceSteps = BuiltSteps | UnknownReference;

/** The schema after each migration. */
interface BuiltSteps {
  /** Whether it can be told. */
  readonly known: true;
  /** One for each migration, in their order. */
  readonly steps: readonly ReferenceStep[];
}

/** What to do after the upgrades. */
interface ReferenceOptions {
  /** Migrations to roll back again, in this order. Default: none. */
  readonly rollBack?: readonly Migration[];
}

/**
 * Builds the schema that migrations of one database make, by running their upgrades in order in a
 * new database in memory. It is read once, after the last.
 */
export async function buildReference(
  migrations: readonly Migration[],
  options: ReferenceOptions = {},
): Promise<Reference> {
  await using connection = await openScratch();
  for (const migration of migrations) {
    const failure = await attempt(connection, migration, migration.upgrade);
    if (failure !== null) return failure;
  }
  const { rollBack = [] } = options;
  const names = rollBack.length === 0 ? [] : await followNames(connection);
  for (const migration of rollBack) {
    const failure = await attempt(connection, migration, migration.downgrade ?? "");
    if (failure !== null) return failure;
  }
  const renamed = await renamedOf(connection, names);
  return { known: true, schema: await readSchema(connection), renamed };
}

/**
 * Lets SQLite follow the names of all tables: when it renames one, it renames its row of
 * `sqlite_sequence` as well. The names, each at the place of its number. Without a table that has
 * AUTOINCREMENT, a VACUUM would drop that table.
 */
async function followNames(connection: Connection): Promise<string[]> {
  await connection.exec(
    `CREATE TABLE catalyst_sequence (id INTEGER PRIMARY KEY AUTOINCREMENT);
    DELETE FROM sqlite_sequence;
    INSERT INTO sqlite_sequence (name, seq)
    SELECT name, row_number() OVER (ORDER BY rowid) - 1
    FROM sqlite_schema
    WHERE type = 'table' AND name <> 'catalyst_sequence'
      AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY rowid;`,
  );
  const rows = await connection.all("SELECT name FROM sqlite_sequence ORDER BY seq");
  return rows.map((row) => text(row, "name"));
}

async function renamedOf(
  connection: Connection,
  names: readonly string[],
): Promise<Map<string, string>> {
  const renamed = new Map<string, string>();
  await connection.exec("DROP TABLE IF EXISTS catalyst_sequence");
  if (names.length === 0) return renamed;
  for (const row of await connection.all("SELECT name, seq FROM sqlite_sequence")) {
    const [name, former] = [text(row, "name"), names[number(row, "seq")]];
    if (former !== undefined && fold(former) !== fold(name)) renamed.set(fold(former), name);
  }
  return renamed;
}

/**
 * Builds the schema after each migration. Dearer than {@link buildReference}: the list of objects is
 * read after each migration, and each changed table.
 */
export async function buildReferenceSteps(
  migrations: readonly Migration[],
): Promise<ReferenceSteps> {
  await using connection = await openScratch();
  const steps: ReferenceStep[] = [];
  let previous: Schema = { tables: [], indexes: [], views: [], triggers: [] };
  for (const migration of migrations) {
    const failure = await attempt(connection, migration, migration.upgrade);
    if (failure !== null) return failure;
    const schema = await readSchema(connection, { previous });
    steps.push({ migration, schema, made: without(schema, previous) });
    previous = schema;
  }
  return { known: true, steps };
}

async function openScratch(): Promise<Connection> {
  const connection = openMemory();
  // Without rows there is nothing to enforce, and a parent may be made after its child.
  await connection.exec("PRAGMA foreign_keys = OFF");
  return connection;
}

async function attempt(
  connection: Connection,
  migration: Migration,
  body: MigrationBody,
): Promise<UnknownReference | null> {
  const { database, transaction = true } = migration;
  try {
    if (transaction) await connection.exec("BEGIN");
    // Not even a rehearsal may end the transaction or open a file.
    await runBody(connection, body, {
      database,
      transaction,
      foreignKeys: migration.foreignKeys,
    });
    if (transaction) await connection.exec("COMMIT");
    return null;
  } catch (error) {
    return { known: false, migration, error };
  }
}

/** What of a schema is not in an earlier one with the same text. */
function without(schema: Schema, earlier: Schema): Schema {
  const fresh = <T extends { readonly name: string; readonly sql: string }>(
    objects: readonly T[],
    old: readonly T[],
  ): T[] => {
    const known = new Map(old.map((object) => [object.name, object.sql]));
    return objects.filter((object) => known.get(object.name) !== object.sql);
  };
  return {
    tables: fresh(schema.tables, earlier.tables),
    indexes: fresh(schema.indexes, earlier.indexes),
    views: fresh(schema.views, earlier.views),
    triggers: fresh(schema.triggers, earlier.triggers),
  };
}
