/**
 * Aborts on Ctrl-C and SIGTERM, until the returned object is disposed of: the migration under way is
 * rolled back and the command says so. A second Ctrl-C ends the process at once, which is as safe.
 */
export function abortOnInterrupt(controller: AbortController): Disposable {
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  const interrupt = (): void => {
    controller.abort();
    stop();
  };
  // To stop a second time does nothing.
  const stop = (): void => {
    for (const signal of signals) Deno.removeSignalListener(signal, interrupt);
  };
  for (const signal of signals) Deno.addSignalListener(signal, interrupt);
  return { [Symbol.dispose]: stop };
}
