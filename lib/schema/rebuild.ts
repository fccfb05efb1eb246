import type { MigrationTransaction } from "../migration/migration.ts";
import type { RebuildOptions } from "./rebuild_steps.ts";

/**
 * Changes a table in ways that `ALTER TABLE` has none for: a check, a type, a key, a default. It makes
 * a new table, copies the rows, drops the old table and gives the new one its name. Rows with their row
 * ids, indexes, triggers, the mark of AUTOINCREMENT, statistics and the foreign keys of other tables
 * stay as they are, and so do views.
 *
 * The migration must have `foreignKeys: false`, or dropping the old table would empty child tables.
 * It is all done, or nothing is, also where the error is caught.
 *
 * @throws {StatementError} if foreign keys are on, rows or content would be lost, a row breaks a
 * rule, or an index, view, trigger or foreign key no longer fits the table.
 *
 * @example Allow orders of nothing
 * ```ts
 * import { defineMigration, rebuildTable } from "@catalyst/migrate";
 *
 * const migration = defineMigration({
 *   name: "004_allow_empty_orders",
 *   database: "trading",
 *   foreignKeys: false,
 *   upgrade: (transaction) =>
 *     rebuildTable(transaction, "orders", {
 *       changeColumns: { quantity: "INTEGER NOT NULL CHECK (quantity >= 0)" },
 *     }),
 *   downgrade: (transaction) =>
 *     rebuildTable(transaction, "orders", {
 *       changeColumns: { quantity: "INTEGER NOT NULL CHECK (quantity > 0)" },
 *     }),
 * });
 * console.assert(migration.foreignKeys === false);
 * ```
 */
export async function rebuildTable(
  transaction: MigrationTransaction,
  table: string,
  options: RebuildOptions = {},
): Promise<void> {
  const { rebuild } = await import("./rebuild_steps.ts");
  await rebuild(transaction, table, options);
}
