import { isOn } from "../migration/body.ts";
import { howToDeclare } from "../migration/migration.ts";
import type { CheckSchema, IndexSchema, Schema, TableSchema } from "../schema/model.ts";
import { fold, normalize, onOneLine, tokenize } from "../sql/tokens.ts";
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
    const rows = await rowCounts.count({ name: original, sources: lineage.sources });
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
  return first !== undefined && fold(first.first) !== fold(name) &&
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
    const { original, sources, root } = lineage;
    if (original === null || isDeclared(migration.destroys, lineage)) return;
    if (await rowCounts.count({ name: original, sources }) === 0) return;
    const lost: string[] = [];
    for (const column of columns) {
      if (await rowCounts.hasValues({ name: original, root, sources }, column) !== false) {
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
  for (const statement of run.statements) {
    const { altered } = statement;
    if (altered === null || altered.dropped.length === 0) continue;
    const lineage = at.get(statement)?.named(altered.table, altered.database);
    if (lineage !== undefined) await lose(lineage, altered.dropped, statement);
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

async function changedRows(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { migration, at, run, rowCounts } = simulated;
  const faults: Fault[] = [];
  for (const statement of run.statements) {
    if (statement.forbidden !== null) continue;
    for (const { table, database, kind, columns, whole } of rowChanges(statement.events)) {
      const lineage = whole ? at.get(statement)?.named(table, database) : undefined;
      if (lineage === undefined || lineage.original === null) continue;
      if (isDeclared(migration.destroys, lineage)) continue;
      const rows = await rowCounts.count({ name: lineage.original, sources: lineage.sources });
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
  const known = new Set(
    tableOf(before.tables, lineage.original ?? "")?.columns.map(({ name }) => fold(name)),
  );
  const renamed = new Set(
    run.statements.flatMap((statement) => statement.altered?.renamed.map(fold) ?? []),
  );
  const lost: string[] = [];
  for (const column of columns) {
    const { original, root, sources } = lineage;
    if (renamed.has(fold(column))) lost.push(column);
    else if (known.has(fold(column))) {
      const table = { name: original ?? "", root, sources };
      if (await rowCounts.hasValues(table, column) !== false) lost.push(column);
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
export function isDeclared(
  destroys: readonly string[] | undefined,
  lineage: TableLineage,
): boolean {
  const declared = (destroys ?? []).map(fold);
  return declared.includes(fold(lineage.original ?? lineage.name)) ||
    declared.includes(fold(lineage.name));
}

function declare(table: string): string {
  return `if this is intended, declare it: ${howToDeclare([table])}`;
}

/** Checks, indexes, triggers and views that a rebuild forgets, and views that it breaks. */
export function lostFaults(simulated: SimulatedUpgrade): Fault[] {
  const { rebuilds } = simulated;
  return [
    ...rebuilds.flatMap(({ name, dropped }) => [
      ...lostChecks(simulated, name, dropped),
      ...lostIndexes(simulated, name, dropped),
      ...lostTriggers(simulated, name, dropped),
    ]),
    ...lostViews(simulated),
    ...brokenViews(simulated),
  ];
}

function lostChecks(
  { before, after }: SimulatedUpgrade,
  name: string,
  place: RecordedStatement,
): Fault[] {
  const old = find(before.tables, name);
  const made = find(after.tables, name);
  if (old === undefined || made === undefined) return [];
  const isKept = (check: CheckSchema): boolean =>
    made.checks.some((one) => normalize(one.expression) === normalize(check.expression));
  const fresh = made.checks.filter((check) =>
    !old.checks.some((one) => normalize(one.expression) === normalize(check.expression))
  );
  return old.checks.filter((check) => !isKept(check)).flatMap((check): Fault[] => {
    const columns = columnsOf(check, old);
    const isGone = columns.length > 0 &&
      columns.every((column) => find(made.columns, column) === undefined);
    const replacement = fresh.findIndex((one) => replaces(one, check, { old, made }));
    if (replacement !== -1) fresh.splice(replacement, 1);
    if (isGone || replacement !== -1) return [];
    return [{
      code: "lost-check",
      severity: "warning",
      place,
      reason: `the new table "${name}" no longer has CHECK (${onOneLine(check.expression)})`,
      fix: `add the check to the new table's CREATE TABLE`,
    }];
  });
}

/**
 * Whether a new check is a changed old one: it has its name, or uses one of its columns or a new
 * one.
 */
function replaces(
  fresh: CheckSchema,
  check: CheckSchema,
  { old, made }: { readonly old: TableSchema; readonly made: TableSchema },
): boolean {
  if (check.name !== null && fresh.name !== null) {
    if (fold(check.name) === fold(fresh.name)) return true;
  }
  const columns = columnsOf(check, old);
  return columnsOf(fresh, made).some((column) =>
    columns.some((one) => fold(one) === fold(column)) || find(old.columns, column) === undefined
  );
}

function columnsOf(check: CheckSchema, table: TableSchema): string[] {
  const words = new Set(
    tokenize(check.expression)
      .filter(({ kind }) => kind === "word" || kind === "quoted")
      .map(({ value }) => fold(value)),
  );
  return table.columns.map(({ name }) => name).filter((name) => words.has(fold(name)));
}

function lostIndexes(simulated: SimulatedUpgrade, name: string, place: RecordedStatement): Fault[] {
  const { before, after } = simulated;
  const made = find(after.tables, name);
  const lost = before.indexes.filter((index) =>
    fold(index.table) === fold(name) && find(after.indexes, index.name) === undefined &&
    !isDroppedByHand(simulated, "drop-index", index.name) &&
    !after.indexes.some((other) => fold(other.table) === fold(name) && sameTerms(other, index)) &&
    index.columns.every((column) =>
      column.name === null || made !== undefined && find(made.columns, column.name) !== undefined
    )
  );
  return lost.map((index) => ({
    code: "lost-index",
    severity: "warning",
    place,
    reason:
      `dropping the old table "${name}" drops index "${index.name}", and nothing recreates it`,
    fix: `run it again after the rename: ${onOneLine(index.sql)}`,
  }));
}

function sameTerms(a: IndexSchema, b: IndexSchema): boolean {
  const terms = ({ columns, where }: IndexSchema): string =>
    JSON.stringify([
      columns.map((one) => [fold(one.name ?? ""), normalize(one.expression ?? "")]),
      normalize(where ?? ""),
    ]);
  return terms(a) === terms(b);
}

function lostTriggers(
  simulated: SimulatedUpgrade,
  name: string,
  place: RecordedStatement,
): Fault[] {
  const { before, after } = simulated;
  const lost = before.triggers.filter((trigger) =>
    fold(trigger.table) === fold(name) && find(after.triggers, trigger.name) === undefined &&
    !isDroppedByHand(simulated, "drop-trigger", trigger.name)
  );
  return lost.map((trigger) => ({
    code: "lost-trigger",
    severity: "warning",
    place,
    reason:
      `dropping the old table "${name}" drops trigger "${trigger.name}", and nothing recreates it`,
    fix: `recreate it after the rename`,
  }));
}

/** Views of a rebuilt table must be dropped for its rename, and recreated. */
function lostViews({ before, after, rebuilds, run }: SimulatedUpgrade): Fault[] {
  return before.views.flatMap((view): Fault[] => {
    const place = run.statements.find((statement) =>
      statement.events.some(({ action, first }) => action === "drop-view" && same(first, view.name))
    );
    if (place === undefined || find(after.views, view.name) !== undefined) return [];
    const table = rebuilds.find(({ name }) => mentions(view.sql, name));
    if (table === undefined) return [];
    return [{
      code: "lost-view",
      severity: "warning",
      place,
      reason:
        `view "${view.name}" is dropped for the rebuild of "${table.name}", and nothing recreates it`,
      fix: "recreate it after the rename; if its removal is intended: -- lint:allow lost-view",
    }];
  });
}

function brokenViews({ before, after, run }: SimulatedUpgrade): Fault[] {
  const broken = after.views.filter((view) =>
    view.columns.length === 0 && (find(before.views, view.name)?.columns.length ?? 0) > 0
  );
  return broken.map((view) => ({
    code: "lost-view",
    place: run.statements.find((statement) =>
      statement.events.some(({ action, first, second }) =>
        (action === "drop-table" || action === "drop-view") && mentions(view.sql, first) ||
        action === "alter-table" && mentions(view.sql, second)
      )
    ),
    reason: `view "${view.name}" can no longer be read: a table or column that it uses is missing`,
    fix: "drop the view first, and recreate it without the missing parts",
  }));
}

/**
 * Whether a migration drops an object with its own statement; dropping a table drops its triggers.
 */
function isDroppedByHand(
  { run }: SimulatedUpgrade,
  action: "drop-index" | "drop-trigger",
  name: string,
): boolean {
  return run.statements.some(({ events }) =>
    events.some((event) => event.action === action && same(event.first, name)) &&
    !events.some((event) => event.action === "drop-table" || event.action === "drop-view")
  );
}

function mentions(sql: string, name: string): boolean {
  return tokenize(sql).some(({ kind, value }) =>
    (kind === "word" || kind === "quoted") && same(value, name)
  );
}

function find<T extends { readonly name: string }>(
  list: readonly T[],
  name: string,
): T | undefined {
  return list.find((one) => same(one.name, name));
}

function same(a: string, b: string): boolean {
  return fold(a) === fold(b);
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
    if (fold(child.name) === fold(name)) continue;
    if (!child.foreignKeys.some(({ table }) => fold(table) === fold(name))) continue;
    const lineage = lineages.find(({ original }) => original === child.name);
    if (lineage === undefined || !at.get(dropped)?.has(lineage)) continue;
    if (isDeclared(migration.destroys, lineage)) continue;
    const rows = await rowCounts.count({ name: child.name, sources: lineage.sources });
    if (rows !== 0) emptied.push(child.name);
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
    if (pragma !== undefined && pragma.second !== "") areOn = isOn(pragma.second);
  }
  return areOn;
}

function inWrongOrder({ after }: SimulatedUpgrade, { old, name }: Rebuild): Fault[] {
  const { renamed } = old;
  if (renamed === null || fold(old.name) === fold(name)) return [];
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
  const name = fold(table);
  const mentions = ({ sql }: { readonly sql: string }): boolean =>
    tokenize(sql).some((token) =>
      (token.kind === "word" || token.kind === "quoted") && fold(token.value) === name
    );
  return [
    ...schema.tables.filter(({ foreignKeys }) =>
      foreignKeys.some((key) => fold(key.table) === name)
    ),
    ...schema.views.filter(mentions),
    ...schema.triggers.filter(mentions),
  ].map((object) => object.name);
}
