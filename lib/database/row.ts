/** A value as SQLite stores it. Integers beyond 2^53 are `bigint`, all others `number`. */
export type SqlValue = null | number | bigint | string | Uint8Array;

/** One result row: values by column name. */
export type Row = Readonly<Record<string, SqlValue>>;

/** Reads a column that holds text; throws a `TypeError` where it holds anything else. */
export function text(row: Row, column: string): string {
  const value = row[column];
  if (typeof value !== "string") throw unexpected(column, "text", value);
  return value;
}

/** Reads a column that holds text or NULL; throws a `TypeError` where it holds anything else. */
export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

/** Reads a column that holds a number; throws a `TypeError` where it holds anything else. */
export function number(row: Row, column: string): number {
  const value = row[column];
  if (typeof value !== "number") throw unexpected(column, "a number", value);
  return value;
}

/** Reads a column that holds a number or NULL; throws a `TypeError` where it holds anything else. */
export function numberOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : number(row, column);
}

function unexpected(column: string, wanted: string, value: SqlValue | undefined): TypeError {
  return new TypeError(`Cannot read column "${column}": wanted ${wanted}, found ${typeof value}`);
}
