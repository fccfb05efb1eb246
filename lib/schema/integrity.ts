import { type Connection, number, type Row, text } from "../database/connection.ts";
import { needsExtension } from "../database/failure.ts";
import { quoteName } from "../sql/tokens.ts";
import type { Finding } from "./model.ts";
import { readColumns, usersTables } from "./tables.ts";

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

/** Whether a line of SQLite's check reports values that violate a constraint, which is not file damage. */
export function isAboutValues(line: string): boolean {
  return /^(?:\w+|non-\w+) value in |^CHECK constraint /.test(line);
}

/** Runs SQLite's checks of a whole file: pages, indexes, constraints and foreign keys. */
export async function checkIntegrity(
  connection: Connection,
): Promise<{ readonly problems: readonly Finding[]; readonly notices: readonly Finding[] }> {
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
  return { problems: [...problems, ...await foreignKeyViolations(connection)], notices };
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

async function foreignKeyViolations(connection: Connection): Promise<Finding[]> {
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
