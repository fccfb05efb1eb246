/**
 * What killed commands leave beside the databases: partial files, and directories of rehearsals.
 *
 * @module
 */
import { isFile, removeDatabase, removeIfThere } from "../base/files.ts";
import { acquireLock } from "../base/file_lock.ts";
import { mayRead, partFileOf } from "../base/paths.ts";
import { partsLeft, prefixOfLedger, restoreJournal, type Workspace } from "../state/workspace.ts";

/**
 * Removes the leftovers of killed commands beside the databases, except those that cannot be removed.
 * The caller must hold the migrator's lock.
 */
export async function removeLeftovers(workspace: Workspace): Promise<void> {
  try {
    removeParts(workspace);
    await removeRehearsals(prefixOfLedger(workspace.ledgerFile));
  } catch {
    // It does no harm, and `doctor` reports it.
  }
}

function removeParts(workspace: Workspace): void {
  // The incomplete journal of a killed restore.
  removeIfThere(partFileOf(restoreJournal(workspace.ledgerFile)));
  for (const part of partsLeft(workspace)) removeDatabase(part);
}

/** Name of the lock in a rehearsal's directory; it dies with the process. */
const LOCK = "rehearsal.lock";

/** Path of the lock of a rehearsal's directory. */
export function rehearsalLock(directory: string): string {
  return `${directory}/${LOCK}`;
}

/** Prefix of the names of such directories: `data/rehearsal-`. */
export function rehearsalsOf(prefix: string): string {
  return `${prefix}rehearsal-`;
}

/** Whether a name is that of a rehearsal's directory, with a prefix that is often empty. */
export function isRehearsal(name: string, prefix: string): boolean {
  const beginning = rehearsalsOf(prefix);
  return name.startsWith(beginning) && /^[0-9a-f]{8}$/.test(name.slice(beginning.length));
}

/** Milliseconds after which a directory without a lock counts as abandoned. */
export const GRACE = 60_000;

/** Removes the directories of rehearsals whose process has ended. */
export async function removeRehearsals(prefix: string): Promise<void> {
  const [, parent = "", beginning = ""] = /^(.*?)([^/\\]*)$/s.exec(prefix) ?? [];
  const place = parent === "" ? "." : parent;
  // Without permission Deno would prompt at a terminal.
  if (!mayRead(place)) return;
  for (const { name, isDirectory } of Deno.readDirSync(place)) {
    if (isDirectory && isRehearsal(name, beginning) && await isAbandoned(parent + name)) {
      removeRehearsal(parent + name);
    }
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    if (!isFile(rehearsalLock(directory))) {
      // A new directory has no lock yet. Only directories of rehearsals are removed.
      const { mtime } = Deno.statSync(directory);
      const isEmpty = [...Deno.readDirSync(directory)].length === 0;
      return isEmpty && mtime !== null && Date.now() - mtime.getTime() > GRACE;
    }
    using _lock = await acquireLock(rehearsalLock(directory), { timeout: 0 });
    return true;
  } catch {
    return false; // the lock is held, or belongs to another user
  }
}

export function removeRehearsal(directory: string): void {
  try {
    // Remove the lock last, so that a killed removal can be continued.
    for (const { name } of Deno.readDirSync(directory)) {
      if (name !== LOCK) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // Another rehearsal removed it first, or the next one will.
  }
}
