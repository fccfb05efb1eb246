/** Random SQLite values, exact to the bit. */
import fc from "fast-check";

/** A value: an SQL expression, and the value of its parameter, if it has one. */
export interface Cell {
  readonly type: "null" | "integer" | "real" | "text" | "blob";
  readonly sql: string;
  readonly bound?: number | Uint8Array;
}

const INTEGERS = [
  ...[-(2n ** 63n) + 1n, 2n ** 63n - 1n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 53n, 0n, -1n],
];

const integers: fc.Arbitrary<Cell> = fc.oneof(
  fc.constantFrom(...INTEGERS),
  fc.bigInt({ min: -9n, max: 99n }),
  fc.bigInt({ min: -(2n ** 63n) + 1n, max: 2n ** 63n - 1n }),
).map((value) => ({ type: "integer", sql: String(value) }));

/** A double with any bits except those of NaN. */
export const doubles: fc.Arbitrary<number> = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
  .map((bits) => new Float64Array(BigUint64Array.of(bits).buffer)[0] ?? 0)
  .filter((number) => !Number.isNaN(number));

/** Doubles that are prone to errors. */
export const ODD_DOUBLES: readonly number[] = [
  ...[-0, 0, 1, -1, 0.1, 1 / 3, 5e-324, -5e-324, 2.2250738585072014e-308, 2.225073858507201e-308],
  ...[Number.MAX_VALUE, -Number.MAX_VALUE, Infinity, -Infinity, 1e15, 1e16, 123456789012345680],
  ...[2 ** 53, 2 ** 53 + 2, 2 ** 63, -(2 ** 63), 2 ** 64, 1e-30, 1e30, 1.0000000000000002e30, 1e22],
  ...[9.5e-31, 1e-5, 0.30000000000000004, 8.41e21, 2 ** 70, 1.7e300, 4.35, 1e23, 5e-5],
];

const reals: fc.Arbitrary<Cell> = fc.oneof(
  fc.constantFrom(...ODD_DOUBLES),
  fc.double({ noNaN: true }),
  fc.integer().map((number) => number / 100),
  doubles,
).map(real);

/** A double as a cell. */
export function real(number: number): Cell {
  if (Object.is(number, -0)) return { type: "real", sql: "-0.0" };
  if (number === Infinity) return { type: "real", sql: "9e999" };
  if (number === -Infinity) return { type: "real", sql: "-9e999" };
  return { type: "real", sql: "CAST(? AS REAL)", bound: number };
}

/** Text that an exporter may misread. */
const ODD_TEXTS = [
  ...["", "'", "''", '"', "it's", "\n", "\r", "\r\n", "a\r\nb", "\0", "a\0b", "a\0", "'\0'", "\\0"],
  ...["\\0.", "\\13.", "\\0.\0", "%s", "%", "NULL", "1", "-1.5", "007", " 12 ", "\u00a012", "1e5"],
  ...["x'00'", "X'0a'", "{}", '{"hex":"00"}', "\uFEFF", "\uFEFFa", "\uFFFD", "a\uFFFDb", "🙂", "é"],
  ...["\u2028", "\u0085", "\x1a", "\x1b[0m", ";", "--", "/*", "*/", "END;", ".quit", "go", "/"],
  ...["inf", "nan", "9e999", "true", "null", "\t", " ", ",", "\\", "\\\n", "9223372036854775808"],
];

const encoder = new TextEncoder();

/** Text as its bytes, which are read in the encoding of the database. */
const texts: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...ODD_TEXTS).map((text) => encoder.encode(text)) },
  {
    weight: 3,
    arbitrary: fc.string({ unit: "binary", maxLength: 30 }).map((text) => encoder.encode(text)),
  },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 12 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...["eda080", "c080", "ff", "c3", "f09f", "e282", "f4908080", "00d8", "d800", "41d8", "feff"],
      ...["efbfbe", "efbfbf", "fffe", "0041ffff", "ffff4100", "410042"],
    ).map((hex) => Uint8Array.fromHex(hex)),
  },
).map((bytes) => ({ type: "text", sql: "CAST(? AS TEXT)", bound: bytes }));

const blobs: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.record({ size: fc.nat(100_000), byte: fc.nat(255) })
      .map(({ size, byte }) => new Uint8Array(size).map((_, index) => index * byte)),
  },
).map((bytes) => ({ type: "blob", sql: "?", bound: bytes }));

const nulls: fc.Arbitrary<Cell> = fc.constant({ type: "null", sql: "NULL" });

/** Any value. */
export const cells: fc.Arbitrary<Cell> = fc.oneof(
  { weight: 1, arbitrary: nulls },
  { weight: 3, arbitrary: integers },
  { weight: 3, arbitrary: reals },
  { weight: 4, arbitrary: texts },
  { weight: 2, arbitrary: blobs },
);

/** Values that the `sqlite3` shell of any version writes exactly. */
export const plainCells: fc.Arbitrary<Cell> = fc.oneof(
  nulls,
  integers,
  fc.integer().map((number) => real(number === 0 ? 0.5 : number / 8)),
  fc.oneof(fc.constantFrom(...ODD_TEXTS), fc.string({ unit: "grapheme", maxLength: 30 }))
    .map((text): Cell => ({
      type: "text",
      sql: "CAST(? AS TEXT)",
      bound: encoder.encode(text.replaceAll("\0", "")),
    })),
  blobs,
);

/** Values for which SQLite itself builds the text of many rows at once. */
export const tameCells: fc.Arbitrary<Cell> = fc.oneof(
  nulls,
  integers,
  fc.double({ min: 1e-29, max: 1e30, noNaN: true }).map(real),
  fc.integer().map((number) => real(number === 0 ? 0.5 : number / 100)),
  fc.oneof(
    fc.constantFrom(...ODD_TEXTS.filter((text) => !/[\0\r\uFFFD]/.test(text))),
    fc.string({ unit: "grapheme", maxLength: 30 }).map((text) => text.replaceAll(/[\0\r]/g, "")),
  ).map((text): Cell => ({ type: "text", sql: "CAST(? AS TEXT)", bound: encoder.encode(text) })),
  fc.uint8Array({ maxLength: 40 }).map((bytes): Cell => ({ type: "blob", sql: "?", bound: bytes })),
);
