/**
 * A report in words and tables, for a terminal and a page alike. Pure functions.
 *
 * @module
 */
import { formatCount } from "../base/format.ts";
import type { Report } from "./report.ts";
import type { TradeFigures, TradeGroup } from "./trades.ts";

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

/**
 * Replaces characters that HTML does not allow, or that would change the direction of the following
 * text. Names in a database are untrusted.
 */
export function cleanText(text: string): string {
  return text.replace(
    // deno-lint-ignore no-control-regex
    /[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]|\p{Surrogate}/gu,
    "\ufffd",
  );
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
export function formatSeconds(seconds: number | null): string {
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

function presentEquity({ equity }: Report): PresentedFigures[] {
  if (equity === null) return [];
  const { periodsPerYear: k, maxDrawdown: deepest } = equity;
  const figure = (name: string, label: string, text: string, explanation: string) => {
    const reason = equity.reasons[name];
    return reason === undefined
      ? { label, text, explanation }
      : { label, text: reason, explanation };
  };
  return [{
    title: "Account",
    figures: [
      figure(
        "endEquity",
        "Equity",
        formatNumber(equity.endEquity),
        `On ${equity.lastDate}; ${formatNumber(equity.startEquity)} on ${equity.firstDate}.`,
      ),
      figure(
        "totalReturn",
        "Total return",
        formatPercent(equity.totalReturn),
        "The product of (1 + r) over all returns r, minus 1. r = E_t / E_(t-1) - 1.",
      ),
      figure(
        "cagr",
        "CAGR",
        formatPercent(equity.cagr),
        "(E_n / E_0)^(365.25 / days) - 1, without deposits and withdrawals.",
      ),
      figure(
        "bestDay",
        "Best and worst day",
        equity.bestDay === null
          ? "-"
          : `${formatPercent(equity.bestDay)}, ${formatPercent(equity.worstDay)}`,
        "The highest and the lowest return between two snapshots.",
      ),
      figure(
        "flows",
        "Deposits and withdrawals",
        equity.flows === 0 ? "none" : `${equity.flows}, net ${formatNumber(equity.netFlow)}`,
        "Changes in equity that daily_pnl does not explain.",
      ),
    ],
  }, {
    title: "Risk",
    figures: [
      figure(
        "sharpe",
        "Sharpe ratio",
        formatNumber(equity.sharpe),
        `mean(r) / sd(r, n - 1) * sqrt(k), k = ${k}, risk-free rate 0.`,
      ),
      figure(
        "sortino",
        "Sortino ratio",
        formatNumber(equity.sortino),
        `mean(r) / sqrt(sum(min(r, 0)^2) / n) * sqrt(k), k = ${k}.`,
      ),
      figure(
        "volatility",
        "Volatility",
        formatPercent(equity.volatility),
        `sd(r, n - 1) * sqrt(k), k = ${k}, per year.`,
      ),
      figure(
        "maxDrawdown",
        "Maximum drawdown",
        deepest === null ? "none" : formatPercent(deepest.depth),
        deepest === null
          ? "The equity never fell below an earlier value."
          : `Peak ${deepest.peak}, trough ${deepest.trough}, ${
            deepest.recovery === null ? "not recovered" : `recovered ${deepest.recovery}`
          }, ${formatCount(deepest.days, "day")}.`,
      ),
      figure(
        "currentDrawdown",
        "Current drawdown",
        equity.currentDrawdown === 0 ? "none" : formatPercent(equity.currentDrawdown),
        "Distance of the last snapshot below the peak.",
      ),
      figure("calmar", "Calmar ratio", formatNumber(equity.calmar), "CAGR / |maximum drawdown|."),
      figure(
        "ulcerIndex",
        "Ulcer index",
        equity.ulcerIndex === null ? "-" : `${formatNumber(equity.ulcerIndex)} %`,
        "sqrt(sum(D^2) / n), D = drawdown in percent.",
      ),
    ],
  }];
}

function presentTrades(trades: TradeFigures): PresentedFigures {
  if (trades.trades === 0) return { title: "Closed positions", figures: [] };
  const figure = (name: keyof TradeFigures, label: string, text: string, explanation: string) => ({
    label,
    text: trades.reasons[name] ?? text,
    explanation,
  });
  return {
    title: "Closed positions",
    figures: [
      figure(
        "trades",
        "Trades",
        formatNumber(trades.trades, 0),
        `${trades.wins} won, ${trades.losses} lost, ${trades.breakEven} broke even.`,
      ),
      figure("totalPnl", "Total P&L", formatNumber(trades.totalPnl), "Sum of realized_pnl."),
      figure(
        "winRate",
        "Win rate",
        formatPercent(trades.winRate, 1),
        "Wins / trades; break-even is not a win.",
      ),
      figure(
        "profitFactor",
        "Profit factor",
        formatNumber(trades.profitFactor),
        "Sum of profits / sum of losses.",
      ),
      figure(
        "expectancy",
        "Expectancy",
        formatNumber(trades.expectancy),
        "Mean P&L of a trade.",
      ),
      figure(
        "averageWin",
        "Average win",
        formatNumber(trades.averageWin),
        trades.largestWin === null ? "" : `Largest: ${formatNumber(trades.largestWin)}.`,
      ),
      figure(
        "averageLoss",
        "Average loss",
        formatNumber(trades.averageLoss),
        trades.largestLoss === null ? "" : `Largest: ${formatNumber(trades.largestLoss)}.`,
      ),
      figure(
        "payoffRatio",
        "Payoff ratio",
        formatNumber(trades.payoffRatio),
        "Average win / |average loss|.",
      ),
      figure(
        "winStreak",
        "Longest streaks",
        `${formatCount(trades.winStreak, "win")}, ${formatCount(trades.lossStreak, "loss")}`,
        "Trades in a row, by closing time.",
      ),
      figure(
        "meanHoldingHours",
        "Holding time",
        `${formatNumber(trades.meanHoldingHours, 1)} h`,
        `Mean; the median is ${formatNumber(trades.medianHoldingHours, 1)} h.`,
      ),
      figure("sqn", "SQN", formatNumber(trades.sqn), "sqrt(n) * mean(P&L) / sd(P&L, n - 1)."),
      figure(
        "meanR",
        "R multiple",
        formatNumber(trades.meanR),
        `Mean of P&L / (|entry - stop| * quantity), ${
          formatCount(trades.tradesWithR, "trade")
        } with a stop.`,
      ),
    ],
  };
}

function presentOrders({ orders }: Report): PresentedFigures {
  if (orders.orders === 0) return { title: "Orders and fills", figures: [] };
  return {
    title: "Orders and fills",
    figures: [
      {
        label: "Orders",
        text: formatNumber(orders.orders, 0),
        explanation: `${orders.filled} filled, ${orders.partiallyFilled} filled in part, ${
          formatNumber(orders.fills, 0)
        } fills.`,
      },
      {
        label: "Rejected",
        text: formatNumber(orders.rejected, 0),
        explanation: `${formatPercent(orders.rejected / orders.orders, 1)} of all orders.`,
      },
      {
        label: "Time to fill",
        text: formatSeconds(orders.medianSecondsToFill),
        explanation: `Median; 95 % took at most ${formatSeconds(orders.p95SecondsToFill)}.`,
      },
      {
        label: "Slippage",
        text: formatNumber(orders.recordedSlippage),
        explanation: orders.slippageCost === null
          ? "Sum of the orders' slippage."
          : `Sum of the orders' slippage; against expected prices: ${
            formatNumber(orders.slippageCost)
          }.`,
      },
      {
        label: "Commission",
        text: formatNumber(orders.commission),
        explanation: "Sum over all orders.",
      },
    ],
  };
}

/** Titles of the groupings of closed positions, in display order. */
const GROUPS = [
  ["strategy", "Strategy"],
  ["ticker", "Ticker"],
  ["side", "Side"],
  ["exitReason", "Exit reason"],
  ["regime", "Market regime"],
  ["weekday", "Weekday of closing (UTC)"],
  ["hour", "Hour of closing (UTC)"],
  ["scoreDecile", "Decile of signal_score"],
] as const;

/** P&L by each grouping, at most `most` rows each (default 15). */
export function presentGroups(report: Report, most = 15): PresentedTable[] {
  return GROUPS.flatMap(([by, title]) => {
    const groups = report.groups[by];
    return groups.length === 0 ? [] : [groupTable(groups, { title, most })];
  });
}

function groupTable(
  groups: readonly TradeGroup[],
  { title, most }: { readonly title: string; readonly most: number },
): PresentedTable {
  // Of many, those with the best and the worst results.
  const shown = groups.length <= most
    ? groups
    : [...groups.slice(0, Math.ceil(most / 2)), ...groups.slice(-Math.floor(most / 2))];
  return {
    title,
    columns: [
      { label: title.replace(/ of .*/, ""), isNumber: false },
      ...["Trades", "Win rate", "P&L", "Expectancy", "Profit factor"].map((label) => ({
        label,
        isNumber: true,
        isMinor: label === "Expectancy",
      })),
    ],
    rows: shown.map((one) => [
      one.key,
      formatNumber(one.trades, 0),
      formatPercent(one.winRate, 1),
      formatNumber(one.totalPnl),
      formatNumber(one.expectancy),
      formatNumber(one.profitFactor),
    ]),
    more: groups.length - shown.length,
  };
}

/** Long against short, reasons of rejections, the leaderboard, the ensemble and differing metrics. */
export function presentOthers(report: Report): Record<string, PresentedTable> {
  const { training, orders, differences } = report;
  const table = (
    title: string,
    columns: readonly string[],
    rows: readonly (readonly string[])[],
    most = 20,
  ): PresentedTable => ({
    title,
    // Columns of numbers have a `#` before their name, minor ones a `?`.
    columns: columns.map((name) => ({
      label: name.replace(/^[#?]+/, ""),
      isNumber: name.startsWith("#"),
      isMinor: name.includes("?"),
    })),
    rows: rows.slice(0, most),
    more: Math.max(0, rows.length - most),
  });
  return {
    rejections: table(
      "Reasons of rejections",
      ["Reason", "#Orders"],
      orders.rejections.map(({ key, count }) => [key, formatNumber(count, 0)]),
    ),
    statuses: table(
      "Orders by status",
      ["Status", "#Orders"],
      orders.byStatus.map(({ key, count }) => [key, formatNumber(count, 0)]),
    ),
    leaderboard: table(
      "Best agents (validation)",
      ["Model", "?Algorithm", "#Sharpe ratio", "#Return %", "#?Max. drawdown %", "#Win rate"],
      training.leaderboard.map((one) => [
        one.model,
        one.algorithm,
        formatNumber(one.sharpe),
        formatNumber(one.returnPct),
        formatNumber(one.maxDrawdownPct),
        formatPercent(one.winRate, 1),
      ]),
    ),
    ensemble: table(
      "Current ensemble",
      ["Ensemble", "Model", "?Algorithm", "#Weight"],
      training.weights.map((one) => [
        one.ensemble,
        one.model,
        one.algorithm,
        formatPercent(one.weight, 1),
      ]),
    ),
    algorithms: table(
      "Algorithms",
      ["Algorithm", "#Runs", "#Mean Sharpe ratio"],
      training.algorithms.map((one) => [
        one.algorithm,
        formatNumber(one.runs, 0),
        formatNumber(one.meanSharpe),
      ]),
    ),
    differences: table(
      "Stored metrics that differ from the computed ones",
      ["Column", "Day", "#Stored", "#Computed"],
      differences.map((one) => [
        one.metric,
        one.date,
        formatNumber(one.stored, 4),
        formatNumber(one.computed, 4),
      ]),
    ),
  };
}
