/**
 * Examines the locks of the toolkit, and processes that block writers.
 *
 * @module
 */
import { sleep } from "../base/event_loop.ts";
import { fileItself, mayRead, specialKind } from "../base/paths.ts";
import { type Holder, locksOn, otherHolders, writersOf } from "../base/lock_holders.ts";
import { shellWord } from "../base/format.ts";
import { storeLock } from "../snapshot/store.ts";
import { ledgerOf, lockBeside } from "../state/workspace.ts";
import { GRACE } from "../engine/remove_leftovers.ts";
import {
  type Check,
  checksOf,
  type Facts,
  type LockFacts,
  type LookedDatabase,
  ownerIn,
} from "./facts.ts";
import { beginningOf, type FileContext, reasonAgainstWriting } from "./inspect_files.ts";
import { isContained } from "./linux.ts";

/** How often to recheck a lock that blocks writers, and the pause in between. */
const LOOKS = 10;
const PAUSE = 30;

/** Processes that blocked writers in every check without committing in between. */
export async function blockersOf(
  databases: readonly LookedDatabase[],
): Promise<ReadonlyMap<string, readonly Holder[]>> {
  let left = databases.filter(({ writers }) => writers.length > 0)
    .map((one) => ({ ...one, commit: lastCommit(one.path) }));
  for (let look = 0; look < LOOKS && left.length > 0; look++) {
    await sleep(PAUSE);
    left = left.flatMap((one) => {
      const now = new Set(writersOf(one.path).map(({ pid }) => pid));
      const writers = one.writers.filter(({ pid }) => now.has(pid));
      return writers.length > 0 && lastCommit(one.path) === one.commit ? [{ ...one, writers }] : [];
    });
  }
  return new Map(left.map(({ name, writers }) => [name, writers]));
}

/** Bytes of a log's index, and of a database, that every commit changes. */
const INDEX_HEADER = 48;
const CHANGE_COUNTER = { from: 24, to: 28 };

/** A text that changes with each commit. */
function lastCommit(path: string): string {
  const { from, to } = CHANGE_COUNTER;
  return beginningOf(`${fileItself(path)}-shm`, INDEX_HEADER).bytes.toHex() +
    beginningOf(path, to).bytes.subarray(from).toHex();
}

function holderOf(path: string): string {
  try {
    return Deno.readTextFileSync(path).trim();
  } catch (error) {
    if (Deno.build.os !== "windows" || error instanceof Deno.errors.NotFound) throw error;
    return ""; // Windows does not let others read a locked file
  }
}

/** Examines a lock without taking it from anyone; empty if there is no such file. */
export function lockFacts(path: string, context: FileContext): LockFacts[] {
  if (!mayRead(path)) return [];
  let found: LockFacts = { path, isHeld: null, holder: "", info: null, unwritable: null };
  try {
    const info = Deno.statSync(path);
    found = { ...found, info };
    if (!info.isFile) return [found]; // opening a pipe would wait
    found = { ...found, unwritable: reasonAgainstWriting(path) };
    return [{ ...found, holder: holderOf(path), isHeld: isLockHeld(path, info, context) }];
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? [] : [found];
  }
}

/** Null if unknown. */
function isLockHeld(
  path: string,
  { mtime }: Deno.FileInfo,
  { isAllPermitted }: FileContext,
): boolean | null {
  if (isAllPermitted && Deno.build.os === "linux") {
    if (otherHolders(locksOn(path)).length > 0) return true;
    // Outside of a container all holders are visible.
    if (!isContained()) return false;
  }
  // A starting rehearsal takes its lock without waiting, and this check must not get in its way.
  if (mtime !== null && Date.now() - mtime.getTime() < GRACE && path.endsWith("rehearsal.lock")) {
    return null;
  }
  using file = Deno.openSync(path);
  // Released at once. It is shared, so that two checks do not disturb each other.
  const isFree = file.tryLockSync(false);
  if (isFree) file.unlockSync();
  return !isFree;
}

/** Locks that this user can't take, which stops every command that changes something. */
export function lockProblems(facts: Facts): Check[] {
  const { locks, request, directory, backups, backupsDirectory } = facts;
  const { problem } = checksOf("paths");
  const needed = [
    {
      lock: lockBeside(ledgerOf(request.prefix)),
      place: directory,
      so: "so no command can change anything",
    },
    { lock: storeLock(backups), place: backupsDirectory, so: "so no snapshot can be taken" },
  ];
  return needed.flatMap(({ lock, place, so }) => {
    const { path, info = null, unwritable = null } = locks.find(({ path }) => path === lock) ?? {};
    if (path === undefined) return [];
    const kind = info === null ? null : specialKind(info);
    if (kind !== null) {
      return [
        problem(
          "lock-unwritable",
          `${path} is ${kind}, but must be a file; ${so}`,
          "move it away",
        ),
      ];
    }
    // An unwritable directory is reported by its own check.
    if (unwritable === null || place.isWritable === false) return [];
    const owner = info === null ? "" : ownerIn(info);
    return [problem(
      "lock-unwritable",
      `${path} can't be written: ${unwritable}${owner}; ${so}`,
      `delete it while no catalyst-migrate runs; it contains no data: rm -f ${shellWord(path)}`,
    )];
  });
}
