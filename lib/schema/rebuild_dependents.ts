import { number, type Row, text } from "../database/connection.ts";
import type { MigrationTransaction } from "../migration/migration.ts";
import { readTableText } from "./constraints.ts";
import { fold } from "../sql/tokens.ts";
import { didYouMean } from "../base/suggestion.ts";
import { RebuildFault } from "../rebuild/fault.ts";

/** A table as a rebuild sees it. */
export interface RebuiltTable {
  /** Name as it was written. */
  readonly name: string;
  /** Its `CREATE TABLE`. */
  readonly sql: string;
  readonly columns: readonly RebuiltColumn[];
  /** A name that means the row id; null where it has none, or columns have taken all of its names. */
  readonly rowid: string | null;
  /** Column that is the row id; null where none is. */
  readonly alias: string | null;
  readonly autoincrement: boolean;
  /** Its `CREATE INDEX` statements, in the order of creation. */
  readonly indexes: readonly Made[];
  /** Its `CREATE TRIGGER` statements, in the order of creation. */
  readonly triggers: readonly Made[];
}

/** A column as a rebuild sees it. */
export interface RebuiltColumn {
  readonly name: string;
  readonly isGenerated: boolean;
  /** Whether a row must bring a value: no NULL, and no default. */
  readonly isRequired: boolean;
}

/** An object and the statement that made it. */
export interface Made {
  readonly name: string;
  readonly sql: string;
}

/** Reads an ordinary table; throws where there is none of that name. */
export async function readTable(
  transaction: MigrationTransaction,
  wanted: string,
): Promise<RebuiltTable> {
  const { name, withoutRowid } = await find(transaction, wanted);
  const [own] = await transaction.all(
    "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?",
    [name],
  );
  const sql = own === undefined ? "" : text(own, "sql");
  const rows = await transaction.all(
    `SELECT name, type, "notnull", dflt_value, pk, hidden
    FROM pragma_table_xinfo(?, 'main') ORDER BY cid`,
    [name],
  );
  const names = new Set(rows.map((row) => fold(text(row, "name"))));
  const keyed = await transaction.all(
    "SELECT 1 FROM pragma_index_list(?, 'main') WHERE origin = 'pk'",
    [name],
  );
  const keys = rows.filter((row) => row["pk"] !== 0);
  // A key that is the row id has no index of its own.
  const alias = withoutRowid || keyed.length > 0 || keys.length !== 1 ? undefined : keys[0];
  return {
    name,
    sql,
    columns: rows.map((row) => ({
      name: text(row, "name"),
      isGenerated: row["hidden"] === 2 || row["hidden"] === 3,
      isRequired: row["notnull"] === 1 && row["dflt_value"] === null && row !== alias,
    })),
    rowid: withoutRowid ? null : ["rowid", "_rowid_", "oid"].find((one) => !names.has(one)) ?? null,
    alias: alias === undefined ? null : text(alias, "name"),
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
      "there is no such table",
      `${didYouMean(wanted, tables)}the tables are ${tables.join(", ")}`,
    );
  }
  if (!isOrdinary(row)) {
    const help = "only tables that CREATE TABLE made can be rebuilt; drop it and make it anew";
    throw new RebuildFault(`it is a ${text(row, "type")}, and no ordinary table`, help);
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

/** A name that no object of the database has. */
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
 * Takes over the high-water mark of AUTOINCREMENT, while both tables are there. Inside SQLite: a
 * number that goes through the driver would come back as a REAL.
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
  // To copy no rows gives a table the mark 0, even where it had none.
  await transaction.run(
    `DELETE FROM main.sqlite_sequence WHERE name = ?2 AND seq = 0
      AND NOT EXISTS (SELECT 1 FROM main.sqlite_sequence WHERE name = ?1)`,
    names,
  );
}

/** Reads what ANALYZE found about a table; SQLite throws it away when the table is dropped. */
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

/** Writes the statistics of the table and of the indexes that are still there. */
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
