import type { CheckSchema, IndexSchema, Schema, TableSchema } from "../schema/model.ts";
import { fold, normalize, tokenize } from "../sql/tokens.ts";
import type { Fault } from "./finding.ts";
import { rowChanges } from "./scratch.ts";
import {
  describeRows,
  names,
  type Rebuild,
  type Rehearsed,
  type Step,
  successorOf,
  type TableFate,
} from "./tables.ts";

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

/** Checks, indexes, triggers and views that a rebuild forgets, and views that it breaks. */
export function lostFaults(rehearsed: Rehearsed): Fault[] {
  const { rebuilds } = rehearsed;
  return [
    ...rebuilds.flatMap(({ name, dropped }) => [
      ...lostChecks(rehearsed, name, dropped),
      ...lostIndexes(rehearsed, name, dropped),
      ...lostTriggers(rehearsed, name, dropped),
    ]),
    ...lostViews(rehearsed),
    ...brokenViews(rehearsed),
  ];
}

function lostChecks({ before, after }: Rehearsed, name: string, place: Step): Fault[] {
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
      place,
      reason: `the new table "${name}" has no longer CHECK (${oneLine(check.expression)})`,
      fix: `write the check into the new table's CREATE TABLE`,
    }];
  });
}

/** Whether a new check is a changed old one: it has its name, or is about a column of it or a new one. */
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

