/**
 * Runs `work` with a signal that Ctrl-C and SIGTERM abort: the migration under way is rolled back and
 * the command says so. A second Ctrl-C ends the process at once, which is as safe.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const signals: readonly Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT"]
    : ["SIGINT", "SIGTERM"];
  const stop = () => signals.forEach((signal) => Deno.removeSignalListener(signal, interrupt));
  const interrupt = () => {
    controller.abort();
    stop();
  };
  signals.forEach((signal) => Deno.addSignalListener(signal, interrupt));
  try {
    return await work(controller.signal);
  } finally {
    stop();
  }
}
