import { canonicalSpelling, fold, normalize, onOneLine, tokenIs, tokenize } from "../sql/tokens.ts";
import { closingParenthesis } from "../sql/parentheses.ts";
import {
  type CheckSchema,
  type ColumnSchema,
  describeColumn,
  describeForeignKey,
  describeNames,
  describeTerms,
  type Difference,
  type ForeignKeySchema,
  type GeneratedSchema,
  type IndexSchema,
  primaryKeyOf,
  type Schema,
  type TableSchema,
  type TriggerSchema,
  type ViewSchema,
} from "./model.ts";

/**
 * Compares the meaning of two schemas. Ignores white space, comments, the case of names, the names of
 * constraints, parentheses around a check, and the table name before a column in a check. Other
 * spellings of the same rule are differences. Differences are in the order of the expected schema,
 * tables first; extra objects come last within their type.
 *
 * @example Compare two schemas
 * ```ts
 * import { compareSchemas, parseSchema } from "@catalyst/migrate/schema";
 *
 * const { schema: expected } = await parseSchema("CREATE TABLE notes (body TEXT NOT NULL)");
 * const { schema: actual } = await parseSchema("create table Notes (body text)");
 * const [difference] = compareSchemas(expected, actual);
 * console.assert(difference?.object === "notes.body" && difference.kind === "different");
 * ```
 */
export function compareSchemas(expected: Schema, actual: Schema): Difference[] {
  const views = byName(actual.views);
  return [
    ...compareAll(expected.tables, actual.tables, {
      type: "table",
      placeOf: ({ name }) => ({ object: name, table: name }),
      missing: ({ name }) =>
        `table "${name}" is missing${views.has(fold(name)) ? ", and a view has its name" : ""}`,
      compare: (table, found) =>
        compareTable({ table, schema: expected }, { table: found, schema: actual }),
    }),
    ...compareAll(expected.indexes, actual.indexes, {
      type: "index",
      placeOf: ({ name, table }) => ({ object: name, table }),
      missing: (index) =>
        `index "${index.name}" on ${index.table} ${describeTerms(index)} is missing`,
      compare: compareIndex,
    }),
    ...compareAll(expected.views, actual.views, {
      type: "view",
      placeOf: ({ name }) => ({ object: name, table: null }),
      missing: ({ name }) => `view "${name}" is missing`,
      compare: compareView,
    }),
    ...compareAll(expected.triggers, actual.triggers, {
      type: "trigger",
      placeOf: ({ name, table }) => ({ object: name, table }),
      missing: ({ name, table }) => `trigger "${name}" of ${table} is missing`,
      compare: compareTrigger,
    }),
  ];
}

interface Named {
  readonly name: string;
}

/** How to compare the objects of one type. */
interface Comparison<T> {
  readonly type: Difference["type"];
  readonly placeOf: (object: T) => Pick<Difference, "object" | "table">;
  /** Says that an object is missing. */
  readonly missing: (object: T) => string;
  /** A description of an unexpected object after its name. Default: none. */
  readonly about?: (object: T) => string;
  /** The differences between two objects with the same name; a text is about the object itself. */
  readonly compare: (expected: T, actual: T) => readonly (string | Difference)[];
}

function compareAll<T extends Named>(
  expected: readonly T[],
  actual: readonly T[],
  { type, placeOf, missing, about = () => "", compare }: Comparison<T>,
): Difference[] {
  const wanted = byName(expected);
  const found = byName(actual);
  const of = (kind: Difference["kind"], object: T, detail: string): Difference => {
    return { kind, type, ...placeOf(object), detail };
  };
  return [
    ...expected.flatMap((object) => {
      const other = found.get(fold(object.name));
      if (other === undefined) return [of("missing", object, missing(object))];
      return compare(object, other)
        .map((one) => typeof one === "string" ? of("different", object, one) : one);
    }),
    ...actual.filter(({ name }) => !wanted.has(fold(name))).map((object) =>
      of("extra", object, `${type} "${object.name}" is not expected${about(object)}`)
    ),
  ];
}

function byName<T extends Named>(objects: readonly T[]): Map<string, T> {
  return new Map(objects.map((object) => [fold(object.name), object]));
}

function compareIndex(expected: IndexSchema, actual: IndexSchema): string[] {
  const index = `index "${expected.name}"`;
  if (fold(expected.table) !== fold(actual.table)) {
    return [`${index} is on table "${actual.table}", expected "${expected.table}"`];
  }
  return textsOf(
    spellTerms(expected) !== spellTerms(actual) &&
      `${index} is on ${describeTerms(actual)}, expected ${describeTerms(expected)}`,
    expected.unique && !actual.unique && `${index} is not unique, but should be`,
    !expected.unique && actual.unique && `${index} is unique, but should not be`,
    normalize(expected.where ?? "") !== normalize(actual.where ?? "") &&
      `${index} covers ${describeRows(actual)}, expected ${describeRows(expected)}`,
  );
}

