import { type Holder, writersOf } from "../base/holders.ts";
import { shellWord } from "../base/suggestion.ts";
import { fileItself, mayRead } from "../base/paths.ts";
import { sleep } from "../base/files.ts";
import { GRACE } from "../trial/copies.ts";
import { storeLock } from "../snapshot/store.ts";
import { ledgerOf, lockBeside } from "../state/workspace.ts";
import { beginningOf, type FileContext, reasonAgainstWriting } from "./inspect_database.ts";
import { type Check, checksOf, ownerIn } from "./diagnose_database.ts";
import type { Facts } from "./gather.ts";
import { isContained, lockersOf } from "./linux.ts";
import type { LookedDatabase } from "./state.ts";

/** A file that a migrator has locked, or had. */
export interface LockFacts {
  readonly path: string;
  /** Null where that can't be told. */
  readonly isHeld: boolean | null;
  /** What the file says of its last holder. */
  readonly holder: string;
  readonly info: Deno.FileInfo | null;
  /** Why it can't be taken; null where it can, or that isn't known. */
  readonly unwritable: string | null;
}

/** How often a lock that keeps others from writing is looked at again, and after what pause. */
const LOOKS = 10;
const PAUSE = 30;

/** Who kept others from writing in one look after the other, and did not commit in between. */
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

/** Bytes of a log's index, and of a database, in which each commit changes something. */
const INDEX_HEADER = 48;
const CHANGE_COUNTER = { from: 24, to: 28 };

/** Another text after each commit. */
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
    return ""; // Windows lets nobody read what is locked
  }
}

/** Looks at a lock without taking it away from anybody; nothing where there is no such file. */
export function lockFacts(path: string, context: FileContext): LockFacts[] {
  if (!mayRead(path)) return [];
  const found = { path, isHeld: null, holder: "", info: null, unwritable: null };
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) return [{ ...found, info }];
    const unwritable = reasonAgainstWriting(path);
    try {
      const holder = holderOf(path);
      return [{ path, isHeld: isLockHeld(path, info, context), holder, info, unwritable }];
    } catch {
      return [{ ...found, info, unwritable }];
    }
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? [] : [found];
  }
}

/** Null where that can't be told. */
function isLockHeld(
  path: string,
  { mtime }: Deno.FileInfo,
  { isAllPermitted }: FileContext,
): boolean | null {
  if (isAllPermitted && Deno.build.os === "linux") {
    if (lockersOf(path).length > 0) return true;
    // Elsewhere than in a container all that hold it are seen.
    if (!isContained()) return false;
  }
  // A rehearsal that begins takes its lock without waiting, and must not find it taken by this look.
  if (mtime !== null && Date.now() - mtime.getTime() < GRACE && path.endsWith("rehearsal.lock")) {
    return null;
  }
  using file = Deno.openSync(path);
  // Given back at once; it is shared, so that two looks don't disturb each other.
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
    if (info?.isDirectory) {
      return [
        problem(
          "lock-unwritable",
          `${path} is a directory, and has to be a file; ${so}`,
          "move it away",
        ),
      ];
    }
    // Where nothing can be written, that is said of the directory.
    if (unwritable === null || place.isWritable === false) return [];
    const owner = info === null ? "" : ownerIn(info);
    return [problem(
      "lock-unwritable",
      `${path} can't be written: ${unwritable}${owner}; ${so}`,
      `delete it while no catalyst-migrate runs, for it holds nothing: rm -f ${shellWord(path)}`,
    )];
  });
}
