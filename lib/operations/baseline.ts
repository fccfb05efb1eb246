/**
 * Records migrations as applied without running them: `baseline`, and `adopt` for an existing
 * schema.
 *
 * @module
 */
import { AdoptionError, SchemaConflictError, UsageError } from "../base/errors.ts";
import { openForReading, openMemory } from "../database/open.ts";
import { adopt } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import {
  compareIds,
  createRegistry,
  MARKER_TABLE,
  type Migration,
} from "../migration/migration.ts";
import { migrationsIn } from "../state/assess.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { findMigration } from "../state/plan.ts";
import { locationOf, requireKnownDatabase, type Workspace } from "../state/workspace.ts";
import { compareWithMigrations } from "./verify.ts";
import { messageOf } from "../base/format.ts";
import { type Connection, text } from "../database/connection.ts";
import { statDatabase } from "../database/location.ts";
import { parseMigrationFile } from "../migration/file.ts";
import { nextId, writeNewFile } from "../migration/new_file.ts";

/** Options for a baseline. */
export interface BaselineOptions {
  /** The last migration to mark, by id or name. */
  readonly to: string;
  /** Only migrations of this database. Default: all databases. */
  readonly database?: string;
  /** Only return what would be marked. Default `false`. */
  readonly dryRun?: boolean;
}

/** What was marked, or would be. */
export interface BaselineResult {
  /** Ids of the migrations that are now marked as applied. */
  readonly marked: readonly string[];
}

/**
 * Marks migrations whose changes are already in the databases as applied, after comparing the
 * schema with the migrations. Writes nothing else.
 *
 * @throws {SchemaConflictError} if a database has a different schema; no marker is written.
 * @throws {UnknownMigrationError} if the migration does not exist.
 */
export async function baseline(
  workspace: Workspace,
  { to, database, dryRun = false }: BaselineOptions,
): Promise<BaselineResult> {
  const last = findMigration(workspace.registry, to);
  await using session = dryRun ? null : await Session.begin(workspace);
  const found = await inspect(workspace);
  const marked = unmarked(workspace, found, last).filter((one) =>
    database === undefined || one.database === database
  );
  for (const database of new Set(marked.map((one) => one.database))) {
    await refuseOtherSchema(workspace, found, {
      database,
      marked: marked.filter((one) => one.database === database),
    });
  }
  if (session !== null) {
    for (const migration of marked) {
      const row = found.ledger.history.get(migration.id);
      await adopt(workspace, session, { kind: "adopt", migration, row });
    }
    await session.sync();
  }
  return { marked: marked.map(({ id }) => id) };
}

/** The migrations up to the last one that have no marker, in order. */
function unmarked({ registry }: Workspace, found: Inspection, last: Migration): Migration[] {
  const marked = new Set(
    [...found.databases.values()].flatMap(({ markers }) => (markers ?? []).map(({ id }) => id)),
  );
  return registry.migrations.filter(({ id }) => compareIds(id, last.id) <= 0 && !marked.has(id));
}

async function refuseOtherSchema(
  workspace: Workspace,
  found: Inspection,
  { database, marked }: { readonly database: string; readonly marked: readonly Migration[] },
): Promise<void> {
  const location = locationOf(workspace, database);
  const fail = (reason: string) =>
    new SchemaConflictError(
      `Cannot mark ${marked.map(({ id }) => id).join(", ")} as applied to ${database}: ${reason}`,
      { database, help: "nothing was changed; `upgrade` applies missing migrations" },
    );
  if (found.databases.get(database)?.exists !== true) {
    throw fail(`there is no file ${location.path}`);
  }
  const present = migrationsIn(workspace.registry, found, database);
  const migrations = [...present.filter((one) => !marked.includes(one)), ...marked];
  await using connection = await openForReading(location, workspace.settings);
  const { problems, notices } = await compareWithMigrations(connection, {
    migrations,
    adopted: true,
  });
  const unchecked = notices.filter(({ kind }) => kind === "unchecked");
  const reasons = [...problems, ...unchecked].map(({ detail }) => detail);
  if (reasons.length > 0) throw fail(`its schema differs: ${reasons.join("; ")}`);
}

/** Options for bringing an existing database under management. */
export interface AdoptOptions {
  /** Directory to write the migration to. */
  readonly migrationsDir: string;
  /** Only return the migration; write and mark nothing. Default `false`. */
  readonly dryRun?: boolean;
}

/** The migration that creates the schema of an adopted database. */
export interface Adoption {
  /** Id of the migration, such as `004`. */
  readonly id: string;
  /** Its name, such as `004_adopt_market`. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Path of its file. */
  readonly path: string;
  /** The file's text. */
  readonly sql: string;
  /** Number of tables, indexes, views and triggers. */
  readonly objects: number;
}

/** An entry of `sqlite_schema`. */
interface SchemaEntry {
  readonly type: string;
  readonly name: string;
  readonly sql: string;
}

/**
 * Brings an existing database under management: writes a migration with its schema exactly as
 * SQLite stores it, proves on an empty database that it creates the same schema, and marks it as
 * applied. Does not read or change rows.
 *
 * @throws {UsageError} if the database does not exist, is empty, or already has migrations.
 * @throws {AdoptionError} if its schema can't be recreated.
 */
