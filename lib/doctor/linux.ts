/**
 * What Linux tells about mounted file systems and the processes that have databases open.
 *
 * @module
 */
import { commandLineOf, type Holder, locksOn, otherHolders } from "../base/lock_holders.ts";
import type { LogIndex } from "../database/untouched.ts";

/** A mounted file system. */
export interface Mount {
  /** Its mount point. */
  readonly point: string;
  /** Its type, such as `ext4` or `fuse.sshfs`. */
  readonly type: string;
  /** What is mounted, such as `/dev/sda1` or `nas:/bot`. */
  readonly source: string;
  readonly readOnly: boolean;
}

/** What a look at the system finds; `otherwise` if it can't be seen, or was removed meanwhile. */
export function attempt<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** Reads Linux's `/proc/self/mountinfo`. */
export function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    // A varying number of fields precedes the dash.
    const [before = "", after = ""] = line.split(" - ");
    const [, , , , point, options = ""] = before.split(" ");
    const [type, source = "", superOptions = ""] = after.split(" ");
    if (point === undefined || type === undefined || type === "") return [];
    const isReadOnly = [options, superOptions].some((list) => list.split(",").includes("ro"));
    return [{ point: unescaped(point), type, source: unescaped(source), readOnly: isReadOnly }];
  });
}

/** Spaces and similar characters are written as three octal digits. */
function unescaped(field: string): string {
  return field.replace(
    /\\([0-7]{3})/g,
    (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** The file system of an absolute path without links; null if there is none. */
export function mountOf(mounts: readonly Mount[], path: string): Mount | null {
  let best: Mount | null = null;
  for (const mount of mounts) {
    const { point } = mount;
    const contains = point === "/" || path === point || path.startsWith(`${point}/`);
    // A later mount at the same place hides earlier ones.
    if (contains && point.length >= (best?.point.length ?? 0)) best = mount;
  }
  return best;
}

/** The mounted file systems; null if Linux does not say. */
export function readMounts(): readonly Mount[] | null {
  return attempt(() => parseMounts(Deno.readTextFileSync("/proc/self/mountinfo")), null);
}

/** A process that has a database open. */
export interface Opener extends Holder {
  /** Path of the database that was asked about. */
  readonly path: string;
  /**
   * `file`: has the file at the path open; `deleted`: it or its log was deleted or replaced since;
   * `moved`: has the log of this path open, with a database file that has another name by now.
   */
  readonly what: "file" | "deleted" | "moved";
}

/** Processes that have databases open, as far as this user may know. */
export interface Openers {
  readonly openers: readonly Opener[];
  /** Whether the open files of some processes can't be read. */
  readonly isPartial: boolean;
  /** Whether the processes outside of this container can't be seen. */
  readonly isContained: boolean;
}

/** Linux's name for the process namespace that contains all others; fixed by the kernel. */
const ALL_PROCESSES = "pid:[4026531836]";

/** Whether this process sees only those of its own container, even among holders of locks. */
export function isContained(): boolean {
  // If it can't be read, absence proves nothing.
  return attempt(() => Deno.readLinkSync("/proc/self/ns/pid") !== ALL_PROCESSES, true);
}

const DELETED = " (deleted)";

/** The files that a connection has open: the database, its log and the log's index. */
const ENDINGS = ["", "-wal", "-shm"];

/** Finds the other processes that have some databases open, by their real paths. */
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
      for (const what of stateOf(found)) {
        openers.push({ pid, command: commandLineOf(pid), path, what });
      }
    }
  }
  return { openers, isPartial, isContained: isContained() };
}

/** What the files that a process has open under one database's name show. */
function stateOf(found: ReadonlySet<string>): Opener["what"][] {
  const isThere = found.has("");
  // The index alone proves nothing: SQLite deletes it before closing it.
  const isGone = found.has(DELETED) || found.has(`-wal${DELETED}`);
  // Only one of the two may be a program that copies files.
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

/** Null if this user may not read them. */
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
  return attempt(() => {
    const [a, b] = [Deno.statSync(one), Deno.statSync(other)];
    return a.ino === b.ino && a.dev === b.dev;
  }, false);
}

/** Offset of the reader locks in a log's index; fixed by SQLite's format. */
const READ_LOCKS = 123;

/**
 * Processes that read a database as it was before the newest commits of its log, and so prevent
 * their checkpoint.
 */
export function lateReaders(indexPath: string, index: LogIndex): readonly Holder[] {
  const locks = locksOn(indexPath);
  const late = index.marks.flatMap((mark, slot) => {
    // The holder of the first lock reads only the database, without its log.
    const isLate = slot === 0 ? index.moved < index.frames : mark < index.frames;
    const at = READ_LOCKS + slot;
    return isLate ? locks.filter(({ start, end }) => start <= at && at <= end) : [];
  });
  return otherHolders(late);
}
