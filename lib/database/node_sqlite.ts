import { beforeBlocking } from "../base/interrupt.ts";
import { backup, type DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { createLike } from "../base/files.ts";
import type {
  ConfineOptions,
  Connection,
  CopyOptions,
  Judge,
  Row,
  ScriptOptions,
  SelectedRows,
  SelectOptions,
  SqlValue,
  StatementResult,
} from "./connection.ts";
import type { FailureContext } from "./failure.ts";

// Action codes of SQLite's authorizer and its answers; fixed by SQLite's interface.
const TRANSACTION = 22;
const ATTACH = 24;
const DETACH = 25;
const ALLOW = 0;
const DENY = 1;

/** What Deno's `DatabaseSync` has and its type declarations leave out. */
interface WithAuthorizer {
  setAuthorizer(authorizer: Judge | null): void;
  enableDefensive(active: boolean): void;
}

/** As above, of statements. */
interface WithArrays {
  setReturnArrays(active: boolean): void;
}

/** What a script may not do that runs inside a transaction of the toolkit's. */
const keepTransaction: Judge = (action) =>
  action === TRANSACTION || action === ATTACH || action === DETACH ? DENY : ALLOW;

function withAuthorizer(db: DatabaseSync): WithAuthorizer {
  return db as DatabaseSync & WithAuthorizer;
}

/**
 * As Python and SQLite itself have it: `"text"` stands for a string where nothing has that name. Databases
 * that a bot made have such texts in CHECK constraints, indexes, views and triggers.
 */
export const LENIENT = { enableDoubleQuotedStringLiterals: true } as const;

/** Pages that are copied between two looks at the caller's wishes. */
const PAGES_PER_STEP = 10_000;

/** SQLite's way to a file without its locks. */
const WITHOUT_LOCKS = Deno.build.os === "windows" ? "vfs=win32-none" : "vfs=unix-none";

/** Milliseconds within which a statement is quick. */
const QUICK = 10;

/** How many prepared statements a connection keeps. */
const KEPT_STATEMENTS = 32;

/** Options of {@link NodeSqliteConnection}. */
interface NodeSqliteOptions {
  /** Name of the database in messages. */
  readonly label: string;
  /** Whether closing the connection closes the database; not so where a caller brought it. */
  readonly owned: boolean;
}

/** A connection over `node:sqlite`, the SQLite inside the Deno executable. */
export class NodeSqliteConnection implements Connection {
  readonly label: string;
  readonly #db: DatabaseSync;
  readonly #owned: boolean;
  readonly #statements = new Map<string, StatementSync>();
  /** Kept statements that were quick: an interruption can wait for them. */
  readonly #quick = new Set<string>();
  #hasAuthorizer = false;
  #judge: Judge | null = null;

  constructor(db: DatabaseSync, options: NodeSqliteOptions) {
    this.#db = db;
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
    const { runScript } = await import("./script.ts"); // reading alone needs no scripts
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
    return this.#attempt(sql, () => this.#prepare(sql).all(...bound(parameters)).map(narrowed));
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
      return row === undefined ? undefined : narrowed(row);
    });
  }

  select(sql: string, { parameters, limit }: SelectOptions): Promise<SelectedRows> {
    return this.#attempt(sql, () => {
      const { columns, rows } = this.#read(sql, [parameters as Record<string, SQLInputValue>]);
      const found: (readonly SqlValue[])[] = [];
      for (const row of rows) {
        if (found.length === limit) return { columns, rows: found, isCut: true };
        found.push(row);
      }
      return { columns, rows: found, isCut: false };
    });
  }

  /**
   * Reads rows one after the other. Deno's `iterate()` ends without an error where SQLite fails in the
   * middle, as in a damaged table, so a last row of our own tells that all others have come.
   */
  #read(
    sql: string,
    parameters: readonly (SQLInputValue | Record<string, SQLInputValue>)[],
  ): { readonly columns: readonly string[]; readonly rows: Iterable<readonly SqlValue[]> } {
    // A statement of its own: one that is under way must not be run by somebody else meanwhile.
    const plain = this.#arrays(sql);
    const columns = plain.columns().map(({ name }) => name);
    const values = parameters as SQLInputValue[];
    const text = plain.sourceSQL.replace(/;\s*$/, "");
    const all = (): (readonly SqlValue[])[] =>
      (plain.all(...values) as unknown as SqlValue[][]).map((row) => row.map(narrowedValue));
    // Only these can be part of another statement; what the others have to tell is short.
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
          for (let at = 0; at < cells.length; at++) cells[at] = narrowedValue(cells[at] ?? null);
          yield cells;
        }
        all(); // throws what has ended it
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
    const db = withAuthorizer(this.#db);
    if (!this.#hasAuthorizer) {
      // It stays: setting one makes SQLite prepare every statement anew.
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
    if (own !== null) createLike(path, own);
    // Thrown by the caller's own function, such as an interruption: not SQLite's business.
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
   * A number that is another one when others have committed. Not awaited, so that it can be asked while
   * SQLite copies.
   */
  dataVersion(): number {
    return Number(this.#db.prepare("PRAGMA main.data_version").get()?.["data_version"]);
  }

  close(): Promise<void> {
    this.#statements.clear();
    if (!this.#db.isOpen) return Promise.resolve();
    beforeBlocking(); // the last connection moves the whole log into the file
    if (this.#owned) this.#db.close();
    else if (this.#hasAuthorizer) withAuthorizer(this.#db).setAuthorizer(null);
    this.#hasAuthorizer = false;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Keeps statements that are run again; SQLite itself prepares a pragma again each time. */
  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#db.prepare(sql);
    statement.setReadBigInts(true);
    if (this.#statements.size >= KEPT_STATEMENTS) {
      this.#statements.clear();
      this.#quick.clear();
    }
    this.#statements.set(sql, statement);
    return statement;
  }

  #attempt<T>(statement: string, action: () => T): Promise<T> {
    if (!this.#quick.has(statement)) beforeBlocking();
    const start = performance.now();
    try {
      const result = action();
      const isQuick = this.#statements.has(statement) && performance.now() - start < QUICK;
      if (isQuick) this.#quick.add(statement);
      else this.#quick.delete(statement);
      return Promise.resolve(result);
    } catch (error) {
      return explain(error, { verb: "use", label: this.label, statement });
    }
  }
}

/** Throws what a driver's error means; only a failure loads what knows that. */
export async function explain(error: unknown, context: FailureContext): Promise<never> {
  const { translate } = await import("./failure.ts");
  throw translate(error, context);
}

function bound(parameters: readonly SqlValue[]): SQLInputValue[] {
  return parameters as SQLInputValue[];
}

/** Integers come as `bigint`; those that a `number` holds exactly become one. */
function narrowed(row: Record<string, unknown>): Row {
  for (const column in row) {
    const value = row[column];
    if (typeof value === "bigint") row[column] = narrowedValue(value);
  }
  return row as Row;
}

function narrowedValue(value: SqlValue): SqlValue {
  return typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

/** A path as the URI that SQLite reads, with parameters such as `immutable=1`. */
export function uriOf(path: string, parameters: string): string {
  return `file:${encodeURI(path).replaceAll("?", "%3f").replaceAll("#", "%23")}?${parameters}`;
}
