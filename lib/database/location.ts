import type { DatabaseSync } from "node:sqlite";
import { AccessError, LocationError, UsageError } from "../base/errors.ts";
import { shellWord } from "../base/format.ts";
import {
  brokenLinkHelp,
  fileItself,
  isLink,
  mayRead,
  parentOf,
  sizeBeside,
  specialKind,
  statPath,
} from "../base/paths.ts";
import type { SqlValue } from "./connection.ts";
import {
  isLibsqlAddress,
  type LibsqlAddress,
  parseLibsqlAddress,
  tokenVariables,
} from "./libsql_address.ts";

/**
 * What a program may name as a database: a path, a `file:` URL, the address of a database on a libSQL
 * server, such as `libsql://db.example.com?namespace=app`, or a database that it has open,
 * a `DatabaseSync` of `node:sqlite` or a `Database` of `jsr:@db/sqlite`. Of the latter no snapshot is
 * taken: two SQLite libraries in one process must not open the same file.
 */
export type DatabaseSource = string | URL | DatabaseSync | DenoSqliteDatabase;

/** Where a database is. */
export type DatabaseLocation =
  | { readonly kind: "file"; readonly path: string }
  | {
    readonly kind: "open";
    readonly handle: DatabaseSync | DenoSqliteDatabase;
    readonly path: string;
  }
  | ServerLocation;

/** A database on a server. It holds no secret. */
export interface ServerLocation {
  readonly kind: "server";
  /** The address, as a person writes it. */
  readonly path: string;
  readonly address: LibsqlAddress;
  /** Variables that may hold the token, the first one first. */
  readonly tokenVariables: readonly string[];
}

/**
 * Whether a database is open through another SQLite library than ours. Two of them must not open the
 * same file in one process: to close it in one drops the locks of the other.
 */
export function isForeign(location: DatabaseLocation): boolean {
  return location.kind === "open" && !("location" in location.handle);
}

/**
 * Refuses a database whose file would be opened by our SQLite while another one has it open.
 *
 * @throws {UsageError} where it is open through another SQLite library.
 */
export function refuseForeign(
  location: DatabaseLocation,
  { cannot }: { readonly cannot: string },
): void {
  if (!isForeign(location)) return;
  throw new UsageError(`Cannot ${cannot}: it is open through another SQLite library`, {
    help: "close it first, and give its path in place of the open database",
  });
}

/**
 * Refuses a database on a server where its file would be replaced.
 *
 * @throws {UsageError} if it is on a server.
 */
export function refuseServer(
  location: DatabaseLocation,
  { cannot }: { readonly cannot: string },
): void {
  if (location.kind !== "server") return;
  throw new UsageError(`Cannot ${cannot}: it is on a server (${location.path})`, {
    help:
      "`copy FILE DATABASE` writes a database file, such as that of a snapshot, into an empty " +
      "namespace; nothing was changed",
  });
}

/** What can be told of a database without opening it. */
interface DatabaseStat {
  /** Whether there is one. */
  readonly exists: boolean;
  /** Size of its main file in bytes; null where it isn't a file. */
  readonly sizeBytes: number | null;
}

/**
 * Says where a source is; `name` is the name of the database.
 *
 * @throws {UsageError} if it is an invalid address of a server.
 */
export function locate(source: DatabaseSource, name = ""): DatabaseLocation {
  if (typeof source === "string") {
    return isLibsqlAddress(source) ? serverLocation(source, name) : { kind: "file", path: source };
  }
  if (source instanceof URL) {
    const { href } = source;
    return isLibsqlAddress(href)
      ? serverLocation(href, name)
      : { kind: "file", path: pathOf(source) };
  }
  const path = "location" in source ? source.location() : source.path;
  return { kind: "open", handle: source, path: path || ":memory:" };
}

function serverLocation(text: string, name: string): ServerLocation {
  const address = parseLibsqlAddress(text);
  return { kind: "server", path: address.label, address, tokenVariables: tokenVariables(name) };
}

/** What names the database at a location; {@link locate} turned around. */
export function sourceOf(location: DatabaseLocation): DatabaseSource {
  return location.kind === "open" ? location.handle : location.path;
}

/** Not by `node:url`, which takes long to load. */
function pathOf(url: URL): string {
  if (url.protocol !== "file:" || url.host !== "") {
    throw new LocationError(
      `Cannot use ${url.href} as a database: it is no address of a file here`,
      {
        help: "give a path, or an address that begins with file:///",
      },
    );
  }
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.replace(/^\/(?=[A-Za-z]:)/, "") : path;
}

/**
 * Says whether a database is there; never creates anything.
 *
 * @throws {LocationError} where something else is in its place.
 */
export function statDatabase(location: DatabaseLocation): DatabaseStat {
  if (location.kind === "open") return { exists: true, sizeBytes: sizeOf(location.path) };
  if (location.kind === "server") return { exists: true, sizeBytes: null };
  // By this name SQLite opens a new one in memory, and no file.
  if (location.path === ":memory:") return { exists: false, sizeBytes: null };
  const stat = statPath(location.path);
  if (stat === null) return { exists: false, sizeBytes: null };
  if (!stat.isFile) throw noFile(location.path, stat);
  return { exists: true, sizeBytes: stat.size };
}

