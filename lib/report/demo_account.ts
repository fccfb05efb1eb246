/**
 * A made-up trading account: a market, positions in it and daily snapshots that agree with each
 * other.
 *
 * @module
 */
import type { SqlValue } from "../database/connection.ts";
import type { EquityRow } from "./statistics.ts";
import type { Trade } from "./trade_figures.ts";

/** A made-up account. */
export interface Account {
  readonly tables: readonly DemoTable[];
  readonly history: readonly EquityRow[];
  readonly trades: readonly Trade[];
  readonly positions: readonly Position[];
}

/** Ticker, price on the first day, daily volatility. */
export const market = [
  ["AAPL", 243, 0.016],
  ["AMD", 120, 0.027],
  ["AMZN", 219, 0.018],
  ["GOOG", 190, 0.017],
  ["JPM", 240, 0.013],
  ["META", 585, 0.02],
  ["MSFT", 418, 0.013],
  ["NVDA", 138, 0.026],
  ["QQQ", 511, 0.011],
  ["SPY", 585, 0.009],
  ["TSLA", 379, 0.034],
  ["XOM", 107, 0.014],
] as const;

/** Strategy, longest holding in trading days, share of right decisions. */
const STRATEGIES = [
  ["momentum", 14, 0.58],
  ["mean_reversion", 5, 0.57],
  ["breakout", 9, 0.5],
] as const;

const CLOSED = 400;
const OPEN = 7;
const START_EQUITY = 100_000;

/** Deposits and withdrawals, by trading day. */
const FLOWS: Readonly<Record<number, number>> = { 120: 10_000, 201: -5_000 };

/** A position, open or closed. Days are indexes of trading days. */
export interface Position {
  readonly id: string;
  readonly ticker: string;
  readonly strategy: string;
  /** 1 for a long position, -1 for a short one. */
  readonly direction: 1 | -1;
  readonly quantity: number;
  readonly entryDay: number;
  readonly exitDay: number | null;
  readonly entryPrice: number;
  /** Price at the exit, or of the last day. */
  readonly lastPrice: number;
  readonly openedAt: number;
  /** Time of the exit, or of the last snapshot. */
  readonly lastAt: number;
  readonly stop: number;
  readonly target: number;
  readonly atr: number;
  readonly exitReason: string;
  readonly score: number;
  readonly commission: number;
  readonly slippage: readonly [entry: number, exit: number];
}

/** Simulates an account over the trading days. */
export function simulateAccount(random: Random, days: readonly string[]): Account {
  const prices = new Map(market.map(([ticker, start, volatility]) => {
    const path = [start as number];
    while (path.length < days.length) {
      path.push((path.at(-1) ?? start) * (1 + 0.0005 + volatility * random.normal()));
    }
    return [ticker as string, path];
  }));
  const positions = Array.from(
    { length: CLOSED + OPEN },
    (_, at) => position(random, { at, isOpen: at >= CLOSED, days, prices }),
  );
  const history = snapshots(positions, { days, prices });
  const closed = positions.filter(({ exitDay }) => exitDay !== null);
  return {
    positions,
    tables: [
      { database: "positions", table: "positions", rows: openRows(positions) },
      { database: "positions", table: "closed_positions", rows: closed.map(closedRow) },
      { database: "trading", table: "portfolio_snapshots", rows: history },
    ],
    history: history.map((row) => ({
      time: row.snapshot_time,
      date: row.snapshot_date,
      equity: row.total_equity,
      dailyPnl: row.daily_pnl,
    })),
    trades: closed.map((one): Trade => ({
      ticker: one.ticker,
      side: side(one),
      quantity: one.quantity,
      entryPrice: one.entryPrice,
      pnl: profit(one),
      stopPrice: one.stop,
      closedAt: one.lastAt,
      holdingHours: hours(one),
      exitReason: one.exitReason,
      strategy: one.strategy,
      regime: null,
      signalScore: one.score,
      adverseExcursion: null,
    })),
  };
}

interface Market {
  readonly days: readonly string[];
  readonly prices: ReadonlyMap<string, readonly number[]>;
}