/** The texts without those whose condition is false. */
function textsOf(...texts: readonly (string | false)[]): string[] {
  return texts.filter((text) => text !== false);
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
  // If it does not work although its text is right, another difference is the cause.
  if (normalize(expected.sql) === normalize(actual.sql)) return [];
  if (actual.columns.length === 0 && expected.columns.length > 0) {
    return [`${view} cannot be read: a table or column that it uses is missing`];
  }
  const wanted = describeNames(expected.columns);
  const found = describeNames(actual.columns);
  if (expected.columns.length > 0 && fold(wanted) !== fold(found)) {
    return [`${view} has the columns ${found}, expected ${wanted}`];
  }
  return [`${view} differs from the expected definition`];
}

function compareTrigger(expected: TriggerSchema, actual: TriggerSchema): string[] {
  const same = fold(expected.table) === fold(actual.table) &&
    normalize(expected.sql) === normalize(actual.sql);
  return same ? [] : [`trigger "${expected.name}" differs from the expected definition`];
}

/** A table and its schema. */
interface PlacedTable {
  readonly table: TableSchema;
  readonly schema: Schema;
}

/** The differences in meaning between two tables with the same name. */
function compareTable(expected: PlacedTable, actual: PlacedTable): (string | Difference)[] {
  const wanted = expected.table;
  const found = actual.table;
  if (wanted.sql === found.sql) return [];
  if (wanted.virtual || found.virtual) {
    return normalize(wanted.sql) === normalize(found.sql)
      ? []
      : [`table "${wanted.name}" is defined as ${found.sql}, expected ${wanted.sql}`];
  }
  return [
    ...compareAll(wanted.columns, found.columns, {
      type: "column",
      placeOf: ({ name }) => ({ object: `${wanted.name}.${name}`, table: wanted.name }),
      missing: (column) => `column "${column.name}" is missing (${describeColumn(column)})`,
      about: (column) => ` (${describeColumn(column)})`,
      compare: (column, other) =>
        compareColumn(
          { ...column, notNull: isNotNull(column, wanted) },
          { ...other, notNull: isNotNull(other, found) },
        ),
    }),
    ...compareOrder(wanted, found),
    ...compareKeys(wanted, found),
    ...compareForeignKeys(expected, actual),
    ...compareChecks(wanted, found),
    ...compareSets(wanted.conflicts, found.conflicts, {
      spell: fold,
      describe: (conflict) => `the ON CONFLICT rule of ${conflict}`,
    }),
    ...compareOptions(wanted, found),
  ];
}

function compareColumn(expected: ColumnSchema, actual: ColumnSchema): string[] {
  const { name } = expected;
  return textsOf(
    normalize(expected.type) !== normalize(actual.type) &&
      `column "${name}" is ${typeOf(actual)}, expected ${typeOf(expected)}`,
    expected.notNull && !actual.notNull && `column "${name}" allows NULL, expected NOT NULL`,
    !expected.notNull && actual.notNull &&
      `column "${name}" is NOT NULL, but should allow NULL`,
    defaultOf(expected) !== defaultOf(actual) &&
      (actual.default === null
        ? `"${name}" has no default, expected ${expected.default}`
        : `the default of "${name}" is ${actual.default}, expected ${expected.default ?? "none"}`),
    expected.collation !== actual.collation &&
      `column "${name}" has the collation ${actual.collation}, expected ${expected.collation}`,
    spellGenerated(expected.generated) !== spellGenerated(actual.generated) &&
      `column "${name}" is ${describeGenerated(actual.generated)}, expected ${
        describeGenerated(expected.generated)
      }`,
  );
}

function typeOf(column: ColumnSchema): string {
  return column.type === "" ? "of no type" : column.type;
}

/** An `INTEGER PRIMARY KEY` is never NULL, even without NOT NULL. */
function isNotNull(column: ColumnSchema, table: TableSchema): boolean {
  const isRowid = column.primaryKey === 1 && fold(column.type) === "integer" &&
    !table.columns.some((other) => other.primaryKey > 1);
  return column.notNull || isRowid;
}

/** Canonical default: `0` and `0.0` are the same number, and `NULL` means no default. */
function defaultOf(column: ColumnSchema): string {
  const tokens = tokenize(column.default ?? "null");
  const [first, second] = tokens;
  if (tokens.length === 1 && first?.kind === "quoted" && first.text.startsWith('"')) {
    return `'${first.value.replaceAll("'", "''")}'`;
  }
  const isNumber = tokens.length === 1 && first?.kind === "number" ||
    tokens.length === 2 && first?.kind === "operator" && second?.kind === "number";
  const keepsText = /^$|char|clob|text|blob|any/i.test(column.type) && !/int/i.test(column.type);
  const spelling = normalize(column.default ?? "null");
  if (!isNumber) return spelling;
  const compact = spelling.replace(/^\+ ?|(?<=^-) /, "");
  const value = Number(compact);
  return keepsText || Math.abs(value) > Number.MAX_SAFE_INTEGER || Number.isNaN(value)
    ? compact
    : String(value);
}