/** What is wrong with a database's place in which something else is, such as a pipe. */
export function noFile(path: string, info: Deno.FileInfo): LocationError {
  return new LocationError(`Cannot use ${path} as a database: it is ${specialKind(info)}`, {
    help: `move ${
      info.isDirectory ? "the directory" : "it"
    } away, or name another place for the databases`,
  });
}

/**
 * Refuses a database, or a log beside it, that is no file: SQLite would wait for a pipe without end,
 * and take a device for an empty database.
 *
 * @throws {LocationError} where something else is in its place.
 */
export function refuseSpecialDatabase(path: string): void {
  if (path === ":memory:" || path === "") return;
  for (const ending of ["", "-wal", "-journal"]) {
    let info: Deno.FileInfo;
    try {
      info = Deno.statSync(`${path}${ending}`);
    } catch {
      continue; // it isn't there, or SQLite will say why it can't be opened
    }
    if (!info.isFile) throw noFile(`${path}${ending}`, info);
  }
}

/**
 * Refuses a database that is missing or empty while its log has content: the database has been moved
 * without it, and SQLite would delete the log.
 *
 * @throws {LocationError} naming the log.
 */
export function refuseLostDatabase(path: string): void {
  if (path === ":memory:" || path === "" || (sizeOf(path) ?? 0) > 0) return;
  const itself = fileItself(path);
  for (const ending of ["-wal", "-journal"] as const) {
    const log = `${itself}${ending}`;
    if ((sizeBeside(itself, ending) ?? 0) === 0) continue;
    if (ending === "-journal" && belongsToNewDatabase(log)) continue;
    const size = sizeOf(path);
    if ((size ?? 0) > 0) return; // another process has just committed its first transaction
    const state = size === null ? "is missing" : "is empty";
    throw new LocationError(`Cannot use ${path}: it ${state}, but its log ${log} is not`, {
      help: `if the database was moved, put it back beside its log; if it is gone for good, move ` +
        `the log away: mv ${shellWord(log)} ${shellWord(`${log}.old`)}`,
    });
  }
}

/** Where a journal's header holds the number of pages from before the transaction. */
const JOURNAL_PAGES = 16;

/**
 * Whether a journal holds no earlier page: it belongs to the first transaction of a new database,
 * which is running or was interrupted, or has been deleted meanwhile because that transaction ended.
 */
function belongsToNewDatabase(journal: string): boolean {
  try {
    using file = Deno.openSync(journal);
    const header = new Uint8Array(JOURNAL_PAGES + 4);
    return file.readSync(header) === header.length &&
      new DataView(header.buffer).getUint32(JOURNAL_PAGES) === 0;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

function sizeOf(path: string): number | null {
  if (path === ":memory:") return null;
  try {
    return Deno.statSync(path).size;
  } catch {
    return null; // nobody allowed to look
  }
}

/**
 * Refuses a database that is a link to where its file can't be replaced: SQLite follows a link by
 * itself, but Deno has to make, move and remove files beside that file.
 *
 * @throws {AccessError} where Deno may not do that, or the link leads to itself.
 * @throws {LocationError} where there is no directory for it.
 */
export function refuseLink(path: string, { cannot }: { readonly cannot: string }): void {
  if (!isLink(path)) return;
  statPath(path); // says it of a link that leads to itself
  const itself = fileItself(path);
  const directory = parentOf(itself);
  if (!mayRead(directory) || !mayWrite(directory)) {
    throw new AccessError(
      `Cannot ${cannot}: ${path} is a link to ${itself}, and Deno may not write in ${directory}`,
      { help: `give it read and write permission on ${directory} as well` },
    );
  }
  if (statPath(directory) !== null) return;
  throw new LocationError(
    `Cannot ${cannot}: ${path} is a link to ${itself}, which isn't there and can't be made`,
    { help: brokenLinkHelp },
  );
}

function mayWrite(path: string): boolean {
  return Deno.permissions.querySync({ name: "write", path }).state === "granted";
}

/** The part of a `Statement` of `jsr:@db/sqlite` that the toolkit uses. */
export interface DenoSqliteStatement {
  /** Reads integers of 64 bits; without it they are cut to 32. */
  int64?: boolean;
  /** Text of the statement, as SQLite delimited it. */
  readonly sql: string;
  /** Runs the statement; returns the number of rows changed. */
  run(...parameters: SqlValue[]): number;
  /** Reads all rows. */
  all(...parameters: SqlValue[]): object[];
  /** Frees the statement. */
  finalize(): void;
}

/** The part of a `Database` of `jsr:@db/sqlite` that the toolkit uses; no import is needed. */
export interface DenoSqliteDatabase {
  /** Path of the main file. */
  readonly path: string;
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs any number of statements. */
  exec(sql: string): number;
  /** Prepares the first statement of a text. */
  prepare(sql: string): DenoSqliteStatement;
}
