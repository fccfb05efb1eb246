import { DumpFault } from "./fault.ts";
import { readText } from "../import_source.ts";

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