function position(
  random: Random,
  { at, isOpen, days, prices }: Market & { readonly at: number; readonly isOpen: boolean },
): Position {
  const share = random.uniform();
  const [strategy, longest, skill] = STRATEGIES[share < 0.4 ? 0 : share < 0.75 ? 1 : 2];
  const [ticker, , volatility] = random.pick<(typeof market)[number]>(market);
  const path = prices.get(ticker) ?? [];
  const last = days.length - 1;
  const entryDay = isOpen ? last - random.whole(0, 4) : random.whole(0, last - 1);
  const endDay = isOpen ? last : Math.min(last, entryDay + random.whole(0, longest));
  const entryPrice = round((path[entryDay] ?? 100) * (1 + 0.003 * random.normal()));
  const endPrice = (path[endDay] ?? 100) * (1 + 0.005 * random.normal());
  const isRight = random.uniform() < skill;
  const direction = (endPrice >= entryPrice) === isRight ? 1 : -1;
  const atr = round(entryPrice * volatility * (1.1 + 0.3 * random.uniform()));
  const stop = round(entryPrice - direction * 2 * atr);
  const target = round(entryPrice + direction * 3.5 * atr);
  const move = direction * (endPrice - entryPrice);
  const isStopped = !isOpen && move <= -2 * atr;
  const isTaken = !isOpen && move >= 3.5 * atr;
  const quantity = Math.max(
    1,
    Math.floor(START_EQUITY * (0.04 + 0.05 * random.uniform()) / entryPrice),
  );
  const minute = random.whole(0, 150);
  const opened = moment(days[entryDay], minute);
  const lastAt = isOpen
    ? moment(days[last], 395)
    : moment(days[endDay], random.whole(minute + 20, 385));
  return {
    id: `pos-${String(at + 1).padStart(4, "0")}`,
    ticker,
    strategy,
    direction,
    quantity,
    entryDay,
    exitDay: isOpen ? null : endDay,
    entryPrice,
    lastPrice: isStopped ? stop : isTaken ? target : round(endPrice),
    openedAt: opened,
    lastAt,
    stop,
    target,
    atr,
    exitReason: isStopped
      ? "stop_loss"
      : isTaken
      ? "take_profit"
      : endDay === entryDay
      ? "market_close"
      : random.pick(move > 0 ? ["trailing_stop", "time_exit"] : ["time_exit", "risk_limit"]),
    score: round(
      Math.min(0.99, Math.max(0.5, 0.68 + (isRight ? 0.04 : -0.03) + 0.1 * random.normal())),
      3,
    ),
    commission: round(2 * Math.max(1, 0.005 * quantity)),
    slippage: [
      round(0.0002 * entryPrice * Math.abs(random.normal()), 4),
      round(0.0003 * entryPrice * random.normal(), 4),
    ],
  };
}

/** Epoch seconds of a minute of a trading day; the market opens at 14:30 UTC. */
export function moment(day: string | undefined, minute: number): number {
  return Date.parse(`${day}T14:30:00Z`) / 1000 + minute * 60;
}

function side({ direction }: Position): string {
  return direction === 1 ? "long" : "short";
}

function hours({ openedAt, lastAt }: Position): number {
  return round((lastAt - openedAt) / 3600);
}

/** Profit after commission; for an open position, before it. */
function profit(
  { direction, quantity, entryPrice, lastPrice, exitDay, commission }: Position,
): number {
  return round(
    direction * (lastPrice - entryPrice) * quantity - (exitDay === null ? 0 : commission),
  );
}

const REGIMES = ["bull", "sideways", "bear"] as const;

function common(one: Position): Record<string, SqlValue> {
  return {
    position_id: one.id,
    ticker: one.ticker,
    side: side(one),
    quantity: one.quantity,
    entry_price: one.entryPrice,
    stop_loss_price: one.stop,
    take_profit_price: one.target,
    opened_at: one.openedAt,
    updated_at: one.lastAt,
    strategy: one.strategy,
    signal_score: one.score,
    atr_at_entry: one.atr,
    rvol_at_entry: round(0.8 + one.score, 2),
    market_regime: REGIMES[Math.floor(one.entryDay / 28) % 3] ?? null,
  };
}

