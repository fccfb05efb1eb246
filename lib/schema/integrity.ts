/**
 * Checks the content of a database: damage, foreign keys, CHECK constraints and suspicious values.
 *
 * @module
 */
import { type Connection, number, type Row, text } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import { fold, quoteName } from "../sql/tokens.ts";
import { affinityOf, type Finding, primaryKeyOf } from "./model.ts";
import { readColumns, usersTables } from "./tables.ts";
import { StatementError } from "../base/errors.ts";
import { readTableText } from "./read.ts";

/** Result of SQLite's check of a file's pages and indexes. */
export interface FileCheck {
  /** The damage, in SQLite's words. */
  readonly damages: readonly string[];
  /** Tables that cannot be checked because a collation or function is missing. */
  readonly unchecked: readonly string[];
}

/**
 * Runs SQLite's check of the pages and indexes of a file. If a collation or function that only the bot
 * has prevents checking the whole file, checks one table at a time.
 *
 * @param limit Number of damages after which it stops.
 */
export async function checkFile(
  connection: Connection,
  { pragma, limit = 100 }: {
    readonly pragma: "quick_check" | "integrity_check";
    readonly limit?: number;
  },
): Promise<FileCheck> {
  const ask = async (argument: string) =>
    (await connection.all(`PRAGMA main.${pragma}(${argument})`))
      .flatMap((row) => text(row, pragma).replace(/^\*{3} in database \w+ \*{3}\n/, "").split("\n"))
      .filter((line) => line !== "ok")
      .slice(0, limit);
  try {
    return { damages: await ask(String(limit)), unchecked: [] };
  } catch (error) {
    if (!needsExtension(error)) throw error;
  }
  const damages: string[] = [];
  const unchecked: string[] = [];
  const tables = await connection.all(
    "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0",
  );
  for (const name of tables.map((row) => text(row, "name"))) {
    try {
      damages.push(...await ask(quoteName(name)));
    } catch (error) {
      if (!needsExtension(error)) throw error;
      unchecked.push(name);
    }
  }
  return { damages: damages.slice(0, limit), unchecked };
}

/** The first damage that SQLite's quick check finds; values that violate a constraint are none. */
export async function findDamage(connection: Connection): Promise<string | undefined> {
  const { damages } = await checkFile(connection, { pragma: "quick_check", limit: 10 });
  return damages.find((line) => !/^(?:\w+|non-\w+) value in |^CHECK constraint /.test(line));
}

/** Runs SQLite's checks of a whole file: pages, indexes and constraints. */
export async function checkIntegrity(
  connection: Connection,
): Promise<{ readonly problems: Finding[]; readonly notices: readonly Finding[] }> {
  const { damages, unchecked } = await checkFile(connection, { pragma: "integrity_check" });
  const problems = damages.map((detail): Finding => ({
    kind: "integrity",
    object: connection.label,
    detail,
    fix: "restore the database from a backup; if only an index is named, run `REINDEX`",
  }));
  const notices = unchecked.map((table): Finding => ({
    kind: "unchecked",
    object: table,
    detail: `table ${table} cannot be checked: one of its collations or functions is missing`,
    fix: "run PRAGMA integrity_check in the bot, which provides it",
  }));
  return { problems, notices };
}

/**
 * Keys of foreign key violations in tables WITHOUT ROWID, for which `PRAGMA foreign_key_check` does not
 * name the row: child, parent and the primary key of the row, or only child and parent if it is unknown.
 */
export async function keysWithoutRowid(
  connection: Connection,
  violations: readonly Row[],
): Promise<string[][]> {
  const byForeignKey = Map.groupBy(violations, (row) => `${text(row, "table")}\0${row["fkid"]}`);
  const keys: string[][] = [];
  for (const [first, ...others] of byForeignKey.values()) {
    if (first === undefined) continue;
    const [table, parent] = [text(first, "table"), text(first, "parent")];
    const rows = await danglingRows(connection, { table, parent, id: number(first, "fkid") });
    const known = rows.length === others.length + 1 ? rows : [first, ...others].map(() => null);
    keys.push(...known.map((key) => key === null ? [table, parent] : [table, parent, key]));
  }
  return keys;
}

