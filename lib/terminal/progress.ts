/**
 * The progress line of long work. SQLite blocks the thread that calls it, so a separate thread
 * keeps the line up to date. Both ends are in this file, so that a package's cache or an executable always
 * has both.
 *
 * @module
 */
import { formatDuration } from "../base/format.ts";
import { printable } from "./text.ts";
import type { WorkStep } from "../base/steps.ts";
import { mayStartThread } from "../base/thread.ts";
import { createWriter, type Output, screenWidth, takesCommands } from "./output.ts";

/** A line that shows what is being done, how much of it is done, and the time left. */
export interface ProgressLine extends Disposable {
  /**
   * Shows what is done, as a share from 0 to 1, and the share when this step ends, by default the same.
   * If that is 0, the share is unknown.
   */
  show(what: string, share: number, until?: number): void;
  /** Shows a step. */
  step(step: WorkStep): void;
  /** Removes the line until the next call of `show`; disposing removes it for good. */
  end(): void;
}

/** Options of {@link createProgress}. */
export interface ProgressOptions {
  /** Bytes that the work reads; for few of them no thread is started. Default 0. */
  readonly bytes?: number;
}

/** Milliseconds for which nothing is shown, since short work needs no line. */
const PATIENCE = 500;

/** Bytes that are worth a thread. */
const LARGE = 16e6;

/** Bytes per second that the work is expected to take, until its speed is known. */
const SPEED = 30e6;

const THREAD = "catalyst-migrate progress";

/** Creates a progress line on stderr; it stays empty if stderr can't show one. */
export function createProgress(
  output: Pick<Output, "isJson" | "isQuiet">,
  { bytes = 0 }: ProgressOptions = {},
): ProgressLine {
  const isShown = !output.isJson && !output.isQuiet && takesCommands(Deno.stderr);
  const module = new URL(import.meta.url);
  const threaded = isShown && bytes >= LARGE && mayStartThread(module, "/lib/terminal/progress.ts");
  const line = new Line({
    memory: threaded ? new SharedArrayBuffer(BYTES) : new ArrayBuffer(BYTES),
    begin: Date.now(),
    expected: bytes / SPEED,
    columns: screenWidth(80, Deno.stderr),
  });
  const worker = threaded ? new Worker(module, { type: "module", name: THREAD }) : null;
  worker?.postMessage(line.state);
  const show = (what: string, share: number, until = share) => {
    if (!isShown) return;
    line.set({ what: printable(what), share: share || 0, until: until || 0 });
    if (worker === null) line.draw();
  };
  return {
    show,
    step: ({ what, share, until }) => show(what, share, until),
    end: () => line.clear(),
    [Symbol.dispose]: () => {
      line.clear();
      worker?.terminate();
    },
  };
}

/** State shared by both threads. */
interface LineState {
  /** Numbers, then the text, as {@link Line} lays them out. */
  readonly memory: ArrayBuffer | SharedArrayBuffer;
  /** When the work began, in milliseconds since the epoch. */
  readonly begin: number;
  /** Seconds that the work is expected to take. */
  readonly expected: number;
  /** Cells of a line of the terminal. */
  readonly columns: number;
}

/** Bytes for the text, and for all. */
const TEXT_BYTES = 512;
const BYTES = 48 + TEXT_BYTES;

/** Indexes of the integers. */
const [LOCK, SHOWN, DRAWN, LENGTH] = [0, 1, 2, 3];

/** The line, in memory that both threads use, one at a time. */
class Line {
  readonly state: LineState;
  readonly #integers: Int32Array;
  readonly #numbers: Float64Array;
  readonly #text: Uint8Array;
  readonly #write = createWriter(Deno.stderr);
  #last = "";
  #start = 0;
  #done = 0;

  constructor(state: LineState) {
    this.state = state;
    this.#integers = new Int32Array(state.memory, 0, 4);
    this.#numbers = new Float64Array(state.memory, 16, 4);
    this.#text = new Uint8Array(state.memory, 48, TEXT_BYTES);
  }

