import { usersTables } from "./schema/tables.ts";
import { quoteName } from "./sql/tokens.ts";
import type { Connection } from "./database/connection.ts";
import { number, text } from "./database/connection.ts";
import { withSnapshot } from "./database/transaction.ts";
import type { Migration } from "./migration/migration.ts";
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

/** What rollbacks would take away. */
export interface FoundLosses {
  readonly losses: readonly Loss[];
  /** Whether memory could tell; else they are all tables, and of columns nothing is known. */
  readonly isCertain: boolean;
}

/** Which tables and columns a series of rollbacks drops, found by running them in memory. */
export async function findLosses(
  connection: Connection,
  applied: readonly Migration[],
  rollback: readonly Migration[],
): Promise<FoundLosses> {
  const before = await buildReference(applied);
  const after = await buildReference(applied, { rollBack: rollback });
  // Another migrator may be at work: a table that was just seen must still be there to be counted.
  const count = () => countLosses(connection, rollback, { before, after });
  const losses = await withSnapshot(connection, count);
  return { losses, isCertain: before.known && after.known };
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
    const rows = await countRows(connection, { table, columns });
    losses.push({ database, table, rows, ...(columns === undefined ? {} : { columns }) });
  }
  return losses;
}

/** Rows of a table, or those with a value in one of some columns. */
async function countRows(
  connection: Connection,
  { table, columns }: Dropped,
): Promise<number> {
  const filter = columns === undefined
    ? ""
    : ` WHERE ${columns.map((column) => `${quoteName(column)} IS NOT NULL`).join(" OR ")}`;
  const row = await connection.get(
    `SELECT count(*) AS rows FROM main.${quoteName(table)}${filter}`,
  );
  return row === undefined ? 0 : number(row, "rows");
}

/** Those of some losses that the numbers of rows by table don't tell. */
export async function uncounted(
  connection: Connection,
  losses: readonly Loss[],
): Promise<readonly Loss[]> {
  if (losses.length === 0) return losses;
  const opaque = (await usersTables(connection)).filter(({ store }) => store === null);
  return losses.filter(({ table, columns }) =>
    columns !== undefined || opaque.some(({ name }) => name === table)
  );
}

/** Counts anew what is still there of some losses. */
export async function recountLosses(
  connection: Connection,
  losses: readonly Loss[],
): Promise<Loss[]> {
  const counted: Loss[] = [];
  for (const { database, table, columns } of losses) {
    const there = (await connection.all("SELECT name FROM pragma_table_xinfo(?, 'main')", [table]))
      .map((row) => ({ name: text(row, "name") }));
    if (there.length === 0) continue;
    const left = columns?.filter((name) => has(there, name));
    if (left?.length === 0) continue;
    const rows = await countRows(connection, { table, columns: left });
    counted.push({ database, table, rows, ...(left === undefined ? {} : { columns: left }) });
  }
  return counted;
}

/** What was counted before and after a migration. */
export interface Counts {
  /** Numbers of rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** What they don't tell. */
  readonly others: readonly Loss[];
}

/** What of some losses has gone between two counts. */
export function goneBetween(losses: readonly Loss[], before: Counts, after: Counts): Loss[] {
  const byTable = ({ others }: Counts) => new Map(others.map((one) => [one.table, one]));
  const [former, left] = [byTable(before), byTable(after)];
  return losses.flatMap((loss): Loss[] => {
    const { table } = loss;
    const other = former.get(table);
    if (other !== undefined) return goneOf(other, left.get(table));
    const rows = (before.rows.get(table) ?? 0) - (after.rows.get(table) ?? 0);
    return loss.columns === undefined && rows > 0 ? [{ ...loss, rows }] : [];
  });
}

function goneOf(before: Loss, after: Loss | undefined): Loss[] {
  const columns = before.columns?.filter((name) => !after?.columns?.includes(name));
  const rows = columns === undefined ? before.rows - (after?.rows ?? 0) : before.rows;
  if (rows <= 0 || columns?.length === 0) return [];
  return [{ ...before, rows, ...(columns === undefined ? {} : { columns }) }];
}

interface Dropped {
  readonly table: string;
  readonly columns?: readonly string[] | undefined;
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
