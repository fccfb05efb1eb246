import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { DenoSqliteDatabase, DenoSqliteStatement } from "../../../lib/database/deno_sqlite.ts";
import type { SqlValue } from "../../../lib/database/connection.ts";

/**
 * A stand-in for the `Database` of `jsr:@db/sqlite`, over Deno's SQLite, since the real one needs FFI
 * and a download. It has the same peculiarities:
 *
 * - `prepare` passes SQLite only as many bytes of the UTF-8 text as the text has UTF-16 units;
 * - integers are truncated to 32 bits unless the statement's `int64` is set;
 * - a text ends at its first NUL;
 * - the code that builds a row is generated from the column names, without quoting them;
 * - finalizing a statement fails after a failed step, with a less specific error;
 * - every whole number is stored as an integer, truncated to 64 bits;
 * - `quote` writes infinity as `Inf`, like the SQLite of Debian 12.
 */
export class Database implements DenoSqliteDatabase {
  readonly path: string;
  readonly #db: DatabaseSync;
  /** Number of statements that are not finalized. */
  openStatements = 0;

  constructor(path: string) {
    this.path = path;
    this.#db = new DatabaseSync(path);
  }

  get inTransaction(): boolean {
    return this.#db.isTransaction;
  }

  get open(): boolean {
    return this.#db.isOpen;
  }

  exec(sql: string): number {
    this.#db.exec(sql);
    return Number(this.#db.prepare("SELECT changes() AS changes").get()?.["changes"]);
  }

  prepare(sql: string): Statement {
    const bytes = new TextEncoder().encode(sql).subarray(0, sql.length);
    const statement = this.#db.prepare(new TextDecoder().decode(bytes));
    this.openStatements++;
    return new Statement(statement, () => this.openStatements--);
  }

  close(): void {
    this.#db.close();
  }
}

/** A stand-in for the `Statement` of `jsr:@db/sqlite`. */
export class Statement implements DenoSqliteStatement {
  int64?: boolean;
  readonly #statement: StatementSync;
  readonly #onFinalize: () => void;
  #hasFailed = false;

  constructor(statement: StatementSync, onFinalize: () => void) {
    this.#statement = statement;
    this.#statement.setReadBigInts(true);
    this.#onFinalize = onFinalize;
  }

  get sql(): string {
    return this.#statement.sourceSQL;
  }

  run(...parameters: SqlValue[]): number {
    return this.#step(() => Number(this.#statement.run(...parameters.map(cut)).changes));
  }

  all(...parameters: SqlValue[]): object[] {
    for (const { name } of this.#statement.columns()) {
      if (/["\\\n\r]/.test(name ?? "")) throw new SyntaxError("Invalid or unexpected token");
    }
    const rows = this.#step(() => this.#statement.all(...parameters.map(cut)));
    return rows.map((row) =>
      Object.fromEntries(Object.entries(row).map(([name, value]) => [name, this.#read(value)]))
    );
  }

  finalize(): void {
    this.#onFinalize();
    if (this.#hasFailed) throw new Error("constraint failed");
  }

  #step<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    }
  }

  #read(value: unknown): unknown {
    if (typeof value === "string") {
      return value.split("\0", 1)[0]?.replace(/^(-?)9\.0e\+999$/, "$1Inf");
    }
    if (typeof value !== "bigint") return value;
    if (this.int64 !== true) return Number(BigInt.asIntN(32, value));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
}

/** The value that the driver stores. */
function cut(value: SqlValue): SqlValue {
  const isWhole = typeof value === "bigint" || Number.isInteger(value);
  return isWhole ? BigInt.asIntN(64, BigInt(value as bigint | number)) : value;
}
