/**
 * Rebuilding a table: its indexes, triggers, views, statistics and AUTOINCREMENT sequence.
 *
 * @module
 */
import { readColumns } from "./tables.ts";
import { StatementError } from "../base/errors.ts";
import { didYouMean } from "../base/format.ts";
import { number, type Row, text } from "../database/connection.ts";
import type { MigrationTransaction } from "../migration/migration.ts";
import { fold, rowIdName, type Token, tokenIs, tokenize } from "../sql/tokens.ts";
import { brokenViewsAndTriggers, eventOf } from "./broken_objects.ts";
import { readTableText } from "./read.ts";
import { RebuildFault } from "./rebuild_definition.ts";

/** Which views and triggers do not work, and which rows reference missing rows. */
interface Dependents {
  /** SQLite's errors by view or trigger. */
  readonly broken: ReadonlyMap<string, string>;
  /** Number of rows that reference missing rows, by child and parent; null if unknown. */
  readonly dangling: ReadonlyMap<string, number | null>;
}

/** Examines all views and triggers, and the foreign keys from and to a table. */
export async function examineDependents(
  transaction: MigrationTransaction,
  table: string,
): Promise<Dependents> {
  return {
    broken: await brokenViewsAndTriggers(transaction),
    dangling: await countDangling(transaction, table),
  };
}

/** Throws if a view or trigger no longer works, or more rows reference missing rows than before. */
export function compareDependents(before: Dependents, after: Dependents): void {
  const broken = [...after.broken].filter(([name]) => !before.broken.has(name));
  if (broken.length > 0) {
    throw new RebuildFault(
      broken.map(([name, reason]) => `${name} would no longer work (${reason})`).join(", "),
      "drop it before the rebuild and create it again after it, in the same migration",
    );
  }
  for (const [pair, count] of after.dangling) {
    const former = before.dangling.get(pair) ?? 0;
    if (before.dangling.get(pair) === null) continue;
    if (count === null) {
      throw new RebuildFault(
        `the foreign key of ${pair} would no longer match a primary key or UNIQUE constraint`,
        "keep the columns that the foreign key references unique",
      );
    }
    if (count > former) {
      const more = count - former;
      throw new RebuildFault(
        `${more} ${more === 1 ? "row" : "rows"} would reference missing rows (${pair})`,
        "delete or correct those rows before the rebuild, in the same migration",
      );
    }
  }
}

/** Refuses triggers on updates of columns that the table no longer has, because they would never fire. */
export function refuseIdleTriggers({ columns, triggers }: RebuiltTable): void {
  const names = new Set(columns.map(({ name }) => fold(name)));
  for (const { name, sql } of triggers) {
    const missing = watchedColumns(tokenize(sql)).find((column) => !names.has(fold(column)));
    if (missing === undefined) continue;
    throw new RebuildFault(
      `trigger "${name}" fires on updates of column "${missing}", which would no longer exist`,
      "drop it before the rebuild and create it again after it, in the same migration",
    );
  }
}

/** The names after `UPDATE OF`; none if a trigger has no such list. */
function watchedColumns(tokens: readonly Token[]): string[] {
  const at = eventOf(tokens);
  if (!tokenIs(tokens[at], "update") || !tokenIs(tokens[at + 1], "of")) return [];
  const end = tokens.findIndex((token, index) => index > at && tokenIs(token, "on"));
  return tokens.slice(at + 2, end).filter((token) => !tokenIs(token, ",")).map(({ value }) =>
    value
  );
}

async function countDangling(
  transaction: MigrationTransaction,
  table: string,
): Promise<Map<string, number | null>> {
  const pairs = await transaction.all(
    `SELECT DISTINCT t.name AS child, f."table" AS parent
    FROM main.sqlite_schema AS t, pragma_foreign_key_list(t.name) AS f
    WHERE t.type = 'table' AND ?1 COLLATE NOCASE IN (t.name, f."table")`,
    [table],
  );
  const dangling = new Map<string, number | null>();
  for (const pair of pairs) {
    const [child, parent] = [text(pair, "child"), text(pair, "parent")];
    dangling.set(`${child} to ${parent}`, await countOf(transaction, child, parent));
  }
  return dangling;
}

async function countOf(
  transaction: MigrationTransaction,
  child: string,
  parent: string,
): Promise<number | null> {
  try {
    const [row] = await transaction.all(
      "SELECT count(*) AS rows FROM pragma_foreign_key_check(?) WHERE parent = ? COLLATE NOCASE",
      [child, parent],
    );
    return row === undefined ? 0 : number(row, "rows");
  } catch (error) {
    // The referenced key is not unique.
    if (error instanceof StatementError) return null;
    throw error;
  }
}

/** A table to rebuild. */
export interface RebuiltTable {
  /** Name in its original spelling. */
  readonly name: string;
  /** Its `CREATE TABLE`. */
  readonly sql: string;
  readonly columns: readonly RebuiltColumn[];
  /** A name for the row id; null if there is none, or columns use all of its names. */
  readonly rowid: string | null;
  /** Column that is an alias of the row id; null if there is none. */
  readonly alias: string | null;
  readonly autoincrement: boolean;
  /** Its `CREATE INDEX` statements, in the order of creation. */
  readonly indexes: readonly Made[];
  /** Its `CREATE TRIGGER` statements, in the order of creation. */
  readonly triggers: readonly Made[];
}

