import { quoteName } from "./checks.ts";
import type { Connection } from "./database/connection.ts";
import { number } from "./database/row.ts";
import { withSnapshot } from "./database/transaction.ts";
import type { Migration } from "./migration.ts";
import type { Schema } from "./schema/model.ts";
import { readSchema } from "./schema/read.ts";
import { buildReference, type Reference } from "./schema/reference.ts";

/** Rows that a rollback takes away. */
export interface Loss {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table. */
  readonly table: string;
  /** Number of rows that are lost, or that lose values. */
  readonly rows: number;
  /** Columns that lose their values; absent where the whole table goes. */
  readonly columns?: readonly string[];
}

/** Which tables and columns a series of rollbacks drops, found by running them in memory. */
export async function findLosses(
  connection: Connection,
  applied: readonly Migration[],
  rollback: readonly Migration[],
): Promise<Loss[]> {
  const before = await buildReference(applied);
  const after = await buildReference(applied, { rollBack: rollback });
  // Another migrator may be at work: a table that was just seen must still be there to be counted.
  return await withSnapshot(connection, () => countLosses(connection, rollback, { before, after }));
}

async function countLosses(
  connection: Connection,
  rollback: readonly Migration[],
  { before, after }: { readonly before: Reference; readonly after: Reference },
): Promise<Loss[]> {
  const database = rollback[0]?.database ?? "";
  const actual = await readSchema(connection);
  const losses: Loss[] = [];
  // Where memory can't tell, every table is at stake.
  const atStake: Dropped[] = before.known && after.known
    ? dropped(before.schema, after.schema, actual)
    : actual.tables.map(({ name }) => ({ table: name }));
  for (const { table, columns } of atStake) {
    const filter = columns === undefined
      ? ""
      : ` WHERE ${columns.map((column) => `${quoteName(column)} IS NOT NULL`).join(" OR ")}`;
    const row = await connection.get(`SELECT count(*) AS rows FROM ${quoteName(table)}${filter}`);
    const rows = row === undefined ? 0 : number(row, "rows");
    losses.push({ database, table, rows, ...(columns === undefined ? {} : { columns }) });
  }
  return losses;
}

interface Dropped {
  readonly table: string;
  readonly columns?: readonly string[];
}

/** Tables and columns that are there now, were in the reference before, and are not after. */
export function dropped(before: Schema, after: Schema, actual: Schema): Dropped[] {
  const present = new Map(actual.tables.map((table) => [table.name.toLowerCase(), table]));
  const left = new Map(after.tables.map((table) => [table.name.toLowerCase(), table]));
  return before.tables.flatMap((table): Dropped[] => {
    const key = table.name.toLowerCase();
    const there = present.get(key);
    if (there === undefined || there.virtual && !table.virtual) return [];
    const remaining = left.get(key);
    if (remaining === undefined) return [{ table: there.name }];
    const columns = table.columns
      .map(({ name }) => name)
      .filter((name) => has(there.columns, name) && !has(remaining.columns, name));
    return columns.length === 0 ? [] : [{ table: there.name, columns }];
  });
}

function has(columns: readonly { readonly name: string }[], name: string): boolean {
  return columns.some((column) => column.name.toLowerCase() === name.toLowerCase());
}
