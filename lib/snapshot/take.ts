import {
  AccessError,
  CatalystError,
  CorruptDatabaseError,
  DiskFullError,
  InterruptedError,
  SnapshotError,
} from "../base/errors.ts";
import {
  createLike,
  ensureDirectory,
  isFullDisk,
  logSizeOf,
  modeLike,
  removeIfThere,
  requireRoom,
  syncDirectory,
  syncFile,
  writeDurably,
  writeNote,
} from "../base/files.ts";
import { messageOf } from "../base/format.ts";
import type { StopFlag } from "../base/file_lock.ts";
import {
  denied,
  fileItself,
  isTooManyFiles,
  mayBeThere,
  partFileOf,
  sizeOf,
  tooManyFiles,
} from "../base/paths.ts";
import { version } from "../base/version.ts";
import { type Connection, type CopyProgress, readPragma } from "../database/connection.ts";
import { refuseLogWithoutDatabase, statDatabase } from "../database/location.ts";
import { openForReading, sqliteVersion } from "../database/open.ts";
import { checkFile } from "../schema/integrity.ts";
import { countRows } from "../schema/tables.ts";
import { readMarkerIds } from "../state/marker.ts";
import { LEDGER } from "../state/workspace.ts";
import {
  digestFile,
  type Manifest,
  serializeManifest,
  type SnapshotFile,
  type SnapshotReason,
} from "./manifest.ts";
import { databaseFile, freeSnapshotName, manifestFile, reservationFile } from "./names.ts";
import { nameDatabaseInErrors, pin, type Pinned, type PinTarget } from "./pin_databases.ts";
import { lockStore, removeAbandonedSnapshots, SNAPSHOTS } from "./store.ts";

/** How thoroughly to check a copy. */
export type CopyCheck = "quick" | "full" | "none";

/** Progress of a snapshot. */
export interface SnapshotProgress {
  /** Name of the database. */
  readonly database: string;
  /** Whether it is being copied, or its copy is being checked. */
  readonly step: "copy" | "check";
  /** Work done, in pages to copy and to check, of all databases. */
  readonly done: number;
  /** What `done` is at the end of this step. */
  readonly until: number;
  /** All work. */
  readonly total: number;
}

/** Options for copying a database. */
interface CopyJob {
  /** Path of the copy; it has a temporary suffix until the caller renames it. */
  readonly target: string;
  readonly verify: CopyCheck;
  readonly compress: boolean;
  /** Called with the pages copied so far, and when the check begins. */
  readonly report: (step: SnapshotProgress["step"], done: number) => void;
  readonly signal?: StopFlag | undefined;
}

/** Properties of a copy. */
type CopiedDatabase = Omit<SnapshotFile, "database" | "file" | "compressed">;

/** Copies a pinned database to `target.part`, checks it, and syncs it. */
async function copyPinned(pinned: Pinned, job: CopyJob): Promise<CopiedDatabase> {
  const { connection } = pinned;
  const plain = job.compress ? partFileOf(`${job.target}.plain`) : partFileOf(job.target);
  const path = partFileOf(job.target);
  const report = ({ done }: Pick<CopyProgress, "done">) => {
    if (job.signal?.aborted) {
      throw new InterruptedError("Cannot take a snapshot: interrupted", {
        help: "no partial snapshot remains",
      });
    }
    job.report("copy", done);
  };
  // A small database is copied in one step, without progress from SQLite.
  report({ done: 0 });
  await connection.copyTo(plain, { onProgress: report });
  await syncFile(plain);
  job.report("check", 0);
  if (job.compress) await compress(plain, path);
  const looks = [
    job.verify === "none" ? null : digestFile(path, { signal: job.signal }),
    examine(plain, job.verify).catch((error) => {
      throw aboutOriginal(error, connection.label);
    }),
  ] as const;
  // Even if one of them fails: Windows keeps a removed file while it is being read.
  await Promise.allSettled(looks);
  const [sha256, content] = await Promise.all(looks);
  if (job.compress) Deno.removeSync(plain);
  return { sizeBytes: Deno.statSync(path).size, sha256, ...content };
}

