import { CatalystError, DowngradeBlockedError, UnknownMarkerError } from "../base/errors.ts";
import { openForReading } from "../database/reading.ts";
import { number, text, textOrNull } from "../database/connection.ts";
import { MARKER_TABLE } from "./marker.ts";
import type { Migration } from "../migration/migration.ts";
import { planDowngrade } from "./plan.ts";
import { compareIds, createRegistry, type Registry } from "../migration/registry.ts";
import { assess, type FoundState, type MigrationStatus } from "./assess.ts";
import { locationOf, type Workspace } from "./workspace.ts";

/**
 * The registry, and with it the migrations whose files vanished, as the databases themselves keep
 * them. Those of which a function was applied are left out: of it nothing was kept. So are those whose
 * number another one has: it must not be taken for them.
 */
export async function withKept(
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

/** What was found, and where; the error came of a plan for it. */
export interface Refused {
  readonly workspace: Workspace;
  readonly found: FoundState;
}

/**
 * Adds to a plan's error about a migration whose file vanished how to get rid of that migration: by the
 * command that rolls it back, but only where that command would.
 */
export async function withWayBack(error: unknown, { workspace, found }: Refused): Promise<unknown> {
  const isAboutVanished = error instanceof UnknownMarkerError ||
    error instanceof DowngradeBlockedError;
  if (!isAboutVanished) return error;
  const statuses = assess(workspace.registry, found);
  const vanished = statuses.find(({ state, name, database }) =>
    state === "missing" && name === error.migration && database === error.database
  );
  if (vanished === undefined || !hasOwnNumber(vanished, statuses)) return error;
  const { id, name } = vanished;
  const registry = await withKept(workspace, statuses);
  const isKept = registry.byId.get(id)?.downgrade !== undefined;
  const options = { cause: error, migration: name, database: vanished.database };
  if (error instanceof DowngradeBlockedError) {
    return isKept ? error : new DowngradeBlockedError(
      `Cannot roll back ${name}: its file is gone, and the database keeps no SQL to roll it back`,
      { ...options, help: "put its file back, or restore a snapshot from before it" },
    );
  }
  const others = isKept
    ? mayRollBack(registry, found, id) ? `; \`downgrade --migration ${id}\` rolls it back` : ""
    : "; otherwise restore a snapshot from before it: the database keeps no SQL to roll it back";
  return new UnknownMarkerError(error.message, { ...options, help: `${error.help}${others}` });
}

function mayRollBack(registry: Registry, found: FoundState, id: string): boolean {
  try {
    return planDowngrade(registry, assess(registry, found), { migration: id }).length === 1;
  } catch (error) {
    if (error instanceof CatalystError) return false;
    throw error;
  }
}
