import type { DatabaseSync } from "node:sqlite";
import { LocationError, UsageError } from "../base/errors.ts";
import { shellWord } from "../base/format.ts";
import { fileItself, sizeBeside, specialKind, statPath } from "../base/paths.ts";
import type { DenoSqliteDatabase } from "./deno_sqlite.ts";

/**
 * A database as a program may name it: a path, a `file:` URL, the address of a database on a libSQL
 * server such as `libsql://db.example.com?namespace=app`, or an open database: a `DatabaseSync` of
 * `node:sqlite` or a `Database` of `jsr:@db/sqlite`. A `jsr:@db/sqlite` database is not included in
 * snapshots, because two SQLite libraries in one process must not open the same file.
 */
export type DatabaseSource = string | URL | DatabaseSync | DenoSqliteDatabase;

/** Location of a database. */
export type DatabaseLocation =
  | FileLocation
  | {
    readonly kind: "open";
    readonly handle: DatabaseSync | DenoSqliteDatabase;
    readonly path: string;
  }
  | ServerLocation;

/** A database file that the toolkit opens. */
export interface FileLocation {
  readonly kind: "file";
  readonly path: string;
}

/** A database on a server. Contains no secret. */
export interface ServerLocation {
  readonly kind: "server";
  /** The address as the user writes it. */
  readonly path: string;
  readonly address: LibsqlAddress;
  /** Variables that may hold the token, in order of precedence. */
  readonly tokenVariables: readonly string[];
}

/**
 * Whether a database is open through another SQLite library. Two libraries must not open the same file
 * in one process: closing it in one drops the locks of the other.
 */
export function isForeign(location: DatabaseLocation): boolean {
  return location.kind === "open" && !("location" in location.handle);
}

/**
 * Refuses to open the file of a database that is open through another SQLite library.
 *
 * @throws {UsageError} if it is open through another SQLite library.
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
 * Refuses to replace a database that is on a server.
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

/** What is known of a database without opening it. */
interface DatabaseStat {
  /** Whether it exists. */
  readonly exists: boolean;
  /** Size of its main file in bytes; null if it is not a file. */
  readonly sizeBytes: number | null;
}

/**
 * Returns the location of a source; `name` is the name of the database.
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

/** The source of a location; the inverse of {@link locate}. */
export function sourceOf(location: DatabaseLocation): DatabaseSource {
  return location.kind === "open" ? location.handle : location.path;
}

/** Avoids `node:url`, which is slow to load. */
function pathOf(url: URL): string {
  if (url.protocol !== "file:" || url.host !== "") {
    throw new LocationError(
      `Cannot use ${url.href} as a database: it is not a local file URL`,
      {
        help: "use a path, or a URL that begins with file:///",
      },
    );
  }
  const path = decodeURIComponent(url.pathname);
  return Deno.build.os === "windows" ? path.replace(/^\/(?=[A-Za-z]:)/, "") : path;
}

/**
 * Looks whether a database exists; never creates anything.
 *
 * @throws {LocationError} if it is not a file.
 */
export function statDatabase(location: DatabaseLocation): DatabaseStat {
  if (location.kind === "open") return { exists: true, sizeBytes: sizeOf(location.path) };
  if (location.kind === "server") return { exists: true, sizeBytes: null };
  // SQLite opens a new in-memory database under this name, not a file.
  if (location.path === ":memory:") return { exists: false, sizeBytes: null };
  const stat = statPath(location.path);
  if (stat === null) return { exists: false, sizeBytes: null };
  if (!stat.isFile) throw noFile(location.path, stat);
  return { exists: true, sizeBytes: stat.size };
}

/** The error for a path that is not a file, such as a pipe. */
function noFile(path: string, info: Deno.FileInfo): LocationError {
  return new LocationError(`Cannot use ${path} as a database: it is ${specialKind(info)}`, {
    help: `move ${
      info.isDirectory ? "the directory" : "it"
    } away, or name another place for the databases`,
  });
}

/**
 * Refuses a database, or a log beside it, that is not a file: SQLite would wait forever for a pipe, and
 * treat a device as an empty database.
 *
 * @throws {LocationError} if it is not a file.
 */
export function refuseSpecialDatabase(path: string): void {
  if (path === ":memory:" || path === "") return;
  for (const ending of ["", "-wal", "-journal"]) {
    let info: Deno.FileInfo;
    try {
      info = Deno.statSync(`${path}${ending}`);
    } catch {
      continue; // it is missing, or SQLite will report why it cannot be opened
    }
    if (!info.isFile) throw noFile(`${path}${ending}`, info);
  }
}