export async function adoptDatabase(
  workspace: Workspace,
  database: string,
  { migrationsDir, dryRun = false }: AdoptOptions,
): Promise<Adoption> {
  const location = requireKnownDatabase(workspace, database, "adopt");
  refuseManaged(workspace, database);
  if (!statDatabase(location).exists) {
    throw new UsageError(`Cannot adopt ${database}: there is no file ${location.path}`, {
      database,
      help: "check the path in the configuration; a new database needs no adoption, only `upgrade`",
    });
  }
  await using connection = await openForReading(location, workspace.settings);
  const entries = await readEntries(connection);
  if (entries.length === 0) {
    throw new UsageError(`Cannot adopt ${database}: ${location.path} has no tables`, {
      database,
      help: "write its first migration with `new`",
    });
  }
  await proveSame(entries, database);
  const id = nextId(workspace.registry.migrations.map((one) => one.id), {
    byTime: false,
    now: new Date(),
  });
  const name = `${id}_adopt_${database.toLowerCase()}`;
  const path = `${migrationsDir.replace(/(?<=[^/\\])[/\\]+$/, "")}/${name}.sql`;
  const sql = migrationText(database, entries);
  const adoption = { id, name, database, path, sql, objects: entries.length };
  if (dryRun) return adoption;
  writeNewFile(path, sql);
  try {
    const migration = parseMigrationFile(sql, { path, id, name });
    await baseline(withMigration(workspace, migration), { to: id, database });
  } catch (error) {
    // The next upgrade would apply a file without a marker.
    Deno.removeSync(path);
    throw error;
  }
  return adoption;
}

function withMigration(workspace: Workspace, migration: Migration): Workspace {
  const { migrations, databases } = workspace.registry;
  return { ...workspace, registry: createRegistry([...migrations, migration], databases) };
}

/** A database's schema must have one origin: if migrations exist already, they define it. */
function refuseManaged({ registry, trusted }: Workspace, database: string): void {
  const [first] = registry.migrations.filter((one) => one.database === database);
  if (first === undefined) return;
  if (first.name.endsWith(`_adopt_${database.toLowerCase()}`)) {
    throw new UsageError(`Cannot adopt ${database}: it is adopted already, as ${first.name}`, {
      database,
      help: "nothing is left to do; `new` writes its next migration",
    });
  }
  const isBundled = trusted.includes(first);
  throw new UsageError(`Cannot adopt ${database}: migration ${first.name} already creates it`, {
    database,
    help: isBundled
      ? `to keep your own file next to the bundled database, name both in catalyst.json:\n` +
        `"databases": { "own_${database}": "${database}.db", "${database}": "catalyst/${database}.db" }\n` +
        `then run \`adopt own_${database}\``
      : "`baseline` records migrations whose changes are already in the database",
  });
}

/**
 * Everything except SQLite's internal objects, the shadow tables of virtual tables, and the
 * markers.
 */
async function readEntries(connection: Connection): Promise<SchemaEntry[]> {
  const rows = await connection.all(
    `SELECT type, name, sql
    FROM main.sqlite_schema
    WHERE sql IS NOT NULL
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
        AND tbl_name <> ?
        AND tbl_name NOT IN (
            SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'
        )
    ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid`,
    [MARKER_TABLE],
  );
  return rows.map((row) => ({
    type: text(row, "type"),
    name: text(row, "name"),
    sql: text(row, "sql"),
  }));
}

/** Creates the schema in an empty database and compares what SQLite stores. */
async function proveSame(entries: readonly SchemaEntry[], database: string): Promise<void> {
  await using empty = openMemory();
  for (const { type, name, sql } of entries) {
    try {
      await empty.exec(sql);
    } catch (error) {
      const reason = `${type} "${name}" can't be created: ${messageOf(error)}`;
      throw unrepeatable(database, reason, error);
    }
  }
  const made = new Map(
    (await readEntries(empty)).map((one) => [`${one.type} ${one.name}`, one.sql]),
  );
  const other = entries.find(({ type, name, sql }) => made.get(`${type} ${name}`) !== sql);
  if (other !== undefined) {
    throw unrepeatable(database, `${other.type} "${other.name}" would differ`);
  }
}

function unrepeatable(database: string, reason: string, cause?: unknown): AdoptionError {
  return new AdoptionError(`Cannot adopt ${database}: ${reason}`, {
    cause,
    database,
    help:
      "without migrations it can still be backed up, exported and verified; to adopt it, drop " +
      "the object that needs a missing module, collation or function, and create it in your program",
  });
}

function migrationText(database: string, entries: readonly SchemaEntry[]): string {
  // Ends a comment that the stored text may end with.
  const statements = entries.map(({ sql }) => `${sql}${/--[^\n]*$/.test(sql) ? "\n" : ""};\n`);
  return [
    `-- database: ${database}`,
    "-- The schema of the database when it was adopted. These statements were not run there.",
    "-- migrate:up",
    ...statements,
  ].join("\n");
}
