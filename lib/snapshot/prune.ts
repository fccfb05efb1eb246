import { removeIfThere } from "../base/files.ts";
import { directoryOf, sizeOf } from "../base/paths.ts";
import { Session } from "../engine/session.ts";
import type { Workspace } from "../state/workspace.ts";
import type { Manifest, SnapshotReason } from "./manifest.ts";
import { manifestFile, reservationFile } from "./names.ts";
import {
  fileProblem,
  holdsRows,
  listSnapshots,
  lockStore,
  removeAbandonedSnapshots,
} from "./store.ts";
import { aboutSnapshot } from "./take.ts";

/**
 * Which snapshots of each database to keep. Manual, automatic and safety snapshots are counted
 * separately.
 */
export interface Retention {
  /** Number of newest snapshots to keep. */
  readonly keep?: number;
  /** Number of days with a snapshot whose newest is kept. */
  readonly keepDaily?: number;
  /** Number of weeks with a snapshot whose newest is kept. */
  readonly keepWeekly?: number;
  /** Number of months with a snapshot whose newest is kept. */
  readonly keepMonthly?: number;
}

/** The properties of a snapshot that decide whether it is kept. */
export interface PruneCandidate {
  readonly name: string;
  /** Unix epoch seconds. */
  readonly createdAt: number;
  readonly reason: SnapshotReason;
  /** Whether all its files exist. */
  readonly isWhole: boolean;
  /** Databases whose file exists, including the ledger. */
  readonly databases: readonly string[];
  /** Those of them that have rows. */
  readonly filled: readonly string[];
}

const DAY = 86_400;
/** 1 January 1970 was a Thursday; weeks begin on Monday. */
const DAYS_TO_MONDAY = 3;

/**
 * Names of the snapshots that a retention does not keep, oldest first.
 *
 * Snapshots are counted per database: one of `trading` alone must not displace the last one of
 * `positions`. They are also counted per reason, because automatic ones have their own limit, and
 * one from before a restore holds data that the user wanted to replace. Only intact ones count. The
 * newest of each database and reason is always kept, and if none is intact, its newest file. So is the
 * newest in which a database has rows.
 */
export function expired(candidates: readonly PruneCandidate[], retention: Retention): string[] {
  const newestFirst = candidates.toSorted((a, b) => b.createdAt - a.createdAt);
  const kept = new Set<PruneCandidate>();
  for (const database of new Set(candidates.flatMap(({ databases }) => databases))) {
    const having = newestFirst.filter(({ databases }) => databases.includes(database));
    const whole = having.filter(({ isWhole }) => isWhole);
    const counted = whole.length > 0 ? whole : having.slice(0, 1);
    for (const group of Map.groupBy(counted, ({ reason }) => reason).values()) {
      for (const one of keptOf(group, retention)) kept.add(one);
    }
    // Newer ones may be of the empty file that took its place.
    const lastFilled = counted.find(({ filled }) => filled.includes(database));
    if (lastFilled !== undefined) kept.add(lastFilled);
  }
  return newestFirst.filter((one) => !kept.has(one)).map(({ name }) => name).toReversed();
}

function keptOf(newestFirst: readonly PruneCandidate[], retention: Retention): PruneCandidate[] {
  const day = (moment: number) => Math.floor(moment / DAY);
  const week = (moment: number) => Math.floor((day(moment) + DAYS_TO_MONDAY) / 7);
  return [
    ...newestFirst.slice(0, Math.max(1, retention.keep ?? 0)),
    ...newestOfEach(newestFirst, day, retention.keepDaily),
    ...newestOfEach(newestFirst, week, retention.keepWeekly),
    ...newestOfEach(newestFirst, monthOf, retention.keepMonthly),
  ];
}

function newestOfEach(
  newestFirst: readonly PruneCandidate[],
  periodOf: (epochSeconds: number) => number,
  periods = 0,
): PruneCandidate[] {
  const newest = new Map<number, PruneCandidate>();
  for (const candidate of newestFirst) {
    const period = periodOf(candidate.createdAt);
    if (!newest.has(period) && newest.size < periods) newest.set(period, candidate);
  }
  return [...newest.values()];
}

function monthOf(epochSeconds: number): number {
  const date = new Date(epochSeconds * 1000);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
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

/**
 * Removes a snapshot. If this is killed, the renamed manifest lists what is left; renaming needs no
 * space on a full disk.
 */
export function removeSnapshot(directory: string, manifest: Manifest): void {
  const note = `${directory}/${reservationFile(manifest.name)}`;
  Deno.renameSync(`${directory}/${manifestFile(manifest.name)}`, note);
  for (const { file } of manifest.files) removeIfThere(`${directory}/${file}`);
  removeIfThere(note);
}
