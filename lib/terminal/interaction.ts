import { InterruptedError } from "../base/errors.ts";
import { printable } from "./text.ts";
import { createWriter, Declined } from "./output.ts";

const LINE_FEED = 10;

/** Whether the session is interactive: both stdin and stderr are terminals. */
export function canAsk(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/**
 * Asks for confirmation; `false` in a non-interactive session.
 *
 * @throws {Declined} if the answer is no.
 * @throws {InterruptedError} on Ctrl-C.
 */
export async function confirm(question: string): Promise<boolean> {
  if (!canAsk()) return false;
  if (await confirmByWord(question)) return true;
  throw new Declined();
}

/**
 * Asks on stderr and waits for one line on stdin: `true` only if it is "yes", in upper or lower case,
 * with or without quotation marks. The end of the input is a no.
 *
 * @throws {InterruptedError} on Ctrl-C.
 */
export async function confirmByWord(question: string): Promise<boolean> {
  const ask = createWriter(Deno.stderr);
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const interrupt = () => {
    ask("\n");
    reject(new InterruptedError("Cannot continue: interrupted", { help: "nothing was changed" }));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    ask(`${printable(question)} Type the whole word "yes" to continue: `);
    const line = await Promise.race([readLine(), interrupted]);
    // The terminal echoes the user's line break, but Ctrl-D produces none.
    if (line === null) ask("\n");
    return /^(["']?)yes\1$/i.test(line?.trim() ?? "");
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

/** Reads byte by byte, so that the rest is left for the next reader. */
async function readLine(): Promise<string | null> {
  const decoder = new TextDecoder();
  const byte = new Uint8Array(1);
  let line = "";
  while (await Deno.stdin.read(byte) === 1) {
    if (byte[0] === LINE_FEED) return line;
    line += decoder.decode(byte, { stream: true });
  }
  return line === "" ? null : line;
}
