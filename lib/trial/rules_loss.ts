import type { CheckSchema, IndexSchema, TableSchema } from "../schema/model.ts";
import { fold, normalize, tokenize } from "../sql/tokens.ts";
import type { Fault } from "./finding.ts";
import type { Step } from "../lint/rehearsal.ts";
import type { Rehearsed } from "../lint/rules/rule.ts";

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
