import { fold } from "../../sql/tokens.ts";
import type { Fault } from "../../trial/finding.ts";
import type { Step } from "../rehearsal.ts";
import { successorOf, type TableFate } from "../../trial/tables.ts";
import { rowChanges } from "../watch.ts";
import { describeRows, names, type Rehearsed } from "./rule.ts";

/** Rows and values that a migration loses and doesn't name in `destroys`. */
export async function lossFaults(rehearsed: Rehearsed): Promise<Fault[]> {
  return [
    ...await droppedTables(rehearsed),
    ...await droppedColumns(rehearsed),
    ...await changedRows(rehearsed),
  ];
}

async function droppedTables({ migration, fates, rebuilds, book }: Rehearsed): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const fate of fates) {
    const { original, dropped } = fate;
    if (original === null || dropped === null || isDeclared(migration.destroys, fate)) continue;
    if (rebuilds.some(({ old }) => old === fate) || isInnerTable(dropped, original)) continue;
    const rows = await book.count({ name: original, sources: fate.sources });
    if (rows === 0) continue;
    const isAnew = successorOf(fate, fates) !== undefined;
    faults.push({
      code: "table-dropped",
      place: dropped,
      reason: `it drops table "${original}" with ${describeRows(rows)}` +
        (isAnew ? ", and the one that takes its place gets none of them" : ""),
      fix: isAnew
        ? `copy the rows with INSERT INTO ... SELECT before the DROP TABLE, or ${declare(original)}`
        : declare(original),
    });
  }
  return faults;
}

/** A virtual table takes the tables inside it along. */
function isInnerTable(dropped: Step, name: string): boolean {
  const first = dropped.deeds.find(({ action }) => action === "drop-table");
  return first !== undefined && fold(first.first) !== fold(name) &&
    fold(name).startsWith(`${fold(first.first)}_`);
}

async function droppedColumns(rehearsed: Rehearsed): Promise<Fault[]> {
  const { migration, at, rebuilds, before, after, run, book } = rehearsed;
  const faults: Fault[] = [];
  const lose = async (fate: TableFate, columns: readonly string[], place: Step) => {
    const { original, sources, root } = fate;
    if (original === null || isDeclared(migration.destroys, fate)) return;
    if (await book.count({ name: original, sources }) === 0) return;
    const lost: string[] = [];
    for (const column of columns) {
      if (await book.hasValues({ name: original, root, sources }, column) !== false) {
        lost.push(column);
      }
    }
    if (lost.length === 0) return;
    faults.push({
      code: "column-dropped",
      place,
      reason: `table "${original}" loses ${lost.length === 1 ? "column" : "columns"} ${
        names(lost)
      } with all values`,
      fix: declare(original),
    });
  };
  for (const step of run.steps) {
    const { altered } = step;
    if (altered === null || altered.dropped.length === 0) continue;
    const fate = at.get(step)?.named(altered.table, altered.database);
    if (fate !== undefined) await lose(fate, altered.dropped, step);
  }
  for (const { old, name, dropped } of rebuilds) {
    const columns = tableOf(before.tables, name)?.columns ?? [];
    const left = tableOf(after.tables, name)?.columns.map((column) => fold(column.name)) ?? [];
    const read = new Set(old.copies.flatMap((copy) => [...copy.columns]));
    const lost = columns.filter((column) =>
      column.generated === null && !left.includes(fold(column.name)) &&
      !read.has(fold(column.name))
    );
    await lose(old, lost.map((column) => column.name), dropped);
  }
  return faults;
}

async function changedRows(rehearsed: Rehearsed): Promise<Fault[]> {
  const { migration, at, run, book } = rehearsed;
  const faults: Fault[] = [];
  for (const step of run.steps) {
    if (step.forbidden !== null) continue;
    for (const { table, database, kind, columns, whole } of rowChanges(step.deeds)) {
      const fate = whole ? at.get(step)?.named(table, database) : undefined;
      if (fate === undefined || fate.original === null) continue;
      if (isDeclared(migration.destroys, fate)) continue;
      const rows = await book.count({ name: fate.original, sources: fate.sources });
      if (rows === 0) continue;
      if (kind === "delete") {
        faults.push({
          code: "rows-deleted",
          place: step,
          reason: `it deletes all rows of table "${fate.original}": ${describeRows(rows)}`,
          fix: `add a WHERE, or ${declare(fate.original)}`,
        });
        continue;
      }
      const lost = await overwritten(rehearsed, fate, columns);
      if (lost.length === 0) continue;
      faults.push({
        code: "rows-updated",
        place: step,
        reason: `it overwrites ${names(lost)} in all rows of table "${fate.original}": ${
          describeRows(rows)
        }`,
        fix: `add a WHERE, or ${declare(fate.original)}`,
      });
    }
  }
  return faults;
}

/** Columns of an UPDATE that had values before the migration; filling a new one loses nothing. */
async function overwritten(
  { before, run, book }: Rehearsed,
  fate: TableFate,
  columns: readonly string[],
): Promise<string[]> {
  const known = new Set(
    tableOf(before.tables, fate.original ?? "")?.columns.map(({ name }) => fold(name)),
  );
  const renamed = new Set(run.steps.flatMap((step) => step.altered?.renamed.map(fold) ?? []));
  const lost: string[] = [];
  for (const column of columns) {
    const { original, root, sources } = fate;
    if (renamed.has(fold(column))) lost.push(column);
    else if (known.has(fold(column))) {
      const table = { name: original ?? "", root, sources };
      if (await book.hasValues(table, column) !== false) lost.push(column);
    }
  }
  return lost;
}

function tableOf<T extends { readonly name: string }>(
  tables: readonly T[],
  name: string,
): T | undefined {
  return tables.find((table) => fold(table.name) === fold(name));
}

/** Whether a table, by its name before or after, is declared. */
export function isDeclared(destroys: readonly string[] | undefined, fate: TableFate): boolean {
  const declared = (destroys ?? []).map(fold);
  return declared.includes(fold(fate.original ?? fate.name)) || declared.includes(fold(fate.name));
}

function declare(table: string): string {
  return `if that is meant, declare it: destroys:${table} behind "-- migrate:up", or destroys: ` +
    `["${table}"] in a module`;
}
