import { DatabaseSync } from "node:sqlite";
import { LENIENT, uriOf } from "./node_sqlite.ts";

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

/** How a database was opened without changing anything. */
export type UntouchedMode =
  /** As a file that nobody changes meanwhile. */
  | "immutable"
  /** Beside the processes that have it open. */
  | "shared"
  /** A copy of its bytes in memory. */
  | "memory"
  /** As an immutable file, without the commits in its log. */
  | "without-log";

/** A database opened without changing anything. */
export interface UntouchedDatabase extends Disposable {
  readonly handle: DatabaseSync;
  readonly how: UntouchedMode;
}

/** What is known of a database before it is opened. */
export interface UntouchedOptions {
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
export function openUntouched(path: string, options: UntouchedOptions): UntouchedDatabase | null {
  const { mayUseUri, header, sizeBytes, logBytes, hasIndex } = options;
  const opened = (handle: DatabaseSync, how: UntouchedMode): UntouchedDatabase => ({
    handle,
    how,
    [Symbol.dispose]: () => handle.close(),
  });
  // An empty file is an empty database, of which SQLite would delete a journal.
  if (sizeBytes === 0) return opened(new DatabaseSync(":memory:"), "memory");
  if (!header?.isWal) {
    return opened(new DatabaseSync(path, { ...LENIENT, readOnly: true }), "shared");
  }
  if (mayUseUri && (logBytes === 0 || hasIndex)) {
    return logBytes === 0
      ? opened(openUri(path, "immutable=1"), "immutable")
      : opened(openUri(path, "mode=ro&readonly_shm=1"), "shared");
  }
  if (mayUseUri) return opened(openUri(path, "immutable=1"), "without-log");
  const copy = logBytes === 0 ? openInMemory(path, sizeBytes) : null;
  return copy === null ? null : opened(copy, "memory");
}

function openUri(path: string, query: string): DatabaseSync {
  return new DatabaseSync(uriOf(path, query), { ...LENIENT, readOnly: true });
}

/** Opens a copy of a file that has no log. Null where it is too large, or Deno too old for it. */
function openInMemory(path: string, sizeBytes: number): DatabaseSync | null {
  const handle = new DatabaseSync(":memory:", LENIENT);
  if (sizeBytes > LARGEST_IN_MEMORY || !canDeserialize(handle)) {
    handle.close();
    return null;
  }
  const bytes = Deno.readFileSync(path);
  bytes[18] = bytes[19] = 1; // a database in memory can't be in WAL mode
  handle.deserialize(bytes);
  return handle;
}

interface CanDeserialize {
  deserialize(bytes: Uint8Array): void;
}

function canDeserialize(handle: DatabaseSync): handle is DatabaseSync & CanDeserialize {
  return "deserialize" in handle;
}
