/**
 * What the parts of the demo share: random numbers that depend on a seed alone, and rows of tables.
 *
 * @module
 */
import type { SqlValue } from "../database/connection.ts";

/** Rows of one table. */
export interface DemoTable {
  readonly database: "positions" | "trading" | "ml_training";
  readonly table: string;
  /** All rows have the same columns. */
  readonly rows: readonly Readonly<Record<string, SqlValue>>[];
}

/** Random numbers that depend on the seed alone. */
export interface Random {
  /** From 0 (inclusive) to 1 (exclusive). */
  uniform(): number;
  /** Normal distribution with mean 0 and standard deviation 1. */
  normal(): number;
  /** A whole number from `low` to `high`, both inclusive. */
  whole(low: number, high: number): number;
  /** One of the values. */
  pick<T>(values: readonly [T, ...T[]]): T;
}

/** Makes a generator of random numbers: mulberry32, which is small and good enough for a demo. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    uniform,
    // The sum of twelve uniform numbers: unlike a logarithm, exact on every machine.
    normal: () => Array.from({ length: 12 }, uniform).reduce((a, b) => a + b) - 6,
    whole: (low, high) => low + Math.floor(uniform() * (high - low + 1)),
    pick: (values) => values[Math.floor(uniform() * values.length)] ?? values[0],
  };
}

/** Rounds to so many decimals (default 2). */
export function round(value: number, decimals = 2): number {
  return Number(value.toFixed(decimals));
}
