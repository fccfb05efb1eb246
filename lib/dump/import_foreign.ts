import type { Connection } from "../database/connection.ts";
import { fold } from "../sql/tokens.ts";

/** A statement that SQLite refused, and the reason. */
interface RefusedStatement {
  /** The statement, without preceding comments and white space. */
  readonly sql: string;
  /** SQLite's own message. */
  readonly reason: string;
}

/** What to run instead of a refused statement. */
interface ReplacedStatement {
  /** SQL that SQLite accepts; empty if nothing needs to be done. */
  readonly sql: string;
  /**
   * Whether the dump writes `sqlite_sequence` in its own way, so that its rows must be checked at
   * the end.
   */
  readonly writesSequence: boolean;
}

/**
 * Finds a replacement for a statement that other tools write and SQLite refuses; null if the dump
 * is invalid. These tools write SQLite's own tables as ordinary ones, the shadow tables of virtual
 * tables next to the virtual tables themselves, and infinity as a name.
 */
export async function replacementFor(
  connection: Connection,
  { sql, reason }: RefusedStatement,
): Promise<ReplacedStatement | null> {
  const run = (text: string): ReplacedStatement => ({ sql: text, writesSequence: false });
  if (/^no such column: "?inf"?\b/i.test(reason)) {
    const finite = withInfinity(sql);
    return finite === sql ? null : run(finite);
  }
  const [, reserved] = /^object name reserved for internal use: (.*)$/s.exec(reason) ?? [];
  if (reserved !== undefined && /^create\s/i.test(sql)) {
    if (OWN_TABLE.test(reserved)) return await ownTable(connection, reserved);
    return await isThere(connection, reserved) ? run("") : null;
  }
  const [, kept] = /^table (.*) may not be dropped$/s.exec(reason) ?? [];
  if (kept !== undefined && OWN_TABLE.test(kept)) {
    return { sql: "", writesSequence: fold(kept) === SEQUENCE };
  }
  const [, missing = ""] = /^no such table: (?:main\.)?(.*)$/s.exec(reason) ?? [];
  if (OWN_TABLE.test(missing) && /^(delete|drop|insert|replace|update)\s/i.test(sql)) {
    const made = await ownTable(connection, missing);
    const again = made.sql === "" ? "" : `${made.sql}; ${sql}`;
    return { ...made, sql: /^drop\s/i.test(sql) ? "" : again };
  }
  const [, inner] = /^table (.*) may not be modified$/s.exec(reason) ?? [];
  if (inner !== undefined && /^(insert|replace)\s/i.test(sql)) {
    return await isFilledVirtual(connection, inner) ? run("") : null;
  }
  return null;
}

const SEQUENCE = "sqlite_sequence";

/** Tables that SQLite creates itself. */
const OWN_TABLE = /^sqlite_(sequence|stat[1-4])$/i;

/** Makes SQLite create one of its own tables. */
async function ownTable(connection: Connection, name: string): Promise<ReplacedStatement> {
  const writesSequence = fold(name) === SEQUENCE;
  if (await isThere(connection, name)) return { sql: "", writesSequence };
  // It remains after the table for which SQLite created it is dropped.
  if (writesSequence) {
    const table = '"catalyst sequence"';
    const create = `CREATE TABLE ${table} (id INTEGER PRIMARY KEY AUTOINCREMENT)`;
    return { sql: `${create}; DROP TABLE ${table}`, writesSequence };
  }
  // Statistics that this SQLite does not support are left out: they contain no data.
  return { sql: fold(name) === "sqlite_stat1" ? "ANALYZE sqlite_schema" : "", writesSequence };
}

async function isThere(connection: Connection, name: string): Promise<boolean> {
  const sql = "SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE";
  return await connection.get(sql, [name]) !== undefined;
}

/** Whether a table is a shadow table of a virtual table that the dump filled with its own rows. */
async function isFilledVirtual(connection: Connection, inner: string): Promise<boolean> {
  const owner = await connection.get(
    `SELECT name
    FROM main.sqlite_schema
    WHERE type = 'table' AND rootpage = 0
        AND ?1 LIKE replace(replace(replace(name, '\\', '\\\\'), '_', '\\_'), '%', '\\%') || '\\_%' ESCAPE '\\'
    ORDER BY length(name) DESC`,
    [inner],
  );
  const name = owner?.["name"];
  if (typeof name !== "string") return false;
  const sql = `SELECT 1 FROM main."${name.replaceAll('"', '""')}" LIMIT 1`;
  return await connection.get(sql) !== undefined;
}

/**
 * A statement with a number for each bare `Inf`, which some versions of SQLite write for infinity.
 */
function withInfinity(sql: string): string {
  return sql.replace(
    /'[^']*'|"[^"]*"|\binf\b/gi,
    (found) => /^inf$/i.test(found) ? "9e999" : found,
  );
}

/**
 * Leaves one row for each table in `sqlite_sequence`, with the highest number, if a dump wrote its
 * rows without deleting those that SQLite had created, or wrote numbers as text.
 */
export const MERGE_SEQUENCES = `UPDATE main.sqlite_sequence AS s
SET seq = (SELECT max(CAST(o.seq AS INTEGER)) FROM main.sqlite_sequence AS o WHERE o.name = s.name)
WHERE name IN (
    SELECT name
    FROM main.sqlite_sequence
    GROUP BY name
    HAVING count(*) > 1 OR typeof(seq) <> 'integer'
);
DELETE FROM main.sqlite_sequence
WHERE rowid NOT IN (SELECT min(rowid) FROM main.sqlite_sequence GROUP BY name)`;
