/**
 * The schema that migrations create, built by running them in an empty in-memory database.
 *
 * @module
 */
import { runBody } from "../migration/body.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";
import { openMemory } from "../database/open.ts";
import type { Migration, MigrationBody } from "../migration/migration.ts";
import type { Schema } from "./model.ts";
import { readSchema } from "./read.ts";

/** The schema that migrations create, or why it is unknown. */
export type MigratedSchema = KnownSchema | UnknownSchema;

/** The schema that migrations create. */
interface KnownSchema {
  /** Whether the schema is known. */
  readonly known: true;
  /** Schema after all of the migrations. */
  readonly schema: Schema;
  /** New names of tables that were renamed during the rollback, by folded old name. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** A migration failed on an empty in-memory database, for example because it needs rows. */
export interface UnknownSchema {
  /** Whether the schema is known. */
  readonly known: false;
  /** The migration that failed. */
  readonly migration: Migration;
  /** The error. */
  readonly error: unknown;
}

/** The schema after one migration of a list. */
interface MigratedSchemaStep {
  /** The migration. */
  readonly migration: Migration;
  /** Schema after it. */
  readonly schema: Schema;
  /** The objects that are new or have changed, in the order of creation. */
  readonly made: Schema;
}

/** The schema after each migration, or why it is unknown. */
type MigratedSchemaSteps = KnownSteps | UnknownSchema;

/** The schema after each migration. */
interface KnownSteps {
  /** Whether the schema is known. */
  readonly known: true;
  /** One step for each migration, in order. */
  readonly steps: readonly MigratedSchemaStep[];
}

/** Options of {@link buildMigratedSchema}. */
interface MigratedSchemaOptions {
  /** Migrations to roll back after the upgrades, in this order. Default: none. */
  readonly rollBack?: readonly Migration[];
}

/**
 * Builds the schema that the migrations of one database create, by running their upgrades in a new
 * in-memory database. The schema is read once, after the last migration.
 */
export async function buildMigratedSchema(
  migrations: readonly Migration[],
  options: MigratedSchemaOptions = {},
): Promise<MigratedSchema> {
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
 * Makes SQLite track renames: when it renames a table, it also updates the table's row in
 * `sqlite_sequence`. Returns the names by their number. The extra AUTOINCREMENT table keeps VACUUM from
 * dropping `sqlite_sequence`.
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
 * Builds the schema after each migration. Slower than {@link buildMigratedSchema}, because it reads the list
 * of objects and all changed tables after each migration.
 */
export async function buildMigratedSchemaSteps(
  migrations: readonly Migration[],
): Promise<MigratedSchemaSteps> {
  await using connection = await openScratch();
  const steps: MigratedSchemaStep[] = [];
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
  // Without rows there is nothing to enforce, and a child may be created before its parent.
  await connection.exec("PRAGMA foreign_keys = OFF");
  return connection;
}

async function attempt(
  connection: Connection,
  migration: Migration,
  body: MigrationBody,
): Promise<UnknownSchema | null> {
  const { database, transaction = true } = migration;
  try {
    if (transaction) await connection.exec("BEGIN");
    // Even here a migration may not end the transaction or open a file.
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

/** The objects of a schema that are new or changed since an earlier one. */
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
