/**
 * Figures of closed positions. Pure functions over plain data.
 *
 * @module
 */
import { extreme, mean, quantile, sampleDeviation, sum } from "./statistics.ts";

/** One row of `closed_positions`. Amounts are in the account's currency. */
export interface Trade {
  readonly ticker: string;
  readonly side: string;
  readonly quantity: number | null;
  readonly entryPrice: number | null;
  /** Realized profit or loss. */
  readonly pnl: number;
  readonly stopPrice: number | null;
  /** Epoch seconds. */
  readonly closedAt: number;
  readonly holdingHours: number | null;
  readonly exitReason: string | null;
  readonly strategy: string | null;
  readonly regime: string | null;
  /** 0 to 1. */
  readonly signalScore: number | null;
  /** Largest price movement against the position, as recorded. */
  readonly adverseExcursion: number | null;
}

/** Figures of some closed positions. Null where undefined; `reasons` says why. */
export interface TradeFigures {
  /** Number of closed positions. */
  readonly trades: number;
  /** Number with a profit. */
  readonly wins: number;
  /** Number with a loss. */
  readonly losses: number;
  /** Number with neither. */
  readonly breakEven: number;
  /** Sum of profits and losses. */
  readonly totalPnl: number;
  /** Wins divided by all trades, as a fraction; a break-even trade is not a win. */
  readonly winRate: number | null;
  /** Sum of profits divided by the sum of losses; null without a loss. */
  readonly profitFactor: number | null;
  /** Mean profit or loss of a trade. */
  readonly expectancy: number | null;
  /** Mean profit of the winning trades. */
  readonly averageWin: number | null;
  /** Negative. */
  readonly averageLoss: number | null;
  /** Average win divided by the average loss, without its sign. */
  readonly payoffRatio: number | null;
  /** Highest profit. */
  readonly largestWin: number | null;
  /** Negative. */
  readonly largestLoss: number | null;
  /** Most wins in a row, by closing time; a break-even trade ends a streak. */
  readonly winStreak: number;
  /** Most losses in a row, by closing time. */
  readonly lossStreak: number;
  /** Mean holding time, in hours. */
  readonly meanHoldingHours: number | null;
  /** Median holding time, in hours. */
  readonly medianHoldingHours: number | null;
  /** System quality number: sqrt(n) * mean(P&L) / sd(P&L, n - 1). */
  readonly sqn: number | null;
  /** Mean R multiple, P&L / (|entry - stop| * quantity), of the trades with a known stop. */
  readonly meanR: number | null;
  /** Number of trades with an R multiple. */
  readonly tradesWithR: number;
  /** Why a figure is null, by its name. */
  readonly reasons: Readonly<Record<string, string>>;
}

/** Figures of the trades that share one value of a property. */
export interface TradeGroup {
  /** The value, or `(none)`. */
  readonly key: string;
  /** Number of closed positions. */
  readonly trades: number;
  /** Wins divided by all trades, as a fraction. */
  readonly winRate: number;
  /** Sum of profits and losses. */
  readonly totalPnl: number;
  /** Mean profit or loss of a trade. */
  readonly expectancy: number;
  /** Sum of profits divided by the sum of losses; null without a loss. */
  readonly profitFactor: number | null;
}

/** A property to group trades by. Weekday and hour are those of closing, in UTC. */
export type Grouping =
  | "strategy"
  | "ticker"
  | "side"
  | "exitReason"
  | "regime"
  | "weekday"
  | "hour"
  | "scoreDecile";

/** Titles of all groupings, in the order of the output. */
export const groupings: Readonly<Record<Grouping, string>> = {
  strategy: "Strategy",
  ticker: "Ticker",
  side: "Side",
  exitReason: "Exit reason",
  regime: "Market regime",
  weekday: "Weekday of closing (UTC)",
  hour: "Hour of closing (UTC)",
  scoreDecile: "Decile of signal_score",
};

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const NONE = "(none)";

/** R multiple of a trade: P&L / (|entry - stop| * quantity); null without a stop away from the entry. */
function rMultiple({ pnl, entryPrice, stopPrice, quantity }: Trade): number | null {
  if (entryPrice === null || stopPrice === null || quantity === null) return null;
  const risk = Math.abs(entryPrice - stopPrice) * quantity;
  return risk > 0 ? pnl / risk : null;
}

