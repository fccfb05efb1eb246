/**
 * One year of made-up data for the bot's databases. The same seed gives the same rows.
 *
 * @module
 */
import type { SqlValue } from "../database/connection.ts";
import {
  type Account,
  createRandom,
  type DemoTable,
  market,
  moment,
  type Position,
  type Random,
  round,
  simulateAccount,
} from "./demo_account.ts";
import { equityFigures } from "./equity.ts";
import { episodeSeries } from "./activity.ts";
import { type EquityRow, mean } from "./statistics.ts";
import { tradeFigures } from "./trade_figures.ts";

/** Exchange holidays of 2025 on weekdays, as month and day; the other 250 weekdays are trading days. */
const HOLIDAYS = "01-01 01-09 01-20 02-17 04-18 05-26 06-19 07-04 09-01 11-27 12-25";

/** The 250 trading days of 2025, as `YYYY-MM-DD`. */
function tradingDays(): string[] {
  return Array.from(
    { length: 365 },
    (_, day) => new Date(Date.UTC(2025, 0, 1 + day)),
  ).filter((date) => date.getUTCDay() % 6 !== 0)
    .map((date) => date.toISOString().slice(0, 10))
    .filter((date) => !HOLIDAYS.includes(date.slice(5)));
}

/**
 * Makes the rows of all tables: 250 trading days, 400 closed positions of three strategies with their
 * orders and fills, and five training runs of three algorithms. Tables come in the order in which
 * foreign keys allow to fill them.
 */
export function demoTables(seed: number): DemoTable[] {
  const random = createRandom(seed);
  const days = tradingDays();
  const account = simulateAccount(random, days);
  return [
    ...account.tables,
    ...orderTables(random, { positions: account.positions, days }),
    {
      database: "trading",
      table: "performance_metrics",
      rows: performanceMetrics(account),
    },
    ...trainingTables(random),
  ];
}

/** Metrics as a bot would store them each day, from the 21st day on. */
function performanceMetrics({ history, trades }: Account): DemoTable["rows"] {
  return history.slice(20).flatMap(({ time, date, equity }, at) => {
    const figures = equityFigures(history.slice(0, at + 21));
    if (figures === null) return [];
    const recent = tradeFigures(
      trades.filter(({ closedAt }) => closedAt <= time && closedAt > time - 30 * 86_400),
    );
    const decimals = (value: number | null) => value === null ? null : round(value, 4);
    return [{
      metric_date: date,
      metric_time: time,
      sharpe_ratio: decimals(figures.sharpe),
      sortino_ratio: decimals(figures.sortino),
      calmar_ratio: decimals(figures.calmar),
      max_drawdown_pct: decimals(100 * (figures.maxDrawdown?.depth ?? 0)),
      current_drawdown_pct: decimals(100 * figures.currentDrawdown),
      return_inception: decimals(figures.totalReturn),
      return_1d: decimals(changeFrom(history[at + 19], equity)),
      return_30d: decimals(changeFrom(history[Math.max(0, at - 1)], equity)),
      volatility_annualized: decimals(figures.volatility),
      total_trades_30d: recent.trades,
      winning_trades_30d: recent.wins,
      losing_trades_30d: recent.losses,
      win_rate_30d: decimals(recent.winRate),
      avg_win_30d: decimals(recent.averageWin),
      avg_loss_30d: decimals(recent.averageLoss),
      profit_factor_30d: decimals(recent.profitFactor),
      expectancy_30d: decimals(recent.expectancy),
      largest_win_30d: decimals(recent.largestWin),
      largest_loss_30d: decimals(recent.largestLoss),
      max_win_streak: recent.winStreak,
      max_loss_streak: recent.lossStreak,
      avg_holding_period_hours: decimals(recent.meanHoldingHours),
    }];
  });
}

function changeFrom(before: EquityRow | undefined, equity: number | null): number | null {
  return before?.equity && equity !== null ? equity / before.equity - 1 : null;
}

/** Training runs: algorithm, model, learning rate, final reward, episodes until it is nearly reached. */
const RUNS = [
  ["PPO", "ppo_trend_v1", 0.0003, 118, 70],
  ["PPO", "ppo_trend_v2", 0.0001, 142, 95],
  ["SAC", "sac_reversion_v1", 0.001, 96, 45],
  ["SAC", "sac_reversion_v2", 0.0005, 131, 60],
  ["A2C", "a2c_baseline_v1", 0.0007, 84, 55],
] as const;

const EPISODES = 300;

/** Weights of the best three agents by date. */
const ENSEMBLES = [
  ["2025-11-03", [0.4, 0.35, 0.25]],
  ["2025-12-01", [0.5, 0.3, 0.2]],
] as const;

