/**
 * Makes databases match their migrations again: `repair`, and `repair --accept-changed` for an edited file.
 *
 * @module
 */
import { CorruptDatabaseError, isDamage, UsageError } from "../base/errors.ts";
import { findDamage } from "../schema/integrity.ts";
import type { Connection } from "../database/connection.ts";
import { beforeOptions } from "./run_migrations.ts";
import { openForReading } from "../database/open.ts";
import { withTransaction } from "../database/transaction.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { addEvent } from "../state/ledger.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { reconcile, type Reconciliation } from "../engine/reconcile.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Difference, Finding, Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { buildMigratedSchema } from "../schema/migrated_schema.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { Session } from "../engine/session.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import { snapshotBefore } from "../snapshot/safeguard.ts";
import { assess, corrections, migrationsIn, summarize } from "../state/assess.ts";
import { rewriteMarker } from "../state/marker.ts";
import { findMigration } from "../state/plan.ts";
import { compareWithMigrations, damageHelp, damageOf, isAdopted } from "./verify.ts";
import { conflictFindings } from "../state/refusals.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";

/** Options for a repair. */
export interface RepairOptions {
  /** Only return what would be done. Default `false`. */
  readonly dryRun?: boolean;
  /** Whether to take a snapshot of databases that hold rows first. Default `true`. */
  readonly backup?: boolean;
  /** Called periodically while that snapshot is taken. */
  readonly onSnapshot?: (progress: SnapshotProgress) => void;
  /** Stops taking that snapshot. */
  readonly signal?: AbortSignal;
}

/** A missing object. */
export interface MissingObject {
  /** Name of the database. */
  readonly database: string;
  /** What it is. */
  readonly type: "table" | "index" | "view" | "trigger";
  /** Its name. */
  readonly name: string;
  /** The statement that creates it. */
  readonly sql: string;
}

/** A view of an earlier version that is replaced by the migration's own definition. */
export interface ReplacedView {
  /** Name of the database. */
  readonly database: string;
  /** Its name. */
  readonly name: string;
  /** The statement that creates it. */
  readonly sql: string;
  /** The statement that created the previous view. */
  readonly formerSql: string;
}

/** Result of a repair, or what it would do. */
export interface RepairResult extends Reconciliation {
  /** Recreated objects. */
  readonly recreated: readonly MissingObject[];
  /** Replaced views of an adopted database. Views hold no rows. */
  readonly replaced: readonly ReplacedView[];
  /** Remaining problems, whose repair could lose rows. */
  readonly remaining: readonly (Finding & { readonly database: string })[];
  /** Name of the snapshot taken first; null if no rows were at stake. */
  readonly snapshot: string | null;
}

/**
 * Reconciles, creates missing tables, indexes, views and triggers, and replaces the views of an
 * adopted database that differ from the migrations' definitions. Changes no rows.
 */
