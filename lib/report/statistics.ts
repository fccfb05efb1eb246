/**
 * Basic statistics over plain numbers.
 *
 * @module
 */

/** Part of a histogram: how many values lie from `from` (inclusive) to `to` (exclusive; the last inclusive). */
export interface Bin {
  /** Lower border. */
  readonly from: number;
  /** Upper border. */
  readonly to: number;
  /** Number of values. */
  readonly count: number;
}

/** Arithmetic mean; null without values. */
export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : sum(values) / values.length;
}

/** Sum, by Neumaier's method, so that cents do not get lost among millions. */
export function sum(values: readonly number[]): number {
  let total = 0;
  let lost = 0;
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

/** Standard deviation of a sample, with n - 1; null for fewer than two values. */
export function sampleDeviation(values: readonly number[]): number | null {
  const centre = mean(values);
  if (centre === null || values.length < 2) return null;
  return Math.sqrt(sum(values.map((value) => (value - centre) ** 2)) / (values.length - 1));
}

/** The value at a share of the sorted values (0.5 is the median), linear between neighbours; null without values. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = Float64Array.from(values).sort();
  const at = (sorted.length - 1) * share;
  const low = sorted[Math.floor(at)];
  const high = sorted[Math.ceil(at)];
  return low === undefined || high === undefined ? null : low + (high - low) * (at % 1);
}

/** The value that `choose` prefers, such as `Math.max`; null without values. */
export function extreme(
  values: readonly number[],
  choose: (a: number, b: number) => number,
): number | null {
  return values.length === 0 ? null : values.reduce((a, b) => choose(a, b));
}

/** Counts values in equal bins with round borders, about `size` of them (default 30); none without values. */
export function histogram(values: readonly number[], size = 30): Bin[] {
  const low = extreme(values, Math.min);
  const high = extreme(values, Math.max);
  if (low === null || high === null) return [];
  const rough = (high - low) / size || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const width = ([1, 2, 5, 10].find((step) => step * power >= rough) ?? 10) * power;
  const first = Math.floor(low / width);
  const count = Math.max(1, Math.floor(high / width) - first + 1);
  const counts = new Array<number>(count).fill(0);
  for (const value of values) {
    const at = Math.min(count - 1, Math.max(0, Math.floor(value / width) - first));
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return counts.map((number, at) => ({
    from: (first + at) * width,
    to: (first + at + 1) * width,
    count: number,
  }));
}
