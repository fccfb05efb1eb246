import { quoteName } from "../sql/tokens.ts";
import { number } from "../database/connection.ts";
import { StatementError } from "../base/errors.ts";
import type { MigrationTransaction } from "../migration/migration.ts";
import { driverMessage } from "../database/failure.ts";
import { RebuildFault } from "./fault.ts";
import type { Made } from "../schema/rebuild_dependents.ts";

/** Refuses to go on where dropping a table would delete its rows first, and cascade. */
export async function requireForeignKeysOff(transaction: MigrationTransaction): Promise<void> {
  const [row] = await transaction.all("PRAGMA foreign_keys");
  if (row === undefined || number(row, "foreign_keys") === 0) return;
  throw new RebuildFault(
    "foreign keys are on, and dropping the old table would empty child tables",
    "set `foreignKeys: false` in the migration",
  );
}

/** Does all of it or nothing, so that a migration which catches the error finds the table as it was. */
export async function atOnce(
  transaction: MigrationTransaction,
  work: () => Promise<void>,
): Promise<void> {
  await transaction.exec("SAVEPOINT rebuild_table");
  try {
    await work();
  } catch (error) {
    // After some failures, such as a full disk, SQLite has rolled back all by itself.
    await transaction.exec("ROLLBACK TO rebuild_table; RELEASE rebuild_table").catch(() => {});
    throw error;
  }
  await transaction.exec("RELEASE rebuild_table");
}

/** Number of rows of a table. */
export async function countRows(transaction: MigrationTransaction, table: string): Promise<number> {
  const [row] = await transaction.all(`SELECT count(*) AS rows FROM main.${quoteName(table)}`);
  return row === undefined ? 0 : number(row, "rows");
}

/**
 * Renames a table and nothing else: what names it elsewhere means the old table, which has that name
 * back then. Nor does SQLite look at views and triggers then, of which one may be broken.
 */
export async function renameOnly(
  transaction: MigrationTransaction,
  from: string,
  to: string,
): Promise<void> {
  const [row] = await transaction.all("PRAGMA legacy_alter_table");
  const former = row === undefined ? 0 : number(row, "legacy_alter_table");
  // By `run`, which lets nothing else happen meanwhile: an interruption would leave the pragma on.
  await transaction.run("PRAGMA legacy_alter_table = ON");
  try {
    await transaction.run(`ALTER TABLE main.${quoteName(from)} RENAME TO ${quoteName(to)}`);
  } finally {
    await transaction.run(`PRAGMA legacy_alter_table = ${former}`);
  }
}

/** Makes an index or a trigger by the statement that made it before. */
export async function makeAgain(
  transaction: MigrationTransaction,
  type: "index" | "trigger",
  { name, sql }: Made,
): Promise<void> {
  try {
    await transaction.exec(sql);
  } catch (error) {
    if (!(error instanceof StatementError)) throw error;
    throw new RebuildFault(
      `${type} "${name}" can't be made again (${driverMessage(error)})`,
      type === "index"
        ? `name it in "dropIndexes", and create it anew behind the rebuild if it is still wanted`
        : "drop it before the rebuild and create it anew behind it, in the same migration",
    );
  }
}
