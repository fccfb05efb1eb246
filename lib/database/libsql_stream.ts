import { AccessError, StatementError } from "../base/errors.ts";
import { loadPackage } from "../base/package.ts";
import { skipTrivia } from "../sql/tokens.ts";
import type { SqlValue } from "./connection.ts";
import type { FailureContext } from "./failure.ts";
import {
  codeOf,
  explainUnreachable,
  lostTransaction,
  noAnswer,
  translateLibsql,
} from "./libsql_failure.ts";
import { type LibsqlAddress, namespaceHeader, type ServerLocation } from "./location.ts";

/** A statement with its parameters. */
export interface Step {
  readonly sql: string;
  readonly parameters?: readonly SqlValue[];
  /** Parameters by name. */
  readonly named?: Readonly<Record<string, SqlValue>>;
  /** Line of the script on which it begins. */
  readonly line?: number;
}

type Client = typeof import("npm:@libsql/hrana-client@0.10.0");
type WsClient = InstanceType<Client["WsClient"]>;
type WsStream = ReturnType<WsClient["openStream"]>;

/**
 * The client's public methods turn every row into an object with named properties, which takes longer
 * than everything else. So batches are sent in the protocol's own form.
 */
type Batch = Parameters<WsStream["_batch"]>[0];
type BatchStep = Batch["steps"][number];
type Condition = NonNullable<BatchStep["condition"]>;
type BatchResult = Awaited<ReturnType<WsStream["_batch"]>>;
type ClientSocket = ConstructorParameters<Client["WsClient"]>[0];

/** Rows and the number of changed rows of a statement. */
export type ServerResult = Pick<
  BatchResult["stepResults"] extends Map<number, infer R> ? R : never,
  "cols" | "rows" | "affectedRowCount"
>;

/** The parts of a stream. */
interface Parts {
  readonly client: WsClient;
  readonly stream: WsStream;
  readonly label: string;
  readonly seconds: number;
  /** Whether the token allows only reading. */
  readonly isReadOnly: boolean;
}

/**
 * Sends statements to a libSQL server by WebSocket.
 *
 * A transaction on a server may end at any time: it is limited to 5 s if another client wants to write.
 * After that the connection is in autocommit mode, and each statement would commit on its own. So every
 * statement of a transaction is sent on condition that the transaction is still open. After a lost
 * transaction everything is refused until the caller rolls back.
 */
export class LibsqlStream {
  readonly label: string;
  readonly #client: WsClient;
  readonly #stream: WsStream;
  readonly #seconds: number;
  readonly #isReadOnly: boolean;
  #state: State = "none";

  private constructor({ client, stream, label, seconds, isReadOnly }: Parts) {
    this.label = label;
    this.#client = client;
    this.#stream = stream;
    this.#seconds = seconds;
    this.#isReadOnly = isReadOnly;
  }

  /** Connects to a server; only this loads the client. */
  static async connect(
    { address, tokenVariables }: Pick<ServerLocation, "address" | "tokenVariables">,
    { timeout }: { readonly timeout: number },
  ): Promise<LibsqlStream> {
    const { WsClient } = await loadPackage<Client>("npm:@libsql/hrana-client@0.10.0");
    const { WebSocket } = await loadPackage<typeof import("npm:ws@8.23.0")>("npm:ws@8.23.0");
    const { label } = address;
    const token = readToken(tokenVariables, address);
    const seconds = Math.max(timeout, 1);
    try {
      const socket = new WebSocket(address.socket, ["hrana3-protobuf"], {
        headers: namespaceHeader(address),
      });
      // The client expects another implementation's type, but only uses the standard part of it.
      const client = new WsClient(socket as unknown as ClientSocket, token);
      try {
        await within(client.getVersion(), seconds);
        const stream = client.openStream();
        // The first answer shows whether the server accepts the token and the namespace.
        await within(stream.queryValue("SELECT 1"), seconds);
        const isReadOnly = token !== undefined && isReadOnlyToken(token);
        return new LibsqlStream({ client, stream, label, seconds, isReadOnly });
      } catch (error) {
        client.close();
        throw error;
      }
    } catch (error) {
      if (error === TIME_IS_UP) throw noAnswer({ verb: "reach", label }, seconds);
      throw await explainUnreachable(error, { address, token, seconds });
    }
  }

