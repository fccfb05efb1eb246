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
import {
  directoryOf,
  isFullDisk,
  isTooManyFiles,
  partOf,
  RAISE_LIMIT,
  removeIfThere,
  syncDirectory,
  writeDurably,
} from "../base/files.ts";
import { isAbsolute, refuseSpecialFile, statPath } from "../base/paths.ts";
import type { Reconciliation } from "../engine/reconcile.ts";
import { sha256 } from "./manifest.ts";

/** A database that a restore replaces. */
export interface Replacement {
  /**
   * Name of the database. Where it is only the command that finishes the restore can say: since this
   * was written the directory may have been moved or copied.
   */
  readonly database: string;
  /** Path of the file that it is restored from. */
  readonly source: string;
  /** Size of that file, by which it is known again. */
  readonly bytes: number;
  readonly compressed: boolean;
  /**
   * How a source is used that was made only for this and is gone afterwards: moved where the database
   * was not there when this was decided, copied where it was. Absent where the source is to stay.
   */
  readonly temporary?: "move" | "copy";
  /** Whether it was replaced already, and may hold newer rows. Absent where it was not. */
  readonly isDone?: boolean;
}

/** What a restore or an import has decided to do; from the moment it is on the disk, it will be done. */
export interface RestoreJournal {
  /** What it is. Default `restore`. */
  readonly direction?: "restore" | "import";
  /** What is restored, as a person named it. */
  readonly label: string;
  /** Name of the snapshot of what was there before; null where nothing was. */
  readonly safety: string | null;
  /** Names of the snapshots that were taken each time when it was gone on with; absent where it was not. */
  readonly laterSnapshots?: readonly string[];
  /** Damaged databases that were moved aside; absent where there were none. */
  readonly movedAside?: readonly MovedAside[];
  readonly replacements: readonly Replacement[];
}

/** A damaged database, of which no snapshot could be taken. */
export interface MovedAside {
  /** Name of the database. */
  readonly database: string;
  /** Path of its file now. */
  readonly path: string;
}

/** Format of the journal that this version writes. */
const JOURNAL_FORMAT = 1;

/**
 * Writes the journal, so that a restore that is killed from now on is finished by the next command. A
 * source in the journal's directory is named from there: where that is copied or moved, it is as well.
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
  const checksum = await sha256(JSON.stringify(content));
  await writeDurably(partOf(path), JSON.stringify({ ...content, checksum }, null, 2));
  Deno.renameSync(partOf(path), path);
  await syncDirectory(directoryOf(path));
}

/** Path of a file as seen from a directory that it is in, by their names alone; null where it is not. */
function pathInside(directory: string, path: string): string | null {
  const inside = path.slice(directory.length + 1);
  const isInside = path.startsWith(directory) && /[/\\]/.test(path.charAt(directory.length)) &&
    !inside.split(/[/\\]/).includes("..");
  return isInside ? inside : null;
}

/** Whoever finishes the restore may have another working directory; a file that is gone stays as named. */
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
 * Reads the journal. It was renamed into its place when it was whole.
 *
 * @throws {SnapshotError} if it is damaged, or of another format: by it nothing may be overwritten.
 */
export async function readJournal(path: string): Promise<RestoreJournal> {
  const { format, checksum, ...content } = fieldsOf(parse(await readNote(path)));
  if (typeof format === "number" && format > JOURNAL_FORMAT) {
    throw unfinishable(
      `the format of ${path} is ${format}, and this version knows ${JOURNAL_FORMAT}`,
      {
        help: "a newer catalyst-migrate wrote it: update this one, which then finishes the restore",
      },
    );
  }
  const isWhole = format === JOURNAL_FORMAT && isJournal(content) &&
    checksum === await sha256(JSON.stringify({ format, ...content }));
  if (!isWhole) {
    throw unfinishable(`${path} is damaged`, {
      help:
        "nothing was changed by this; run `restore` with a snapshot, which keeps what is there in " +
        "another one: `backup list` shows them",
    });
  }
  const directory = directoryOf(path);
  const replacements = content.replacements.map((one) => ({
    ...one,
    source: isAbsolute(one.source) ? one.source : `${directory}/${one.source}`,
  }));
  return { ...content, replacements };
}

/** What keeps a restore from being finished, while nothing is changed. */
export function unfinishable(reason: string, { help }: { readonly help: string }): SnapshotError {
  return new SnapshotError(`Cannot finish the restore that was interrupted: ${reason}`, { help });
}

async function readNote(path: string): Promise<string> {
  refuseSpecialFile(path, { cannot: "read" });
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    const reason = messageOf(error);
    throw unfinishable(`${path} can't be read: ${reason}`, {
      help: "nothing was changed by this; let this user read that file, then run the command again",
    });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // said by who reads it
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

/** From the journal on, whatever is in the way means "later", and no longer "not at all". */
export function begun(
  error: unknown,
  direction: RestoreJournal["direction"] = "restore",
): CatalystError {
  const message = error instanceof CatalystError
    ? error.message
    : `Cannot finish the ${direction}: ${messageOf(error)}`;
  const options = (first: string) => ({
    cause: error,
    help:
      `the ${direction} has begun: ${first}, then run any command that changes something, such ` +
      `as \`upgrade\`; it finishes the ${direction}`,
  });
  if (error instanceof DatabaseLockedError) {
    return new DatabaseLockedError(message, options("stop that program, or let it finish"));
  }
  if (error instanceof DiskFullError || isFullDisk(error)) {
    return new DiskFullError(message, options("free some space"));
  }
  if (isTooManyFiles(error)) return new AccessError(message, options(RAISE_LIMIT));
  const { NotCapable, PermissionDenied } = Deno.errors;
  if (
    error instanceof AccessError || error instanceof PermissionDenied || error instanceof NotCapable
  ) {
    const first = "let this user read and write that file and its directory";
    return new AccessError(message, options(first));
  }
  if (error instanceof InterruptedError) return new InterruptedError(message, options("wait"));
  // These say by themselves what to do about a file that is gone.
  if (error instanceof SnapshotError) return error;
  return new SnapshotError(message, options("check the disk and the file"));
}

/** What a restore did. */
export interface RestoreResult extends Reconciliation {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** Databases that were replaced. */
  readonly restored: readonly string[];
  /** Name of the snapshot of what was there before; null where nothing was. */
  readonly safety: string | null;
  /**
   * Names of the snapshots that were taken since, because another program had written to a database
   * before it was replaced, or the restore had been interrupted; absent if there are none.
   */
  readonly laterSnapshots?: readonly string[];
  /** Damaged databases that are in no snapshot, and where their files are now; absent if there are none. */
  readonly movedAside?: readonly MovedAside[];
}
