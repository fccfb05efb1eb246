import { UsageError } from "../base/errors.ts";

/** Address of a database on a libSQL server. It contains no secret, so it may be printed and stored. */
export interface LibsqlAddress {
  /** Address of the WebSocket, such as `wss://db.example.com/`. */
  readonly socket: string;
  /** Address of the same server for HTTP. */
  readonly http: string;
  /** The namespace; null for the host's default namespace. */
  readonly namespace: string | null;
  /** The address as a person writes it, such as `libsql://db.example.com?namespace=positions`. */
  readonly label: string;
}

const SCHEMES: Readonly<Record<string, boolean>> = {
  "libsql:": true,
  "https:": true,
  "wss:": true,
  "http:": false,
  "ws:": false,
};

/** Whether the name of a database is a server address rather than a path. */
export function isLibsqlAddress(text: string): boolean {
  return /^(libsql|https?|wss?):\/\//i.test(text);
}

const EXAMPLE = "libsql://db.example.com?namespace=positions";

/**
 * Parses the address of a database on a server: `libsql://`, `https://` or `wss://` with TLS,
 * `http://` or `ws://` without.
 *
 * @throws {UsageError} if it is invalid, or contains a token or a password.
 */
export function parseLibsqlAddress(text: string): LibsqlAddress {
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new UsageError("Cannot use the address of a server: it is invalid", {
      cause,
      help: `write it like ${EXAMPLE}`,
    });
  }
  const name = `${url.protocol}//${url.host}`;
  const isSecret = url.username !== "" || url.password !== "" ||
    [...url.searchParams.keys()].some((key) => /token|jwt|password|secret|auth/i.test(key));
  if (isSecret) {
    throw new UsageError(`Cannot use the address ${name}: it contains a token or a password`, {
      help: "remove it from the address and set the variable CATALYST_LIBSQL_TOKEN to the token",
    });
  }
  const isTls = SCHEMES[url.protocol];
  const unknown = [...url.searchParams.keys()].find((key) => key !== "namespace");
  const reason = isTls === undefined
    ? `"${url.protocol}" is unknown`
    : url.host === ""
    ? "the host is missing"
    : url.pathname.length > 1 || url.hash !== ""
    ? "it may contain only a host, a port and a namespace"
    : unknown === undefined
    ? null
    : `the parameter "${unknown}" is unknown`;
  if (reason !== null) {
    throw new UsageError(`Cannot use the address ${name}: ${reason}`, {
      help: `write it like ${EXAMPLE}; http:// or ws:// connect without TLS`,
    });
  }
  const namespace = url.searchParams.get("namespace") || null;
  return {
    socket: `${isTls ? "wss" : "ws"}://${url.host}/`,
    http: `${isTls ? "https" : "http"}://${url.host}/`,
    namespace,
    label: namespace === null ? name : `${name}?namespace=${encodeURIComponent(namespace)}`,
  };
}

/** The header that selects a namespace. */
export function namespaceHeader({ namespace }: LibsqlAddress): Readonly<Record<string, string>> {
  if (namespace === null) return {};
  const bytes = new TextEncoder().encode(namespace);
  return { "x-namespace-bin": bytes.toBase64({ omitPadding: true }) };
}

/** Variable that holds the token for all servers. */
export const TOKEN_VARIABLE = "CATALYST_LIBSQL_TOKEN";

/** Variables that may hold the token for a database, in order of precedence. */
export function tokenVariables(database: string): readonly string[] {
  const name = database.toUpperCase().replaceAll(/[^A-Z0-9]/g, "_");
  return [`${TOKEN_VARIABLE}_${name}`, TOKEN_VARIABLE];
}
