import {
  AccessError,
  ConfirmationError,
  DiskFullError,
  type SerializedError,
  serializeError,
} from "../base/errors.ts";
import { isTooManyFiles, tooManyFiles } from "../base/paths.ts";
import { messageOf } from "../base/format.ts";
import { isOlder, oldestDeno } from "../base/version.ts";
import {
  createStyle,
  printable,
  printableJson,
  printableLine,
  printableLines,
  type Style,
} from "./text.ts";

/** The user answered a question with no: a normal outcome, not an error. */
export class Declined extends ConfirmationError {
  /** Creates it. */
  constructor() {
    super("Cannot continue: the answer was no");
  }
}

/** Flags about output. */
export interface OutputOptions {
  /** Print one JSON document on stdout instead of text. Default `false`. */
  readonly json?: boolean;
  /** No narration. Default `false`. */
  readonly quiet?: boolean;
  /** Details and stack traces. Default `false`. */
  readonly verbose?: boolean;
  /** No colour, even on a terminal. Default `false`. */
  readonly noColor?: boolean;
}

/**
 * Where a command's text goes: the answer to stdout, the narration to stderr. A line break is added at
 * the end of each text. Control characters are made visible, except line breaks and tabs in an answer,
 * and styles if the stream has colours. Data in an answer must be `printable`, so that its line breaks
 * don't begin new lines.
 */
export interface Output {
  /** Whether the answer is a JSON document. */
  readonly isJson: boolean;
  /** Whether a successful command prints only what was requested. */
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
   * if a number holds it exactly, otherwise a string.
   *
   * @throws {Error} if a document has already been written.
   */
  json(value: unknown): void;
  /** Writes to stderr what is being done, unless `quiet`: a text is one line, a list is several. */
  narrate(text: string | readonly string[]): void;
  /** Writes details as {@link Output.narrate} does, only with `verbose`. */
  detail(text: string | readonly string[]): void;
  /** Writes one line `warning: …` to stderr. */
  warn(text: string): void;
  /**
   * Reports an error and the next step: on stderr, or in JSON mode as the document
   * `{ok: false, ...extra, error: {code, message, help}}` on stdout, or on stderr if a document has
   * already been written. The stack trace goes to stderr, only with `verbose`.
   */
  error(error: unknown, extra?: Readonly<Record<string, unknown>>): void;
}

/** Number of details of an error that are shown without `--verbose`. */
const SHOWN_DETAILS = 5;

/** Creates the {@link Output} of this process. */
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
    // Set before writing: after half a document, as on a full disk, no second one may follow.
    documentIsOut = true;
    stdout(`${printableJson(text)}\n`);
  };
  const writeReport = ({ message, details = [], help }: SerializedError): void => {
    tell(`${style.red(style.bold("error:"))} ${printable(message)}`);
    const shown = verbose ? details : details.slice(0, SHOWN_DETAILS);
    for (const detail of shown) stderr(`  ${printable(detail)}\n`);
    const left = details.length - shown.length;
    if (left > 0) stderr(`  and ${left} more; --verbose shows all\n`);
    // Further lines of a help text are aligned with the first.
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
      let isWritten = false;
      try {
        if (json) writeDocument({ ok: false, ...extra, error: report });
        isWritten = json;
      } catch {
        // There is a document already, or stdout can't be written, as on a full disk.
      }
      if (!isWritten) writeReport(report);
      const trace = verbose ? traceOf(error) : "";
      if (trace !== "") stderr(`${printableLines(trace)}\n`);
    },
  };
}

function withBigInts(_key: string, value: unknown): unknown {
  if (typeof value !== "bigint") return value;
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

/** Options of {@link wantsColor}. */
export interface ColorWish {
  /** Whether `--no-color` was given. Default `false`. */
  readonly noColorFlag?: boolean;
  /** The stream that the text goes to. */
  readonly stream: Terminal;
}

/** A stream that may be a terminal. */
interface Terminal {
  isTerminal(): boolean;
}

/**
 * Whether text for a stream may be coloured: it is a terminal that is not dumb, without `--no-color` and
 * `NO_COLOR`.
 */
export function wantsColor({ noColorFlag = false, stream }: ColorWish): boolean {
  return !noColorFlag && !Deno.noColor && takesCommands(stream);
}

/**
 * Whether a stream is a terminal that interprets control sequences, such as those for colour.
 * `TERM=dumb` means that it doesn't, if Deno may read that variable.
 */
export function takesCommands(stream: Terminal): boolean {
  if (!stream.isTerminal()) return false;
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TERM" });
  try {
    return state !== "granted" || Deno.env.get("TERM") !== "dumb";
  } catch {
    return false; // it is not valid text, so the terminal is unknown
  }
}

/** Cells of a line on the terminal, or `otherwise` without one or if it does not report its size. */
export function screenWidth(otherwise = Infinity, stream: Terminal = Deno.stdout): number {
  if (!stream.isTerminal()) return otherwise;
  try {
    return Deno.consoleSize().columns || otherwise;
  } catch {
    return otherwise;
  }
}

/** Cells of a line of text on stdout: the width of the terminal, from 30 to 120. */
export function answerWidth(): number {
  return Math.min(120, Math.max(30, screenWidth(80)));
}

/** A stream for {@link createWriter}, such as `Deno.stdout`. */
export interface SyncStream {
  /** Writes some of the bytes, at least one, and returns how many. */
  writeSync(bytes: Uint8Array): number;
}

/**
 * Creates a function that writes a whole text before it returns. After the reader has closed the pipe
 * (`status | head -1`) it drops further text: that is not a failure of the command.
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
        // Another process made the shared pipe non-blocking, and it is full.
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

const CHECK_SYSTEM =
  "check the disk, the permissions and the limits of this user, then run the command again";

const REPORT_IT =
  "this is a bug in catalyst-migrate: run the command again with --verbose and report the output";

/** The report of an error. An unexpected one gets a next step: report a bug, or update an old `deno`. */
export function reportOf(error: unknown, deno: string = Deno.version.deno): SerializedError {
  const failure = serializeError(error);
  if (failure.code !== "INTERNAL") return failure;
  if (isTooManyFiles(error)) return serializeError(tooManyFiles("Cannot run the command", error));
  // What the system refuses, such as a failing disk, is no bug.
  if (/\(os error \d+\)/.test(failure.message)) {
    return { ...failure, message: `Cannot go on: ${failure.message}`, help: CHECK_SYSTEM };
  }
  const help = isOlder(deno, oldestDeno)
    ? `Deno ${deno} is too old: update it to ${oldestDeno} or newer with \`deno upgrade\``
    : REPORT_IT;
  return { ...failure, help };
}

/** Stack trace of an error and of the errors that caused it; empty if there is none. */
export function traceOf(error: unknown): string {
  const traces: string[] = [];
  const seen = new Set<unknown>();
  for (let at = error; at instanceof Error && !seen.has(at); at = at.cause) {
    seen.add(at);
    traces.push(at.stack ?? `${at.name}: ${at.message}`);
  }
  return traces.join("\ncaused by: ");
}
