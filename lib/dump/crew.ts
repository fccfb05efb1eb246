import { AccessError, StatementError } from "../errors.ts";
import { fromFailure, mayStart } from "../thread.ts";
import type { RowsPart } from "./part.ts";
import type { Bytes } from "./render.ts";
import type { RowRange } from "./rows.ts";
import type { CrewRequest, CrewResponse } from "./worker.ts";

/** Threads that read one database file at one moment, and write its rows as text. */
export class Crew implements AsyncDisposable {
  readonly #members: readonly Member[];

  private constructor(members: readonly Member[]) {
    this.#members = members;
  }

  /** Starts so many threads; null where none may be started. */
  static start(path: string, size: number): Crew | null {
    const module = new URL("./worker.ts", import.meta.url);
    if (!mayStart(module)) return null;
    return new Crew(Array.from({ length: size }, () => new Member(module, path)));
  }

  /** Number of threads. */
  get size(): number {
    return this.#members.length;
  }

  /** Opens the database on every thread. */
  async open(): Promise<void> {
    await this.#all({ kind: "open" });
  }

  /** Begins the read transactions; they are of one moment if nobody writes meanwhile. */
  async begin(): Promise<void> {
    await this.#all({ kind: "begin" });
  }

  /** Writes the rows of a range, on the thread that has least to do. */
  async render(part: RowsPart, range: RowRange | null): Promise<readonly Bytes[]> {
    const member = this.#members.reduce((a, b) => b.waiting < a.waiting ? b : a);
    return await member.ask({ kind: "render", part, range });
  }

  /** Closes the database on every thread, and ends them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#members.map((member) => member.ask({ kind: "close" })));
    for (const member of this.#members) member.end();
  }

  async #all(task: CrewRequest["task"]): Promise<void> {
    await Promise.all(this.#members.map((member) => member.ask(task)));
  }
}

interface Pending {
  readonly resolve: (chunks: readonly Bytes[]) => void;
  readonly reject: (error: Error) => void;
}

/** One thread; it answers in the order in which it is asked. */
class Member {
  readonly #worker: Worker;
  readonly #path: string;
  readonly #pending: Pending[] = [];
  #failure: Error | null = null;

  constructor(module: URL, path: string) {
    this.#path = path;
    this.#worker = new Worker(module, { type: "module" });
    this.#worker.onmessage = ({ data }: MessageEvent<CrewResponse>) => {
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

  /** Number of tasks that are not done. */
  get waiting(): number {
    return this.#pending.length;
  }

  ask(task: CrewRequest["task"]): Promise<readonly Bytes[]> {
    // It would never answer.
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#worker.postMessage({ path: this.#path, task } satisfies CrewRequest);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}
