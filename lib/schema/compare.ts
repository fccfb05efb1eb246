import { compareTable } from "./compare_table.ts";
import { describeNames, describeTerms } from "./describe.ts";
import type { Difference } from "./difference.ts";
import type { IndexSchema, Schema, TriggerSchema, ViewSchema } from "./model.ts";
import { fold, normalize } from "../sql/tokens.ts";

/**
 * Compares two schemas by meaning: white space, comments, the case of names, the names of
 * constraints and other spellings of the same rule make no difference. Differences come in the
 * order of the expected schema, tables first; what is extra comes last of its type.
 *
 * @example Compare two schemas
 * ```ts
 * import { compareSchemas, parseSchema } from "@catalyst/migrate/schema";
 *
 * const { schema: expected } = await parseSchema("CREATE TABLE notes (body TEXT NOT NULL)");
 * const { schema: actual } = await parseSchema("create table Notes (body text)");
 * const [difference] = await compareSchemas(expected, actual);
 * console.assert(difference?.object === "notes.body" && difference.kind === "different");
 * ```
 */
export async function compareSchemas(expected: Schema, actual: Schema): Promise<Difference[]> {
  const differences: Difference[] = [];
  const tables = byName(actual.tables);
  for (const table of expected.tables) {
    const { name } = table;
    const found = tables.get(fold(name));
    if (found === undefined) {
      const view = actual.views.some((other) => fold(other.name) === fold(name));
      const detail = `table "${name}" is missing${view ? ", and a view has its name" : ""}`;
      differences.push({ kind: "missing", type: "table", object: name, table: name, detail });
    } else {
      const wanted = { table, schema: expected };
      differences.push(...await compareTable(wanted, { table: found, schema: actual }));
    }
  }
  return [
    ...differences,
    ...extras({ expected: expected.tables, actual: actual.tables }, {
      type: "table",
      tableOf: (table) => table.name,
    }),
    ...compareAll({ expected: expected.indexes, actual: actual.indexes }, {
      type: "index",
      tableOf: (index) => index.table,
      about: (index) => ` on ${index.table} ${describeTerms(index)}`,
      compare: compareIndex,
    }),
    ...compareAll({ expected: expected.views, actual: actual.views }, {
      type: "view",
      tableOf: () => null,
      about: () => "",
      compare: compareView,
    }),
    ...compareAll({ expected: expected.triggers, actual: actual.triggers }, {
      type: "trigger",
      tableOf: (trigger) => trigger.table,
      about: (trigger) => ` of ${trigger.table}`,
      compare: compareTrigger,
    }),
  ];
}

interface Named {
  readonly name: string;
}

/** The objects of one type. */
interface Sides<T> {
  readonly expected: readonly T[];
  readonly actual: readonly T[];
}

/** How the objects of a type are named. */
interface Naming<T> {
  readonly type: Difference["type"];
  readonly tableOf: (object: T) => string | null;
}

/** How the objects of a type are compared. */
interface Comparison<T> extends Naming<T> {
  /** What tells a person which object it is, behind its name. */
  readonly about: (object: T) => string;
  /** The differences of two objects of the same name, in plain words. */
  readonly compare: (expected: T, actual: T) => string[];
}

function compareAll<T extends Named>(sides: Sides<T>, comparison: Comparison<T>): Difference[] {
  const { type, tableOf, about, compare } = comparison;
  const others = byName(sides.actual);
  const differences = sides.expected.flatMap((object): Difference[] => {
    const { name } = object;
    const common = { type, object: name, table: tableOf(object) };
    const other = others.get(fold(name));
    if (other === undefined) {
      const detail = `${type} "${name}"${about(object)} is missing`;
      return [{ kind: "missing", ...common, detail }];
    }
    const details = compare(object, other);
    return details.map((detail) => ({ kind: "different", ...common, detail }));
  });
  return [...differences, ...extras(sides, comparison)];
}

function extras<T extends Named>(sides: Sides<T>, { type, tableOf }: Naming<T>): Difference[] {
  const known = byName(sides.expected);
  return sides.actual.filter((object) => !known.has(fold(object.name))).map((object) => ({
    kind: "extra",
    type,
    object: object.name,
    table: tableOf(object),
    detail: `${type} "${object.name}" is not expected`,
  }));
}

function byName<T extends Named>(objects: readonly T[]): Map<string, T> {
  return new Map(objects.map((object) => [fold(object.name), object]));
}

function compareIndex(expected: IndexSchema, actual: IndexSchema): string[] {
  const index = `index "${expected.name}"`;
  if (fold(expected.table) !== fold(actual.table)) {
    return [`${index} is of table "${actual.table}", and should be of "${expected.table}"`];
  }
  const details: string[] = [];
  if (spellTerms(expected) !== spellTerms(actual)) {
    const wanted = describeTerms(expected);
    details.push(`${index} is on ${describeTerms(actual)}, and should be on ${wanted}`);
  }
  if (expected.unique !== actual.unique) {
    details.push(
      expected.unique
        ? `${index} is not unique, and should be`
        : `${index} is unique, and should not be`,
    );
  }
  if (normalize(expected.where ?? "") !== normalize(actual.where ?? "")) {
    const wanted = describeRows(expected);
    details.push(`${index} holds ${describeRows(actual)}, and should hold ${wanted}`);
  }
  return details;
}

function spellTerms(index: IndexSchema): string {
  return JSON.stringify(index.columns.map(({ name, expression, descending, collation }) => [
    ...[name === null ? null : fold(name), expression === null ? null : normalize(expression)],
    ...[descending, collation],
  ]));
}

function describeRows(index: IndexSchema): string {
  return index.where === null ? "all rows" : `only rows with ${index.where}`;
}

function compareView(expected: ViewSchema, actual: ViewSchema): string[] {
  const view = `view "${expected.name}"`;
  if (actual.columns.length === 0 && expected.columns.length > 0) {
    return [`${view} can't be read: a table or column that it uses is missing`];
  }
  const wanted = describeNames(expected.columns);
  const found = describeNames(actual.columns);
  if (expected.columns.length > 0 && fold(wanted) !== fold(found)) {
    return [`${view} has the columns ${found}, and should have ${wanted}`];
  }
  return normalize(expected.sql) === normalize(actual.sql)
    ? []
    : [`${view} computes its rows in another way`];
}

function compareTrigger(expected: TriggerSchema, actual: TriggerSchema): string[] {
  const same = fold(expected.table) === fold(actual.table) &&
    normalize(expected.sql) === normalize(actual.sql);
  return same ? [] : [`trigger "${expected.name}" does something else than it should`];
}