export async function repair(workspace: Workspace, options: RepairOptions): Promise<RepairResult> {
  try {
    return await repairAll(workspace, options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const message = error.message.replace(/^Cannot \w+/, "Cannot repair");
    throw new CorruptDatabaseError(message, { cause: error, help: damageHelp });
  }
}

async function repairAll(workspace: Workspace, options: RepairOptions): Promise<RepairResult> {
  const found = await inspect(workspace);
  const planned = await planRepairs(workspace, found);
  const wrong = corrections(workspace.registry, found);
  if (options.dryRun || planned.length + wrong.length === 0) {
    return {
      ...summarize(wrong),
      ...objectsIn(planned),
      remaining: await findRemaining(workspace, found, planned),
      snapshot: null,
    };
  }
  await using session = await Session.begin(workspace);
  const locked = await inspect(workspace);
  const repairs = await planRepairs(workspace, locked);
  const databases = repairs.map(({ database }) => database);
  const snapshot = options.backup === false
    ? null
    : await snapshotBefore(workspace, session, beforeOptions(databases, options));
  const reconciliation = await reconcile(workspace, session, locked);
  for (const one of repairs) {
    const connection = await session.database(one.database);
    await withTransaction(connection, async () => {
      for (const sql of one.statements) await connection.exec(sql);
    }, { timeout: workspace.timeout });
    await recordRepair(workspace, session, { ...one, snapshot });
  }
  await session.sync();
  const remaining = await findRemaining(workspace, locked, []);
  return { ...reconciliation, ...objectsIn(repairs), remaining, snapshot };
}

/** The repair of one database. */
interface DatabaseRepair {
  readonly database: string;
  readonly recreated: readonly MissingObject[];
  readonly replaced: readonly ReplacedView[];
  /** The statements to run, in order. */
  readonly statements: readonly string[];
}

function objectsIn(
  repairs: readonly DatabaseRepair[],
): { recreated: MissingObject[]; replaced: ReplacedView[] } {
  return {
    recreated: repairs.flatMap(({ recreated }) => recreated),
    replaced: repairs.flatMap(({ replaced }) => replaced),
  };
}

async function recordRepair(
  workspace: Workspace,
  session: Session,
  { database, recreated, replaced, snapshot }: DatabaseRepair & { snapshot: string | null },
): Promise<void> {
  const created = recreated.map(({ type, name }) => `${type} ${name}`).join(", ");
  const details = [
    ...(created === "" ? [] : [`created ${created}`]),
    ...replaced.map(({ name, formerSql }) => `replaced view ${name}, formerly: ${formerSql}`),
    ...(snapshot === null ? [] : [`snapshot ${snapshot} was taken before`]),
  ];
  await session.record((ledger) =>
    addEvent(ledger, {
      name: "repair",
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "repair",
      detail: details.join("; "),
    })
  );
}

/** The databases that need repair, each with the statements to run. */
async function planRepairs(workspace: Workspace, found: Inspection): Promise<DatabaseRepair[]> {
  const repairs: DatabaseRepair[] = [];
  await forEachManaged(workspace, found, async (database, connection, migrations) => {
    const expected = await buildMigratedSchema(migrations);
    if (!expected.known) return;
    const actual = await readSchema(connection);
    const differences = compareSchemas(expected.schema, actual);
    const differs = (kind: Difference["kind"], { type, name }: SchemaObject) =>
      differences.some((one) => one.kind === kind && one.type === type && one.object === name);
    const objects = objectsOf(expected.schema);
    const adopted = isAdopted(found.databases.get(database)?.markers);
    const missing = objects.filter((object) => differs("missing", object));
    const other = objects.filter((object) =>
      adopted && object.type === "view" && differs("different", object)
    );
    if (missing.length + other.length === 0) return;
    const replaced = other.map(({ name, sql }) => {
      const former = actual.views.find((view) => fold(view.name) === fold(name));
      return { database, name, sql, formerSql: former?.sql ?? "" };
    });
    const names = new Set(other.map(({ name }) => fold(name)));
    repairs.push({
      database,
      recreated: missing.map((object) => ({ database, ...object })),
      replaced,
      statements: [
        ...other.map(({ name }) => `DROP VIEW main.${quoteName(name)}`),
        ...objects.filter((one) => missing.includes(one) || other.includes(one))
          .map(({ sql }) => sql),
        // Dropping a view drops its triggers.
        ...actual.triggers.filter(({ table }) => names.has(fold(table))).map(({ sql }) => sql),
      ],
    });
  });
  return repairs;
}

/** Problems that remain: all but those of the objects that the repair creates. */
async function findRemaining(
  workspace: Workspace,
  found: Inspection,
  repairs: readonly DatabaseRepair[],
): Promise<(Finding & { database: string })[]> {
  const remaining: (Finding & { database: string })[] = [];
  for (const database of found.conflicts.keys()) {
    const findings = conflictFindings(found, database);
    remaining.push(...findings.map((finding) => ({ database, ...finding })));
  }
  await forEachManaged(workspace, found, async (database, connection, migrations) => {
    const damage = await findDamage(connection);
    if (damage !== undefined) remaining.push({ database, ...damageOf(database, damage) });
    const adopted = isAdopted(found.databases.get(database)?.markers);
    const { problems } = await compareWithMigrations(connection, { migrations, adopted });
    const { recreated, replaced } = objectsIn(repairs.filter((one) => one.database === database));
    const repaired = new Set([...recreated, ...replaced].map(({ name }) => name));
    const others = problems.filter(({ object }) => !repaired.has(object));
    remaining.push(...others.map((one) => ({ database, ...one })));
  });
  return remaining;
}

/** Calls back for each existing database with its migrations. */
async function forEachManaged(
  workspace: Workspace,
  found: Inspection,
  work: (
    database: string,
    connection: Connection,
    migrations: readonly Migration[],
  ) => Promise<void>,
): Promise<void> {
  for (const { name, exists } of found.databases.values()) {
    const migrations = migrationsIn(workspace.registry, found, name);
    if (!exists || migrations.length === 0) continue;
    await using connection = await openForReading(locationOf(workspace, name), workspace.settings);
    await work(name, connection, migrations);
  }
}

type SchemaObject = Omit<MissingObject, "database">;

/** All objects, in an order in which they can be created. */
function objectsOf(schema: Schema): SchemaObject[] {
  return [
    ...schema.tables.map(({ name, sql }) => ({ type: "table" as const, name, sql })),
    ...schema.indexes.map(({ name, sql }) => ({ type: "index" as const, name, sql })),
    ...schema.views.map(({ name, sql }) => ({ type: "view" as const, name, sql })),
    ...schema.triggers.map(({ name, sql }) => ({ type: "trigger" as const, name, sql })),
  ];
}

/** Result of accepting a changed migration. */
export interface AcceptResult extends Reconciliation {
  /** Id of the migration. */
  readonly id: string;
  /** Its current name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
}

/**
 * Accepts the changed name and text of an applied migration: rewrites its marker and runs nothing.
 *
 * @throws {UnknownMigrationError} if the migration does not exist.
 * @throws {UsageError} if it is not applied, or has not changed.
 */
export async function acceptChanged(workspace: Workspace, wanted: string): Promise<AcceptResult> {
  const { registry } = workspace;
  const migration = findMigration(registry, wanted);
  const { id, name, database } = migration;
  await using session = await Session.begin(workspace);
  const status = assess(registry, await inspect(workspace)).find((one) => one.id === id);
  if (status?.state !== "changed") {
    throw new UsageError(
      `Cannot accept ${name}: it is ${(status?.state ?? "unknown").replace("_", " ")}, not changed`,
      {
        migration: name,
        database,
        help: "`status --verbose` shows the state of every migration",
      },
    );
  }
  const connection = await session.database(database);
  const checksum = await checksumOf(migration.upgrade);
  await withTransaction(connection, () => rewriteMarker(connection, migration, checksum), {
    timeout: workspace.timeout,
  });
  await session.record((ledger) =>
    addEvent(ledger, {
      name,
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "repair",
      detail: `accepted the changed text of ${id}`,
    })
  );
  // The ledger may still have the old name.
  const reconciliation = await reconcile(workspace, session, await inspect(workspace));
  await session.sync();
  return { id, name, database, ...reconciliation };
}
