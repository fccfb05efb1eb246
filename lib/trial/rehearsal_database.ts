import {
  type ConfineOptions,
  type Connection,
  type CopyOptions,
  defaultSettings,
  type Judge,
  number,
  type Row,
  type ScriptOptions,
  type SelectedRows,
  type SelectOptions,
  type SqlValue,
  type StatementResult,
} from "../database/connection.ts";
import { openForReading } from "../database/open.ts";
import { beginReading } from "../database/transaction.ts";
import { type Run, runMigration } from "../engine/apply.ts";
import type { Schema } from "../schema/model.ts";
import { MARKER_TABLE } from "../migration/migration.ts";
import { readSchema } from "../schema/read.ts";
import { findNamed, fold } from "../sql/tokens.ts";
import { type Action, type AuthorizerEvent, authorizerEvent } from "./authorizer.ts";
import { type ContentQuestion, readContent, type TableContent } from "./content.ts";
import type { TimedStatement } from "./rehearse_result.ts";

/** Result of one run of a migration. */
export interface RehearsedRun {
  readonly recording: Recording;
  readonly seconds: number;
  /** Rows inserted, updated or deleted. */
  readonly rows: number;
  readonly before: Schema;
  readonly after: Schema;
  readonly changedColumns: ChangedColumns;
}

/**
 * A copy of a database on which migrations are run up and down. A read transaction keeps its
 * previous content readable until {@link RehearsalDatabase.settle} is called. Read the current
 * content after that call, because reading from SQLite's log is slow.
 */
export class RehearsalDatabase implements AsyncDisposable {
  readonly #connection: RecordingConnection;
  #former: Connection | null = null;
  #before: Schema;
  #now: Schema;

  private constructor(connection: Connection, schema: Schema) {
    this.#connection = new RecordingConnection(connection);
    this.#before = this.#now = schema;
  }

  /** Takes over a copy that is open for writing. */
  static async of(connection: Connection): Promise<RehearsalDatabase> {
    // Keeps the previous content readable during changes.
    await connection.exec("PRAGMA journal_mode = WAL");
    return new RehearsalDatabase(connection, await readSchema(connection));
  }

