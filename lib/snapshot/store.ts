/**
 * The directory of snapshots: its lock, its list, and which snapshot is the newest usable one.
 *
 * @module
 */
import type { LastGood } from "../state/lost_databases.ts";
import { CatalystError, LocationError, SnapshotError } from "../base/errors.ts";
import { removeDatabase, removeIfThere } from "../base/files.ts";
import {
  type DirectoryUse,
  fileItself,
  partFileOf,
  refuseSpecialFile,
  sizeBeside,
  sizeOf,
  statPath,
  whereAFileIs,
} from "../base/paths.ts";
import { acquireLock, type LockOptions } from "../base/file_lock.ts";
import { type Manifest, parseManifest, type SnapshotFile } from "./manifest.ts";
import { compareSnapshotNames, manifestFile, manifestOf, reservationOf } from "./names.ts";

/** A snapshot in a directory, as listed. */
export interface SnapshotEntry {
  /** Name of the snapshot, such as `20250120_123000`. */
  readonly name: string;
  /** Its manifest; null if that is damaged. */
  readonly manifest: Manifest | null;
  /** Problems, judging by names and sizes; empty if all files exist. */
  readonly problems: readonly string[];
}

/** Description of a directory of snapshots, and the `backup` flag that chooses another. */
export const SNAPSHOTS: DirectoryUse = { what: "directory of the snapshots", flag: "--out" };

/** Locks a directory of snapshots: only one run at a time writes or deletes there. */
export async function lockStore(directory: string, options: LockOptions): Promise<Disposable> {
  const use = { holder: "backup", directory: SNAPSHOTS.what };
  return await acquireLock(storeLock(directory), { ...options, ...use });
}

/** Path of that lock. */
export function storeLock(directory: string): string {
  return `${directory}/backups.lock`;
}

/**
 * The newest snapshot that matches. One dated in the future, because the clock was set back, is
 * chosen only if there is no other.
 */
export function newestWhere(
  newestFirst: readonly SnapshotEntry[],
  isOfKind: (entry: SnapshotEntry) => boolean,
): SnapshotEntry | undefined {
  const now = Date.now() / 1000;
  const ofKind = newestFirst.filter(isOfKind);
  return ofKind.find(({ manifest }) => manifest !== null && manifest.createdAt <= now) ?? ofKind[0];
}

/** Conditions for a recent snapshot. */
export interface Freshness {
  /** Databases that it must contain; the ledger is called `migrations`. */
  readonly databases: readonly string[];
  /** Unix epoch seconds. */
  readonly now: number;
}

/**
 * The newest snapshot from which databases can be restored, judging by names and sizes: its files
 * exist, it contains all of the databases, and it was not taken by a restore. One dated in the
 * future is ignored, because its age is unknown.
 */
export function newestComplete(
  newestFirst: readonly SnapshotEntry[],
  { databases, now }: Freshness,
): Manifest | null {
  for (const { manifest, problems } of newestFirst) {
    if (manifest === null || problems.length > 0 || manifest.createdAt > now) continue;
    if (manifest.reason !== "manual" && manifest.reason !== "automatic") continue;
    const kept = new Set(manifest.files.map(({ database }) => database));
    if (databases.every((name) => kept.has(name))) return manifest;
  }
  return null;
}

/**
 * When each database was last backed up, in Unix epoch seconds, by the same rules as
 * {@link newestComplete}. Reads manifests from newest to oldest, until all are found.
 */
export async function lastBackups(
  directory: string,
  { databases, now }: Freshness,
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  const newestFirst = fileNames(directory).flatMap((file) => manifestOf(file) ?? [])
    .toSorted((a, b) => compareSnapshotNames(b, a));
  for (const name of newestFirst) {
    const missing = databases.filter((database) => !found.has(database));
    if (missing.length === 0) break;
    const entry = await entryOf(directory, name);
    for (const database of missing) {
      const manifest = newestComplete([entry], { databases: [database], now });
      if (manifest !== null) found.set(database, manifest.createdAt);
    }
  }
  return found;
}

/**
 * The newest snapshot in which a database has rows, or else the newest that has it, judging by names
 * and sizes.
 */
export function lastGood(
  newestFirst: readonly SnapshotEntry[],
  { database, directory }: { readonly database: string; readonly directory: string },
): LastGood | null {
  let other: LastGood | null = null;
  for (const { name, manifest } of newestFirst) {
    const file = manifest?.files.find((one) => one.database === database);
    if (file === undefined || fileProblem(directory, file) !== null) continue;
    const hasRows = holdsRows(file);
    if (hasRows) return { name, hasRows };
    other ??= { name, hasRows };
  }
  return other;
}

/** Whether a database in a snapshot has rows. */
export function holdsRows({ rows }: Pick<SnapshotFile, "rows">): boolean {
  return Object.values(rows).some((count) => count > 0);
}

