import {
  AccessError,
  ConfirmationError,
  DiskFullError,
  type SerializedError,
  serializeError,
} from "../base/errors.ts";
import { isTooManyFiles, tooManyFiles } from "../base/paths.ts";
import {
  messageOf,
  printable,
  printableJson,
  printableLine,
  printableLines,
  styleMark,
} from "../base/format.ts";
import { isOlder, oldestDeno } from "../base/version.ts";

export { printable } from "../base/format.ts";

/** A person answered a question with no: a normal outcome, and no error of the command. */
export class Declined extends ConfirmationError {
  /** Made where the question was asked. */
  constructor() {
    super("Cannot continue: the answer was no");
  }
}

/** What the user's flags say about output. */
export interface OutputOptions {
  /** One JSON document on stdout in place of text. Default `false`. */
  readonly json?: boolean;
  /** No narration. Default `false`. */
  readonly quiet?: boolean;
  /** Details and stack traces. Default `false`. */
  readonly verbose?: boolean;
  /** No colour, even on a terminal. Default `false`. */
  readonly noColor?: boolean;
}

/**
 * Where a command's words go: the answer to stdout, the narration to stderr. Each text gets a line
 * break at its end. Control characters in a text are made visible, but for line breaks and tabs in an
 * answer, and the styles of this output where that stream has colours. What of an answer is data must
 * be `printable`, so that its line breaks don't begin new lines.
 */
export interface Output {
  /** Whether the answer is a JSON document. */
  readonly isJson: boolean;
  /** Whether a successful command prints nothing but an answer that was asked for. */
  readonly isQuiet: boolean;
  /** Style for texts that go to {@link Output.answer} and {@link Output.report}. */
  readonly answerStyle: Style;
  /** Style for texts that go to {@link Output.narrate} and {@link Output.detail}. */
  readonly narrationStyle: Style;
  /** Writes the answer to stdout; dropped in JSON mode. */
  answer(text: string): void;
  /** Writes to stdout what a command has done, unless `quiet`; dropped in JSON mode. */
  report(text: string): void;
  /**
   * Writes the one JSON document to stdout; dropped outside JSON mode. A `bigint` becomes a number
   * where a number holds it exactly, else a string.
   *
   * @throws {Error} where a document has already been written.
   */
  json(value: unknown): void;
  /** Tells on stderr what is being done, unless `quiet`: a text is one line, a list is several. */
  narrate(text: string | readonly string[]): void;
  /** Tells more on stderr, with `verbose` only, as {@link Output.narrate} does. */
  detail(text: string | readonly string[]): void;
  /** Writes one line `warning: …` to stderr. */
  warn(text: string): void;
  /**
   * Says what went wrong and what to do next: on stderr, or in JSON mode as the document
   * `{ok: false, ...extra, error: {code, message, help}}` on stdout, on stderr if a document is
   * out already. The stack trace goes to stderr, with `verbose` only.
   */
  error(error: unknown, extra?: Readonly<Record<string, unknown>>): void;
}

/** Details of an error that are shown without `--verbose`. */
const SHOWN_DETAILS = 5;

/** Makes the {@link Output} of this process. */
export function createOutput(options: OutputOptions = {}): Output {
  const { json = false, quiet = false, verbose = false, noColor = false } = options;
  const colors = {
    stdout: wantsColor({ noColorFlag: noColor, stream: Deno.stdout }),
    stderr: wantsColor({ noColorFlag: noColor, stream: Deno.stderr }),
  };
  const stdout = createWriter(Deno.stdout);
  const stderr = createWriter(Deno.stderr);
  const style = createStyle(colors.stderr);
  let documentIsOut = false;

  const tell = (text: string): void =>
    stderr(`${printableLines(text, { styled: colors.stderr })}\n`);
  const tellLines = (text: string | readonly string[]): void =>
    tell(typeof text === "string" ? printableLine(text) : text.map(printableLine).join("\n"));
  const writeDocument = (value: unknown): void => {
    if (documentIsOut) throw new Error("Cannot write a second JSON document to stdout");
    const text = JSON.stringify(value, withBigInts, 2);
    // Set before writing: half a document on a full disk must not be followed by another one.
    documentIsOut = true;
    stdout(`${printableJson(text)}\n`);
  };
  // A stdout that can't be written, as on a full disk, must not hide the error that is reported.
  const wroteDocument = (value: unknown): boolean => {
    try {
      writeDocument(value);
      return true;
    } catch {
      return false;
    }
  };
  const writeReport = ({ message, details = [], help }: SerializedError): void => {
    tell(`${style.red(style.bold("error:"))} ${printable(message)}`);
    const shown = verbose ? details : details.slice(0, SHOWN_DETAILS);
    for (const detail of shown) stderr(`  ${printable(detail)}\n`);
    const left = details.length - shown.length;
    if (left > 0) stderr(`  and ${left} more; --verbose shows all\n`);
    // The lines of a help text after the first stand below it.
    if (help !== null) {
      tell(`${style.bold("help:")} ${printableLines(help).replaceAll("\n", "\n      ")}`);
    }
  };

  const answer = (text: string): void => {
    if (!json) stdout(`${printableLines(text, { styled: colors.stdout })}\n`);
  };
  return {
    isJson: json,
    isQuiet: quiet,
    answerStyle: createStyle(colors.stdout),
    narrationStyle: style,
    answer,
    report(text) {
      if (!quiet) answer(text);
    },
    json(value) {
      if (json) writeDocument(value);
    },
    narrate(text) {
      if (!quiet) tellLines(text);
    },
    detail(text) {
      if (verbose) tellLines(text);
    },
    warn(text) {
      tell(`${style.yellow(style.bold("warning:"))} ${printable(text)}`);
    },
    error(error, extra = {}) {
      const report = reportOf(error);
      if (!json || documentIsOut || !wroteDocument({ ok: false, ...extra, error: report })) {
        writeReport(report);
      }
      const trace = verbose ? traceOf(error) : "";
      if (trace !== "") stderr(`${printableLines(trace)}\n`);
    },
  };
}

