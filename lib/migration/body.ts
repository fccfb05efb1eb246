import { type Connection, type ScriptStatement, text } from "../database/connection.ts";
import { firstStatement, onOneLine, skipTrivia } from "../sql/tokens.ts";
import { CatalystError, StatementError } from "../base/errors.ts";
import type { MigrationBody } from "./migration.ts";

/** Whose body is run, and what may stop it. */
interface BodyOptions {
  /** Name of the database. */
  readonly database: string;
  /** Stops before the next statement. */
  readonly signal?: AbortSignal | undefined;
  /** Whether a transaction is open, which the body may not end. Default `true`. */
  readonly transaction?: boolean;
  /** Whether foreign keys are enforced. Default `true`. */
  readonly foreignKeys?: boolean | undefined;
  /** Seconds that a function may go without a statement before it is given up. Default 60. */
  readonly idleTimeout?: number | undefined;
  /** Called with the text of each statement before it runs. */
  readonly onStatement?: (sql: string) => void;
}

/**
 * Runs a migration's body in the open transaction, which it may not end, or outside of any. The
 * temporary tables, views and triggers that it leaves are dropped: the next migration would find them
 * or not, depending on whether it has the same connection.
 */
export async function runBody(
  connection: Connection,
  body: MigrationBody,
  options: BodyOptions,
): Promise<void> {
  // Nothing is made in `temp` without that word.
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
    // VACUUM attaches a file and begins a transaction of its own, which SQLite asks about as well.
    confined[Symbol.dispose]();
    if (!isVacuum(sql)) confined = confinement.use(connection.confine());
  };
  try {
    if (typeof body === "string") {
      // A server is asked for many statements at once.
      const isChecked = body.includes('"') && connection.isRemote !== true;
      await connection.script(body, {
        onStatement,
        ...(isChecked ? { around: checkNames(connection) } : {}),
      });
    } else await runFunction(connection, body, { ...options, onStatement });
  } catch (error) {
    // SQLite's authorizer says only "not authorized"; the statement tells what it was.
    if (error instanceof CatalystError && error.statement !== undefined) {
      refuseForbidden(error.statement, { transaction, foreignKeys, cause: error });
    }
    throw error;
  }
  if (transaction && !connection.inTransaction) {
    throw new StatementError("Cannot go on: the migration ended its transaction by itself");
  }
  if (!transaction && connection.inTransaction) {
    throw new StatementError("Cannot go on: the migration has a SAVEPOINT that it doesn't release");
  }
}

/** Statements that drop what is temporary, in an order in which each works. */
async function temporaryObjects(connection: Connection): Promise<string[]> {
  const rows = await connection.all(
    `SELECT format('DROP %s IF EXISTS temp."%w"', type, name) AS sql
    FROM temp.sqlite_schema
    WHERE type IN ('trigger', 'view', 'table') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
    ORDER BY type DESC, rootpage`, // a virtual table, which takes those inside along, has no page
  );
  return rows.map((row) => text(row, "sql"));
}

/** Drops what has become temporary since; what a program has in its connection stays. */
export async function dropTemporary(
  connection: Connection,
  former: readonly string[] = [],
): Promise<void> {
  for (const sql of await temporaryObjects(connection)) {
    if (!former.includes(sql)) await connection.exec(sql);
  }
}

interface FunctionOptions extends Pick<BodyOptions, "database" | "idleTimeout"> {
  readonly onStatement: (sql: string) => void;
}

/** Runs each statement after a look whether a mistyped name would be taken for a string. */
function checkNames(connection: Connection): (statement: ScriptStatement) => Promise<void> {
  return async ({ sql, run }) => {
    const { refuseTextAsName } = await import("../database/script.ts");
    await refuseTextAsName(connection, sql);
    run();
  };
}

