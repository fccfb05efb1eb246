import { commandOf, type Holder, othersOf, parseLocks, readLocks } from "../base/lock.ts";
import type { LogIndex } from "../database/untouched.ts";

/** A file system that is mounted. */
export interface Mount {
  /** Directory at which it begins. */
  readonly point: string;
  /** Its type, such as `ext4` or `fuse.sshfs`. */
  readonly type: string;
  /** What is mounted, such as `/dev/sda1` or `nas:/bot`. */
  readonly source: string;
  readonly readOnly: boolean;
}

/** Reads Linux's `/proc/self/mountinfo`. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    // A varying number of fields stands before the dash.
    const [before = "", after = ""] = line.split(" - ");
    const [, , , , point, options = ""] = before.split(" ");
    const [type, source = "", superOptions = ""] = after.split(" ");
    if (point === undefined || type === undefined || type === "") return [];
    const isReadOnly = [options, superOptions].some((list) => list.split(",").includes("ro"));
    return [{ point: unescaped(point), type, source: unescaped(source), readOnly: isReadOnly }];
  });
}

/** Spaces and the like are written as three octal digits. */
function unescaped(field: string): string {
  return field.replace(
    /\\([0-7]{3})/g,
    (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** The file system of an absolute path without links; null where there is none. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | null {
  let best: Mount | null = null;
  for (const mount of mounts) {
    const { point } = mount;
    const contains = point === "/" || path === point || path.startsWith(`${point}/`);
    // What is mounted later at the same place covers what was there.
    if (contains && point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** The mounted file systems; null where Linux doesn't tell. */
export function readMounts(): readonly Mount[] | null {
  try {
    return parseMounts(Deno.readTextFileSync("/proc/self/mountinfo"));
  } catch {
    return null;
  }
}

/** A process that has a database open. */
export interface Opener extends Holder {
  /** Path under which the database was asked for. */
  readonly path: string;
  /**
   * `file`: what is at the path; `deleted`: it or its log was deleted or replaced since; `moved`: it
   * has the log of this path, and as the database a file that has another name by now.
   */
  readonly what: "file" | "deleted" | "moved";
}

/** Who has databases open, as far as this user may know. */
export interface Openers {
  readonly openers: readonly Opener[];
  /** Whether the open files of some processes may not be looked at. */
  readonly isPartial: boolean;
  /** Whether the processes outside of this container can't be seen. */
  readonly isContained: boolean;
}

/** What Linux calls the namespace of processes that contains all others; fixed by the kernel. */
const ALL_PROCESSES = "pid:[4026531836]";

/** Whether this process sees only those of its own container, also among the holders of locks. */
export function isContained(): boolean {
  try {
    return Deno.readLinkSync("/proc/self/ns/pid") !== ALL_PROCESSES;
  } catch {
    return true; // then what isn't seen proves nothing
  }
}

const DELETED = " (deleted)";

/** The files that a connection has open: the database, its log and the log's index. */
const ENDINGS = ["", "-wal", "-shm"];

/** Finds the processes that have some databases open, by their real paths, but for this one. */
export function findOpeners(paths: readonly string[]): Openers {
  const files = new Map(
    paths.flatMap((path) => ENDINGS.map((ending) => [path + ending, { path, ending }])),
  );
  const openers: Opener[] = [];
  let isPartial = false;
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === Deno.pid) continue;
    const links = openFilesOf(pid);
    if (links === null) {
      isPartial = true;
      continue;
    }
    const seen = new Map<string, Set<string>>();
    for (const { descriptor, link } of links) {
      const isGone = link.endsWith(DELETED);
      const target = isGone ? link.slice(0, -DELETED.length) : link;
      // In another mount namespace, such as a container, the same file has another path.
      const there = files.has(target) || isGone
        ? target
        : [...files.keys()].find((one) =>
          nameOf(target) === nameOf(one) && isSameFile(descriptor, one)
        );
      const file = files.get(there ?? "");
      if (file === undefined) continue;
      const found = seen.get(file.path) ?? new Set();
      seen.set(file.path, found.add(file.ending + (isGone ? DELETED : "")));
    }
    for (const [path, found] of seen) {
      for (const what of stateOf(found)) openers.push({ pid, command: commandOf(pid), path, what });
    }
  }
  return { openers, isPartial, isContained: isContained() };
}

/** What the files that a process has open under one database's name tell. */
function stateOf(found: ReadonlySet<string>): Opener["what"][] {
  const isThere = found.has("");
  // The index alone proves nothing: SQLite deletes it before it is closed.
  const isGone = found.has(DELETED) || found.has(`-wal${DELETED}`);
  // One of the two alone may be a program that copies files.
  const isMoved = !isThere && !isGone && found.has("-wal") && found.has("-shm");
  return [
    ...isThere ? ["file" as const] : [],
    ...isGone ? ["deleted" as const] : [],
    ...isMoved ? ["moved" as const] : [],
  ];
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Null where this user may not look. */
function openFilesOf(pid: number): { readonly descriptor: string; readonly link: string }[] | null {
  const directory = `/proc/${pid}/fd`;
  try {
    return [...Deno.readDirSync(directory)].flatMap(({ name }) => {
      try {
        const descriptor = `${directory}/${name}`;
        return [{ descriptor, link: Deno.readLinkSync(descriptor) }];
      } catch {
        return []; // closed meanwhile
      }
    });
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? [] : null;
  }
}

function isSameFile(one: string, other: string): boolean {
  try {
    const [a, b] = [Deno.statSync(one), Deno.statSync(other)];
    return a.ino === b.ino && a.dev === b.dev;
  } catch {
    return false;
  }
}

/** Processes that have a lock on a file, each once. */
export function lockersOf(path: string): readonly Holder[] {
  const { ino } = Deno.statSync(path);
  return othersOf(
    parseLocks(readLocks()).filter(({ inode }) => inode === ino).map(({ pid }) => pid),
  );
}

/** Bytes of a log's index at which its locks for readers are; fixed by SQLite's format. */
const READ_LOCKS = 123;

/**
 * Processes that read a database as it was before the newest commits of its log, and so keep these from
 * being moved into it.
 */
export function lateReaders(indexPath: string, index: LogIndex): readonly Holder[] {
  const { ino } = Deno.statSync(indexPath);
  const locks = parseLocks(readLocks()).filter(({ inode }) => inode === ino);
  const late = index.marks.flatMap((mark, slot) => {
    // Who has the first lock reads the database alone, without its log.
    const isLate = slot === 0 ? index.moved < index.frames : mark < index.frames;
    const at = READ_LOCKS + slot;
    return isLate ? locks.filter(({ start, end }) => start <= at && at <= end) : [];
  });
  return othersOf(late.map(({ pid }) => pid));
}
