import { DumpError, InterruptedError, UsageError } from "../base/errors.ts";
import { formatBytes } from "../base/format.ts";
import { type Connection, number, text } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import { countRowsOf } from "../schema/tables.ts";
import { type ViolatedCheck, violatedChecks } from "../schema/integrity.ts";
import { requireKnownDatabase, type Workspace } from "../state/workspace.ts";
import {
  type Catalog,
  type CatalogObject,
  listTables,
  readTable,
  type TableLists,
  whyUnreadable,
} from "./catalog.ts";
import { type Bytes, csvHeader, renderRows } from "./export_formats.ts";
import { type DumpContent, type DumpPart, rangesOf, type RowsPart } from "./export_rows.ts";
import { type LeftOut, sqlParts } from "./export_sql.ts";
import { openReading, type Reading } from "./export_reading.ts";

/** Options for an export. */
export interface ExportOptions extends ExportControl {
  /** The schema, the rows, or both. Default `all`. */
  readonly content?: DumpContent;
  /** Only these tables, with their indexes and triggers. Default: everything. */
  readonly tables?: readonly string[];
}

/** Exports a database as SQL, in its state at the time of the call. */
export async function exportSql(
  workspace: Workspace,
  database: string,
  options: ExportOptions,
): Promise<ReadableStream<Bytes>> {
  const { content = "all", tables = [], ...control } = options;
  const reading = await openReading(
    requireKnownDatabase(workspace, database, "export"),
    workspace.settings,
  );
  try {
    refuseUnknown(reading.catalog, database, tables);
    let ignoresChecks = false;
    if (content !== "schema") {
      await refuseLargeRows(reading.connection, { database, tables });
      ignoresChecks = await tellViolatedChecks(reading.connection, tables, control);
    }
    const { onLeftOut = () => {} } = control;
    const parts = sqlParts(reading.connection, reading.catalog, {
      ...{ database, content, tables, ignoresChecks, onLeftOut },
    });
    return streamOf(writeParts(reading, parts, control), reading);
  } catch (error) {
    await reading[Symbol.asyncDispose]();
    throw error;
  }
}

/** Bytes of the largest row that an import accepts; in hexadecimal it is twice as long. */
const LARGEST_ROW = 100e6;

/**
 * Refuses, before writing anything, rows that could be exported but not imported.
 *
 * @throws {DumpError} naming the table.
 */
async function refuseLargeRows(
  connection: Connection,
  { database, tables }: { readonly database: string; readonly tables: readonly string[] },
): Promise<void> {
  const size = await connection.get(
    "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
  );
  // Only a large database can have one.
  if (size === undefined || number(size, "bytes") < LARGEST_ROW) return;
  const found = await connection.all(
    `SELECT pages.name AS name, max(pages.mx_payload) AS bytes
    FROM dbstat AS pages JOIN main.sqlite_schema AS made ON made.name = pages.name
    WHERE made.type = 'table' AND pages.mx_payload > ?
    GROUP BY pages.name`,
    [LARGEST_ROW],
  ).catch(() => []); // without the module the import reports it
  const names = new Set(tables.map(fold));
  for (const row of found) {
    const name = text(row, "name");
    if (names.size > 0 && !names.has(fold(name))) continue;
    throw new DumpError(
      `Cannot export table "${name}" of ${database}: a row of it has ${
        formatBytes(number(row, "bytes"))
      }, and an import accepts at most ${formatBytes(LARGEST_ROW)}`,
      { database, help: "export the other tables with --table T; `backup` includes it unchanged" },
    );
  }
}

