import type { Connection } from "../database/connection.ts";
import { text } from "../database/row.ts";
import type { Finding } from "./finding.ts";

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
        `${row.violations} row(s) of ${table} point to a row of ${parent} that doesn't exist, ` +
        `the first has rowid ${row.first_row}`,
      fix:
        `put the missing rows of ${parent} back, or delete those of ${table}: PRAGMA foreign_key_check lists them`,
    };
  });
}
