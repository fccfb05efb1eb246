/**
 * Runs the SQL or the function of a migration, and says which statements it may not contain.
 *
 * @module
 */
import { refuseTextAsName } from "../database/transaction.ts";
import { type Connection, type ScriptStatement, text } from "../database/connection.ts";
import { firstStatement, onOneLine, skipTrivia } from "../sql/tokens.ts";
import { CatalystError, StatementError } from "../base/errors.ts";
import type { MigrationBody } from "./migration.ts";

/** Options of {@link runBody}. */
interface BodyOptions {
  /** Name of the database. */
  readonly database: string;
  /** Stops before the next statement. */
  readonly signal?: AbortSignal | undefined;
  /** Whether the body runs in an open transaction, which it may not end. Default `true`. */
  readonly transaction?: boolean;
  /** Whether foreign keys are enforced. Default `true`. */
  readonly foreignKeys?: boolean | undefined;
  /** Seconds that a function may run without a statement before it is stopped. Default 60. */
  readonly idleTimeout?: number | undefined;
  /** Called with the text of each statement before it runs. */
  readonly onStatement?: (sql: string) => void;
  /** For a database on a server: called after each statement. */
  readonly between?: (() => Promise<void>) | undefined;
}

/**
 * Runs a migration's body in the open transaction, which it may not end, or without a transaction.
 * Drops the temporary tables, views and triggers that it leaves behind, because whether the next
 * migration would see them depends on whether it uses the same connection.
 */
export async function runBody(
  connection: Connection,
  body: MigrationBody,
  options: BodyOptions,
): Promise<void> {
  // Creating a temporary object requires this word.
  const mayLeave = typeof body !== "string" || /temp/i.test(body);
  const former = mayLeave ? await temporaryObjects(connection) : [];
  await runConfined(connection, body, options);
  if (mayLeave) await dropTemporary(connection, former);
}

async function runConfined(
  connection: Connection,
  body: MigrationBody,
  options: BodyOptions,
): Promise<void> {
  const { transaction = true, foreignKeys = true } = options;
  using confinement = new DisposableStack();
  let confined = confinement.use(connection.confine());
  const onStatement = (sql: string) => {
    options.signal?.throwIfAborted();
    refuseForbidden(sql, { transaction, foreignKeys });
    options.onStatement?.(sql);
    if (transaction) return;
    // VACUUM attaches a file and begins its own transaction, which the authorizer would refuse.
    confined[Symbol.dispose]();
    if (!isVacuum(sql)) confined = confinement.use(connection.confine());
  };
  try {
    if (typeof body === "string") {
      // A server receives many statements at once.
      const isChecked = body.includes('"') && connection.isRemote !== true;
      await connection.script(body, {
        onStatement,
        between: options.between,
        ...(isChecked ? { around: checkNames(connection) } : {}),
      });
    } else await runFunction(connection, body, { ...options, onStatement });
  } catch (error) {
    // SQLite only reports "not authorized"; the statement shows the reason.
    if (error instanceof CatalystError && error.statement !== undefined) {
      refuseForbidden(error.statement, { transaction, foreignKeys, cause: error });
    }
    throw error;
  }
  if (transaction && !connection.inTransaction) {
    throw new StatementError("Cannot continue: the migration ended its transaction");
  }
  if (!transaction && connection.inTransaction) {
    throw new StatementError(
      "Cannot continue: the migration has a SAVEPOINT that it does not release",
    );
  }
}

/** Statements that drop all temporary objects, in a working order. */
async function temporaryObjects(connection: Connection): Promise<string[]> {
  const rows = await connection.all(
    `SELECT format('DROP %s IF EXISTS temp."%w"', type, name) AS sql
    FROM temp.sqlite_schema
    WHERE type IN ('trigger', 'view', 'table') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY type DESC, rootpage`, // a virtual table, which has no root page, drops its shadow tables
  );
  return rows.map((row) => text(row, "sql"));
}

/** Drops the temporary objects created since; those of the calling program are kept. */
export async function dropTemporary(
  connection: Connection,
  former: readonly string[] = [],
): Promise<void> {
  for (const sql of await temporaryObjects(connection)) {
    if (!former.includes(sql)) await connection.exec(sql);
  }
}

interface FunctionOptions extends Pick<BodyOptions, "database" | "idleTimeout" | "between"> {
  readonly onStatement: (sql: string) => void;
}

/** Checks each statement for mistyped names that SQLite would treat as strings, then runs it. */
function checkNames(connection: Connection): (statement: ScriptStatement) => Promise<void> {
  return async ({ sql, run }) => {
    await refuseTextAsName(connection, sql);
    run();
  };
}

