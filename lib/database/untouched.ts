/**
 * Opens a database for reading without changing any file.
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { LENIENT, uriOf } from "./node_sqlite.ts";

/** Header of a database file. */
export interface FileHeader {
  /** Page size in bytes. */
  readonly pageSize: number;
  /** Whether it is in WAL mode. */
  readonly isWal: boolean;
  /** Number of pages that it should have; null if a version of SQLite wrote it that does not store it. */
  readonly pages: number | null;
}

/** Parses the header of a database file; null if the bytes are not a header. */
export function parseHeader(bytes: Uint8Array): FileHeader | null {
  if (bytes.length < 100) return null;
  if (new TextDecoder().decode(bytes.subarray(0, 16)) !== "SQLite format 3\0") return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const size = view.getUint16(16);
  const pages = view.getUint32(28);
  // The count is valid only if the change counter stored with it matches.
  const isKept = pages > 0 && view.getUint32(24) === view.getUint32(92);
  return {
    pageSize: size === 1 ? 65_536 : size,
    isWal: bytes[18] === 2,
    pages: isKept ? pages : null,
  };
}

/** Content of the index of a log (`-shm`). */
export interface LogIndex {
  /** Pages in the log. */
  readonly frames: number;
  /** Number of them already checkpointed. */
  readonly moved: number;
  /** Read mark of each reader lock: how far into the log its readers look. Outdated if the lock is free. */
  readonly marks: readonly number[];
}

/** Bytes of a log's index that {@link parseLogIndex} needs; the bytes after them may be locked. */
export const INDEX_BYTES = 120;

/** Parses the index of a log; null if it is not initialized. Its numbers are in native byte order. */
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
  /** As an immutable file. */
  | "immutable"
  /** Together with the processes that have it open. */
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

/** Options of {@link openUntouched}. */
export interface UntouchedOptions {
  /** Whether Deno has all permissions; without them it treats a URI as a path. */
  readonly mayUseUri: boolean;
  readonly header: FileHeader | null;
  readonly sizeBytes: number;
  /** Size of the log; 0 if there is none. */
  readonly logBytes: number;
  /** Whether the index of the log exists. */
  readonly hasIndex: boolean;
}

/** Largest size in bytes of a database that is opened in memory. */
const LARGEST_IN_MEMORY = 256e6;

/**
 * Opens a database for reading without creating or changing any file, not even the index of a log or a
 * file time. Nothing else in this process may have it open. In immutable mode another process may change
 * it: compare the file before and after. Null if this version of Deno or its permissions do not allow it.
 */
export function openUntouched(path: string, options: UntouchedOptions): UntouchedDatabase | null {
  const { mayUseUri, header, sizeBytes, logBytes, hasIndex } = options;
  const opened = (handle: DatabaseSync, how: UntouchedMode): UntouchedDatabase => ({
    handle,
    how,
    [Symbol.dispose]: () => handle.close(),
  });
  // An empty file is an empty database; SQLite would delete a journal beside it.
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

/** Opens a copy in memory of a file without a log. Null if it is too large or Deno is too old. */
function openInMemory(path: string, sizeBytes: number): DatabaseSync | null {
  const handle = new DatabaseSync(":memory:", LENIENT);
  if (sizeBytes > LARGEST_IN_MEMORY || !canDeserialize(handle)) {
    handle.close();
    return null;
  }
  const bytes = Deno.readFileSync(path);
  bytes[18] = bytes[19] = 1; // a database in memory cannot be in WAL mode
  handle.deserialize(bytes);
  return handle;
}

interface CanDeserialize {
  deserialize(bytes: Uint8Array): void;
}

function canDeserialize(handle: DatabaseSync): handle is DatabaseSync & CanDeserialize {
  return "deserialize" in handle;
}
