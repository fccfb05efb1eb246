import { runBody } from "../migration/body.ts";
import type { Connection } from "../database/connection.ts";
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
  const bodies = [
    ...migrations.map((migration) => ({ migration, body: migration.upgrade })),
    ...(options.rollBack ?? []).map((migration) => ({
      migration,
      body: migration.downgrade ?? "",
    })),
  ];
  for (const { migration, body } of bodies) {
    const failure = await attempt(connection, migration, body);
    if (failure !== null) return failure;
  }
  return { known: true, schema: await readSchema(connection) };
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
