/**
 * The report as data: the figures, and the series that charts are drawn from. Pure functions.
 *
 * @module
 */
import {
  type FillSums,
  type OrderFigures,
  orderFigures,
  type OrderRow,
  type TrainingFigures,
  trainingFigures,
  type TrainingRows,
} from "./activity.ts";
import { type EquityFigures, equityFigures } from "./equity.ts";
import {
  type Bin,
  equityCurve,
  type EquityPoint,
  type EquityRow,
  histogram,
  type MonthlyReturn,
  monthlyReturns,
  rollingSharpe,
} from "./statistics.ts";
import {
  type Grouping,
  groupings,
  groupTrades,
  type Trade,
  type TradeFigures,
  tradeFigures,
  type TradeGroup,
} from "./trade_figures.ts";

/** Name of a database that a report reads. */
export type ReportDatabase = "positions" | "trading" | "ml_training";

/** Which rows a report includes. */
export interface ReportFilter {
  /** Epoch seconds; earlier rows are left out. Default: no limit. */
  readonly since?: number;
  /** Epoch seconds; later rows are left out. Default: no limit. */
  readonly until?: number;
  /** Only positions and orders of this strategy. Default: all. */
  readonly strategy?: string;
  /** Only positions and orders of this ticker. Default: all. */
  readonly ticker?: string;
}

/** Rows from which a report is computed. */
export interface ReportData {
  readonly snapshots: readonly EquityRow[];
  readonly trades: readonly Trade[];
  readonly orders: readonly OrderRow[];
  readonly fills: FillSums;
  readonly training: TrainingRows;
  /** The newest row of `performance_metrics`; null without one. */
  readonly storedMetrics: StoredMetrics | null;
  /** What could not be read, such as a missing database. */
  readonly notes: readonly string[];
}

/** A row of `performance_metrics`. */
export interface StoredMetrics {
  /** Epoch seconds. */
  readonly time: number;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  /** Values by column. */
  readonly values: Readonly<Record<string, number | null>>;
}

/** A stored metric that differs from the figure computed from the same rows. */
export interface MetricDifference {
  /** Column of `performance_metrics`. */
  readonly metric: string;
  /** Day of the stored row. */
  readonly date: string;
  /** The stored value. */
  readonly stored: number;
  /** The computed value. */
  readonly computed: number;
}

/** One closed position in a scatter chart. */
export interface TradePoint {
  /** Ticker. */
  readonly ticker: string;
  /** Realized profit or loss. */
  readonly pnl: number;
  /** Holding time, in hours. */
  readonly holdingHours: number | null;
  /** Largest price movement against the position, as recorded. */
  readonly adverseExcursion: number | null;
}

/** A report as data. It has no NaN and no Infinity, so it can be written as JSON. */
export interface Report {
  /** When it was computed, in epoch seconds. */
  readonly computedAt: number;
  /** The filter used. */
  readonly filter: ReportFilter;
  /** The account; null without snapshots. */
  readonly equity: EquityFigures | null;
  /** The equity curve. */
  readonly curve: readonly EquityPoint[];
  /** Returns by month. */
  readonly monthly: readonly MonthlyReturn[];
  /** Sharpe ratio of each window of 63 returns, by the window's last day. */
  readonly rollingSharpe: readonly {
    readonly time: number;
    readonly date: string;
    readonly sharpe: number;
  }[];
  /** All closed positions, and the long and the short ones separately. */
  readonly trades: Readonly<Record<"all" | "long" | "short", TradeFigures>>;
  /** Closed positions by each property. */
  readonly groups: Readonly<Record<Grouping, readonly TradeGroup[]>>;
  /** Profits and losses of closed positions. */
  readonly pnlHistogram: readonly Bin[];
  /** Holding times of closed positions, in hours. */
  readonly holdingHistogram: readonly Bin[];
  /** Closed positions, at most 1,500 of them, evenly chosen. */
  readonly tradePoints: readonly TradePoint[];
  /** Figures of orders and fills. */
  readonly orders: OrderFigures;
  /** Figures of training runs. */
  readonly training: TrainingFigures;
  /** Stored metrics that differ from the computed figures. */
  readonly differences: readonly MetricDifference[];
  /** What the reader should know about the data. */
  readonly notes: readonly string[];
}

const MOST_POINTS = 1_500;

