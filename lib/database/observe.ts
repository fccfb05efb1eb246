import { DatabaseSync } from "node:sqlite";
import { fileItself } from "../base/paths.ts";
import { uriOf } from "./node_sqlite.ts";

/** What the first bytes of a database file say. */
export interface FileHeader {
  /** Bytes of a page. */
  readonly pageSize: number;
  /** Whether it is in WAL mode. */
  readonly isWal: boolean;
  /** Number of pages that it should have; null where an old SQLite wrote it, which doesn't keep it. */
  readonly pages: number | null;
}

/** Reads the header of a database file; null where the bytes are none. */
export function parseHeader(bytes: Uint8Array): FileHeader | null {
  if (bytes.length < 100) return null;
  if (new TextDecoder().decode(bytes.subarray(0, 16)) !== "SQLite format 3\0") return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.getUint16(16);
  const pages = view.getUint32(28);
  // The count is only kept by versions that also write for which change it holds.
  const isKept = pages > 0 && view.getUint32(24) === view.getUint32(92);
  return {
    pageSize: size === 1 ? 65_536 : size,
    isWal: bytes[18] === 2,
    pages: isKept ? pages : null,
  };
}

/** What the index of a log (`-shm`) says. */
export interface LogIndex {
  /** Pages in the log. */
  readonly frames: number;
  /** How many of them were moved into the database. */
  readonly moved: number;
  /** How far into the log the readers of each lock look; a lock that nobody holds has an old number. */
  readonly marks: readonly number[];
}

/** Bytes of a log's index that {@link parseLogIndex} needs; behind them are bytes that may be locked. */
export const INDEX_BYTES = 120;

/** Reads the index of a log; null where nobody has set it up. Its numbers are in the machine's order. */
export function parseLogIndex(bytes: Uint8Array): LogIndex | null {
  if (bytes.length < INDEX_BYTES || bytes[12] !== 1) return null;
  const isLittle = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = (at: number) => view.getUint32(at, isLittle);
  return {
    frames: number(16),
    moved: number(96),
    marks: [100, 104, 108, 112, 116].map(number),
  };
}

const LOG_HEADER = 32;
const FRAME_HEADER = 24;

/**
 * The bytes of a database as they are when all commits of its log are moved into it, and outside WAL
 * mode, which a database in memory can't have. What no commit ends is left out, as SQLite does.
 */
export function withLog(file: Uint8Array, log: Uint8Array): Uint8Array<ArrayBuffer> {
  const { pages, count } = committedPages(log);
  const pageSize = parseHeader(file)?.pageSize ?? 0;
  const image = new Uint8Array(count === 0 ? file.length : count * pageSize);
  image.set(file.subarray(0, image.length));
  for (const [page, bytes] of pages) {
    if (page <= count) image.set(bytes, (page - 1) * pageSize);
  }
  image[18] = image[19] = 1;
  return image;
}

/** The last committed content of each page in a log, and how many pages the database then has. */
function committedPages(
  log: Uint8Array,
): { readonly pages: ReadonlyMap<number, Uint8Array>; readonly count: number } {
  const pages = new Map<number, Uint8Array>();
  let count = 0;
  if (log.length < LOG_HEADER) return { pages, count };
  const view = new DataView(log.buffer, log.byteOffset, log.length);
  const isLittle = view.getUint32(0) === 0x377f0682;
  const pageSize = view.getUint32(8);
  let sum = checksum(view, { from: 0, to: 24, isLittle, sum: [0, 0] });
  const isHeaderWhole = sum[0] === view.getUint32(24) && sum[1] === view.getUint32(28);
  if (!isHeaderWhole || pageSize === 0) return { pages, count };
  const open = new Map<number, Uint8Array>();
  const step = FRAME_HEADER + pageSize;
  for (let at = LOG_HEADER; at + step <= log.length; at += step) {
    sum = checksum(view, { from: at, to: at + 8, isLittle, sum });
    sum = checksum(view, { from: at + FRAME_HEADER, to: at + step, isLittle, sum });
    const isWhole = view.getUint32(at + 8) === view.getUint32(16) &&
      view.getUint32(at + 12) === view.getUint32(20) &&
      sum[0] === view.getUint32(at + 16) && sum[1] === view.getUint32(at + 20);
    if (!isWhole) break;
    open.set(view.getUint32(at), log.subarray(at + FRAME_HEADER, at + step));
    const committed = view.getUint32(at + 4);
    if (committed === 0) continue;
    count = committed;
    for (const [page, bytes] of open) pages.set(page, bytes);
    open.clear();
  }
  return { pages, count };
}

