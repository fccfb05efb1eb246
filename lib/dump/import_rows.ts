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
import { snapshotBefore } from "../snapshot/mod.ts";
import { addOccurrence } from "../state/ledger.ts";
import { requireKnownDatabase } from "../state/refusals.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { RowInserter } from "./import_inserter.ts";
import { DumpFault, readRowText, toDumpError } from "./import_source.ts";
import {
  type BadRow,
  type ImportTarget,
  type ParsedRow,
  readTarget,
  type RowParser,
} from "./import_target.ts";

/** Bad rows that an error tells of; there the import ends. */
const MOST_BAD = 10;

/** What becomes of the rows that can't be imported. */
class BadRows {
  readonly #options: ImportRowsOptions;
  readonly #kept: BadRow[] = [];
  /** Number of rows that somebody took. */
  skipped = 0;

  constructor(options: ImportRowsOptions) {
    this.#options = options;
  }

  /** Takes one; throws where nobody else does and there are too many. */
  async take(bad: BadRow): Promise<void> {
    const { onBadRow } = this.#options;
    if (onBadRow !== undefined) {
      this.skipped++;
      return await onBadRow(bad);
    }
    this.#kept.push(bad);
    if (this.#kept.length >= MOST_BAD) this.check();
  }

  /** Throws where there were any and nobody took them. */
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
          ...this.#kept.length < MOST_BAD ? [] : ["there it was stopped; more may be wrong"],
          "nothing was imported; mend the file, or import the other rows and have these written " +
          "aside with --skip-bad-rows FILE",
        ].join("\n"),
      },
    );
  }
}

/** The rows of a stream, parsed. */
class RowSource {
  readonly #parser: RowParser;
  readonly #text: AsyncGenerator<string>;
  #first: ParsedRow[] = [];
  #isDone = false;
  /** Bytes read of the source. */
  bytes = 0;

  private constructor(
    source: ReadableStream<Uint8Array>,
    { parser, format }: { readonly parser: RowParser; readonly format: "csv" | "jsonl" },
  ) {
    this.#parser = parser;
    this.#text = readRowText(source, { format, onProgress: (bytes) => this.bytes = bytes });
  }

  /** Reads the first rows: a file whose columns are wrong is refused before anything is done for it. */
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
    const yielder = createYielder();
    while (!this.#isDone) {
      yield await this.#next();
      await yielder();
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

async function parserFor(target: ImportTarget, format: "csv" | "jsonl"): Promise<RowParser> {
  if (format === "csv") {
    const { CsvRows } = await import("./import_csv.ts");
    return new CsvRows(target);
  }
  const { JsonlRows } = await import("./import_jsonl.ts");
  return new JsonlRows(target);
}

/** How far an import of rows has come. */
export type ImportRowsProgress =
  | {
    /** The database is being copied into a snapshot. */
    readonly stage: "snapshot";
    /** Pages copied. */
    readonly done: number;
    /** Pages in all. */
    readonly total: number;
  }
  | {
    /** Rows are being put in. */
    readonly stage: "rows";
    /** Bytes read of the source, packed where it is packed. */
    readonly bytes: number;
    /** Rows put in. */
    readonly rows: number;
  };

/** What to import, and where to. */
export interface ImportRowsOptions {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table; it must be there. */
  readonly table: string;
  /** Format of the rows: CSV with a header, or JSON Lines. */
  readonly format: "csv" | "jsonl";
  /** What the source is called in messages, such as its file's name. Default `the input`. */
  readonly label?: string;
  /**
   * Takes the rows that can't be imported, in their order; the others are imported then. Default:
   * one such row, and nothing is imported.
   */
  readonly onBadRow?: (bad: BadRow) => void | Promise<void>;
  /** Whether to take a snapshot first, where the database holds rows. Default `true`. */
  readonly backup?: boolean;
  /** Called now and then with how far it has come. */
  readonly onProgress?: (progress: ImportRowsProgress) => void;
  /** Stops it; nothing is imported then. */
  readonly signal?: AbortSignal;
}

/** What an import of rows did. */
export interface ImportRowsResult {
  /** Name of the table, as it is declared. */
  readonly table: string;
  /** Number of rows put in. */
  readonly rows: number;
  /** Number of rows that were handed to `onBadRow`. */
  readonly skipped: number;
  /** Name of the snapshot that was taken before; null where none was. */
  readonly snapshot: string | null;
}

/** Puts the rows of a stream into a table, in one transaction. */
export async function importRows(
  workspace: Workspace,
  source: ReadableStream<Uint8Array>,
  options: ImportRowsOptions,
): Promise<ImportRowsResult> {
  const { label = "the input" } = options;
  try {
    return await importAll(workspace, source, options);
  } catch (error) {
    // Whoever gave it can't read on, and a file must be closed.
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
  const { database, backup = true, onProgress, signal } = options;
  await requireDatabase(workspace, database);
  await using session = await Session.begin(workspace, { signal });
  const connection = await session.database(database);
  const target = await readTarget(connection, options.table);
  // Also while nothing comes from a slow source it is to be heard.
  const heard = signal === undefined
    ? source
    : source.pipeThrough(new TransformStream(), { signal });
  const rows = await RowSource.open(heard, target, options.format);
  try {
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
    await recordStart(workspace, session, options);
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
      () => record(workspace, session, options, result),
    );
    return result;
  } finally {
    await rows.close();
  }
}

async function requireDatabase(workspace: Workspace, database: string): Promise<void> {
  const location = await requireKnownDatabase(workspace, database, "import into");
  if (location.path !== ":memory:" && !statDatabase(location).exists) {
    throw new UsageError(`Cannot import into ${database}: ${location.path} is not there`, {
      database,
      help: "run `upgrade` first: it creates the database with its tables",
    });
  }
}

/** A constraint that is checked only at the end is no row's, but the file's. */
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

/** Records the start of an import: where the ledger can't be written, nothing is imported. */
export async function recordStart(
  workspace: Workspace,
  session: Session,
  { database, label = "the input" }: Pick<ImportRowsOptions, "database" | "label">,
): Promise<void> {
  await session.record((ledger) =>
    addOccurrence(ledger, {
      name: label,
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "import",
      outcome: "started",
      endedAt: null,
      detail: null,
    })
  );
}

/** What was imported, should its end not be recorded. */
export function importedRows(what: string, database: string): Committed {
  return {
    done: `Imported ${what} into ${database}`,
    help: "the rows are in the database: do not run the command again, or they are there twice",
  };
}

async function record(
  workspace: Workspace,
  session: Session,
  { database, label = "the input" }: ImportRowsOptions,
  { table, rows, skipped, snapshot }: ImportRowsResult,
): Promise<void> {
  const detail = [
    `${rows} ${rows === 1 ? "row" : "rows"} into table ${table}`,
    ...skipped === 0 ? [] : [`${skipped} skipped`],
    ...snapshot === null ? [] : [`the previous data is in snapshot ${snapshot}`],
  ].join("; ");
  await session.record((ledger) =>
    addOccurrence(ledger, {
      name: label,
      database,
      databasePath: locationOf(workspace, database).path,
      direction: "import",
      detail,
    })
  );
}