/** Computes a report from rows that `filter` has already chosen. */
export function buildReport(
  data: ReportData,
  { filter = {}, computedAt }: { readonly filter?: ReportFilter; readonly computedAt: number },
): Report {
  const equity = equityFigures(data.snapshots);
  const curve = equityCurve(data.snapshots);
  const { trades } = data;
  const ofSide = (side: string): TradeFigures =>
    tradeFigures(trades.filter((one) => one.side === side));
  const notes = [...data.notes, ...equity?.notes ?? []];
  if (filter.strategy !== undefined || filter.ticker !== undefined) {
    notes.push(
      "Equity and training always cover the whole account, whatever the strategy or ticker.",
    );
  }
  const step = Math.max(1, Math.ceil(trades.length / MOST_POINTS));
  const tradePoints = trades.filter((_, at) => at % step === 0).map(
    ({ ticker, pnl, holdingHours, adverseExcursion }) => ({
      ticker,
      pnl,
      holdingHours,
      adverseExcursion,
    }),
  );
  return {
    computedAt,
    filter,
    equity,
    curve,
    monthly: monthlyReturns(curve),
    rollingSharpe: rollingSharpe(curve),
    trades: { all: tradeFigures(trades), long: ofSide("long"), short: ofSide("short") },
    groups: Object.fromEntries(
      Object.keys(groupings).map((by) => [by, groupTrades(trades, by as Grouping)]),
    ) as Record<Grouping, TradeGroup[]>,
    pnlHistogram: histogram(trades.map(({ pnl }) => pnl)),
    holdingHistogram: histogram(trades.flatMap(({ holdingHours }) => holdingHours ?? [])),
    tradePoints,
    orders: orderFigures(data.orders, data.fills),
    training: trainingFigures(data.training),
    differences: metricDifferences(data, filter),
    notes,
  };
}

/**
 * Compares the newest stored metrics with figures computed from the rows up to then. Only for a
 * report of all rows: a filter leaves out rows that the stored metrics include. Signs of drawdowns
 * are ignored, and a volatility or win rate may be stored as a fraction or in percent.
 */
function metricDifferences(
  { storedMetrics, snapshots, trades }: ReportData,
  { since, strategy, ticker }: ReportFilter,
): MetricDifference[] {
  if (storedMetrics === null || since !== undefined) return [];
  if (strategy !== undefined || ticker !== undefined) return [];
  const { time, date, values } = storedMetrics;
  const equity = equityFigures(snapshots.filter((one) => one.date <= date));
  const recent = tradeFigures(
    trades.filter(({ closedAt }) => closedAt <= time && closedAt > time - 30 * 86_400),
  );
  const depth = equity?.maxDrawdown?.depth;
  const computed: Readonly<Record<string, readonly (number | null | undefined)[]>> = {
    sharpe_ratio: [equity?.sharpe],
    sortino_ratio: [equity?.sortino],
    calmar_ratio: [equity?.calmar],
    max_drawdown_pct: depth === undefined ? [] : [depth * 100, -depth * 100],
    volatility_annualized: [equity?.volatility, percent(equity?.volatility)],
    total_trades_30d: [recent.trades],
    winning_trades_30d: [recent.wins],
    losing_trades_30d: [recent.losses],
    win_rate_30d: [recent.winRate, percent(recent.winRate)],
    profit_factor_30d: [recent.profitFactor],
    expectancy_30d: [recent.expectancy],
    avg_win_30d: [recent.averageWin],
    avg_loss_30d: [recent.averageLoss, negative(recent.averageLoss)],
    largest_win_30d: [recent.largestWin],
    largest_loss_30d: [recent.largestLoss, negative(recent.largestLoss)],
  };
  return Object.entries(computed).flatMap(([metric, candidates]) => {
    const stored = values[metric];
    const known = candidates.filter((value) => typeof value === "number");
    const [first] = known;
    if (typeof stored !== "number" || first === undefined) return [];
    const isSame = known.some((value) =>
      Math.abs(stored - value) <= 0.0051 + 1e-4 * Math.abs(value)
    );
    return isSame ? [] : [{ metric, date, stored, computed: first }];
  });
}

function percent(fraction: number | null | undefined): number | null {
  return typeof fraction === "number" ? fraction * 100 : null;
}

function negative(value: number | null): number | null {
  return value === null ? null : -value;
}
