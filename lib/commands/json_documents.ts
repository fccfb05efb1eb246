import type { SerializedError } from "../base/errors.ts";
import type { Check } from "../doctor/facts.ts";
import type { ImportResult } from "../dump/import.ts";
import type { ImportRowsResult } from "../dump/import_rows.ts";
import type { Reconciliation } from "../engine/reconcile.ts";
import type { Adoption, BaselineResult } from "../operations/baseline.ts";
import type { CopyDatabaseResult } from "../operations/copy.ts";
import type { DowngradeResult } from "../operations/downgrade.ts";
import type { Loss } from "../operations/rollback_losses.ts";
import type { RedoResult } from "../operations/redo.ts";
import type { AcceptResult, RepairResult } from "../operations/repair.ts";
import type { AppliedMigration, UpgradePlan } from "../operations/run_migrations.ts";
import type { Verification } from "../operations/verify.ts";
import type { NamedQuery } from "../report/queries.ts";
import type { QueryResult } from "../report/query.ts";
import type { Report } from "../report/report.ts";
import type { Schema } from "../schema/model.ts";
import type { DamagedDatabase } from "../snapshot/mod.ts";
import type { Manifest } from "../snapshot/manifest.ts";
import type { RestorePlan } from "../snapshot/restore.ts";
import type { RestoreResult } from "../snapshot/journal.ts";
import type { TakenSnapshots } from "../snapshot/safeguard.ts";
import type { SnapshotCheck } from "../snapshot/sources.ts";
import type { SnapshotEntry } from "../snapshot/store.ts";
import type { DatabaseState } from "../state/assess.ts";
import type { LedgerEvent } from "../state/ledger.ts";
import type { Status } from "../state/status.ts";
import type { LostDatabase } from "../state/lost_databases.ts";
import type { JsonCell } from "../terminal/result.ts";
import type { MigrationEffects } from "../trial/effects.ts";
import type { LintResult } from "../trial/lint.ts";
import type { Rehearsal } from "../trial/rehearse_result.ts";

/**
 * The JSON documents of the commands by their names; `--help` and `--version` are like commands here.
 * The JSON Schemas in `docs/json` are generated from these types: `deno task json-schemas`.
 *
 * A document may also be a {@link Failure}, or {@link Unchanged}.
 */
export interface Documents {
  readonly "adopt": AdoptDocument;
  readonly "backup": SnapshotTaken | SnapshotRecent | Several<SnapshotTaken | SnapshotRecent>;
  readonly "backup list": SnapshotList;
  readonly "backup prune": SnapshotsPruned;
  readonly "backup verify": SnapshotVerified;
  readonly "baseline": Baseline;
  readonly "completion": CompletionScript;
  readonly "copy": Success & CopyDatabaseResult;
  readonly "demo": DemoCreated;
  readonly "doctor": Diagnosis | Several<Diagnosis>;
  readonly "downgrade": Downgrade | DowngradeDryRun | DowngradeFailure;
  readonly "export": FilesWritten;
  readonly "help": Help;
  readonly "history": History | Several<History>;
  readonly "import": (Success & ImportResult) | RowsImported;
  readonly "init": ConfigurationWritten;
  readonly "lint": LintResult;
  readonly "man": ManualPage;
  readonly "new": NewMigration;
  readonly "query": QueryRows | QueryWritten | QueryList;
  readonly "redo": (Success & RedoResult) | RedoDryRun;
  readonly "rehearse": Rehearsal;
  readonly "repair": Repair | ChangeAccepted;
  readonly "report": (Success & Report) | ReportWritten;
  readonly "restore": (Success & RestoreResult) | RestoreDryRun;
  readonly "schema": Schemas | SchemaCheck;
  readonly "squash": Squash;
  readonly "status": StatusDocument | Several<StatusDocument>;
  readonly "upgrade":
    | Upgrade
    | UpgradeDryRun
    | UpgradeFailure
    | Several<Upgrade | UpgradeDryRun | UpgradeFailure>;
  readonly "verify": Verification | Several<Verification>;
  readonly "version": Success & VersionReport;
}

/** A command that did what it was asked to do. */
interface Success {
  readonly ok: true;
}

/** What a command would do. Nothing was changed. */
interface DryRun extends Success {
  readonly dryRun: true;
}

/** A command that failed. */
export interface Failure {
  readonly ok: false;
  readonly error: SerializedError;
}

/** A command that changed nothing, because the answer to its question was no. */
export interface Unchanged {
  readonly ok: false;
  readonly changed: false;
}

/** One document for each data directory, if there are several. */
type Several<Document> = readonly ((Document | Failure) & InDirectory)[];

/** Where a command ran. */
interface InDirectory {
  /** The data directory. */
  readonly directory: string;
  /** The exit code that the command would have for this directory alone. */
  readonly exitCode: number;
}

