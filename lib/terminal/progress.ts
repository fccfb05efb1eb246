import { createWriter, type Output, takesCommands } from "./output.ts";

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

/** A line that shows how far a long piece of work has come. */
export interface Progress extends Disposable {
  /** Shows what is done, as a share from 0 to 1. */
  show(what: string, share: number): void;
  /** Takes the line away; disposing of it does so too, before an error is printed. */
  end(): void;
}

/** Milliseconds for which nothing is shown: short work needs no line. */
const PATIENCE = 500;

/** Makes a progress line on stderr; it stays empty where that can't show one. */
export function createProgress(output: Pick<Output, "isJson">): Progress {
  const begin = performance.now();
  const isShown = !output.isJson && takesCommands(Deno.stderr);
  const write = createWriter(Deno.stderr);
  let last = "";
  const end = () => {
    if (last !== "") write("\r\x1b[K");
    last = "";
  };
  return {
    show(what, share) {
      if (!isShown || performance.now() - begin < PATIENCE) return;
      const line = `${what} ${Math.floor((share || 0) * 100)} %`;
      if (line === last) return;
      last = line;
      write(`\r${line}\x1b[K`);
    },
    end,
    [Symbol.dispose]: end,
  };
}
