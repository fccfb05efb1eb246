/**
 * Replaces one database with a file while other programs may have it open.
 *
 * @module
 */
import { briefly } from "../base/event_loop.ts";
import { messageOf } from "../base/format.ts";
import {
  AccessError,
  DatabaseLockedError,
  DiskFullError,
  isDamage,
  SnapshotError,
} from "../base/errors.ts";
import {
  createLike,
  ensureDirectories,
  logSizeOf,
  removeDatabase,
  removeIfThere,
  requireRoom,
  syncDirectory,
  syncFile,
  writeNote,
} from "../base/files.ts";
import { directoryOf, fileItself, isLink, partFileOf, sizeOf } from "../base/paths.ts";
import { locksOn } from "../base/lock_holders.ts";
import type { Connection } from "../database/connection.ts";
import { refuseLogWithoutDatabase } from "../database/location.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import { type OverwriteOptions, WatchedDatabase } from "../database/overwrite_live_database.ts";
import { whileBusy } from "../database/transaction.ts";
import { checkFile } from "../schema/integrity.ts";
import type { Workspace } from "../state/workspace.ts";
import type { Replacement } from "./journal.ts";
import { plainFile } from "./sources.ts";

/** A source file, and the path of the database that it replaces. */
type Placement =
  & Pick<Replacement, "database" | "source" | "compressed" | "temporary">
  & { readonly target: string };

/**
 * Makes a database equal to its source. If the database is sound, SQLite overwrites it in one
 * transaction: other connections may remain open, and nothing of the old log survives. A damaged
 * database is moved aside with its log. The operation is idempotent. A symbolic link is kept: the
 * file it points to is replaced, or moved aside within its own directory.
 *
 * Only SQLite opens sound files, because closing one with file calls would drop the locks of a host
 * that has it open. SQLite itself syncs what it has written.
 *
 * @returns where a damaged database was moved; null if there was none.
 */
export async function replaceDatabase(
  replacement: Placement,
  { watched, ...options }: ReplaceOptions,
): Promise<string | null> {
  refuseLogWithoutDatabase(replacement.target);
  if (replacement.temporary === "move" && await moveInto(replacement)) return null;
  let aside: string | null = null;
  await using plain = await plainFile(replacement.source, replacement.compressed);
  const target = fileItself(replacement.target);
  await using source = await openSource(plain.path, options.timeout);
  if (sizeOf(target) === null) await source.copyTo(target);
  else if (watched !== null) await watched.overwriteWith(source, options);
  else if (await isSound(target, options.timeout)) {
    // It did not exist before, and is in no snapshot yet.
    await using existing = await WatchedDatabase.watch(target, { ...options, isKept: false });
    await existing.overwriteWith(source, options);
  } else aside = await replaceFile(source, target);
  // A killed run may have left its staged file.
  removeDatabase(partFileOf(target));
  await syncDirectory(directoryOf(target));
  return aside;
}

/** Options for replacing a database. */
interface ReplaceOptions extends OverwriteOptions {
  /** Has watched the database since before it was copied; null if it was missing or damaged. */
  readonly watched: WatchedDatabase | null;
}

/**
 * Renames a file to a missing database; false if the database exists by now. A missing source was
 * already moved by an earlier attempt.
 */
async function moveInto({ source, target }: Placement): Promise<boolean> {
  if (sizeOf(source) === null) return true;
  // Keep a link that was created in the meantime.
  if (sizeOf(target) !== null || isLink(target)) return false;
  // The log of a deleted database would be replayed into the new one.
  removeDatabase(target);
  Deno.renameSync(source, target);
  await syncDirectory(directoryOf(target));
  return true;
}

