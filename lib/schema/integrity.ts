import { type Connection, number, type Row, text } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import type { Finding } from "./model.ts";
import { readColumns, usersTables } from "./tables.ts";

/** What SQLite's check of a file's pages and indexes found. */
export interface FileCheck {
  /** What is damaged, in SQLite's words. */
  readonly damages: readonly string[];
  /** Tables that can't be checked, since a collation or function of theirs is not here. */
  readonly unchecked: readonly string[];
}

/**
 * Lets SQLite check the pages and indexes of a file, one table at a time where the whole can't be
 * checked for a collation or function that only the bot has.
 *
 * @param limit Damages after which it stops.
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
      .map((row) => text(row, pragma).replace(/^\*{3} in database \w+ \*{3}\n/, ""))
      .filter((line) => line !== "ok");
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

/** Whether a line of SQLite's check is about values that break a constraint, which is no damage of a file. */
export function isAboutValues(line: string): boolean {
  return /^(?:\w+|non-\w+) value in |^CHECK constraint /.test(line);
}

/** SQLite's own checks of a whole file: its pages, its indexes, its constraints, its foreign keys. */
export async function checkIntegrity(
  connection: Connection,
): Promise<{ readonly problems: readonly Finding[]; readonly notices: readonly Finding[] }> {
  const { damages, unchecked } = await checkFile(connection, { pragma: "integrity_check" });
  const problems = damages.map((detail): Finding => ({
    kind: "integrity",
    object: connection.label,
    detail,
    fix: "restore the database from a backup; if only an index is named, `REINDEX` mends it",
  }));
  const notices = unchecked.map((table): Finding => ({
    kind: "unchecked",
    object: table,
    detail: `table ${table} can't be checked: a collation or function of it is not here`,
    fix: "let the bot run PRAGMA integrity_check, which has it",
  }));
  return { problems: [...problems, ...await foreignKeyViolations(connection)], notices };
}

/**
 * Keys of violations in tables WITHOUT ROWID, found by `PRAGMA foreign_key_check`, which doesn't say in
 * which row: child, parent and the row's primary key. Where that can't be told, only child and parent.
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
  const columns = await connection.all(
    `SELECT f."from" AS child,
        coalesce(f."to", (SELECT name FROM pragma_table_xinfo(?2, 'main') WHERE pk = f.seq + 1)) AS parent,
        EXISTS (SELECT 1 FROM pragma_table_xinfo(?2, 'main')) AS has_parent
    FROM pragma_foreign_key_list(?1, 'main') AS f WHERE f.id = ?3`,
    [table, parent, id],
  );
  const keys = (await readColumns(connection, table)).filter(({ primaryKey }) => primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey);
  const hasParent = columns.every((row) => row["has_parent"] === 1);
  if (keys.length === 0 || hasParent && columns.some((row) => row["parent"] === null)) return [];
  const key = keys.map((row) => `quote(child.${quoteName(row.name)})`).join(" || ',' || ");
  const conditions = columns.map((row) => `child.${quote(row, "child")} IS NOT NULL`);
  if (hasParent) {
    // As SQLite enforces it: by the parent's collation and, for the plus sign, by its affinity.
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

async function foreignKeyViolations(connection: Connection): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name: table, type } of await usersTables(connection)) {
    if (type === "virtual") continue;
    for (const row of await violationsOf(connection, table)) {
      const parent = text(row, "parent");
      findings.push({
        kind: "foreign_key",
        object: table,
        detail:
          `${row.violations} row(s) of ${table} point to a row of ${parent} that doesn't exist` +
          (row.first_row === null ? "" : `, the first has rowid ${row.first_row}`),
        fix:
          `put the missing rows of ${parent} back, or delete those of ${table}: PRAGMA foreign_key_check lists them`,
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
    if (needsExtension(error)) return []; // its parent's collation is not here
    throw error;
  }
}
