/**
 * Statistics over plain numbers, and what is measured on an equity curve: returns, ratios, drawdown.
 * Pure functions.
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

/** Sum by Neumaier's method, so that cents are not lost among millions. */
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

/** One row of `portfolio_snapshots`. */
export interface EquityRow {
  /** Time of the snapshot, in epoch seconds. */
  readonly time: number;
  /** Day of the snapshot, `YYYY-MM-DD`. */
  readonly date: string;
  /** Value of the account. */
  readonly equity: number | null;
  /** Profit or loss of the day. */
  readonly dailyPnl: number | null;
}

/** One point of the equity curve. */
export interface EquityPoint {
  /** Time of the snapshot, in epoch seconds. */
  readonly time: number;
  /** Day of the snapshot, `YYYY-MM-DD`. */
  readonly date: string;
  /** Value of the account as recorded. */
  readonly equity: number;
  /** Return since the previous snapshot, as a fraction; null at the start, or after an equity of 0 or less. */
  readonly return: number | null;
  /** Amount deposited (positive) or withdrawn (negative) since the previous snapshot. */
  readonly flow: number;
  /** The starting balance grown by the returns alone, so deposits and withdrawals do not move it. */
  readonly grown: number;
  /** Distance of `grown` below its highest value so far, as a fraction from 0 down to -1. */
  readonly drawdown: number;
}

/** A decline from a peak, and the recovery. */
export interface Drawdown {
  /** Depth as a negative fraction of the peak: -0.25 is 25 % below it. */
  readonly depth: number;
  /** Day of the peak. */
  readonly peak: string;
  /** Day of the lowest point. */
  readonly trough: string;
  /** Day on which the peak was reached again; null if it was not. */
  readonly recovery: string | null;
  /** Days from the peak to the recovery, or to the last snapshot. */
  readonly days: number;
}

/** The return of one month, compounded. */
export interface MonthlyReturn {
  /** Calendar year. */
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** As a fraction. */
  readonly return: number;
}

/** Differences up to this amount come from rounding three amounts to cents. */
const ROUNDING = 0.02;

/**
 * Turns snapshots into an equity curve, ordered by time. Rows without an equity are left out.
 *
 * The return is `E_t / E_(t-1) - 1`. If the change in equity differs from the day's profit or loss by
 * more than rounding, the difference is a deposit or a withdrawal, and the return is
 * `daily_pnl / E_(t-1)`. If no row has a `daily_pnl` other than 0 (its default), it was not recorded and
 * is ignored.
 */
export function equityCurve(rows: readonly EquityRow[]): EquityPoint[] {
  const usable = rows.flatMap((row) =>
    row.equity === null || !Number.isFinite(row.equity) ? [] : [{ ...row, equity: row.equity }]
  ).sort((a, b) => a.time - b.time);
  const hasDailyPnl = usable.some(({ dailyPnl }) => dailyPnl !== null && dailyPnl !== 0);
  const points: EquityPoint[] = [];
  let peak = -Infinity;
  for (const { time, date, equity, dailyPnl } of usable) {
    const previous = points.at(-1);
    const change = previous === undefined ? 0 : equity - previous.equity;
    const earned = hasDailyPnl && dailyPnl !== null ? dailyPnl : change;
    const isFlow = previous !== undefined &&
      Math.abs(change - earned) > ROUNDING + 1e-9 * Math.abs(equity);
    const value = previous === undefined || previous.equity <= 0
      ? null
      : (isFlow ? earned : change) / previous.equity;
    const grown = previous === undefined ? equity : previous.grown * (1 + (value ?? 0));
    peak = Math.max(peak, grown);
    points.push({
      time,
      date,
      equity,
      return: value,
      flow: isFlow ? change - earned : 0,
      grown,
      drawdown: peak > 0 ? fall(grown / peak - 1) : 0,
    });
  }
  return points;
}

/** Multiplying returns leaves a rounding error; a curve that is back at its peak is not below it. */
function fall(distance: number): number {
  return distance > -1e-10 ? 0 : distance;
}