/** Runs a migration's function. */
async function runFunction(
  connection: Connection,
  body: Exclude<MigrationBody, string>,
  { database, onStatement, idleTimeout, between }: FunctionOptions,
): Promise<void> {
  const { callFunction } = await import("./function_call.ts"); // loaded only when needed: most migrations are SQL
  await callFunction(body, {
    database,
    exec: (sql) => connection.script(sql, { onStatement, between }),
    run: async (sql, parameters) => {
      onStatement(sql);
      const result = await connection.run(sql, parameters);
      await between?.();
      return result;
    },
    all: (sql, parameters) => {
      onStatement(sql);
      return connection.all(sql, parameters);
    },
  }, { idleTimeout });
}

function refuseForbidden(
  sql: string,
  { transaction, foreignKeys, cause }: {
    readonly transaction: boolean;
    readonly foreignKeys: boolean;
    readonly cause?: CatalystError;
  },
): void {
  const idle = transaction ? ineffectivePragma(sql) : null;
  const isSet = idle?.pragma === "foreign_keys" && isPragmaOn(idle.value) === foreignKeys;
  const reason = idle === null || isSet ? whyForbidden(sql, { transaction }) : OUTSIDE_ONLY;
  if (reason === null) return;
  const statement = firstStatement(sql);
  const what = `it may not run ${JSON.stringify(firstLine(statement))}: ${reason}`;
  throw new StatementError(`Cannot continue the migration: ${what}`, {
    cause: new Error(what, { cause }),
    statement,
    ...(cause?.line === undefined ? {} : { line: cause.line }),
    help: idle?.pragma === "foreign_keys"
      ? `remove it and ${turnForeignKeys(idle.value)}`
      : "remove the statement from the migration",
  });
}

/** Why a statement may not be part of a migration, with or without a transaction; null if it may. */
export function whyForbidden(
  sql: string,
  { transaction = true }: { readonly transaction?: boolean } = {},
): string | null {
  const words = sql.slice(skipTrivia(sql, 0)).toUpperCase();
  if (
    /^(BEGIN|COMMIT|END)\b/.test(words) || /^ROLLBACK\b(?!\s+(TRANSACTION\s+)?TO\b)/.test(words)
  ) {
    return transaction
      ? "each migration already runs in one transaction, which it may not begin or end"
      : "a migration with transaction: false runs each statement separately";
  }
  if (/^(ATTACH|DETACH)\b/.test(words)) return "a migration may change only its own database";
  if (!/^VACUUM\b/.test(words)) return null;
  if (transaction) return "VACUUM cannot run inside a migration's transaction";
  return /\bINTO\b/.test(words) ? "a migration may change only its own database" : null;
}

/** Pragmas that have no effect or fail inside a transaction, according to SQLite's documentation. */
const INEFFECTIVE = new Set([
  "auto_vacuum",
  "encoding",
  "foreign_keys",
  "journal_mode",
  "page_size",
  "synchronous",
  "temp_store",
  "wal_checkpoint",
]);

/** Why these pragmas may not be part of a migration. */
export const OUTSIDE_ONLY = "it works only outside a transaction, and a migration runs in one";

const PRAGMA = /^PRAGMA\s+(?:(?:\w+|"[^"]*")\s*\.\s*)?(\w+)\s*(?:[=(]\s*['"]?([^\s;'")]*))?/i;

/** Name and value of a pragma statement if it has no effect in a transaction. */
export function ineffectivePragma(
  sql: string,
): { readonly pragma: string; readonly value: string } | null {
  const [, name = "", value = ""] = PRAGMA.exec(sql.slice(skipTrivia(sql, 0))) ?? [];
  const pragma = name.toLowerCase();
  if (!INEFFECTIVE.has(pragma) || value === "" && pragma !== "wal_checkpoint") return null;
  return { pragma, value };
}

/** Whether SQLite treats the value of a pragma as on. */
export function isPragmaOn(value: string): boolean {
  return /^(on|yes|true|0*[1-9]\d*)$/i.test(value);
}

/** Help on how to turn foreign keys on or off for a migration. */
export function turnForeignKeys(value: string): string {
  return isPragmaOn(value)
    ? 'remove foreign-keys:off from the "-- migrate:up" line, or foreignKeys: false from a module'
    : 'add foreign-keys:off to the "-- migrate:up" line, or foreignKeys: false to a module';
}

/** Whether a statement is VACUUM, which cannot run in a transaction. */
export function isVacuum(sql: string): boolean {
  return /^vacuum\b/i.test(sql.slice(skipTrivia(sql, 0)));
}

/** The start of a statement on one line, for messages. */
export function firstLine(sql: string): string {
  const line = onOneLine(sql);
  return line.length > 80 ? `${line.slice(0, 80)}...` : line;
}
