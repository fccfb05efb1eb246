import { directoryOf, fileIdentity, fileItself, mayRead } from "../base/paths.ts";
import { prefixOfLedger, type Workspace } from "./workspace.ts";

/** How deep below the data directory databases are looked for. */
const DEEPEST = 3;

/** Endings of what is not a database in use: parts of one, copies, and what the toolkit moved aside. */
const NOT_IN_USE = /(-wal|-shm|-journal|~|\.(part|bak|backup|old|orig|tmp|damaged_\d+))$/i;

/** Directories of programs, which may be large; a bot keeps no data there. */
const PROGRAMS = /^(node_modules|site-packages|__pycache__|venv|target)$/;

const HEADER = new TextEncoder().encode("SQLite format 3\0");

/**
 * SQLite files in the data directory that have no name in the workspace, sorted. They are recognised
 * by their header. Hidden files, snapshots, and copies such as `x.db.bak` don't count. With a prefix such
 * as `test_`, only what begins with it does.
 */
export function uncoveredFiles(
  { ledger, ledgerFile, locations, backups }: Pick<
    Workspace,
    "ledger" | "ledgerFile" | "locations" | "backups"
  >,
): string[] {
  if (ledger.kind === "open" || ledgerFile === ":memory:") return [];
  // Without the permission Deno would ask a person at a terminal for it.
  if (!mayRead(directoryOf(ledgerFile))) return [];
  const known = [ledger, ...locations.values()].map(({ path }) => fileItself(path));
  return databasesBelow(prefixOfLedger(ledgerFile), { except: backups, known });
}

/** What is left out. */
interface Search {
  /** A directory, such as that of the snapshots. */
  readonly except?: string;
  /** Files, which are not opened: closing one would drop the locks that this process has on it. */
  readonly known?: readonly string[];
}

/** Paths of the SQLite files that begin with a prefix, such as `data/` or `test_`, and below such directories. */
export function databasesBelow(prefix: string, search: Search = {}): string[] {
  const directory = directoryOf(prefix);
  const start = /[^/\\]*$/.exec(prefix)?.[0] ?? "";
  return filesIn(directory, { ...search, start, depth: DEEPEST });
}

function filesIn(
  directory: string,
  search: Search & { readonly start: string; readonly depth: number },
): string[] {
  const { except, known = [], start, depth } = search;
  // Without the permission Deno would ask a person at a terminal for it.
  if (!mayRead(directory)) return [];
  const entries = entriesOf(directory);
  // A directory with manifests of snapshots has copies, whatever it is called.
  if (entries.some(({ name }) => /^snapshot_.*\.json$/.test(name))) return [];
  return entries.toSorted((a, b) => a.name < b.name ? -1 : 1).flatMap((entry) => {
    const path = directory === "." ? entry.name : `${directory}/${entry.name}`;
    const isOut = entry.name.startsWith(".") || !entry.name.startsWith(start) || path === except;
    if (isOut) return [];
    if (entry.isDirectory) {
      if (depth === 0 || PROGRAMS.test(entry.name)) return [];
      return filesIn(path, { ...search, start: "", depth: depth - 1 });
    }
    if (!entry.isFile || NOT_IN_USE.test(entry.name) || isOneOf(path, known)) return [];
    return isDatabase(path) ? [path] : [];
  });
}

/** Whether a file is one of some others, however they are spelled. */
function isOneOf(path: string, others: readonly string[]): boolean {
  if (others.includes(path)) return true;
  const identity = fileIdentity(path);
  return identity !== null && others.some((other) => fileIdentity(other) === identity);
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

/** Files that are named before they are only counted. */
const NAMED_FILES = 3;

/** What to tell of files that have no name. */
interface Uncovered {
  /** The files, such as "2 files are not covered: a.db, b.db". */
  readonly detail: string;
  /** What to do. */
  readonly help: string;
}

/** Says which files have no name: the first few, and how many there are. */
export function describeUncovered(
  paths: readonly string[],
  { hasConfiguration }: { readonly hasConfiguration: boolean },
): Uncovered {
  const named = paths.slice(0, NAMED_FILES).join(", ");
  const left = paths.length - NAMED_FILES;
  const [subject, object] = paths.length === 1
    ? ["1 file is", "it"]
    : [`${paths.length} files are`, "them"];
  return {
    detail: `${subject} not covered: ${named}${left > 0 ? ` and ${left} more` : ""}`,
    help: `\`${hasConfiguration ? "init --force" : "init"}\` adds ${object}`,
  };
}
