import { fileItself } from "../base/paths.ts";
import { openFile } from "../database/node_sqlite.ts";
import { openForReading } from "../database/reading.ts";
import { defaultSettings } from "../database/settings.ts";
import { whileBusy } from "../database/transaction.ts";
import { directoryOf, ensureDirectory } from "../base/files.ts";
import { logSizeOf, removeIfThere, requireRoom, sizeOf } from "../base/files.ts";
import { AccessError, DiskFullError } from "../base/errors.ts";
import type { Workspace } from "../state/workspace.ts";
import { partOf } from "../base/files.ts";
import { isDamage } from "./replace.ts";

/** Databases that are to be replaced. */
export interface ReplacingPlan {
  /** What is going to be done, for messages, such as `restore 20250120_123000`. */
  readonly cannot: string;
  /** Each database's path, and the size of what takes its place; 0 where that is only moved there. */
  readonly replacements: readonly { readonly target: string; readonly bytes: number }[];
  /** Whether a snapshot is taken of what is there. */
  readonly keeps: boolean;
}

/**
 * Makes sure that databases can be replaced, as long as "not at all" is still possible: that each of
 * them, and the ledger, may be written, and that there is room.
 *
 * @throws {AccessError} where one may not be written.
 * @throws {DatabaseLockedError} where another program writes to one for longer than the timeout.
 * @throws {DiskFullError} where there is no room.
 */
export async function requireReplaceable(workspace: Workspace, plan: ReplacingPlan): Promise<void> {
  const targets = plan.replacements.map(({ target }) => target);
  for (const path of targets) {
    await requireWritable(path, workspace, plan).catch((error) => {
      // A damaged one is not written to, but moved aside.
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
  { timeout, createDirectories }: Workspace,
  plan: ReplacingPlan,
): Promise<void> {
  if (path === ":memory:") return;
  if (sizeOf(path) === null) {
    ensureDirectory(path, createDirectories);
    return requireWritableDirectory(path, plan);
  }
  try {
    await tryWriting(path, timeout);
  } catch (error) {
    if (!(error instanceof AccessError)) throw error;
    throw unwritable(path, plan, { cause: error, reason: afterLabel(error.message, path) });
  }
}

/** Begins to write, and takes it back. */
async function tryWriting(path: string, timeout: number): Promise<void> {
  const settings = { ...defaultSettings, busyTimeout: timeout };
  // Closed last, and never moves what a crash left in a log into a file that may be damaged.
  await using _reader = await openForReading({ kind: "file", path }, settings);
  await using writer = await openFile(path, { verb: "open", mode: "ordinary" });
  await whileBusy(writer, () => writer.exec("BEGIN IMMEDIATE"), { timeout });
  try {
    // That much SQLite also begins on a file that is read-only; it refuses the first write.
    await writer.exec("PRAGMA user_version = 0");
  } finally {
    if (writer.inTransaction) await writer.exec("ROLLBACK");
  }
}

function requireWritableDirectory(path: string, plan: ReplacingPlan): void {
  const probe = partOf(fileItself(path));
  try {
    Deno.writeTextFileSync(probe, "");
    removeIfThere(probe);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
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

/** What is the case, of a message `Cannot use <label>: <what is the case>`. */
function afterLabel(message: string, label: string): string {
  const start = message.indexOf(`${label}: `);
  return start === -1 ? message : message.slice(start + label.length + 2);
}

/** Bytes for the ledger and its log, and for the note of what is to be done. */
const ROOM_FOR_LEDGER = 500_000;

/**
 * The snapshot of what is there is written first. Then each database that is there is written to its
 * log as a whole, and from that into its file, one after the other.
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

/** Whether two directories share their free space; the second one need not be there yet. */
function isOnOneDisk(one: string, other: string): boolean {
  try {
    const there = sizeOf(other) === null ? directoryOf(other) : other;
    return Deno.statSync(one).dev === Deno.statSync(there).dev;
  } catch {
    return false; // who needs them says so
  }
}
