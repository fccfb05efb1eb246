/**
 * The journal of a restore or an import: what was decided, so that it can be completed after a
 * kill.
 *
 * @module
 */
import { messageOf } from "../base/format.ts";
import {
  AccessError,
  CatalystError,
  DatabaseLockedError,
  DiskFullError,
  InterruptedError,
  LocationError,
  SnapshotError,
} from "../base/errors.ts";
import { isFullDisk, removeIfThere, syncDirectory, writeDurably } from "../base/files.ts";
import {
  directoryOf,
  isAbsolute,
  isTooManyFiles,
  partFileOf,
  RAISE_LIMIT,
  refuseSpecialFile,
  statPath,
} from "../base/paths.ts";
import type { Reconciliation } from "../engine/reconcile.ts";
import type { LackingDatabase } from "./last_good.ts";
import { withChecksum } from "./manifest.ts";

/** A database that a restore replaces. */
export interface Replacement {
  /**
   * Name of the database. The command that completes the restore decides where it is: the directory
   * may have been moved or copied since.
   */
  readonly database: string;
  /** Path of the file to restore from. */
  readonly source: string;
  /** Size of that file, to recognise it. */
  readonly bytes: number;
  readonly compressed: boolean;
  /**
   * How to use a temporary source, which is removed afterwards: moved if the database did not exist
   * when this was decided, copied if it did. Absent if the source must be kept.
   */
  readonly temporary?: "move" | "copy";
  /** Whether it was already replaced, and may hold newer rows. Absent if it was not. */
  readonly isDone?: boolean;
}

/** What a restore or an import has decided to do. Once it is on disk, it will be completed. */
export interface RestoreJournal {
  /** Kind of operation. Default `restore`. */
  readonly direction?: "restore" | "import";
  /** What is restored, as the user named it. */
  readonly label: string;
  /** Name of the snapshot of the previous data; null if there was none. */
  readonly safety: string | null;
  /** Names of the snapshots taken whenever it was resumed; absent if it was not. */
  readonly laterSnapshots?: readonly string[];
  /** Damaged databases that were moved aside; absent if there were none. */
  readonly movedAside?: readonly MovedAside[];
  readonly replacements: readonly Replacement[];
}

/** A damaged database, which could not be copied into a snapshot. */
export interface MovedAside {
  /** Name of the database. */
  readonly database: string;
  /** Current path of its file. */
  readonly path: string;
}

/** Format of the journal that this version writes. */
const JOURNAL_FORMAT = 1;

/**
 * Writes the journal. From now on the next command completes a restore that is killed. A source in
 * the journal's directory is stored relative to it, in case the directory is copied or moved.
 */
export async function writeJournal(path: string, journal: RestoreJournal): Promise<void> {
  if (statPath(path)?.isDirectory) {
    throw new LocationError(`Cannot write ${path}: it is a directory`, {
      help: "move the directory away; nothing was changed",
    });
  }
  const directory = directoryOf(path);
  const replacements = journal.replacements.map((one) => ({
    ...one,
    source: pathInside(directory, one.source) ?? pathFromAnywhere(directory, one.source),
  }));
  const content = { format: JOURNAL_FORMAT, ...journal, replacements };
  await writeDurably(partFileOf(path), await withChecksum(content));
  Deno.renameSync(partFileOf(path), path);
  await syncDirectory(directoryOf(path));
}

/** Relative path of a file in a directory, by name only; null if it is not inside. */
function pathInside(directory: string, path: string): string | null {
  const inside = path.slice(directory.length + 1);
  const isInside = path.startsWith(directory) && /[/\\]/.test(path.charAt(directory.length)) &&
    !inside.split(/[/\\]/).includes("..");
  return isInside ? inside : null;
}

/**
 * Another working directory may be in use when the restore is completed. The path of a missing file
 * is kept.
 */
function pathFromAnywhere(directory: string, path: string): string {
  try {
    const itself = Deno.realPathSync(path);
    return pathInside(Deno.realPathSync(directory), itself) ?? itself;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return path;
  }
}

/**
 * Reads the journal. It is always complete: it was renamed into place after writing.
 *
 * @throws {SnapshotError} if it is damaged, or of another format; then nothing may be overwritten.
 */