  /** Runs a migration up or down as `upgrade` and `downgrade` do, and returns what it did. */
  async run(run: Run): Promise<RehearsedRun> {
    const connection = this.#connection;
    await this.settle();
    this.#former = await openForReading({ kind: "file", path: connection.label });
    await this.#former.exec(`PRAGMA mmap_size = ${defaultSettings.mmapSize}`);
    await beginReading(this.#former);
    const before = this.#before = this.#now;
    const changes = await this.#number("total_changes()");
    connection.take();
    const seconds = await runMigration(connection, run) ?? 0;
    const recording = connection.take();
    // Excludes the marker, which is a row, too.
    const rows = Math.max(0, await this.#number("total_changes()") - changes - 1);
    const after = this.#now = await readSchema(connection, { previous: before });
    return {
      recording,
      seconds,
      rows,
      before,
      after,
      changedColumns: changedColumnsOf(recording, before),
    };
  }

  /** Reads a table as it was before the last run; null if it did not exist. */
  async readFormer(question: ContentQuestion): Promise<TableContent | null> {
    const table = findNamed(this.#before.tables, question.table)?.name;
    if (table === undefined || this.#former === null) return null;
    return await readContent(this.#former, { ...question, table });
  }

  /** Reads a table as it is now; null if it does not exist. */
  async read(question: ContentQuestion): Promise<TableContent | null> {
    const table = findNamed(this.#now.tables, question.table)?.name;
    if (table === undefined) return null;
    return await readContent(this.#connection, { ...question, table });
  }

  /** Discards the content from before the last run, and SQLite's log. */
  async settle(): Promise<void> {
    if (this.#former === null) return;
    await this.#former.close();
    this.#former = null;
    // The copy is useless after a crash, so it need not be synced.
    const synchronous = await this.#number("(SELECT synchronous FROM pragma_synchronous)");
    await this.#connection.exec("PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(TRUNCATE)");
    await this.#connection.exec(`PRAGMA synchronous = ${synchronous}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#former?.close();
  }

  async #number(expression: string): Promise<number> {
    const row = await this.#connection.get(`SELECT ${expression} AS value`);
    return row === undefined ? 0 : number(row, "value");
  }
}

/** The columns whose values a migration may have changed, by folded table and column. */
type ChangedColumns = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Finds which values a migration may have changed from SQLite's questions to its authorizer, so
 * that only those are read and compared. The questions include the effects of triggers and foreign
 * keys. If the columns are unknown, the whole table counts.
 */
function changedColumnsOf(
  { events, statements }: Recording,
  before: Schema,
): ChangedColumns {
  const tables = new Map(
    before.tables.filter(({ virtual }) => !virtual).map((table) => [fold(table.name), table]),
  );
  const changedColumns = new Map<string, Set<string>>();
  const touch = (name: string, column?: string): void => {
    const table = tables.get(fold(name));
    if (table === undefined || fold(name) === MARKER_TABLE) return;
    const columns = changedColumns.get(fold(name)) ?? new Set<string>();
    changedColumns.set(fold(name), columns);
    const all = table.columns.map((one) => fold(one.name));
    const isKnown = column !== undefined && all.includes(fold(column));
    for (const one of isKnown ? [fold(column)] : all) columns.add(one);
  };
  const texts = statements.map(({ sql }) => sql);
  // A renamed table has different rows, and its own rows have moved.
  const renames = texts.some((sql) => /\brename\b/i.test(sql));
  if (texts.some((sql) => /\bwritable_schema\b/i.test(sql))) tables.keys().forEach((n) => touch(n));
  for (const { action, first, second, database: column } of events) {
    if (action === "insert" || action === "delete" || action === "drop-table") touch(first);
    else if (action === "update") touch(first, second);
    else if (action === "alter-table") {
      if (renames) touch(second);
      else if (column !== "") touch(second, column);
    }
  }
  return changedColumns;
}

/** What was recorded about one run of a migration. */
interface Recording {
  /** Seconds for which its transactions blocked other writers; null if there were none. */
  readonly lockedSeconds: number | null;
  readonly statements: readonly TimedStatement[];
  readonly events: readonly AuthorizerEvent[];
}

/** A migration may not end its transaction or open another file. */
const FORBIDDEN: ReadonlySet<Action> = new Set<Action>(["transaction", "attach", "detach"]);

/** An answer of SQLite's authorizer. */
const DENY = 1;

/**
 * A connection that records what a migration does and how long that takes, and passes everything
 * on. The code that applies migrations sees no difference.
 */
class RecordingConnection implements Connection {
  readonly #inner: Connection;
  #statements: TimedStatement[] = [];
  readonly #events = new Map<string, AuthorizerEvent>();
  #begun: number | null = null;
  #locked: number | null = null;
  /** Whether the migration's statements are running, rather than the toolkit's. */
  #isInBody = false;

  constructor(inner: Connection) {
    this.#inner = inner;
  }

  get label(): string {
    return this.#inner.label;
  }

  get inTransaction(): boolean {
    return this.#inner.inTransaction;
  }

  /** Returns what was recorded since the last call, and clears it. */
  take(): Recording {
    const recording = {
      lockedSeconds: this.#locked,
      statements: this.#statements,
      events: [...this.#events.values()],
    };
    this.#statements = [];
    this.#events.clear();
    this.#locked = null;
    return recording;
  }

  async exec(sql: string): Promise<void> {
    await this.#inner.exec(sql);
    if (sql === "BEGIN IMMEDIATE") this.#begun = performance.now();
    if ((sql === "COMMIT" || sql === "ROLLBACK") && this.#begun !== null) {
      this.#locked = (this.#locked ?? 0) + (performance.now() - this.#begun) / 1000;
      this.#begun = null;
    }
  }

  async script(sql: string, options: ScriptOptions = {}): Promise<void> {
    await this.#inner.script(sql, {
      ...options,
      around: (statement) =>
        this.#time(statement, async () => {
          if (options.around === undefined) statement.run();
          else await options.around(statement);
        }),
    });
  }

  async run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult> {
    return await this.#time({ sql, line: null }, () => this.#inner.run(sql, parameters));
  }

  async all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]> {
    return await this.#time({ sql, line: null }, () => this.#inner.all(sql, parameters));
  }

  async select(sql: string, options: SelectOptions): Promise<SelectedRows> {
    return await this.#time({ sql, line: null }, () => this.#inner.select(sql, options));
  }

  iterate(sql: string, parameters?: readonly SqlValue[]): AsyncIterable<Row> {
    return this.#inner.iterate(sql, parameters);
  }

  get(sql: string, parameters?: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#inner.get(sql, parameters);
  }

  confine(judge?: Judge, options?: ConfineOptions): Disposable {
    if (judge !== undefined) return this.#inner.confine(judge, options);
    this.#isInBody = true;
    const confined = this.#inner.confine((...question) => {
      const event = authorizerEvent(...question);
      if (event === null) return 0;
      this.#events.set(Object.values(event).join("\0"), event);
      return FORBIDDEN.has(event.action) ? DENY : 0;
    }, { defensive: false });
    return {
      [Symbol.dispose]: () => {
        this.#isInBody = false;
        confined[Symbol.dispose]();
      },
    };
  }

  copyTo(path: string, options?: CopyOptions): Promise<void> {
    return this.#inner.copyTo(path, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #time<T>(
    { sql, line }: Omit<TimedStatement, "seconds">,
    work: () => Promise<T>,
  ): Promise<T> {
    // Only scripts have lines, and the toolkit itself runs none.
    if (line === null && !this.#isInBody) return await work();
    const start = performance.now();
    const at = this.#statements.push({ sql, line, seconds: 0 }) - 1;
    try {
      return await work();
    } finally {
      this.#statements[at] = { sql, line, seconds: (performance.now() - start) / 1000 };
    }
  }
}