/**
 * Refuses a database that is missing or empty while its log has content. The database was moved without
 * its log, and SQLite would delete the log.
 *
 * @throws {LocationError} if there is such a log; the message names it.
 */
export function refuseLogWithoutDatabase(path: string): void {
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
      help: `if the database was moved, move it back beside its log; if it is lost, move the log ` +
        `away: mv ${shellWord(log)} ${shellWord(`${log}.old`)}`,
    });
  }
}

/** Offset in a journal's header of the number of pages before the transaction. */
const JOURNAL_PAGES = 16;

/**
 * Whether a journal belongs to the first transaction of a new database and so holds no earlier page.
 * The transaction is running or was interrupted, or it has just ended and deleted the journal.
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
    return null; // not permitted to look
  }
}

/** Address of a database on a libSQL server. It contains no secret, so it may be printed and stored. */
export interface LibsqlAddress {
  /** Address of the WebSocket, such as `wss://db.example.com/`. */
  readonly socket: string;
  /** Address of the same server for HTTP. */
  readonly http: string;
  /** The namespace; null for the host's default namespace. */
  readonly namespace: string | null;
  /** The address as a person writes it, such as `libsql://db.example.com?namespace=positions`. */
  readonly label: string;
}

const SCHEMES: Readonly<Record<string, boolean>> = {
  "libsql:": true,
  "https:": true,
  "wss:": true,
  "http:": false,
  "ws:": false,
};

/** Whether the name of a database is a server address rather than a path. */
export function isLibsqlAddress(text: string): boolean {
  return /^(libsql|https?|wss?):\/\//i.test(text);
}

const EXAMPLE = "libsql://db.example.com?namespace=positions";

/**
 * Parses the address of a database on a server: `libsql://`, `https://` or `wss://` with TLS,
 * `http://` or `ws://` without.
 *
 * @throws {UsageError} if it is invalid, or contains a token or a password.
 */
export function parseLibsqlAddress(text: string): LibsqlAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new UsageError("Cannot use the address of a server: it is invalid", {
      cause,
      help: `write it like ${EXAMPLE}`,
    });
  }
  const name = `${url.protocol}//${url.host}`;
  const isSecret = url.username !== "" || url.password !== "" ||
    [...url.searchParams.keys()].some((key) => /token|jwt|password|secret|auth/i.test(key));
  if (isSecret) {
    throw new UsageError(`Cannot use the address ${name}: it contains a token or a password`, {
      help: "remove it from the address and set the variable CATALYST_LIBSQL_TOKEN to the token",
    });
  }
  const isTls = SCHEMES[url.protocol];
  const unknown = [...url.searchParams.keys()].find((key) => key !== "namespace");
  const reason = isTls === undefined
    ? `"${url.protocol}" is unknown`
    : url.host === ""
    ? "the host is missing"
    : url.pathname.length > 1 || url.hash !== ""
    ? "it may contain only a host, a port and a namespace"
    : unknown === undefined
    ? null
    : `the parameter "${unknown}" is unknown`;
  if (reason !== null) {
    throw new UsageError(`Cannot use the address ${name}: ${reason}`, {
      help: `write it like ${EXAMPLE}; http:// or ws:// connect without TLS`,
    });
  }
  const namespace = url.searchParams.get("namespace") || null;
  return {
    socket: `${isTls ? "wss" : "ws"}://${url.host}/`,
    http: `${isTls ? "https" : "http"}://${url.host}/`,
    namespace,
    label: namespace === null ? name : `${name}?namespace=${encodeURIComponent(namespace)}`,
  };
}

/** Seconds after which a server ends a transaction if another client wants to write. */
export const LEASE_SECONDS = 5;

/** The header that selects a namespace. */
export function namespaceHeader({ namespace }: LibsqlAddress): Readonly<Record<string, string>> {
  if (namespace === null) return {};
  const bytes = new TextEncoder().encode(namespace);
  return { "x-namespace-bin": bytes.toBase64({ omitPadding: true }) };
}

/** Variable that holds the token for all servers. */
export const TOKEN_VARIABLE = "CATALYST_LIBSQL_TOKEN";

/** Variables that may hold the token for a database, in order of precedence. */
export function tokenVariables(database: string): readonly string[] {
  const name = database.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_");
  return [`${TOKEN_VARIABLE}_${name}`, TOKEN_VARIABLE];
}
