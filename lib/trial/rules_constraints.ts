import { describeForeignKey, describeNames } from "../schema/compare.ts";
import type { ColumnSchema, IndexSchema, Schema, TableSchema } from "../schema/model.ts";
import { fold, normalize, onOneLine, quoteName } from "../sql/tokens.ts";
import type { Fault, LintCode } from "./finding.ts";
import type { Rebuild } from "./lineage.ts";
import { mismatch, type SimulatedUpgrade } from "./simulation.ts";
import type { RecordedStatement } from "./recorder.ts";

/** What a rebuild drops from the new table, or from an index of the same name. */
export async function constraintFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { before, after, rebuilds } = simulated;
  const faults: Fault[] = [];
  for (const rebuild of rebuilds) {
    const old = find(before.tables, rebuild.name);
    const made = find(after.tables, rebuild.name);
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
  const isThere = (name: string) => find(made.columns, name) !== undefined;
  const lost: [LintCode, string][] = [];
  for (const key of old.foreignKeys) {
    const kept = made.foreignKeys.find((one) => sameNames(one.columns, key.columns));
    // A key with another target was changed on purpose.
    const isLost = kept === undefined ||
      fold(kept.table) === fold(key.table) && actionsOf(kept) !== actionsOf(key);
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
    const other = find(made.columns, column.name);
    if (other !== undefined) lost.push(...lostFromColumn(column, other));
  }
  if (old.autoincrement && !made.autoincrement) {
    lost.push(["lost-autoincrement", "AUTOINCREMENT: ids of deleted rows are reused"]);
  }
  if (old.strict && !made.strict) lost.push(["lost-option", "STRICT"]);
  if (old.withoutRowid && !made.withoutRowid) lost.push(["lost-option", "WITHOUT ROWID"]);
  for (const conflict of old.conflicts) {
    if (made.conflicts.some((one) => fold(one) === fold(conflict))) continue;
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
    index.unique && index.where === null && fold(index.table) === fold(table.name) &&
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
  return before.indexes.filter((index) => fold(index.table) === fold(name)).flatMap((index) => {
    const made = find(after.indexes, index.name);
    if (made === undefined || fold(made.table) !== fold(name)) return [];
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

function find<T extends { readonly name: string }>(
  list: readonly T[],
  name: string,
): T | undefined {
  return list.find((one) => fold(one.name) === fold(name));
}

/** New views, triggers and foreign keys that refer to missing objects, and names that are taken. */
export async function referenceFaults(simulated: SimulatedUpgrade): Promise<Fault[]> {
  const { before, after, run, lineages } = simulated;
  const isNew = ({ name, sql }: Named, list: readonly Named[]) =>
    !list.some((one) => fold(one.name) === fold(name) && one.sql === sql);
  const faults: Fault[] = [];
  const add = (what: string, reason: string, sql: string) =>
    faults.push({
      code: "missing-reference",
      severity: "warning",
      place: run.statements.find((statement) => normalize(statement.sql) === normalize(sql)),
      reason: `${what} can't be used: ${reason}`,
      fix: "create what it refers to first, or correct the name",
    });
  for (const view of after.views) {
    if (view.columns.length > 0 || !isNew(view, before.views)) continue;
    const reason = await missing(simulated, `SELECT 1 FROM main.${quoteName(view.name)}`);
    if (reason !== null) add(`view "${view.name}"`, reason, view.sql);
  }
  for (const trigger of after.triggers) {
    if (!isNew(trigger, before.triggers)) continue;
    const table = after.tables.find(({ name }) => fold(name) === fold(trigger.table));
    const column = table?.columns.find(({ generated }) => generated === null);
    if (table === undefined || column === undefined) continue;
    const [name, key] = [quoteName(table.name), quoteName(column.name)];
    const uses = [
      `INSERT INTO main.${name} (${key}) VALUES (NULL)`,
      `UPDATE main.${name} SET ${
        table.columns.filter(({ generated }) => generated === null)
          .map((one) => `${quoteName(one.name)} = NULL`).join(", ")
      }`,
      `DELETE FROM main.${name}`,
    ];
    for (const use of uses) {
      const reason = await missing(simulated, `EXPLAIN ${use}`);
      if (reason === null) continue;
      add(`trigger "${trigger.name}"`, reason, trigger.sql);
      break;
    }
  }
  for (const table of after.tables) {
    const former = before.tables.find(({ name }) => fold(name) === fold(table.name));
    for (const key of table.foreignKeys) {
      const isThere = after.tables.some(({ name }) => fold(name) === fold(key.table));
      const isOld = former?.foreignKeys.some((one) => fold(one.table) === fold(key.table));
      // If it follows a table that is renamed and dropped, the order of the rebuild is wrong.
      const isGone = lineages.some(({ dropped, name }) =>
        dropped !== null && fold(name) === fold(key.table)
      );
      if (isThere || isOld || isGone) continue;
      add(`the foreign key of table "${table.name}"`, `no such table: ${key.table}`, table.sql);
    }
  }
  const fresh = after.tables.filter((table) =>
    table.foreignKeys.length > 0 && isNew(table, before.tables)
  );
  const message = fresh.length === 0 ? null : await mismatch(simulated.scratch);
  const unfit = fresh.find(({ name }) => message?.startsWith(`foreign key mismatch - "${name}" `));
  if (unfit !== undefined && message !== null) {
    add(`the foreign key of table "${unfit.name}"`, message, unfit.sql);
  }
  return [...faults, ...run.statements.flatMap((statement) => takenName(simulated, statement))];
}

interface Named {
  readonly name: string;
  readonly sql: string;
}

/**
 * What SQLite reports as missing when it compiles a statement. Functions and collations may be the
 * bot's own.
 */
async function missing({ scratch }: SimulatedUpgrade, sql: string): Promise<string | null> {
  if (scratch.missing.length > 0) return null;
  try {
    await scratch.connection.get(sql);
    return null;
  } catch (error) {
    const message = error instanceof Error && error.cause instanceof Error
      ? error.cause.message
      : String(error);
    return /^no such (table|column)/.test(message) ? message : null;
  }
}

const IF_NOT_EXISTS =
  /^\s*CREATE\s+(?:UNIQUE\s+|VIRTUAL\s+)?(TABLE|INDEX|VIEW|TRIGGER)\s+IF\s+NOT\s+EXISTS\s+/i;

/** `IF NOT EXISTS` does nothing if an object of that name exists, whatever its definition. */
function takenName({ before }: SimulatedUpgrade, statement: RecordedStatement): Fault[] {
  const type = IF_NOT_EXISTS.exec(statement.sql)?.[1]?.toLowerCase();
  if (type === undefined || statement.forbidden !== null) return [];
  const written = normalize(statement.sql).replace(/ if not exists /, " ");
  const all = [...before.tables, ...before.indexes, ...before.views, ...before.triggers];
  const taken = all.find(({ name, sql }) => {
    const own = normalize(sql);
    const [start = ""] = /^create (?:unique |virtual )?\w+ \S+/.exec(own) ?? [];
    return written.startsWith(`${start} `) && written !== own && name !== "";
  });
  if (taken === undefined) return [];
  return [{
    code: "name-taken",
    severity: "warning",
    place: statement,
    reason: `it does nothing: ${type} "${taken.name}" already exists, created by ` +
      "a different statement",
    fix: "choose another name, or change the existing object",
  }];
}
