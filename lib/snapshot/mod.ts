import { ordinaryTables, quoteName } from "../checks.ts";
import type { Connection } from "../database/connection.ts";
import { isForeign, refuseForeign } from "../database/location.ts";
import { UsageError } from "../errors.ts";
import type { Session } from "../session.ts";
import { locationOf, restoreJournal, type Workspace } from "../workspace.ts";
import { checkSnapshot, type SnapshotCheck } from "./check.ts";
import type { CopyCheck } from "./copy.ts";
import { runSnapshot, type SnapshotControl, type SnapshotJob } from "./create.ts";
import type { Manifest, SnapshotReason } from "./manifest.ts";
import { sizeOf } from "../disk.ts";
import type { PinTarget } from "./pin.ts";
import { expired, type Retention } from "./retention.ts";
import {
  listSnapshots,
  lockStore,
  readManifest,
  removeLeftovers,
  removeSnapshot,
} from "./store.ts";

/** How many automatic snapshots are kept. */
const AUTOMATIC_KEPT = 10;

/** Bytes that are copied in an instant, for which a thread of its own is not worth its start. */
const LARGE = 64e6;

/** Name that the ledger has in a snapshot. */
const LEDGER = "migrations";

/** How to take a snapshot. */
export interface SnapshotOptions extends SnapshotControl {
  /** Only these databases, and the ledger. Default: all. */
  readonly databases?: readonly string[];
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** How the copies are checked. Default `quick`. */
  readonly verify?: CopyCheck;
  /** Whether to compress the files by gzip. Default `false`. */
  readonly compress?: boolean;
  /** Ends the copying. */
  readonly signal?: AbortSignal;
}

/** Takes a snapshot of the workspace's databases and its ledger. */
export async function createSnapshot(
  workspace: Workspace,
  options: SnapshotOptions,
  reason: SnapshotReason = "manual",
): Promise<Manifest> {
  const job: SnapshotJob = {
    targets: targetsOf(workspace, options.databases ?? []),
    directory: options.directory ?? workspace.backups,
    reason,
    verify: options.verify ?? "quick",
    compress: options.compress ?? false,
    timeout: workspace.timeout,
    restoreNote: restoreJournal(workspace.ledger.path),
  };
  // A command has nothing else to do meanwhile but to hear Ctrl-C; a bot has.
  if (workspace.alone && bytesOf(job.targets) < LARGE) return await runSnapshot(job, options);
  const { runSnapshotInThread } = await import("./thread.ts");
  return await runSnapshotInThread(job, options);
}

function bytesOf(targets: readonly PinTarget[]): number {
  return targets.reduce((sum, { path }) => sum + (sizeOf(path) ?? 0), 0);
}

function targetsOf(workspace: Workspace, names: readonly string[]): PinTarget[] {
  const unknown = names.find((name) => name !== LEDGER && !workspace.locations.has(name));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot take a snapshot of "${unknown}": there is no such database`, {
      help: `the databases are ${[...workspace.locations.keys(), LEDGER].join(", ")}`,
    });
  }
  const databases = [...workspace.locations.keys()]
    .filter((name) => names.length === 0 || names.includes(name))
    .map((database) => {
      const location = locationOf(workspace, database);
      refuseForeign(location, { cannot: `take a snapshot of ${database}` });
      return { database, path: location.path };
    });
  return [...databases, { database: LEDGER, path: workspace.ledger.path }]
    .filter(({ path }) => path !== ":memory:");
}

/** What is about to be changed. */
export interface BeforeOptions extends Pick<SnapshotOptions, "onProgress" | "signal"> {
  /** Names of the databases. */
  readonly databases: readonly string[];
}

/**
 * Takes a snapshot of those of some databases that hold rows, before they are changed, and lets go of
 * automatic ones that are too old. Null where none holds a row.
 */
export async function snapshotBefore(
  workspace: Workspace,
  session: Session,
  { databases, ...control }: BeforeOptions,
): Promise<string | null> {
  const holding: string[] = [];
  for (const database of databases) {
    // Refuses a transaction that the caller has open there, which a snapshot would wait for.
    const connection = await session.database(database);
    if (mayCopy(workspace, database) && await holdsRows(connection)) holding.push(database);
  }
  if (holding.length === 0) return null;
  const { name } = await createSnapshot(
    workspace,
    { ...control, databases: holding },
    "automatic",
  );
  await prune(workspace.backups, workspace.timeout, {
    retention: { keep: AUTOMATIC_KEPT },
    reason: "automatic",
  });
  return name;
}

/**
 * A database in memory has no file. One that is open through another SQLite library in this process
 * must not be opened by ours as well: closing it would drop the other's locks.
 */
function mayCopy(workspace: Workspace, database: string): boolean {
  const location = locationOf(workspace, database);
  return location.path !== ":memory:" && !isForeign(location);
}

async function holdsRows(connection: Connection): Promise<boolean> {
  for (const table of await ordinaryTables(connection)) {
    const row = await connection.get(`SELECT 1 FROM ${quoteName(table)} LIMIT 1`);
    if (row !== undefined) return true;
  }
  return false;
}

/** How to check a snapshot. */
export interface VerifySnapshotOptions {
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** How thoroughly SQLite checks the files. Default `quick`. */
  readonly verify?: CopyCheck;
}

/** Which snapshots to keep. */
export interface PruneSnapshotsOptions extends Retention {
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** Only say what would go. Default `false`. */
  readonly dryRun?: boolean;
}

/** What to prune. */
export interface PruneOptions {
  readonly retention: Retention;
  /** Only snapshots taken for this reason. Default: all. */
  readonly reason?: SnapshotReason;
  /** Only say what would go. Default `false`. */
  readonly dryRun?: boolean;
}

/** Removes the snapshots that a retention doesn't keep; never the only whole one. Names, oldest first. */
export async function prune(
  directory: string,
  timeout: number,
  { retention, reason, dryRun = false }: PruneOptions,
): Promise<readonly string[]> {
  const entries = (await listSnapshots(directory)).flatMap(({ manifest, problems }) =>
    manifest !== null && (reason === undefined || manifest.reason === reason)
      ? [{
        manifest,
        name: manifest.name,
        createdAt: manifest.createdAt,
        isWhole: problems.length === 0,
      }]
      : []
  );
  const names = expired(entries, retention);
  if (dryRun || names.length === 0) return names;
  using _lock = await lockStore(directory, { timeout });
  for (const name of names) {
    const entry = entries.find((one) => one.name === name);
    if (entry !== undefined) removeSnapshot(directory, entry.manifest);
  }
  removeLeftovers(directory);
  return names;
}

/** Reads a whole snapshot again and compares it with its manifest. */
export async function verifySnapshot(
  directory: string,
  name: string,
  verify: CopyCheck,
): Promise<SnapshotCheck> {
  return await checkSnapshot(directory, await readManifest(directory, name), verify);
}
