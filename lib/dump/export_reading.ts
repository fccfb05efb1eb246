/**
 * Reads a database in one state, with the help of threads. Both ends of these are in this file, so
 * that a package's cache or an executable always has both.
 *
 * @module
 */
import { AccessError, DatabaseLockedError, LocationError, StatementError } from "../base/errors.ts";
import { mayStartThread, recreateError, serveThread, type ThreadFailure } from "../base/thread.ts";
import type { Connection, ConnectionSettings } from "../database/connection.ts";
import {
  type DatabaseLocation,
  isForeign,
  type ServerLocation,
  statDatabase,
} from "../database/location.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import { beginReading, withTransaction } from "../database/transaction.ts";
import { type Catalog, readCatalog } from "./catalog.ts";
import type { RowRange, RowsPart } from "./export_rows.ts";
import { type Bytes, renderRows } from "./export_formats.ts";

/** A consistent view of a database, whatever is written to it meanwhile. */
export interface Reading extends AsyncDisposable {
  readonly connection: Connection;
  readonly catalog: Catalog;
  /** Threads with the same view; null if only this one reads it. */
  readonly threads: ExportThreads | null;
}

/** Bytes of a database from which threads are worthwhile. */
const WORTH_THREADS = 32e6;

/** Maximum number of threads; each takes about 50 MB of memory. */
const MOST_THREADS = 3;

/** Seconds to wait for a moment without a writer; the export works without it. */
const PATIENCE = 2;

/**
 * Opens a database to read its current state. It writes nothing, and other programs may keep
 * writing.
 */
