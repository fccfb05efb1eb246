import { describeColumn } from "./describe.ts";
import type { Difference } from "./difference.ts";
import type { ColumnSchema, GeneratedSchema, TableSchema } from "./model.ts";
import { fold, normalize, tokenize } from "../sql/tokens.ts";

/** The differences between the columns of two tables, their order included. */
export function compareColumns(expected: TableSchema, actual: TableSchema): Difference[] {
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
      `column "${name}" is ${typeOf(actual)}, and should be ${typeOf(expected)}`,
    );
  }
  if (expected.notNull && !actual.notNull) {
    details.push(`column "${name}" may be NULL, and should be NOT NULL`);
  } else if (!expected.notNull && actual.notNull) {
    details.push(`column "${name}" is NOT NULL, and should allow NULL`);
  }
  if (defaultOf(expected) !== defaultOf(actual)) {
    details.push(
      actual.default === null
        ? `"${name}" has no default, and should have ${expected.default}`
        : `the default of "${name}" is ${actual.default}, and should be ${
          expected.default ?? "none"
        }`,
    );
  }
  if (expected.collation !== actual.collation) {
    details.push(
      `column "${name}" is compared by ${actual.collation}, and should be by ${expected.collation}`,
    );
  }
  if (spellGenerated(expected.generated) !== spellGenerated(actual.generated)) {
    details.push(
      `column "${name}" is ${describeGenerated(actual.generated)}, and should be ${
        describeGenerated(expected.generated)
      }`,
    );
  }
  return details;
}

function typeOf(column: ColumnSchema): string {
  return column.type === "" ? "of no type" : column.type;
}

/** The key of a row, `INTEGER PRIMARY KEY`, is never NULL, whether the table says so or not. */
function isNotNull(column: ColumnSchema, table: TableSchema): boolean {
  const isRowid = column.primaryKey === 1 && fold(column.type) === "integer" &&
    !table.columns.some((other) => other.primaryKey > 1);
  return column.notNull || isRowid;
}

/** The default in one spelling: `0` and `0.0` are the same to a number, and `NULL` is no default. */
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
  return `columns are in another order: "${found[place]}" comes where "${wanted[place]}" should`;
}
