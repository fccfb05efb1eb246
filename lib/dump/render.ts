import type { Connection } from "../database/connection.ts";
import type { RowFormat, RowFormatName, RowsPart } from "./row.ts";
import { readRows, type RowRange } from "./rows.ts";
import { sqlFormat } from "./sql.ts";

/** Loads a format; most dumps need only one. */
const formats: Readonly<Record<RowFormatName, () => Promise<RowFormat>>> = {
  sql: () => Promise.resolve(sqlFormat),
  csv: async () => (await import("./csv.ts")).csvFormat,
  jsonl: async () => (await import("./jsonl.ts")).jsonlFormat,
  hash: async () => (await import("./hash_format.ts")).hashFormat,
};

/** Bytes of UTF-8, as they go to a file. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** Writes the rows of a range as UTF-8. */
export async function* renderRows(
  connection: Connection,
  part: RowsPart,
  range: RowRange | null,
): AsyncGenerator<Bytes> {
  const format = await formats[part.format]();
  yield* encode(readRows(connection, { ...part, format }, range));
}

/** Characters that are encoded at once. */
const CHUNK = 1 << 18;

/** Encodes text as UTF-8, in chunks that are worth a system call. */
export async function* encode(texts: AsyncIterable<string>): AsyncGenerator<Bytes> {
  const encoder = new TextEncoder();
  let pending: string[] = [];
  let length = 0;
  for await (const text of texts) {
    pending.push(text);
    length += text.length;
    if (length < CHUNK) continue;
    yield encoder.encode(pending.join(""));
    pending = [];
    length = 0;
  }
  if (length > 0) yield encoder.encode(pending.join(""));
}
