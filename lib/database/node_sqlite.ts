import { beforeBlocking } from "../base/event_loop.ts";
import { messageOf } from "../base/format.ts";
import { backup, type DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import {
  type ConfineOptions,
  type Connection,
  type CopyOptions,
  type Judge,
  narrowed,
  type Row,
  type ScriptOptions,
  type SelectedRows,
  type SelectOptions,
  type SqlValue,
  type StatementResult,
} from "./connection.ts";
import { StatementError } from "../base/errors.ts";
import type { FailureContext } from "./failure.ts";

// Action codes and answers of SQLite's authorizer, fixed by SQLite's interface.
const TRANSACTION = 22;
const ATTACH = 24;
const DETACH = 25;
const ALLOW = 0;
const DENY = 1;

/** Members of Deno's `DatabaseSync` that its type declarations lack. */
interface UndeclaredMembers {
  setAuthorizer(authorizer: Judge | null): void;
  enableDefensive(active: boolean): void;
  /** Limits of the connection; older versions of Deno lack them. */
  readonly limits?: { length: number };
}

/** Deno ends with a panic if it reads a longer text. */
const LONGEST_TEXT = 500_000_000;

/** Characters and bytes that {@link NodeSqliteConnection.select} returns: escaped, they still fit in a string. */
const LARGEST_RESULT = 80_000_000;

/** Members of statements that the type declarations lack. */
interface WithArrays {
  setReturnArrays(active: boolean): void;
}

/** Restricts a script that runs inside a transaction of the toolkit. */
const keepTransaction: Judge = (action) =>
  action === TRANSACTION || action === ATTACH || action === DETACH ? DENY : ALLOW;

/**
 * As in Python and in SQLite by default, `"text"` is a string if no column has that name. Databases
 * created by a bot contain such strings in CHECK constraints, indexes, views and triggers.
 */
export const LENIENT = { enableDoubleQuotedStringLiterals: true } as const;

/** Pages copied between two progress calls. */
const PAGES_PER_STEP = 10_000;

/** Makes SQLite open a file without locks. */
const WITHOUT_LOCKS = Deno.build.os === "windows" ? "vfs=win32-none" : "vfs=unix-none";

/** Milliseconds below which a statement counts as quick. */
const QUICK = 10;

/** Number of prepared statements that a connection caches. */
const KEPT_STATEMENTS = 32;

/** A prepared statement that is kept. */
interface KeptStatement {
  readonly statement: StatementSync;
  /** Whether it was quick the last time: an interruption can wait for it. */
  isQuick: boolean;
}

/** Options of {@link NodeSqliteConnection}. */
interface NodeSqliteOptions {
  /** Name of the database in messages. */
  readonly label: string;
  /** Whether closing the connection closes the database; false for a database that the caller opened. */
  readonly owned: boolean;
}

/** A connection over `node:sqlite`, the SQLite inside the Deno executable. */
export class NodeSqliteConnection implements Connection, Disposable {
  readonly label: string;
  readonly #db: DatabaseSync & UndeclaredMembers;
  readonly #owned: boolean;
  readonly #kept = new Map<string, KeptStatement>();
  #hasAuthorizer = false;
  #judge: Judge | null = null;

  constructor(db: DatabaseSync, options: NodeSqliteOptions) {
    this.#db = db as DatabaseSync & UndeclaredMembers;
    this.label = options.label;
    this.#owned = options.owned;
  }

  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  exec(sql: string): Promise<void> {
    return this.#attempt(sql, () => this.#db.exec(sql));
  }

  async script(sql: string, options: ScriptOptions = {}): Promise<void> {
    const { runScript } = await import("./transaction.ts"); // not needed for reading
    await runScript(sql, {
      ...options,
      step: (rest) => {
        const statement = this.#db.prepare(rest);
        return {
          sql: statement.sourceSQL,
          run: () => {
            beforeBlocking();
            statement.run();
          },
        };
      },
      label: this.label,
    });
  }

  run(sql: string, parameters: readonly SqlValue[] = []): Promise<StatementResult> {
    return this.#attempt(sql, () => ({
      changes: Number(this.#prepare(sql).run(...bound(parameters)).changes),
    }));
  }

  all(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#attempt(sql, () => this.#prepare(sql).all(...bound(parameters)).map(narrowedRow));
  }

  async *iterate(sql: string, parameters: readonly SqlValue[] = []): AsyncGenerator<Row> {
    try {
      const { columns, rows } = this.#read(sql, bound(parameters));
      beforeBlocking();
      for (const values of rows) {
        const row: Record<string, SqlValue> = {};
        for (let at = 0; at < columns.length; at++) row[columns[at] ?? ""] = values[at] ?? null;
        yield row;
      }
    } catch (error) {
      return await explain(error, { verb: "use", label: this.label, statement: sql });
    }
  }

  get(sql: string, parameters: readonly SqlValue[] = []): Promise<Row | undefined> {
    return this.#attempt(sql, () => {
      const row = this.#prepare(sql).get(...bound(parameters));
      return row === undefined ? undefined : narrowedRow(row);
    });
  }

  select(sql: string, { parameters, limit }: SelectOptions): Promise<SelectedRows> {
    return this.#attempt(sql, () => {
      using _shorter = this.#refuseLongTexts();
      const { columns, rows } = this.#read(sql, [parameters as Record<string, SQLInputValue>]);
      const found: (readonly SqlValue[])[] = [];
      let size = 0;
      for (const row of rows) {
        if (found.length === limit) return { columns, rows: found, isCut: true };
        for (const value of row) {
          if (typeof value === "string" || value instanceof Uint8Array) size += value.length;
        }
        if (size > LARGEST_RESULT) {
          throw new StatementError(
            `Cannot use ${this.label}: the result is larger than ${LARGEST_RESULT / 1e6} MB`,
          );
        }
        found.push(row);
      }
      return { columns, rows: found, isCut: false };
    });
  }

  /** Lets SQLite report a text that Deno cannot read. */
  #refuseLongTexts(): Disposable {
    const { limits } = this.#db;
    const former = limits?.length;
    if (limits !== undefined) limits.length = LONGEST_TEXT;
    return {
      [Symbol.dispose]: () => {
        if (limits !== undefined && former !== undefined) limits.length = former;
      },
    };
  }

  /**
   * Reads rows one by one. Deno's `iterate()` ends without an error if SQLite fails in the middle, as in
   * a damaged table, so an added last row confirms that all others were read.
   */
  #read(
    sql: string,
    parameters: readonly (SQLInputValue | Record<string, SQLInputValue>)[],
  ): { readonly columns: readonly string[]; readonly rows: Iterable<readonly SqlValue[]> } {
    // Not a cached statement: while it is being read, no other caller may run it.
    const plain = this.#arrays(sql);
    const columns = plain.columns().map(({ name }) => name);
    const values = parameters as SQLInputValue[];
    const text = plain.sourceSQL.replace(/;\s*$/, "");
    const all = (): (readonly SqlValue[])[] =>
      (plain.all(...values) as unknown as SqlValue[][]).map((row) => row.map(narrowed));
    // Only these can be subqueries; the results of others are short.
    if (!/^(\s|--.*|\/\*[^]*?\*\/)*(SELECT|WITH|VALUES)\b/i.test(text)) {
      return { columns, rows: all() };
    }
    const marked = this.#arrays(
      `SELECT *, 0 FROM (\n${text}\n) UNION ALL SELECT ${"NULL, ".repeat(columns.length)}1`,
    );
    return {
      columns,
      rows: function* () {
        for (const row of marked.iterate(...values) as Iterable<unknown>) {
          const cells = row as SqlValue[];
          const mark = cells.pop();
          if (mark === 1n) return;
          for (let at = 0; at < cells.length; at++) cells[at] = narrowed(cells[at] ?? null);
          yield cells;
        }
        all(); // throws the error that ended it
        throw new Error("the rows ended early");
      }(),
    };
  }

  #arrays(sql: string): StatementSync {
    const statement = this.#db.prepare(sql) as StatementSync & WithArrays;
    statement.setReadBigInts(true);
    statement.setReturnArrays(true);
    return statement;
  }

  confine(judge?: Judge, { defensive = judge !== undefined }: ConfineOptions = {}): Disposable {
    this.#judge = judge ?? keepTransaction;
    const db = this.#db;
    if (!this.#hasAuthorizer) {
      // Never removed: setting an authorizer makes SQLite prepare every statement again.
      this.#hasAuthorizer = true;
      db.setAuthorizer((...asked) => this.#judge === null ? ALLOW : this.#judge(...asked));
    }
    if (defensive) db.enableDefensive(true);
    return {
      [Symbol.dispose]: () => {
        this.#judge = null;
        if (defensive && this.#db.isOpen) db.enableDefensive(false);
      },
    };
  }

  async copyTo(path: string, options: CopyOptions = {}): Promise<void> {
    const { onProgress, pagesPerStep = PAGES_PER_STEP, isLocked = false } = options;
    const own = this.#db.location();
    if (own !== null) {
      const { createLike } = await import("../base/files.ts"); // not needed for reading
      createLike(path, own);
    }
    // An error of the caller's function, such as an interruption, which is rethrown unchanged.
    let stopped: unknown;
    beforeBlocking();
    try {
      await backup(this.#db, isLocked ? uriOf(path, WITHOUT_LOCKS) : path, {
        rate: pagesPerStep,
        progress: ({ totalPages, remainingPages }) => {
          try {
            onProgress?.({ done: totalPages - remainingPages, total: totalPages });
          } catch (error) {
            stopped = error;
            throw error;
          }
        },
      });
    } catch (error) {
      if (stopped !== undefined) throw stopped;
      return await explain(error, { verb: "copy", label: this.label, target: path });
    }
  }

  /**
   * A number that changes when other connections commit. Synchronous, so that it can be read while
   * SQLite copies.
   */
  dataVersion(): number {
    return Number(this.#db.prepare("PRAGMA main.data_version").get()?.["data_version"]);
  }

  /** SQLite's error for the first statement of a text that holds at least one, without running it. */
  errorIn(sql: string): string | null {
    try {
      this.#db.prepare(sql);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  close(): Promise<void> {
    this[Symbol.dispose]();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  [Symbol.dispose](): void {
    this.#kept.clear();
    if (!this.#db.isOpen) return;
    beforeBlocking(); // the last connection checkpoints the whole log
    if (this.#owned) this.#db.close();
    else if (this.#hasAuthorizer) this.#db.setAuthorizer(null);
    this.#hasAuthorizer = false;
  }

  /** Caches statements; SQLite itself prepares a pragma again on every run. */
  #prepare(sql: string): StatementSync {
    const kept = this.#kept.get(sql);
    if (kept !== undefined) return kept.statement;
    const statement = this.#db.prepare(sql);
    statement.setReadBigInts(true);
    if (this.#kept.size >= KEPT_STATEMENTS) this.#kept.clear();
    this.#kept.set(sql, { statement, isQuick: false });
    return statement;
  }

  #attempt<T>(statement: string, action: () => T): Promise<T> {
    if (!this.#kept.get(statement)?.isQuick) beforeBlocking();
    const start = performance.now();
    try {
      const result = action();
      const kept = this.#kept.get(statement);
      if (kept !== undefined) kept.isQuick = performance.now() - start < QUICK;
      return Promise.resolve(result);
    } catch (error) {
      return explain(error, { verb: "use", label: this.label, statement });
    }
  }
}

/** Throws a translated driver error; the translation is loaded only on failure. */
export async function explain(error: unknown, context: FailureContext): Promise<never> {
  const { translate } = await import("./failure.ts");
  throw translate(error, context);
}

function bound(parameters: readonly SqlValue[]): SQLInputValue[] {
  return parameters as SQLInputValue[];
}

/** Converts `bigint` values to `number` if that is exact. */
function narrowedRow(row: Record<string, unknown>): Row {
  for (const column in row) {
    const value = row[column];
    if (typeof value === "bigint") row[column] = narrowed(value);
  }
  return row as Row;
}

/** A path as an SQLite URI, with parameters such as `immutable=1`. */
export function uriOf(path: string, parameters: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23")}?${parameters}`;
}
