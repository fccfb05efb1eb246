import {
  AccessError,
  CatalystError,
  type CatalystErrorOptions,
  DatabaseLockedError,
  DiskFullError,
  ServerError,
  StatementError,
} from "../base/errors.ts";
import type { FailureContext } from "./failure.ts";
import { LEASE_SECONDS, type LibsqlAddress, namespaceHeader, TOKEN_VARIABLE } from "./location.ts";

/** Size in bytes of the largest row or value that a server stores. */
export const LARGEST_ROW = 5e6;

const LOST_LOCK =
  "the server gave the write lock to another client and rolled the transaction back";
const WHEN_LOST =
  `a transaction is limited to ${LEASE_SECONDS} s when another client wants to write. Stop the programs that ` +
  "write to this database, then run the command again";

/** The error for a transaction that the server ended. */
export function lostTransaction(context: FailureContext, cause?: unknown): DatabaseLockedError {
  return new DatabaseLockedError(`Cannot ${context.verb} ${context.label}: ${LOST_LOCK}`, {
    ...optionsOf(context, cause),
    help: WHEN_LOST,
  });
}

/** Translates an error of the server or its client into one with a stable code. */
export function translateLibsql(error: unknown, context: FailureContext): CatalystError {
  if (error instanceof CatalystError) return error;
  const code = codeOf(error);
  const reason = reasonOf(error);
  const cannot = `Cannot ${context.verb} ${context.label}`;
  const options = optionsOf(context, new Error(reason));
  if (code === "TRANSACTION_TIMEOUT") return lostTransaction(context, new Error(reason));
  if (/^SQLITE_(BUSY|LOCKED)|^TRANSACTION_BUSY/.test(code) || /is locked/.test(reason)) {
    return new DatabaseLockedError(`${cannot}: it is locked by another client`, {
      ...options,
      help: WHEN_LOST,
    });
  }
  if (/^AUTH|UNAUTHORIZED|FORBIDDEN|BLOCKED/.test(code) || /BLOCKED/.test(reason)) {
    return refusedToken(cannot, reason, options);
  }
  if (/too big/.test(reason)) {
    return new StatementError(
      `${cannot}: a row or value is larger than the server stores (${LARGEST_ROW / 1e6} MB)`,
      { ...options, help: "keep such values in files, or keep this database local" },
    );
  }
  if (code === "RESPONSE_TOO_LARGE") {
    return new StatementError(`${cannot}: the result is larger than the server sends (10 MB)`, {
      ...options,
      help: "read fewer rows or columns at once",
    });
  }
  if (/database or disk is full/.test(reason)) {
    return new DiskFullError(`${cannot}: the disk of the server is full`, {
      ...options,
      help: "free some space on the server, then run the command again",
    });
  }
  if (code === "SQL_PARSE_ERROR" && /^unsupported statement/.test(reason)) {
    return new StatementError(`${cannot}: the server does not allow this statement`, {
      ...options,
      help: "a server refuses ATTACH, VACUUM, ANALYZE, temporary objects and most PRAGMAs",
    });
  }
  // An error with a code came from the server; without one the connection failed.
  return code === ""
    ? new ServerError(`${cannot}: the connection to the server was lost (${reason})`, {
      ...options,
      help: "check the server and the network; `status` shows what was completed",
    })
    : new StatementError(`${cannot}: ${reason}`, options);
}

/** The error for a server that did not answer in time. */
export function noAnswer(context: FailureContext, seconds: number): ServerError {
  return new ServerError(
    `Cannot ${context.verb} ${context.label}: the server did not answer for ${seconds} s`,
    {
      ...optionsOf(context, undefined),
      help: "check the server, and the primary if it is a replica; --timeout SECONDS waits longer",
    },
  );
}

