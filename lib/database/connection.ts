/** What a statement without rows did. */
export interface StatementResult {
  /** Number of rows inserted, updated or deleted. */
  readonly changes: number;
}

/** What a script may do while it is run for a migration. */
export interface ScriptOptions {
  /** Called with the text of each statement before it runs; may throw to stop there. */
  readonly onStatement?: (sql: string) => void;
  /** Called in place of running each statement, which is prepared by then; runs it, or leaves it out. */
  readonly around?: (statement: ScriptStatement) => Promise<void>;
}

/** A statement of a script. */
export interface ScriptStatement {
  /** Its text. */
  readonly sql: string;
  /** Line of the script on which it begins; the first is 1. */
  readonly line: number;
  /** Runs it. */
  readonly run: () => void;
}

/** How a database is copied. */
export interface CopyOptions {
  /** Called now and then with what is done; may throw to stop there. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Pages copied between two calls of it. Default 10,000. */
  readonly pagesPerStep?: number;
  /** Whether to take no lock, since the caller has it. Default `false`. */
  readonly isLocked?: boolean;
}

/** How far a copy has come. */
export interface CopyProgress {
  /** Pages copied. */
  readonly done: number;
  /** Pages in all. */
  readonly total: number;
}

/**
 * What is answered to SQLite: 0 to do it, 1 to let the statement fail, 2 to leave it out, so that a
 * pragma or the beginning or end of a transaction does nothing.
 */
export type Verdict = 0 | 1 | 2;

/** Says whether a statement may do something; SQLite's authorizer defines what is passed. */
export type Judge = (
  action: number,
  first: string | null,
  second: string | null,
  database: string | null,
  cause: string | null,
) => Verdict;

/** How a connection is confined. */
export interface ConfineOptions {
  /** Whether to be in defensive mode. Default: with a judge of its own, `true`. */
  readonly defensive?: boolean;
}

/** How {@link Connection.select} reads. */
export interface SelectOptions {
  /** Values of the statement's parameters, by name without `:`, `@` or `$`. */
  readonly parameters: Readonly<Record<string, SqlValue>>;
  /** How many rows at most. */
  readonly limit: number;
}

/** Rows as arrays, so that two columns may have one name. */
export interface SelectedRows {
  /** Names of the columns; two may be equal. */
  readonly columns: readonly string[];
  /** Values in the order of the columns. */
  readonly rows: readonly (readonly SqlValue[])[];
  /** Whether there were more rows than the limit. */
  readonly isCut: boolean;
}

/**
 * An open database, whatever drives it. All is asynchronous, so that a database may also be remote;
 * a connection is used by one caller at a time.
 */
export interface Connection extends AsyncDisposable {
  /** Where the database is, as a person would name it: a path, or `:memory:`. */
  readonly label: string;
  /** Whether the database is on a server. Default: `false`. */
  readonly isRemote?: boolean;
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs any number of statements at once and discards their rows. */
  exec(sql: string): Promise<void>;
  /** Runs the statements of a script one by one; a failure names the statement and its line. */
  script(sql: string, options?: ScriptOptions): Promise<void>;
  /** Runs one statement. */
  run(sql: string, parameters?: readonly SqlValue[]): Promise<StatementResult>;
  /** Reads all rows of one statement. */
  all(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
  /** Reads the rows of one statement one after the other, without keeping them. */
  iterate(sql: string, parameters?: readonly SqlValue[]): AsyncIterable<Row>;
  /** Reads the first row of one statement. */
  get(sql: string, parameters?: readonly SqlValue[]): Promise<Row | undefined>;
  /** Reads rows of one statement with the names of its columns, and parameters bound by name. */
  select(sql: string, options: SelectOptions): Promise<SelectedRows>;
  /**
   * Makes SQLite itself refuse to end the transaction or to attach or detach a file, until the
   * returned object is disposed of. Where the driver has no authorizer it does nothing.
   *
   * With a `judge` it asks that one instead, and is in defensive mode: `sqlite_schema` and the tables
   * of virtual tables can't be written. Where the driver has no authorizer it throws then.
   */
  confine(judge?: Judge, options?: ConfineOptions): Disposable;
  /**
   * Copies the database into a new file or over another database by SQLite's own means, page by page.
   * What an open read transaction of this connection sees is what is copied. It blocks the thread.
   */
  copyTo(path: string, options?: CopyOptions): Promise<void>;
  /** Closes the database, unless somebody else opened it. Closing twice does nothing. */
  close(): Promise<void>;
}

/** A value as SQLite stores it. Integers beyond 2^53 are `bigint`, all others `number`. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** One result row: values by column name. */
export type Row = Readonly<Record<string, SqlValue>>;

/** Reads a column that holds text; throws a `TypeError` where it holds anything else. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw unexpected(column, "text", value);
  return value;
}

/** Reads a column that holds text or NULL; throws a `TypeError` where it holds anything else. */
export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Reads a column that holds a number; throws a `TypeError` where it holds anything else. */
export function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw unexpected(column, "a number", value);
  return value;
}

/** Reads a column that holds a number or NULL; throws a `TypeError` where it holds anything else. */
export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : number(row, column);
}

function unexpected(column: string, wanted: string, value: SqlValue | undefined): TypeError {
  return new TypeError(`Cannot read column "${column}": wanted ${wanted}, found ${typeof value}`);
}
