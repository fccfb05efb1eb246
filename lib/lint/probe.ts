import { quoteName } from "../sql/tokens.ts";
import { StatementError } from "../base/errors.ts";
import { fold } from "../sql/tokens.ts";
import { text } from "../database/connection.ts";
import type { Scratch } from "../trial/scratch.ts";
import { type Deed, rowChanges } from "./watch.ts";

/** What is needed to try a statement. */
export interface ProbeOptions {
  readonly scratch: Scratch;
  /** Whether a table may have rows in reality. */
  readonly mayHaveRows: (table: string) => Promise<boolean>;
}

/**
 * What SQLite says to a statement where a table has a row, and only then: an ALTER TABLE that adds a
 * column which the rows can't have, or an INSERT that copies rows and leaves out a column that must not be
 * NULL. The statement is tried with one made-up row, and all is taken back. Null where it is content.
 */
export async function failureOnRows(
  sql: string,
  deeds: readonly Deed[],
  { scratch, mayHaveRows }: ProbeOptions,
): Promise<string | null> {
  const altered = deeds.find(({ action }) => action === "alter-table")?.second;
  const table = altered ?? copiedTable(deeds);
  if (table === undefined) return null;
  if (altered === undefined) {
    if (!await leavesOutRequired(scratch, table, deeds)) return null;
  } else if (!mayDependOnRows(sql, deeds)) return null;
  if (!await mayHaveRows(table) || await scratch.rows(table).catch(() => 1) > 0) return null;
  const message = await scratch.tentatively(() => failureOnMadeUpRow(sql, table, scratch));
  // A made-up row may break other rules that the real ones keep.
  return altered !== undefined || /^NOT NULL constraint/.test(message ?? "") ? message : null;
}

/** Spares the trial where it can't fail: renaming, dropping, and adding a plain column. */
function mayDependOnRows(sql: string, deeds: readonly Deed[]): boolean {
  // Renaming and dropping look into the temporary schema too.
  return !deeds.some(({ first }) => fold(first) === "sqlite_temp_master") &&
    /\b(as|check|constraint|default|null|references)\b/i.test(sql);
}

/** Whether the table that rows are copied into has columns that need a value and are not in the old one. */
async function leavesOutRequired(
  scratch: Scratch,
  from: string,
  deeds: readonly Deed[],
): Promise<boolean> {
  const target = targetOf(deeds);
  if (target === undefined) return false;
  const required = await scratch.connection.all(
    `SELECT name FROM pragma_table_xinfo(?) WHERE "notnull" AND dflt_value IS NULL AND NOT hidden`,
    [target],
  );
  if (required.length === 0) return false;
  const known = new Set((await scratch.columns(from)).map(fold));
  return required.some((row) => !known.has(fold(text(row, "name"))));
}

function targetOf(deeds: readonly Deed[]): string | undefined {
  return rowChanges(deeds).find(({ kind }) => kind === "insert")?.table;
}

/** The one table whose rows a statement inserts into another. */
function copiedTable(deeds: readonly Deed[]): string | undefined {
  const target = targetOf(deeds);
  if (target === undefined) return undefined;
  const read = deeds.filter(({ action, cause, second, first }) =>
    action === "read" && cause === null && second !== "" && fold(first) !== fold(target)
  );
  const [table, ...others] = new Set(read.map(({ first }) => first));
  return others.length === 0 ? table : undefined;
}

/** Runs a statement where the table has one row without NULLs; what SQLite says to it. */
async function failureOnMadeUpRow(
  sql: string,
  table: string,
  { connection }: Scratch,
): Promise<string | null> {
  const columns = await connection.all(
    "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0",
    [table],
  );
  const list = columns.map((row) => quoteName(text(row, "name"))).join(", ");
  const values = columns.map((row) => madeUp(text(row, "type"))).join(", ");
  // ALTER TABLE may check all rows again, and this one keeps no other rule.
  await connection.exec("PRAGMA ignore_check_constraints = ON");
  try {
    const inserted = await connection.run(
      `INSERT INTO ${quoteName(table)} (${list}) VALUES (${values})`,
    ).then(() => true, () => false);
    if (inserted) await connection.run(sql);
    return null;
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    return error.cause instanceof Error ? error.cause.message : error.message;
  } finally {
    await connection.exec("PRAGMA ignore_check_constraints = OFF");
  }
}

function madeUp(type: string): string {
  if (/char|clob|text|any/i.test(type)) return "'1'";
  return /blob/i.test(type) ? "x'31'" : "1";
}
