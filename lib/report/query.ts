/**
 * Runs one read-only statement, on a separate thread so that it can be interrupted. Both ends of
 * the thread are in this file, so that they are always available together.
 *
 * @module
 */
import {
  AccessError,
  InterruptedError,
  LocationError,
  QueryTimeoutError,
  StatementError,
  UsageError,
} from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { mayStartThread, recreateError, serveThread, type ThreadFailure } from "../base/thread.ts";
import {
  type Connection,
  type ConnectionSettings,
  defaultSettings,
  type Judge,
  type SqlValue,
  text,
} from "../database/connection.ts";
import {
  type DatabaseLocation,
  type DatabaseSource,
  locate,
  refuseForeign,
  statDatabase,
} from "../database/location.ts";
import { openForReading } from "../database/open.ts";
import { shadowTables } from "../schema/tables.ts";
import { splitStatements, tokenIs, tokenize } from "../sql/tokens.ts";

/** What to read. */
export interface QueryOptions {
  /** One read-only statement. */
  readonly sql: string;
  /** Values of its parameters (`:name`, `@name` or `$name`) by name. Default: none. */
  readonly parameters?: Readonly<Record<string, SqlValue>>;
  /** Maximum number of rows. Default 1,000. */
  readonly limit?: number;
  /** Seconds after which the query is interrupted. Default: never. */
  readonly timeout?: number;
  /** Interrupts the query. */
  readonly signal?: AbortSignal;
  /** Name of the database in messages. Default: its path. */
  readonly name?: string;
  /** Connection settings that override the defaults. */
  readonly settings?: Partial<ConnectionSettings>;
}

/** Rows of a query. */
export interface QueryResult {
  /** Names of the columns, possibly with duplicates. */
  readonly columns: readonly string[];
  /** Values in the order of the columns. Integers beyond 2^53 are `bigint`. */
  readonly rows: readonly (readonly SqlValue[])[];
  /** Whether there were more rows than the limit. */
  readonly isCut: boolean;
}

/** Reads rows with one statement; see `runQuery` of the package. */
export async function runQuery(
  source: DatabaseSource,
  options: QueryOptions,
): Promise<QueryResult> {
  const location = locate(source, options.name);
  const { sql, parameters = {}, limit = 1_000, timeout, signal, name = location.path } = options;
  checkStatement(sql, { name, parameters });
  refuseForeign(location, { cannot: `query ${name}` });
  if (!statDatabase(location).exists) {
    throw new LocationError(`Cannot query ${name}: there is no database at ${location.path}`, {
      help:
        "`catalyst-migrate status` shows where the databases are; `upgrade` creates those with migrations",
    });
  }
  if (signal?.aborted) throw interrupted(name);
  const request: Request = {
    sql,
    parameters,
    limit,
    settings: { ...defaultSettings, ...options.settings },
  };
  const limits = { name, timeout, signal };
  const module = new URL(import.meta.url);
  if (location.kind === "server") {
    // It waits for an answer, so no thread is needed.
    return await interruptible(read(location, request), limits);
  }
  const isEndless = timeout === undefined && signal === undefined;
  if (isEndless || location.kind === "open" || !mayStartThread(module, "/lib/report/query.ts")) {
    return await read(location, request);
  }
  return await readOnThread(module, { path: location.path, request }, limits);
}

/** Options of a query. */
interface Request {
  readonly sql: string;
  readonly parameters: Readonly<Record<string, SqlValue>>;
  readonly limit: number;
  readonly settings: ConnectionSettings;
}

/** Names of the parameters of a statement, such as `since` for `:since`. */
export function parametersOf(sql: string): string[] {
  const tokens = tokenize(sql);
  const names = tokens.flatMap((token, at) => {
    const next = tokens[at + 1];
    if (token.text === ":" || token.text === "@") {
      return next?.kind === "word" && next.start === token.end ? [next.text] : [];
    }
    return token.kind === "word" && token.text.startsWith("$") ? [token.text.slice(1)] : [];
  });
  return [...new Set(names)];
}

const ONLY_READING = "`query` never changes a database; use a migration, or the bot itself";

/** First words of statements, by whether they may only read. */
const READING = ["select", "with", "values", "explain", "pragma"] as const;
const WRITING = [
  ...["insert", "replace", "update", "delete", "create", "alter", "drop", "reindex", "analyze"],
  ...["vacuum", "attach", "detach", "begin", "commit", "end", "rollback", "savepoint", "release"],
];

/**
 * SQLite would silently ignore a second statement, and use NULL for a parameter without a value.
 */
function checkStatement(
  sql: string,
  { name, parameters }: Pick<Request, "parameters"> & { readonly name: string },
): void {
  const { statements, unfinished } = splitStatements(sql);
  if (statements.length === 0 && unfinished === null) {
    throw new UsageError(`Cannot query ${name}: there is no statement`, {
      help: 'give one, such as "SELECT count(*) FROM positions"',
    });
  }
  if (statements.length > 1) {
    throw new UsageError(
      `Cannot query ${name}: expected one statement, found ${statements.length}`,
      {
        help: "run them one after the other",
      },
    );
  }
  const [first] = tokenize(sql);
  // VACUUM INTO writes a file without asking the authorizer.
  if (!tokenIs(first, ...READING)) {
    if (tokenIs(first, ...WRITING)) {
      throw new StatementError(`Cannot query ${name}: the statement is not read-only`, {
        statement: sql,
        help: ONLY_READING,
      });
    }
    throw new StatementError(`Cannot query ${name}: syntax error at "${first?.text ?? ""}"`, {
      statement: sql,
      help: `${didYouMean(first?.text ?? "", READING)}a query begins with SELECT, WITH or VALUES`,
    });
  }
  const names = parametersOf(sql);
  if (tokenize(sql).some(({ text }) => text === "?")) {
    throw new UsageError(`Cannot query ${name}: \`?\` has no name`, {
      help: "name the parameter, such as :since, and give its value with --param since=VALUE",
    });
  }
  const missing = names.find((one) => !Object.hasOwn(parameters, one));
  if (missing !== undefined) {
    throw new UsageError(`Cannot query ${name}: parameter "${missing}" has no value`, {
      help: `give it with --param ${missing}=VALUE`,
    });
  }
  const unknown = Object.keys(parameters).find((one) => !names.includes(one));
  if (unknown !== undefined) {
    throw new UsageError(`Cannot query ${name}: the statement has no parameter "${unknown}"`, {
      help: names.length === 0 ? "it has none" : `its parameters are ${names.join(", ")}`,
    });
  }
}

