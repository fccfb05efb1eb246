import type { Holder } from "../base/holders.ts";
import { mayRead } from "../base/paths.ts";
import { openMemory } from "../database/open.ts";
import { text } from "../database/connection.ts";
import { directoryOf } from "../base/files.ts";
import { roomIn } from "../base/files.ts";
import { rehearsalLock } from "../trial/copies.ts";
import { listSnapshots, type SnapshotEntry, storeLock } from "../snapshot/store.ts";
import { backupsBeside, ledgerOf, lockBeside } from "../state/workspace.ts";
import { openersOf, reasonOf } from "./inspect_database.ts";
import { type Leftover, leftoversAmongSnapshots, leftoversBeside } from "./leftovers.ts";
import { type Mount, mountOf, type Openers, readMounts } from "./linux.ts";
import { blockersOf, type LockFacts, lockFacts } from "./locks.ts";
import {
  type DoctorRequest,
  LEDGER,
  type LookedDatabase,
  lookInto,
  type OwnFacts,
  ownFacts,
  type StateFacts,
} from "./state.ts";

/** The program and what it may do. */
export interface SystemFacts {
  readonly deno: string;
  readonly isStandalone: boolean;
  /** Such as `linux x86_64`. */
  readonly platform: string;
  readonly sqlite: string;
  /** SQLite's compile options, such as `THREADSAFE=1`. */
  readonly sqliteOptions: readonly string[];
  /** Whether Deno has all permissions. */
  readonly isAllPermitted: boolean;
  /** Names of the permissions that the toolkit doesn't need and has. */
  readonly spare: readonly string[];
}

/** The directory that the databases are in. */
export interface DirectoryFacts {
  readonly path: string;
  readonly state: "directory" | "missing" | "file" | "unreachable";
  /** Why it can't be reached. */
  readonly reason: string | null;
  readonly realPath: string | null;
  /** Whether it or the directory above is there; null where that can't be told. */
  readonly hasParent: boolean | null;
  readonly mayRead: boolean;
  readonly mayWrite: boolean;
  /** Whether this user may create files in it; null where that can't be told. */
  readonly isWritable: boolean | null;
  readonly info: Deno.FileInfo | null;
  /** The file system that it is on, or would be; null where that can't be told. */
  readonly mount: Mount | null;
  /** Free bytes on its disk; null where that can't be told. */
  readonly room: number | null;
}

/** Everything that was found, as plain data. */
export interface Facts {
  readonly request: DoctorRequest;
  /** Unix epoch seconds. */
  readonly now: number;
  readonly workingDirectory: string | null;
  readonly system: SystemFacts;
  readonly directory: DirectoryFacts;
  /** The databases, the ledger last. */
  readonly databases: readonly LookedDatabase[];
  /** Null where the system doesn't tell. */
  readonly openers: Openers | null;
  /** By the name of the database, who keeps others from writing to it, and not for a moment only. */
  readonly blockers: ReadonlyMap<string, readonly Holder[]>;
  readonly state: StateFacts;
  readonly own: OwnFacts;
  readonly locks: readonly LockFacts[];
  /** Whether a migrator was at work before or after the databases were looked at. */
  readonly isMigrating: boolean;
  readonly leftovers: readonly Leftover[];
  readonly backups: string;
  readonly backupsDirectory: DirectoryFacts;
  readonly snapshots: readonly SnapshotEntry[];
}

/** How often databases that change while they are looked at are looked at again. */
const ATTEMPTS = 3;

/**
 * Finds out everything; it goes on after each failure, asks for no permission and changes nothing. No
 * other code of this process may have the databases open, since plain file calls would drop its locks.
 */
export async function gather(request: DoctorRequest): Promise<Facts> {
  const { prefix } = request;
  const system = await systemFacts();
  const mounts = system.isAllPermitted && Deno.build.os === "linux" ? readMounts() : null;
  const context = { isAllPermitted: system.isAllPermitted, mounts };
  const own = await ownFacts(request);
  const migratorLock = lockBeside(ledgerOf(prefix));
  const wasMigrating = lockFacts(migratorLock, context).some(({ isHeld }) => isHeld);
  let looked = await lookInto(request, own, context);
  for (let attempt = 1; attempt < ATTEMPTS && looked.isStale; attempt++) {
    looked = await lookInto(request, own, context);
  }
  const backups = backupsBeside(ledgerOf(prefix));
  const snapshots = await snapshotsIn(backups);
  const found = leftovers(request, backups, snapshots);
  const locks = [
    migratorLock,
    storeLock(backups),
    ...found.filter(({ kind }) => kind === "rehearsal").map(({ path }) => rehearsalLock(path)),
  ].flatMap((path) => lockFacts(path, context));
  return {
    request,
    now: Date.now() / 1000,
    workingDirectory: workingDirectory(),
    system,
    directory: await directoryFacts(directoryOf(prefix), mounts),
    databases: looked.databases,
    openers: openersOf(looked.databases, context),
    blockers: await blockersOf(looked.databases),
    state: looked.state,
    own,
    locks,
    isMigrating: wasMigrating || locks.some((one) => one.path === migratorLock && one.isHeld),
    // Some were of a command that has finished meanwhile, and so holds no lock.
    leftovers: found.filter(({ path }) => isThere(path)),
    backups,
    backupsDirectory: await directoryFacts(backups, mounts),
    snapshots,
  };
}

