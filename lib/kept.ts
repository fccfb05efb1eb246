import { openForReading } from "./database/reading.ts";
import { number, text, textOrNull } from "./database/row.ts";
import { MARKER_TABLE } from "./marker.ts";
import type { Migration } from "./migration.ts";
import { createRegistry, type Registry } from "./registry.ts";
import type { MigrationStatus } from "./state.ts";
import { locationOf, type Workspace } from "./workspace.ts";

/**
 * The registry, and with it the migrations whose files vanished, as the databases themselves keep
 * them. Those of which a function was applied are left out: of it nothing was kept.
 */
export async function withKept(
  workspace: Workspace,
  statuses: readonly MigrationStatus[],
): Promise<Registry> {
  const { registry } = workspace;
  const missing = statuses.filter(({ id, state }) => state === "missing" && !registry.byId.has(id));
  if (missing.length === 0) return registry;
  const kept: Migration[] = [];
  for (const database of new Set(missing.map((one) => one.database))) {
    const ids = new Set(missing.filter((one) => one.database === database).map(({ id }) => id));
    kept.push(...(await readKept(workspace, database)).filter(({ id }) => ids.has(id)));
  }
  return createRegistry([...registry.migrations, ...kept], registry.databases);
}

async function readKept(workspace: Workspace, database: string): Promise<Migration[]> {
  await using connection = await openForReading(
    locationOf(workspace, database),
    workspace.settings,
  );
  const rows = await connection.all(
    `SELECT migration_id, migration_name, upgrade_sql, downgrade_sql, foreign_keys
    FROM ${MARKER_TABLE}
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