/**
 * Checks a database file with SQLite's own checks, and reads its content. Opened read-only, SQLite
 * checks every page but not the rows' `CHECK` constraints: what a bot has stored is kept unchanged.
 */
export async function examine(
  path: string,
  verify: CopyCheck,
): Promise<Pick<CopiedDatabase, "rows" | "migrations" | "unchecked">> {
  const itself = fileItself(path);
  const hadLog = mayBeThere(`${itself}-wal`);
  try {
    await using connection = await openForReading(
      { kind: "file", path },
      { isUnused: true },
    );
    const unchecked = verify === "none" ? [] : await check(connection, verify);
    const migrations = await readMarkerIds(connection);
    return {
      rows: Object.fromEntries(await countRows(connection)),
      migrations,
      ...(unchecked.length === 0 ? {} : { unchecked }),
    };
  } finally {
    if (!hadLog) { for (const ending of ["-wal", "-shm"]) removeIfThere(`${itself}${ending}`); }
  }
}

/** The copy will be removed, so the message names the database that it was made of. */
function aboutOriginal(error: unknown, label: string): unknown {
  if (!(error instanceof CorruptDatabaseError)) return error;
  const reason = error.message.replace(/^Cannot [^:]*: /, "");
  return new CorruptDatabaseError(`Cannot take a snapshot of ${label}: ${reason}`, {
    cause: error,
    help: "older snapshots are unchanged: `backup list` shows them, and `restore` goes back to one",
  });
}

/** Returns the tables that can't be checked. */
async function check(
  connection: Connection,
  verify: "quick" | "full",
): Promise<readonly string[]> {
  const pragma = verify === "full" ? "integrity_check" : "quick_check";
  const { damages, unchecked } = await checkFile(connection, { pragma, limit: 3 });
  if (damages.length === 0) return unchecked;
  throw new CorruptDatabaseError(
    `Cannot use ${connection.label}: it is damaged: ${damages.join("; ")}`,
    { help: "older snapshots are unchanged; `backup list` shows them" },
  );
}

async function compress(from: string, to: string): Promise<void> {
  using source = await Deno.open(from);
  removeIfThere(to);
  createLike(to, from);
  using target = await Deno.open(to, { write: true, create: true });
  await source.readable.pipeThrough(new CompressionStream("gzip")).pipeTo(target.writable);
  await syncFile(to);
}

/** What to take a snapshot of, and how. */
export interface SnapshotJob {
  /** The databases, in the order in which they are locked. */
  readonly targets: readonly PinTarget[];
  /** Directory of the snapshots; it is created if its parent exists. */
  readonly directory: string;
  readonly reason: SnapshotReason;
  readonly verify: CopyCheck;
  readonly compress: boolean;
  /** Seconds to wait for a lock. */
  readonly timeout: number;
  /** File that exists while a restore replaces the databases. Default: none. */
  readonly restoreNote?: string;
}

/** Options for progress and stopping. */
export interface SnapshotControl {
  /** Called periodically with the progress. */
  readonly onProgress?: ((progress: SnapshotProgress) => void) | undefined;
  /** Stops it; no partial snapshot remains. */
  readonly signal?: StopFlag | undefined;
}

/**
 * Takes a snapshot: consistent, checked copies of the databases, with a manifest. The manifest is
 * written last; without it the snapshot does not exist. The next run removes the leftovers of a
 * killed run.
 *
 * @throws {SnapshotError} if there is nothing to copy.
 */
