import { AccessError, StatementError } from "../base/errors.ts";
import { loadPackage } from "../base/package.ts";
import { lineOf, skipTrivia, splitStatements, tokenize } from "../sql/tokens.ts";
import type {
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
import { type LibsqlAddress, namespaceHeader, type ServerLocation } from "./location.ts";
import {
  codeOf,
  explainUnreachable,
  isTooLarge,
  lostTransaction,
  noAnswer,
  translateLibsql,
} from "./libsql_failure.ts";

/** A statement with its parameters. */
interface Step {
  readonly sql: string;
  readonly parameters?: readonly SqlValue[];
  /** Parameters by name. */
  readonly named?: Readonly<Record<string, SqlValue>>;
}

/** Outcome of a request: the results of the steps that succeeded, then possibly a failure. */
interface Outcome {
  readonly results: readonly Result[];
  readonly failure: unknown;
}

type Client = typeof import("npm:@libsql/hrana-client@0.10.0");
type WsClient = InstanceType<Client["WsClient"]>;
type WsStream = ReturnType<WsClient["openStream"]>;

/**
 * The client's public methods turn every row into an object with named properties, which takes longer
 * than everything else. So batches are sent in the protocol's own form.
 */
type Batch = Parameters<WsStream["_batch"]>[0];
type Condition = NonNullable<Batch["steps"][number]["condition"]>;
type BatchResult = Awaited<ReturnType<WsStream["_batch"]>>;
type Result = Pick<
  BatchResult["stepResults"] extends Map<number, infer R> ? R : never,
  "cols" | "rows" | "affectedRowCount"
>;
type Argument = Batch["steps"][number]["stmt"]["args"][number];
type ClientSocket = ConstructorParameters<Client["WsClient"]>[0];

/** Statements sent at once; a statement costs little, a round trip a lot. */
const STEPS_AT_ONCE = 64;

/** Number of a script's statements in the first request. */
const FIRST_STEPS = 8;

/** Milliseconds after which a request is slow, so that the next one has a single statement. */
const SLOW = 500;

/** Rows read at once. */
const ROWS_AT_ONCE = 1000;

/**
 * Opens a database on a server. Only this function loads the client. `timeout` is the number of seconds
 * that the server may take to answer a request.
 *
 * @throws {ServerError} if the server cannot be reached or does not have the namespace.
 * @throws {AccessError} if the server refuses the token, or Deno lacks permission.
 */
export async function openLibsql(
  { address, tokenVariables }: Pick<ServerLocation, "address" | "tokenVariables">,
  { timeout }: { readonly timeout: number },
): Promise<LibsqlConnection> {
  const client = await loadPackage<Client>("npm:@libsql/hrana-client@0.10.0");
  const { WebSocket } = await loadPackage<typeof import("npm:ws@8.23.0")>("npm:ws@8.23.0");
  const token = readToken(tokenVariables, address);
  const seconds = Math.max(timeout, 1);
  try {
    const socket = new WebSocket(address.socket, ["hrana3-protobuf"], {
      headers: namespaceHeader(address),
    });
    // The client expects another implementation's type, but only uses the standard part of it.
    const connected = new client.WsClient(socket as unknown as ClientSocket, token);
    try {
      await within(connected.getVersion(), seconds);
      const stream = connected.openStream();
      // The first answer shows whether the server accepts the token and the namespace.
      await within(stream.queryValue("SELECT 1"), seconds);
      return new LibsqlConnection({
        connected,
        stream,
        label: address.label,
        seconds,
        isReadOnly: token !== undefined && isReadOnlyToken(token),
      });
    } catch (error) {
      connected.close();
      throw error;
    }
  } catch (error) {
    if (error === TIME_IS_UP) throw noAnswer({ verb: "reach", label: address.label }, seconds);
    throw await explainUnreachable(error, { address, token, seconds });
  }
}

function readToken(
  variables: readonly string[],
  { label }: LibsqlAddress,
): string | undefined {
  try {
    // An empty variable counts as unset.
    return variables.map((name) => Deno.env.get(name)).find((value) => value) ?? undefined;
  } catch (cause) {
    throw new AccessError(`Cannot reach ${label}: Deno may not read the variable with its token`, {
      cause,
      help: `run with --allow-env=${variables.join(",")}`,
    });
  }
}

/** The parts of a connection. */
interface Parts {
  readonly connected: WsClient;
  readonly stream: WsStream;
  readonly label: string;
  readonly seconds: number;
  /** Whether the token allows only reading. */
  readonly isReadOnly: boolean;
}

/** Whether a token's claims allow only reading; a server drops the connection on a write. */
function isReadOnlyToken(token: string): boolean {
  try {
    const bytes = Uint8Array.fromBase64(token.split(".")[1] ?? "", { alphabet: "base64url" });
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof claims === "object" && claims !== null && "a" in claims && claims.a === "ro";
  } catch {
    return false; // not a JWT: the server decides
  }
}

/**
 * A connection to a database on a libSQL server, by WebSocket.
 *
 * A transaction on a server may end at any time: it is limited to 5 s if another client wants to write.
 * After that the connection is in autocommit mode, and each statement would commit on its own. So every
 * statement of a transaction is sent on condition that the transaction is still open. After a lost
 * transaction everything is refused until the caller rolls back.
 */
export class LibsqlConnection implements Connection {
  readonly label: string;
  readonly isRemote = true;
  readonly #connected: WsClient;
  readonly #stream: WsStream;
  readonly #seconds: number;
  readonly #isReadOnly: boolean;
  #state: State = "none";
  #isConfined = false;

  /** Wraps an open stream. */
  constructor({ connected, stream, label, seconds, isReadOnly }: Parts) {
    this.#isReadOnly = isReadOnly;
    this.#connected = connected;
    this.#stream = stream;
    this.label = label;
    this.#seconds = seconds;
  }

  get inTransaction(): boolean {
    return this.#state !== "none";
  }

  async exec(sql: string): Promise<void> {
    const { statements, unfinished } = splitStatements(sql);
    // The server's own error is more specific.
    const steps = unfinished !== null
      ? [{ sql }]
      : statements.map(({ start, end }) => ({ sql: sql.slice(start, end) }));
    for (let at = 0; at < steps.length; at += STEPS_AT_ONCE) {
      await this.#perform(steps.slice(at, at + STEPS_AT_ONCE), "use");
    }
  }

  async script(sql: string, { onStatement, around, between }: ScriptOptions = {}): Promise<void> {
    if (around !== undefined) {
      throw new StatementError(
        `Cannot run statements one by one on ${this.label}: it is on a server`,
      );
    }
    const context = { verb: "change", label: this.label };
    const nul = sql.indexOf("\0");
    if (nul !== -1) {
      throw new StatementError(`Cannot change ${this.label}: the SQL has a NUL character`, {
        line: lineOf(sql, nul),
      });
    }
    const { statements, unfinished } = splitStatements(sql);
    if (unfinished !== null) {
      const line = lineOf(sql, unfinished.at);
      throw new StatementError(`Cannot change ${this.label}: ${unfinished.what} has no end`, {
        line,
      });
    }
    // All statements of a request must be done in time, so slow ones are sent by themselves.
    let atOnce = between === undefined ? FIRST_STEPS : 1;
    for (let at = 0, count = 0; at < statements.length; at += count) {
      const steps: (Step & { readonly line: number })[] = [];
      let stopped: { readonly error: unknown } | null = null;
      count = atOnce;
      for (const { start, end } of statements.slice(at, at + count)) {
        const step = { sql: sql.slice(start, end), line: lineOf(sql, start) };
        try {
          onStatement?.(step.sql);
          this.#refuseConfined(step.sql);
        } catch (error) {
          stopped = { error: translateLibsql(error, { ...context, ...contextOf(step) }) };
          break;
        }
        steps.push(step);
      }
      const begun = performance.now();
      const { results, failure } = await this.#request(steps);
      if (failure !== null) {
        throw explain(failure, { ...context, ...contextOf(steps[results.length]) });
      }
      if (stopped !== null) throw stopped.error;
      const isSlow = performance.now() - begun > SLOW;
      if (between === undefined) atOnce = isSlow ? 1 : Math.min(atOnce * 2, STEPS_AT_ONCE);
      await between?.();
    }
  }

  async run(sql: string, parameters: readonly SqlValue[] = []): Promise<StatementResult> {
    const [result] = await this.#perform([{ sql, parameters }], "use");
    return { changes: result?.affectedRowCount ?? 0 };
  }

  async all(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    try {
      const [result] = await this.#perform([{ sql: asQuery(sql), parameters }], "use");
      return result === undefined ? [] : rowsOf(result);
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
    const [result] = await this.#perform([{ sql, parameters }], "read");
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
    const [result] = await this.#perform([{ sql: page, named: parameters }], "query");
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
    this.#state = "none";
    if (!this.#connected.closed) this.#connected.close();
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
        const [result] = await this.#perform([{ sql: page, parameters }], "use");
        const found = result === undefined ? [] : rowsOf(result);
        yield* found;
        if (found.length < rows) return;
        offset += rows;
      } catch (error) {
        if (!isTooLarge(error) || rows === 1) throw error;
        rows = Math.ceil(rows / 4);
      }
    }
  }

  async #perform(steps: readonly Step[], verb: string): Promise<readonly Result[]> {
    const context = (step: Step | undefined) => ({ verb, label: this.label, ...contextOf(step) });
    for (const step of steps) {
      try {
        this.#refuseConfined(step.sql);
      } catch (error) {
        throw translateLibsql(error, context(step));
      }
    }
    const { results, failure } = await this.#request(steps);
    if (failure !== null) throw explain(failure, context(steps[results.length]));
    return results;
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

  /** Sends steps; each runs only if the one before it succeeded. */
  async #request(steps: readonly Step[]): Promise<Outcome> {
    if (steps.length === 0) return { results: [], failure: null };
    const texts = steps.map(({ sql }) => sql.slice(skipTrivia(sql, 0)));
    if (this.#state === "lost") {
      // Only a statement that ends the transaction ends this state.
      const effect = effectOf(texts[0] ?? "");
      if (effect === "rollback" || effect === "commit") this.#state = "none";
      const isDone = effect === "rollback" && steps.length === 1;
      return { results: isDone ? [NOTHING] : [], failure: isDone ? null : LOST };
    }
    const states: State[] = [this.#state];
    try {
      const batch = steps.map(({ parameters = [], named }, index): Batch["steps"][number] => {
        const state = states[index] ?? "none";
        const sql = texts[index] ?? "";
        states.push(stateAfter(sql, state));
        const conds: Condition[] = index === 0 ? [] : [{ type: "ok", step: index - 1 }];
        if (state !== "none") conds.push({ type: "not", cond: ALONE });
        return { condition: { type: "and", conds }, stmt: statementOf(sql, parameters, named) };
      });
      const mayBeAlone = states.some((state) => state !== "none");
      if (mayBeAlone) batch.push({ condition: ALONE, stmt: statementOf("SELECT 1", []) });
      const answer = await within(this.#stream._batch({ steps: batch }), this.#seconds);
      const outcome = outcomeOf(answer, steps.length);
      const state = states[outcome.results.length] ?? "none";
      const isAlone = mayBeAlone && answer.stepResults.has(steps.length);
      this.#state = state !== "none" && isAlone ? "lost" : state;
      return outcome;
    } catch (error) {
      // It is unknown what the server has done, so nothing more may be sent.
      if (error === TIME_IS_UP || codeOf(error) === "") {
        this.#state = "none";
        if (!this.#connected.closed) this.#connected.close();
      }
      const failure = error === TIME_IS_UP
        ? new SlowAnswer(this.#seconds)
        : this.#isReadOnly && codeOf(error) === ""
        ? new Refused({ message: "the token only allows reading", code: "AUTH_READ_ONLY" })
        : error;
      return { results: [], failure };
    }
  }
}

/** Whether and how a transaction was begun; `lost` if the server has ended it. */
type State = "none" | "begun" | "savepoint" | "lost";

type Effect = "begin" | "savepoint" | "commit" | "rollback" | "release" | null;

/** What a statement does to the transaction. */
function effectOf(sql: string): Effect {
  const word = /^(BEGIN|SAVEPOINT|COMMIT|END|ROLLBACK|RELEASE)\b/i.exec(sql)?.[0]?.toLowerCase();
  if (word === undefined || INNER_ROLLBACK.test(sql)) return null;
  return word === "end" ? "commit" : word as Effect;
}

const INNER_ROLLBACK = /^ROLLBACK\s+(TRANSACTION\s+)?TO\b/i;

function stateAfter(sql: string, state: State): State {
  switch (effectOf(sql)) {
    case "begin":
      return "begun";
    case "savepoint":
      return state === "none" ? "savepoint" : state;
    case "commit":
    case "rollback":
      return "none";
    case "release":
      // Releasing the outermost savepoint commits; the next statement shows whether it was that one.
      return state === "savepoint" ? "none" : state;
    case null:
      return state;
  }
}

/** The result of a statement that did not need to be sent. */
const NOTHING: Result = { cols: [], rows: [], affectedRowCount: 0 };

/** Marks the failure of a step that was skipped because the transaction was lost. */
const LOST = Symbol("lost");

/** Marks the failure of a request that the server did not answer in time. */
class SlowAnswer {
  constructor(readonly seconds: number) {}
}

function outcomeOf({ stepResults, stepErrors }: BatchResult, steps: number): Outcome {
  const results: Result[] = [];
  for (let step = 0; step < steps; step++) {
    const result = stepResults.get(step);
    if (result === undefined) {
      const error = stepErrors.get(step);
      return { results, failure: error === undefined ? LOST : new Refused(error) };
    }
    results.push(result);
  }
  return { results, failure: null };
}

/** The error that the server reported for a statement. */
class Refused extends Error {
  readonly code: string;
  constructor({ message, code }: { readonly message: string; readonly code?: string | undefined }) {
    super(message);
    this.code = code ?? "UNKNOWN";
  }
}

/** True if no transaction is open. */
const ALONE: Condition = { type: "is_autocommit" };

function statementOf(
  sql: string,
  parameters: readonly SqlValue[],
  named: Readonly<Record<string, SqlValue>> = {},
): Batch["steps"][number]["stmt"] {
  const args = parameters.map(bound);
  const namedArgs = Object.entries(named).map(([name, value]) => ({ name, value: bound(value) }));
  return { sql, sqlId: undefined, args, namedArgs, wantRows: true };
}

function explain(failure: unknown, context: FailureContext): Error {
  if (failure === LOST) return lostTransaction(context);
  if (failure instanceof SlowAnswer) return noAnswer(context, failure.seconds);
  return translateLibsql(failure, context);
}

function contextOf(
  step: { readonly sql: string; readonly line?: number } | undefined,
): { statement?: string; line?: number } {
  if (step === undefined) return {};
  const { sql, line } = step;
  return { statement: sql, ...(line === undefined ? {} : { line }) };
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

const TIME_IS_UP = Symbol("time is up");

/** Waits for a promise for a number of seconds, then throws {@link TIME_IS_UP}. */
async function within<T>(promise: Promise<T>, seconds: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(TIME_IS_UP), seconds * 1000);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** The protocol has no Infinity, and SQLite turns NaN into NULL. */
function bound(value: SqlValue): Argument {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  if (Number.isNaN(value)) return null;
  throw new StatementError(`Cannot send ${value} to a server as a parameter`, {
    help: `write ${value < 0 ? "-" : ""}9e999 in the SQL`,
  });
}

/** Rows as plain objects, with integers as `number` if that is exact. */
function rowsOf({ cols, rows }: Result): Row[] {
  const names = cols.map(({ name }) => name ?? "");
  return rows.map((row) => {
    const object: Record<string, SqlValue> = {};
    for (const [index, name] of names.entries()) object[name] = narrowed(row[index] ?? null);
    return object;
  });
}

function narrowed(value: SqlValue): SqlValue {
  if (typeof value !== "bigint") return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
