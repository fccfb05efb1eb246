import type { SQLInputValue } from "node:sqlite";
import type { Values } from "./fixture.ts";
import {
  type ColumnCheck,
  type ReferenceColumn,
  type ReferenceTable,
  referenceTables,
} from "./reference.ts";

/** A constraint that the reference describes in words: its columns and its condition. */
interface Rule {
  readonly columns: readonly string[];
  /** Evaluated only for rows that violate nothing else. */
  readonly holds: (row: Values) => boolean;
}

export const rules: Readonly<Record<string, Rule>> = {
  valid_stop_loss: {
    columns: ["side", "entry_price", "stop_loss_price"],
    holds: (row) => {
      if (row.stop_loss_price === null) return true;
      return row.side === "long"
        ? below(row, "stop_loss_price", "entry_price")
        : below(row, "entry_price", "stop_loss_price");
    },
  },
  valid_take_profit: {
    columns: ["side", "entry_price", "take_profit_price"],
    holds: (row) => {
      if (row.take_profit_price === null) return true;
      return row.side === "long"
        ? below(row, "entry_price", "take_profit_price")
        : below(row, "take_profit_price", "entry_price");
    },
  },
  valid_closed_at: {
    columns: ["opened_at", "closed_at"],
    holds: (row) => !below(row, "closed_at", "opened_at"),
  },
  valid_filled_quantity: {
    columns: ["quantity", "filled_quantity"],
    holds: (row) => row.filled_quantity === null || !below(row, "quantity", "filled_quantity"),
  },
  valid_limit_order: {
    columns: ["order_type", "limit_price"],
    holds: (row) => row.order_type !== "limit" || row.limit_price !== null,
  },
  valid_stop_order: {
    columns: ["order_type", "stop_price"],
    holds: (row) =>
      (row.order_type !== "stop" && row.order_type !== "stop_limit") || row.stop_price !== null,
  },
  valid_duration: {
    columns: ["end_time", "duration_seconds"],
    holds: (row) =>
      row.end_time === null || row.duration_seconds === null || Number(row.duration_seconds) >= 0,
  },
};

/** Whether a column's number is less than another's. */
function below(row: Values, lower: string, upper: string): boolean {
  return Number(row[lower]) < Number(row[upper]);
}

/** Beginnings of the possible errors of SQLite; none if it must accept the row. */
export function violations(name: string, table: ReferenceTable, row: Values): string[] {
  const nulls = table.columns
    .filter((column) => column.notNull && row[column.name] === null)
    .map((column) => `NOT NULL constraint failed: ${name}.${column.name}`);
  const checks = table.checks.flatMap((check) => {
    const holds = "rule" in check
      ? ruleOf(check.name).holds(row)
      : passes(check, row[check.column] ?? null);
    if (holds) return [];
    // SQLite names an unnamed check by its text, which begins with the column here.
    const label = "rule" in check ? check.name : check.name ?? check.column;
    return [`CHECK constraint failed: ${label}`];
  });
  return [...nulls, ...checks];
}

/** The condition that a named check of the reference describes in words. */
export function ruleOf(name: string): Rule {
  const rule = rules[name];
  if (rule === undefined) throw new Error(`the tests don't know the rule "${name}"`);
  return rule;
}

function passes(check: ColumnCheck, value: SQLInputValue): boolean {
  if (value === null) return true;
  if ("oneOf" in check) return check.oneOf.includes(String(value));
  const number = Number(value);
  if ("above" in check) return number > check.above;
  if ("atLeast" in check) return number >= check.atLeast;
  return number >= check.between[0] && number <= check.between[1];
}

/** The check of a column that involves no other column; undefined if there is none. */
export function checkOf(table: ReferenceTable, column: string): ColumnCheck | undefined {
  return table.checks.find((check): check is ColumnCheck =>
    "column" in check && check.column === column
  );
}

/** A table of the reference by its name, which is unique across databases. */
export function tableNamed(name: string): ReferenceTable {
  const found = referenceTables().find((each) => each.name === name);
  if (found === undefined) throw new Error(`no table "${name}" in the reference`);
  return found.table;
}

/** A valid row of a table: nullable columns are NULL, others are `x`, 1 or the first allowed word. */
export function requiredRow(name: string, given: Values = {}): Values {
  const table = tableNamed(name);
  const row = table.columns
    .filter((column) => column.notNull || column.primaryKey)
    .map((column) => [column.name, plainValue(table, column)] as const);
  return { ...Object.fromEntries(row), ...given };
}

function plainValue(table: ReferenceTable, column: ReferenceColumn): SQLInputValue {
  const check = checkOf(table, column.name);
  if (check !== undefined && "oneOf" in check) return check.oneOf[0] ?? null;
  return column.type === "TEXT" ? "x" : 1;
}

/** The value that SQLite stores if a row omits the column. */
export function defaultOf(column: ReferenceColumn): SQLInputValue {
  if (column.default === undefined) return null;
  return column.type === "TEXT" ? column.default.slice(1, -1) : Number(column.default);
}

/** Values on and next to the limits of a column, and NULL. */
export function boundaryValues(table: ReferenceTable, column: ReferenceColumn): SQLInputValue[] {
  const check = checkOf(table, column.name);
  if (column.type === "TEXT") {
    const words = check !== undefined && "oneOf" in check ? check.oneOf : [];
    const wrong = words.flatMap((word) => [swappedCase(word), `${word} `]);
    return [null, "", "x", ...words, ...wrong];
  }
  return [null, ...boundsOf(check).flatMap(around)];
}

function boundsOf(check: ColumnCheck | undefined): readonly number[] {
  if (check === undefined || "oneOf" in check) return [0, 1];
  if ("between" in check) return check.between;
  return ["above" in check ? check.above : check.atLeast];
}

function around(bound: number): number[] {
  const tiny = bound === 0 ? Number.MIN_VALUE : bound * Number.EPSILON;
  return [bound - 1, bound - tiny, bound, bound + tiny, bound + 1];
}

function swappedCase(word: string): string {
  return word === word.toUpperCase() ? word.toLowerCase() : word.toUpperCase();
}
