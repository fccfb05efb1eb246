/** Name of a snapshot: its moment in UTC, and a number where two fell into one second. */
const NAME = /^\d{8}_\d{6}(_\d+)?$/;

/** Whether a text is the name of a snapshot, such as `20250120_123000`. */
export function isSnapshotName(text: string): boolean {
  return NAME.test(text);
}

/** The name for a moment in Unix epoch seconds; `attempt` 2 and more tell those of one second apart. */
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

/** Name of the snapshot whose manifest a file is, by its name; null where it is none. */
export function manifestOf(file: string): string | null {
  return named(/^snapshot_(\w+)\.json$/, file);
}

/** Name of the file that says a run is under way, and which files it makes. */
export function reservationFile(name: string): string {
  return `snapshot_${name}.unfinished`;
}

/** Name of the snapshot that a file says is under way, by its name; null where it says nothing. */
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
