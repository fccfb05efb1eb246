/**
 * A report in words and tables, for a terminal and a page alike. Pure functions.
 *
 * @module
 */
import { formatCount, UNSAFE_CHARACTERS } from "../base/format.ts";
import type { Report } from "./report.ts";
import { type Grouping, groupings, type TradeFigures } from "./trade_figures.ts";

/** One figure with its name, as text. */
export interface PresentedFigure {
  readonly label: string;
  readonly text: string;
  /** How it is computed, or why it is undefined. */
  readonly explanation: string;
}

/** Figures that belong together. */
export interface PresentedFigures {
  readonly title: string;
  readonly figures: readonly PresentedFigure[];
}

/** A table of text. */
export interface PresentedTable {
  readonly title: string;
  readonly columns: readonly {
    readonly label: string;
    readonly isNumber: boolean;
    /** Whether it may be left out if there is little space. */
    readonly isMinor?: boolean;
  }[];
  readonly rows: readonly (readonly string[])[];
  /** Number of rows left out. */
  readonly more: number;
}

const EVERY_UNSAFE = new RegExp(UNSAFE_CHARACTERS, "gu");

/**
 * Replaces characters that HTML does not allow, or that would change the direction of the following
 * text. Names in a database are untrusted.
 */
export function cleanText(text: string): string {
  return text.replace(EVERY_UNSAFE, "\ufffd");
}

/**
 * Writes a number with this many decimals (default 2) and commas between thousands; `-` for null.
 */
export function formatNumber(value: number | null, decimals = 2): string {
  if (value === null) return "-";
  if (Math.abs(value) >= 1e15) return value.toExponential(decimals);
  const [whole = "", fraction] = Math.abs(value).toFixed(decimals).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && /[1-9]/.test(text) ? `-${text}` : text;
}

/** Writes a fraction in percent: 0.123 is `12.30 %`. */
export function formatPercent(fraction: number | null, decimals = 2): string {
  return fraction === null ? "-" : `${formatNumber(fraction * 100, decimals)} %`;
}

/** Writes a span of seconds: `4.0 s`, `3.5 min`, `2.1 h`. */
function formatSeconds(seconds: number | null): string {
  if (seconds === null) return "-";
  if (seconds < 120) return `${formatNumber(seconds, 1)} s`;
  return seconds < 7200
    ? `${formatNumber(seconds / 60, 1)} min`
    : `${formatNumber(seconds / 3600, 1)} h`;
}

/** The figures of the account, of its risk, of closed positions and of orders. */
export function presentFigures(report: Report): PresentedFigures[] {
  return [
    ...presentEquity(report),
    presentTrades(report.trades.all),
    presentOrders(report),
  ];
}

/** A figure by its name among the computed ones, and how to show it. */
type FigureRow<T> = readonly [
  name: keyof T & string,
  label: string,
  format: (value: number | null) => string,
  explanation: string,
];

/** Shows each figure, or the reason why it is undefined. */
function figuresOf<T extends { readonly reasons: Readonly<Record<string, string>> }>(
  computed: T,
  rows: readonly FigureRow<T>[],
): PresentedFigure[] {
  return rows.map(([name, label, format, explanation]) => {
    const value = computed[name];
    const text = computed.reasons[name] ?? format(typeof value === "number" ? value : null);
    return { label, text, explanation };
  });
}

const whole = (value: number | null): string => formatNumber(value, 0);
const number = (value: number | null): string => formatNumber(value);
const percent = (value: number | null): string => formatPercent(value);
const rate = (value: number | null): string => formatPercent(value, 1);

