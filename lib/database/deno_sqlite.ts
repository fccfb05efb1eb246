import { AccessError } from "../base/errors.ts";
import type {
  Connection,
  Judge,
  Row,
  ScriptOptions,
  SqlValue,
  StatementResult,
} from "./connection.ts";
import { translate } from "./failure.ts";
import { runScript } from "./transaction.ts";

/** The part of a `Statement` of `jsr:@db/sqlite` that the toolkit uses. */
export interface DenoSqliteStatement {
  /** Whether to read 64-bit integers; otherwise they are truncated to 32 bits. */
  int64?: boolean;
  /** Text of the statement, as delimited by SQLite. */
  readonly sql: string;
  /** Runs the statement; returns the number of rows changed. */
  run(...parameters: SqlValue[]): number;
  /** Reads all rows. */
  all(...parameters: SqlValue[]): object[];
  /** Frees the statement. */
  finalize(): void;
}

/** The part of a `Database` of `jsr:@db/sqlite` that the toolkit uses; no import is needed. */
export interface DenoSqliteDatabase {
  /** Path of the main file. */
  readonly path: string;
  /** Whether a transaction is open. */
  readonly inTransaction: boolean;
  /** Runs any number of statements. */
  exec(sql: string): number;
  /** Prepares the first statement of a text. */
  prepare(sql: string): DenoSqliteStatement;
}

/** A connection over a `Database` of `jsr:@db/sqlite` that the caller opened; it is never closed. */
export class DenoSqliteConnection implements Connection {
  readonly label: string;
  readonly #db: DenoSqliteDatabase;

  constructor(db: DenoSqliteDatabase, options: { readonly label: string }) {
    this.#db = db;
    this.label = options.label;
  }

  get inTransaction(): boolean {
    return this.#db.inTransaction;
  }

  exec(sql: string): Promise<void> {
    return this.#attempt(sql, () => {
      this.#db.exec(sql);
    });
  }

  script(sql: string, options: ScriptOptions = {}): Promise<void> {
    return runScript(sql, {
      ...options,
      step: (rest) => {
        const statement = this.#prepare(rest);
        return { sql: statement.sql, run: () => finished(statement, () => statement.run()) };
      },
      label: this.label,
    });
  }

  run(sql: string, parameters: readonly SqlValue[] = []): Promise<StatementResult> {
    return this.#attempt(sql, () => {
      refuseCut(parameters);
      const statement = this.#prepare(sql);
      return { changes: finished(statement, () => statement.run(...parameters)) };
    });
  }

  all(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    return this.#attempt(sql, () => {
      refuseCut(parameters);
      const statement = this.#prepare(sql);
      return finished(statement, () => statement.all(...parameters)) as Row[];
    });
  }

  async *iterate(sql: string, parameters: readonly SqlValue[] = []): AsyncGenerator<Row> {
    yield* await this.all(sql, parameters);
  }

  async get(sql: string, parameters: readonly SqlValue[] = []): Promise<Row | undefined> {
    return (await this.all(sql, parameters))[0];
  }

  /** Only queries need this, and they need an authorizer as well. */
  select(): Promise<never> {
    return Promise.reject(new Error(`Cannot query ${this.label}: its driver has no authorizer`));
  }

  /** The driver has no authorizer; only the migrator's own checks apply. */
  confine(judge?: Judge): Disposable {
    if (judge !== undefined) {
      throw new AccessError(
        `Cannot change ${this.label}: its driver cannot restrict what a dump does`,
        {
          help: "open it with node:sqlite, or let the toolkit open the file",
        },
      );
    }
    return { [Symbol.dispose]: () => {} };
  }

  /** The driver can only copy into another database of its own; `node:sqlite` copies the file instead. */
  copyTo(): Promise<void> {
    return Promise.reject(
      new Error(`Cannot copy ${this.label}: the driver cannot copy into a file`),
    );
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The driver passes the length in UTF-16 units, but SQLite expects bytes; spaces make up the difference. */
  #prepare(sql: string): DenoSqliteStatement {
    const missing = new TextEncoder().encode(sql).length - sql.length;
    const statement = this.#db.prepare(sql + " ".repeat(missing));
    statement.int64 = true;
    return statement;
  }

  #attempt<T>(statement: string, action: () => T): Promise<T> {
    try {
      return Promise.resolve(action());
    } catch (error) {
      return Promise.reject(translate(error, { verb: "use", label: this.label, statement }));
    }
  }
}

function finished<T>(statement: DenoSqliteStatement, action: () => T): T {
  let result: T;
  try {
    result = action();
  } catch (error) {
    try {
      statement.finalize();
    } catch {
      // After a failed step the driver fails here too, with a less specific error.
    }
    throw error;
  }
  statement.finalize();
  return result;
}

const SMALLEST = -(2n ** 63n);
const LARGEST = 2n ** 63n - 1n;

/** The driver stores every whole number as an integer and truncates it to 64 bits. */
function refuseCut(parameters: readonly SqlValue[]): void {
  for (const value of parameters) {
    if (typeof value !== "bigint" && !Number.isInteger(value)) continue;
    const whole = BigInt(value as bigint | number);
    if (whole >= SMALLEST && whole <= LARGEST) continue;
    throw new RangeError(`the driver cannot store ${value}, which has more than 64 bits`);
  }
}
