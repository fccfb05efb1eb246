/**
 * Turns Ctrl-C and SIGTERM into an `AbortSignal`: the migration under way is rolled back and the
 * command says so. A second Ctrl-C ends the process at once, which is as safe.
 */
export class Interrupt implements Disposable {
  readonly #controller = new AbortController();
  readonly #signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  #isListening = false;

  /** Aborted by the first Ctrl-C after {@link Interrupt.listen}. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Begins to listen; not done at once, since it takes time that most starts have no use for. */
  listen(): void {
    this.#isListening = true;
    for (const signal of this.#signals) Deno.addSignalListener(signal, this.#interrupt);
  }

  /** Stops listening. */
  [Symbol.dispose](): void {
    if (!this.#isListening) return;
    this.#isListening = false;
    for (const signal of this.#signals) Deno.removeSignalListener(signal, this.#interrupt);
  }

  readonly #interrupt = (): void => {
    this.#controller.abort();
    this[Symbol.dispose]();
  };
}