function presentEquity({ equity }: Report): PresentedFigures[] {
  if (equity === null) return [];
  const { periodsPerYear: k, maxDrawdown: deepest } = equity;
  const bestAndWorst = (best: number | null): string =>
    best === null ? "-" : `${percent(best)}, ${percent(equity.worstDay)}`;
  const flows = (): string =>
    equity.flows === 0 ? "none" : `${equity.flows}, net ${number(equity.netFlow)}`;
  const decline = deepest === null
    ? "The equity never fell below an earlier value."
    : `Peak ${deepest.peak}, trough ${deepest.trough}, ${
      deepest.recovery === null ? "not recovered" : `recovered ${deepest.recovery}`
    }, ${formatCount(deepest.days, "day")}.`;
  return [{
    title: "Account",
    figures: figuresOf(equity, [
      [
        "endEquity",
        "Equity",
        number,
        `On ${equity.lastDate}; ${number(equity.startEquity)} on ${equity.firstDate}.`,
      ],
      [
        "totalReturn",
        "Total return",
        percent,
        "The product of (1 + r) over all returns r, minus 1. r = E_t / E_(t-1) - 1.",
      ],
      [
        "cagr",
        "CAGR",
        percent,
        "(E_n / E_0)^(365.25 / days) - 1, without deposits and withdrawals.",
      ],
      [
        "bestDay",
        "Best and worst day",
        bestAndWorst,
        "The highest and the lowest return between two snapshots.",
      ],
      [
        "flows",
        "Deposits and withdrawals",
        flows,
        "Changes in equity that daily_pnl does not explain.",
      ],
    ]),
  }, {
    title: "Risk",
    figures: figuresOf(equity, [
      [
        "sharpe",
        "Sharpe ratio",
        number,
        `mean(r) / sd(r, n - 1) * sqrt(k), k = ${k}, risk-free rate 0.`,
      ],
      [
        "sortino",
        "Sortino ratio",
        number,
        `mean(r) / sqrt(sum(min(r, 0)^2) / n) * sqrt(k), k = ${k}.`,
      ],
      ["volatility", "Volatility", percent, `sd(r, n - 1) * sqrt(k), k = ${k}, per year.`],
      [
        "maxDrawdown",
        "Maximum drawdown",
        () => deepest === null ? "none" : percent(deepest.depth),
        decline,
      ],
      [
        "currentDrawdown",
        "Current drawdown",
        (value) => value === 0 ? "none" : percent(value),
        "Distance of the last snapshot below the peak.",
      ],
      ["calmar", "Calmar ratio", number, "CAGR / |maximum drawdown|."],
      [
        "ulcerIndex",
        "Ulcer index",
        (value) => value === null ? "-" : `${number(value)} %`,
        "sqrt(sum(D^2) / n), D = drawdown in percent.",
      ],
    ]),
  }];
}

function presentTrades(trades: TradeFigures): PresentedFigures {
  const title = "Closed positions";
  if (trades.trades === 0) return { title, figures: [] };
  const { wins, losses, breakEven, largestWin, largestLoss } = trades;
  const largest = (value: number | null): string =>
    value === null ? "" : `Largest: ${number(value)}.`;
  const streaks = (): string =>
    `${formatCount(trades.winStreak, "win")}, ${formatCount(trades.lossStreak, "loss")}`;
  return {
    title,
    figures: figuresOf(trades, [
      ["trades", "Trades", whole, `${wins} won, ${losses} lost, ${breakEven} broke even.`],
      ["totalPnl", "Total P&L", number, "Sum of realized_pnl."],
      ["winRate", "Win rate", rate, "Wins / trades; break-even is not a win."],
      ["profitFactor", "Profit factor", number, "Sum of profits / sum of losses."],
      ["expectancy", "Expectancy", number, "Mean P&L of a trade."],
      ["averageWin", "Average win", number, largest(largestWin)],
      ["averageLoss", "Average loss", number, largest(largestLoss)],
      ["payoffRatio", "Payoff ratio", number, "Average win / |average loss|."],
      ["winStreak", "Longest streaks", streaks, "Trades in a row, by closing time."],
      [
        "meanHoldingHours",
        "Holding time",
        (value) => `${formatNumber(value, 1)} h`,
        `Mean; the median is ${formatNumber(trades.medianHoldingHours, 1)} h.`,
      ],
      ["sqn", "SQN", number, "sqrt(n) * mean(P&L) / sd(P&L, n - 1)."],
      [
        "meanR",
        "R multiple",
        number,
        `Mean of P&L / (|entry - stop| * quantity), ${
          formatCount(trades.tradesWithR, "trade")
        } with a stop.`,
      ],
    ]),
  };
}