function spellGenerated(generated: GeneratedSchema | null): string {
  return generated === null ? "" : `${generated.kind} ${normalize(generated.expression)}`;
}

function describeGenerated(generated: GeneratedSchema | null): string {
  return generated === null
    ? "an ordinary column"
    : `computed as (${generated.expression}), ${generated.kind}`;
}

function compareOrder(expected: TableSchema, actual: TableSchema): string[] {
  const common = ({ columns }: TableSchema, other: TableSchema): string[] => {
    const known = byName(other.columns);
    return columns.map(({ name }) => name).filter((name) => known.has(fold(name)));
  };
  const wanted = common(expected, actual);
  const found = common(actual, expected);
  const place = wanted.findIndex((name, at) => fold(name) !== fold(found[at] ?? ""));
  if (place === -1) return [];
  return [`columns are in a different order: found "${found[place]}", expected "${wanted[place]}"`];
}

function compareKeys(expected: TableSchema, actual: TableSchema): string[] {
  const wanted = primaryKeyOf(expected);
  const found = primaryKeyOf(actual);
  const describe = (names: readonly string[], none: string) =>
    names.length === 0 ? none : describeNames(names);
  const uniquesOf = (table: TableSchema): (readonly string[])[] =>
    table.uniques.filter((names) => spellNames(names) !== spellNames(primaryKeyOf(table)));
  return [
    ...textsOf(
      fold(wanted.join()) !== fold(found.join()) &&
        `the primary key is ${describe(found, "missing")}, expected ${describe(wanted, "none")}`,
    ),
    ...compareSets(uniquesOf(expected), uniquesOf(actual), {
      spell: spellNames,
      describe: (names) => `the UNIQUE constraint on ${describeNames(names)}`,
    }),
  ];
}

/** Names in sorted order, because the order of columns in a UNIQUE constraint does not matter. */
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
    describe: (key) => `the foreign key ${describeForeignKey(key)}`,
  });
}

function spellForeignKey(key: ForeignKeySchema): string {
  const { columns, references, onUpdate, onDelete, deferred } = key;
  const pairs = columns.map((column, at) => [fold(column), fold(references[at] ?? "")].join("\n"));
  return JSON.stringify([fold(key.table), pairs.toSorted(), onUpdate, onDelete, deferred]);
}

function compareChecks(expected: TableSchema, actual: TableSchema): string[] {
  const columns = new Set(expected.columns.map(({ name }) => fold(name)));
  return compareSets(expected.checks, actual.checks, {
    spell: (check) => spellCheck(check, columns),
    describe: ({ expression }) => `the check "${onOneLine(expression)}"`,
  });
}

/**
 * Canonical tokens without outer parentheses and without the table name before a column, which can only
 * be the check's own table and which a rebuild omits. SQLite reads "text" that names no column as a string.
 */
function spellCheck({ expression }: CheckSchema, columns: ReadonlySet<string>): string {
  let tokens = tokenize(expression).filter((token, at, all) =>
    !tokenIs(token, ".") && !tokenIs(all[at + 1], ".")
  );
  while (tokenIs(tokens[0], "(") && closingParenthesis(tokens, 0) === tokens.length - 1) {
    tokens = tokens.slice(1, -1);
  }
  return canonicalSpelling(
    tokens.map((token) =>
      token.text.startsWith('"') && !columns.has(fold(token.value))
        ? { ...token, kind: "string", text: `'${token.value.replaceAll("'", "''")}'` }
        : token
    ),
  );
}

function compareOptions(expected: TableSchema, actual: TableSchema): string[] {
  const options = [
    ["autoincrement", "AUTOINCREMENT"],
    ["withoutRowid", "WITHOUT ROWID"],
    ["strict", "STRICT"],
  ] as const;
  return options.filter(([key]) => expected[key] !== actual[key]).map(([key, words]) =>
    expected[key]
      ? `the table is not ${words}, but should be`
      : `the table is ${words}, but should not be`
  );
}

/** How to compare two lists regardless of order. */
interface SetComparison<T> {
  /** Returns the same text for items with the same meaning. */
  readonly spell: (item: T) => string;
  readonly describe: (item: T) => string;
}

function compareSets<T>(
  expected: readonly T[],
  actual: readonly T[],
  { spell, describe }: SetComparison<T>,
): string[] {
  const wanted = new Map(expected.map((item) => [spell(item), item]));
  const found = new Map(actual.map((item) => [spell(item), item]));
  return [
    ...[...wanted].filter(([key]) => !found.has(key)).map(([, item]) =>
      `${describe(item)} is missing`
    ),
    ...[...found].filter(([key]) => !wanted.has(key)).map(([, item]) =>
      `${describe(item)} is not expected`
    ),
  ];
}
