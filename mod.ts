/**
 * Creates and migrates the SQLite databases of a paper-trading bot, records every migration in a
 * ledger, and reports the state of each database. Importing this module does nothing; running it runs
 * the command line.
 *
 * @module
 */
export {
  type CatalystDatabase,
  catalystDatabases,
  type CatalystOptions,
  checkMigrations,
  type CheckMigrationsOptions,
  createCatalystMigrator,
  loadMigrations,
  openCatalystMigrator,
  type OpenCatalystOptions,
} from "./lib/catalyst.ts";
export type { OnStep, WorkStep } from "./lib/base/steps.ts";
export type { DestroyedRows, MigrationProgress } from "./lib/engine/apply.ts";
export {
  type ConfineOptions,
  type Connection,
  type ConnectionSettings,
  type CopyOptions,
  type CopyProgress,
  defaultSettings,
  type Judge,
  type Row,
  type ScriptOptions,
  type ScriptStatement,
  type SelectedRows,
  type SelectOptions,
  type SqlValue,
  type StatementResult,
  type Verdict,
} from "./lib/database/connection.ts";
export type { DenoSqliteDatabase, DenoSqliteStatement } from "./lib/database/deno_sqlite.ts";
export type { DatabaseSource } from "./lib/database/location.ts";
export {
  openDatabase,
  type OpenDatabaseOptions,
  type SettingsInForce,
  settingsInForce,
} from "./lib/database/mod.ts";
export type { CopyDatabaseOptions, CopyDatabaseResult } from "./lib/operations/copy.ts";
export type {
  DowngradeOptions,
  DowngradePlan,
  DowngradeResult,
} from "./lib/operations/downgrade.ts";
export type { Loss } from "./lib/operations/rollback_losses.ts";
export type {
  AppliedMigration,
  HookSubject,
  MigrationHooks,
  PlanUpgradeOptions,
  UpgradeOptions,
  UpgradePlan,
  UpgradeResult,
} from "./lib/operations/run_migrations.ts";
export type { RedoOptions, RedoResult } from "./lib/operations/redo.ts";
export type { CheckMigrationsResult } from "./lib/trial/check_directory.ts";
export type { RehearseOptions } from "./lib/trial/rehearse.ts";
export type {
  Rehearsal,
  RehearsalNotice,
  RehearsedDatabase,
  RehearsedMigration,
  RehearsedTable,
  Surprise,
  SurpriseCode,
  TimedStatement,
} from "./lib/trial/rehearse_result.ts";
export type { SquashedMigration } from "./lib/operations/squash.ts";
export type {
  Adoption,
  AdoptOptions,
  BaselineOptions,
  BaselineResult,
} from "./lib/operations/baseline.ts";
export type { Violation, Violations } from "./lib/dump/import_build.ts";
export type { ViolatedCheck } from "./lib/schema/integrity.ts";
export type { OutputFileOptions } from "./lib/dump/output_file.ts";
export type {
  ExportControl,
  ExportedTable,
  ExportOptions,
  ExportProgress,
  ExportTablesOptions,
} from "./lib/dump/export.ts";
export type { LeftOut } from "./lib/dump/export_sql.ts";
export type { DumpContent } from "./lib/dump/export_rows.ts";
export type { ImportOptions, ImportPlan, ImportResult } from "./lib/dump/import.ts";
export type { BadRow } from "./lib/dump/import_target.ts";
export type {
  ImportRowsOptions,
  ImportRowsProgress,
  ImportRowsResult,
} from "./lib/dump/import_rows.ts";
export {
  AccessError,
  AdoptionError,
  CatalystError,
  type CatalystErrorOptions,
  ChangedMigrationError,
  ConfigurationError,
  ConfirmationError,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  DowngradeBlockedError,
  DumpError,
  FormatError,
  HookError,
  InterruptedError,
  LintError,
  LocationError,
  type LostRows,
  MigrationCheckError,
  MigrationFailedError,
  MigrationFileError,
  type MigrationProblem,
  MigratorLockedError,
  NotADatabaseError,
  OutOfOrderError,
  type Progress,
  QueryFileError,
  QueryTimeoutError,
  RegistryError,
  SchemaConflictError,
  ServerError,
  SnapshotError,
  SquashError,
  StatementError,
  UnknownMarkerError,
  UnknownMigrationError,
  UnrecordedError,
  UsageError,
} from "./lib/base/errors.ts";
export type { Direction, LedgerEvent, Outcome } from "./lib/state/ledger.ts";
export type { LoadMigrationsOptions } from "./lib/migration/loader.ts";
export type { StopFlag } from "./lib/base/file_lock.ts";
export type { Marker } from "./lib/state/marker.ts";
export {
  defineMigration,
  type LintAllowance,
  type Migration,
  type MigrationBody,
  type MigrationDefinition,
  type MigrationSource,
  type MigrationTransaction,
} from "./lib/migration/migration.ts";
export { type HistoryOptions, Migrator, type MigratorOptions } from "./lib/migrator.ts";
export type { DowngradeRequest, UpgradeRequest } from "./lib/state/plan.ts";
export type { RebuildOptions } from "./lib/schema/rebuild_definition.ts";
export { rebuildTable } from "./lib/schema/rebuild_table.ts";
export { computeReport, renderReport, runQuery } from "./lib/report/mod.ts";
export type { ReportOptions } from "./lib/report/make_report.ts";
export type { QueryOptions, QueryResult } from "./lib/report/query.ts";
export type {
  MetricDifference,
  Report,
  ReportDatabase,
  ReportFilter,
  TradePoint,
} from "./lib/report/report.ts";
export type {
  Count,
  EpisodePoint,
  EpisodeSeries,
  EvaluationRow,
  LeaderboardEntry,
  OrderFigures,
  RunRow,
  TrainingFigures,
  WeightRow,
} from "./lib/report/activity.ts";
export type { EquityFigures } from "./lib/report/equity.ts";
export type { Bin, Drawdown, EquityPoint, MonthlyReturn } from "./lib/report/statistics.ts";
export type { Grouping, TradeFigures, TradeGroup } from "./lib/report/trade_figures.ts";
export type { Reconciliation } from "./lib/engine/reconcile.ts";
export type {
  AcceptResult,
  MissingObject,
  RepairOptions,
  RepairResult,
  ReplacedView,
} from "./lib/operations/repair.ts";
export type { SchemaDescription } from "./lib/schema/document.ts";
export type {
  CheckSchema,
  ColumnSchema,
  Finding,
  ForeignKeySchema,
  GeneratedSchema,
  IndexColumn,
  IndexSchema,
  Schema,
  TableSchema,
  TriggerSchema,
  ViewSchema,
} from "./lib/schema/model.ts";
export type {
  DatabaseConflict,
  DatabaseState,
  MigrationState,
  MigrationStatus,
  TableConflict,
} from "./lib/state/assess.ts";
export type { SnapshotCheck } from "./lib/snapshot/sources.ts";
export type { CopyCheck, SnapshotControl, SnapshotProgress } from "./lib/snapshot/take.ts";
export type { Manifest, SnapshotFile, SnapshotReason } from "./lib/snapshot/manifest.ts";
export type { TryRestoreOptions } from "./lib/operations/try_restore.ts";
export type {
  DamagedDatabase,
  FindSnapshotOptions,
  SnapshotOptions,
  VerifySnapshotOptions,
} from "./lib/snapshot/mod.ts";
export type { PruneSnapshotsOptions, Retention } from "./lib/snapshot/prune.ts";
export type {
  DatabaseContent,
  RestoreChange,
  RestoreOptions,
  RestorePlan,
} from "./lib/snapshot/restore.ts";
export type { MovedAside, RestoreResult } from "./lib/snapshot/journal.ts";
export type { TakenSnapshots } from "./lib/snapshot/safeguard.ts";
export type { SnapshotEntry } from "./lib/snapshot/store.ts";
export type { LackingDatabase } from "./lib/snapshot/last_good.ts";
export type { LostDatabase } from "./lib/state/lost_databases.ts";
export type { PlannedWork, Status } from "./lib/state/status.ts";
export type { LintCode, LintFinding } from "./lib/trial/finding.ts";
export type { LintOptions, LintResult } from "./lib/trial/lint.ts";
export type { UntriedRows } from "./lib/trial/row_trial.ts";
export type { MigrationEffects, ObjectEffect, RowEffect } from "./lib/trial/effects.ts";
export type {
  DatabaseVerification,
  DataCheck,
  Verification,
  VerifyOptions,
} from "./lib/operations/verify.ts";
export { version } from "./lib/base/version.ts";
export type { WorkspaceOptions } from "./lib/state/workspace.ts";
export { bundledMigrations } from "./migrations/mod.ts";

if (import.meta.main) {
  // Not awaited: a migration that imports this module would wait for it, and it for the migration.
  import("./cli.ts").then(async ({ run }) => {
    await run();
    Deno.exit();
  });
}