export async function openReading(
  location: DatabaseLocation,
  settings: ConnectionSettings,
): Promise<Reading> {
  if (location.kind === "server") return await openServerReading(location, settings);
  const { exists, sizeBytes } = statDatabase(location);
  if (!exists) {
    throw new LocationError(`Cannot export ${location.path}: database not found`, {
      help: "`status` shows where the databases are; `upgrade` creates those with migrations",
    });
  }
  await using opened = new AsyncDisposableStack();
  const place = fileOf(location);
  const connection = opened.use(await openForReading(place, settings));
  // Another library's file is not opened again: closing it would drop that library's locks.
  const isWorthThreads = place.kind === "file" && (sizeBytes ?? 0) >= WORTH_THREADS;
  const threads = isWorthThreads ? await beginTogether(connection, settings) : null;
  if (threads !== null) opened.use(threads);
  // A caller's own transaction is kept.
  else if (!connection.inTransaction) {
    await beginReading(connection);
    // A caller's connection stays open, and what the caller has written with it meanwhile is kept.
    opened.defer(async () => {
      if (connection.inTransaction) await connection.exec("COMMIT");
    });
  }
  const catalog = await readCatalog(connection);
  const kept = opened.move();
  return { connection, catalog, threads, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * Copies a database on a server into a temporary file first. The server's SQLite writes some reals
 * with a last digit that other versions read as a different number, and it can't send text that is
 * not UTF-8.
 */
async function openServerReading(
  location: ServerLocation,
  settings: ConnectionSettings,
): Promise<Reading> {
  await using opened = new AsyncDisposableStack();
  const { temporaryCopy } = await import("../database/temporary_copy.ts");
  await using connection = await openForReading(location, settings);
  const copy = opened.use(await temporaryCopy(connection));
  const reading = opened.use(await openReading({ kind: "file", path: copy.path }, settings));
  const kept = opened.move();
  return { ...reading, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/**
 * A database that the caller has open through this SQLite library is opened again, so that the
 * caller's connection remains available. One in memory, or open through another library, can only
 * be read with the caller's connection.
 */
function fileOf(location: DatabaseLocation): DatabaseLocation {
  if (location.kind === "file" || location.path === ":memory:") return location;
  return isForeign(location) ? location : { kind: "file", path: location.path };
}

/**
 * Begins the read transactions of this connection and of the threads while the write lock is held,
 * for milliseconds. Null if the lock is not available.
 */
async function beginTogether(
  connection: Connection,
  settings: ConnectionSettings,
): Promise<ExportThreads | null> {
  const threads = ExportThreads.start(
    connection.label,
    Math.min(navigator.hardwareConcurrency, MOST_THREADS),
  );
  if (threads === null) return null;
  try {
    await threads.all("open");
    await using writer = await openForWriting(
      { kind: "file", path: connection.label },
      { ...settings, busyTimeout: PATIENCE },
    );
    await withTransaction(writer, async () => {
      await Promise.all([beginReading(connection), threads.all("begin")]);
    }, { timeout: PATIENCE });
    return threads;
  } catch (error) {
    await threads[Symbol.asyncDispose]();
    if (error instanceof AccessError || error instanceof DatabaseLockedError) return null;
    throw error;
  }
}

const THREAD = "catalyst-migrate export";

/** Request to a thread. */
interface ExportRequest {
  /** Path of the database file. */
  readonly path: string;
  readonly task:
    | { readonly kind: "open" | "begin" | "close" }
    | { readonly kind: "render"; readonly part: RowsPart; readonly range: RowRange | null };
}

/** Answer of a thread. */
interface ExportAnswer {
  readonly kind: "done";
  readonly chunks: readonly Bytes[];
}

/** Threads that read one database file in the same state, and write its rows as text. */
class ExportThreads implements AsyncDisposable {
  readonly #threads: readonly ExportThread[];

  private constructor(threads: readonly ExportThread[]) {
    this.#threads = threads;
  }

  /** Starts this many threads; null if none may be started. */
  static start(path: string, size: number): ExportThreads | null {
    const module = new URL(import.meta.url);
    if (!mayStartThread(module, "/lib/dump/export_reading.ts")) return null;
    return new ExportThreads(Array.from({ length: size }, () => new ExportThread(module, path)));
  }

  /** Number of threads. */
  get size(): number {
    return this.#threads.length;
  }

  /**
   * Opens the database on every thread, or begins the read transactions, which see the same state if
   * nothing is written meanwhile.
   */
  async all(kind: "open" | "begin"): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ask({ kind })));
  }

  /** Writes the rows of a range, on the thread with the fewest tasks. */
  async render(part: RowsPart, range: RowRange | null): Promise<readonly Bytes[]> {
    const thread = this.#threads.reduce((a, b) => b.waiting < a.waiting ? b : a);
    return await thread.ask({ kind: "render", part, range });
  }

  /** Closes the database on every thread, and ends the threads. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#threads.map((thread) => thread.ask({ kind: "close" })));
    for (const thread of this.#threads) thread.end();
  }
}

interface Pending {
  readonly resolve: (chunks: readonly Bytes[]) => void;
  readonly reject: (error: Error) => void;
}

/** One thread; it answers requests in order. */
class ExportThread {
  readonly #worker: Worker;
  readonly #path: string;
  readonly #pending: Pending[] = [];
  #failure: Error | null = null;

  constructor(module: URL, path: string) {
    this.#path = path;
    this.#worker = new Worker(module, { type: "module", name: THREAD });
    this.#worker.onmessage = ({ data }: MessageEvent<ExportAnswer | ThreadFailure>) => {
      const { resolve, reject } = this.#pending.shift() ?? {};
      if (data.kind === "done") resolve?.(data.chunks);
      else reject?.(recreateError(data, (...failure) => new StatementError(...failure)));
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#failure = new AccessError(`Cannot read ${path} on a thread: ${event.message}`);
      for (const { reject } of this.#pending.splice(0)) reject(this.#failure);
    };
  }

  /** Number of unfinished tasks. */
  get waiting(): number {
    return this.#pending.length;
  }

  ask(task: ExportRequest["task"]): Promise<readonly Bytes[]> {
    // It would never answer.
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#worker.postMessage({ path: this.#path, task } satisfies ExportRequest);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}

// On the thread: its own read transaction, which sees the same state as the others.
let connection: Connection | null = null;

serveThread<ExportRequest, ExportAnswer>(THREAD, async (request, answer) => {
  const chunks = await perform(request);
  answer({ kind: "done", chunks }, chunks.map(({ buffer }) => buffer));
});

async function perform({ path, task }: ExportRequest): Promise<readonly Bytes[]> {
  connection ??= await openForReading({ kind: "file", path });
  if (task.kind === "render") {
    return await Array.fromAsync(renderRows(connection, task.part, task.range));
  }
  if (task.kind === "begin") await beginReading(connection);
  if (task.kind === "close") await connection.close();
  return [];
}
