import type { Connection } from "../database/connection.ts";
import { beforeOptions } from "./apply_pending.ts";
import { openForReading } from "../database/reading.ts";
import { withTransaction } from "../database/transaction.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import { addOccurrence } from "../state/ledger.ts";
import type { Migration } from "../migration/migration.ts";
import { reconcile, type Reconciliation } from "../engine/reconcile.ts";
import { compareSchemas } from "../schema/compare.ts";
import type { Finding, Schema } from "../schema/model.ts";
import { readSchema } from "../schema/read.ts";
import { buildReference } from "../schema/reference.ts";
import { Session } from "../engine/session.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import { snapshotBefore } from "../snapshot/mod.ts";
import { corrections, migrationsIn, summarize } from "../state/assess.ts";
import { compareWithReference } from "./verify.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";

/** How to repair. */
export interface RepairOptions {
  /** Only say what would be done. Default `false`. */
  readonly dryRun?: boolean;
  /** Whether to take a snapshot of databases that hold rows before. Default `true`. */
  readonly backup?: boolean;
  /** Called now and then while that snapshot is taken. */
  readonly onSnapshot?: (progress: SnapshotProgress) => void;
  /** Ends the taking of that snapshot. */
  readonly signal?: AbortSignal;
}

/** An object that was missing. */
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

/** What a repair did, or would do. */
export interface RepairResult extends Reconciliation {
  /** Objects that were created again. */
  readonly recreated: readonly MissingObject[];
  /** What is still wrong, since mending it could lose rows. */
  readonly remaining: readonly (Finding & { readonly database: string })[];
  /** Name of the snapshot that was taken before; null where no rows were at stake. */
  readonly snapshot: string | null;
}

/** Reconciles, and creates missing tables, indexes, views and triggers; drops and rewrites nothing. */
export async function repair(workspace: Workspace, options: RepairOptions): Promise<RepairResult> {
  const found = await inspect(workspace);
  const missing = await findMissing(workspace, found);
  const wrong = corrections(workspace.registry, found);
  if (options.dryRun || missing.length + wrong.length === 0) {
    return {
      ...summarize(wrong),
      recreated: missing,
      remaining: await findRemaining(workspace, found, missing),
      snapshot: null,
    };
  }
  await using session = await Session.begin(workspace);
  const locked = await inspect(workspace);
  const recreated = await findMissing(workspace, locked);
  const databases = [...new Set(recreated.map(({ database }) => database))];
  const snapshot = options.backup === false
    ? null
    : await snapshotBefore(workspace, session, beforeOptions(databases, options));
  const reconciliation = await reconcile(workspace, session, locked);
  for (const database of databases) {
    const connection = await session.database(database);
    const created = recreated.filter((one) => one.database === database);
    await withTransaction(connection, async () => {
      for (const object of created) await connection.exec(object.sql);
    }, { timeout: workspace.timeout });
    await recordRepair(workspace, session, { database, created, snapshot });
  }
  await session.sync();
  const remaining = await findRemaining(workspace, locked, []);
  return { ...reconciliation, recreated, remaining, snapshot };
}

interface Repair {
  readonly database: string;
  readonly created: readonly MissingObject[];
  readonly snapshot: string | null;
}

async function recordRepair(
  workspace: Workspace,
  session: Session,
  { database, created, snapshot }: Repair,
): Promise<void> {
  const names = created.map(({ type, name }) => `${type} ${name}`).join(", ");
  await session.record((ledger) =>
    addOccurrence(ledger, {
      name: "repair",
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "repair",
      detail: `created ${names}` +
        (snapshot === null ? "" : `; snapshot ${snapshot} was taken before`),
    })
  );
}

async function findMissing(workspace: Workspace, found: Inspection): Promise<MissingObject[]> {
  const missing: MissingObject[] = [];
  await forEachManaged(workspace, found, async (database, connection, migrations) => {
    const reference = await buildReference(migrations);
    if (!reference.known) return;
    const expected = reference.schema;
    const differences = await compareSchemas(expected, await readSchema(connection));
    const isMissing = (name: string, type: string) =>
      differences.some((one) => one.kind === "missing" && one.type === type && one.object === name);
    for (const { name, type, sql } of objectsOf(expected)) {
      if (isMissing(name, type)) missing.push({ database, type, name, sql });
    }
  });
  return missing;
}

/** What a repair leaves: every problem but those that creating the missing objects mends. */
async function findRemaining(
  workspace: Workspace,
  found: Inspection,
  mended: readonly MissingObject[],
): Promise<(Finding & { database: string })[]> {
  const remaining: (Finding & { database: string })[] = [];
  for (const [database, conflicts] of found.conflicts) {
    remaining.push(
      ...conflicts.map((detail) => ({
        database,
        kind: "conflict",
        object: database,
        detail,
        fix: "rename or mend the table, then run `upgrade`",
      })),
    );
  }
  await forEachManaged(workspace, found, async (database, connection, migrations) => {
    const { markers } = found.databases.get(database) ?? {};
    const adopted = (markers ?? []).every(({ durationSeconds }) => durationSeconds === null);
    const { problems } = await compareWithReference(connection, { migrations, adopted });
    const isMended = ({ kind, object }: Finding) =>
      kind === "missing" && mended.some((one) => one.database === database && one.name === object);
    remaining.push(
      ...problems.filter((one) => !isMended(one)).map((one) => ({ database, ...one })),
    );
  });
  return remaining;
}

/** Calls back for each database that is there, with the migrations that are in it. */
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

/** Everything in an order in which it can be created. */
function objectsOf(schema: Schema): Omit<MissingObject, "database">[] {
  return [
    ...schema.tables.map(({ name, sql }) => ({ type: "table" as const, name, sql })),
    ...schema.indexes.map(({ name, sql }) => ({ type: "index" as const, name, sql })),
    ...schema.views.map(({ name, sql }) => ({ type: "view" as const, name, sql })),
    ...schema.triggers.map(({ name, sql }) => ({ type: "trigger" as const, name, sql })),
  ];
}