async function systemFacts(): Promise<SystemFacts> {
  await using memory = openMemory();
  const version = await memory.get("SELECT sqlite_version() AS version");
  const options = await memory.all("PRAGMA compile_options");
  const names = ["read", "write", "env", "net", "run", "ffi", "sys"] as const;
  const granted = names.filter((name) =>
    Deno.permissions.querySync({ name }).state === "granted" && !isPartial(name)
  );
  return {
    deno: Deno.version.deno,
    isStandalone: Deno.build.standalone,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    sqlite: version === undefined ? "" : text(version, "version"),
    sqliteOptions: options.map((row) => text(row, "compile_options")),
    isAllPermitted: granted.length === names.length,
    spare: granted.filter((name) => !["read", "write", "env"].includes(name)),
  };
}

/** Whether some of what a permission is about was denied. */
function isPartial(name: "read" | "write" | "env" | "net" | "run" | "ffi" | "sys"): boolean {
  return Deno.permissions.querySync({ name }).partial;
}

function workingDirectory(): string | null {
  try {
    return mayRead(".") ? Deno.cwd() : null;
  } catch {
    return null; // it was deleted
  }
}

async function directoryFacts(
  path: string,
  mounts: readonly Mount[] | null,
): Promise<DirectoryFacts> {
  const permitted = {
    mayRead: mayRead(path),
    mayWrite: Deno.permissions.querySync({ name: "write", path }).state === "granted",
  };
  const above = nearest(path);
  const found = {
    path,
    ...permitted,
    hasParent: above === null ? null : above === path || above === directoryOf(path),
    mount: above === null ? null : mountAt(above, mounts),
    room: above === null || !maySys("statfs") ? null : await roomIn(above),
    ...{ realPath: null, isWritable: null, info: null, reason: null },
  };
  if (!permitted.mayRead) return { ...found, state: "unreachable", reason: "Deno may not read it" };
  try {
    const info = Deno.statSync(path);
    if (!info.isDirectory) return { ...found, state: "file", info };
    const isWritable = permitted.mayWrite ? mayCreateIn(info, found.mount) : null;
    return { ...found, state: "directory", realPath: Deno.realPathSync(path), info, isWritable };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { ...found, state: "missing" };
    return { ...found, state: "unreachable", reason: reasonOf(error) };
  }
}

function mountAt(path: string, mounts: readonly Mount[] | null): Mount | null {
  try {
    return mounts === null ? null : mountOf(mounts, Deno.realPathSync(path));
  } catch {
    return null; // gone meanwhile
  }
}

/** The directory itself, or the nearest above it that is there; null where that can't be told. */
function nearest(path: string): string | null {
  for (let at = path;; at = directoryOf(at)) {
    if (!mayRead(at)) return null;
    try {
      Deno.statSync(at);
      return at;
    } catch {
      if (at === directoryOf(at)) return null;
    }
  }
}

function maySys(kind: "statfs" | "uid" | "gid"): boolean {
  return Deno.permissions.querySync({ name: "sys", kind } as Deno.SysPermissionDescriptor).state ===
    "granted";
}

/** What owner and mode say, since no call asks the system without creating something. */
function mayCreateIn({ mode, uid, gid }: Deno.FileInfo, mount: Mount | null): boolean | null {
  if (mount?.readOnly) return false;
  if (mode === null || Deno.build.os === "windows") return null;
  if ((mode & 0o222) === 0 && !maySys("uid")) return null;
  if (!maySys("uid") || !maySys("gid")) return null;
  const user = Deno.uid();
  if (user === 0) return true;
  if (user === uid) return (mode & 0o200) !== 0;
  if (Deno.gid() === gid) return (mode & 0o020) !== 0;
  if ((mode & 0o002) !== 0) return true;
  // It may be a group that this user is in besides.
  return (mode & 0o020) !== 0 ? null : false;
}

function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

async function snapshotsIn(directory: string): Promise<readonly SnapshotEntry[]> {
  if (!mayRead(directory)) return [];
  try {
    return await listSnapshots(directory);
  } catch {
    return []; // it can't be listed, which the directory's own check says
  }
}

function leftovers(
  { prefix, databases }: DoctorRequest,
  backups: string,
  snapshots: readonly SnapshotEntry[],
): Leftover[] {
  const directory = directoryOf(prefix);
  const beginning = prefix.replace(/^.*[/\\]/, "");
  const whole = new Set(
    snapshots.flatMap(({ manifest }) => manifest?.files.map(({ file }) => file) ?? []),
  );
  const beside = { prefix: prefix.slice(0, prefix.length - beginning.length) };
  return [
    ...leftoversBeside(
      { ...beside, names: namesIn(directory) },
      { beginning, databases: [...databases, LEDGER] },
    ),
    ...leftoversAmongSnapshots({ prefix: `${backups}/`, names: namesIn(backups) }, whole),
  ];
}

function namesIn(directory: string): string[] {
  if (!mayRead(directory)) return [];
  try {
    return [...Deno.readDirSync(directory)].map(({ name }) => name);
  } catch {
    return [];
  }
}