/** Finds out why a server cannot be reached, because a WebSocket does not say. */
export async function explainUnreachable(
  error: unknown,
  { address, token, seconds }: {
    readonly address: LibsqlAddress;
    readonly token: string | undefined;
    readonly seconds: number;
  },
): Promise<CatalystError> {
  const cannot = `Cannot reach ${address.label}`;
  const code = codeOf(error);
  const reason = reasonOf(error);
  if (code !== "") return translateLibsql(error, { verb: "use", label: address.label });
  const options = { cause: new Error(reason) };
  if (isDenied(reason)) return denied(cannot, address, options);
  try {
    const response = await fetch(`${address.http}v3/pipeline`, {
      method: "POST",
      headers: {
        ...namespaceHeader(address),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: '{"requests":[{"type":"close"}]}',
      signal: AbortSignal.timeout(seconds * 1000),
    });
    const text = (await response.text()).slice(0, 1000);
    if (response.status === 401 || response.status === 403) {
      return refusedToken(cannot, text, options);
    }
    if (response.status === 404 && /namespace/i.test(text)) {
      const namespace = address.namespace ?? "default";
      return new ServerError(`${cannot}: the server has no namespace "${namespace}"`, {
        ...options,
        help: "create it on the server, or correct the address; a token for another namespace " +
          "has the same effect",
      });
    }
    return new ServerError(
      response.ok
        ? `${cannot}: the server closed the connection (${reason})`
        : `${cannot}: the server answered with status ${response.status}`,
      { ...options, help: "check that the address is that of a libSQL server" },
    );
  } catch (caught) {
    // Deno's `fetch` puts the reason into the cause of its error.
    const failed = caught instanceof Error && caught.cause instanceof Error ? caught.cause : caught;
    return new ServerError(`${cannot}: ${whyNot(reasonOf(failed), { address, seconds })}`, {
      cause: new Error(reasonOf(failed)),
      help: "check the address, the server and the network",
    });
  }
}

function whyNot(
  message: string,
  { address, seconds }: { readonly address: LibsqlAddress; readonly seconds: number },
): string {
  if (/dns error|failed to lookup|No such host/i.test(message)) return "the host is unknown";
  // A server without TLS may also simply close the connection.
  const isCut = address.http.startsWith("https:") && /reset|eof|closed|broken pipe/i.test(message);
  if (isCut || /certificate|UnknownIssuer|tls|handshake|corrupt message/i.test(message)) {
    return "the TLS connection failed (http:// and ws:// connect without TLS)";
  }
  if (/refused/i.test(message)) return "the connection was refused";
  if (/timed? ?out|TimeoutError/i.test(message)) {
    return `the server did not answer for ${seconds} s`;
  }
  return "the connection failed";
}

function isDenied(message: string): boolean {
  return /NotCapable|Requires net access/.test(message);
}

function denied(
  cannot: string,
  address: LibsqlAddress,
  options: CatalystErrorOptions,
): AccessError {
  const { host } = new URL(address.http);
  return new AccessError(`${cannot}: Deno was not given the permission to use the network`, {
    ...options,
    help: `run with --allow-net=${host}`,
  });
}

function refusedToken(
  cannot: string,
  reason: string,
  options: CatalystErrorOptions,
): AccessError {
  const why = /only allows reading/.test(reason)
    ? "the token only allows reading"
    : /expired/i.test(reason)
    ? "the token has expired"
    : /header|none given|missing/i.test(reason)
    ? "the server requires a token"
    : "the server refused the token";
  return new AccessError(`${cannot}: ${why}`, {
    ...options,
    help: `set the variable ${TOKEN_VARIABLE} to a valid token, or ${TOKEN_VARIABLE}_DATABASE ` +
      "for one database",
  });
}

function optionsOf(
  { statement, line }: FailureContext,
  cause: unknown,
): CatalystErrorOptions {
  return {
    ...(cause === undefined ? {} : { cause }),
    ...(statement === undefined ? {} : { statement }),
    ...(line === undefined ? {} : { line }),
  };
}

/** The server's code for an error; empty if the error is not from the server. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "";
}

/** Whether an error says that a result is larger than a server sends. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof StatementError && /larger than the server sends/.test(error.message);
}

/** SQLite's own message, without the prefixes of the server and its client. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replace(/^Client is closed: |^Stream is closed: /, "")
    .replace(/^(\w*Error: )+/, "")
    .replace(/^(SQLite error|SQL input error|SQL string could not be parsed): /, "")
    .replace(/ \(at offset \d+\)$/, "");
}
