import type {
  ConfineOptions,
  Connection,
  CopyOptions,
  Judge,
  ScriptOptions,
  StatementResult,
} from "../database/connection.ts";
import type { Row, SqlValue } from "../database/connection.ts";
import type { TimedStatement } from "../trial/result.ts";

/** What SQLite asked its authorizer about a statement. */
export interface Deed {
  /** SQLite's number of the action. */
  readonly action: number;
  readonly first: string;
  readonly second: string;
  readonly third: string;
}

/** What was seen of one run of a migration. */
export interface Observed {
  /** How long its transactions kept other writers out, in seconds; null where there was none. */
  readonly lockedSeconds: number | null;
  readonly statements: readonly TimedStatement[];
  readonly deeds: readonly Deed[];
}

// Numbers of SQLite's authorizer, and its answers; fixed by SQLite's interface.
const TRANSACTION = 22;
const ATTACH = 24;
const DETACH = 25;
const ALLOW = 0;
const DENY = 1;

/**
 * A connection that notes what a migration does on it and how long that takes, and else passes all on:
 * the code that applies migrations sees no difference.
 */
export class WatchedConnection implements Connection {
  readonly #inner: Connection;
  #statements: Timer[] = [];
  readonly #deeds = new Map<string, Deed>();
  #begun: number | null = null;
  #locked: number | null = null;
  /** Whether the migration's own statements are running, and not those of the toolkit. */
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

  /** Says what was seen since the last call, and forgets it. */
  take(): Observed {
    const observed = {
      lockedSeconds: this.#locked,
      statements: this.#statements.map(({ sql, line, seconds }) => ({ sql, line, seconds })),
      deeds: [...this.#deeds.values()],
    };
    this.#statements = [];
    this.#deeds.clear();
    this.#locked = null;
    return observed;
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

  iterate(sql: string, parameters?: readonly SqlValue[]): AsyncIterable<Row> {
    return this.#inner.iterate(sql, parameters);
  }

  get(sql: string, parameters?: readonly SqlValue[]): Promise<Row | undefined> {
    return this.#inner.get(sql, parameters);
  }

  confine(judge?: Judge, options?: ConfineOptions): Disposable {
    if (judge !== undefined) return this.#inner.confine(judge, options);
    this.#isInBody = true;
    const confined = this.#inner.confine((action, first, second, third) => {
      const deed = { action, first: first ?? "", second: second ?? "", third: third ?? "" };
      this.#deeds.set(Object.values(deed).join("\0"), deed);
      return action === TRANSACTION || action === ATTACH || action === DETACH ? DENY : ALLOW;
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

/** Finds the next statement of a script, behind the last one that was found. */
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