/** Runs a function. */
async function runFunction(
  connection: Connection,
  body: Exclude<MigrationBody, string>,
  { database, onStatement, idleTimeout }: FunctionOptions,
): Promise<void> {
  const { callFunction } = await import("./function_call.ts"); // most migrations are SQL
  await callFunction(body, {
    database,
    exec: (sql) => connection.script(sql, { onStatement }),
    run: (sql, parameters) => {
      onStatement(sql);
      return connection.run(sql, parameters);
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
  const isSet = idle?.pragma === "foreign_keys" && isOn(idle.value) === foreignKeys;
  const reason = idle === null || isSet ? forbidden(sql, { transaction }) : OUTSIDE_ONLY;
  if (reason === null) return;
  const statement = firstStatement(sql);
  const what = `it may not run ${JSON.stringify(firstLine(statement))}: ${reason}`;
  throw new StatementError(`Cannot go on with the migration: ${what}`, {
    cause: new Error(what, { cause }),
    statement,
    ...(cause?.line === undefined ? {} : { line: cause.line }),
    help: idle?.pragma === "foreign_keys"
      ? `take it out and ${turnForeignKeys(idle.value)}`
      : "take the statement out of the migration",
  });
}

/** Why a statement may not be part of a migration, in a transaction or not; null if it may. */
export function forbidden(
  sql: string,
  { transaction = true }: { readonly transaction?: boolean } = {},
): string | null {
  const words = sql.slice(skipTrivia(sql, 0)).toUpperCase();
  if (
    /^(BEGIN|COMMIT|END)\b/.test(words) || /^ROLLBACK\b(?!\s+(TRANSACTION\s+)?TO\b)/.test(words)
  ) {
    return transaction
      ? "each migration is one transaction already, which it may neither begin nor end"
      : "a migration with transaction: false runs each statement by itself";
  }
  if (/^(ATTACH|DETACH)\b/.test(words)) return "a migration may change its own database only";
  if (!/^VACUUM\b/.test(words)) return null;
  if (transaction) return "VACUUM can't run inside a migration's transaction";
  return /\bINTO\b/.test(words) ? "a migration may change its own database only" : null;
}

/** Pragmas that do nothing, or fail, inside a transaction, by SQLite's documentation. */
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

/** Why such a pragma may not be part of a migration. */
export const OUTSIDE_ONLY = "it works only outside of a transaction, and a migration is one";

const PRAGMA = /^PRAGMA\s+(?:(?:\w+|"[^"]*")\s*\.\s*)?(\w+)\s*(?:[=(]\s*['"]?([^\s;'")]*))?/i;

/** The pragma of a statement and the value that it is set to, where that has no effect in a transaction. */
export function ineffectivePragma(
  sql: string,
): { readonly pragma: string; readonly value: string } | null {
  const [, name = "", value = ""] = PRAGMA.exec(sql.slice(skipTrivia(sql, 0))) ?? [];
  const pragma = name.toLowerCase();
  if (!INEFFECTIVE.has(pragma) || value === "" && pragma !== "wal_checkpoint") return null;
  return { pragma, value };
}

/** Whether SQLite reads the value of a pragma as on. */
export function isOn(value: string): boolean {
  return /^(on|yes|true|0*[1-9]\d*)$/i.test(value);
}

/** How a migration says whether foreign keys are enforced while it runs. */
export function turnForeignKeys(value: string): string {
  return isOn(value)
    ? 'take foreign-keys:off away behind "-- migrate:up", or foreignKeys: false in a module'
    : 'put foreign-keys:off behind "-- migrate:up", or foreignKeys: false into a module';
}

/** Whether a statement is VACUUM, which no transaction can hold. */
export function isVacuum(sql: string): boolean {
  return /^vacuum\b/i.test(sql.slice(skipTrivia(sql, 0)));
}

/** Beginning of a statement for a message, on one line. */
export function firstLine(sql: string): string {
  const line = onOneLine(sql);
  return line.length > 80 ? `${line.slice(0, 80)}...` : line;
}
