import { createWriter, type Output, takesCommands } from "./output.ts";

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
