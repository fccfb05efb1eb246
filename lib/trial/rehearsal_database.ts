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
import { fold } from "../sql/tokens.ts";
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
    const table = nameIn(this.#before, question.table);
    if (table === null || this.#former === null) return null;
    return await readContent(this.#former, { ...question, table });
  }

  /** Reads a table as it is now; null if it does not exist. */
  async read(question: ContentQuestion): Promise<TableContent | null> {
    const table = nameIn(this.#now, question.table);
    return table === null ? null : await readContent(this.#connection, { ...question, table });
  }

  /** Discards the content from before the last run, and SQLite's log. */
  async settle(): Promise<void> {
    if (this.#former === null) return;
    await this.#former.close();
    this.#former = null;
    // The copy is useless after a crash, so it need not be synced.
    const synchronous = await this.#value("PRAGMA synchronous");
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

  async #value(pragma: string): Promise<SqlValue> {
    const row = await this.#connection.get(pragma) ?? {};
    return Object.values(row)[0] ?? null;
  }
}

function nameIn({ tables }: Schema, wanted: string): string | null {
  return tables.find(({ name }) => fold(name) === fold(wanted))?.name ?? null;
}

/** The columns whose values a migration may have changed, by folded table and column. */
export type ChangedColumns = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Finds which values a migration may have changed from SQLite's questions to its authorizer, so
 * that only those are read and compared. The questions include the effects of triggers and foreign
 * keys. If the columns are unknown, the whole table counts.
 */
export function changedColumnsOf(
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
export interface Recording {
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
export class RecordingConnection implements Connection {
  readonly #inner: Connection;
  #statements: Timer[] = [];
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
      statements: this.#statements.map(({ sql, line, seconds }) => ({ sql, line, seconds })),
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
    let last: Timer | null = null;
    let place: Position = { at: 0, line: 1, next: 0 };
    const onStatement = (text: string) => {
      last?.stop();
      options.onStatement?.(text);
      place = follow(sql, text, place);
      last = new Timer(text, place.line);
      this.#statements.push(last);
    };
    try {
      await this.#inner.script(sql, { ...options, onStatement });
    } finally {
      (last as Timer | null)?.stop();
    }
  }

  async run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult> {
    return await this.#time(sql, () => this.#inner.run(sql, parameters));
  }

  async all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]> {
    return await this.#time(sql, () => this.#inner.all(sql, parameters));
  }

  async select(sql: string, options: SelectOptions): Promise<SelectedRows> {
    return await this.#time(sql, () => this.#inner.select(sql, options));
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

  async #time<T>(sql: string, work: () => Promise<T>): Promise<T> {
    if (!this.#isInBody) return await work();
    const timer = new Timer(sql, null);
    this.#statements.push(timer);
    try {
      return await work();
    } finally {
      timer.stop();
    }
  }
}

class Timer {
  readonly sql: string;
  readonly line: number | null;
  readonly #start = performance.now();
  seconds = 0;

  constructor(sql: string, line: number | null) {
    this.sql = sql;
    this.line = line;
  }

  stop(): void {
    this.seconds ||= (performance.now() - this.#start) / 1000;
  }
}

interface Position {
  /** Offset at which the last statement begins. */
  readonly at: number;
  /** Line on which that is. */
  readonly line: number;
  /** Offset from which to look for the next one. */
  readonly next: number;
}

/** Finds the next statement of a script, after the last one found. */
function follow(sql: string, statement: string, from: Position): Position {
  const at = sql.indexOf(statement, from.next);
  if (at === -1) return from;
  let { line } = from;
  for (let end = sql.indexOf("\n", from.at); end !== -1 && end < at;) {
    line++;
    end = sql.indexOf("\n", end + 1);
  }
  return { at, line, next: at + statement.length };
}
