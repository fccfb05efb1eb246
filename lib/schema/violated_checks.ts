import { type Connection, number, text } from "../database/connection.ts";
import { StatementError } from "../base/errors.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { readTableText } from "./read.ts";

/** Rows of a table that violate one of its CHECK constraints. */
export interface ViolatedCheck {
  /** The table. */
  readonly table: string;
  /** Number of rows. */
  readonly rows: number;
}

/**
 * Counts the rows that violate a CHECK constraint, which a program can write after `PRAGMA
 * ignore_check_constraints`. Reads only tables with checks; a check that needs a missing function is
 * skipped.
 *
 * @param tables The tables to check. Default: all.
 */
export async function violatedChecks(
  connection: Connection,
  tables: readonly string[] = [],
): Promise<ViolatedCheck[]> {
  const wanted = new Set(tables.map(fold));
  const candidates = await connection.all(
    `SELECT name, sql FROM main.sqlite_schema
    WHERE type = 'table' AND rootpage > 0 AND sql LIKE '%check%' ORDER BY rowid`,
  );
  const found: ViolatedCheck[] = [];
  for (const candidate of candidates) {
    const table = text(candidate, "name");
    if (wanted.size > 0 && !wanted.has(fold(table))) continue;
    const conditions = readTableText(text(candidate, "sql")).checks
      .map(({ expression }) => `NOT (${expression})`);
    if (conditions.length === 0) continue;
    const rows = await count(
      connection,
      `${quoteName(table)} NOT INDEXED WHERE ${conditions.join(" OR ")}`,
    );
    if (rows > 0) found.push({ table, rows });
  }
  return found;
}

async function count(connection: Connection, rest: string): Promise<number> {
  try {
    const row = await connection.get(`SELECT count(*) AS rows FROM main.${rest}`);
    return row === undefined ? 0 : number(row, "rows");
  } catch (error) {
    if (error instanceof StatementError) return 0; // a function or collation is missing
    throw error;
  }
}
