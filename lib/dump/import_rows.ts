import { createYielder } from "../base/event_loop.ts";
import {
  CatalystError,
  DumpError,
  InterruptedError,
  UnrecordedError,
  UsageError,
} from "../base/errors.ts";
import { statDatabase } from "../database/location.ts";
import { withTransaction } from "../database/transaction.ts";
import { afterCommit, type Committed, Session } from "../engine/session.ts";
import { snapshotBefore } from "../snapshot/safeguard.ts";
import { addEvent } from "../state/ledger.ts";
import { locationOf, requireKnownDatabase, type Workspace } from "../state/workspace.ts";
import { RowInserter } from "./import_inserter.ts";
import { DumpFault, readText, toDumpError } from "./import_source.ts";
import {
  type BadRow,
  type ImportTarget,
  type ParsedRow,
  readTarget,
  type RowParser,
} from "./import_target.ts";

/** Number of bad rows in an error, after which the import ends. */
const MOST_BAD = 10;

/** Handles rows that can't be imported. */
class BadRows {
  readonly #options: ImportRowsOptions;
  readonly #kept: BadRow[] = [];
  /** Number of rows that the caller accepted. */
  skipped = 0;

  constructor(options: ImportRowsOptions) {
    this.#options = options;
  }

  /** Handles one; throws if the caller does not and there are too many. */
  async take(bad: BadRow): Promise<void> {
    const { onBadRow } = this.#options;
    if (onBadRow !== undefined) {
      this.skipped++;
      return await onBadRow(bad);
    }
    this.#kept.push(bad);
    if (this.#kept.length >= MOST_BAD) this.check();
  }

  /** Throws if there were any and the caller did not accept them. */
  check(): void {
    const [first, ...others] = this.#kept;
    if (first === undefined) return;
    const { label = "the input", database, table } = this.#options;
    const more = others.map(({ line, reason }) => `line ${line}: ${reason}`);
    throw new DumpError(
      `Cannot import ${label} into table "${table}": line ${first.line}: ${first.reason}`,
      {
        database,
        line: first.line,
        help: [
          ...more,
          ...this.#kept.length < MOST_BAD ? [] : ["the import stopped there; there may be more"],
          "nothing was imported; fix the file, or import the other rows and write these to a file " +
          "with --skip-bad-rows FILE",
        ].join("\n"),
      },
    );
  }
}

/** The rows of a stream, parsed. */
class RowSource implements AsyncDisposable {
  readonly #parser: RowParser;
  readonly #text: AsyncGenerator<string>;
  #first: ParsedRow[] = [];
  #isDone = false;
  /** Bytes read from the source. */
  bytes = 0;

