/**
 * Creates and migrates the SQLite databases of a paper-trading bot, keeps a ledger of it, and says
 * what state they are in. Imported it does nothing by itself; run as a program it is the command line.
 *
 * @module
 */
export {
  type CatalystDatabase,
  catalystDatabases,
  type CatalystOptions,
  createCatalystMigrator,
} from "./lib/catalyst/mod.ts";
export type { MigrationProgress } from "./lib/attempt.ts";
export type {
  Connection,
  CopyOptions,
  CopyProgress,
  ScriptOptions,
  StatementResult,
} from "./lib/database/connection.ts";
export type { DenoSqliteDatabase, DenoSqliteStatement } from "./lib/database/deno_sqlite.ts";
export type { DatabaseSource } from "./lib/database/location.ts";
export {
  openDatabase,
  type OpenDatabaseOptions,
  type SettingsInForce,
  settingsInForce,
} from "./lib/database/bot.ts";
export type { Row, SqlValue } from "./lib/database/row.ts";
export { type ConnectionSettings, defaultSettings } from "./lib/database/settings.ts";
export type { DowngradeOptions, DowngradePlan, DowngradeResult } from "./lib/downgrade.ts";
export * from "./lib/errors.ts";
export type { Direction, LedgerEvent, Outcome } from "./lib/ledger.ts";
export type { Loss } from "./lib/loss.ts";
export type { StopFlag } from "./lib/lock.ts";
export type { Marker } from "./lib/marker.ts";
export {
  defineMigration,
  type Migration,
  type MigrationBody,
  type MigrationDefinition,
  type MigrationTransaction,
} from "./lib/migration.ts";
export { type HistoryOptions, Migrator } from "./lib/migrator.ts";
export type { DowngradeRequest, UpgradeRequest } from "./lib/plan.ts";
export type { Reconciliation } from "./lib/reconcile.ts";
export type { MissingObject, RepairOptions, RepairResult } from "./lib/repair.ts";
export type { Finding } from "./lib/schema/finding.ts";
export type { DatabaseState, MigrationState, MigrationStatus } from "./lib/state.ts";
export type { SnapshotCheck } from "./lib/snapshot/check.ts";
export type { CopyCheck, SnapshotProgress } from "./lib/snapshot/copy.ts";
export type { SnapshotControl } from "./lib/snapshot/create.ts";
export type { Manifest, SnapshotFile, SnapshotReason } from "./lib/snapshot/manifest.ts";
export type {
  PruneSnapshotsOptions,
  SnapshotOptions,
  VerifySnapshotOptions,
} from "./lib/snapshot/mod.ts";
export type {
  DatabaseContent,
  RestoreChange,
  RestoreOptions,
  RestorePlan,
  RestoreResult,
} from "./lib/snapshot/restore.ts";
export type { Retention } from "./lib/snapshot/retention.ts";
export type { SnapshotEntry } from "./lib/snapshot/store.ts";
export type { Status } from "./lib/status.ts";
export type {
  AppliedMigration,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./lib/upgrade.ts";
export type { DatabaseVerification, DataCheck, Verification, VerifyOptions } from "./lib/verify.ts";
export { version } from "./lib/version.ts";
export type { MigratorOptions } from "./lib/workspace.ts";
export { bundledMigrations } from "./migrations/mod.ts";

if (import.meta.main) {
  const { run } = await import("./cli.ts");
  await run();
  Deno.exit();
}
