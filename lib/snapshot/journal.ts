import { directoryOf } from "../directory.ts";
import { SnapshotError } from "../errors.ts";
import { removeIfThere, syncDirectory, writeDurably } from "../disk.ts";
import { partOf } from "./name.ts";

/** A database that a restore replaces. */
export interface Replacement {
  readonly database: string;
  /** Absolute path of the file that it is restored from. */
  readonly source: string;
  readonly compressed: boolean;
  /** Path of the database. */
  readonly target: string;
  /**
   * How a source is used that was made only for this and is gone afterwards: moved where the database
   * was not there when this was decided, copied where it was. Absent where the source is to stay.
   */
  readonly temporary?: "move" | "copy";
}

/** What a restore or an import has decided to do; from the moment it is on the disk, it will be done. */
export interface RestoreJournal {
  /** What it is. Default `restore`. */
  readonly direction?: "restore" | "import";
  /** What is restored, as a person named it. */
  readonly label: string;
  /** Name of the snapshot of what was there before; null where nothing was. */
  readonly safety: string | null;
  readonly replacements: readonly Replacement[];
}

/** Writes the journal, so that a restore that is killed from now on is finished by the next command. */
export async function writeJournal(path: string, journal: RestoreJournal): Promise<void> {
  await writeDurably(partOf(path), JSON.stringify(journal, null, 2));
  Deno.renameSync(partOf(path), path);
  await syncDirectory(directoryOf(path));
}

/** Reads the journal. It was renamed into its place when it was whole. */
export async function readJournal(path: string): Promise<RestoreJournal> {
  try {
    const journal: unknown = JSON.parse(await Deno.readTextFile(path));
    if (isJournal(journal)) return journal;
    throw new TypeError("a field is missing or wrong");
  } catch (error) {
    throw new SnapshotError(`Cannot finish the restore that was interrupted: ${path} is damaged`, {
      cause: error,
      help: `run \`restore\` with the snapshot again after removing ${path}`,
    });
  }
}

function isJournal(value: unknown): value is RestoreJournal {
  const { label, safety, replacements } = fieldsOf(value);
  return typeof label === "string" && (safety === null || typeof safety === "string") &&
    Array.isArray(replacements) && replacements.every((one) => {
      const { database, source, compressed, target } = fieldsOf(one);
      return typeof compressed === "boolean" &&
        [database, source, target].every((text) => typeof text === "string");
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