function presentOrders({ orders }: Report): PresentedFigures {
  const title = "Orders and fills";
  if (orders.orders === 0) return { title, figures: [] };
  const { filled, partiallyFilled, fills, rejected, slippageCost } = orders;
  const expected = slippageCost === null
    ? ""
    : `; against expected prices: ${number(slippageCost)}`;
  return {
    title,
    figures: figuresOf({ ...orders, reasons: {} }, [
      [
        "orders",
        "Orders",
        whole,
        `${filled} filled, ${partiallyFilled} filled in part, ${whole(fills)} fills.`,
      ],
      ["rejected", "Rejected", whole, `${rate(rejected / orders.orders)} of all orders.`],
      [
        "medianSecondsToFill",
        "Time to fill",
        formatSeconds,
        `Median; 95 % took at most ${formatSeconds(orders.p95SecondsToFill)}.`,
      ],
      ["recordedSlippage", "Slippage", number, `Sum of the orders' slippage${expected}.`],
      ["commission", "Commission", number, "Sum over all orders."],
    ]),
  };
}

/** P&L by each grouping, at most `most` rows each (default 15). */
export function presentGroups({ groups }: Report, most = 15): PresentedTable[] {
  return Object.entries(groupings).flatMap(([by, title]) => {
    const all = groups[by as Grouping];
    if (all.length === 0) return [];
    // Of many, those with the best and the worst results.
    const shown = all.length <= most
      ? all
      : [...all.slice(0, Math.ceil(most / 2)), ...all.slice(-Math.floor(most / 2))];
    const table = textTable(
      title,
      `${title.replace(/ of .*/, "")}, #Trades, #Win rate, #P&L, #?Expectancy, #Profit factor`,
      shown.map((one) => [
        one.key,
        whole(one.trades),
        rate(one.winRate),
        number(one.totalPnl),
        number(one.expectancy),
        number(one.profitFactor),
      ]),
    );
    return [{ ...table, more: all.length - shown.length }];
  });
}

const MOST_ROWS = 20;

/**
 * A table of at most 20 rows. The labels of its columns are separated by commas; those of numbers
 * have a `#` before them, minor ones a `?`.
 */
export function textTable(
  title: string,
  columns: string,
  rows: readonly (readonly string[])[],
): PresentedTable {
  return {
    title,
    columns: columns.split(", ").map((name) => ({
      label: name.replace(/^[#?]+/, ""),
      isNumber: name.startsWith("#"),
      isMinor: name.includes("?"),
    })),
    rows: rows.slice(0, MOST_ROWS),
    more: Math.max(0, rows.length - MOST_ROWS),
  };
}

/** Reasons of rejections, the statuses of orders, the leaderboard, the ensemble and differing metrics. */
export function presentOthers(report: Report): Record<string, PresentedTable> {
  const { training, orders, differences } = report;
  return {
    rejections: textTable(
      "Reasons of rejections",
      "Reason, #Orders",
      orders.rejections.map(({ key, count }) => [key, whole(count)]),
    ),
    statuses: textTable(
      "Orders by status",
      "Status, #Orders",
      orders.byStatus.map(({ key, count }) => [key, whole(count)]),
    ),
    leaderboard: textTable(
      "Best agents (validation)",
      "Model, ?Algorithm, #Sharpe ratio, #Return %, #?Max. drawdown %, #Win rate",
      training.leaderboard.map((one) => [
        one.model,
        one.algorithm,
        number(one.sharpe),
        number(one.returnPct),
        number(one.maxDrawdownPct),
        rate(one.winRate),
      ]),
    ),
    ensemble: textTable(
      "Current ensemble",
      "Ensemble, Model, ?Algorithm, #Weight",
      training.weights.map((one) => [one.ensemble, one.model, one.algorithm, rate(one.weight)]),
    ),
    algorithms: textTable(
      "Algorithms",
      "Algorithm, #Runs, #Mean Sharpe ratio",
      training.algorithms.map((one) => [one.algorithm, whole(one.runs), number(one.meanSharpe)]),
    ),
    differences: textTable(
      "Stored metrics that differ from the computed ones",
      "Column, Day, #Stored, #Computed",
      differences.map((one) => [
        one.metric,
        one.date,
        formatNumber(one.stored, 4),
        formatNumber(one.computed, 4),
      ]),
    ),
  };
}
