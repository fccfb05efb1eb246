import type { Connection } from "./database/connection.ts";
import { firstStatement, skipTrivia } from "./database/script.ts";
import { CatalystError, StatementError } from "./errors.ts";
import type { MigrationBody, MigrationTransaction } from "./migration.ts";

/** Whose body is run, and what may stop it. */
export interface BodyOptions {
  /** Name of the database. */
  readonly database: string;
  /** Stops before the next statement. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs a migration's body in the open transaction, which it may not end. */
export async function runBody(
  connection: Connection,
  body: MigrationBody,
  options: BodyOptions,
): Promise<void> {
  const onStatement = (sql: string) => {
    options.signal?.throwIfAborted();
    refuseForbidden(sql);
  };
  try {
    using _confined = connection.confine();
    if (typeof body === "string") await connection.script(body, { onStatement });
    else await body(transactionOf(connection, options.database, onStatement));
  } catch (error) {
    // SQLite's authorizer says only "not authorized"; the statement tells what it was.
    if (error instanceof CatalystError && error.statement !== undefined) {
      refuseForbidden(error.statement, error);
    }
    throw error;
  }
  if (!connection.inTransaction) {
    throw new StatementError("Cannot go on: the migration ended its transaction by itself");
  }
}

function transactionOf(
  connection: Connection,
  database: string,
  onStatement: (sql: string) => void,
): MigrationTransaction {
  return {
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
  };
}

function refuseForbidden(sql: string, cause?: CatalystError): void {
  const reason = forbidden(sql);
  if (reason === null) return;
  const statement = firstStatement(sql);
  const what = `it may not run ${JSON.stringify(firstLine(statement))}: ${reason}`;
  throw new StatementError(`Cannot go on with the migration: ${what}`, {
    cause: new Error(what, { cause }),
    statement,
    ...(cause?.line === undefined ? {} : { line: cause.line }),
    help: "take the statement out of the migration",
  });
}

/** Why a statement may not be part of a migration; null where it may. */
export function forbidden(sql: string): string | null {
  const words = sql.slice(skipTrivia(sql, 0)).toUpperCase();
  if (
    /^(BEGIN|COMMIT|END)\b/.test(words) || /^ROLLBACK\b(?!\s+(TRANSACTION\s+)?TO\b)/.test(words)
  ) {
    return "each migration is one transaction already, which it may neither begin nor end";
  }
  if (/^(ATTACH|DETACH)\b/.test(words)) return "a migration may change its own database only";
  if (/^VACUUM\b/.test(words)) return "VACUUM can't run inside a migration's transaction";
  return null;
}

/** Beginning of a statement for a message, on one line. */
export function firstLine(sql: string): string {
  const line = sql.trim().replace(/\s+/g, " ");
  return line.length > 80 ? `${line.slice(0, 80)}…` : line;
}
