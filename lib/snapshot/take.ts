import { ensureDirectory } from "../base/files.ts";
import { isTooManyFiles, tooManyFiles } from "../base/files.ts";
import { denied } from "../base/paths.ts";
import { statDatabase } from "../database/location.ts";
import { sqliteVersion } from "../database/open.ts";
import { AccessError, CatalystError, DiskFullError, SnapshotError } from "../base/errors.ts";
import type { StopFlag } from "../base/lock.ts";
import { version } from "../base/version.ts";
import { type CopyCheck, copyPinned, type SnapshotProgress } from "./copy.ts";
import {
  isFullDisk,
  logSizeOf,
  removeIfThere,
  requireRoom,
  sizeOf,
  syncDirectory,
  writeDurably,
} from "../base/files.ts";
import {
  type Manifest,
  serializeManifest,
  type SnapshotFile,
  type SnapshotReason,
} from "./manifest.ts";
import { partOf } from "../base/files.ts";
import { databaseFile, manifestFile, reservationFile, snapshotName } from "./name.ts";
import { pin, type PinTarget } from "./pin.ts";
import { lockStore, removeLeftovers, SNAPSHOTS } from "./store.ts";

/** What to take a snapshot of, and how. */
export interface SnapshotJob {
  /** The databases, in the order in which their locks are taken. */
  readonly targets: readonly PinTarget[];
  /** Directory of the snapshots; it is created if its parent is there. */
  readonly directory: string;
  readonly reason: SnapshotReason;
  readonly verify: CopyCheck;
  readonly compress: boolean;
  /** Seconds to wait for a lock. */
  readonly timeout: number;
  /** File that is there while a restore replaces the databases. Default: none. */
  readonly restoreNote?: string;
}

/** How to follow and to stop it. */
export interface SnapshotControl {
  /** Called now and then with how far the copying has come. */
  readonly onProgress?: ((progress: SnapshotProgress) => void) | undefined;
  /** Stops it; nothing is left then. */
  readonly signal?: StopFlag | undefined;
}

/**
 * Takes a snapshot: copies of the databases of one moment, checked, with a manifest. Until the
 * manifest is there, which comes last, there is no snapshot; what a killed run leaves the next one
 * removes.
 *
 * @throws {SnapshotError} where there is nothing to copy.
 */
export async function runSnapshot(job: SnapshotJob, control: SnapshotControl): Promise<Manifest> {
  const { directory, timeout } = job;
  const { signal } = control;
  const targets = job.targets.filter(({ path }) => statDatabase({ kind: "file", path }).exists);
  if (targets.length === 0) {
    throw new SnapshotError("Cannot take a snapshot: none of the databases exists", {
      help: "`status` shows where they should be",
    });
  }
  // Of the commands that take one of themselves, none has the flag.
  const use = job.reason === "manual" ? SNAPSHOTS : { ...SNAPSHOTS, flag: null };
  ensureDirectory(`${directory}/x`, true, use);
  using _lock = await lockStore(directory, { timeout, signal });
  removeLeftovers(directory);
  await requireRoom(directory, roomFor(targets, job.compress));
  const createdAt = Math.floor(Date.now() / 1000);
  const filesOf = (name: string) =>
    targets.map(({ database }) => databaseFile(database, name, job.compress));
  const name = freeName(directory, createdAt, filesOf);
  const files = filesOf(name);
  const note = `${directory}/${reservationFile(name)}`;
  try {
    Deno.writeTextFileSync(note, files.join("\n"));
    const copied = await copyAll(targets, name, job, control);
    const manifest: Manifest = {
      name,
      createdAt,
      reason: job.reason,
      toolkitVersion: version,
      sqliteVersion: sqliteVersion(),
      verified: job.verify,
      ...copied,
    };
    await publish(directory, manifest);
    removeIfThere(note);
    return manifest;
  } catch (error) {
    removeLeftovers(directory);
    throw aboutSnapshot(error);
  }
}

async function copyAll(
  targets: readonly PinTarget[],
  name: string,
  job: SnapshotJob,
  control: SnapshotControl,
): Promise<Pick<Manifest, "files" | "heldSeconds">> {
  const { timeout, restoreNote } = job;
  await using pinned = await pin(targets, { timeout, restoreNote, signal: control.signal });
  const files: SnapshotFile[] = [];
  for (const database of pinned.databases) {
    const file = databaseFile(database.database, name, job.compress);
    const copy = await copyPinned(database, {
      target: `${job.directory}/${file}`,
      verify: job.verify,
      compress: job.compress,
      ...control,
    });
    files.push({ database: database.database, file, compressed: job.compress, ...copy });
  }
  return { files, heldSeconds: pinned.heldSeconds };
}

/** Gives everything its name, the manifest last. */
async function publish(directory: string, manifest: Manifest): Promise<void> {
  const last = `${directory}/${manifestFile(manifest.name)}`;
  await writeDurably(partOf(last), await serializeManifest(manifest));
  for (const { file } of manifest.files) {
    Deno.renameSync(`${directory}/${partOf(file)}`, `${directory}/${file}`);
  }
  // The files' names must be on the disk before the manifest that vouches for them.
  await syncDirectory(directory);
  Deno.renameSync(partOf(last), last);
  await syncDirectory(directory);
}

/** The copies, their logs, and beside a compressed one the plain one of the largest database. */
function roomFor(targets: readonly PinTarget[], compress: boolean): number {
  const sizes = targets.map(({ path }) => (sizeOf(path) ?? 0) + logSizeOf(path));
  const all = sizes.reduce((sum, size) => sum + size, 0);
  return compress ? Math.max(...sizes) + all / 2 : all;
}

/** A name of which no file is there yet: people name their own copies in the same way. */
function freeName(
  directory: string,
  createdAt: number,
  filesOf: (name: string) => readonly string[],
): string {
  for (let attempt = 1;; attempt++) {
    const name = snapshotName(createdAt, attempt);
    const files = [manifestFile(name), ...filesOf(name)];
    if (files.every((file) => sizeOf(`${directory}/${file}`) === null)) return name;
  }
}

function aboutSnapshot(error: unknown): unknown {
  if (error instanceof CatalystError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const cannot = "Cannot take a snapshot";
  const help = "nothing of it is left, and older snapshots are as they were";
  if (isFullDisk(error)) {
    return new DiskFullError(`${cannot}: the disk is full`, { cause: error, help });
  }
  if (isTooManyFiles(error)) return tooManyFiles(cannot, error);
  if (error instanceof Deno.errors.NotCapable) {
    const denial = denied(message, help);
    return new AccessError(`${cannot}: ${denial.reason}`, { cause: error, help: denial.help });
  }
  return new SnapshotError(`${cannot}: ${message}`, { cause: error, help });
}