/** Reports rows that violate a CHECK. */
async function tellViolatedChecks(
  connection: Connection,
  tables: readonly string[],
  { onViolatedCheck }: ExportControl,
): Promise<boolean> {
  if (onViolatedCheck === undefined) return false;
  const found = await violatedChecks(connection, tables);
  for (const violated of found) onViolatedCheck(violated);
  return found.length > 0;
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

/** A table exported separately. */
export interface ExportedTable {
  /** Its name. */
  readonly name: string;
  /** Its rows; read them before requesting the next table. */
  readonly rows: ReadableStream<Uint8Array<ArrayBuffer>>;
}

/** Options for exporting tables. */
export interface ExportTablesOptions extends ExportControl {
  /** Comma-separated values, or one JSON object on each line. */
  readonly format: "csv" | "jsonl";
  /** Tables or views. Default: all tables. */
  readonly tables?: readonly string[];
  /** Called once with the names of all tables, before any is read; it may refuse them. */
  readonly onTables?: ((names: readonly string[]) => Promise<void>) | undefined;
}

/** Exports tables one after the other, in the state when the first one is requested. */
export async function* exportTables(
  workspace: Workspace,
  database: string,
  options: ExportTablesOptions,
): AsyncGenerator<ExportedTable> {
  const { format, tables = [], onTables, ...control } = options;
  await using reading = await openReading(
    requireKnownDatabase(workspace, database, "export"),
    workspace.settings,
  );
  refuseUnknown(reading.catalog, database, tables);
  await refuseLargeRows(reading.connection, { database, tables });
  await tellViolatedChecks(reading.connection, tables, control);
  const { objects } = reading.catalog;
  // In the requested order, with the names as declared.
  const names = tables.length > 0
    ? tables.map((table) => objects.find(({ name }) => fold(name) === fold(table))?.name ?? table)
    : objects.filter(isOwnTable).map(({ name }) => name);
  await onTables?.(names);
  const lists = await listTables(reading.connection, names.length);
  const byName = new Map(objects.map((object) => [object.name, object]));
  for (const name of names) {
    const object = byName.get(name);
    const reason = object === undefined ? null : await whyUnreadable(reading.connection, object);
    if (reason !== null) {
      const what = object?.kind === "virtual" ? "table" : "rows";
      control.onLeftOut?.({ name, what, reason });
      continue;
    }
    const parts = tableParts(reading, { name, format, lists });
    yield { name, rows: streamOf(writeParts(reading, parts, control)) };
  }
}

function isOwnTable({ kind, name }: CatalogObject): boolean {
  return (kind === "table" || kind === "virtual") && name !== MARKER_TABLE;
}

async function* tableParts(
  { connection, catalog }: Reading,
  { name, format, lists }: {
    readonly name: string;
    readonly format: "csv" | "jsonl";
    readonly lists: TableLists | null;
  },
): AsyncGenerator<DumpPart> {
  const table = await readTable(connection, name, lists);
  if (format === "csv") yield { kind: "text", text: csvHeader(table.columns) };
  const { encoding } = catalog;
  yield { kind: "rows", table, format, encoding, opening: "", closing: "\n" };
}

/** Progress of an export. */
export interface ExportProgress {
  /** Table whose rows are being written. */
  readonly table: string;
  /** Number of its rows written. */
  readonly done: number;
  /** Total number of its rows. */
  readonly total: number;
}

/** Options for progress and stopping. */
export interface ExportControl {
  /** Called periodically. */
  readonly onProgress?: ((progress: ExportProgress) => void) | undefined;
  /** Stops it; the stream then fails. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called for what can't be written because something it needs is missing; the rest is written.
   */
  readonly onLeftOut?: ((leftOut: LeftOut) => void) | undefined;
  /**
   * Called, before the first byte, for tables with rows that violate a CHECK. They are written, and
   * `import` accepts them; other programs refuse them. Default: the rows are not checked.
   */
  readonly onViolatedCheck?: ((violated: ViolatedCheck) => void) | undefined;
}

/** Number of pieces written at once: about 500 KB, of which each thread has some in memory. */
const PIECES = 8;

/** Writes the parts of a dump as UTF-8, in order, while the threads work ahead. */
export async function* writeParts(
  reading: Reading,
  parts: AsyncIterable<DumpPart>,
  control: ExportControl = {},
): AsyncGenerator<Bytes> {
  yield* joined(writeEach(reading, parts, control));
}

async function* writeEach(
  reading: Reading,
  parts: AsyncIterable<DumpPart>,
  control: ExportControl,
): AsyncGenerator<Bytes> {
  const encoder = new TextEncoder();
  for await (const part of parts) {
    if (part.kind === "text") {
      if (part.text !== "") yield encoder.encode(part.text);
    } else yield* writeRows(reading, part, control);
  }
}

/** Bytes that are worth a system call. */
const CHUNK = 1 << 16;

/**
 * Joins chunks that are too small: each call costs the same, and there may be many empty tables.
 */
async function* joined(chunks: AsyncIterable<Bytes>): AsyncGenerator<Bytes> {
  let pending: Bytes[] = [];
  let length = 0;
  let isFirst = true;
  for await (const chunk of chunks) {
    pending.push(chunk);
    length += chunk.length;
    // The first one shows at once that there is something to read.
    if (length < CHUNK && !isFirst) continue;
    isFirst = false;
    yield whole(pending, length);
    [pending, length] = [[], 0];
  }
  if (length > 0) yield whole(pending, length);
}

function whole(chunks: readonly Bytes[], length: number): Bytes {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

async function* writeRows(
  { connection, threads: available }: Reading,
  part: RowsPart,
  control: ExportControl,
): AsyncGenerator<Bytes> {
  const { name } = part.table;
  const report = await reporter(name, control, () => countRowsOf(connection, name));
  const rows = part.table.rowsPerPiece * PIECES;
  // A thread's output waits in memory for its turn, so large rows are not given to threads.
  const threads = part.table.hasLargeRows || part.table.isSmall ? null : available;
  const ahead: Promise<readonly Bytes[]>[] = [];
  for await (const range of rangesOf(connection, part.table, { rows })) {
    if (threads === null) {
      yield* renderRows(connection, part, range);
      report(rows);
      continue;
    }
    const rendered = threads.render(part, range);
    rendered.catch(() => {}); // a failure is thrown in its turn
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

/** Makes a stream that closes what it reads at its end, or when it is cancelled. */
function streamOf(
  chunks: AsyncGenerator<Bytes>,
  reading?: AsyncDisposable,
): ReadableStream<Bytes> {
  return new ReadableStream<Bytes>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (!done) return controller.enqueue(value);
        await reading?.[Symbol.asyncDispose]();
        controller.close();
      } catch (error) {
        await reading?.[Symbol.asyncDispose]();
        throw error;
      }
    },
    async cancel() {
      await chunks.return(undefined);
      await reading?.[Symbol.asyncDispose]();
    },
  }, { highWaterMark: 0 });
}
