/**
 * Threads that read a database in the same state. Both ends are in this file, so that a package's
 * cache or an executable always has both.
 *
 * @module
 */
import type { Connection } from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import { beginReading } from "../database/transaction.ts";
import { AccessError, StatementError } from "../base/errors.ts";
import { fromFailure, mayStart, serveThread, type ThreadFailure } from "../base/thread.ts";
import type { RowRange, RowsPart } from "./export_rows.ts";
import { type Bytes, renderRows } from "./export_formats.ts";

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
export class ExportThreads implements AsyncDisposable {
  readonly #threads: readonly ExportThread[];

  private constructor(threads: readonly ExportThread[]) {
    this.#threads = threads;
  }

  /** Starts this many threads; null if none may be started. */
  static start(path: string, size: number): ExportThreads | null {
    const module = new URL(import.meta.url);
    if (!mayStart(module, "/lib/dump/export_threads.ts")) return null;
    return new ExportThreads(Array.from({ length: size }, () => new ExportThread(module, path)));
  }

  /** Number of threads. */
  get size(): number {
    return this.#threads.length;
  }

  /** Opens the database on every thread. */
  async open(): Promise<void> {
    await this.#all({ kind: "open" });
  }

  /** Begins the read transactions; they see the same state if nothing is written meanwhile. */
  async begin(): Promise<void> {
    await this.#all({ kind: "begin" });
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

  async #all(task: ExportRequest["task"]): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.ask(task)));
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
      else reject?.(fromFailure(data, (...failure) => new StatementError(...failure)));
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