interface Span {
  readonly from: number;
  readonly to: number;
  readonly isLittle: boolean;
  readonly sum: readonly [number, number];
}

/** SQLite's running checksum of a log. */
function checksum(view: DataView, { from, to, isLittle, sum }: Span): [number, number] {
  let [first, second] = sum;
  for (let at = from; at < to; at += 8) {
    first = (first + view.getUint32(at, isLittle) + second) >>> 0;
    second = (second + view.getUint32(at + 4, isLittle) + first) >>> 0;
  }
  return [first, second];
}

/** How a database was opened without changing anything. */
export type Observation =
  /** As a file that nobody changes meanwhile. */
  | "immutable"
  /** Beside the processes that have it open. */
  | "shared"
  /** A copy of its bytes in memory. */
  | "memory"
  /** As an immutable file, without the commits in its log. */
  | "without-log";

/** A database opened only to be looked at. */
export interface Observed extends Disposable {
  readonly handle: DatabaseSync;
  readonly how: Observation;
}

/** What is known of a database before it is opened. */
export interface ObserveOptions {
  /** Whether Deno has all permissions; without them a URI is taken for a path. */
  readonly mayUseUri: boolean;
  readonly header: FileHeader | null;
  readonly sizeBytes: number;
  /** Size of the log; 0 where there is none. */
  readonly logBytes: number;
  /** Whether the log has its index beside it. */
  readonly hasIndex: boolean;
}

/** Bytes up to which a database is looked at in memory. */
const LARGEST_IN_MEMORY = 256e6;

/**
 * Opens a database to look at it: creates no file, changes none, not even the index of a log, and no
 * time of one. Nobody else in this process may have it open. Where it is immutable, somebody may change
 * it meanwhile: compare the file before and after. Null where this Deno can't do it with its permissions.
 */
export function observe(path: string, options: ObserveOptions): Observed | null {
  const { mayUseUri, header, sizeBytes, logBytes, hasIndex } = options;
  const opened = (handle: DatabaseSync, how: Observation): Observed => ({
    handle,
    how,
    [Symbol.dispose]: () => handle.close(),
  });
  // An empty file is an empty database, of which SQLite would delete a journal.
  if (sizeBytes === 0) return opened(new DatabaseSync(":memory:"), "memory");
  if (!header?.isWal) return opened(new DatabaseSync(path, { readOnly: true }), "shared");
  if (mayUseUri && (logBytes === 0 || hasIndex)) {
    return logBytes === 0
      ? opened(openUri(path, "immutable=1"), "immutable")
      : opened(openUri(path, "mode=ro&readonly_shm=1"), "shared");
  }
  const copy = openInMemory(path, sizeBytes + logBytes);
  if (copy !== null) return opened(copy, "memory");
  if (mayUseUri) return opened(openUri(path, "immutable=1"), "without-log");
  return null;
}

function openUri(path: string, query: string): DatabaseSync {
  return new DatabaseSync(uriOf(path, query), { readOnly: true });
}

/** Only newer versions of Deno can open a database from its bytes. */
function openInMemory(path: string, bytes: number): DatabaseSync | null {
  const handle = new DatabaseSync(":memory:");
  if (bytes > LARGEST_IN_MEMORY || !canDeserialize(handle)) {
    handle.close();
    return null;
  }
  // The log first: a commit that is moved out of it meanwhile is then in both.
  const log = bytesOf(`${fileItself(path)}-wal`);
  handle.deserialize(withLog(Deno.readFileSync(path), log));
  return handle;
}

interface CanDeserialize {
  deserialize(bytes: Uint8Array): void;
}

function canDeserialize(handle: DatabaseSync): handle is DatabaseSync & CanDeserialize {
  return "deserialize" in handle;
}

function bytesOf(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return new Uint8Array();
    throw error;
  }
}
