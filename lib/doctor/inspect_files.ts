import {
  type Connection,
  connectionPragmas,
  type ConnectionSettings,
} from "../database/connection.ts";
import { CorruptDatabaseError, serializeError } from "../base/errors.ts";
import { findDamage } from "../schema/integrity.ts";
import { messageOf } from "../base/format.ts";
import { locksOn, otherHolders, writersOf } from "../base/lock_holders.ts";
import { roomIn } from "../base/files.ts";
import { directoryOf, fileItself, isLink, mayRead } from "../base/paths.ts";
import { settingsInForce } from "../database/mod.ts";
import { translate } from "../database/failure.ts";
import { isLibsqlAddress, locate } from "../database/location.ts";
import { openForReading } from "../database/open.ts";
import {
  INDEX_BYTES,
  openUntouched,
  parseHeader,
  parseLogIndex,
  type UntouchedDatabase,
} from "../database/untouched.ts";
import { LEDGER } from "../state/workspace.ts";
import type { Content, DatabaseFacts, DatabasePlace, DirectoryFacts } from "./facts.ts";
import { attempt, findOpeners, lateReaders, type Mount, mountOf, type Openers } from "./linux.ts";

/** What the system says about all files. */
export interface FileContext {
  /** Whether Deno has all permissions, which `/proc` requires. */
  readonly isAllPermitted: boolean;
  /** The mounted file systems; null if unknown. */
  readonly mounts: readonly Mount[] | null;
}

/** Examines a database's files with plain file calls; no code in this process may have it open. */
export function lookAtFiles(name: string, path: string, context: FileContext): DatabaseFacts {
  const place = placeOf(path);
  if (place.kind === "server") {
    const nothing = { logBytes: null, hasIndex: false, journalBytes: null };
    return { name, path, place, ...nothing, ...UNKNOWN };
  }
  // Without the permission Deno would ask for it.
  const real = mayRead(path) ? fileItself(path) : path;
  const logBytes = sizeAt(`${real}-wal`);
  const hasIndex = sizeAt(`${real}-shm`) !== null;
  const found = {
    name,
    path,
    place,
    logBytes,
    hasIndex,
    journalBytes: sizeAt(`${real}-journal`),
  };
  if (place.kind !== "file") return { ...found, ...UNKNOWN };
  const { bytes, reason } = beginningOf(path, 100);
  const index = hasIndex ? parseLogIndex(beginningOf(`${real}-shm`, INDEX_BYTES).bytes) : null;
  const isLinux = context.isAllPermitted && Deno.build.os === "linux";
  return {
    ...found,
    unreadable: reason,
    unwritable: reasonAgainstWriting(path),
    header: parseHeader(bytes),
    index,
    mount: context.mounts === null ? null : mountOf(context.mounts, place.realPath),
    lateReaders: isLinux && index !== null
      ? attempt(() => lateReaders(`${real}-shm`, index), [])
      : [],
    writers: isLinux ? writersOf(path) : [],
    lockers: isLinux ? attempt(() => otherHolders(locksOn(path)), []) : [],
  };
}

const UNKNOWN = {
  unreadable: null,
  unwritable: null,
  header: null,
  index: null,
  mount: null,
  lateReaders: [],
  writers: [],
  lockers: [],
};

/** Examines a directory, which may be missing. */
export async function directoryFacts(
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
  return attempt(() => mounts === null ? null : mountOf(mounts, Deno.realPathSync(path)), null);
}

/** The directory itself, or its nearest existing ancestor; null if unknown. */
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

/** Judged by owner and mode, because no call asks the system without creating something. */
function mayCreateIn({ mode, uid, gid }: Deno.FileInfo, mount: Mount | null): boolean | null {
  if (mount?.readOnly) return false;
  if (mode === null || Deno.build.os === "windows") return null;
  if (!maySys("uid") || !maySys("gid")) return null;
  const user = Deno.uid();
  if (user === 0) return true;
  if (user === uid) return (mode & 0o200) !== 0;
  if (Deno.gid() === gid) return (mode & 0o020) !== 0;
  if ((mode & 0o002) !== 0) return true;
  // The user may be in that group, too.
  return (mode & 0o020) !== 0 ? null : false;
}

function placeOf(path: string): DatabasePlace {
  if (isLibsqlAddress(path)) return { kind: "server" };
  if (!mayRead(path)) {
    return { kind: "unreachable", reason: "Deno may not read it", isPermission: true };
  }
  try {
    const info = Deno.statSync(path);
    if (info.isDirectory) return { kind: "directory" };
    // Opening a pipe waits for its writer.
    if (!info.isFile) {
      return { kind: "unreachable", reason: "it is not a file", isPermission: false };
    }
    const realPath = Deno.realPathSync(path);
    // Deno follows the link, but may not examine the files that SQLite keeps next to the target.
    if (isLink(path) && !mayRead(`${realPath}-wal`)) {
      const reason = `it is a link to ${realPath}, and Deno may not read there`;
      return { kind: "unreachable", reason, isPermission: false };
    }
    return { kind: "file", realPath, info };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      return { kind: isLink(path) ? "broken-link" : "missing" };
    }
    return { kind: "unreachable", reason: reasonOf(error), isPermission: false };
  }
}

