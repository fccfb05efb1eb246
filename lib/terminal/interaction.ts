import { beforeBlocking } from "../base/event_loop.ts";
import { printable } from "../base/format.ts";
import { createWriter, Declined } from "./output.ts";

/** Options of {@link confirmByWord}. */
export interface ConfirmOptions {
  /** The word that has to be typed; upper and lower case are the same. Default `yes`. */
  readonly word?: string;
}

const LINE_FEED = 10;

/** Tells whether there is a person to ask: both the question and the answer are on a terminal. */
export function canAsk(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/**
 * Asks a person to confirm; `false` where there is nobody to ask.
 *
 * @throws {Declined} where the answer is no.
 */
export function confirm(question: string): boolean {
  if (!canAsk()) return false;
  if (confirmByWord(question)) return true;
  throw new Declined();
}

/**
 * Asks on stderr and waits for one line on stdin: `true` only where it is the word. The end of the
 * input is a no. The question is one line; the request to type the word is put after it.
 *
 * The wait blocks the process; Ctrl-C ends it.
 */
export function confirmByWord(question: string, options: ConfirmOptions = {}): boolean {
  const { word = "yes" } = options;
  const ask = createWriter(Deno.stderr);
  ask(`${printable(question)} Type "${word}" to continue: `);
  const line = readLine();
  // The terminal has shown the user's line break, but after Ctrl-D there is none.
  if (line === null) ask("\n");
  return line?.trim().toLowerCase() === word.toLowerCase();
}

/** Reads byte by byte, so that what follows the line is left for the next reader. */
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
