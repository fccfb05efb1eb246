import { affinityOf } from "./affinity.ts";
import type { ColumnSchema } from "./model.ts";
import { fold, is, type Token } from "../sql/tokens.ts";

/** A value to try a column with. */
export type Candidate = null | number | string;

/** The values to try one column with. */
export interface Axis {
  readonly column: ColumnSchema;
  readonly candidates: readonly Candidate[];
}

/** The most rows that are tried; a few ten milliseconds of work. */
const MOST_ROWS = 50_000;

/**
 * Words and signs of expressions that only compare: for these a value matters by its place among the
 * literals and the other columns alone, so that trying one of each place tells all. With sums,
 * functions or patterns it would not.
 */
const COMPARING = new Set([
  ...["and", "or", "not", "in", "is", "null", "isnull", "notnull", "between", "distinct", "from"],
  ...["case", "when", "then", "else", "end", "true", "false"],
  ...["(", ")", ",", "=", "!=", "<", "<=", ">", ">="],
]);

/**
 * The values to try each column with that the expressions name, so that every order among columns
 * and literals occurs; null where no such list is known or it is too long.
 *
 * @param tokens of all the expressions; a column is a `quoted` token, a text a `string` token.
 */
export function gridOf(
  tokens: readonly Token[],
  columns: readonly ColumnSchema[],
): readonly Axis[] | null {
  const literals = literalsOf(tokens);
  if (literals === null) return null;
  const named = new Map(columns.map((column) => [fold(column.name), column]));
  const used = new Set<ColumnSchema>();
  for (const token of tokens) {
    const column = token.kind === "quoted" ? named.get(fold(token.value)) : undefined;
    if (column !== undefined) used.add(column);
    else if (token.kind === "quoted") return null;
  }
  // Columns that compare by different rules would need the places of each rule.
  if (used.size > 1 && used.values().some((column) => column.collation !== "BINARY")) return null;

  const places = [...used].map((column) => ({ column, affinity: comparisonOf(column.type) }));
  if (literals.exponents && places.some((place) => place.affinity !== "numeric")) return null;
  if (places.some(({ column }) => /^any$/i.test(column.type))) return null;
  const sharing = (affinity: Comparison): number =>
    places.filter((place) => place.affinity === affinity || place.affinity === "none").length;
  const numbers = [0, 1, ...spreadNumbers(literals.numbers, sharing("numeric"))];
  const strings = ["1", ...spreadStrings(literals.strings, sharing("text"))];
  const axes = places.map(({ column, affinity }): Axis => {
    // A numeric column may hold a text, which is above all numbers; a text column holds no number.
    const values = new Set<Candidate>([
      ...(affinity === "text" ? [] : numbers),
      ...(affinity === "numeric" ? spreadStrings(literals.strings, 0) : strings),
    ]);
    return { column, candidates: [...(column.notNull ? [] : [null]), ...values] };
  });
  const rows = axes.reduce((product, axis) => product * axis.candidates.length, 1);
  return rows <= MOST_ROWS ? axes : null;
}

/** What expressions compare columns with. */
interface Literals {
  readonly numbers: readonly number[];
  /** Texts, and the numbers as a text column sees them. */
  readonly strings: readonly string[];
  /** Whether a number is written like `1e3`, whose text is SQLite's own affair. */
  readonly exponents: boolean;
}

/** The literals of expressions that only compare; null where they do anything else. */
function literalsOf(tokens: readonly Token[]): Literals | null {
  const numbers = new Set<number>();
  const strings = new Set<string>([""]);
  let exponents = false;
  for (const [at, token] of tokens.entries()) {
    if (token.kind === "string") {
      strings.add(token.value);
      const value = Number(token.value);
      if (token.value.trim() !== "" && Number.isFinite(value)) numbers.add(value);
    } else if (token.kind === "number") {
      const value = Number(token.value);
      if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return null;
      exponents ||= /e/.test(token.value) && !token.value.startsWith("0x");
      numbers.add(value).add(-value);
      for (const text of [token.value, String(value)]) strings.add(text).add(`-${text}`);
    } else if (token.kind !== "quoted" && !isComparing(token) && !isSign(tokens, at)) {
      return null;
    }
  }
  return { numbers: [...numbers], strings: [...strings], exponents };
}

/** Tells whether a token is a word or sign of an expression that compares. */
export function isComparing(token: Token | undefined): boolean {
  return token !== undefined && (token.kind === "word" || token.kind === "operator") &&
    COMPARING.has(token.value);
}

/** A minus or plus that belongs to a number, and is no sum. */
function isSign(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  const ends = is(before, ")", "end", "null", "isnull", "notnull", "true", "false");
  return is(tokens[at], "-", "+") && tokens[at + 1]?.kind === "number" &&
    (before === undefined || (isComparing(before) && !ends));
}

/** The literals, and `others` numbers below, between and above them. */
function spreadNumbers(literals: readonly number[], others: number): number[] {
  const sorted = literals.toSorted((a, b) => a - b);
  const steps = Array.from({ length: others }, (_, place) => place + 1);
  const found = sorted.flatMap((low, place) => {
    const high = sorted[place + 1];
    const step = high === undefined ? stepFrom(low) : (high - low) / (others + 1);
    return [low, ...steps.map((count) => low + step * count)];
  });
  const [lowest] = sorted;
  if (lowest === undefined) return steps;
  return [...steps.map((count) => lowest - stepFrom(lowest) * count), ...found];
}

/** A distance from a number that makes another number, however large it is. */
function stepFrom(value: number): number {
  return Math.max(1, Math.abs(value) / 1024);
}

/** The literals, and `others` texts that sort right after each, or one at the end where it is 0. */
function spreadStrings(literals: readonly string[], others: number): string[] {
  if (others === 0) return [...literals, `${literals.toSorted().at(-1)}\u0001`];
  return literals.flatMap((literal) => [
    literal,
    ...Array.from({ length: others }, (_, place) => literal + "\u0001".repeat(place + 1)),
  ]);
}

/** How a column changes what is stored in it, as far as comparing goes. */
type Comparison = "text" | "numeric" | "none";

function comparisonOf(type: string): Comparison {
  const affinity = affinityOf(type, false);
  return affinity === "TEXT" ? "text" : affinity === "BLOB" ? "none" : "numeric";
}