  get inTransaction(): boolean {
    return this.#state !== "none";
  }

  /** Sends statements in one request; each runs only if the one before it succeeded. */
  async send(steps: readonly Step[], verb: string): Promise<readonly ServerResult[]> {
    if (steps.length === 0) return [];
    const context = (at: number): FailureContext => ({
      verb,
      label: this.label,
      ...contextOf(steps[at]),
    });
    const texts = steps.map(({ sql }) => sql.slice(skipTrivia(sql, 0)));
    if (this.#state === "lost") {
      // Only a statement that ends the transaction ends this state.
      const effect = effectOf(texts[0] ?? "");
      if (effect === "rollback" || effect === "commit") this.#state = "none";
      if (effect === "rollback" && steps.length === 1) return [NOTHING];
      throw lostTransaction(context(0));
    }
    const states: State[] = [this.#state];
    const batch = steps.map(({ parameters = [], named }, index): BatchStep => {
      const state = states[index] ?? "none";
      const sql = texts[index] ?? "";
      states.push(stateAfter(sql, state));
      const conds: Condition[] = index === 0 ? [] : [{ type: "ok", step: index - 1 }];
      if (state !== "none") conds.push({ type: "not", cond: ALONE });
      return { condition: { type: "and", conds }, stmt: statementOf(sql, parameters, named) };
    });
    const mayBeAlone = states.some((state) => state !== "none");
    if (mayBeAlone) batch.push({ condition: ALONE, stmt: statementOf("SELECT 1", []) });
    const { stepResults, stepErrors } = await this.#answerTo(batch, context(0));
    const results: ServerResult[] = [];
    for (let at = 0; at < steps.length; at++) {
      const result = stepResults.get(at);
      if (result === undefined) break;
      results.push(result);
    }
    const done = results.length;
    const state = states[done] ?? "none";
    const isAlone = mayBeAlone && stepResults.has(steps.length);
    this.#state = state !== "none" && isAlone ? "lost" : state;
    if (done === steps.length) return results;
    const error = stepErrors.get(done);
    if (error === undefined) throw lostTransaction(context(done)); // it was skipped
    throw translateLibsql(new Refused(error), context(done));
  }

  async #answerTo(steps: Batch["steps"], context: FailureContext): Promise<BatchResult> {
    try {
      return await within(this.#stream._batch({ steps }), this.#seconds);
    } catch (error) {
      if (error !== TIME_IS_UP && codeOf(error) !== "") throw translateLibsql(error, context);
      // It is unknown what the server has done, so nothing more may be sent.
      this.close();
      if (error === TIME_IS_UP) throw noAnswer(context, this.#seconds);
      throw translateLibsql(
        this.#isReadOnly
          ? new Refused({ message: "the token only allows reading", code: "AUTH_READ_ONLY" })
          : error,
        context,
      );
    }
  }

  close(): void {
    this.#state = "none";
    if (!this.#client.closed) this.#client.close();
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
const NOTHING: ServerResult = { cols: [], rows: [], affectedRowCount: 0 };

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
): BatchStep["stmt"] {
  const args = parameters.map(bound);
  const namedArgs = Object.entries(named).map(([name, value]) => ({ name, value: bound(value) }));
  return { sql, sqlId: undefined, args, namedArgs, wantRows: true };
}

/** The protocol has no Infinity, and SQLite turns NaN into NULL. */
function bound(value: SqlValue): BatchStep["stmt"]["args"][number] {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  if (Number.isNaN(value)) return null;
  throw new StatementError(`Cannot send ${value} to a server as a parameter`, {
    help: `write ${value < 0 ? "-" : ""}9e999 in the SQL`,
  });
}

/** What an error tells of a statement. */
export function contextOf(step: Step | undefined): Pick<FailureContext, "statement" | "line"> {
  if (step === undefined) return {};
  const { sql, line } = step;
  return { statement: sql, ...(line === undefined ? {} : { line }) };
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
