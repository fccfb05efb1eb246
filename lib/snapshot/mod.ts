import { usersTables } from "../schema/model.ts";
import { quoteName } from "../sql/tokens.ts";
import type { Connection } from "../database/connection.ts";
import {
  type DatabaseLocation,
  isForeign,
  refuseForeign,
  statDatabase,
} from "../database/location.ts";
import { CatalystError, UsageError } from "../base/errors.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { directoryOf, sizeOf } from "../base/paths.ts";
import { Session } from "../engine/session.ts";
import { LEDGER, locationOf, restoreJournal, type Workspace } from "../state/workspace.ts";
import { checkSnapshot, type SnapshotCheck } from "./sources.ts";
import {
  aboutSnapshot,
  type CopyCheck,
  runSnapshot,
  type SnapshotControl,
  type SnapshotJob,
} from "./take.ts";
import type { Manifest, SnapshotReason } from "./manifest.ts";
import { isUnreadable, type PinTarget } from "./pin.ts";
import {
  expired,
  fileProblem,
  holdsRows,
  listSnapshots,
  lockStore,
  newestComplete,
  type PruneCandidate,
  readManifest,
  removeAbandonedSnapshots,
  removeSnapshot,
  type Retention,
} from "./store.ts";

/** How many automatic snapshots of each database to keep. */
const AUTOMATIC_KEPT = 10;

/** Bytes below which copying is too fast to be worth starting a thread. */
const LARGE = 64e6;

/** Options for taking a snapshot. */
export interface SnapshotOptions extends SnapshotControl {
  /** Only these databases, and the ledger. Default: all. */
  readonly databases?: readonly string[];
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** How to check the copies. Default `quick`. */
  readonly verify?: CopyCheck;
  /** Whether to compress the files with gzip. Default `false`. */
  readonly compress?: boolean;
  /** Stops the copying. */
  readonly signal?: AbortSignal;
  /**
   * Called for each database that is damaged, or whose server can't be reached; the snapshot leaves it
   * out. Default: it is an error, and there is no snapshot.
   */
  readonly onDamaged?: (damaged: DamagedDatabase) => void;
}

/** A database that could not be copied. */
export interface DamagedDatabase {
  /** Its name. */
  readonly database: string;
  /** What is wrong with it. */
  readonly reason: string;
  /** Whether it is on a server, which can't be reached or refuses the token. */
  readonly onServer: boolean;
}

/** Options for taking a snapshot during the caller's own transaction. */
export interface HeldOptions extends SnapshotOptions {
  /**
   * Databases whose write lock the caller holds, so that nothing else can be committed. Default:
   * none.
   */
  readonly held?: readonly string[];
}

/** Seconds to wait for other locks while holding one: their owner may be waiting for it. */
const WAIT_HOLDING = 1;

/** Takes a snapshot of the workspace's databases and its ledger. */
export async function createSnapshot(
  workspace: Workspace,
  options: HeldOptions,
  reason: SnapshotReason = "manual",
): Promise<Manifest> {
  const { held = [] } = options;
  const job: SnapshotJob = {
    targets: targetsOf(workspace, options.databases ?? [])
      .map((target) => held.includes(target.database) ? { ...target, held: true } : target),
    directory: options.directory ?? workspace.backups,
    reason,
    verify: options.verify ?? "quick",
    compress: options.compress ?? false,
    timeout: held.length === 0 ? workspace.timeout : Math.min(workspace.timeout, WAIT_HOLDING),
    restoreNote: restoreJournal(workspace.ledgerFile),
  };
  for (let { targets } = job;;) {
    try {
      return await run(workspace, { ...job, targets }, options);
    } catch (error) {
      if (options.onDamaged === undefined || !(error instanceof CatalystError)) throw error;
      const { database = "" } = error;
      const damaged = targets.find((target) => target.database === database);
      if (damaged === undefined || !isUnreadable(error, damaged)) throw error;
      const rest = targets.filter((target) => target !== damaged);
      const isWorth = rest.some((target) => target.database !== LEDGER);
      if (!isWorth) throw error;
      const onServer = damaged.server !== undefined;
      options.onDamaged({ database, reason: error.message, onServer });
      targets = rest; // all of them are copied again, so that they are consistent
    }
  }
}

async function run(
  workspace: Workspace,
  job: SnapshotJob,
  control: Pick<HeldOptions, "onProgress" | "signal">,
): Promise<Manifest> {
  // A command only needs to react to Ctrl-C meanwhile; a bot has other work.
  if (workspace.alone && bytesOf(job.targets) < LARGE) return await runSnapshot(job, control);
  const { runSnapshotInThread } = await import("./thread.ts");
  return await runSnapshotInThread(job, control);
}

function bytesOf(targets: readonly PinTarget[]): number {
  return targets.reduce((sum, { path, server }) => {
    const { sizeBytes } = statDatabase(server ?? { kind: "file", path });
    return sum + (sizeBytes ?? 0);
  }, 0);
}

/** Which snapshot to find. */
export interface FindSnapshotOptions {
  /** Databases that it must contain. Default: all that exist. */
  readonly databases?: readonly string[];
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
}

/** Finds the newest snapshot of all databases, judging by names and sizes. */
export async function findSnapshot(
  workspace: Workspace,
  { databases = [], directory = workspace.backups }: FindSnapshotOptions,
): Promise<Manifest | null> {
  const existing = targetsOf(workspace, databases)
    .filter(({ path, server }) => server !== undefined || sizeOf(path))
    .map(({ database }) => database);
  return newestComplete(await listSnapshots(directory), {
    databases: existing,
    now: Date.now() / 1000,
  });
}