export async function readJournal(path: string): Promise<RestoreJournal> {
  const text = await readNote(path);
  const { format, checksum: _, ...content } = fieldsOf(parse(text));
  if (typeof format === "number" && format > JOURNAL_FORMAT) {
    throw unfinishable(
      `the format of ${path} is ${format}, and this version knows ${JOURNAL_FORMAT}`,
      {
        help: "a newer catalyst-migrate wrote it: update this one, which then finishes the restore",
      },
    );
  }
  const isWhole = format === JOURNAL_FORMAT && isJournal(content) &&
    (await withChecksum({ format, ...content })).trimEnd() === text.trimEnd();
  if (!isWhole) {
    throw unfinishable(`${path} is damaged`, {
      help: "nothing was changed; run `restore` with a snapshot; it keeps the existing data in " +
        "another snapshot. `backup list` shows them",
    });
  }
  const directory = directoryOf(path);
  const replacements = content.replacements.map((one) => ({
    ...one,
    source: isAbsolute(one.source) ? one.source : `${directory}/${one.source}`,
  }));
  return { ...content, replacements };
}

/** The error for a restore that cannot be completed; nothing was changed. */
export function unfinishable(reason: string, { help }: { readonly help: string }): SnapshotError {
  return new SnapshotError(`Cannot finish the interrupted restore: ${reason}`, { help });
}

async function readNote(path: string): Promise<string> {
  refuseSpecialFile(path, { cannot: "read" });
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const reason = messageOf(error);
    throw unfinishable(`${path} can't be read: ${reason}`, {
      help: "nothing was changed; let this user read that file, then run the command again",
    });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // the caller reports it
  }
}

function isJournal(value: object): value is RestoreJournal {
  const { label, safety, replacements } = fieldsOf(value);
  return typeof label === "string" && (safety === null || typeof safety === "string") &&
    Array.isArray(replacements) && replacements.every((one) => {
      const { database, source, bytes, compressed } = fieldsOf(one);
      return typeof compressed === "boolean" && typeof bytes === "number" &&
        typeof database === "string" && typeof source === "string";
    });
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

/** Removes the journal: the restore is done. */
export async function removeJournal(path: string): Promise<void> {
  removeIfThere(path);
  await syncDirectory(directoryOf(path));
}

/** Once the journal exists, an obstacle delays the operation but no longer cancels it. */
export function errorAfterBeginning(
  error: unknown,
  direction: RestoreJournal["direction"] = "restore",
): CatalystError {
  const message = error instanceof CatalystError
    ? error.message
    : `Cannot finish the ${direction}: ${messageOf(error)}`;
  const { NotCapable, PermissionDenied } = Deno.errors;
  const isDenied = [AccessError, PermissionDenied, NotCapable].some((one) => error instanceof one);
  const [kind, first] = error instanceof DatabaseLockedError
    ? [DatabaseLockedError, "stop that program, or let it finish"]
    : error instanceof DiskFullError || isFullDisk(error)
    ? [DiskFullError, "free some space"]
    : isTooManyFiles(error)
    ? [AccessError, RAISE_LIMIT]
    : isDenied
    ? [AccessError, "let this user read and write that file and its directory"]
    : error instanceof InterruptedError
    ? [InterruptedError, "wait"]
    : [SnapshotError, "check the disk and the file"];
  // It already says what to do about a missing file.
  if (kind === SnapshotError && error instanceof SnapshotError) return error;
  return new kind(message, {
    cause: error,
    help:
      `the ${direction} has begun: ${first}, then run any command that changes the databases, such ` +
      `as \`upgrade\`; it finishes the ${direction}`,
  });
}

/** Result of a restore. */
export interface RestoreResult extends Reconciliation {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** Databases that were replaced. */
  readonly restored: readonly string[];
  /** Name of the snapshot of the previous data; null if there was none. */
  readonly safety: string | null;
  /**
   * Names of later snapshots, taken because another program wrote to a database before it was
   * replaced, or because the restore was interrupted; absent if there are none.
   */
  readonly laterSnapshots?: readonly string[];
  /**
   * Damaged databases that are in no snapshot, with their current paths; absent if there are none.
   */
  readonly movedAside?: readonly MovedAside[];
  /** Lost and damaged databases that the snapshot lacks; absent if none, or if databases were chosen. */
  readonly lacking?: readonly LackingDatabase[];
}
