import { isPragmaOn } from "../migration/body.ts";
import { howToDeclare } from "../migration/migration.ts";
import type { Schema } from "../schema/model.ts";
import { findNamed, fold, mentions, sameName } from "../sql/tokens.ts";
import { rowChanges } from "./authorizer.ts";
import { describeRows, type Fault, names } from "./finding.ts";
import { type Rebuild, successorOf, type TableLineage } from "./lineage.ts";
import type { RecordedStatement } from "./recorder.ts";
import type { SimulatedUpgrade } from "./simulation.ts";

/** Rows and values that a migration loses and does not declare in `destroys`. */
export async function lossFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  return [
    ...await droppedTables(simulated),
    ...await droppedColumns(simulated),
    ...await changedRows(simulated),
  ];
}

async function droppedTables(
  { migration, lineages, rebuilds, rowCounts }: SimulatedUpgrade,
): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const lineage of lineages) {
    const { original, dropped } = lineage;
    if (original === null || dropped === null || isDeclared(migration.destroys, lineage)) continue;
    if (rebuilds.some(({ old }) => old === lineage) || isInnerTable(dropped, original)) continue;
    const rows = await rowCounts.count(lineage);
    if (rows === 0) continue;
    const isAnew = successorOf(lineage, lineages) !== undefined;
    faults.push({
      code: "table-dropped",
      place: dropped,
      reason: `it drops table "${original}" with ${describeRows(rows)}` +
        (isAnew ? ", and its replacement gets none of them" : ""),
      fix: isAnew
        ? `copy the rows with INSERT INTO ... SELECT before the DROP TABLE, or ${declare(original)}`
        : declare(original),
    });
  }
  return faults;
}

/** Dropping a virtual table drops its shadow tables. */
function isInnerTable(dropped: RecordedStatement, name: string): boolean {
  const first = dropped.events.find(({ action }) => action === "drop-table");
  return first !== undefined && !sameName(first.first, name) &&
    fold(name).startsWith(`${fold(first.first)}_`);
}

async function droppedColumns(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { migration, at, rebuilds, before, after, run, rowCounts } = simulated;
  const faults: Fault[] = [];
  const lose = async (
    lineage: TableLineage,
    columns: readonly string[],
    place: RecordedStatement,
  ) => {
    const { original } = lineage;
    if (original === null || isDeclared(migration.destroys, lineage)) return;
    if (await rowCounts.count(lineage) === 0) return;
    const lost: string[] = [];
    for (const column of columns) {
      if (await rowCounts.hasValues(lineage, column) !== false) lost.push(column);
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
  for (const statement of run.statements) {
    const { altered } = statement;
    if (altered === null || altered.dropped.length === 0) continue;
    const lineage = at.get(statement)?.named(altered.table, altered.database);
    if (lineage !== undefined) await lose(lineage, altered.dropped, statement);
  }
  for (const { old, name, dropped } of rebuilds) {
    const columns = findNamed(before.tables, name)?.columns ?? [];
    const left = findNamed(after.tables, name)?.columns ?? [];
    const read = new Set(old.copies.flatMap((copy) => [...copy.columns]));
    const lost = columns.filter((column) =>
      column.generated === null && findNamed(left, column.name) === undefined &&
      !read.has(fold(column.name))
    );
    await lose(old, lost.map((column) => column.name), dropped);
  }
  return faults;
}

async function changedRows(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { migration, at, run, rowCounts } = simulated;
  const faults: Fault[] = [];
  for (const statement of run.statements) {
    if (statement.forbidden !== null) continue;
    for (const { table, database, kind, columns, whole } of rowChanges(statement.events)) {
      const lineage = whole ? at.get(statement)?.named(table, database) : undefined;
      if (lineage === undefined || lineage.original === null) continue;
      if (isDeclared(migration.destroys, lineage)) continue;
      const rows = await rowCounts.count(lineage);
      if (rows === 0) continue;
      if (kind === "delete") {
        faults.push({
          code: "rows-deleted",
          place: statement,
          reason: `it deletes all rows of table "${lineage.original}": ${describeRows(rows)}`,
          fix: `add a WHERE, or ${declare(lineage.original)}`,
        });
        continue;
      }
      const lost = await overwritten(simulated, lineage, columns);
      if (lost.length === 0) continue;
      faults.push({
        code: "rows-updated",
        place: statement,
        reason: `it overwrites ${names(lost)} in all rows of table "${lineage.original}": ${
          describeRows(rows)
        }`,
        fix: `add a WHERE, or ${declare(lineage.original)}`,
      });
    }
  }
  return faults;
}

/** Columns of an UPDATE that had values before the migration; filling a new one loses nothing. */
async function overwritten(
  { before, run, rowCounts }: SimulatedUpgrade,
  lineage: TableLineage,
  columns: readonly string[],
): Promise<string[]> {
  const known = findNamed(before.tables, lineage.original ?? "")?.columns ?? [];
  const renamed = run.statements.flatMap(({ altered }) => altered?.renamed ?? []);
  const lost: string[] = [];
  for (const column of columns) {
    const isOld = renamed.some((name) => sameName(name, column)) ||
      findNamed(known, column) !== undefined &&
        await rowCounts.hasValues(lineage, column) !== false;
    if (isOld) lost.push(column);
  }
  return lost;
}

/** Whether a table, by its name before or after, is declared. */
function isDeclared(
  destroys: readonly string[] | undefined,
  { original, name }: TableLineage,
): boolean {
  return destroys?.some((one) => sameName(one, original ?? name) || sameName(one, name)) ?? false;
}

function declare(table: string): string {
  return `if this is intended, declare it: ${howToDeclare([table])}`;
}

/** Rebuilds of tables that empty others, or leave others referring to the old table. */
export async function rebuildFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const rebuild of simulated.rebuilds) {
    faults.push(...await withForeignKeys(simulated, rebuild), ...inWrongOrder(simulated, rebuild));
  }
  return faults;
}

