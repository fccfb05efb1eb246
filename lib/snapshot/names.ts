/**
 * How a snapshot and its files are named.
 *
 * @module
 */
import { sizeOf } from "../base/paths.ts";

/** Name of a snapshot: its time in UTC, and a number if two were taken in the same second. */
const NAME = /^\d{8}_\d{6}(_\d+)?$/;

/** Whether a text is the name of a snapshot, such as `20250120_123000`. */
export function isSnapshotName(text: string): boolean {
  return NAME.test(text);
}

/**
 * The name for a time in Unix epoch seconds; `attempt` distinguishes snapshots of the same second.
 */
export function snapshotName(epochSeconds: number, attempt = 1): string {
  const [date = "", time = ""] = new Date(epochSeconds * 1000).toISOString().split(/[T.]/);
  const stamp = `${date.replaceAll("-", "")}_${time.replaceAll(":", "")}`;
  return attempt === 1 ? stamp : `${stamp}_${attempt}`;
}

/** Orders names by date, and `..._10` after `..._9`. */
export function compareSnapshotNames(a: string, b: string): number {
  return a.slice(0, 15) === b.slice(0, 15)
    ? a.length - b.length || (a < b ? -1 : 1)
    : a < b
    ? -1
    : 1;
}

/** Name of the manifest's file. */
export function manifestFile(name: string): string {
  return `snapshot_${name}.json`;
}

/** Name of the snapshot that a manifest file belongs to, by its name; null if it is not one. */
export function manifestOf(file: string): string | null {
  return named(/^snapshot_(\w+)\.json$/, file);
}

/** Name of the file that marks a running snapshot and lists its files. */
export function reservationFile(name: string): string {
  return `snapshot_${name}.unfinished`;
}

/** Name of the running snapshot that a file marks, by its name; null if it is not such a file. */
export function reservationOf(file: string): string | null {
  return named(/^snapshot_(\w+)\.unfinished$/, file);
}

function named(pattern: RegExp, file: string): string | null {
  const name = pattern.exec(file)?.[1];
  return name !== undefined && isSnapshotName(name) ? name : null;
}

/** Name of a database's file, such as `positions_20250120_123000.db`. */
export function databaseFile(database: string, name: string, compressed: boolean): string {
  return `${database}_${name}.db${compressed ? ".gz" : ""}`;
}

/** A name that is not used by any file: users may name their own copies in the same way. */
export function freeSnapshotName(
  directory: string,
  createdAt: number,
  filesOf: (name: string) => readonly string[],
): string {
  for (let attempt = 1;; attempt++) {
    const name = snapshotName(createdAt, attempt);
    const files = [manifestFile(name), ...filesOf(name)];
    if (files.every((file) => sizeOf(`${directory}/${file}`) === null)) return name;
  }
}