function sizeAt(path: string): number | null {
  return attempt(() => mayRead(path) ? Deno.statSync(path).size : null, null);
}

/** The first bytes of a file, or why they can't be read. */
export function beginningOf(
  path: string,
  length: number,
): { readonly bytes: Uint8Array; readonly reason: string | null } {
  const bytes = new Uint8Array(length);
  try {
    using file = Deno.openSync(path);
    return { bytes: bytes.subarray(0, file.readSync(bytes) ?? 0), reason: null };
  } catch (error) {
    return { bytes: new Uint8Array(), reason: reasonOf(error) };
  }
}

/** Asks the system by opening the file for writing, which does not change it. */
export function reasonAgainstWriting(path: string): string | null {
  if (Deno.permissions.querySync({ name: "write", path }).state !== "granted") return null;
  try {
    Deno.openSync(path, { write: true }).close();
    return null;
  } catch (error) {
    return reasonOf(error);
  }
}

/** The reason in an error, without the words that Deno adds. */
function reasonOf(error: unknown): string {
  const message = messageOf(error);
  return message.replace(/ \(os error \d+\).*$/s, "");
}

/** Processes that have the databases open; null if the system does not say. */
export function openersOf(
  databases: readonly DatabaseFacts[],
  { isAllPermitted }: FileContext,
): Openers | null {
  if (!isAllPermitted || Deno.build.os !== "linux") return null;
  // A deleted file had the name that its database has, or would have.
  const pathOf = ({ place, path }: DatabaseFacts) =>
    place.kind === "file" ? place.realPath : absolute(path);
  return attempt(() => findOpeners(databases.map(pathOf)), null);
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

/** A database opened for examination. */
export interface OpenedDatabase {
  readonly content: Content;
  /** Null if it could not be opened. */
  readonly observed: UntouchedDatabase | null;
}

/** Seconds to wait for a writer. */
const PATIENCE = 1;

/** Opens a database without changing anything, and checks that it can be read. */
export async function openToLook(
  facts: DatabaseFacts,
  settings: ConnectionSettings,
  { isAllPermitted }: FileContext,
): Promise<OpenedDatabase> {
  const { path, place, header, unreadable } = facts;
  if (place.kind === "server") return await reachServer(facts, settings);
  if (place.kind !== "file" || unreadable !== null) return unread(null);
  if (header?.isWal !== true && facts.journalBytes !== null && facts.journalBytes > 0) {
    // Only the journal of an active writer need not be rolled back.
    if (facts.writers.length === 0) {
      return unread("journal");
    }
  }
  let observed: UntouchedDatabase | null = null;
  try {
    observed = openUntouched(path, {
      mayUseUri: isAllPermitted,
      header,
      sizeBytes: place.info.size,
      logBytes: facts.logBytes ?? 0,
      hasIndex: facts.hasIndex,
    });
    if (observed === null) return unread("files");
    const { handle, how } = observed;
    const connection = await openForReading({ kind: "open", handle, path });
    await connection.exec(`PRAGMA busy_timeout = ${PATIENCE * 1000}`);
    await connection.get("SELECT count(*) FROM sqlite_schema");
    await refuseDamage(connection, path);
    if (how === "memory") return { content: { kind: "read", how, inForce: null }, observed };
    await connection.exec(connectionPragmas(settings));
    const inForce = settingsInForce(handle);
    await connection.exec(`PRAGMA busy_timeout = ${PATIENCE * 1000}`);
    return { content: { kind: "read", how, inForce }, observed };
  } catch (error) {
    observed?.[Symbol.dispose]();
    const failure = serializeError(translate(error, { verb: "read", label: path }));
    return { content: { kind: "failed", failure }, observed: null };
  }
}

async function refuseDamage(connection: Connection, path: string): Promise<void> {
  const damage = await findDamage(connection);
  if (damage === undefined) return;
  throw new CorruptDatabaseError(`Cannot use ${path}: it is damaged: ${damage}`, {
    help: "`repair` can't fix that: `restore` a snapshot, or save what is readable with " +
      "`sqlite3 FILE .recover`",
  });
}

/** Whether the server answers; `status` reads the database. */
async function reachServer(
  { name, path }: DatabaseFacts,
  settings: ConnectionSettings,
): Promise<OpenedDatabase> {
  try {
    const busyTimeout = Math.min(settings.busyTimeout, SERVER_PATIENCE);
    await using _connection = await openForReading(
      locate(path, name === LEDGER ? "ledger" : name),
      {
        ...settings,
        busyTimeout,
      },
    );
    return unread(null);
  } catch (error) {
    const failure = serializeError(translate(error, { verb: "reach", label: path }));
    return { content: { kind: "failed", failure }, observed: null };
  }
}

/** Seconds to wait for a server. */
const SERVER_PATIENCE = 5;

function unread(because: "journal" | "files" | null): OpenedDatabase {
  return { content: { kind: "unread", because }, observed: null };
}
