import { closing, fold, is, normalize, onOneLine, render, tokenize } from "../sql/tokens.ts";
import type {
  CheckSchema,
  ColumnSchema,
  Difference,
  ForeignKeySchema,
  GeneratedSchema,
  IndexColumn,
  IndexSchema,
  Schema,
  TableSchema,
  TriggerSchema,
  ViewSchema,
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
      differences.push(...compareTable(wanted, { table: found, schema: actual }));
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

/** How to name the objects of a type. */
interface Naming<T> {
  readonly type: Difference["type"];
  readonly tableOf: (object: T) => string | null;
}

/** How to compare the objects of a type. */
interface Comparison<T> extends Naming<T> {
  /** A description of the object after its name. */
  readonly about: (object: T) => string;
  /** The differences between two objects with the same name, in plain words. */
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
    return [`${index} is on table "${actual.table}", expected "${expected.table}"`];
  }
  const details: string[] = [];
  if (spellTerms(expected) !== spellTerms(actual)) {
    const wanted = describeTerms(expected);
    details.push(`${index} is on ${describeTerms(actual)}, expected ${wanted}`);
  }
  if (expected.unique !== actual.unique) {
    details.push(
      expected.unique
        ? `${index} is not unique, but should be`
        : `${index} is unique, but should not be`,
    );
  }
  if (normalize(expected.where ?? "") !== normalize(actual.where ?? "")) {
    const wanted = describeRows(expected);
    details.push(`${index} covers ${describeRows(actual)}, expected ${wanted}`);
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

/** The differences between the columns of two tables, including their order. */
function compareColumns(expected: TableSchema, actual: TableSchema): Difference[] {
  const found = new Map(actual.columns.map((column) => [fold(column.name), column]));
  const wanted = new Set(expected.columns.map((column) => fold(column.name)));
  const of = (kind: Difference["kind"], column: string, detail: string): Difference => {
    const table = expected.name;
    return { kind, type: "column", object: `${table}.${column}`, table, detail };
  };
  const differences = expected.columns.flatMap((column) => {
    const { name } = column;
    const other = found.get(fold(name));
    if (other === undefined) {
      return of("missing", name, `column "${name}" is missing (${describeColumn(column)})`);
    }
    const details = compareColumn(
      { ...column, notNull: isNotNull(column, expected) },
      { ...other, notNull: isNotNull(other, actual) },
    );
    return details.map((detail) => of("different", name, detail));
  });
  const extra = actual.columns.filter((column) => !wanted.has(fold(column.name)));
  differences.push(
    ...extra.map((column) =>
      of(
        "extra",
        column.name,
        `column "${column.name}" is not expected (${describeColumn(column)})`,
      )
    ),
  );
  const order = compareOrder(expected, actual);
  if (order !== null) {
    const { name } = expected;
    differences.push({
      kind: "different",
      type: "table",
      object: name,
      table: name,
      detail: order,
    });
  }
  return differences;
}

function compareColumn(expected: ColumnSchema, actual: ColumnSchema): string[] {
  const { name } = expected;
  const details: string[] = [];
  if (normalize(expected.type) !== normalize(actual.type)) {
    details.push(
      `column "${name}" is ${typeOf(actual)}, expected ${typeOf(expected)}`,
    );
  }
  if (expected.notNull && !actual.notNull) {
    details.push(`column "${name}" allows NULL, expected NOT NULL`);
  } else if (!expected.notNull && actual.notNull) {
    details.push(`column "${name}" is NOT NULL, but should allow NULL`);
  }
  if (defaultOf(expected) !== defaultOf(actual)) {
    details.push(
      actual.default === null
        ? `"${name}" has no default, expected ${expected.default}`
        : `the default of "${name}" is ${actual.default}, expected ${expected.default ?? "none"}`,
    );
  }
  if (expected.collation !== actual.collation) {
    details.push(
      `column "${name}" has the collation ${actual.collation}, expected ${expected.collation}`,
    );
  }
  if (spellGenerated(expected.generated) !== spellGenerated(actual.generated)) {
    details.push(
      `column "${name}" is ${describeGenerated(actual.generated)}, expected ${
        describeGenerated(expected.generated)
      }`,
    );
  }
  return details;
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

function compareOrder(expected: TableSchema, actual: TableSchema): string | null {
  const names = (table: TableSchema, other: TableSchema): string[] => {
    const known = new Set(other.columns.map((column) => fold(column.name)));
    return table.columns.map((column) => column.name).filter((name) => known.has(fold(name)));
  };
  const wanted = names(expected, actual);
  const found = names(actual, expected);
  const place = wanted.findIndex((name, at) => fold(name) !== fold(found[at] ?? ""));
  if (place === -1) return null;
  return `columns are in a different order: found "${found[place]}", expected "${wanted[place]}"`;
}

/** A table and its schema. */
interface PlacedTable {
  readonly table: TableSchema;
  readonly schema: Schema;
}

/** The differences in meaning between two tables with the same name. */
function compareTable(expected: PlacedTable, actual: PlacedTable): Difference[] {
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
      : [ofTable(`table "${wanted.name}" is defined as ${found.sql}, expected ${wanted.sql}`)];
  }
  const details = [
    ...compareKeys(wanted, found),
    ...compareForeignKeys(expected, actual),
    ...compareChecks(wanted, found),
    ...compareSets(wanted.conflicts, found.conflicts, {
      spell: fold,
      missing: (conflict) => `the ON CONFLICT rule of ${conflict} is missing`,
      extra: (conflict) => `the ON CONFLICT rule of ${conflict} is not expected`,
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
        `expected ${wanted.length === 0 ? "none" : describeNames(wanted)}`,
    );
  }
  const uniquesOf = (table: TableSchema): (readonly string[])[] =>
    table.uniques.filter((names) => spellNames(names) !== spellNames(primaryKeyOf(table)));
  details.push(...compareSets(uniquesOf(expected), uniquesOf(actual), {
    spell: spellNames,
    missing: (names) => `the UNIQUE constraint on ${describeNames(names)} is missing`,
    extra: (names) => `the UNIQUE constraint on ${describeNames(names)} is not expected`,
  }));
  return details;
}

function primaryKeyOf(table: TableSchema): string[] {
  return table.columns.filter((column) => column.primaryKey > 0)
    .toSorted((a, b) => a.primaryKey - b.primaryKey)
    .map((column) => column.name);
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
    missing: (key) => `the foreign key ${describeForeignKey(key)} is missing`,
    extra: (key) => `the foreign key ${describeForeignKey(key)} is not expected`,
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
    missing: ({ expression }) => `the check "${onOneLine(expression)}" is missing`,
    extra: ({ expression }) => `the check "${onOneLine(expression)}" is not expected`,
  });
}

/**
 * Canonical tokens without outer parentheses and without the table name before a column, which can only
 * be the check's own table and which a rebuild omits. SQLite reads "text" that names no column as a string.
 */
function spellCheck({ expression }: CheckSchema, columns: ReadonlySet<string>): string {
  let tokens = tokenize(expression).filter((token, at, all) =>
    !is(token, ".") && !is(all[at + 1], ".")
  );
  while (is(tokens[0], "(") && closing(tokens, 0) === tokens.length - 1) {
    tokens = tokens.slice(1, -1);
  }
  return render(
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

/** A list of names as SQL writes it, such as `(a, b)`. */
export function describeNames(names: readonly string[]): string {
  return `(${names.join(", ")})`;
}

/** A column without its name, such as `TEXT NOT NULL DEFAULT 'new'`. */
function describeColumn(column: ColumnSchema): string {
  const parts = [
    column.type,
    column.notNull ? "NOT NULL" : "",
    column.primaryKey > 0 ? "PRIMARY KEY" : "",
    column.default === null ? "" : `DEFAULT ${column.default}`,
    column.collation === "BINARY" ? "" : `COLLATE ${column.collation}`,
    column.generated === null ? "" : `AS (${column.generated.expression})`,
  ];
  return parts.filter((part) => part !== "").join(" ") || "of any type";
}

/** A foreign key, such as `(order_id) to orders (id), ON DELETE CASCADE`. */
export function describeForeignKey(key: ForeignKeySchema): string {
  const parts = [
    [describeNames(key.columns), "to", key.table, describeReferences(key)].join(" ").trim(),
    key.onUpdate === "NO ACTION" ? "" : `ON UPDATE ${key.onUpdate}`,
    key.onDelete === "NO ACTION" ? "" : `ON DELETE ${key.onDelete}`,
    key.deferred ? "checked at commit" : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function describeReferences(key: ForeignKeySchema): string {
  return key.references.length === 0 ? "" : describeNames(key.references);
}

/** The terms of an index, such as `(a, b DESC)`. */
export function describeTerms(index: IndexSchema): string {
  return describeNames(index.columns.map(describeTerm));
}

function describeTerm(column: IndexColumn): string {
  const term = column.name ?? column.expression ?? "";
  const collation = column.collation === "BINARY" ? "" : ` COLLATE ${column.collation}`;
  return `${term}${collation}${column.descending ? " DESC" : ""}`;
}
