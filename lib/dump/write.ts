import { InterruptedError } from "../base/errors.ts";
import { number } from "../database/connection.ts";
import { quoteName } from "../sql/tokens.ts";
import type { DumpPart, RowsPart } from "./part.ts";
import type { Reading } from "./reading.ts";
import { type Bytes, renderRows } from "./render.ts";
import { rangesOf } from "./rows.ts";

/** How far an export has come. */
export interface ExportProgress {
  /** Table whose rows are being written. */
  readonly table: string;
  /** Rows of it that are written. */
  readonly done: number;
  /** Rows that it has. */
  readonly total: number;
}

/** How to follow an export, and to stop it. */
export interface ExportControl {
  /** Called now and then. */
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
  /** Ends it; the stream fails then. */
  readonly signal?: AbortSignal | undefined;
}

/** Pieces that are written at once: about 500 KB, of which some for each thread are in memory. */
const PIECES = 8;

/** Writes the parts of a dump as UTF-8, in their order; the threads of the reading work ahead. */
export async function* writeParts(
  reading: Reading,
  parts: AsyncIterable<DumpPart>,
  control: ExportControl = {},
): AsyncGenerator<Bytes> {
  const encoder = new TextEncoder();
  for await (const part of parts) {
    if (part.kind === "text") {
      if (part.text !== "") yield encoder.encode(part.text);
    } else yield* writeRows(reading, part, control);
  }
}

async function* writeRows(
  { connection, crew }: Reading,
  part: RowsPart,
  control: ExportControl,
): AsyncGenerator<Bytes> {
  const { name } = part.table;
  const report = await reporter(name, control, async () => {
    const row = await connection.get(`SELECT count(*) AS rows FROM main.${quoteName(name)}`);
    return row === undefined ? 0 : number(row, "rows");
  });
  const rows = part.table.rowsPerPiece * PIECES;
  // What a thread has written waits in memory for its turn, for which large rows are too large.
  const threads = part.table.hasLargeRows ? null : crew;
  const ahead: Promise<readonly Bytes[]>[] = [];
  for await (const range of rangesOf(connection, part.table, { rows })) {
    if (threads === null) {
      yield* renderRows(connection, part, range);
      report(rows);
      continue;
    }
    const rendered = threads.render(part, range);
    rendered.catch(() => {}); // a failure is thrown when its turn comes
    ahead.push(rendered);
    if (ahead.length <= threads.size * 2) continue;
    yield* await ahead.shift() ?? [];
    report(rows);
  }
  for (const rendered of ahead) {
    yield* await rendered;
    report(rows);
  }
}

async function reporter(
  table: string,
  { onProgress, signal }: ExportControl,
  count: () => Promise<number>,
): Promise<(rows: number) => void> {
  const total = onProgress === undefined ? 0 : await count();
  let done = 0;
  const report = (rows: number): void => {
    if (signal?.aborted) {
      throw new InterruptedError("Cannot export the database: interrupted", {
        help: "nothing was changed; run the command again",
      });
    }
    done = Math.min(total, done + rows);
    onProgress?.({ table, done, total });
  };
  report(0);
  return report;
}

/** Makes a stream of what is written, which closes the reading at its end, or when nobody reads on. */
export function streamOf(
  reading: AsyncDisposable,
  chunks: AsyncGenerator<Bytes>,
): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (!done) return controller.enqueue(value);
        await reading[Symbol.asyncDispose]();
        controller.close();
      } catch (error) {
        await reading[Symbol.asyncDispose]();
        throw error;
      }
    },
    async cancel() {
      await chunks.return(undefined);
      await reading[Symbol.asyncDispose]();
    },
  }, { highWaterMark: 0 });
}