function openRows(positions: readonly Position[]): DemoTable["rows"] {
  return positions.filter(({ exitDay }) => exitDay === null).map((one) => ({
    ...common(one),
    current_price: one.lastPrice,
    unrealized_pnl: profit(one),
    unrealized_pnl_pct: round(100 * profit(one) / (one.entryPrice * one.quantity)),
  }));
}

function closedRow(one: Position): Record<string, SqlValue> {
  const move = one.direction * (one.lastPrice - one.entryPrice);
  return {
    ...common(one),
    exit_price: one.lastPrice,
    realized_pnl: profit(one),
    realized_pnl_pct: round(100 * profit(one) / (one.entryPrice * one.quantity), 4),
    closed_at: one.lastAt,
    holding_period_hours: hours(one),
    exit_reason: one.exitReason,
    commission: one.commission,
    slippage: round((one.slippage[0] + one.slippage[1]) * one.quantity),
    max_favorable_excursion: round(Math.max(0, move) + one.atr * 0.6 * one.score),
    max_adverse_excursion: round(Math.max(0, -move) + one.atr * 0.7 * (1 - one.score)),
  };
}

/** One row of `portfolio_snapshots`, with the columns that the rest of the demo reads. */
interface SnapshotRow extends Readonly<Record<string, SqlValue>> {
  readonly snapshot_date: string;
  readonly snapshot_time: number;
  readonly total_equity: number;
  readonly daily_pnl: number;
}

function snapshots(positions: readonly Position[], { days, prices }: Market): SnapshotRow[] {
  const rows: SnapshotRow[] = [];
  let realized = 0;
  let flows = 0;
  let before = 0;
  for (const [day, date] of days.entries()) {
    const closedToday = positions.filter(({ exitDay }) => exitDay === day);
    const held = positions.filter(({ entryDay, exitDay }) =>
      entryDay <= day && (exitDay === null || exitDay > day)
    );
    const valueOf = (one: Position): number =>
      one.quantity *
      (day === days.length - 1 ? one.lastPrice : prices.get(one.ticker)?.[day] ?? one.entryPrice);
    const today = closedToday.reduce((total, one) => total + profit(one), 0);
    realized += today;
    flows += FLOWS[day] ?? 0;
    const unrealized = held.reduce(
      (total, one) => total + one.direction * (valueOf(one) - one.quantity * one.entryPrice),
      0,
    );
    const earned = round(realized + unrealized);
    const equity = round(START_EQUITY + flows + earned);
    const value = (direction: number): number =>
      round(
        held.reduce((total, one) => total + (one.direction === direction ? valueOf(one) : 0), 0),
      );
    const previous = rows.at(-1)?.total_equity ?? START_EQUITY;
    rows.push({
      snapshot_date: date,
      snapshot_time: moment(date, 395),
      total_equity: equity,
      cash_balance: round(equity - value(1) + value(-1)),
      long_market_value: value(1),
      short_market_value: value(-1),
      net_liquidation_value: equity,
      positions_count: held.length,
      daily_pnl: round(earned - before),
      daily_return_pct: round(100 * (earned - before) / previous, 4),
      cumulative_pnl: earned,
      cumulative_return_pct: round(100 * earned / START_EQUITY, 4),
      leverage: round((value(1) + value(-1)) / equity, 4),
      unrealized_pnl: round(unrealized),
      realized_pnl_today: round(today),
      trades_today: closedToday.length,
      wins_today: closedToday.filter((one) => profit(one) > 0).length,
      losses_today: closedToday.filter((one) => profit(one) < 0).length,
    });
    before = earned;
  }
  return rows;
}

/** Rows of one table. */
export interface DemoTable {
  readonly database: "positions" | "trading" | "ml_training";
  readonly table: string;
  /** All rows have the same columns. */
  readonly rows: readonly Readonly<Record<string, SqlValue>>[];
}

/** Random numbers that depend only on the seed. */
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

/** Rounds to this many decimals (default 2). */
export function round(value: number, decimals = 2): number {
  return Number(value.toFixed(decimals));
}
