import { DumpError } from "../base/errors.ts";
import { gunzip, isDamagedGzip } from "../base/files.ts";

/** Location of an error in a dump. */
interface FaultPlace {
  /** Its line, counted from 1. */
  readonly line?: number | undefined;
  /** Whether its line is the one where the text read so far ends. Default `false`. */
  readonly hasReached?: boolean;
  /** The statement, or its beginning if it is long. */
  readonly statement?: string | undefined;
  /** What to do next. */
  readonly help?: string | undefined;
  readonly cause?: unknown;
}

/** An error in a dump, without the dump's name, which the caller adds. */
export class DumpFault extends Error {
  readonly place: FaultPlace;

  constructor(reason: string, place: FaultPlace = {}) {
    super(reason);
    this.name = "DumpFault";
    this.place = place;
  }
}

/** Characters of a statement in a message. */
const SHOWN = 60;

/** Characters of a statement in an error. */
const CARRIED = 10_000;

/** Makes the error for the user: which dump, which line, why, which statement. */
export function toDumpError(fault: DumpFault, label: string): DumpError {
  const { line, statement, help, cause } = fault.place;
  const where = line === undefined ? "" : `line ${line}: `;
  const what = statement === undefined ? "" : ` (${beginningOf(statement)})`;
  return new DumpError(`Cannot import ${label}: ${where}${fault.message}${what}`, {
    cause: cause ?? fault,
    help: `${help === undefined ? "" : `${help}; `}nothing was changed`,
    ...(line === undefined ? {} : { line }),
    ...(statement === undefined ? {} : { statement: statement.slice(0, CARRIED) }),
  });
}

