import { describeForeignKey, describeNames } from "../schema/model.ts";
import type {
  CheckSchema,
  ColumnSchema,
  IndexSchema,
  Schema,
  TableSchema,
  TriggerSchema,
} from "../schema/model.ts";
import { findNamed, fold, mentions, normalize, onOneLine, sameName } from "../sql/tokens.ts";
import type { Fault, LintCode } from "./finding.ts";
import type { Rebuild } from "./lineage.ts";
import type { SimulatedUpgrade } from "./simulation.ts";

/** What a rebuild drops from the new table, or from an index of the same name. */
export async function constraintFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { before, after, rebuilds } = simulated;
  const faults: Fault[] = [];
  for (const rebuild of rebuilds) {
    const old = findNamed(before.tables, rebuild.name);
    const made = findNamed(after.tables, rebuild.name);
    if (old === undefined || made === undefined || old.virtual || made.virtual) continue;
    const lost = lostConstraints({ old, made, before, after });
    const mark = await lostMark(simulated, rebuild, { old, made });
    if (mark !== null) lost.push(["lost-autoincrement", mark]);
    for (const [code, what] of lost) {
      faults.push({
        code,
        severity: "warning",
        place: rebuild.dropped,
        reason: `the new table "${rebuild.name}" no longer has ${what}`,
        fix: code === "lost-autoincrement" && made.autoincrement
          ? "copy the row of sqlite_sequence too, after the rename"
          : `add it to the new table's CREATE TABLE; if its removal is intended: -- lint:allow ${code}`,
      });
    }
    faults.push(...changedIndexes(simulated, rebuild));
  }
  return faults;
}

/** A table before and after a rebuild. */
interface Pair {
  readonly old: TableSchema;
  readonly made: TableSchema;
}

/** What the old table has and the new one lacks, for columns that still exist. */
function lostConstraints(
  { old, made, before, after }: Pair & { readonly before: Schema; readonly after: Schema },
): [LintCode, string][] {
  const isThere = (name: string) => findNamed(made.columns, name) !== undefined;
  const lost = lostChecks({ old, made });
  for (const key of old.foreignKeys) {
    const kept = made.foreignKeys.find((one) => sameNames(one.columns, key.columns));
    // A key with another target was changed on purpose.
    const isLost = kept === undefined ||
      sameName(kept.table, key.table) && actionsOf(kept) !== actionsOf(key);
    if (isLost && key.columns.every(isThere)) {
      lost.push(["lost-foreign-key", `the foreign key ${describeForeignKey(key)}`]);
    }
  }
  const keys = uniqueKeys(made, after);
  for (const names of uniqueKeys(old, before)) {
    if (!names.every((name) => isThere(name.replace(/ COLLATE .*/, "")))) continue;
    if (keys.some((one) => sameNames(one, names))) continue;
    const what = sameNames(names, primaryKey(old)) ? "the primary key" : "UNIQUE";
    lost.push(["lost-unique", `${what} ${describeNames(names)}`]);
  }
  for (const column of old.columns) {
    const other = findNamed(made.columns, column.name);
    if (other !== undefined) lost.push(...lostFromColumn(column, other));
  }
  if (old.autoincrement && !made.autoincrement) {
    lost.push(["lost-autoincrement", "AUTOINCREMENT: ids of deleted rows are reused"]);
  }
  if (old.strict && !made.strict) lost.push(["lost-option", "STRICT"]);
  if (old.withoutRowid && !made.withoutRowid) lost.push(["lost-option", "WITHOUT ROWID"]);
  for (const conflict of old.conflicts) {
    if (made.conflicts.some((one) => sameName(one, conflict))) continue;
    lost.push(["lost-option", `ON CONFLICT of ${conflict}`]);
  }
  return lost;
}