/** What an upgrade did. */
interface Upgrade extends Success, TakenSnapshots, Reconciliation {
  /** The migrations that it applied, in order. */
  readonly applied: readonly Applied[];
  /** Databases that it created without rows: they were missing or empty, but had content before. */
  readonly lost: readonly LostDatabase[];
  readonly failed: null;
}

/** A migration that was applied. */
export type Applied = Pick<
  AppliedMigration,
  "id" | "database" | "durationSeconds" | "destroyed"
>;

/** What an upgrade would do. */
interface UpgradeDryRun extends DryRun, Pick<UpgradePlan, "adopt" | "reconcile"> {
  /** The migrations to apply, in order. */
  readonly apply: readonly PlannedMigration[];
}

/** A migration that an upgrade would apply. */
interface PlannedMigration
  extends Pick<MigrationEffects, "id" | "database" | "objects" | "rows" | "unknown"> {
  /** Its SQL; null if it is a function. */
  readonly sql: string | null;
}

/** An upgrade that stopped. What it applied before stays applied. */
export interface UpgradeFailure extends Failure, Reconciliation {
  /** The migrations that it applied before, in order. */
  readonly applied: readonly Applied[];
  /** Databases that it created without rows: they were missing or empty, but had content before. */
  readonly lost: readonly LostDatabase[];
  /** The migration that failed; null if something else did. */
  readonly failed: FailedMigration | null;
}

/** A migration that failed. */
interface FailedMigration {
  /** Its id, such as `001`. */
  readonly id: string;
  readonly error: SerializedError;
}

/** What a downgrade did. */
interface Downgrade extends Success, TakenSnapshots, Pick<DowngradeResult, "rolledBack" | "lost"> {
  readonly failed: null;
}

/** What a downgrade would do. */
interface DowngradeDryRun extends DryRun {
  /** Ids of the migrations that it would roll back, newest first. */
  readonly rollBack: readonly string[];
  /** What would be lost; only tables that have rows. */
  readonly lost: readonly Loss[];
}

/** A downgrade that stopped. What it rolled back before stays rolled back. */
export interface DowngradeFailure extends Failure, Pick<DowngradeResult, "rolledBack" | "lost"> {
  /** The migration that failed; null if something else did. */
  readonly failed: FailedMigration | null;
}

/** What a redo would do. */
interface RedoDryRun extends DryRun {
  /** Ids of the migrations that it would roll back and apply again. */
  readonly redo: readonly string[];
  /** What would be lost; only tables that have rows. */
  readonly lost: readonly Loss[];
}

interface Repair extends RepairResult {
  /** Whether no problem remains. */
  readonly ok: boolean;
  /** Whether this is only what a repair would do. */
  readonly dryRun: boolean;
}

interface ChangeAccepted extends Success {
  readonly accepted: AcceptResult;
}

interface Baseline extends Success, BaselineResult {
  /** Whether this is only what would be marked. */
  readonly dryRun: boolean;
}

interface AdoptDocument extends Success, Adoption {
  /** Whether this is only what would be written. */
  readonly dryRun: boolean;
}

interface ConfigurationWritten extends Success {
  /** Path of the configuration. */
  readonly path: string;
  /** Whether it was written; false if it was up to date. */
  readonly written: boolean;
  /** The databases that were found. */
  readonly databases: readonly FoundDatabase[];
}

/** A database that was found. */
export interface FoundDatabase {
  /** The name proposed for it. */
  readonly name: string;
  /** Its path. */
  readonly path: string;
  /** Its size in bytes. */
  readonly sizeBytes: number;
  /** Number of tables and of rows; null if it cannot be read. */
  readonly content: { readonly tables: number; readonly rows: number } | null;
  /** Why it cannot be read; empty if it can. */
  readonly problem: string;
}

interface Squash extends Success {
  /** Paths of the new files. */
  readonly files: readonly string[];
  /** Paths of the files that the new ones replace. */
  readonly superfluous: readonly string[];
}

interface SnapshotTaken {
  /** Whether it has all databases that it should have. */
  readonly ok: boolean;
  readonly snapshot: Manifest;
  /** Databases that are missing or empty although they had content before. */
  readonly lost: readonly LostDatabase[];
  /** Databases that are damaged, which the snapshot leaves out. */
  readonly damaged: readonly DamagedDatabase[];
}

/** No snapshot was taken, since one is recent enough for `--if-older-than`. */
interface SnapshotRecent {
  /** Whether no database is lost. */
  readonly ok: boolean;
  readonly snapshot: null;
  /** Databases that are missing or empty although they had content before. */
  readonly lost: readonly LostDatabase[];
  /** Name of the newest snapshot that has all of the databases. */
  readonly newest: string;
}

interface SnapshotList extends Success {
  /** All snapshots, newest first. */
  readonly snapshots: readonly SnapshotEntry[];
}

interface SnapshotVerified extends SnapshotCheck {
  /** Name of the snapshot. */
  readonly snapshot: string;
  /** With `--restore`: what was found in the restored databases; null if they could not be restored. */
  readonly restored?: Verification | null;
}