// Action codes of SQLite's authorizer, and its answers; fixed by SQLite's interface.
const ALLOWED: readonly number[] = [20, 21, 31, 33]; // READ, SELECT, FUNCTION, RECURSIVE
const PRAGMA = 19;
const READING_PRAGMAS =
  /^(table_list|table_x?info|index_list|index_x?info|foreign_key_list|database_list|compile_options|data_version)$/i;

const WRITES: readonly number[] = [9, 18, 23]; // DELETE, INSERT, UPDATE

/**
 * FTS5 and R-Tree prepare writes to their shadow tables even to read them. These can't run, because the
 * connection is read-only.
 */
function onlyReading(shadowTables: ReadonlySet<string>): Judge {
  return (action, first) =>
    ALLOWED.includes(action) || (action === PRAGMA && READING_PRAGMAS.test(first ?? "")) ||
      (WRITES.includes(action) && shadowTables.has(first ?? ""))
      ? 0
      : 1;
}

async function read(location: DatabaseLocation, request: Request): Promise<QueryResult> {
  const { sql, parameters, limit, settings } = request;
  await using connection = await openForReading(location, settings);
  // A server has no authorizer, so the statement becomes part of a read-only one.
  using _confined = location.kind === "server"
    ? null
    // A program's open connection may be able to write, which a function of FTS4 would do.
    : connection.confine(
      onlyReading(location.kind === "open" ? new Set() : await shadowTables(connection)),
    );
  try {
    return await connection.select(sql, { parameters, limit });
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    if (!/not authorized|prohibited/.test(error.message)) {
      const help = await helpFor(error, { connection, parameters });
      throw help === "" ? error : new StatementError(error.message, { cause: error.cause, help });
    }
    throw new StatementError(`Cannot query ${location.path}: the statement is not read-only`, {
      cause: error,
      help: ONLY_READING,
    });
  }
}

async function helpFor(
  { message }: StatementError,
  { connection, parameters }: Pick<Request, "parameters"> & { readonly connection: Connection },
): Promise<string> {
  if (/: datatype mismatch/.test(message)) {
    const given = Object.entries(parameters).map(([name, value]) => `${name} = ${show(value)}`);
    return given.length === 0 ? "" : `a value has the wrong type: check ${given.join(", ")}`;
  }
  if (/: string or blob too big$|: the result is larger than/.test(message)) {
    return "select less: substr(column, 1, 1000) or octet_length(column), or fewer rows with --limit";
  }
  const [, table] = /: no such table: (?:main\.)?(.+)$/.exec(message) ?? [];
  if (table === undefined) return "";
  const rows = await connection.all(
    "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') ORDER BY name",
  );
  const hint = didYouMean(table, rows.map((row) => text(row, "name")));
  return `${hint}\`schema\` shows the tables and views`;
}

function show(value: SqlValue): string {
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

const THREAD = "catalyst-migrate query";

/** Request to the thread. */
interface QueryRequest {
  readonly path: string;
  readonly request: Request;
}

/** Answer of the thread. */
interface QueryAnswer {
  readonly kind: "done";
  readonly result: QueryResult;
}

/** What ends a query, and its name in the message. */
interface Limits {
  readonly name: string;
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
}

function interrupted(name: string): InterruptedError {
  return new InterruptedError(`Cannot query ${name}: interrupted`);
}

async function readOnThread(
  module: URL,
  request: QueryRequest,
  limits: Limits,
): Promise<QueryResult> {
  const worker = new Worker(module, { type: "module", name: THREAD });
  const { promise, resolve, reject } = Promise.withResolvers<QueryResult>();
  worker.onmessage = ({ data }: MessageEvent<QueryAnswer | ThreadFailure>) => {
    if (data.kind === "done") resolve(data.result);
    else reject(recreateError(data, (...failure) => new StatementError(...failure)));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new AccessError(`Cannot query ${limits.name} on a thread: ${event.message}`));
  };
  worker.postMessage(request);
  try {
    return await interruptible(promise, limits);
  } finally {
    worker.terminate();
  }
}

/** Waits for a result, at most for the timeout. */
async function interruptible<T>(
  result: Promise<T>,
  { name, timeout, signal }: Limits,
): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(interrupted(name));
  signal?.addEventListener("abort", stop);
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    reject(
      new QueryTimeoutError(`Cannot query ${name}: it took longer than ${timeout} s`, {
        help: "give it more time with --timeout SECONDS, or let it read fewer rows",
      }),
    );
  }, timeout * 1000);
  try {
    return await Promise.race([result, promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

serveThread<QueryRequest, QueryAnswer>(THREAD, async ({ path, request }, answer) => {
  answer({ kind: "done", result: await read({ kind: "file", path }, request) });
});
