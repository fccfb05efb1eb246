import { directoryOf } from "../base/files.ts";
import { fileItself, mayRead } from "../base/paths.ts";
import type { Workspace } from "./workspace.ts";

/** How deep below the data directory databases are looked for. */
const DEEPEST = 3;

/** Endings of what is not a database in use: parts of one, copies, and what the toolkit moved aside. */
const NOT_IN_USE = /(-wal|-shm|-journal|~|\.(part|bak|backup|old|orig|tmp|damaged_\d+))$/i;

const HEADER = new TextEncoder().encode("SQLite format 3\0");

/**
 * SQLite files in the data directory that have no name in the workspace, sorted. They are recognised
 * by their header. Hidden files, snapshots, and copies such as `x.db.bak` don't count.
 */
export function uncoveredFiles(workspace: Workspace): string[] {
  const { ledger, locations, backups } = workspace;
  if (ledger.kind !== "file" || ledger.path === ":memory:") return [];
  const known = [ledger, ...locations.values()].map(({ path }) => fileItself(path));
  return databasesBelow(directoryOf(ledger.path), { except: backups })
    .filter((path) => !known.includes(fileItself(path)));
}

/** Paths of the SQLite files in a directory and below it. */
export function databasesBelow(
  directory: string,
  { except, depth = DEEPEST }: { readonly except?: string; readonly depth?: number } = {},
): string[] {
  // Without the permission Deno would ask a person at a terminal for it.
  if (!mayRead(directory)) return [];
  const entries = entriesOf(directory);
  // A directory with manifests of snapshots has copies, whatever it is called.
  if (entries.some(({ name }) => /^snapshot_.*\.json$/.test(name))) return [];
  return entries.toSorted((a, b) => a.name < b.name ? -1 : 1).flatMap((entry) => {
    const path = directory === "." ? entry.name : `${directory}/${entry.name}`;
    if (entry.name.startsWith(".") || path === except) return [];
    if (entry.isDirectory) return depth === 0 ? [] : databasesBelow(path, { depth: depth - 1 });
    return entry.isFile && !NOT_IN_USE.test(entry.name) && isDatabase(path) ? [path] : [];
  });
}

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch {
    return []; // it does not exist or can't be read, which others report
  }
}

function isDatabase(path: string): boolean {
  try {
    using file = Deno.openSync(path);
    const start = new Uint8Array(HEADER.length);
    return file.readSync(start) === HEADER.length &&
      start.every((byte, index) => byte === HEADER[index]);
  } catch {
    return false;
  }
}

/** A name for a database file that no other one has: `feedback/alert perf.db` is `alert_perf`. */
export function proposeName(path: string, taken: readonly string[]): string {
  const parts = path.split("/").map((part) =>
    part.replace(/\.(db|sqlite|sqlite3|db3)$/i, "").replace(/[^A-Za-z0-9]+/g, "_")
      .replace(/^_+|_+$/g, "")
  ).filter((part) => part !== "");
  const used = taken.map((name) => name.toLowerCase());
  for (let count = 1; count <= parts.length; count++) {
    const joined = parts.slice(-count).join("_");
    const name = /^[A-Za-z]/.test(joined) ? joined : `db_${joined}`;
    if (name.length <= 64 && !used.includes(name.toLowerCase())) return name;
  }
  for (let number = 2;; number++) {
    const name = `database_${number}`;
    if (!used.includes(name)) return name;
  }
}