function lostFromColumn(old: ColumnSchema, made: ColumnSchema): [LintCode, string][] {
  const { name } = old;
  const lost: [LintCode, string][] = [];
  if (old.default !== null && made.default === null) {
    lost.push(["lost-default", `DEFAULT ${old.default} of column "${name}"`]);
  }
  if (old.notNull && !made.notNull && made.primaryKey === 0) {
    lost.push(["lost-not-null", `NOT NULL of column "${name}"`]);
  }
  if (old.collation !== "BINARY" && made.collation === "BINARY") {
    lost.push(["lost-collation", `COLLATE ${old.collation} of column "${name}"`]);
  }
  if (old.generated !== null && made.generated === null) {
    lost.push(["lost-option", `the expression of column "${name}" (${old.generated.expression})`]);
  }
  return lost;
}

/**
 * Sets of columns that are unique together: through the primary key, a UNIQUE constraint or a
 * unique index.
 */
function uniqueKeys(table: TableSchema, { indexes }: Schema): (readonly string[])[] {
  const key = primaryKey(table);
  const ofIndexes = indexes.filter((index) =>
    index.unique && index.where === null && sameName(index.table, table.name) &&
    index.columns.every(({ name }) => name !== null)
  ).map(({ columns }) => columns.map(({ name }) => name ?? ""));
  return [...key.length === 0 ? [] : [key], ...table.uniques, ...ofIndexes];
}

function primaryKey({ columns }: TableSchema): string[] {
  return columns.filter(({ primaryKey }) => primaryKey > 0).map(({ name }) => name);
}

function actionsOf(key: TableSchema["foreignKeys"][number]): string {
  return JSON.stringify([key.onUpdate, key.onDelete, key.deferred]);
}

/** The highest id ever used, which AUTOINCREMENT never reuses. */
async function lostMark(
  { run, rowCounts }: SimulatedUpgrade,
  { old: { sources } }: Rebuild,
  { old, made }: Pair,
): Promise<string | null> {
  if (!old.autoincrement || !made.autoincrement) return null;
  const isCopied = run.statements.some(({ sql }) => /\bsqlite_sequence\b/i.test(sql));
  if (isCopied) return null;
  const mark = await rowCounts.unusedMark(sources);
  return mark === null ? null : `the AUTOINCREMENT counter ${mark}: ids of deleted rows are reused`;
}

/** Indexes of the same name and columns that lost UNIQUE, an order, a collation or a condition. */
function changedIndexes({ before, after }: SimulatedUpgrade, { name, dropped }: Rebuild): Fault[] {
  return before.indexes.filter((index) => sameName(index.table, name)).flatMap((index) => {
    const made = findNamed(after.indexes, index.name);
    if (made === undefined || !sameName(made.table, name)) return [];
    const columnsOf = (one: IndexSchema) =>
      one.columns.map((column) => fold(column.name ?? "") || normalize(column.expression ?? ""));
    // An index on other columns was changed on purpose.
    if (columnsOf(index).join("\n") !== columnsOf(made).join("\n")) return [];
    const lost = [
      ...index.unique && !made.unique ? ["UNIQUE"] : [],
      ...index.columns.flatMap((column, at) => [
        ...column.descending && !made.columns[at]?.descending
          ? [`DESC of ${column.name ?? column.expression}`]
          : [],
        ...column.collation !== "BINARY" && made.columns[at]?.collation === "BINARY"
          ? [`COLLATE ${column.collation} of ${column.name ?? column.expression}`]
          : [],
      ]),
      ...index.where !== null && made.where === null ? [`WHERE ${onOneLine(index.where)}`] : [],
    ];
    if (lost.length === 0) return [];
    return [{
      code: "lost-index" as const,
      severity: "warning" as const,
      place: dropped,
      reason: `the new index "${index.name}" of "${name}" no longer has ${lost.join(", ")}`,
      fix: `create it as it was: ${onOneLine(index.sql)}`,
    }];
  });
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const spell = (names: readonly string[]) => JSON.stringify(names.map(fold).toSorted());
  return spell(a) === spell(b);
}

/** Indexes, triggers and views that a rebuild forgets, and views that it breaks. */
export function lostFaults(simulated: SimulatedUpgrade): Fault[] {
  return [
    ...simulated.rebuilds.flatMap((rebuild) => lostObjects(simulated, rebuild)),
    ...lostViews(simulated),
    ...brokenViews(simulated),
  ];
}

