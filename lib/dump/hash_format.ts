import { quoteName } from "../sql/tokens.ts";
import { isDelicate, type RowFormat, type Value } from "./row.ts";
import { literal, realLiteral, sqlFormat, textOfRow, tuple } from "./sql.ts";
import type { DumpColumn } from "./catalog.ts";

/**
 * Rows for a hash: as in SQL, but for reals. Versions of SQLite write the same real in different
 * digits, so each is a whole number and a power of two by which to multiply it, of which neither is
 * ever rounded.
 */
export const hashFormat: RowFormat = {
  ...sqlFormat,
  textSql: (columns) => textOfRow(columns, exactly),
  row: (values) => tuple(values, hashed),
};

function* hashed(value: Value): Generator<string> {
  if (value.type === "real") yield realDigits(value.number);
  else yield* literal(value);
}

/** Bits of the largest whole number: any real below it times 2^{@link STEP} is one, too. */
const BITS = 62;

/** Powers of two between two of the sizes up to which reals are multiplied alike. */
const STEP = 10;

/** From 2^-100 to 2^100, outside of which reals are delicate; zero is with the smallest. */
const POWERS: readonly number[] = Array.from({ length: 20 }, (_, index) => (index - 9) * STEP);

/** SQL for such a number: 1 is `4611686018427387904*2^-62`. */
function exactly({ name }: DumpColumn): string {
  const column = quoteName(name);
  return `iif(typeof(${column}) = 'real', ${scaled(column, POWERS)}, quote(${column}))`;
}

/** Halves the sizes that a real may have until one is left. */
function scaled(column: string, powers: readonly number[]): string {
  const middle = powers.length >> 1;
  const size = powers[Math.max(0, middle - 1)] ?? 0;
  if (powers.length === 1) {
    const factor = realLiteral(2 ** (BITS - size));
    return `CAST(${column} * ${factor} AS INTEGER) || '*2^${size - BITS}'`;
  }
  const [low, high] = [powers.slice(0, middle), powers.slice(middle)];
  const limit = realLiteral(2 ** size);
  return `iif(${column} BETWEEN -${limit} AND ${limit}, ${scaled(column, low)}, ${
    scaled(column, high)
  })`;
}

/** A real, as SQLite writes it by {@link exactly} where it isn't delicate. */
function realDigits(number: number): string {
  if (isDelicate(number) || !Number.isFinite(number)) {
    return Object.is(number, -0) ? "-0.0" : number.toExponential();
  }
  const size = POWERS.find((power) => Math.abs(number) <= 2 ** power) ?? NaN;
  return `${BigInt(number * 2 ** (BITS - size))}*2^${size - BITS}`;
}
