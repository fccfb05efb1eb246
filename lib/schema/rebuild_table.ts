/** The public entry of a table rebuild. `rebuild_run.ts` does the work and is loaded only when called. */
import type { MigrationTransaction } from "../migration/migration.ts";
import type { RebuildOptions } from "./rebuild_definition.ts";

/**
 * Changes a table in ways that `ALTER TABLE` does not support, such as a check, a type, a key or a
 * default. Creates a new table, copies the rows, drops the old table and renames the new one. Keeps the
 * rows with their row ids, indexes, triggers, the AUTOINCREMENT sequence, statistics, views, and the
 * foreign keys of other tables.
 *
 * The migration must have `foreignKeys: false`, because dropping the old table would otherwise empty
 * child tables. The rebuild is all-or-nothing, even if the migration catches the error.
 *
 * @throws {StatementError} if foreign keys are on, rows or content would be lost, a row violates a
 * constraint, or an index, view, trigger or foreign key would no longer work.
 *
 * @example Allow orders with a quantity of zero
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
  const { runRebuild } = await import("./rebuild_run.ts");
  await runRebuild(transaction, table, options);
}