/** A column of a table to rebuild. */
interface RebuiltColumn {
  readonly name: string;
  readonly isGenerated: boolean;
  /** Whether every row needs a value: NOT NULL without a default. */
  readonly isRequired: boolean;
}

/** An object and the statement that created it. */
export interface Made {
  readonly name: string;
  readonly sql: string;
}

/** Reads an ordinary table; throws if it does not exist. */
export async function readRebuiltTable(
  transaction: MigrationTransaction,
  wanted: string,
): Promise<RebuiltTable> {
  const { name, withoutRowid } = await find(transaction, wanted);
  const [own] = await transaction.all(
    "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?",
    [name],
  );
  const sql = own === undefined ? "" : text(own, "sql");
  const columns = await readColumns(transaction, name);
  const keyed = await transaction.all(
    "SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'",
    [name],
  );
  const keys = columns.filter(({ primaryKey }) => primaryKey !== 0);
  // A primary key that is the row id has no index.
  const alias = withoutRowid || keyed.length > 0 || keys.length !== 1 ? undefined : keys[0];
  return {
    name,
    sql,
    columns: columns.map((column) => ({
      name: column.name,
      isGenerated: column.kind === "virtual" || column.kind === "stored",
      isRequired: column.notNull && column.default === null && column !== alias,
    })),
    rowid: withoutRowid ? null : rowIdName(columns.map(({ name }) => name)),
    alias: alias?.name ?? null,
    autoincrement: readTableText(sql).autoincrement,
    indexes: await madeFor(transaction, "index", name),
    triggers: await madeFor(transaction, "trigger", name),
  };
}

async function find(
  transaction: MigrationTransaction,
  wanted: string,
): Promise<{ name: string; withoutRowid: boolean }> {
  const rows = await transaction.all(
    "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'",
  );
  const row = rows.find((one) => fold(text(one, "name")) === fold(wanted));
  if (row === undefined) {
    const tables = rows.filter(isOrdinary).map((one) => text(one, "name"));
    throw new RebuildFault(
      "table not found",
      `${didYouMean(wanted, tables)}the tables are ${tables.join(", ")}`,
    );
  }
  if (!isOrdinary(row)) {
    const help = "only tables created by CREATE TABLE can be rebuilt; drop it and create it again";
    throw new RebuildFault(`it is a ${text(row, "type")}, not an ordinary table`, help);
  }
  return { name: text(row, "name"), withoutRowid: number(row, "wr") === 1 };
}

function isOrdinary(row: Row): boolean {
  return row["type"] === "table" && !/^sqlite_/i.test(text(row, "name"));
}

async function madeFor(
  transaction: MigrationTransaction,
  type: "index" | "trigger",
  table: string,
): Promise<Made[]> {
  const rows = await transaction.all(
    `SELECT name, sql FROM main.sqlite_schema
    WHERE type = ? AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL ORDER BY rowid`,
    [type, table],
  );
  return rows.map((row) => ({ name: text(row, "name"), sql: text(row, "sql") }));
}

/** An unused name. */
export async function freeName(
  transaction: MigrationTransaction,
  table: string,
): Promise<string> {
  const rows = await transaction.all("SELECT name FROM main.sqlite_schema");
  const taken = new Set(rows.map((row) => fold(text(row, "name"))));
  for (let number = 1;; number++) {
    const name = `_rebuild_${table}${number === 1 ? "" : `_${number}`}`;
    if (!taken.has(fold(name))) return name;
  }
}

/**
 * Copies the AUTOINCREMENT sequence while both tables exist. Done inside SQLite, because the driver
 * would turn the number into a REAL.
 */
export async function takeOverMark(
  transaction: MigrationTransaction,
  from: RebuiltTable,
  to: RebuiltTable,
): Promise<void> {
  if (!from.autoincrement || !to.autoincrement) return;
  const names = [from.name, to.name];
  await transaction.run(
    `UPDATE main.sqlite_sequence AS new SET seq = max(new.seq, old.seq)
    FROM (SELECT seq FROM main.sqlite_sequence WHERE name = ?1) AS old WHERE new.name = ?2`,
    names,
  );
  // Copying no rows gives a table the sequence 0, even if it had none.
  await transaction.run(
    `DELETE FROM main.sqlite_sequence WHERE name = ?2 AND seq = 0
      AND NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = ?1)`,
    names,
  );
}

/** Reads the statistics of ANALYZE for a table; SQLite deletes them when the table is dropped. */
export async function readStatistics(
  transaction: MigrationTransaction,
  table: string,
): Promise<Row[]> {
  const analyzed = await transaction.all(
    "SELECT 1 FROM main.sqlite_schema WHERE name = 'sqlite_stat1'",
  );
  if (analyzed.length === 0) return [];
  return await transaction.all("SELECT idx, stat FROM main.sqlite_stat1 WHERE tbl = ?", [table]);
}

/** Writes the statistics of the table and of its remaining indexes. */
export async function writeStatistics(
  transaction: MigrationTransaction,
  table: string,
  statistics: readonly Row[],
): Promise<void> {
  for (const { idx = null, stat = null } of statistics) {
    await transaction.run(
      `INSERT INTO main.sqlite_stat1 (tbl, idx, stat) SELECT ?1, ?2, ?3
      WHERE ?2 IS NULL OR EXISTS (SELECT 1 FROM main.sqlite_schema WHERE name = ?2)`,
      [table, idx, stat],
    );
  }
}