function beginningOf(statement: string): string {
  const text = statement.slice(0, 4 * SHOWN).replace(/\s+/g, " ").trim();
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

function strictDecoder(): TextDecoder {
  // The byte-order mark is removed elsewhere; one found here is part of the text.
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
}

function decode(decoder: TextDecoder, bytes: Uint8Array | null): string | null {
  try {
    return bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** The text before the first invalid UTF-8; the bytes may begin with the rest of the last character. */
function goodPart(bytes: Uint8Array, last: Uint8Array): string {
  let good = "";
  for (let length = 0, step = MOST_DECODED; step >= 1; step /= 2) {
    const decoder = strictDecoder();
    decode(decoder, last);
    const text = decode(decoder, bytes.subarray(0, length + step));
    if (text === null) continue;
    length += step;
    good = text;
  }
  return good;
}

/** Whether bytes begin with a text of single-byte characters. */
function begins(bytes: Uint8Array, text: string): boolean {
  return [...text].every((character, index) => bytes[index] === character.charCodeAt(0));
}

/** Beginnings of files compressed by ZIP, Zstandard, XZ and bzip2. */
const COMPRESSED = ["PK\x03\x04", "(\xb5/\xfd", "\xfd7zXZ", "BZh"];

/**
 * Kind of the text. Texts in rows may contain NUL, and a table without rows is an empty file in
 * JSON Lines.
 */
type Content = "sql" | "csv" | "jsonl";

/** Number of bytes that identify a file. */
const HEAD = 16;

/** Options for reading a stream. */
interface ReadOptions {
  /** Called with the number of bytes read. */
  readonly onProgress?: ((bytesRead: number) => void) | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Kind of the text. Default `sql`. */
  readonly content?: Content;
}

/**
 * Reads a stream as text, piece by piece: decompressed if it is gzip, from UTF-8 or UTF-16, without
 * a byte-order mark.
 *
 * @throws {DumpFault} if it is empty, not text, or damaged; what was valid before is yielded first.
 */
export async function* readText(
  source: ReadableStream<Uint8Array>,
  options: ReadOptions = {},
): AsyncGenerator<string> {
  const { content = "sql" } = options;
  const text = decoded(checked(inUtf8(unpacked(chunksOf(source, options))), content), content);
  yield* content === "sql" ? withoutReturns(text) : text;
}

/** Bytes to decode at once: a chunk may be longer than a string can be. */
const MOST_DECODED = 1 << 20;

async function* divided(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += MOST_DECODED) {
      yield chunk.subarray(at, at + MOST_DECODED);
    }
  }
}

async function* decoded(
  chunks: AsyncIterable<Uint8Array>,
  content: Content,
): AsyncGenerator<string> {
  const decoder = strictDecoder();
  /** The last character so far; the next bytes may be the rest of it. */
  let last = new Uint8Array();
  for await (const bytes of divided(chunks)) {
    const text = decode(decoder, bytes);
    if (text === null) {
      // Lines can still be counted up to this point, and so be reported.
      yield goodPart(bytes, last);
      throw content === "sql"
        ? new DumpFault("it is not UTF-8, or is damaged", {
          hasReached: true,
          help: "write the dump as UTF-8",
        })
        : new DumpFault("it has bytes that are not UTF-8", {
          help: "write it as UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`",
        });
    }
    const start = bytes.findLastIndex((byte) => byte < 0x80 || byte > 0xbf);
    last = start === -1 ? Uint8Array.of(...last, ...bytes) : bytes.slice(start);
    if (text !== "") yield text;
  }
  if (decode(decoder, null) !== null) return;
  if (content !== "sql") throw new DumpFault("it ends in the middle of a character");
  yield "\uFFFD"; // the statement is incomplete, too
}

/** The chunks of a stream. An interruption ends them at once, even if none would arrive. */
async function* chunksOf(
  source: ReadableStream<Uint8Array>,
  { onProgress, signal }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const reader = source.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  signal?.addEventListener("abort", stop);
  try {
    let read = 0;
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      read += next.value.length;
      onProgress?.(read);
      yield next.value;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    // The caller can't continue reading, and a file must be closed.
    await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

async function* unpacked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  if (!begins(head, "\x1f\x8b")) return yield* all;
  try {
    yield* gunzip(all);
  } catch (error) {
    if (!isDamagedGzip(error)) throw error;
    throw new DumpFault("its compressed data is damaged or incomplete", {
      cause: error,
      help: "copy or write the file again",
    });
  }
}

/** Converts UTF-16, which Excel and Windows PowerShell write, to UTF-8. */
async function* inUtf8(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  const encoding = wideEncodingOf(head);
  if (encoding === null) return yield* all;
  const decoder = new TextDecoder(encoding, { fatal: true });
  const encoder = new TextEncoder();
  try {
    for await (const chunk of all) yield encoder.encode(decoder.decode(chunk, { stream: true }));
    yield encoder.encode(decoder.decode());
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DumpFault("it is UTF-16 text, but damaged or truncated", {
      cause: error,
      help: "copy or write the file again",
    });
  }
}

/** The encoding of text with two bytes per character; null if it is another one. */
function wideEncodingOf(head: Uint8Array): string | null {
  if (begins(head, "\xff\xfe")) return "utf-16le";
  if (begins(head, "\xfe\xff")) return "utf-16be";
  const [first, second, third, fourth] = head;
  // Without a byte-order mark: one byte of a letter in plain text is 0.
  if (second === 0 && fourth === 0 && first && third) return "utf-16le";
  return first === 0 && third === 0 && second && fourth ? "utf-16be" : null;
}

/**
 * Refuses what is not text. Drops a byte-order mark, and turns the command of the `sqlite3` shell
 * with which its `.recover` output begins into a comment.
 */
async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  content: Content,
): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  if (head.length === 0 && content !== "jsonl") {
    throw new DumpFault("it is empty", { help: "write the file again" });
  }
  if (begins(head, "SQLite format 3\0")) {
    throw new DumpFault("it is an SQLite database, not a dump", {
      help: "`restore FILE NAME` accepts a database file",
    });
  }
  if (COMPRESSED.some((beginning) => begins(head, beginning))) {
    throw new DumpFault("it is compressed, but not with gzip", { help: "unpack it first" });
  }
  if (head.includes(0) && content === "sql") {
    throw new DumpFault("it is binary, not text", { line: 1, help: "name a dump in SQL text" });
  }
  let isFirst = true;
  for await (const chunk of all) {
    if (!isFirst) {
      yield chunk;
      continue;
    }
    isFirst = false;
    const text = chunk.subarray(begins(head, "\xef\xbb\xbf") ? 3 : 0);
    const isCommand = content === "sql" && begins(text, ".dbconfig ");
    yield isCommand ? text.slice().fill(DASH, 0, 2) : text;
  }
}

const DASH = 0x2d;

/**
 * Drops the carriage returns before line feeds if the first line ends in both: such a file was
 * converted as a whole, as git does on Windows, including the line breaks in its texts.
 */
async function* withoutReturns(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let isConverted: boolean | null = null;
  let pending = "";
  for await (const chunk of chunks) {
    const text: string = pending + chunk;
    const end: number = isConverted === null ? text.indexOf("\n") : -1;
    if (end !== -1) isConverted = text[end - 1] === "\r";
    // The next character may be the line feed that belongs to it.
    pending = isConverted !== false && text.endsWith("\r") ? "\r" : "";
    const rest = pending === "" ? text : text.slice(0, -1);
    yield isConverted === true ? rest.replaceAll("\r\n", "\n") : rest;
  }
  if (pending !== "") yield pending;
}

/** Reads the first bytes of chunks, and gives all of them back; the first chunk contains them. */
async function peek(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ head: Uint8Array; all: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]();
  let first: Uint8Array = new Uint8Array();
  while (first.length < HEAD) {
    const next = await iterator.next();
    if (next.done) break;
    const joined = new Uint8Array(first.length + next.value.length);
    joined.set(first);
    joined.set(next.value, first.length);
    first = joined;
  }
  const all = async function* () {
    try {
      yield first;
      for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  };
  return { head: first.subarray(0, HEAD), all: all() };
}
