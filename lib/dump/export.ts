import { UsageError } from "../base/errors.ts";
import { knownDatabase } from "../state/refusals.ts";
import { MARKER_TABLE } from "../state/marker.ts";
import { fold } from "../sql/tokens.ts";
import type { Workspace } from "../state/workspace.ts";
import { type Catalog, type CatalogObject, readTable } from "./catalog.ts";
import { csvHeader } from "./csv.ts";
import type { DumpContent, DumpPart } from "./part.ts";
import { openReading, type Reading } from "./reading.ts";
import type { Bytes } from "./render.ts";
import { sqlParts } from "./sql.ts";
import { type ExportControl, streamOf, writeParts } from "./write.ts";

/** What to export. */
export interface ExportOptions extends ExportControl {
  /** The schema, the rows, or both. Default `all`. */
  readonly content?: DumpContent;
  /** Only these tables, with their indexes and triggers. Default: everything. */
  readonly tables?: readonly string[];
}

/** Exports a database as SQL; what it is at this moment is what the stream will bring. */
export async function exportSql(
  workspace: Workspace,
  database: string,
  options: ExportOptions,
): Promise<ReadableStream<Bytes>> {
  const { content = "all", tables = [], ...control } = options;
  const reading = await openReading(
    await knownDatabase(workspace, database, "export"),
    workspace.settings,
  );
  try {
    refuseUnknown(reading.catalog, database, tables);
    const parts = sqlParts(reading.connection, reading.catalog, { database, content, tables });
    return streamOf(reading, writeParts(reading, parts, control));
  } catch (error) {
    await reading[Symbol.asyncDispose]();
    throw error;
  }
}

function refuseUnknown(catalog: Catalog, database: string, tables: readonly string[]): void {
  const known = catalog.objects.filter(({ kind }) => kind !== "index" && kind !== "trigger")
    .map(({ name }) => name);
  const names = new Set(known.map(fold));
  const unknown = tables.find((table) => !names.has(fold(table)));
  if (unknown === undefined) return;
  throw new UsageError(`Cannot export table "${unknown}": ${database} has no such table`, {
    help: `the tables are ${known.join(", ")}`,
  });
}

/** A table as it is exported by itself. */
export interface ExportedTable {
  /** Its name. */
  readonly name: string;
  /** Its rows; to be read before the next table is asked for. */
  readonly rows: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** What to export of tables. */
export interface ExportTablesOptions extends ExportControl {
  /** Comma-separated values, or one JSON object on each line. */
  readonly format: "csv" | "jsonl";
  /** Tables or views. Default: all tables. */
  readonly tables?: readonly string[];
}

/** Exports tables one after the other; all are of the moment in which the first one is asked for. */
export async function* exportTables(
  workspace: Workspace,
  database: string,
  options: ExportTablesOptions,
): AsyncGenerator<ExportedTable> {
  const { format, tables = [], ...control } = options;
  await using reading = await openReading(
    await knownDatabase(workspace, database, "export"),
    workspace.settings,
  );
  refuseUnknown(reading.catalog, database, tables);
  const { objects } = reading.catalog;
  // In the order that was asked for, by the names that they have.
  const names = tables.length > 0
    ? tables.map((table) => objects.find(({ name }) => fold(name) === fold(table))?.name ?? table)
    : objects.filter(isOwnTable).map(({ name }) => name);
  for (const name of names) {
    const parts = tableParts(reading, name, format);
    const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };
    yield { name, rows: streamOf(nothing, writeParts(reading, parts, control)) };
  }
}

function isOwnTable({ kind, name }: CatalogObject): boolean {
  return (kind === "table" || kind === "virtual") && name !== MARKER_TABLE;
}

async function* tableParts(
  { connection, catalog }: Reading,
  name: string,
  format: "csv" | "jsonl",
): AsyncGenerator<DumpPart> {
  const table = await readTable(connection, name);
  if (format === "csv") yield { kind: "text", text: csvHeader(table.columns) };
  const { encoding } = catalog;
  yield { kind: "rows", table, format, encoding, opening: "", closing: "\n" };
}
