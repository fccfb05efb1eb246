import { DumpFault } from "./fault.ts";
import type { ParsedRow, RowParser } from "./row_parser.ts";
import type { Target } from "../import_target.ts";
import { readRowText } from "./row_text.ts";

/** Milliseconds after which a long import lets the host's event loop go on. */
const YIELD_AFTER = 50;

/** The rows of a stream, parsed. */
export class RowSource {
  readonly #parser: RowParser;
  readonly #text: AsyncGenerator<string>;
  #first: ParsedRow[] = [];
  #isDone = false;
  /** Bytes read of the source. */
  bytes = 0;

  private constructor(source: ReadableStream<Uint8Array>, parser: RowParser) {
    this.#parser = parser;
    this.#text = readRowText(source, (bytes) => this.bytes = bytes);
  }

  /** Reads the first rows: a file whose columns are wrong is refused before anything is done for it. */
  static async open(
    source: ReadableStream<Uint8Array>,
    target: Target,
    format: "csv" | "jsonl",
  ): Promise<RowSource> {
    const rows = new RowSource(source, await parserFor(target, format));
    try {
      while (rows.#first.length === 0 && rows.header === null && !rows.#isDone) {
        rows.#first = await rows.#next();
      }
      return rows;
    } catch (error) {
      await rows.close();
      throw error;
    }
  }

  /** The header of a CSV file, once it is there. */
  get header(): string | null {
    return this.#parser.header;
  }

  async *read(): AsyncGenerator<ParsedRow[]> {
    yield this.#first;
    let yielded = performance.now();
    while (!this.#isDone) {
      yield await this.#next();
      // Else neither Ctrl-C nor anything else of the host would be heard until the end.
      if (performance.now() - yielded > YIELD_AFTER) {
        await new Promise((resolve) => setTimeout(resolve));
        yielded = performance.now();
      }
    }
  }

  async close(): Promise<void> {
    await this.#text.return(undefined);
  }

  async #next(): Promise<ParsedRow[]> {
    try {
      const { value, done } = await this.#text.next();
      if (!done) return this.#parser.push(value);
      this.#isDone = true;
      return this.#parser.end();
    } catch (error) {
      if (!(error instanceof DumpFault) || error.place.line !== undefined) throw error;
      throw new DumpFault(error.message, { ...error.place, line: this.#parser.line });
    }
  }
}

async function parserFor(target: Target, format: "csv" | "jsonl"): Promise<RowParser> {
  if (format === "csv") {
    const { CsvRows } = await import("./csv_rows.ts");
    return new CsvRows(target);
  }
  const { JsonlRows } = await import("../import_jsonl.ts");
  return new JsonlRows(target);
}