/** Periods in a year: 365 if any snapshot is dated on a Saturday or Sunday (UTC), otherwise 252. */
export function periodsPerYear(points: readonly { date: string; time: number }[]): number {
  return points.some(({ date, time }) => {
      const day = /^\d{4}-\d{2}-\d{2}/.test(date) ? Date.parse(date.slice(0, 10)) : time * 1000;
      return [0, 6].includes(new Date(day).getUTCDay());
    })
    ? 365
    : 252;
}

/** Sharpe ratio: mean(r) / sd(r, n - 1) * sqrt(k), risk-free rate 0; null if the returns do not vary. */
export function sharpeRatio(returns: readonly number[], k: number): number | null {
  const centre = mean(returns);
  const deviation = sampleDeviation(returns);
  return centre === null || deviation === null || deviation < 1e-12
    ? null
    : centre / deviation * Math.sqrt(k);
}

/** Sortino ratio: mean(r) / sqrt(sum(min(r, 0)^2) / n) * sqrt(k); null without a negative return. */
export function sortinoRatio(returns: readonly number[], k: number): number | null {
  const centre = mean(returns);
  const downside = Math.sqrt(sum(returns.map((one) => Math.min(one, 0) ** 2)) / returns.length);
  return centre === null || !(downside > 0) ? null : centre / downside * Math.sqrt(k);
}

/** The deepest drawdown; null if the curve never falls. The first peak is the starting balance. */
export function maxDrawdown(points: readonly EquityPoint[]): Drawdown | null {
  let lowest = 0;
  for (const [at, { drawdown }] of points.entries()) {
    if (drawdown < (points[lowest]?.drawdown ?? 0)) lowest = at;
  }
  const trough = points[lowest];
  if (trough === undefined || trough.drawdown === 0) return null;
  const start = points.slice(0, lowest).findLastIndex(({ drawdown }) => drawdown === 0);
  const peak = points[start] ?? trough;
  const recovery = points.slice(lowest).find(({ drawdown }) => drawdown === 0) ?? null;
  const end = recovery ?? points.at(-1) ?? trough;
  return {
    depth: trough.drawdown,
    peak: peak.date,
    trough: trough.date,
    recovery: recovery?.date ?? null,
    days: Math.round((end.time - peak.time) / 86_400),
  };
}

/**
 * Ulcer index in percent: the root of the mean squared drawdown, sqrt(sum(D_t^2) / n) with D_t in
 * percent, over all n snapshots; null without snapshots.
 */
export function ulcerIndex(points: readonly EquityPoint[]): number | null {
  const squares = mean(points.map(({ drawdown }) => (drawdown * 100) ** 2));
  return squares === null ? null : Math.sqrt(squares);
}

/** Returns by calendar month, compounded: the product of (1 + r), minus 1. */
export function monthlyReturns(points: readonly EquityPoint[]): MonthlyReturn[] {
  const growth = new Map<string, number>();
  for (const point of points) {
    if (point.return === null) continue;
    const month = new Date(point.time * 1000).toISOString().slice(0, 7);
    const key = /^\d{4}-\d{2}/.test(point.date) ? point.date.slice(0, 7) : month;
    growth.set(key, (growth.get(key) ?? 1) * (1 + point.return));
  }
  return [...growth].map(([key, factor]) => ({
    year: Number(key.slice(0, 4)),
    month: Number(key.slice(5, 7)),
    return: factor - 1,
  }));
}

/** Sharpe ratio of each window of this many returns (default 63, a quarter), by the window's last day. */
export function rollingSharpe(
  points: readonly EquityPoint[],
  window = 63,
): { readonly time: number; readonly date: string; readonly sharpe: number }[] {
  const k = periodsPerYear(points);
  const usable = points.flatMap((one) =>
    one.return === null ? [] : [{ time: one.time, date: one.date, value: one.return }]
  );
  return usable.flatMap(({ time, date }, at) => {
    if (at + 1 < window) return [];
    const sharpe = sharpeRatio(usable.slice(at + 1 - window, at + 1).map(({ value }) => value), k);
    return sharpe === null ? [] : [{ time, date, sharpe }];
  });
}
