/**
 * How long work shares the event loop: waiting, yielding, and ending on Ctrl-C.
 *
 * @module
 */

/** Waits for a number of milliseconds. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Milliseconds after which long work yields to the event loop. */
const YIELD_AFTER = 50;

/**
 * Creates a function for long work to call between its steps. From time to time it returns a promise to
 * await, otherwise undefined. SQLite never yields, so without this neither Ctrl-C nor any other event
 * would be handled until the work ends.
 */
export function createYielder(): () => Promise<void> | undefined {
  let last = performance.now();
  let pause: Promise<void> | undefined; // shared by all waiters, so that they continue in order
  return () => {
    if (pause === undefined && performance.now() - last > YIELD_AFTER) {
      pause = sleep(0).then(() => {
        last = performance.now();
        pause = undefined;
      });
    }
    return pause;
  };
}

/** Exit code of a command that Ctrl-C or SIGTERM ended. */
export const INTERRUPTED = 130;

/** Milliseconds that an interrupted command has to roll back and report. */
const GRACE = 900;

/** The listening command; null if none listens, as in a program that uses the library. */
let listening: Interruption | null = null;

/**
 * Aborts on Ctrl-C and SIGTERM until the returned object is disposed of. A second signal ends the
 * process immediately; so does the first one if the command has not ended within a second.
 */
export function abortOnInterrupt(controller: AbortController): Disposable {
  const interruption = new Interruption(controller);
  listening = interruption;
  return {
    [Symbol.dispose]: () => {
      interruption.end();
      if (listening === interruption) listening = null;
    },
  };
}

/**
 * Call this before anything that blocks the event loop, such as a statement. A signal listener could
 * not run during that time, and Ctrl-C would do nothing. With the signal's default action, Ctrl-C ends
 * the process, which is always safe.
 */
export function beforeBlocking(): void {
  if (!isBrief) listening?.suspend();
}

let isBrief = false;

/** A migration cannot call this one, but the signal may arrive during its work. */
const { exit } = Deno;

/**
 * Runs work that takes almost no time, such as trying to take a lock. A signal that arrives during it
 * is handled right after it.
 */
export function briefly<T>(work: () => T): T {
  isBrief = true;
  try {
    return work();
  } finally {
    isBrief = false;
  }
}

/** Listens for signals while the event loop runs. */
class Interruption {
  readonly #controller: AbortController;
  readonly #interrupt = () => this.#abort();
  #isListening = false;
  #isOver = false;

  constructor(controller: AbortController) {
    this.#controller = controller;
    this.#listen();
  }

  /** Stops listening until the event loop runs again. */
  suspend(): void {
    if (!this.#isListening) return;
    this.#ignore();
    // Avoids `setTimeout`, whose first call in a process loads twenty Node modules.
    AbortSignal.timeout(0).onabort = () => this.#listen();
  }

  /** Stops listening. */
  end(): void {
    this.#isOver = true;
    this.#ignore();
  }

  #abort(): void {
    this.end();
    this.#controller.abort();
    setTimeout(() => exit(INTERRUPTED), GRACE).unref();
  }

  #listen(): void {
    if (this.#isOver || this.#isListening) return;
    this.#isListening = true;
    for (const signal of signals()) Deno.addSignalListener(signal, this.#interrupt);
  }

  #ignore(): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    for (const signal of signals()) Deno.removeSignalListener(signal, this.#interrupt);
  }
}

function signals(): readonly Deno.Signal[] {
  return Deno.build.os === "windows" ? ["SIGINT"] : ["SIGINT", "SIGTERM"];
}
