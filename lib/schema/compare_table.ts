import { compareColumns } from "./compare_columns.ts";
import { describeForeignKey, describeNames } from "./describe.ts";
import type { Difference } from "./difference.ts";
import { unmatchedChecks } from "./equivalence.ts";
import type { ForeignKeySchema, Schema, TableSchema } from "./model.ts";
import { fold, normalize } from "../sql/tokens.ts";

/** A table and the schema that it is part of. */
export interface PlacedTable {
  readonly table: TableSchema;
  readonly schema: Schema;
}

/** The differences between two tables of one name, by meaning. */
export async function compareTable(
  expected: PlacedTable,
  actual: PlacedTable,
): Promise<Difference[]> {
  const wanted = expected.table;
  const found = actual.table;
  if (wanted.sql === found.sql) return [];
  const ofTable = (detail: string): Difference => {
    const { name } = wanted;
    return { kind: "different", type: "table", object: name, table: name, detail };
  };
  if (wanted.virtual || found.virtual) {
    return normalize(wanted.sql) === normalize(found.sql)
      ? []
      : [ofTable(`table "${wanted.name}" is made as ${found.sql}, and should be as ${wanted.sql}`)];
  }
  const details = [
    ...compareKeys(wanted, found),
    ...compareForeignKeys(expected, actual),
    ...await compareChecks(wanted, found),
    ...compareSets(wanted.conflicts, found.conflicts, {
      spell: fold,
      missing: (conflict) => `the rule ON CONFLICT of ${conflict} is missing`,
      extra: (conflict) => `the rule ON CONFLICT of ${conflict} is not expected`,
    }),
    ...compareOptions(wanted, found),
  ];
  return [...compareColumns(wanted, found), ...details.map(ofTable)];
}

function compareKeys(expected: TableSchema, actual: TableSchema): string[] {
  const details: string[] = [];
  const wanted = primaryKeyOf(expected);
  const found = primaryKeyOf(actual);
  if (fold(wanted.join()) !== fold(found.join())) {
    details.push(
      `the primary key is ${found.length === 0 ? "missing" : describeNames(found)}, ` +
        `and should be ${wanted.length === 0 ? "none" : describeNames(wanted)}`,
    );
  }
  const uniquesOf = (table: TableSchema): (readonly string[])[] =>
    table.uniques.filter((names) => spellNames(names) !== spellNames(primaryKeyOf(table)));
  details.push(...compareSets(uniquesOf(expected), uniquesOf(actual), {
    spell: spellNames,
    missing: (names) => `the rule that ${describeNames(names)} is unique is missing`,
    extra: (names) => `${describeNames(names)} must be unique, and need not be`,
  }));
  return details;
}

function primaryKeyOf(table: TableSchema): string[] {
  return table.columns.filter((column) => column.primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey)
    .map((column) => column.name);
}

/** Names without regard to their order: unique together is unique in any order. */
function spellNames(names: readonly string[]): string {
  return JSON.stringify(names.map(fold).toSorted());
}

function compareForeignKeys(expected: PlacedTable, actual: PlacedTable): string[] {
  const resolve = ({ table, schema }: PlacedTable): ForeignKeySchema[] =>
    table.foreignKeys.map((key) => {
      if (key.references.length > 0) return key;
      const parent = schema.tables.find((other) => fold(other.name) === fold(key.table));
      return { ...key, references: parent === undefined ? [] : primaryKeyOf(parent) };
    });
  return compareSets(resolve(expected), resolve(actual), {
    spell: spellForeignKey,
    missing: (key) => `the foreign key ${describeForeignKey(key)} is missing`,
    extra: (key) => `the foreign key ${describeForeignKey(key)} is not expected`,
  });
}

function spellForeignKey(key: ForeignKeySchema): string {
  const { columns, references, onUpdate, onDelete, deferred } = key;
  const pairs = columns.map((column, at) => [fold(column), fold(references[at] ?? "")].join("\n"));
  return JSON.stringify([fold(key.table), pairs.toSorted(), onUpdate, onDelete, deferred]);
}

async function compareChecks(expected: TableSchema, actual: TableSchema): Promise<string[]> {
  if (expected.checks.length === 0 && actual.checks.length === 0) return [];
  const { missing, extra } = await unmatchedChecks(expected.checks, actual.checks, {
    table: expected.name,
    columns: expected.columns,
  });
  return [
    ...missing.map(({ expression }) => `the check "${oneLine(expression)}" is missing`),
    ...extra.map(({ expression }) => `the check "${oneLine(expression)}" is not expected`),
  ];
}

function oneLine(sql: string): string {
  return sql.replace(/\s+/g, " ").trim();
}

function compareOptions(expected: TableSchema, actual: TableSchema): string[] {
  const options = [
    ["autoincrement", "AUTOINCREMENT"],
    ["withoutRowid", "WITHOUT ROWID"],
    ["strict", "STRICT"],
  ] as const;
  return options.filter(([key]) => expected[key] !== actual[key]).map(([key, words]) =>
    expected[key]
      ? `the table is not ${words}, and should be`
      : `the table is ${words}, and should not be`
  );
}

/** How two lists are compared whose order means nothing. */
interface SetComparison<T> {
  /** The same text for what means the same. */
  readonly spell: (item: T) => string;
  readonly missing: (item: T) => string;
  readonly extra: (item: T) => string;
}

function compareSets<T>(
  expected: readonly T[],
  actual: readonly T[],
  { spell, missing, extra }: SetComparison<T>,
): string[] {
  const wanted = new Map(expected.map((item) => [spell(item), item]));
  const found = new Map(actual.map((item) => [spell(item), item]));
  return [
    ...[...wanted].filter(([key]) => !found.has(key)).map(([, item]) => missing(item)),
    ...[...found].filter(([key]) => !wanted.has(key)).map(([, item]) => extra(item)),
  ];
}
