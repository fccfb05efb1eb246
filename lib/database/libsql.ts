import { StatementError } from "../base/errors.ts";
import { lineOf, skipTrivia, splitStatements, tokenize } from "../sql/tokens.ts";
import {
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
import { isTooLarge, translateLibsql } from "./libsql_failure.ts";
import { contextOf, LibsqlStream, type ServerResult, type Step } from "./libsql_stream.ts";
import type { ServerLocation } from "./location.ts";

/** Statements sent at once; a statement costs little, a round trip a lot. */
const STEPS_AT_ONCE = 64;

/** Number of a script's statements in the first request. */
const FIRST_STEPS = 8;

/** Milliseconds after which a request is slow, so that the next one has a single statement. */
const SLOW = 500;

/** Rows read at once. */
const ROWS_AT_ONCE = 1000;

/**
 * Opens a database on a server. `timeout` is the number of seconds that the server may take to answer a
 * request.
 *
 * @throws {ServerError} if the server cannot be reached or does not have the namespace.
 * @throws {AccessError} if the server refuses the token, or Deno lacks permission.
 */
export async function openLibsql(
  location: Pick<ServerLocation, "address" | "tokenVariables">,
  options: { readonly timeout: number },
): Promise<LibsqlConnection> {
  return new LibsqlConnection(await LibsqlStream.connect(location, options));
}

/** A connection to a database on a libSQL server. */
export class LibsqlConnection implements Connection {
  readonly label: string;
  readonly isRemote = true;
  readonly #stream: LibsqlStream;
  #isConfined = false;

  constructor(stream: LibsqlStream) {
    this.#stream = stream;
    this.label = stream.label;
  }

  get inTransaction(): boolean {
    return this.#stream.inTransaction;
  }

  async exec(sql: string): Promise<void> {
    const { statements, unfinished } = splitStatements(sql);
    // The server's own error is more specific.
    const steps = unfinished !== null
      ? [{ sql }]
      : statements.map(({ start, end }) => ({ sql: sql.slice(start, end) }));
    for (let at = 0; at < steps.length; at += STEPS_AT_ONCE) {
      await this.#perform(steps.slice(at, at + STEPS_AT_ONCE));
    }
  }

  async script(sql: string, { onStatement, around, between }: ScriptOptions = {}): Promise<void> {
    if (around !== undefined) {
      throw new StatementError(
        `Cannot run statements one by one on ${this.label}: it is on a server`,
      );
    }
    const nul = sql.indexOf("\0");
    if (nul !== -1) {
      throw new StatementError(`Cannot change ${this.label}: the SQL has a NUL character`, {
        line: lineOf(sql, nul),
      });
    }
    const { statements, unfinished } = splitStatements(sql);
    if (unfinished !== null) {
      throw new StatementError(`Cannot change ${this.label}: ${unfinished.what} has no end`, {
        line: lineOf(sql, unfinished.at),
      });
    }
    // All statements of a request must be done in time, so slow ones are sent by themselves.
    let atOnce = between === undefined ? FIRST_STEPS : 1;
    for (let at = 0, count = 0; at < statements.length; at += count) {
      count = atOnce;
      const steps = statements.slice(at, at + count).map(({ start, end }) => ({
        sql: sql.slice(start, end),
        line: lineOf(sql, start),
      }));
      const begun = performance.now();
      await this.#perform(steps, { verb: "change", onStatement });
      const isSlow = performance.now() - begun > SLOW;
      if (between === undefined) atOnce = isSlow ? 1 : Math.min(atOnce * 2, STEPS_AT_ONCE);
      await between?.();
    }
  }

  async run(sql: string, parameters: readonly SqlValue[] = []): Promise<StatementResult> {
    const [result] = await this.#perform([{ sql, parameters }]);
    return { changes: result?.affectedRowCount ?? 0 };
  }

  async all(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    try {
      const [result] = await this.#perform([{ sql: asQuery(sql), parameters }]);
      return rowsOf(result);
    } catch (error) {
      if (!isTooLarge(error) || !isPageable(sql)) throw error;
      return await Array.fromAsync(this.#pages(sql, parameters));
    }
  }

  async *iterate(sql: string, parameters: readonly SqlValue[] = []): AsyncGenerator<Row> {
    if (isPageable(sql)) yield* this.#pages(sql, parameters);
    else yield* await this.all(sql, parameters);
  }

  /** Reads the rows of one statement as lists, with every integer as `bigint` to distinguish it from a real. */
  async values(sql: string, parameters: readonly SqlValue[] = []): Promise<SqlValue[][]> {
    const [result] = await this.#perform([{ sql, parameters }], { verb: "read" });
    return result?.rows as SqlValue[][] | undefined ?? [];
  }

  async get(sql: string, parameters: readonly SqlValue[] = []): Promise<Row | undefined> {
    return (await this.all(sql, parameters))[0];
  }

  async select(sql: string, { parameters, limit }: SelectOptions): Promise<SelectedRows> {
    // Only a query can be used as a subquery, so the statement can only read.
    const query = sql.trim().replace(/;\s*$/, "");
    this.#refuseFiles(query);
    const page = `SELECT * FROM (\n${query}\n) LIMIT ${limit + 1}`;
    const [result] = await this.#perform([{ sql: page, named: parameters }], { verb: "query" });
    const rows = (result?.rows as SqlValue[][] | undefined ?? []).map((row) => row.map(narrowed));
    const columns = result?.cols.map(({ name }) => name ?? "") ?? [];
    return { columns, rows: rows.slice(0, limit), isCut: rows.length > limit };
  }

  /** A server has no authorizer, so the first word of each statement decides. */
  confine(judge?: Judge): Disposable {
    if (judge !== undefined) {
      throw new StatementError(`Cannot restrict ${this.label}: a server has no authorizer`);
    }
    this.#isConfined = true;
    return {
      [Symbol.dispose]: () => {
        this.#isConfined = false;
      },
    };
  }

  async copyTo(path: string, options: CopyOptions = {}): Promise<void> {
    const { pull } = await import("./libsql_pull.ts");
    await pull(this, path, options);
  }

  close(): Promise<void> {
    this.#stream.close();
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Reads the rows of a query in pages; a server sends at most 10 MB at once. */
  async *#pages(sql: string, parameters: readonly SqlValue[]): AsyncGenerator<Row> {
    const query = sql.trim().replace(/;\s*$/, "");
    let rows = ROWS_AT_ONCE;
    for (let offset = 0;;) {
      try {
        const page = `SELECT * FROM (${query}\n) LIMIT ${rows} OFFSET ${offset}`;
        const [result] = await this.#perform([{ sql: page, parameters }]);
        const found = rowsOf(result);
        yield* found;
        if (found.length < rows) return;
        offset += rows;
      } catch (error) {
        if (!isTooLarge(error) || rows === 1) throw error;
        rows = Math.ceil(rows / 4);
      }
    }
  }

  /** Runs statements in one request: those before one that is refused, then throws. */
  async #perform(
    steps: readonly Step[],
    { verb = "use", onStatement }: {
      readonly verb?: string;
      readonly onStatement?: ScriptOptions["onStatement"] | undefined;
    } = {},
  ): Promise<readonly ServerResult[]> {
    for (const [at, step] of steps.entries()) {
      try {
        onStatement?.(step.sql);
        this.#refuseConfined(step.sql);
      } catch (error) {
        await this.#stream.send(steps.slice(0, at), verb);
        throw translateLibsql(error, { verb, label: this.label, ...contextOf(step) });
      }
    }
    return await this.#stream.send(steps, verb);
  }

  #refuseConfined(sql: string): void {
    if (!this.#isConfined) return;
    this.#refuseFiles(sql);
    if (!ESCAPES.test(sql.slice(skipTrivia(sql, 0)))) return;
    throw new StatementError(`Cannot use ${this.label}: not authorized`, {
      cause: new Error("not authorized"),
      statement: sql,
    });
  }

  /** The server allows any SQL to read and write files on its machine, even with a read-only token. */
  #refuseFiles(sql: string): void {
    if (!FILE_ACCESS.test(sql)) return;
    const tokens = tokenize(sql);
    const found = tokens.find(({ kind, value }, at) =>
      (kind === "word" || kind === "quoted") && FILE_ACCESS.test(value) &&
      (/^fsdir$/i.test(value) || tokens[at + 1]?.value === "(")
    );
    if (found === undefined) return;
    throw new StatementError(
      `Cannot use ${this.label}: ${found.value} reads or writes files on the server's machine`,
      { statement: sql, help: "remove it from the SQL" },
    );
  }
}