function trainingTables(random: Random): DemoTable[] {
  const tables = {
    training_runs: [] as Record<string, SqlValue>[],
    agent_performance: [] as Record<string, SqlValue>[],
    hyperparameters: [] as Record<string, SqlValue>[],
    training_episodes: [] as Record<string, SqlValue>[],
    ensemble_weights: [] as Record<string, SqlValue>[],
  };
  const agents: { runId: string; algorithm: string; sharpe: number }[] = [];
  for (const [at, [algorithm, model, learningRate, finalReward, speed]] of RUNS.entries()) {
    const runId = `run-${at + 1}`;
    const start = Date.UTC(2025, 1 + at * 2, 3, 22) / 1000;
    const seconds = random.whole(40, 55);
    const episodes = Array.from({ length: EPISODES }, (_, episode) => {
      // Fast at first, then ever slower.
      const progress = 1.25 * (episode / (episode + speed));
      const reward = round(-60 + (finalReward + 60) * progress + 14 * random.normal());
      return { episode: episode + 1, reward };
    });
    const { lastReward, points } = episodeSeries(episodes, EPISODES);
    const best = episodes.reduce((a, b) => Math.max(a, b.reward), -Infinity);
    const end = start + EPISODES * seconds;
    tables.training_runs.push({
      run_id: runId,
      algorithm,
      model_name: model,
      start_time: start,
      end_time: end,
      duration_seconds: end - start,
      total_timesteps: EPISODES * 390,
      train_start_date: "2021-01-04",
      train_end_date: "2023-12-29",
      val_start_date: "2024-01-02",
      val_end_date: "2024-12-31",
      status: "completed",
      final_reward: lastReward,
      best_reward: best,
      final_loss: round(0.02 + 0.02 * random.uniform(), 4),
      convergence_achieved: 1,
      random_seed: 42 + at,
      device: "cpu",
    });
    for (const { episode, reward } of episodes) {
      tables.training_episodes.push({
        run_id: runId,
        episode_number: episode,
        episode_reward: reward,
        episode_length: 390,
        episode_time: start + episode * seconds,
        mean_loss: round(0.6 * speed / (episode + speed) + 0.02 * random.uniform(), 4),
        learning_rate: learningRate,
      });
    }
    const skill = (mean(points.slice(-50).map(({ average }) => average)) ?? 0) / 100;
    for (const [type, factor] of [["train", 1.3], ["validation", 1], ["test", 0.85]] as const) {
      const sharpe = round(skill * factor + 0.1 * random.normal(), 3);
      const trades = random.whole(140, 260);
      const wins = Math.round(trades * (0.48 + 0.05 * skill));
      if (type === "validation") agents.push({ runId, algorithm, sharpe });
      tables.agent_performance.push({
        run_id: runId,
        evaluation_date: new Date((end + 3600) * 1000).toISOString().slice(0, 10),
        evaluation_time: end + 3600,
        data_period_start: type === "train" ? "2021-01-04" : "2024-01-02",
        data_period_end: type === "train" ? "2023-12-29" : "2024-12-31",
        evaluation_type: type,
        total_return_pct: round(14 * sharpe + 2 * random.normal()),
        sharpe_ratio: sharpe,
        sortino_ratio: round(sharpe * 1.4, 3),
        max_drawdown_pct: round(-6 - 6 * random.uniform()),
        total_trades: trades,
        winning_trades: wins,
        losing_trades: trades - wins,
        win_rate: round(wins / trades, 4),
        num_episodes: EPISODES,
      });
    }
    tables.hyperparameters.push({
      run_id: runId,
      algorithm,
      learning_rate: learningRate,
      batch_size: random.pick([64, 128, 256]),
      n_steps: algorithm === "SAC" ? null : 2048,
      gamma: 0.99,
      params_json: JSON.stringify({ learning_rate: learningRate, gamma: 0.99 }),
      created_at: start,
    });
  }
  const chosen = agents.toSorted((a, b) => b.sharpe - a.sharpe).slice(0, 3);
  for (const [date, weights] of ENSEMBLES) {
    for (const [at, { runId, algorithm, sharpe }] of chosen.entries()) {
      tables.ensemble_weights.push({
        ensemble_id: "main",
        update_time: Date.parse(`${date}T22:00:00Z`) / 1000,
        update_date: date,
        run_id: runId,
        algorithm,
        weight: weights[at] ?? 0,
        sharpe_ratio: sharpe,
        weighting_method: "sharpe_weighted",
        lookback_days: 30,
      });
    }
  }
  return Object.entries(tables).map(([table, rows]) => ({ database: "ml_training", table, rows }));
}

const REJECTIONS = [
  "insufficient buying power",
  "trading halted",
  "shares not available to short",
  "price outside the allowed band",
] as const;

/** An order before it has an id. */
interface Order {
  readonly at: number;
  readonly row: Readonly<Record<string, SqlValue>>;
  /** Price and quantity of each fill. */
  readonly fills: readonly (readonly [price: number, quantity: number])[];
}

