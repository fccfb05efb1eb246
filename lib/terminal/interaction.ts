import { InterruptedError } from "../base/errors.ts";
import { printable } from "../base/format.ts";
import { createWriter, Declined } from "./output.ts";

/** Options of {@link confirmByWord}. */
export interface ConfirmOptions {
  /** The word to type, in upper or lower case. Default `yes`. */
  readonly word?: string;
}

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
 * Asks on stderr and waits for one line on stdin: `true` only if it is the word, also in quotation marks as in the prompt. The end of the input is
 * a no. The question is one line, and the request to type the word follows it.
 *
 * @throws {InterruptedError} on Ctrl-C.
 */
export async function confirmByWord(
  question: string,
  options: ConfirmOptions = {},
): Promise<boolean> {
  const { word = "yes" } = options;
  const ask = createWriter(Deno.stderr);
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const interrupt = () => {
    ask("\n");
    reject(new InterruptedError("Cannot continue: interrupted", { help: "nothing was changed" }));
  };
  Deno.addSignalListener("SIGINT", interrupt);
  try {
    ask(`${printable(question)} Type the whole word "${word}" to continue: `);
    const line = await Promise.race([readLine(), interrupted]);
    // The terminal echoes the user's line break, but Ctrl-D produces none.
    if (line === null) ask("\n");
    const answer = line?.trim().replace(/^(["'])(.*)\1$/, "$2");
    return answer?.toLowerCase() === word.toLowerCase();
  } finally {
    Deno.removeSignalListener("SIGINT", interrupt);
  }
}

/** Reads byte by byte, so that the rest is left for the next reader. */
async function readLine(): Promise<string | null> {
  const bytes: number[] = [];
  const byte = new Uint8Array(1);
  while (await Deno.stdin.read(byte) === 1) {
    if (byte[0] === LINE_FEED) return decode(bytes);
    bytes.push(...byte);
  }
  return bytes.length === 0 ? null : decode(bytes);
}

function decode(bytes: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
