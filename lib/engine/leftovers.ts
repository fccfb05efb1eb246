/** What killed commands left. The one that holds the migrator's lock next removes it. */
import { removeDatabase, removeIfThere } from "../base/files.ts";
import { mayRead, partOf, sizeOf } from "../base/paths.ts";
import { acquireLock } from "../base/lock.ts";
import { partsOf, prefixOfLedger, restoreJournal, type Workspace } from "../state/workspace.ts";

/**
 * Removes what killed commands left beside the databases; what can't be removed stays. The caller holds
 * the migrator's lock.
 */
export async function removeLeftovers(workspace: Workspace): Promise<void> {
  try {
    removeParts(workspace);
    await removeRehearsals(prefixOfLedger(workspace.ledgerFile));
  } catch {
    // It is in nobody's way, and `doctor` names it.
  }
}

function removeParts(workspace: Workspace): void {
  // What a restore that was killed had not decided yet.
  removeIfThere(partOf(restoreJournal(workspace.ledgerFile)));
  for (const part of partsOf(workspace)) {
    if (databaseFiles(part).some((file) => sizeOf(file) !== null)) removeDatabase(part);
  }
}

function databaseFiles(path: string): string[] {
  return ["", "-wal", "-shm", "-journal"].map((ending) => path + ending);
}

/** Name of the lock in a rehearsal's directory; it dies with the process. */
const LOCK = "rehearsal.lock";

/** Path of the lock of a rehearsal's directory. */
export function rehearsalLock(directory: string): string {
  return `${directory}/${LOCK}`;
}

/** What the names of such directories begin with: `data/rehearsal-`. */
export function rehearsalsOf(prefix: string): string {
  return `${prefix}rehearsal-`;
}

/** Whether a name is that of a rehearsal's directory, where names begin with a prefix; often empty. */
export function isRehearsal(name: string, prefix: string): boolean {
  const beginning = rehearsalsOf(prefix);
  return name.startsWith(beginning) && /^[0-9a-f]{8}$/.test(name.slice(beginning.length));
}

/** Milliseconds after which a directory without a lock belongs to nobody. */
export const GRACE = 60_000;

/** Removes the directories of rehearsals whose process is gone. */
export async function removeRehearsals(prefix: string): Promise<void> {
  const [, parent = "", beginning = ""] = /^(.*?)([^/\\]*)$/s.exec(prefix) ?? [];
  const place = parent === "" ? "." : parent;
  // Without the permission Deno would ask a person at a terminal for it.
  if (!mayRead(place)) return;
  for (const { name, isDirectory } of Deno.readDirSync(place)) {
    if (isDirectory && isRehearsal(name, beginning) && await isAbandoned(parent + name)) {
      removeRehearsal(parent + name);
    }
  }
}

async function isAbandoned(directory: string): Promise<boolean> {
  try {
    if (!exists(rehearsalLock(directory))) {
      // One that is being made has no lock yet; nothing else but a rehearsal's directory is removed.
      const { mtime } = Deno.statSync(directory);
      const isEmpty = [...Deno.readDirSync(directory)].length === 0;
      return isEmpty && mtime !== null && Date.now() - mtime.getTime() > GRACE;
    }
    using _lock = await acquireLock(rehearsalLock(directory), { timeout: 0 });
    return true;
  } catch {
    return false; // somebody holds the lock, or it is another user's
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

export function removeRehearsal(directory: string): void {
  try {
    // The lock last: until then a rehearsal that is killed here is known for one.
    for (const { name } of Deno.readDirSync(directory)) {
      if (name !== LOCK) Deno.removeSync(`${directory}/${name}`, { recursive: true });
    }
    Deno.removeSync(directory, { recursive: true });
  } catch {
    // Another rehearsal was quicker, or the next one will have to.
  }
}