/** Makes the orders and fills of positions, and some orders that came to nothing. */
function orderTables(
  random: Random,
  { positions, days }: {
    readonly positions: readonly Position[];
    readonly days: readonly string[];
  },
): DemoTable[] {
  const orders = positions.flatMap((one) => {
    const entry = filledOrder(random, one, { isEntry: true });
    return one.exitDay === null ? [entry] : [entry, filledOrder(random, one, { isEntry: false })];
  });
  for (let count = 0; count < 40; count++) {
    const [ticker, price] = random.pick<(typeof market)[number]>(market);
    const at = moment(days[random.whole(0, days.length - 1)], random.whole(5, 380));
    const isRejected = count < 24;
    orders.push({
      at,
      fills: [],
      row: {
        ...blankOrder,
        ticker,
        order_type: "limit",
        side: random.pick(["buy", "sell"]),
        quantity: random.whole(5, 60),
        limit_price: price,
        status: isRejected ? "rejected" : count < 34 ? "cancelled" : "expired",
        submitted_at: at,
        updated_at: at + 2,
        ...isRejected ? {} : { [count < 34 ? "cancelled_at" : "expired_at"]: at + 2 },
        strategy: random.pick(["momentum", "mean_reversion", "breakout"]),
        ...isRejected ? { reject_reason: random.pick<string>(REJECTIONS) } : {},
      },
    });
  }
  const rows: Record<string, SqlValue>[] = [];
  const fills: Record<string, SqlValue>[] = [];
  for (const [number, { row, fills: parts }] of orders.sort((a, b) => a.at - b.at).entries()) {
    const id = `ord-${String(number + 1).padStart(5, "0")}`;
    const order = { order_id: id, client_order_id: `bot-${id}`, ...row };
    rows.push(order);
    const total = parts.reduce((sum, [, quantity]) => sum + quantity, 0);
    for (const [at, [price, quantity]] of parts.entries()) {
      fills.push({
        fill_id: `fill-${String(fills.length + 1).padStart(5, "0")}`,
        order_id: id,
        client_order_id: order.client_order_id,
        ticker: row.ticker ?? null,
        side: row.side ?? null,
        quantity,
        price,
        filled_at: Number(row.filled_at ?? row.updated_at) - (parts.length - 1 - at),
        liquidity: random.pick(["maker", "taker"]),
        commission: round(Number(row.commission) * quantity / total, 4),
        position_id: row.position_id ?? null,
        exchange: random.pick(["NASDAQ", "NYSE", "ARCA"]),
      });
    }
  }
  return [
    { database: "trading", table: "orders", rows },
    { database: "trading", table: "fills", rows: fills },
  ];
}

const blankOrder: Readonly<Record<string, SqlValue>> = {
  stop_price: null,
  time_in_force: "day",
  cancelled_at: null,
  expired_at: null,
  filled_at: null,
  filled_quantity: 0,
  filled_avg_price: null,
  commission: 0,
  position_id: null,
  expected_price: null,
  slippage: null,
  signal_score: null,
  reject_reason: null,
};

function filledOrder(
  random: Random,
  one: Position,
  { isEntry }: { readonly isEntry: boolean },
): Order {
  const isBuy = (one.direction === 1) === isEntry;
  const price = isEntry ? one.entryPrice : one.lastPrice;
  const seconds = random.whole(1, 12);
  const at = (isEntry ? one.openedAt : one.lastAt) - seconds;
  const slip = one.slippage[isEntry ? 0 : 1];
  const isStop = !isEntry && one.exitReason === "stop_loss";
  const type = isStop ? "stop" : random.pick(["market", "limit"]);
  // The entries of two open positions are still being filled.
  const isPartial = isEntry && one.exitDay === null && one.quantity % 3 === 0;
  const parts = one.quantity < 6 ? 1 : random.pick([1, 1, 1, 2, 3]);
  const first = Math.floor(one.quantity / parts);
  const quantities = Array.from(
    { length: parts },
    (_, part) => part < parts - 1 ? first : one.quantity - first * (parts - 1),
  );
  return {
    at,
    fills: quantities.map((quantity) => [price, quantity]),
    row: {
      ...blankOrder,
      ticker: one.ticker,
      order_type: type,
      side: isBuy ? "buy" : "sell",
      quantity: isPartial ? one.quantity + 10 : one.quantity,
      limit_price: type === "limit" ? price : null,
      stop_price: isStop ? one.stop : null,
      status: isPartial ? "partially_filled" : "filled",
      submitted_at: at,
      updated_at: at + seconds,
      filled_at: isPartial ? null : at + seconds,
      filled_quantity: one.quantity,
      filled_avg_price: price,
      commission: round(one.commission / 2),
      position_id: one.id,
      expected_price: round(price - (isBuy ? slip : -slip), 4),
      slippage: round(slip * one.quantity, 4),
      strategy: one.strategy,
      signal_score: isEntry ? one.score : null,
    },
  };
}