/** Checks that the new table neither has nor has changed, for columns that still exist. */
function lostChecks({ old, made }: Pair): [LintCode, string][] {
  const isIn = (checks: readonly CheckSchema[], { expression }: CheckSchema): boolean =>
    checks.some((one) => normalize(one.expression) === normalize(expression));
  const fresh = made.checks.filter((check) => !isIn(old.checks, check));
  return old.checks.filter((check) => !isIn(made.checks, check)).flatMap(
    (check): [LintCode, string][] => {
      const columns = columnsOf(check, old);
      const isGone = columns.length > 0 &&
        columns.every((column) => findNamed(made.columns, column) === undefined);
      const replacement = fresh.findIndex((one) => replaces(one, check, { old, made }));
      if (replacement !== -1) fresh.splice(replacement, 1);
      if (isGone || replacement !== -1) return [];
      return [["lost-check", `CHECK (${onOneLine(check.expression)})`]];
    },
  );
}

/**
 * Whether a new check is a changed old one: it has its name, or uses one of its columns or a new
 * one.
 */
function replaces(
  fresh: CheckSchema,
  check: CheckSchema,
  { old, made }: Pair,
): boolean {
  if (check.name !== null && fresh.name !== null) {
    if (sameName(check.name, fresh.name)) return true;
  }
  const columns = columnsOf(check, old);
  return columnsOf(fresh, made).some((column) =>
    columns.some((one) => sameName(one, column)) || findNamed(old.columns, column) === undefined
  );
}

function columnsOf(check: CheckSchema, table: TableSchema): string[] {
  return table.columns.map(({ name }) => name).filter((name) => mentions(check.expression, name));
}

/** Indexes and triggers that are dropped with the old table. */
function lostObjects(simulated: SimulatedUpgrade, { name, dropped }: Rebuild): Fault[] {
  const { before, after } = simulated;
  const columns = findNamed(after.tables, name)?.columns ?? [];
  const lost = (
    type: "index" | "trigger",
    { object, fix }: { readonly object: IndexSchema | TriggerSchema; readonly fix: string },
  ): Fault[] => {
    const others = type === "index" ? after.indexes : after.triggers;
    const isKept = !sameName(object.table, name) || findNamed(others, object.name) !== undefined ||
      isDroppedByHand(simulated, `drop-${type}`, object.name);
    return isKept ? [] : [{
      code: `lost-${type}`,
      severity: "warning",
      place: dropped,
      reason:
        `dropping the old table "${name}" drops ${type} "${object.name}", and nothing recreates it`,
      fix,
    }];
  };
  const isPossible = (index: IndexSchema): boolean =>
    index.columns.every((one) => one.name === null || findNamed(columns, one.name) !== undefined);
  const isThere = (index: IndexSchema): boolean =>
    after.indexes.some((other) => sameName(other.table, name) && sameTerms(other, index));
  return [
    ...before.indexes.filter((index) => isPossible(index) && !isThere(index)).flatMap((object) =>
      lost("index", { object, fix: `run it again after the rename: ${onOneLine(object.sql)}` })
    ),
    ...before.triggers.flatMap((object) =>
      lost("trigger", { object, fix: "recreate it after the rename" })
    ),
  ];
}

function sameTerms(a: IndexSchema, b: IndexSchema): boolean {
  const terms = ({ columns, where }: IndexSchema): string =>
    JSON.stringify([
      columns.map((one) => [fold(one.name ?? ""), normalize(one.expression ?? "")]),
      normalize(where ?? ""),
    ]);
  return terms(a) === terms(b);
}

/** Views of a rebuilt table must be dropped for its rename, and recreated. */
function lostViews({ before, after, rebuilds, run }: SimulatedUpgrade): Fault[] {
  return before.views.flatMap((view): Fault[] => {
    const place = run.statements.find((statement) =>
      statement.events.some(({ action, first }) =>
        action === "drop-view" && sameName(first, view.name)
      )
    );
    if (place === undefined || findNamed(after.views, view.name) !== undefined) return [];
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
    view.columns.length === 0 && (findNamed(before.views, view.name)?.columns.length ?? 0) > 0
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
    events.some((event) => event.action === action && sameName(event.first, name)) &&
    !events.some((event) => event.action === "drop-table" || event.action === "drop-view")
  );
}