/** First words of statements that would leave the transaction in which a migration runs. */
const ESCAPES = /^(BEGIN|COMMIT|END|ROLLBACK(?!\s+(TRANSACTION\s+)?TO\b)|ATTACH|DETACH)\b/i;

/** Functions, and a table, that read or write files. */
const FILE_ACCESS = /\b(readfile|writefile|fsdir)\b/i;

/** A server treats every PRAGMA as a write, which a read-only token does not allow, but not a query. */
function asQuery(sql: string): string {
  const [, name, argument] = /^\s*PRAGMA\s+(?:main\.)?(\w+)\s*(?:\(\s*(\w+)\s*\))?\s*;?\s*$/i
    .exec(sql) ?? [];
  if (name === undefined) return sql;
  const list = argument === undefined ? "" : /^\d+$/.test(argument) ? argument : `'${argument}'`;
  return `SELECT * FROM pragma_${name}(${list})`;
}

/** Whether a query can be read in pages. */
function isPageable(sql: string): boolean {
  return /^(SELECT|VALUES|WITH)\b/i.test(sql.slice(skipTrivia(sql, 0)));
}

/** Rows as plain objects, with integers as `number` if that is exact. */
function rowsOf(result: ServerResult | undefined): Row[] {
  const names = result?.cols.map(({ name }) => name ?? "") ?? [];
  return result?.rows.map((row) =>
    Object.fromEntries(names.map((name, index) => [name, narrowed(row[index] ?? null)]))
  ) ?? [];
}