async function withForeignKeys(simulated: SimulatedUpgrade, rebuild: Rebuild): Promise<Fault[]> {
  const { migration, lineages, at, before, rowCounts } = simulated;
  const { name, dropped } = rebuild;
  if (!areForeignKeysOn(simulated, rebuild)) return [];
  const emptied: string[] = [];
  for (const child of before.tables) {
    if (sameName(child.name, name)) continue;
    if (!child.foreignKeys.some(({ table }) => sameName(table, name))) continue;
    const lineage = lineages.find(({ original }) => original === child.name);
    if (lineage === undefined || !at.get(dropped)?.has(lineage)) continue;
    if (isDeclared(migration.destroys, lineage)) continue;
    if (await rowCounts.count(lineage) !== 0) emptied.push(child.name);
  }
  if (emptied.length === 0) return [];
  const pointing = emptied.length === 1 ? "refers" : "refer";
  return [{
    code: "rebuild-with-foreign-keys",
    place: dropped,
    reason:
      `it rebuilds table "${name}" with foreign keys on: DROP TABLE first deletes its rows, and ` +
      `those of ${names(emptied)}, which ${pointing} to it, or fails`,
    fix: 'turn them off for this migration: foreign-keys:off on the "-- migrate:up" line, or ' +
      "foreignKeys: false in a module",
  }];
}

/** Without a transaction a migration may turn them off itself. */
function areForeignKeysOn({ migration, run }: SimulatedUpgrade, { dropped }: Rebuild): boolean {
  let areOn = migration.foreignKeys !== false;
  for (const statement of run.statements) {
    if (statement === dropped) break;
    if (migration.transaction !== false) continue;
    const pragma = statement.events.find(({ action, first }) =>
      action === "pragma" && fold(first) === "foreign_keys"
    );
    if (pragma !== undefined && pragma.second !== "") areOn = isPragmaOn(pragma.second);
  }
  return areOn;
}

function inWrongOrder({ after }: SimulatedUpgrade, { old, name }: Rebuild): Fault[] {
  const { renamed } = old;
  if (renamed === null || sameName(old.name, name)) return [];
  const broken = referring(after, old.name);
  return [{
    code: "rebuild-order",
    severity: broken.length > 0 ? "error" : "warning",
    place: renamed,
    reason: `it renames table "${name}" to "${old.name}" before it creates the new one` +
      (broken.length > 0
        ? `: SQLite makes ${names(broken)} follow the old table, which is then dropped`
        : ": references to it would follow the old table"),
    fix:
      `create the new table under another name, copy the rows, drop "${name}", and rename the new ` +
      "one last",
  }];
}

/** Tables, views and triggers that refer to a table of this name. */
function referring(schema: Schema, table: string): string[] {
  return [
    ...schema.tables.filter(({ foreignKeys }) =>
      foreignKeys.some((key) => sameName(key.table, table))
    ),
    ...[...schema.views, ...schema.triggers].filter(({ sql }) => mentions(sql, table)),
  ].map(({ name }) => name);
}