/** Computes the figures of closed positions. */
export function tradeFigures(trades: readonly Trade[]): TradeFigures {
  const pnls = trades.map(({ pnl }) => pnl);
  const wins = pnls.filter((pnl) => pnl > 0);
  const losses = pnls.filter((pnl) => pnl < 0);
  const reasons: Record<string, string> = {};
  const known = (name: string, value: number | null, reason: string): number | null => {
    const isKnown = value !== null && Number.isFinite(value);
    if (!isKnown) {
      reasons[name] = trades.length === 0
        ? "no closed positions"
        : value === null
        ? reason
        : "out of range";
    }
    return isKnown ? value : null;
  };
  const averageWin = mean(wins);
  const averageLoss = mean(losses);
  const expectancy = mean(pnls);
  const deviation = sampleDeviation(pnls);
  const hours = trades.flatMap(({ holdingHours }) => holdingHours ?? []);
  const multiples = trades.flatMap((trade) => rMultiple(trade) ?? []);
  const streaks = longestStreaks(trades);
  return {
    trades: trades.length,
    wins: wins.length,
    losses: losses.length,
    breakEven: trades.length - wins.length - losses.length,
    totalPnl: sum(pnls),
    winRate: known("winRate", winRateOf(pnls), ""),
    profitFactor: known("profitFactor", profitFactorOf(pnls), "no losing trade"),
    expectancy: known("expectancy", expectancy, ""),
    averageWin: known("averageWin", averageWin, "no winning trade"),
    averageLoss: known("averageLoss", averageLoss, "no losing trade"),
    payoffRatio: known(
      "payoffRatio",
      averageWin === null || averageLoss === null ? null : averageWin / -averageLoss,
      averageWin === null ? "no winning trade" : "no losing trade",
    ),
    largestWin: known("largestWin", extreme(wins, Math.max), "no winning trade"),
    largestLoss: known("largestLoss", extreme(losses, Math.min), "no losing trade"),
    winStreak: streaks.wins,
    lossStreak: streaks.losses,
    meanHoldingHours: known("meanHoldingHours", mean(hours), "no holding hours"),
    medianHoldingHours: known("medianHoldingHours", quantile(hours, 0.5), "no holding hours"),
    sqn: known(
      "sqn",
      expectancy === null || deviation === null || deviation === 0
        ? null
        : Math.sqrt(pnls.length) * expectancy / deviation,
      trades.length < 2 ? "needs two trades" : "results do not vary",
    ),
    meanR: known("meanR", mean(multiples), "no trade has a stop"),
    tradesWithR: multiples.length,
    reasons,
  };
}

/** Wins divided by all trades; a break-even trade is not a win. NaN without trades. */
function winRateOf(pnls: readonly number[]): number {
  return pnls.filter((pnl) => pnl > 0).length / pnls.length;
}

/** Sum of profits divided by the sum of losses; null without a loss. */
function profitFactorOf(pnls: readonly number[]): number | null {
  const loss = -sum(pnls.filter((pnl) => pnl < 0));
  return loss > 0 ? sum(pnls.filter((pnl) => pnl > 0)) / loss : null;
}

function longestStreaks(trades: readonly Trade[]): { wins: number; losses: number } {
  const longest = { wins: 0, losses: 0 };
  let wins = 0;
  let losses = 0;
  const isInOrder = trades.every(({ closedAt }, at) =>
    closedAt >= (trades[at - 1]?.closedAt ?? -Infinity)
  );
  for (const { pnl } of isInOrder ? trades : trades.toSorted((a, b) => a.closedAt - b.closedAt)) {
    wins = pnl > 0 ? wins + 1 : 0;
    losses = pnl < 0 ? losses + 1 : 0;
    longest.wins = Math.max(longest.wins, wins);
    longest.losses = Math.max(longest.losses, losses);
  }
  return longest;
}

/**
 * Groups trades by a property. Weekdays run from Monday to Sunday, hours from 0 to 23 and deciles
 * from the lowest scores to the highest; all other groups are sorted by total P&L, best first.
 * Trades with equal scores share a decile.
 */
export function groupTrades(trades: readonly Trade[], by: Grouping): TradeGroup[] {
  const decileOf = by === "scoreDecile" ? scoreDeciles(trades) : () => NONE;
  const keyOf = (trade: Trade): string => {
    // Date would take most of the time for many trades.
    const days = Math.floor(trade.closedAt / 86_400);
    switch (by) {
      case "weekday":
        return WEEKDAYS[((days + 4) % 7 + 7) % 7] ?? NONE; // the first day of the epoch was a Thursday
      case "hour":
        return String(Math.floor((trade.closedAt - days * 86_400) / 3600));
      case "scoreDecile":
        return decileOf(trade);
      default:
        return trade[by] ?? NONE;
    }
  };
  const order = (key: string): number =>
    by === "weekday"
      ? (WEEKDAYS.indexOf(key) + 6) % 7
      : by === "hour" || by === "scoreDecile"
      ? Number.parseInt(key) || (key === NONE ? Infinity : 0)
      : 0;
  return [...Map.groupBy(trades, keyOf)].map(([key, members]): TradeGroup => {
    const pnls = members.map(({ pnl }) => pnl);
    const totalPnl = sum(pnls);
    const factor = profitFactorOf(pnls);
    return {
      key,
      trades: pnls.length,
      winRate: winRateOf(pnls),
      totalPnl,
      expectancy: totalPnl / pnls.length,
      profitFactor: Number.isFinite(factor) ? factor : null,
    };
  }).sort((a, b) => (order(a.key) - order(b.key) || 0) || b.totalPnl - a.totalPnl);
}

/** The tenth of the scores that a trade belongs to, such as `1 (0.50 to 0.55)`. */
function scoreDeciles(trades: readonly Trade[]): (trade: Trade) => string {
  const scores = Float64Array.from(trades.flatMap(({ signalScore }) => signalScore ?? [])).sort();
  const deciles = new Map<number, number>();
  const ranges = new Map<number | undefined, readonly [low: number, high: number]>();
  for (const [at, score] of scores.entries()) {
    const decile = deciles.get(score) ?? Math.floor(at / scores.length * 10) + 1;
    deciles.set(score, decile);
    ranges.set(decile, [ranges.get(decile)?.[0] ?? score, score]);
  }
  return ({ signalScore }) => {
    const decile = deciles.get(signalScore ?? NaN);
    const range = ranges.get(decile);
    return range === undefined
      ? NONE
      : `${decile} (${range[0].toFixed(2)} to ${range[1].toFixed(2)})`;
  };
}
