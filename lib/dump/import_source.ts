import { DumpError } from "../base/errors.ts";

/** What is wrong with a dump, and where. */
export interface FaultPlace {
  /** Line on which it is; the first is 1. */
  readonly line?: number | undefined;
  /** The statement, or its beginning where it is long. */
  readonly statement?: string | undefined;
  /** What to do about it. */
  readonly help?: string | undefined;
  readonly cause?: unknown;
}

/** Something is wrong with a dump; what it is called is known further up. */
export class DumpFault extends Error {
  readonly place: FaultPlace;

  constructor(reason: string, place: FaultPlace = {}) {
    super(reason);
    this.name = "DumpFault";
    this.place = place;
  }
}

/** Characters of a statement that a message shows. */
const SHOWN = 60;

/** Characters of a statement that an error carries. */
const CARRIED = 10_000;

/** Says what a person has to know: which dump, which line, why, which statement. */
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
 * Reads a stream of bytes as UTF-8 text, piece by piece; gzip is unpacked, a byte-order mark dropped.
 *
 * @throws {DumpFault} where it is not UTF-8, or damaged gzip; what was good before is yielded first.
 */
export async function* readRowText(
  source: ReadableStream<Uint8Array>,
  onProgress: (bytesRead: number) => void,
): AsyncGenerator<string> {
  // The mark is gone already: one that comes now is part of the text.
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  for await (const bytes of readText(source, { onProgress, content: "rows" })) {
    const text = decoded(decoder, bytes);
    if (text === null) {
      // Up to there the lines can still be counted, and so be told.
      yield goodPart(bytes);
      throw new DumpFault("it has bytes that are not UTF-8", {
        help: "write it as UTF-8, as by `iconv -f WINDOWS-1252 -t UTF-8`",
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

/** What of some bytes stands before the first that are no UTF-8. */
function goodPart(bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes);
  return text.slice(0, Math.max(0, text.indexOf("\uFFFD")));
}

/** What a file begins with that is no SQL, and what is to be said of it. */
const OTHERS: readonly {
  readonly begins: readonly number[];
  readonly reason: string;
  readonly help: string;
}[] = [
  {
    begins: [...new TextEncoder().encode("SQLite format 3\0")],
    reason: "it is an SQLite database, and no dump",
    help: "`restore FILE NAME` takes a database file as it is",
  },
  {
    begins: [0xff, 0xfe],
    reason: "it has another encoding: UTF-16",
    help: "write it as UTF-8, as by `iconv -f UTF-16 -t UTF-8`",
  },
  {
    begins: [0xfe, 0xff],
    reason: "it has another encoding: UTF-16",
    help: "write it as UTF-8, as by `iconv -f UTF-16 -t UTF-8`",
  },
  ...[[0x50, 0x4b, 3, 4], [0x28, 0xb5, 0x2f, 0xfd], [0xfd, 0x37, 0x7a, 0x58, 0x5a], [
    0x42,
    0x5a,
    0x68,
  ]]
    .map((begins) => ({
      begins,
      reason: "it is compressed, and not by gzip",
      help: "unpack it first",
    })),
];

/** What the text is. A file of rows may be empty, and texts in it may hold a NUL. */
type Content = "sql" | "rows";

/** Number of bytes that tell what a file is. */
const HEAD = 16;

/** How a stream is read. */
interface ReadOptions {
  /** Called with the number of bytes that have been read. */
  readonly onProgress?: ((bytesRead: number) => void) | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** What the text is. Default `sql`. */
  readonly content?: Content;
}

/**
 * Reads text from a stream: unpacked where gzip packed it, without a byte-order mark.
 *
 * @throws {DumpFault} where it is empty, no text, or of another encoding.
 */
export async function* readText(
  source: ReadableStream<Uint8Array>,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const { content = "sql" } = options;
  yield* withoutMark(checked(unpacked(chunksOf(source, options)), content));
}

/** The chunks of a stream; an interruption ends them at once, even where none would come. */
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
    // Whoever gave the stream can't read on, and a file must be closed.
    await reader.cancel().catch(() => {});
    reader.releaseLock();
  }
}

async function* unpacked(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return yield* all;
  const unpacking = ReadableStream.from(all as AsyncIterable<Uint8Array<ArrayBuffer>>)
    .pipeThrough(new DecompressionStream("gzip"));
  try {
    yield* unpacking;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DumpFault("its compressed data are damaged or end in the middle", {
      cause: error,
      help: "copy or write the file again",
    });
  }
}

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  content: Content,
): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  if (head.length === 0 && content === "sql") {
    throw new DumpFault("it is empty", { help: "write the dump again" });
  }
  const other = OTHERS.find(({ begins }) => begins.every((byte, index) => head[index] === byte));
  if (other !== undefined) throw new DumpFault(other.reason, { help: other.help });
  const nul = head.indexOf(0);
  // Text in two bytes a character has one of them empty.
  const isWide = nul !== -1 && head.length > 3 && nul < 2 && head[nul + 2] === 0 &&
    head[1 - nul] !== 0;
  if (isWide || (nul !== -1 && content === "sql")) {
    throw new DumpFault(isWide ? "it has another encoding: UTF-16" : "it is binary, and no text", {
      line: 1,
      help: isWide ? "write it as UTF-8" : "name a dump in SQL text",
    });
  }
  yield* all;
}

async function* withoutMark(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const { head, all } = await peek(chunks);
  let isFirst = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf;
  for await (const chunk of all) {
    yield isFirst ? chunk.subarray(3) : chunk;
    isFirst = false;
  }
}

/** Looks at the first bytes of chunks, and gives all of them back; the first holds them. */
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
