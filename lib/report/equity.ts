/**
 * All figures of an equity curve, and what the reader should know about the data. Pure functions.
 *
 * @module
 */
import {
  type Drawdown,
  equityCurve,
  type EquityPoint,
  type EquityRow,
  extreme,
  maxDrawdown,
  periodsPerYear,
  sampleDeviation,
  sharpeRatio,
  sortinoRatio,
  sum,
  ulcerIndex,
} from "./statistics.ts";

/** Periods shorter than this are not annualised. */
const SHORTEST_DAYS = 90;

/** Figures of an equity curve. Fractions: 0.05 is 5 %. Null where undefined; `reasons` says why. */
export interface EquityFigures {
  /** Number of snapshots with an equity. */
  readonly snapshots: number;
  /** Day of the first snapshot, `YYYY-MM-DD`. */
  readonly firstDate: string;
  /** Day of the last snapshot, `YYYY-MM-DD`. */
  readonly lastDate: string;
  /** Days from the first to the last snapshot. */
  readonly days: number;
  /** Equity of the first snapshot. */
  readonly startEquity: number;
  /** Equity of the last snapshot. */
  readonly endEquity: number;
  /** The product of (1 + r) over all returns r, minus 1. */
  readonly totalReturn: number | null;
  /** (E_n / E_0)^(365.25 / days) - 1, without deposits and withdrawals. */
  readonly cagr: number | null;
  /** mean(r) / sd(r, n - 1) * sqrt(k), risk-free rate 0. */
  readonly sharpe: number | null;
  /** mean(r) / sqrt(sum(min(r, 0)^2) / n) * sqrt(k). */
  readonly sortino: number | null;
  /** sd(r, n - 1) * sqrt(k). */
  readonly volatility: number | null;
  /** The deepest decline from a peak; null if the equity never fell. */
  readonly maxDrawdown: Drawdown | null;
  /** Distance of the last snapshot below the highest value, as a fraction from 0 down. */
  readonly currentDrawdown: number;
  /** CAGR / |maximum drawdown|. */
  readonly calmar: number | null;
  /** In percent. */
  readonly ulcerIndex: number | null;
  /** Highest return. */
  readonly bestDay: number | null;
  /** Lowest return. */
  readonly worstDay: number | null;
  /** Periods in a year: 252, or 365 if there are snapshots on weekends. */
  readonly periodsPerYear: number;
  /** Number of deposits and withdrawals. */
  readonly flows: number;
  /** Deposits minus withdrawals. */
  readonly netFlow: number;
  /** Why a figure is null, by its name. */
  readonly reasons: Readonly<Record<string, string>>;
  /** What the reader should know about the data. */
  readonly notes: readonly string[];
}

/** Computes all figures of an equity curve; null without a snapshot. */
export function equityFigures(rows: readonly EquityRow[]): EquityFigures | null {
  const points = equityCurve(rows);
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined) return null;
  const returns = points.flatMap((point) => point.return ?? []);
  const days = (last.time - first.time) / 86_400;
  const k = periodsPerYear(points);
  const reasons: Record<string, string> = {};
  const known = (name: string, value: number | null, reason: string): number | null => {
    if (value === null || !Number.isFinite(value)) reasons[name] = reason;
    return value !== null && Number.isFinite(value) ? value : null;
  };
  const annual = (name: string, value: () => number | null, reason: string): number | null =>
    returns.length === 0
      ? known(name, null, "needs two snapshots")
      : days < SHORTEST_DAYS
      ? known(name, null, "period too short")
      : known(name, value(), reason);
  const growth = first.grown > 0 && last.grown > 0 ? last.grown / first.grown : null;
  const deepest = maxDrawdown(points);
  const deviation = sampleDeviation(returns);
  const cagr = annual(
    "cagr",
    () => growth === null ? null : growth ** (365.25 / days) - 1,
    "equity is zero or negative",
  );
  const flows = points.filter(({ flow }) => flow !== 0);
  return {
    snapshots: points.length,
    firstDate: first.date,
    lastDate: last.date,
    days,
    startEquity: first.equity,
    endEquity: last.equity,
    totalReturn: known(
      "totalReturn",
      returns.length === 0 || first.grown <= 0 ? null : last.grown / first.grown - 1,
      points.length < 2 ? "needs two snapshots" : "equity is zero or negative",
    ),
    cagr,
    sharpe: annual("sharpe", () => sharpeRatio(returns, k), "returns do not vary"),
    sortino: annual("sortino", () => sortinoRatio(returns, k), "no negative return"),
    volatility: annual(
      "volatility",
      () => deviation === null ? null : deviation * Math.sqrt(k),
      "needs three snapshots",
    ),
    maxDrawdown: deepest,
    currentDrawdown: last.drawdown,
    calmar: annual(
      "calmar",
      () => cagr === null || deepest === null ? null : cagr / Math.abs(deepest.depth),
      deepest === null ? "no drawdown" : "equity is zero or negative",
    ),
    ulcerIndex: known("ulcerIndex", ulcerIndex(points), "no snapshots"),
    bestDay: extreme(returns, Math.max),
    worstDay: extreme(returns, Math.min),
    periodsPerYear: k,
    flows: flows.length,
    netFlow: sum(flows.map(({ flow }) => flow)),
    reasons,
    notes: equityNotes(rows, points),
  };
}

function equityNotes(rows: readonly EquityRow[], points: readonly EquityPoint[]): string[] {
  const notes: string[] = [];
  const add = (count: number, one: string, many: string): void => {
    if (count > 0) notes.push(count === 1 ? one : many.replace("#", String(count)));
  };
  add(
    points.filter(({ flow }) => flow !== 0).length,
    "1 change in equity is not explained by daily_pnl and counts as a deposit or withdrawal.",
    "# changes in equity are not explained by daily_pnl and count as deposits or withdrawals.",
  );
  if (points.length > 1 && rows.every(({ dailyPnl }) => dailyPnl === null || dailyPnl === 0)) {
    notes.push(
      "daily_pnl is not recorded, so deposits and withdrawals cannot be distinguished from profit.",
    );
  }
  add(
    rows.length - points.length,
    "1 snapshot has no equity and is left out.",
    "# snapshots have no equity and are left out.",
  );
  add(
    points.filter(({ equity }) => equity <= 0).length,
    "1 snapshot has an equity of zero or less; the return after it is undefined.",
    "# snapshots have an equity of zero or less; the returns after them are undefined.",
  );
  add(
    points.filter(({ time }, at) => time - (points[at - 1]?.time ?? time) > 7 * 86_400).length,
    "1 gap between snapshots is longer than a week; it counts as one period.",
    "# gaps between snapshots are longer than a week; each counts as one period.",
  );
  return notes;
}
