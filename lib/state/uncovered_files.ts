import { messageOf } from "../base/format.ts";
import { directoryOf, fileIdentity, fileItself, mayRead } from "../base/paths.ts";
import { prefixOfLedger, type Workspace } from "./workspace.ts";

/** Maximum depth of the search below the data directory. */
const DEEPEST = 3;

/** Suffixes of files that are not databases in use: parts, copies, and files that the toolkit moved aside. */
const NOT_IN_USE = /(-wal|-shm|-journal|~|\.(part|bak|backup|old|orig|tmp|damaged_\d+))$/i;

/** Directories of programs, which may be large and contain no data of a bot. */
const PROGRAMS = /^(node_modules|site-packages|__pycache__|venv|target)$/;

const HEADER = new TextEncoder().encode("SQLite format 3\0");

/**
 * SQLite files in the data directory that have no name in the workspace, sorted. They are recognized
 * by their header. Ignores hidden files, snapshots, and copies such as `x.db.bak`. With a prefix such as
 * `test_`, only files that begin with it count.
 */
export function uncoveredFiles(
  { ledger, ledgerFile, locations, backups }: Pick<
    Workspace,
    "ledger" | "ledgerFile" | "locations" | "backups"
  >,
): string[] {
  if (ledger.kind === "open" || ledgerFile === ":memory:") return [];
  // Without permission Deno would prompt at a terminal.
  if (!mayRead(directoryOf(ledgerFile))) return [];
  const known = [ledger, ...locations.values()].map(({ path }) => fileItself(path));
  return databasesBelow(prefixOfLedger(ledgerFile), { except: backups, known });
}

/** Options of {@link databasesBelow}: what to ignore. */
interface Search {
  /** A directory, such as that of the snapshots. */
  readonly except?: string;
  /** Files not to open: closing one would drop this process's locks on it. */
  readonly known?: readonly string[];
  /** Called for a file that has the name of a database, but is none or can't be read. */
  readonly onSkipped?: (path: string, reason: string) => void;
}

/** Paths of SQLite files that begin with a prefix such as `data/` or `test_`, including subdirectories. */
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
  // Without permission Deno would prompt at a terminal.
  if (!mayRead(directory)) return [];
  const entries = entriesOf(directory);
  // A directory with snapshot manifests contains copies, regardless of its name.
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
    const problem = problemOf(path);
    if (problem === null) return [path];
    if (/\.(db|db3|sqlite|sqlite3)$/i.test(path)) search.onSkipped?.(path, problem);
    return [];
  });
}

/** Whether a file is one of the others, regardless of spelling. */
function isOneOf(path: string, others: readonly string[]): boolean {
  if (others.includes(path)) return true;
  const identity = fileIdentity(path);
  return identity !== null && others.some((other) => fileIdentity(other) === identity);
}

function entriesOf(directory: string): Deno.DirEntry[] {
  try {
    return [...Deno.readDirSync(directory)];
  } catch {
    return []; // missing or unreadable, which is reported elsewhere
  }
}

/** Why a file is no SQLite database; null if it is one. */
function problemOf(path: string): string | null {
  try {
    using file = Deno.openSync(path);
    const start = new Uint8Array(HEADER.length);
    const length = file.readSync(start);
    if (length === null) return "it is empty";
    const isRight = length === HEADER.length && start.every((byte, at) => byte === HEADER[at]);
    return isRight ? null : "it is not an SQLite database";
  } catch (error) {
    return messageOf(error);
  }
}

/** A unique name for a database file: `alert_perf` for `feedback/alert perf.db`. */
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

/** Number of files to name; the others are only counted. */
const NAMED_FILES = 3;

/** A message about files without a name. */
interface Uncovered {
  /** The files, such as "2 files are not covered: a.db, b.db". */
  readonly detail: string;
  /** What to do next. */
  readonly help: string;
}

/** Describes the files without a name: the first few, and the number of others. */
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