interface SnapshotsPruned extends Success {
  /** Whether this is only what would be deleted. */
  readonly dryRun: boolean;
  /** Names of the snapshots. */
  readonly deleted: readonly string[];
}

/** What a restore would do. */
interface RestoreDryRun extends DryRun, RestorePlan {}

interface RowsImported extends Success, ImportRowsResult {
  /** Name of the database. */
  readonly database: string;
}

interface FilesWritten {
  /** Whether all rows were exported. */
  readonly ok: boolean;
  readonly files: readonly WrittenFile[];
}

/** A file that was written. */
export interface WrittenFile {
  /** Its path. */
  readonly file: string;
  /** Its size in bytes. */
  readonly size: number;
}

interface Diagnosis {
  /** Whether there is no problem. */
  readonly ok: boolean;
  /** Number of problems. */
  readonly problems: number;
  /** Number of notices. */
  readonly notices: number;
  readonly checks: readonly Check[];
}

interface History extends Success {
  /** The newest event first. */
  readonly events: readonly LedgerEvent[];
}

/** What `status --check --max-backup-age` found. */
export interface BackupAge {
  /** Whether a snapshot is recent enough. */
  readonly ok: boolean;
  /** Name of the newest snapshot that has all databases; null if there is none. */
  readonly snapshot: string | null;
  /** Its age in seconds. */
  readonly ageSeconds: number | null;
  /** The limit in seconds. */
  readonly maxAgeSeconds: number;
}

/** A database and its last backup. */
interface ListedDatabase
  extends Pick<DatabaseState, "name" | "path" | "exists" | "sizeBytes" | "journalMode"> {
  /** When its newest complete snapshot was taken, in Unix epoch seconds; null if there is none. */
  readonly lastBackup: number | null;
}

/** The state of the databases and of every migration. */
export interface StatusDocument extends Omit<Status, "databases"> {
  /** Paths of the SQLite files in the data directory that have no name. */
  readonly uncovered: readonly string[];
  readonly backup?: BackupAge;
  /** Every database, in the order given. */
  readonly databases: readonly ListedDatabase[];
}

/** The rows of a query. */
interface QueryRows extends Success, Pick<QueryResult, "columns" | "isCut"> {
  /** Name of the database. */
  readonly database: string;
  /** The rows as objects by the names of the columns. */
  readonly rows: readonly Readonly<Record<string, JsonCell>>[];
}

/** The rows of a query were written into a file. */
interface QueryWritten extends Success, WrittenFile, Pick<QueryResult, "isCut"> {
  /** Name of the database. */
  readonly database: string;
  /** Number of rows. */
  readonly rows: number;
}

/** The named queries. */
interface QueryList extends Success {
  readonly queries: readonly ListedQuery[];
}

interface ListedQuery extends Pick<NamedQuery, "name" | "database" | "about" | "file"> {
  /** Names of the query's parameters. */
  readonly parameters: readonly string[];
}

/** A report that was also written as a page. */
interface ReportWritten extends Success, WrittenFile, Report {}

interface DemoCreated extends Success {
  /** The seed of the random data. */
  readonly seed: number;
  readonly databases: readonly Pick<DatabaseState, "name" | "path">[];
  readonly tables: readonly FilledTable[];
}

/** A table with data. */
interface FilledTable {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table. */
  readonly table: string;
  /** Number of rows. */
  readonly rows: number;
}

interface Schemas extends Success {
  /** The schemas by the names of their databases. */
  readonly databases: Readonly<Record<string, Schema>>;
}

/** What `--check` found. */
interface SchemaCheck {
  /** Whether the file has the schema of the database. */
  readonly ok: boolean;
  /** Path of the file. */
  readonly file: string;
  /** The difference in the unified format; empty if there is none. */
  readonly diff: string;
}

interface NewMigration extends Success {
  /** Path of the new file. */
  readonly path: string;
  /** Id of the migration, such as `004`. */
  readonly id: string;
  /** Name of the migration, such as `004_add_notes`. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  readonly kind: "sql" | "ts" | "js";
}

interface CompletionScript extends Success {
  readonly shell: string;
  readonly script: string;
}

interface ManualPage extends Success {
  /** The page in roff. */
  readonly page: string;
}

interface Help extends Success {
  readonly help: string;
}

/** What this program is made of. */
export interface VersionReport {
  /** Version of the toolkit. */
  readonly version: string;
  /** Version of the Deno that runs it, or that is inside the executable. */
  readonly deno: string;
  /** Version of the SQLite inside that Deno. */
  readonly sqlite: string;
  /** Whether this is the standalone executable. */
  readonly standalone: boolean;
  /** What it was built for, such as `x86_64-unknown-linux-gnu`. */
  readonly target: string;
  readonly migrations: {
    readonly count: number;
    /** SHA-256 over the name and the checksum of each migration, one line for each. */
    readonly sha256: string;
    /** The migrations that come with it; the checksum of one is that in a database's marker. */
    readonly bundled: readonly { readonly name: string; readonly checksum: string | null }[];
  };
}
