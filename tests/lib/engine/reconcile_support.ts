/** Helpers for the tests of reconciling: the bot's databases, their state and their ledger. */
import assert from "node:assert/strict";
import { createCatalystMigrator, type Migrator } from "../../../mod.ts";
import {
  contentOf,
  type DatabaseName,
  databaseNames,
  execute,
  idOf,
  insertRows,
  type PlainRow,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";

/** A directory with all migrations applied and rows in every table. */
export async function migrated(): Promise<TempDir> {
  const dir = await tempDir();
  await migratorOf(dir).upgrade();
  for (const name of databaseNames) insertRows(dir.database(name), name);
  return dir;
}

/** A migrator of the bot's databases in a directory. */
export function migratorOf(dir: TempDir): Migrator {
  return createCatalystMigrator({ dataDir: dir.path });
}

/** Adds the start event of a process that was then killed to the ledger. */
export function crashBeforeRecording(
  dir: TempDir,
  { id, direction }: { readonly id: string; readonly direction: string },
): void {
  execute(
    dir.database("migrations"),
    `INSERT INTO migration_events (
      migration_id, migration_name, database_name, database_path, direction, outcome, started_at,
      toolkit_version
    ) SELECT
      migration_id, migration_name, database_name, database_path, '${direction}', 'started', 1, '0'
    FROM migration_events
    WHERE migration_id = '${id}'
    LIMIT 1`,
  );
}

/** The content of the three databases. */
export function contents(
  dir: Pick<TempDir, "database">,
): Record<DatabaseName, ReturnType<typeof contentOf>> {
  const of = (name: DatabaseName) => contentOf(dir.database(name));
  return { positions: of("positions"), trading: of("trading"), ml_training: of("ml_training") };
}

/** The events of the ledger, oldest first. */
export function eventsOf(dir: TempDir): PlainRow[] {
  return query(dir.database("migrations"), "SELECT * FROM migration_events ORDER BY event_id");
}

/** Status by migration id, from the ledger. */
export function historyOf(dir: TempDir): Record<string, unknown> {
  const rows = query(
    dir.database("migrations"),
    "SELECT migration_id, status FROM migration_history ORDER BY 1",
  );
  return Object.fromEntries(rows.map((row) => [row["migration_id"], row["status"]]));
}

/** State by migration id, from the command line. */
export async function statusOf(dir: Pick<TempDir, "path">): Promise<Record<string, string>> {
  const { stdout } = await runCli(["status", "--json", "--data-dir", dir.path]);
  const { migrations } = JSON.parse(stdout);
  return Object.fromEntries(
    migrations.map(({ id, state }: { id: string; state: string }) => [id, state]),
  );
}

/** Upgrades on the command line and returns the result. */
export async function upgradeByCli(
  dir: Pick<TempDir, "path">,
): Promise<{ applied: string[]; adopted: string[]; reconciled: string[] }> {
  const { code, stdout } = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
  assert.equal(code, 0, stdout);
  const { applied, adopted, reconciled } = JSON.parse(stdout);
  return { applied: applied.map(({ id }: { id: string }) => id), adopted, reconciled };
}

/** Checks that ledger, markers and schema agree and nothing is left to do. */
export async function assertAgreed(dir: TempDir): Promise<void> {
  assert.deepEqual(historyOf(dir), { "001": "applied", "002": "applied", "003": "applied" });
  for (const name of databaseNames) {
    assert.deepEqual(contentOf(dir.database(name)).markers, [idOf[name]]);
  }
  const migrator = migratorOf(dir);
  const { ok, unreconciled } = await migrator.status();
  assert.deepEqual({ ok, unreconciled }, { ok: true, unreconciled: [] });
  assert.ok((await migrator.verify()).ok);
  assert.deepEqual(await upgradeByCli(dir), { applied: [], adopted: [], reconciled: [] });
}