/** Whether SQLite finds no damage in a database; only a sound one can be copied into a snapshot. */
export async function isSound(path: string, timeout: number): Promise<boolean> {
  try {
    await using connection = await openForReading({ kind: "file", path }, { busyTimeout: timeout });
    // Rows that violate the bot's own constraints are not damage to the file.
    await connection.exec("PRAGMA ignore_check_constraints = ON");
    const { damages } = await checkFile(connection, { pragma: "quick_check", limit: 1 });
    return damages.length === 0;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/** Opens a source. SQLite would create a missing one as an empty database, and copy that. */
async function openSource(path: string, timeout: number): Promise<Connection> {
  if (sizeOf(path) !== null) {
    return await openForReading({ kind: "file", path }, { busyTimeout: timeout });
  }
  throw new SnapshotError(`Cannot restore ${path}: it is missing`, {
    help: "restore the file, then run the command again, or restore another snapshot",
  });
}

async function replaceFile(source: Connection, target: string): Promise<string> {
  const processes = processesWith(target);
  if (processes.length > 0) {
    throw inUse(target, processes.map((pid) => `process ${pid}`).join(", "));
  }
  const staged = partFileOf(target);
  removeDatabase(staged);
  createLike(staged, target);
  await source.copyTo(staged);
  await syncFile(staged);
  const aside = `${target}.damaged_${Math.floor(Date.now() / 1000)}`;
  // Logs first: next to the new file they would be replayed into it.
  for (const ending of ["-wal", "-shm", "-journal", ""]) {
    if (sizeOf(`${target}${ending}`) === null) continue;
    try {
      Deno.renameSync(`${target}${ending}`, `${aside}${ending}`);
    } catch (error) {
      // Windows does not allow renaming a file that SQLite has open.
      if (!/os error 32\b/.test(String(error)) || Deno.build.os !== "windows") throw error;
      throw inUse(target, "another process", error);
    }
  }
  Deno.renameSync(staged, target);
  return aside;
}

function inUse(target: string, holders: string, cause?: unknown): DatabaseLockedError {
  return new DatabaseLockedError(`Cannot replace ${target}: ${holders} has it open`, {
    cause,
    help: "stop that program, then run the command again: it continues where it stopped",
  });
}

/**
 * Processes that have a damaged database open, as far as they hold a lock. A reader of its log
 * counts, too: it would keep using the file that is moved aside.
 */
function processesWith(path: string): number[] {
  try {
    return [...new Set(locksOn(path, `${path}-shm`).map(({ pid }) => pid))];
  } catch {
    return []; // another system, or no permission
  }
}

/** Databases to replace. */
interface ReplacingPlan {
  /** The operation, for messages, such as `restore 20250120_123000`. */
  readonly cannot: string;
  /** Each database's path, and the size of its replacement; 0 if that is only moved there. */
  readonly replacements: readonly { readonly target: string; readonly bytes: number }[];
  /** Whether a snapshot of the existing data is taken. */
  readonly keeps: boolean;
}

/**
 * Checks that databases can be replaced, while the operation can still be cancelled: each of them,
 * and the ledger, must be writable, and there must be enough space.
 *
 * @throws {AccessError} if one can't be written.
 * @throws {DatabaseLockedError} if another program writes to one for longer than the timeout.
 * @throws {DiskFullError} if there is not enough space.
 */
export async function requireReplaceable(workspace: Workspace, plan: ReplacingPlan): Promise<void> {
  const targets = plan.replacements.map(({ target }) => target);
  for (const path of targets) {
    await requireWritable(path, workspace, plan).catch((error) => {
      // A damaged database is moved aside, not written.
      if (!isDamage(error)) throw error;
      requireWritableDirectory(path, plan);
    });
  }
  const { kind, path: ledger } = workspace.ledger;
  if (kind === "file" && !targets.includes(ledger)) await requireWritable(ledger, workspace, plan);
  await requireRoomFor(workspace, plan);
}

async function requireWritable(
  path: string,
  { timeout, ledgerFile, createDirectories }: Workspace,
  plan: ReplacingPlan,
): Promise<void> {
  if (path === ":memory:") return;
  refuseLogWithoutDatabase(path);
  if (sizeOf(path) === null) {
    ensureDirectories(path, { base: directoryOf(ledgerFile), mayCreate: createDirectories });
    return requireWritableDirectory(path, plan);
  }
  try {
    await tryWriting(path, timeout);
  } catch (error) {
    if (!(error instanceof AccessError)) throw error;
    throw unwritable(path, plan, { cause: error, reason: afterLabel(error.message, path) });
  }
}

/** Begins to write, and rolls back. */
async function tryWriting(path: string, timeout: number): Promise<void> {
  const settings = { busyTimeout: timeout };
  // Closed last. It never checkpoints the log of a crash into a file that may be damaged.
  await using _reader = await openForReading({ kind: "file", path }, settings);
  await using writer = await openForWriting({ kind: "file", path }, { ...settings, asItIs: true });
  // With a rollback journal a reader blocks the replacement, too.
  await whileBusy(writer, () => briefly(() => writer.exec("BEGIN EXCLUSIVE")), { timeout });
  try {
    // SQLite begins a transaction on a read-only file, too; it refuses the first write.
    await writer.exec("PRAGMA user_version = 0");
  } finally {
    if (writer.inTransaction) await writer.exec("ROLLBACK");
  }
}

function requireWritableDirectory(path: string, plan: ReplacingPlan): void {
  const probe = partFileOf(fileItself(path));
  try {
    writeNote(probe, "");
    removeIfThere(probe);
  } catch (error) {
    const reason = messageOf(error);
    throw unwritable(path, plan, { cause: error, reason });
  }
}

function unwritable(
  path: string,
  { cannot }: ReplacingPlan,
  { cause, reason }: { readonly cause: unknown; readonly reason: string },
): AccessError {
  return new AccessError(`Cannot ${cannot}: ${path} can't be written: ${reason}`, {
    cause,
    help: "nothing was changed; check that this user may write the file and its directory",
  });
}

/** The reason of a message `Cannot use <label>: <reason>`. */
function afterLabel(message: string, label: string): string {
  const start = message.indexOf(`${label}: `);
  return start === -1 ? message : message.slice(start + label.length + 2);
}

/** Bytes for the ledger, its log, and the restore's journal. */
const ROOM_FOR_LEDGER = 500_000;

/**
 * The snapshot of the existing data is written first. Then each existing database is written
 * completely to its log, and from there to its file, one after the other.
 */
async function requireRoomFor(
  { backups }: Workspace,
  { replacements, keeps }: ReplacingPlan,
): Promise<void> {
  const sizes = replacements.map(({ target, bytes }) => {
    const former = sizeOf(target) ?? 0;
    const file = fileItself(target);
    return {
      directory: directoryOf(file),
      kept: keeps ? former + logSizeOf(target) : 0,
      log: former === 0 ? 0 : bytes,
      growth: Math.max(0, bytes - former),
    };
  });
  const kept = sum(sizes.map(({ kept }) => kept));
  for (const [directory, group] of Map.groupBy(sizes, ({ directory }) => directory)) {
    const log = Math.max(...group.map(({ log }) => log));
    const growth = sum(group.map(({ growth }) => growth));
    const snapshot = isOnOneDisk(directory, backups) ? kept : 0;
    try {
      await requireRoom(directory, snapshot + log + growth + ROOM_FOR_LEDGER);
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      const help = "free some space, then run the command again; nothing was changed";
      throw new DiskFullError(error.message, { cause: error, help });
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((sum, one) => sum + one, 0);
}

/** Whether two directories share their free space; the second one may not exist yet. */
function isOnOneDisk(one: string, other: string): boolean {
  try {
    const there = sizeOf(other) === null ? directoryOf(other) : other;
    return Deno.statSync(one).dev === Deno.statSync(there).dev;
  } catch {
    return false; // reported where they are used
  }
}
