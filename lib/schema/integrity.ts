import { quoteName } from "../sql/tokens.ts";
import { readColumns } from "./tables.ts";
import { type Connection, number, type Row, text } from "../database/connection.ts";
import type { Finding } from "./model.ts";

/** SQLite's own checks of a whole file: its pages, its indexes, its constraints, its foreign keys. */
export async function checkIntegrity(connection: Connection): Promise<Finding[]> {
  const integrity = (await connection.all("PRAGMA integrity_check"))
    .map((row) => text(row, "integrity_check"))
    .filter((line) => line !== "ok")
    .map((detail): Finding => ({
      kind: "integrity",
      object: connection.label,
      detail,
      fix: "restore the database from a backup; if only an index is named, `REINDEX` mends it",
    }));
  return [...integrity, ...await foreignKeyViolations(connection)];
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
  const rows = await connection.all(
    `SELECT "table", parent, count(*) AS violations, min(rowid) AS first_row
    FROM pragma_foreign_key_check
    GROUP BY "table", parent`,
  );
  return rows.map((row): Finding => {
    const [table, parent] = [text(row, "table"), text(row, "parent")];
    return {
      kind: "foreign_key",
      object: table,
      detail:
        `${row.violations} row(s) of ${table} point to a row of ${parent} that doesn't exist` +
        (row.first_row === null ? "" : `, the first has rowid ${row.first_row}`),
      fix:
        `put the missing rows of ${parent} back, or delete those of ${table}: PRAGMA foreign_key_check lists them`,
    };
  });
}
