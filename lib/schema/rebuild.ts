import type { MigrationTransaction } from "../migration/migration.ts";

/**
 * How a table is changed: by its whole new definition, or by changes of the one that it has. Names
 * are compared as SQLite does, without regard to the case of ASCII letters.
 */
export interface RebuildOptions {
  /**
   * The whole new definition, `CREATE TABLE name (…)`, under the table's own name. It takes the place of
   * `changeColumns`, `addColumns`, `dropChecks` and `addChecks`. Default: the one that it has.
   */
  readonly create?: string;
  /** New definitions of columns, without the name: `{ quantity: "INTEGER NOT NULL CHECK (quantity >= 0)" }`. */
  readonly changeColumns?: Readonly<Record<string, string>>;
  /** New columns behind the others, such as `{ note: "TEXT" }`. */
  readonly addColumns?: Readonly<Record<string, string>>;
  /** Checks to take out, each by its name, or by its expression where it has none. */
  readonly dropChecks?: readonly string[];
  /** New checks by name, such as `{ valid_quantity: "quantity >= 0" }`. */
  readonly addChecks?: Readonly<Record<string, string>>;
  /**
   * New names of columns, by the old ones. SQLite renames them in indexes, triggers and views as well;
   * everything else here is said with the new names.
   */
  readonly renames?: Readonly<Record<string, string>>;
  /**
   * Columns whose content is not kept. Without `create` they are taken out of the definition; with it,
   * each column that is not in the new definition must be named here.
   */
  readonly drops?: readonly string[];
  /** What columns are filled with: SQL expressions over the old columns, by column. Default: the old value. */
  readonly values?: Readonly<Record<string, string>>;
  /** Indexes that are not made again, as where their columns are gone. */
  readonly dropIndexes?: readonly string[];
}

/**
 * Changes a table in ways that `ALTER TABLE` has none for: a check, a type, a key, a default. It makes
 * a new table, copies the rows, drops the old table and gives the new one its name. Rows with their row
 * ids, indexes, triggers, the mark of AUTOINCREMENT, statistics and the foreign keys of other tables
 * stay as they are, and so do views.
 *
 * The migration must have `foreignKeys: false`, or dropping the old table would empty child tables.
 * It is all done, or nothing is, also where the error is caught.
 *
 * @throws {StatementError} where foreign keys are on, rows or content would be lost, a row breaks a
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
  const { rebuild } = await import("./rebuild_table.ts");
  await rebuild(transaction, table, options);
}
