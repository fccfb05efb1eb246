/** Exit code of a command that Ctrl-C or SIGTERM ended. */
export const INTERRUPTED = 130;

/** Milliseconds that a command has to roll back and to report after it was interrupted. */
const GRACE = 900;

/** The command that listens; null where none does, as in a program that uses the library. */
let listening: Interruption | null = null;

/**
 * Aborts on Ctrl-C and SIGTERM until the returned object is disposed of. A second signal ends the process
 * at once, and so does the first one where the command has not ended within a second.
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
 * Has to be called before something that blocks the event loop, such as a statement. A signal listener
 * could not run meanwhile, and Ctrl-C would do nothing: with the signal's default action it ends the
 * process, which is safe at any moment.
 */
export function beforeBlocking(): void {
  if (!isBrief) listening?.suspend();
}

let isBrief = false;

/**
 * Begins work that is done at once, such as trying to take a lock: a signal that comes meanwhile is heard
 * right after it.
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
  #resuming: ReturnType<typeof setTimeout> | undefined;

  constructor(controller: AbortController) {
    this.#controller = controller;
    this.#listen();
  }

  /** Listens no more until the event loop runs again. */
  suspend(): void {
    if (!this.#isListening) return;
    this.#ignore();
    this.#resuming = setTimeout(() => this.#listen());
  }

  /** Listens no more. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#resuming);
    this.#ignore();
  }

  #abort(): void {
    this.end();
    this.#controller.abort();
    setTimeout(() => Deno.exit(INTERRUPTED), GRACE).unref();
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
