import type { Connection, ConnectionSettings } from "../database/connection.ts";
import type { DatabaseLocation } from "../database/location.ts";
import {
  type Catalog,
  columnList,
  listTables,
  readSequences,
  readTable,
  withOnlyKey,
} from "./catalog.ts";
import type { DumpPart } from "./export_rows.ts";
import { type ExportControl, writeParts } from "./export.ts";
import { openReading } from "./export_reading.ts";
import { countRows } from "../schema/tables.ts";

/**
 * SHA-256, in hexadecimal, of a database's content: its schema, its rows in order, the
 * `AUTOINCREMENT` counters, `user_version` and `application_id`. How it is stored makes no
 * difference: the order of creation, pages, the journal mode, statistics, or the row ids of tables
 * with another key.
 */
export async function contentHash(
  location: DatabaseLocation,
  settings: ConnectionSettings,
  onShare?: (done: number) => void,
): Promise<string> {
  await using reading = await openReading(location, settings);
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const parts = contentParts(reading.connection, reading.catalog);
  const control = onShare === undefined ? {} : await rowProgress(reading.connection, onShare);
  for await (const bytes of writeParts(reading, parts, control)) hash.update(bytes);
  return hash.digest("hex");
}

/** Reports the share of all rows that have been read. */
async function rowProgress(
  connection: Connection,
  onShare: (done: number) => void,
): Promise<ExportControl> {
  const total = [...(await countRows(connection)).values()].reduce((sum, rows) => sum + rows, 0);
  let before = 0;
  return {
    onProgress: ({ done, total: rows }) => {
      onShare((before + done) / Math.max(1, total));
      if (done === rows) before += rows;
    },
  };
}

/** Everything that counts, as text in a fixed order. */
async function* contentParts(
  connection: Connection,
  catalog: Catalog,
): AsyncGenerator<DumpPart> {
  const { userVersion, applicationId, encoding } = catalog;
  const objects = catalog.objects.toSorted((a, b) => compare(a.name, b.name));
  // A comment at the end of a statement may be followed by the line break that ends it.
  const schema = objects.map(({ kind, name, table, sql }) => [kind, name, table, sql.trimEnd()]);
  yield line({ userVersion, applicationId, schema });
  const lists = await listTables(connection, objects.length);
  for (const { kind, name } of objects) {
    if (kind !== "table" && kind !== "shadow") continue;
    const table = withOnlyKey(await readTable(connection, name, lists));
    yield line({ table: name, columns: columnList(table) });
    // Each row ends in the same way, whatever groups the rows are read in.
    yield { kind: "rows", table, format: "hash", encoding, opening: "", closing: ",\n" };
  }
  if (catalog.internal.has("sqlite_sequence")) {
    const marks = [...await readSequences(connection)].sort(([a], [b]) => compare(a, b));
    yield line({ marks });
  }
}

function line(value: unknown): DumpPart {
  return { kind: "text", text: `${JSON.stringify(value)}\n` };
}

/** By code units: the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