function lostIndexes(rehearsed: Rehearsed, name: string, place: Step): Fault[] {
  const { before, after } = rehearsed;
  const made = find(after.tables, name);
  const lost = before.indexes.filter((index) =>
    fold(index.table) === fold(name) && find(after.indexes, index.name) === undefined &&
    !isDroppedByHand(rehearsed, "drop-index", index.name) &&
    !after.indexes.some((other) => fold(other.table) === fold(name) && sameTerms(other, index)) &&
    index.columns.every((column) =>
      column.name === null || made !== undefined && find(made.columns, column.name) !== undefined
    )
  );
  return lost.map((index) => ({
    code: "lost-index",
    place,
    reason:
      `dropping the old table "${name}" drops index "${index.name}", and nothing makes it again`,
    fix: `run it again after the rename: ${oneLine(index.sql)}`,
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

function lostTriggers(rehearsed: Rehearsed, name: string, place: Step): Fault[] {
  const { before, after } = rehearsed;
  const lost = before.triggers.filter((trigger) =>
    fold(trigger.table) === fold(name) && find(after.triggers, trigger.name) === undefined &&
    !isDroppedByHand(rehearsed, "drop-trigger", trigger.name)
  );
  return lost.map((trigger) => ({
    code: "lost-trigger",
    place,
    reason:
      `dropping the old table "${name}" drops trigger "${trigger.name}", and nothing makes it again`,
    fix: `create it again after the rename`,
  }));
}

/** Views of a rebuilt table have to be dropped for its rename, and made again. */
function lostViews({ before, after, rebuilds, run }: Rehearsed): Fault[] {
  return before.views.flatMap((view): Fault[] => {
    const place = run.steps.find((step) =>
      step.deeds.some(({ action, first }) => action === "drop-view" && same(first, view.name))
    );
    if (place === undefined || find(after.views, view.name) !== undefined) return [];
    const table = rebuilds.find(({ name }) => mentions(view.sql, name));
    if (table === undefined) return [];
    return [{
      code: "lost-view",
      place,
      reason:
        `view "${view.name}" is dropped for the rebuild of "${table.name}", and nothing makes it again`,
      fix:
        "create it again after the rename; if it is meant to go, say so: -- lint:allow lost-view",
    }];
  });
}

function brokenViews({ before, after, run }: Rehearsed): Fault[] {
  const broken = after.views.filter((view) =>
    view.columns.length === 0 && (find(before.views, view.name)?.columns.length ?? 0) > 0
  );
  return broken.map((view) => ({
    code: "lost-view",
    place: run.steps.find((step) =>
      step.deeds.some(({ action, first, second }) =>
        (action === "drop-table" || action === "drop-view") && mentions(view.sql, first) ||
        action === "alter-table" && mentions(view.sql, second)
      )
    ),
    reason: `view "${view.name}" can't be read any more: a table or column that it uses is gone`,
    fix: "drop the view first, and create it anew from what is left",
  }));
}

/** Whether a migration drops an object by a statement of its own; dropping a table drops its triggers. */
function isDroppedByHand(
  { run }: Rehearsed,
  action: "drop-index" | "drop-trigger",
  name: string,
): boolean {
  return run.steps.some(({ deeds }) =>
    deeds.some((deed) => deed.action === action && same(deed.first, name)) &&
    !deeds.some((deed) => deed.action === "drop-table" || deed.action === "drop-view")
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

function oneLine(sql: string): string {
  return sql.trim().replace(/\s+/g, " ");
}

/** Rebuilds of tables that empty others, or that leave others pointing to the old table. */
export async function rebuildFaults(rehearsed: Rehearsed): Promise<Fault[]> {
  const faults: Fault[] = [];
  for (const rebuild of rehearsed.rebuilds) {
    faults.push(...await withForeignKeys(rehearsed, rebuild), ...inWrongOrder(rehearsed, rebuild));
  }
  return faults;
}

async function withForeignKeys(rehearsed: Rehearsed, rebuild: Rebuild): Promise<Fault[]> {
  const { migration, fates, at, before, book } = rehearsed;
  const { name, dropped } = rebuild;
  if (!areForeignKeysOn(rehearsed, rebuild)) return [];
  const emptied: string[] = [];
  for (const child of before.tables) {
    if (fold(child.name) === fold(name)) continue;
    if (!child.foreignKeys.some(({ table }) => fold(table) === fold(name))) continue;
    const fate = fates.find(({ original }) => original === child.name);
    if (fate === undefined || !at.get(dropped)?.has(fate)) continue;
    if (isDeclared(migration.destroys, fate)) continue;
    const rows = await book.count({ name: child.name, sources: fate.sources });
    if (rows !== 0) emptied.push(child.name);
  }
  if (emptied.length === 0) return [];
  const pointing = emptied.length === 1 ? "points" : "point";
  return [{
    code: "rebuild-with-foreign-keys",
    place: dropped,
    reason:
      `it rebuilds table "${name}" with foreign keys on: DROP TABLE first deletes its rows, and with ` +
      `them those of ${names(emptied)}, which ${pointing} to it, or fails`,
    fix: 'turn them off for this migration: foreign-keys:off behind "-- migrate:up", or ' +
      "foreignKeys: false in a module",
  }];
}

/** Outside of a transaction a migration may turn them off by itself. */
function areForeignKeysOn({ migration, run }: Rehearsed, { dropped }: Rebuild): boolean {
  let isOn = migration.foreignKeys !== false;
  for (const step of run.steps) {
    if (step === dropped) break;
    if (migration.transaction !== false) continue;
    const pragma = step.deeds.find(({ action, first }) =>
      action === "pragma" && fold(first) === "foreign_keys"
    );
    if (pragma !== undefined && pragma.second !== "") isOn = isTrue(pragma.second);
  }
  return isOn;
}

/** How SQLite reads the value of a pragma that is on or off. */
export function isTrue(value: string): boolean {
  return /^(on|yes|true|0*[1-9]\d*)$/i.test(value);
}

function inWrongOrder({ after }: Rehearsed, { old, name }: Rebuild): Fault[] {
  const { renamed } = old;
  if (renamed === null || fold(old.name) === fold(name)) return [];
  const broken = referring(after, old.name);
  return [{
    code: "rebuild-order",
    severity: broken.length > 0 ? "error" : "warning",
    place: renamed,
    reason: `it renames table "${name}" to "${old.name}" before it makes the new one` +
      (broken.length > 0
        ? `: SQLite lets ${names(broken)} follow the old table, which is then dropped`
        : ": what refers to it would follow the old table"),
    fix:
      `make the new table under another name, copy the rows, drop "${name}", and rename the new ` +
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