  private constructor(
    source: ReadableStream<Uint8Array>,
    { parser, format }: { readonly parser: RowParser; readonly format: "csv" | "jsonl" },
  ) {
    this.#parser = parser;
    this.#text = readText(source, {
      content: format,
      onProgress: (bytes) => this.bytes = bytes,
    });
  }

  /**
   * Reads the first rows, so that a file with invalid columns is refused before anything is done.
   */
  static async open(
    source: ReadableStream<Uint8Array>,
    target: ImportTarget,
    format: "csv" | "jsonl",
  ): Promise<RowSource> {
    const rows = new RowSource(source, { parser: await parserFor(target, format), format });
    try {
      while (rows.#first.length === 0 && rows.header === null && !rows.#isDone) {
        rows.#first = await rows.#next();
      }
      if (format === "csv" && rows.header === null) {
        throw new DumpFault("it has no line with the names of the columns", {
          help: "write the file again, with a header",
        });
      }
      return rows;
    } catch (error) {
      await rows[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The header of a CSV file, once read. */
  get header(): string | null {
    return this.#parser.header;
  }

  async *read(): AsyncGenerator<ParsedRow[]> {
    yield this.#first;
    const yielder = createYielder();
    while (!this.#isDone) {
      yield await this.#next();
      await yielder();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
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

async function parserFor(target: ImportTarget, format: "csv" | "jsonl"): Promise<RowParser> {
  if (format === "csv") {
    const { CsvRows } = await import("./import_csv.ts");
    return new CsvRows(target);
  }
  const { JsonlRows } = await import("./import_jsonl.ts");
  return new JsonlRows(target);
}

/** Progress of an import of rows. */
export type ImportRowsProgress =
  | {
    /** The database is being copied into a snapshot. */
    readonly stage: "snapshot";
    /** Pages copied. */
    readonly done: number;
    /** Total pages. */
    readonly total: number;
  }
  | {
    /** Rows are being inserted. */
    readonly stage: "rows";
    /** Bytes read from the source, before decompression. */
    readonly bytes: number;
    /** Rows inserted. */
    readonly rows: number;
  };

/** What to import, and where to. */
export interface ImportRowsOptions {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table, which must exist. */
  readonly table: string;
  /** Format of the rows: CSV with a header, or JSON Lines. */
  readonly format: "csv" | "jsonl";
  /** Name of the source in messages, such as its file name. Default `the input`. */
  readonly label?: string;
  /**
   * Receives the rows that can't be imported, in order; the others are then imported. Default: a
   * single such row cancels the import.
   */
  readonly onBadRow?: (bad: BadRow) => void | Promise<void>;
  /** Whether to take a snapshot first if the database holds rows. Default `true`. */
  readonly backup?: boolean;
  /** Called periodically with the progress. */
  readonly onProgress?: (progress: ImportRowsProgress) => void;
  /** Stops the import; nothing is imported. */
  readonly signal?: AbortSignal;
}

/** Result of an import of rows. */
export interface ImportRowsResult {
  /** Name of the table, as declared. */
  readonly table: string;
  /** Number of inserted rows. */
  readonly rows: number;
  /** Number of rows given to `onBadRow`. */
  readonly skipped: number;
  /** Name of the snapshot taken first; null if none was taken. */
  readonly snapshot: string | null;
}

/** Inserts the rows of a stream into a table, in one transaction. */
export async function importRows(
  workspace: Workspace,
  source: ReadableStream<Uint8Array>,
  options: ImportRowsOptions,
): Promise<ImportRowsResult> {
  const { label = "the input" } = options;
  try {
    return await importAll(workspace, source, options);
  } catch (error) {
    // The caller can't continue reading, and a file must be closed.
    if (!source.locked) await source.cancel().catch(() => {});
    if (error instanceof UnrecordedError) throw error;
    if (error instanceof DumpFault) throw toDumpError(error, label);
    if (options.signal?.aborted) {
      throw new InterruptedError(`Cannot import ${label}: interrupted`, {
        cause: error,
        database: options.database,
        help: "nothing was imported; run the command again",
      });
    }
    throw error;
  }
}

async function importAll(
  workspace: Workspace,
  source: ReadableStream<Uint8Array>,
  options: ImportRowsOptions,
): Promise<ImportRowsResult> {
  const { database, label = "the input", backup = true, onProgress, signal } = options;
  requireDatabase(workspace, database);
  await using session = await Session.begin(workspace, { signal });
  const connection = await session.database(database);
  const target = await readTarget(connection, options.table);
  // The signal must also be noticed while a slow source sends nothing.
  const heard = signal === undefined
    ? source
    : source.pipeThrough(new TransformStream(), { signal });
  await using rows = await RowSource.open(heard, target, options.format);
  const snapshot = !backup ? null : await snapshotBefore(workspace, session, {
    databases: [database],
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => onProgress?.({ stage: "snapshot", done, total }),
  });
  const badRows = new BadRows(options);
  const inserter = new RowInserter(
    connection,
    target,
    ({ line, text }, reason) => badRows.take({ line, reason, text, header: rows.header }),
  );
  await recordImport(workspace, session, { database, label, detail: null });
  await withTransaction(connection, async () => {
    for await (const parsed of rows.read()) {
      await inserter.add(parsed);
      onProgress?.({ stage: "rows", bytes: rows.bytes, rows: inserter.rows });
      signal?.throwIfAborted();
    }
    await inserter.finish();
    badRows.check();
  }, { timeout: workspace.timeout, signal }).catch((error) => {
    throw explained(error, target, options);
  });
  const result = {
    table: target.table,
    rows: inserter.rows,
    skipped: badRows.skipped,
    snapshot,
  };
  await afterCommit(
    importedRows(`${result.rows} ${result.rows === 1 ? "row" : "rows"}`, database),
    () => recordImport(workspace, session, { database, label, detail: detailOf(result) }),
  );
  return result;
}

function requireDatabase(workspace: Workspace, database: string): void {
  const location = requireKnownDatabase(workspace, database, "import into");
  if (location.path !== ":memory:" && !statDatabase(location).exists) {
    throw new UsageError(`Cannot import into ${database}: ${location.path} does not exist`, {
      database,
      help: "run `upgrade` first: it creates the database with its tables",
    });
  }
}

/** A constraint checked only at the end concerns the file, not a single row. */
function explained(error: unknown, { table }: ImportTarget, options: ImportRowsOptions): unknown {
  const { label = "the input", database } = options;
  const isLate = error instanceof CatalystError && error.statement === "COMMIT" &&
    /FOREIGN KEY constraint failed/.test(error.message);
  if (!isLate) return error;
  return new DumpError(
    `Cannot import ${label} into table "${table}": FOREIGN KEY constraint failed`,
    {
      cause: error,
      database,
      help: "some of its rows reference missing rows: import those first; nothing was imported",
    },
  );
}

/** What to record of an import. */
interface ImportEvent {
  readonly database: string;
  readonly label: string;
  /** What was imported; null at the start: if it can't be recorded, nothing is imported. */
  readonly detail: string | null;
}

/** Records the start or the end of an import. */
export async function recordImport(
  workspace: Workspace,
  session: Session,
  { database, label, detail }: ImportEvent,
): Promise<void> {
  await session.record((ledger) =>
    addEvent(ledger, {
      name: label,
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "import",
      ...detail === null ? { outcome: "started", endedAt: null } : {},
      detail,
    })
  );
}

/** What was imported, in case its end can't be recorded. */
export function importedRows(what: string, database: string): Committed {
  return {
    done: `Imported ${what} into ${database}`,
    help: "the rows are in the database: running the command again would add them twice",
  };
}

function detailOf({ table, rows, skipped, snapshot }: ImportRowsResult): string {
  return [
    `${rows} ${rows === 1 ? "row" : "rows"} into table ${table}`,
    ...skipped === 0 ? [] : [`${skipped} skipped`],
    ...snapshot === null ? [] : [`the previous data is in snapshot ${snapshot}`],
  ].join("; ");
}