function targetsOf(workspace: Workspace, names: readonly string[]): PinTarget[] {
  const unknown = names.find((name) => name !== LEDGER && !workspace.locations.has(name));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot take a snapshot of "${unknown}": database not found`, {
      help: `the databases are ${[...workspace.locations.keys(), LEDGER].join(", ")}`,
    });
  }
  const databases = [...workspace.locations.keys()]
    .filter((name) => names.length === 0 || names.includes(name))
    .map((database) => {
      const location = locationOf(workspace, database);
      refuseForeign(location, { cannot: `take a snapshot of ${database}` });
      return targetOf(database, location);
    });
  return [...databases, targetOf(LEDGER, workspace.ledger)]
    .filter(({ path }) => path !== ":memory:");
}

function targetOf(database: string, location: DatabaseLocation): PinTarget {
  const { path } = location;
  return location.kind === "server" ? { database, path, server: location } : { database, path };
}

/** The databases about to be changed. */
export interface BeforeOptions extends Pick<SnapshotOptions, "onProgress" | "signal"> {
  /** Names of the databases. */
  readonly databases: readonly string[];
}

/**
 * Takes a snapshot of those databases that hold rows, before they are changed, and removes old
 * automatic ones. Null if none holds rows.
 */
export async function snapshotBefore(
  workspace: Workspace,
  session: Session,
  { databases, ...control }: BeforeOptions,
): Promise<string | null> {
  const holding: string[] = [];
  for (const database of databases) {
    // Refuses a transaction that the caller has open, which a snapshot would wait for.
    const connection = await session.database(database);
    if (mayCopy(workspace, database) && await hasAnyRow(connection)) holding.push(database);
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
 * must not be opened by this one: closing it would drop the other library's locks.
 */
export function mayCopy(workspace: Workspace, database: string): boolean {
  const location = locationOf(workspace, database);
  return location.path !== ":memory:" && !isForeign(location);
}

async function hasAnyRow(connection: Connection): Promise<boolean> {
  for (const { name, type } of await usersTables(connection)) {
    // Only its module knows where a virtual table keeps its rows.
    if (type === "virtual") return true;
    const row = await connection.get(`SELECT 1 FROM main.${quoteName(name)} LIMIT 1`);
    if (row !== undefined) return true;
  }
  return false;
}

/** Options for checking a snapshot. */
export interface VerifySnapshotOptions {
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** How thoroughly SQLite checks the files. Default `quick`. */
  readonly verify?: CopyCheck;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
}

/** Which snapshots to keep. */
export interface PruneSnapshotsOptions extends Retention {
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** Only return what would be removed. Default `false`. */
  readonly dryRun?: boolean;
}

/** What to prune. */
export interface PruneOptions {
  readonly retention: Retention;
  /** Only snapshots taken for this reason. Default: all. */
  readonly reason?: SnapshotReason;
  /** Only return what would be removed. Default `false`. */
  readonly dryRun?: boolean;
}

/** Prunes a directory, by default the workspace's, while no restore reads its snapshots. */
export async function pruneSnapshots(
  workspace: Workspace,
  options: PruneSnapshotsOptions,
): Promise<readonly string[]> {
  const { directory = workspace.backups, dryRun = false, ...retention } = options;
  // Does not create a missing directory of databases.
  const isAlone = dryRun || sizeOf(directoryOf(workspace.ledgerFile)) === null;
  await using _session = isAlone ? null : await Session.begin(workspace);
  return await prune(directory, workspace.timeout, { retention, dryRun });
}

/**
 * Removes the snapshots that a retention does not keep, but never a database's last one. Returns
 * their names, oldest first.
 */
export async function prune(
  directory: string,
  timeout: number,
  { retention, reason, dryRun = false }: PruneOptions,
): Promise<readonly string[]> {
  const manifests = new Map<string, Manifest>();
  const candidates: PruneCandidate[] = [];
  const now = Date.now() / 1000;
  for (const { manifest, problems } of await listSnapshots(directory)) {
    if (manifest === null) continue;
    const { name, createdAt, files } = manifest;
    // The clock was set back since: a snapshot from the future says nothing about which are newest.
    if (createdAt > now) continue;
    const there = files.filter((file) => fileProblem(directory, file) === null);
    const databases = there.map(({ database }) => database);
    const isWhole = problems.length === 0;
    const filled = there.filter(holdsRows).map(({ database }) => database);
    candidates.push({ name, createdAt, reason: manifest.reason, isWhole, databases, filled });
    if (reason === undefined || manifest.reason === reason) manifests.set(name, manifest);
  }
  const names = expired(candidates, retention)
    .filter((name) => manifests.has(name));
  if (dryRun || sizeOf(directory) === null) return names;
  using _lock = await lockStore(directory, { timeout });
  try {
    for (const name of names) {
      const manifest = manifests.get(name);
      if (manifest !== undefined) removeSnapshot(directory, manifest);
    }
    removeAbandonedSnapshots(directory);
  } catch (error) {
    throw aboutSnapshot(error, {
      cannot: "Cannot prune snapshots",
      help: "some may be deleted; run the command again for the rest",
    });
  }
  return names;
}

/** Rereads a whole snapshot and compares it with its manifest. */
export async function verifySnapshot(
  directory: string,
  name: string,
  { verify = "quick", onStep }: Pick<VerifySnapshotOptions, "verify" | "onStep">,
): Promise<SnapshotCheck> {
  const steps = new Steps(1, onStep);
  steps.begin(`checking snapshot ${name}`, 1);
  const onShare = (share: number) => steps.advance(share);
  return await checkSnapshot(directory, await readManifest(directory, name), { verify, onShare });
}
