import { beforeBlocking } from "../base/event_loop.ts";
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
 */
export function confirm(question: string): boolean {
  if (!canAsk()) return false;
  if (confirmByWord(question)) return true;
  throw new Declined();
}

/**
 * Asks on stderr and waits for one line on stdin: `true` only if it is the word. The end of the input is
 * a no. The question is one line, and the request to type the word follows it.
 *
 * The wait blocks the process; Ctrl-C ends it.
 */
export function confirmByWord(question: string, options: ConfirmOptions = {}): boolean {
  const { word = "yes" } = options;
  const ask = createWriter(Deno.stderr);
  ask(`${printable(question)} Type "${word}" to continue: `);
  const line = readLine();
  // The terminal echoes the user's line break, but Ctrl-D produces none.
  if (line === null) ask("\n");
  return line?.trim().toLowerCase() === word.toLowerCase();
}

/** Reads byte by byte, so that the rest is left for the next reader. */
function readLine(): string | null {
  beforeBlocking();
  const bytes: number[] = [];
  const byte = new Uint8Array(1);
  while (Deno.stdin.readSync(byte) === 1) {
    if (byte[0] === LINE_FEED) return decode(bytes);
    bytes.push(...byte);
  }
  return bytes.length === 0 ? null : decode(bytes);
}

function decode(bytes: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
