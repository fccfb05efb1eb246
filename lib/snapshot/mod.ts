import { CatalystError } from "../base/errors.ts";
import { sizeOf } from "../base/paths.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { type DatabaseLocation, refuseForeign, statDatabase } from "../database/location.ts";
import {
  LEDGER,
  locationOf,
  restoreJournal,
  unknownDatabase,
  type Workspace,
} from "../state/workspace.ts";
import type { Manifest, SnapshotReason } from "./manifest.ts";
import { isUnreadable, type PinTarget } from "./pin_databases.ts";
import { checkSnapshot, type SnapshotCheck } from "./sources.ts";
import { listSnapshots, newestComplete, readManifest } from "./store.ts";
import { type CopyCheck, runSnapshot, type SnapshotControl, type SnapshotJob } from "./take.ts";

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
    throw unknownDatabase(unknown, {
      verb: "take a snapshot of",
      names: [...workspace.locations.keys(), LEDGER],
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

/** Options for checking a snapshot. */
export interface VerifySnapshotOptions {
  /** Directory of the snapshots. Default: the migrator's. */
  readonly directory?: string;
  /** How thoroughly SQLite checks the files. Default `quick`. */
  readonly verify?: CopyCheck;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
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