function withBigInts(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

/** Marks text with colour or weight, or returns it as it is. */
export type Paint = (text: string) => string;

/** What a terminal can make of a text. */
export interface Style {
  /** Heavier. */
  readonly bold: Paint;
  /** Fainter. */
  readonly dim: Paint;
  /** Something is wrong. */
  readonly red: Paint;
  /** All is well. */
  readonly green: Paint;
  /** Something needs attention. */
  readonly yellow: Paint;
}

/** What decides about colour; see {@link wantsColor}. */
export interface ColorWish {
  /** Whether `--no-color` was given. Default `false`. */
  readonly noColorFlag?: boolean;
  /** The stream that the text goes to. */
  readonly stream: Terminal;
}

/** What is asked of a stream before it gets more than plain lines. */
interface Terminal {
  isTerminal(): boolean;
}

/**
 * Tells whether text for a stream may be coloured: a terminal that is not dumb, no `--no-color`, no
 * `NO_COLOR`.
 */
export function wantsColor({ noColorFlag = false, stream }: ColorWish): boolean {
  return !noColorFlag && !Deno.noColor && takesCommands(stream);
}

/**
 * Tells whether a stream is a terminal that takes commands, such as for colour, in place of showing
 * them. By `TERM=dumb` one says that it doesn't, as far as Deno may read that variable.
 */
export function takesCommands(stream: Terminal): boolean {
  if (!stream.isTerminal()) return false;
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TERM" });
  try {
    return state !== "granted" || Deno.env.get("TERM") !== "dumb";
  } catch {
    return false; // it is no text, so no terminal that anybody knows
  }
}

/** Cells of the narrowest terminal that is taken seriously. */
const NARROWEST_TERMINAL = 30;

/** Cells of a line of text on stdout: the width of the terminal, at most 120. */
export function answerWidth(): number {
  if (!Deno.stdout.isTerminal()) return 80;
  try {
    return Math.min(120, Math.max(NARROWEST_TERMINAL, Deno.consoleSize().columns || 80));
  } catch {
    return 80; // the terminal does not report its size
  }
}

/** Makes a {@link Style}; one that is not enabled returns every text unchanged. */
export function createStyle(enabled: boolean): Style {
  const paint = (on: number, off: number): Paint => (text) =>
    // An empty text stays empty, so that a table's trailing spaces can be cut off.
    enabled && text !== "" ? `${styleMark(on)}${text}${styleMark(off)}` : text;
  return {
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
  };
}

/** A stream as {@link createWriter} needs it; `Deno.stdout` and `Deno.stderr` are such. */
export interface SyncStream {
  /** Writes some of the bytes, at least one, and tells how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Makes a function that writes all of a text before it returns. Once the reader has gone away
 * (`status | head -1`) it drops what it is given: that is no failure of the command.
 */
export function createWriter(stream: SyncStream): (text: string) => void {
  const encoder = new TextEncoder();
  let open = true;
  return (text) => {
    let rest = encoder.encode(text);
    while (open && rest.length > 0) {
      try {
        rest = rest.subarray(stream.writeSync(rest));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) open = false;
        // Another process that shares the pipe has made it non-blocking, and the pipe is full.
        else if (error instanceof Deno.errors.WouldBlock) sleep(1);
        else throw unwritable(error);
      }
    }
  };
}

function unwritable(error: unknown): Error {
  const message = messageOf(error);
  const options = { cause: error, help: "the command's work is done; `status` shows the state" };
  return /os error (28|112|122)\b/.test(message)
    ? new DiskFullError("Cannot write the output: the disk is full", options)
    : new AccessError(`Cannot write the output: ${message}`, options);
}

function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

const REPORT_IT =
  "this is a fault in catalyst-migrate: run the command again with --verbose and report what it prints";

/** What was thrown, with a next step where the toolkit didn't foresee it; an old `deno` is no fault. */
export function reportOf(error: unknown, deno: string = Deno.version.deno): SerializedError {
  const failure = serializeError(error);
  if (failure.code !== "INTERNAL") return failure;
  if (isTooManyFiles(error)) return serializeError(tooManyFiles("Cannot run the command", error));
  const help = isOlder(deno, oldestDeno)
    ? `Deno ${deno} is too old: update it to ${oldestDeno} or newer, by \`deno upgrade\``
    : REPORT_IT;
  return { ...failure, help };
}

/** Stack trace of an error and, below it, of the errors that caused it; empty where there is none. */
export function traceOf(error: unknown): string {
  const traces: string[] = [];
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    traces.push(at.stack ?? `${at.name}: ${at.message}`);
  }
  return traces.join("\ncaused by: ");
}
