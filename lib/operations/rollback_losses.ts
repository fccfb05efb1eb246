/**
 * Which rows and values a rollback removes.
 *
 * @module
 */
import { type Connection, number } from "../database/connection.ts";
import { withSnapshot } from "../database/transaction.ts";
import type { Migration } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { countRowsOf, readColumns, usersTables } from "../schema/tables.ts";
import { readSchema } from "../schema/read.ts";
import { buildMigratedSchema, type MigratedSchema } from "../schema/migrated_schema.ts";
import { fold, quoteName } from "../sql/tokens.ts";

/** Rows that a rollback removes. */
export interface Loss {
  /** Name of the database. */
  readonly database: string;
  /** Name of the table. */
  readonly table: string;
  /** Number of rows that are removed, or that lose values. */
  readonly rows: number;
  /** Columns that lose their values; absent if the whole table is dropped. */
  readonly columns?: readonly string[];
}

/** `3 rows of trading.orders, the values of notes in 2 rows of trading.fills`. */
export function describeLosses(losses: readonly Loss[]): string {
  return losses.filter(({ rows }) => rows > 0).map(({ database, table, rows, columns }) => {
    const what = `${rows} ${rows === 1 ? "row" : "rows"} of ${database}.${table}`;
    return columns === undefined ? what : `the values of ${columns.join(", ")} in ${what}`;
  }).join(", ");
}

/** What rollbacks would remove. */
interface FoundLosses {
  readonly losses: readonly Loss[];
  /** Whether memory gave the answer; otherwise all tables are listed, and columns are unknown. */
  readonly isCertain: boolean;
}

/** Finds which tables and columns a series of rollbacks drops, by running them in memory. */
export async function findLosses(
  connection: Connection,
  applied: readonly Migration[],
  rollback: readonly Migration[],
): Promise<FoundLosses> {
  const before = await buildMigratedSchema(applied);
  const after = await buildMigratedSchema(applied, { rollBack: rollback });
  // Another migrator may be running: a table must still exist when its rows are counted.
  const count = () => countLosses(connection, rollback, { before, after });
  const losses = await withSnapshot(connection, count);
  return { losses, isCertain: before.known && after.known };
}

async function countLosses(
  connection: Connection,
  rollback: readonly Migration[],
  { before, after }: { readonly before: MigratedSchema; readonly after: MigratedSchema },
): Promise<Loss[]> {
  const database = rollback[0]?.database ?? "";
  const actual = await readSchema(connection);
  const losses: Loss[] = [];
  // If memory gave no answer, every table is at stake.
  const atStake: Dropped[] = before.known && after.known
    ? dropped(before.schema, after.schema, { actual, renamed: after.renamed })
    : actual.tables.map(({ name }) => ({ table: name }));
  for (const { table, columns } of atStake) {
    const rows = await countRows(connection, { table, columns });
    losses.push({ database, table, rows, ...(columns === undefined ? {} : { columns }) });
  }
  return losses;
}

/** Number of rows of a table, or of those with a value in at least one of the columns. */
async function countRows(
  connection: Connection,
  { table, columns }: Dropped,
): Promise<number> {
  if (columns === undefined) return await countRowsOf(connection, table);
  const hasValue = columns.map((column) => `${quoteName(column)} IS NOT NULL`).join(" OR ");
  const row = await connection.get(
    `SELECT count(*) AS rows FROM main.${quoteName(table)} NOT INDEXED WHERE ${hasValue}`,
  );
  return row === undefined ? 0 : number(row, "rows");
}

/** The losses that row counts by table do not show. */
export async function uncountedLosses(
  connection: Connection,
  losses: readonly Loss[],
): Promise<readonly Loss[]> {
  if (losses.length === 0) return losses;
  const opaque = (await usersTables(connection)).filter(({ store }) => store === null);
  return losses.filter(({ table, columns }) =>
    columns !== undefined || opaque.some(({ name }) => name === table)
  );
}

/** Recounts the losses that still exist. */
export async function recountLosses(
  connection: Connection,
  losses: readonly Loss[],
): Promise<Loss[]> {
  const counted: Loss[] = [];
  for (const { database, table, columns } of losses) {
    const there = await readColumns(connection, table);
    if (there.length === 0) continue;
    const left = columns?.filter((name) => has(there, name));
    if (left?.length === 0) continue;
    const rows = await countRows(connection, { table, columns: left });
    counted.push({ database, table, rows, ...(left === undefined ? {} : { columns: left }) });
  }
  return counted;
}

/** Counts before or after a migration. */
interface Counts {
  /** Numbers of rows by table. */
  readonly rows: ReadonlyMap<string, number>;
  /** Losses that the row counts do not show. */
  readonly others: readonly Loss[];
}

/** What was lost between two counts. */
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

/** Existing tables and columns that are in the schema before, and not after. */
function dropped(
  before: Schema,
  after: Schema,
  { actual, renamed }: {
    readonly actual: Schema;
    /** New names of renamed tables, by their old names in lower case. */
    readonly renamed: ReadonlyMap<string, string>;
  },
): Dropped[] {
  const present = new Map(actual.tables.map((table) => [fold(table.name), table]));
  const left = new Map(after.tables.map((table) => [fold(table.name), table]));
  return before.tables.flatMap((table): Dropped[] => {
    const key = fold(table.name);
    const there = present.get(key);
    if (there === undefined || there.virtual && !table.virtual) return [];
    const remaining = left.get(key) ?? left.get(fold(renamed.get(key) ?? ""));
    if (remaining === undefined) return [{ table: there.name }];
    const columns = table.columns
      .map(({ name }) => name)
      .filter((name) => has(there.columns, name) && !has(remaining.columns, name));
    return columns.length === 0 ? [] : [{ table: there.name, columns }];
  });
}

function has(columns: readonly { readonly name: string }[], name: string): boolean {
  return columns.some((column) => fold(column.name) === fold(name));
}