export async function runSnapshot(job: SnapshotJob, control: SnapshotControl): Promise<Manifest> {
  const { directory, timeout } = job;
  const { signal } = control;
  const targets = job.targets.filter(hasContent);
  const isLedgerAlone = targets.every(({ database }) => database === LEDGER) &&
    job.targets.some(({ database }) => database !== LEDGER);
  if (targets.length === 0 || isLedgerAlone && job.reason === "manual") {
    throw new SnapshotError("Cannot take a snapshot: none of the databases exists", {
      help: "`status` shows where they should be, and which snapshot has one that is lost",
    });
  }
  // Commands that take a snapshot automatically don't have the flag.
  const use = job.reason === "manual" ? SNAPSHOTS : { ...SNAPSHOTS, flag: null };
  ensureDirectory(`${directory}/x`, true, use);
  using _lock = await lockStore(directory, { timeout, signal });
  removeAbandonedSnapshots(directory);
  await requireRoom(directory, roomFor(targets, job.compress));
  const createdAt = Math.floor(Date.now() / 1000);
  const filesOf = (name: string) =>
    targets.map(({ database }) => databaseFile(database, name, job.compress));
  const name = freeSnapshotName(directory, createdAt, filesOf);
  const files = filesOf(name);
  const note = `${directory}/${reservationFile(name)}`;
  try {
    writeNote(note, files.join("\n"));
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
    removeAbandonedSnapshots(directory);
    throw aboutSnapshot(error);
  }
}

/** Whether a database is on a server, or its file is there and not empty. */
function hasContent({ path, server }: PinTarget): boolean {
  const { exists, sizeBytes } = statDatabase(server ?? { kind: "file", path });
  if (sizeBytes === 0) refuseLogWithoutDatabase(path);
  return exists && sizeBytes !== 0;
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
  const pages = await Promise.all(pinned.databases.map(({ connection }) => pagesOf(connection)));
  const total = pages.reduce((sum, one) => sum + one * PASSES, 0);
  let before = 0;
  for (const [index, database] of pinned.databases.entries()) {
    const own = pages[index] ?? 0;
    const begun = before;
    before += own * PASSES;
    const file = databaseFile(database.database, name, job.compress);
    const copy = await nameDatabaseInErrors(database, () =>
      copyPinned(database, {
        target: `${job.directory}/${file}`,
        verify: job.verify,
        compress: job.compress,
        signal: control.signal,
        report: (step, done) =>
          control.onProgress?.({
            database: database.database,
            step,
            done: begun + (step === "copy" ? Math.min(done, own) : own),
            until: begun + (step === "copy" ? own : own * PASSES),
            total,
          }),
      }));
    files.push({ database: database.database, file, compressed: job.compress, ...copy });
  }
  return { files, heldSeconds: pinned.heldSeconds };
}

/** How often each page is read: to copy it, and, which takes as long, to check the copy. */
const PASSES = 2;

async function pagesOf(connection: Connection): Promise<number> {
  return Number(await readPragma(connection, "page_count"));
}

/** Renames all files to their final names, the manifest last. */
async function publish(directory: string, manifest: Manifest): Promise<void> {
  const last = `${directory}/${manifestFile(manifest.name)}`;
  const copies = manifest.files.map(({ file }) => `${directory}/${partFileOf(file)}`);
  await writeDurably(partFileOf(last), await serializeManifest(manifest), modeLike(...copies));
  for (const { file } of manifest.files) {
    Deno.renameSync(`${directory}/${partFileOf(file)}`, `${directory}/${file}`);
  }
  // The files' names must be on disk before the manifest that vouches for them.
  await syncDirectory(directory);
  Deno.renameSync(partFileOf(last), last);
  await syncDirectory(directory);
}

/** Space for the copies, their logs, and the uncompressed copy of the largest database. */
function roomFor(targets: readonly PinTarget[], compress: boolean): number {
  const sizes = targets.map(({ path }) => (sizeOf(path) ?? 0) + logSizeOf(path));
  const all = sizes.reduce((sum, size) => sum + size, 0);
  return compress ? Math.max(...sizes) + all / 2 : all;
}

/** What a failure of the file system means; other errors stay as they are. */
export function aboutSnapshot(
  error: unknown,
  {
    cannot = "Cannot take a snapshot",
    help = "no partial snapshot remains, and older snapshots are unchanged",
  }: { readonly cannot?: string; readonly help?: string } = {},
): unknown {
  if (error instanceof CatalystError) return error;
  const message = messageOf(error);
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