  /** Sets what the line shows. */
  set({ what, share, until }: WorkStep): void {
    this.#locked(() => {
      // `encodeInto` does not accept shared memory.
      const text = new TextEncoder().encode(what).subarray(0, TEXT_BYTES);
      this.#text.set(text);
      this.#integers[LENGTH] = text.length;
      this.#integers[SHOWN] = 1;
      const now = Date.now();
      const [before = 0, , , start = 0] = this.#numbers;
      // A smaller share means that other work begins, such as the next table.
      this.#numbers.set([share, until, now, share < before || start === 0 ? now : start]);
    });
  }

  /** Draws the line if it has changed. */
  draw(): void {
    this.#locked(() => {
      if (this.#integers[SHOWN] === 0 || Date.now() - this.state.begin < PATIENCE) return;
      const [share = 0, until = 0, at = 0, start = 0] = this.#numbers;
      const what = new TextDecoder().decode(this.#text.slice(0, this.#integers[LENGTH]));
      const { expected, columns } = this.state;
      const now = Date.now();
      const seconds = (now - start) / 1000;
      const timing = { seconds, stepSeconds: (now - at) / 1000, expected };
      if (start !== this.#start) this.#done = 0;
      this.#start = start;
      // An estimate that was too high must not go back.
      this.#done = Math.max(this.#done, estimate({ share, until }, timing));
      const line = renderLine(what, { done: until === 0 ? null : this.#done, seconds })
        .slice(0, columns - 1);
      if (line === this.#last && this.#integers[DRAWN] === 1) return;
      this.#last = line;
      this.#integers[DRAWN] = 1;
      this.#write(`\r${line}\x1b[K`);
    });
  }

  /** Removes the line from the terminal. */
  clear(): void {
    this.#locked(() => {
      if (this.#integers[DRAWN] === 1) this.#write("\r\x1b[K");
      this.#integers[DRAWN] = 0;
      this.#integers[SHOWN] = 0;
    });
  }

  /** Runs code while the other thread waits: two lines must not be mixed. */
  #locked(work: () => void): void {
    while (Atomics.compareExchange(this.#integers, LOCK, 0, 1) !== 0) {
      Atomics.wait(this.#integers, LOCK, 1, 10);
    }
    try {
      work();
    } finally {
      Atomics.store(this.#integers, LOCK, 0);
    }
  }
}

/** How long work has taken so far. */
interface Timing {
  readonly seconds: number;
  /** Seconds since the current step was reported. */
  readonly stepSeconds: number;
  /** Seconds that all of it is expected to take; counts until its speed is known. */
  readonly expected: number;
}

/** Seconds after which the speed is known, and the time left is shown. */
const KNOWN = 2;

/** The share that is done by now: during a step it is estimated from the speed so far. */
export function estimate(
  { share, until }: Pick<WorkStep, "share" | "until">,
  { seconds, stepSeconds, expected }: Timing,
): number {
  const before = seconds - stepSeconds;
  const speed = share > 0.01 && before > KNOWN / 2 ? share / before : 1 / Math.max(1, expected);
  const span = until - share;
  // It comes near the end of the step, and never passes it.
  return share + (span > 0 ? span * (1 - Math.exp(-stepSeconds * speed / span)) : 0);
}

/** The text of the line. The share is null if the amount of work is unknown, as with a pipe. */
export function renderLine(
  what: string,
  { done, seconds }: { readonly done: number | null; readonly seconds: number },
): string {
  if (done === null) return what;
  const left = done > 0.01 && seconds >= KNOWN && done < 1
    ? `, ${remaining(seconds * (1 - done) / done)} left`
    : "";
  return `${what} ${Math.floor(done * 100)} %${left}`;
}

function remaining(seconds: number): string {
  return seconds < 60 ? `${Math.ceil(seconds)} s` : formatDuration(seconds);
}

/** Milliseconds between two updates of the line. */
const INTERVAL = 200;

if (globalThis.name === THREAD) {
  const scope = globalThis as unknown as {
    onmessage: ((event: MessageEvent<LineState>) => void) | null;
  };
  scope.onmessage = ({ data }) => {
    const line = new Line(data);
    setInterval(() => line.draw(), INTERVAL);
  };
}
