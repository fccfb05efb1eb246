/**
 * Errors and help for changed migrations, conflicting tables and missing migration files.
 *
 * @module
 */
import { unifiedDiff } from "../base/diff.ts";
import {
  CatalystError,
  ChangedMigrationError,
  DowngradeBlockedError,
  SchemaConflictError,
  UnknownMarkerError,
} from "../base/errors.ts";
import { number, text, textOrNull } from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import {
  compareIds,
  createRegistry,
  MARKER_TABLE,
  type Migration,
  type Registry,
} from "../migration/migration.ts";
import type { Finding } from "../schema/model.ts";
import { assess, type FoundState, type MigrationStatus } from "./assess.ts";
import type { Inspection } from "./inspect.ts";
import { migrationsToRollBack } from "./plan.ts";
import { locationOf, type Workspace } from "./workspace.ts";

/** Adds a diff of the applied and the current text to an error. */
export function withAppliedDiff(
  error: ChangedMigrationError,
  registry: Registry,
  found: FoundState,
): ChangedMigrationError {
  const { migration: name, database } = error;
  const migration = registry.migrations.find((one) => one.name === name);
  const marker = found.databases.get(database ?? "")?.markers?.find(({ id }) =>
    id === migration?.id
  );
  if (migration === undefined || marker === undefined) return error;
  const changes = [
    ...marker.name === migration.name ? [] : [`its name was ${marker.name}`],
    ...typeof migration.upgrade === "string" && marker.upgradeSql !== null
      ? [unifiedDiff(marker.upgradeSql, migration.upgrade, {
        before: `${marker.name} as applied`,
        after: migration.source?.path ?? migration.name,
      })]
      : [],
  ].filter((change) => change !== "");
  return new ChangedMigrationError(error.message, {
    cause: error,
    migration: migration.name,
    database: migration.database,
    help: [error.help ?? "", ...changes].join("\n"),
  });
}

/**
 * The error for tables that conflict with a database's migrations. The help always works, because with
 * a separate file no table, index or view needs to be renamed.
 */
export function conflictError(
  workspace: Workspace,
  found: Inspection,
  databases: readonly string[],
): SchemaConflictError {
  const conflicts = databases.flatMap((name) => found.conflicts.get(name) ?? []);
  const [first = "its tables differ", ...others] = conflicts.map((one) => one.description);
  const differences = conflicts.flatMap((one) => one.differences);
  const [database = ""] = databases;
  const isBundled = workspace.trusted.some((one) => one.database === database);
  return new SchemaConflictError(`Cannot upgrade ${database}: ${first}`, {
    database,
    details: [...others, ...differences],
    help: isBundled ? separateFiles(database) : separateNames,
  });
}

/** The conflicts of a database as findings, one for each table. */
export function conflictFindings(found: Inspection, database: string): Finding[] {
  return (found.conflicts.get(database) ?? []).map(({ table, description }) => ({
    kind: "conflict",
    object: table,
    detail: description,
    fix: "run `upgrade`, which explains how to keep the table",
  }));
}

function separateFiles(database: string): string {
  return `${database} was not changed. To keep your file beside the bundled database, run \`init\`, or ` +
    `add to catalyst.json:\n` +
    `"databases": { "own_${database}": "${database}.db", "${database}": "catalyst/${database}.db" }\n` +
    "then run upgrade again";
}

const separateNames =
  "the database was not changed. If the table already has everything that the migration creates, " +
  "change the migration to match it and use `baseline`; otherwise rename the migration's table";

/**
 * The registry with the migrations whose files are missing, as stored in the databases. Omits functions,
 * which are not stored, and migrations whose number another one has, which could be mistaken for them.
 */
export async function withVanishedMigrations(
  workspace: Workspace,
  statuses: readonly MigrationStatus[],
): Promise<Registry> {
  const { registry } = workspace;
  const missing = statuses.filter((one) => one.state === "missing" && hasOwnNumber(one, statuses));
  if (missing.length === 0) return registry;
  const kept: Migration[] = [];
  for (const database of new Set(missing.map((one) => one.database))) {
    const ids = new Set(missing.filter((one) => one.database === database).map(({ id }) => id));
    kept.push(...(await readKept(workspace, database)).filter(({ id }) => ids.has(id)));
  }
  return createRegistry([...registry.migrations, ...kept], registry.databases);
}

function hasOwnNumber(one: MigrationStatus, statuses: readonly MigrationStatus[]): boolean {
  return statuses.every((other) => other === one || compareIds(other.id, one.id) !== 0);
}

async function readKept(workspace: Workspace, database: string): Promise<Migration[]> {
  await using connection = await openForReading(
    locationOf(workspace, database),
    workspace.settings,
  );
  const rows = await connection.all(
    `SELECT migration_id, migration_name, upgrade_sql, downgrade_sql, foreign_keys
    FROM main.${MARKER_TABLE}
    WHERE upgrade_sql IS NOT NULL`,
  );
  return rows.map((row) => {
    const downgrade = textOrNull(row, "downgrade_sql");
    return {
      id: text(row, "migration_id"),
      name: text(row, "migration_name"),
      database,
      upgrade: text(row, "upgrade_sql"),
      ...(downgrade === null ? {} : { downgrade }),
      foreignKeys: number(row, "foreign_keys") === 1,
    };
  });
}

/** The state for which a plan failed. */
interface Refused {
  readonly workspace: Workspace;
  readonly found: FoundState;
}

/**
 * Adds help to a plan's error about a migration whose file is missing: the command that rolls it back,
 * if that command would work.
 */
export async function withRollbackHelp(
  error: unknown,
  { workspace, found }: Refused,
): Promise<unknown> {
  const isAboutVanished = error instanceof UnknownMarkerError ||
    error instanceof DowngradeBlockedError;
  if (!isAboutVanished) return error;
  const statuses = assess(workspace.registry, found);
  const vanished = statuses.find(({ state, name, database }) =>
    state === "missing" && name === error.migration && database === error.database
  );
  if (vanished === undefined || !hasOwnNumber(vanished, statuses)) return error;
  const { id, name } = vanished;
  const registry = await withVanishedMigrations(workspace, statuses);
  const isKept = registry.byId.get(id)?.downgrade !== undefined;
  const options = { cause: error, migration: name, database: vanished.database };
  if (error instanceof DowngradeBlockedError) {
    return isKept ? error : new DowngradeBlockedError(
      `Cannot roll back ${name}: its file is missing, and the database does not store SQL to roll it back`,
      { ...options, help: "restore its file, or restore a snapshot from before it" },
    );
  }
  const others = isKept
    ? mayRollBack(registry, found, id) ? `; \`downgrade --migration ${id}\` rolls it back` : ""
    : "; otherwise restore a snapshot from before it: the database does not store SQL to roll it back";
  return new UnknownMarkerError(error.message, { ...options, help: `${error.help}${others}` });
}

function mayRollBack(registry: Registry, found: FoundState, id: string): boolean {
  try {
    return migrationsToRollBack(registry, assess(registry, found), { migration: id }).length === 1;
  } catch (error) {
    if (error instanceof CatalystError) return false;
    throw error;
  }
}
