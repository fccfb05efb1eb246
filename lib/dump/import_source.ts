import { DumpError } from "../base/errors.ts";
import { gunzip, isDamagedGzip } from "../base/files.ts";

/** Location of an error in a dump. */
interface FaultPlace {
  /** Its line, counted from 1. */
  readonly line?: number | undefined;
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

/**
 * Reads a stream of bytes as UTF-8 text, piece by piece. Decompresses gzip and drops a byte-order
 * mark.
 *
 * @throws {DumpFault} if it is not UTF-8, or damaged gzip; what was valid before is yielded first.
 */
export async function* readRowText(
  source: ReadableStream<Uint8Array>,
  { format, onProgress }: {
    readonly format: "csv" | "jsonl";
    readonly onProgress: (bytesRead: number) => void;
  },
): AsyncGenerator<string> {
  // The byte-order mark was already removed; one found now is part of the text.
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for await (const bytes of readText(source, { onProgress, content: format })) {
    const text = decoded(decoder, bytes);
    if (text === null) {
      // Lines can still be counted up to this point, and so be reported.
      yield goodPart(bytes);
      throw new DumpFault("it has bytes that are not UTF-8", {
        help: "write it as UTF-8, for example with `iconv -f WINDOWS-1252 -t UTF-8`",
      });
    }
    if (text !== "") yield text;
  }
  if (decoded(decoder, null) === null) throw new DumpFault("it ends in the middle of a character");
}

function decoded(decoder: TextDecoder, bytes: Uint8Array | null): string | null {
  try {
    return bytes === null ? decoder.decode() : decoder.decode(bytes, { stream: true });
  } catch {
    return null;
  }
}

/** The part of some bytes before the first invalid UTF-8. */
function goodPart(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  return text.slice(0, Math.max(0, text.indexOf("\uFFFD")));
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

const LINE_FEED = 10;
const RETURN = 13;

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
 * Reads text from a stream: decompressed if it is gzip, as UTF-8, without a byte-order mark.
 *
 * @throws {DumpFault} if it is empty, not text, or damaged.
 */
export async function* readText(
  source: ReadableStream<Uint8Array>,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const { content = "sql" } = options;
  const text = checked(inUtf8(unpacked(chunksOf(source, options))), content);
  yield* content === "sql" ? withoutReturns(text) : text;
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
async function* withoutReturns(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isConverted: boolean | null = null;
  let isPending = false;
  for await (const chunk of chunks) {
    if (isConverted === null) {
      const end = chunk.indexOf(LINE_FEED);
      if (end !== -1) isConverted = end > 0 ? chunk[end - 1] === RETURN : isPending;
      else isPending = chunk.at(-1) === RETURN;
    }
    if (isConverted !== true) {
      yield chunk;
      continue;
    }
    const kept = new Uint8Array(chunk.length + 1);
    let length = 0;
    for (const byte of chunk) {
      if (isPending && byte !== LINE_FEED) kept[length++] = RETURN;
      isPending = byte === RETURN;
      if (!isPending) kept[length++] = byte;
    }
    yield kept.subarray(0, length);
  }
  if (isConverted === true && isPending) yield new Uint8Array([RETURN]);
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