/** The primary keys of the rows that violate one foreign key. */
async function danglingRows(
  connection: Connection,
  { table, parent, id }: {
    readonly table: string;
    readonly parent: string;
    readonly id: number;
  },
): Promise<string[]> {
  const parentColumns = await readColumns(connection, parent);
  const parentKey = primaryKeyOf({ columns: parentColumns });
  const columns = (await connection.all(
    `SELECT seq, "from" AS child, "to" AS parent
    FROM pragma_foreign_key_list(?, 'main') WHERE id = ?`,
    [table, id],
  )).map((row) => ({ ...row, parent: row["parent"] ?? parentKey[number(row, "seq")] ?? null }));
  const keys = primaryKeyOf({ columns: await readColumns(connection, table) });
  const hasParent = parentColumns.length > 0;
  if (keys.length === 0 || hasParent && columns.some(({ parent }) => parent === null)) return [];
  const key = keys.map((name) => `quote(child.${quoteName(name)})`).join(" || ',' || ");
  const conditions = columns.map((row) => `child.${quote(row, "child")} IS NOT NULL`);
  if (hasParent) {
    // As SQLite enforces it: with the parent's collation and, because of the plus sign, its affinity.
    const isSame = columns.map((row) =>
      `parent.${quote(row, "parent")} = +child.${quote(row, "child")}`
    );
    conditions.push(
      `NOT EXISTS (SELECT 1 FROM main.${quoteName(parent)} AS parent WHERE ${
        isSame.join(" AND ")
      })`,
    );
  }
  const rows = await connection.all(
    `SELECT ${key} AS key FROM main.${quoteName(table)} AS child WHERE ${conditions.join(" AND ")}`,
  );
  return rows.map((row) => text(row, "key"));
}

function quote(row: Row, column: string): string {
  return quoteName(text(row, column));
}

/** Rows that reference missing rows. */
export async function foreignKeyViolations(connection: Connection): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name: table, type } of await usersTables(connection)) {
    if (type === "virtual") continue;
    for (const row of await violationsOf(connection, table)) {
      const parent = text(row, "parent");
      findings.push({
        kind: "foreign_key",
        object: table,
        detail: `${row.violations} row(s) of ${table} reference a missing row of ${parent}` +
          (row.first_row === null ? "" : `, the first has rowid ${row.first_row}`),
        fix:
          `restore the missing rows of ${parent}, or delete those of ${table}: PRAGMA foreign_key_check lists them`,
      });
    }
  }
  return findings;
}

async function violationsOf(connection: Connection, table: string): Promise<Row[]> {
  try {
    return await connection.all(
      `SELECT parent, count(*) AS violations, min(rowid) AS first_row
      FROM pragma_foreign_key_check(?, 'main')
      GROUP BY parent`,
      [table],
    );
  } catch (error) {
    if (needsExtension(error)) return []; // the parent's collation is missing
    throw error;
  }
}

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

/** Names of columns that hold times, in epoch seconds if they are integers. */
const TIME = /(_at|_time|_ts|timestamp|epoch)$/i;

/** The year 2100 in epoch seconds: a larger value is milliseconds or a mistake. */
const LATEST = 4_102_444_800;

/** A check of the values of a column. */
interface Question {
  readonly column: string;
  /** Condition for a row with a wrong value. */
  readonly condition: string;
  readonly what: string;
  readonly fix: string;
}

/**
 * Finds values that no constraint forbids but that are certainly mistakes: text or fractions in integer
 * columns, text in real columns, and times far in the future. Reads each table once.
 */
export async function checkValues(connection: Connection): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, type } of await usersTables(connection)) {
    if (type === "virtual") continue;
    const questions = (await readColumns(connection, name)).flatMap(questionsAbout);
    if (questions.length === 0) continue;
    const counts = questions.map(({ condition }, index) =>
      `count(*) FILTER (WHERE ${condition}) AS c${index}`
    );
    try {
      const row = await connection.get(
        `SELECT ${counts.join(", ")} FROM main.${quoteName(name)} NOT INDEXED`,
      );
      for (const [index, { column, what, fix }] of questions.entries()) {
        const rows = row === undefined ? 0 : number(row, `c${index}`);
        if (rows === 0) continue;
        findings.push({
          kind: "value",
          object: `${name}.${column}`,
          detail: `${rows} ${rows === 1 ? "row" : "rows"} of ${name}: ${column} ${what}`,
          fix,
        });
      }
    } catch (error) {
      if (!needsExtension(error)) throw error;
    }
  }
  return findings;
}

function questionsAbout(
  { name, type }: { readonly name: string; readonly type: string },
): Question[] {
  const affinity = affinityOf(type, false);
  if (affinity !== "INTEGER" && affinity !== "REAL") return [];
  const column = quoteName(name);
  const isInteger = affinity === "INTEGER";
  const wrong = isInteger ? "'text', 'blob', 'real'" : "'text', 'blob'";
  const questions: Question[] = [{
    column: name,
    condition: `typeof(${column}) IN (${wrong})`,
    what: isInteger ? "holds text or a fraction, not an integer" : "holds text, not a number",
    fix: `find them: SELECT rowid, ${name} FROM … WHERE typeof(${name}) IN (${wrong})`,
  }];
  if (isInteger && TIME.test(name)) {
    questions.push({
      column: name,
      condition: `typeof(${column}) = 'integer' AND ${column} > ${LATEST}`,
      what: "is after the year 2100: milliseconds instead of seconds, or a mistake",
      fix: `divide milliseconds by 1000: UPDATE … SET ${name} = ${name} / 1000`,
    });
  }
  return questions;
}