/** The newest snapshot from before a restore. */
export function newestSafety(newestFirst: readonly SnapshotEntry[]): SnapshotEntry | undefined {
  return newestWhere(newestFirst, ({ manifest }) => manifest?.reason === "safety");
}

/** The snapshots of a directory, newest first; empty if the directory does not exist. */
export async function listSnapshots(directory: string): Promise<SnapshotEntry[]> {
  const names = fileNames(directory).flatMap((file) => manifestOf(file) ?? []);
  const entries = await Promise.all(names.map((name) => entryOf(directory, name)));
  return entries.toSorted((a, b) =>
    (b.manifest?.createdAt ?? 0) - (a.manifest?.createdAt ?? 0) ||
    compareSnapshotNames(b.name, a.name)
  );
}

async function entryOf(directory: string, name: string): Promise<SnapshotEntry> {
  try {
    const manifest = await readManifest(directory, name);
    const problems = manifest.files.flatMap((file) => fileProblem(directory, file) ?? []);
    return { name, manifest, problems };
  } catch (error) {
    if (!(error instanceof CatalystError)) throw error;
    return { name, manifest: null, problems: [error.message] };
  }
}

/** The problem of a file, judging by name and size; null if there is none. */
export function fileProblem(directory: string, file: SnapshotFile): string | null {
  const path = `${directory}/${file.file}`;
  const size = sizeOf(path);
  if (size === null) return `${file.file} is missing`;
  if (size !== file.sizeBytes) {
    return `${file.file} has ${size} bytes, expected ${file.sizeBytes}`;
  }
  // Opened together with the file, a log would give different rows from those that were checked.
  const itself = fileItself(path);
  const log = (["-wal", "-journal"] as const).find((ending) => sizeBeside(itself, ending));
  return log === undefined
    ? null
    : `${file.file} was opened and changed: ${file.file}${log} is next to it`;
}

/**
 * Reads the manifest of a snapshot.
 *
 * @throws {SnapshotError} if no snapshot has that name, or it is damaged.
 */
export async function readManifest(directory: string, name: string): Promise<Manifest> {
  const path = `${directory}/${manifestFile(name)}`;
  refuseSpecialFile(path, { cannot: "read" });
  let text: string;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    refuseFile(directory);
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new SnapshotError(`Cannot find snapshot ${name}: ${path} does not exist`, {
      cause: error,
      help: "`backup list` shows the snapshots",
    });
  }
  const manifest = await parseManifest(text, path);
  if (manifest.name === name) return manifest;
  throw new SnapshotError(`Cannot read ${path}: it is the manifest of snapshot ${manifest.name}`, {
    help: "files were swapped or renamed; use another snapshot",
  });
}

/**
 * Removes the leftovers of killed runs: only files that the run's own note names, so that nothing
 * else in the directory is touched. The caller holds the lock, so no run is active.
 */
export function removeAbandonedSnapshots(directory: string): void {
  for (const file of fileNames(directory)) {
    if (isAbandoned(directory, file)) removeDatabase(`${directory}/${file}`);
    const name = reservationOf(file);
    if (name === null) continue;
    const isComplete = sizeOf(`${directory}/${manifestFile(name)}`) !== null;
    for (const planned of plannedFiles(`${directory}/${file}`)) {
      removeDatabase(`${directory}/${partFileOf(planned)}`);
      removeDatabase(`${directory}/${partFileOf(`${planned}.plain`)}`);
      if (!isComplete) removeIfThere(`${directory}/${planned}`);
    }
    removeIfThere(`${directory}/${partFileOf(manifestFile(name))}`);
    removeIfThere(`${directory}/${file}`);
  }
}

/** Seconds after which an unpacked file is certainly no longer being read. */
const ABANDONED = 86_400;

/**
 * Files that a killed `backup verify` or `restore` unpacked. Neither takes a lock, so one may be in
 * use.
 */
function isAbandoned(directory: string, file: string): boolean {
  if (!/^\w+\.db\.gz\.unpacked_\d+\.part$/.test(file)) return false;
  const { mtime } = Deno.statSync(`${directory}/${file}`);
  return mtime !== null && Date.now() - mtime.getTime() > ABANDONED * 1000;
}

/** Files that a note lists: a list, or the manifest of a snapshot that was being removed. */
function plannedFiles(note: string): string[] {
  const text = Deno.readTextFileSync(note);
  return Array.from(text.matchAll(/(?<=^|")\w+\.db(?:\.gz)?(?="|$)/gm), ([name]) => name);
}

function fileNames(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile).map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    refuseFile(directory);
    throw error;
  }
}

/**
 * Refuses a file where a directory of snapshots is expected.
 *
 * @throws {LocationError} if the path is a file.
 */
function refuseFile(directory: string): void {
  if (statPath(directory, SNAPSHOTS)?.isDirectory ?? true) return;
  throw new LocationError(`Cannot use ${directory} as ${SNAPSHOTS.what}: it is a file`, {
    help: whereAFileIs(SNAPSHOTS),
  });
}
