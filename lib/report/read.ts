/**
 * Reads the rows of a report from the bot's databases.
 *
 * @module
 */
import type { Connection, Row, SqlValue } from "../database/connection.ts";
import {
  episodeSeries,
  type EvaluationRow,
  type FillSums,
  type OrderRow,
  type RunRow,
  type TrainingRows,
  type WeightRow,
} from "./activity.ts";
import type { EquityRow } from "./statistics.ts";
import type { ReportFilter, StoredMetrics } from "./report.ts";
import type { Trade } from "./trades.ts";

/** Columns that the newest stored metrics may differ in. */
const METRICS =
  "sharpe_ratio sortino_ratio calmar_ratio max_drawdown_pct volatility_annualized total_trades_30d " +
  "winning_trades_30d losing_trades_30d win_rate_30d profit_factor_30d expectancy_30d avg_win_30d " +
  "avg_loss_30d largest_win_30d largest_loss_30d";

/** What to read from a table. */
interface Selection {
  readonly table: string;
  /** Names of the columns, separated by spaces. */
  readonly columns: string;
  /**
   * Conditions and order of the rows; `time` stands for the column that the filter's times refer
   * to.
   */
  readonly filter?: ReportFilter & { readonly time?: string };
  /** One more condition, with the value of its parameter. */
  readonly condition?: { readonly sql: string; readonly value: SqlValue };
  readonly tail?: string;
  /** Maximum number of rows. Default: all. */
  readonly most?: number;
}

/** Number of rows to read at once. */
const BATCH = 1_000;

/**
 * Rows of a table, some thousands at a time: waiting for each row would take longer than reading
 * it. A missing column is NULL. Nothing if the table does not exist.
 */
async function* batchesOf(
  connection: Connection,
  { table, columns, filter = {}, condition, tail = "", most = Infinity }: Selection,
): AsyncIterable<readonly Row[]> {
  const info = await connection.all("SELECT name FROM pragma_table_info(?)", [table]);
  const known = new Set(info.map(({ name }) => name));
  if (known.size === 0) return;
  const list = columns.split(" ").map((name) => known.has(name) ? name : `NULL AS ${name}`);
  const { since, until, strategy, ticker, time } = filter;
  const conditions: string[] = [];
  const parameters: SqlValue[] = [];
  const add = (sql: string, value: SqlValue | undefined): void => {
    if (value === undefined) return;
    conditions.push(sql);
    parameters.push(value);
  };
  if (time !== undefined) {
    add(`${time} >= ?`, since);
    add(`${time} <= ?`, until);
  }
  if (known.has("strategy")) add("strategy = ?", strategy);
  if (known.has("ticker")) add("ticker = ?", ticker);
  if (condition !== undefined) add(condition.sql, condition.value);
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const sql = `SELECT ${list} FROM ${table} ${where} ${tail} LIMIT ? OFFSET ?`;
  for (let offset = 0; offset < most; offset += BATCH) {
    const limit = Math.min(BATCH, most - offset);
    const rows = await connection.all(sql, [...parameters, limit, offset]);
    yield rows;
    if (rows.length < limit) return;
  }
}

function numberIn(row: Row, column: string): number | null {
  const value = row[column];
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function textIn(row: Row, column: string): string | null {
  const value = row[column];
  return typeof value === "string" ? value : null;
}

/** Reads closed positions. Rows without a realized profit or a closing time are left out. */
export async function readTrades(connection: Connection, filter: ReportFilter): Promise<Trade[]> {
  const trades: Trade[] = [];
  // Most texts occur many times; without this each row would have its own copy.
  const known = new Map<string, string>();
  const shared = (row: Row, column: string): string | null => {
    const value = textIn(row, column);
    if (value === null) return null;
    const first = known.get(value);
    if (first === undefined) known.set(value, value);
    return first ?? value;
  };
  for await (
    const batch of batchesOf(connection, {
      table: "closed_positions",
      columns: "ticker side quantity entry_price realized_pnl stop_loss_price closed_at " +
        "holding_period_hours exit_reason strategy market_regime signal_score max_adverse_excursion",
      filter: { ...filter, time: "closed_at" },
      tail: "ORDER BY closed_at",
    })
  ) {
    for (const row of batch) {
      const pnl = numberIn(row, "realized_pnl");
      const closedAt = numberIn(row, "closed_at");
      if (pnl === null || closedAt === null) continue;
      trades.push({
        pnl,
        closedAt,
        ticker: shared(row, "ticker") ?? "(none)",
        side: shared(row, "side") ?? "(none)",
        quantity: numberIn(row, "quantity"),
        entryPrice: numberIn(row, "entry_price"),
        stopPrice: numberIn(row, "stop_loss_price"),
        holdingHours: numberIn(row, "holding_period_hours"),
        exitReason: shared(row, "exit_reason"),
        strategy: shared(row, "strategy"),
        regime: shared(row, "market_regime"),
        signalScore: numberIn(row, "signal_score"),
        adverseExcursion: numberIn(row, "max_adverse_excursion"),
      });
    }
  }
  return trades;
}

/** Reads the snapshots of the account. */
export async function readSnapshots(
  connection: Connection,
  { since, until }: ReportFilter,
): Promise<EquityRow[]> {
  const rows: EquityRow[] = [];
  for await (
    const batch of batchesOf(connection, {
      table: "portfolio_snapshots",
      columns: "snapshot_time snapshot_date total_equity daily_pnl",
      filter: {
        time: "snapshot_time",
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
      },
      tail: "ORDER BY snapshot_time",
    })
  ) {
    for (const row of batch) {
      const time = numberIn(row, "snapshot_time");
      if (time === null) continue;
      rows.push({
        time,
        date: textIn(row, "snapshot_date") ?? new Date(time * 1000).toISOString().slice(0, 10),
        equity: numberIn(row, "total_equity"),
        dailyPnl: numberIn(row, "daily_pnl"),
      });
    }
  }
  return rows;
}

/** Reads orders. */
export async function readOrders(
  connection: Connection,
  filter: ReportFilter,
): Promise<OrderRow[]> {
  const rows: OrderRow[] = [];
  for await (
    const batch of batchesOf(connection, {
      table: "orders",
      columns:
        "status side submitted_at filled_at filled_quantity filled_avg_price expected_price " +
        "slippage commission reject_reason",
      filter: { ...filter, time: "submitted_at" },
    })
  ) {
    for (const row of batch) {
      rows.push({
        status: textIn(row, "status") ?? "(none)",
        side: textIn(row, "side") ?? "(none)",
        submittedAt: numberIn(row, "submitted_at") ?? 0,
        filledAt: numberIn(row, "filled_at"),
        filledQuantity: numberIn(row, "filled_quantity"),
        filledPrice: numberIn(row, "filled_avg_price"),
        expectedPrice: numberIn(row, "expected_price"),
        slippage: numberIn(row, "slippage"),
        commission: numberIn(row, "commission"),
        rejectReason: textIn(row, "reject_reason"),
      });
    }
  }
  return rows;
}

/** Adds up the fills of the orders that match the filter. */
export async function readFills(connection: Connection, filter: ReportFilter): Promise<FillSums> {
  const { strategy, ...others } = filter;
  let fills = 0;
  let commission = 0;
  for await (
    const batch of batchesOf(connection, {
      table: "fills",
      columns: "commission",
      filter: { ...others, time: "filled_at" },
      ...(strategy === undefined ? {} : {
        condition: {
          sql: "order_id IN (SELECT order_id FROM orders WHERE strategy = ?)",
          value: strategy,
        },
      }),
    })
  ) {
    for (const row of batch) {
      fills++;
      commission += numberIn(row, "commission") ?? 0;
    }
  }
  return { fills, commission };
}

/** Reads the newest row of `performance_metrics`; null without one. */
export async function readStoredMetrics(
  connection: Connection,
  { until }: ReportFilter,
): Promise<StoredMetrics | null> {
  for await (
    const batch of batchesOf(connection, {
      table: "performance_metrics",
      columns: `metric_time metric_date strategy ${METRICS}`,
      filter: { time: "metric_time", ...(until === undefined ? {} : { until }) },
      tail: "ORDER BY metric_time DESC",
      most: 1,
    })
  ) {
    for (const row of batch) {
      const time = numberIn(row, "metric_time");
      const date = textIn(row, "metric_date");
      // A row about one strategy does not describe the account.
      if (time === null || date === null || row.strategy !== null) return null;
      return {
        time,
        date,
        values: Object.fromEntries(METRICS.split(" ").map((name) => [name, numberIn(row, name)])),
      };
    }
  }
  return null;
}

/** Reads training runs with their evaluations, episodes and newest ensemble weights. */
export async function readTraining(
  connection: Connection,
  { since, until }: ReportFilter,
): Promise<TrainingRows> {
  const learningRates = new Map<SqlValue | undefined, number | null>();
  for await (
    const batch of batchesOf(connection, {
      table: "hyperparameters",
      columns: "run_id learning_rate",
    })
  ) for (const row of batch) learningRates.set(row.run_id, numberIn(row, "learning_rate"));
  const found: Omit<RunRow, "episodes">[] = [];
  for await (
    const batch of batchesOf(connection, {
      table: "training_runs",
      columns: "run_id algorithm model_name status start_time",
      filter: {
        time: "start_time",
        ...(since === undefined ? {} : { since }),
        ...(until === undefined ? {} : { until }),
      },
      tail: "ORDER BY start_time",
    })
  ) {
    for (const row of batch) {
      found.push({
        runId: String(row.run_id),
        algorithm: textIn(row, "algorithm") ?? "(none)",
        model: textIn(row, "model_name") ?? "(none)",
        status: textIn(row, "status") ?? "(none)",
        startedAt: numberIn(row, "start_time") ?? 0,
        learningRate: learningRates.get(row.run_id) ?? null,
      });
    }
  }
  const runs: RunRow[] = [];
  for (const run of found) {
    runs.push({ ...run, episodes: await readEpisodes(connection, run.runId) });
  }
  const evaluations: EvaluationRow[] = [];
  for await (
    const batch of batchesOf(connection, {
      table: "agent_performance",
      columns:
        "run_id evaluation_type evaluation_date sharpe_ratio total_return_pct max_drawdown_pct win_rate",
    })
  ) {
    for (const row of batch) {
      evaluations.push({
        runId: String(row.run_id),
        type: textIn(row, "evaluation_type") ?? "(none)",
        date: textIn(row, "evaluation_date") ?? "",
        sharpe: numberIn(row, "sharpe_ratio"),
        returnPct: numberIn(row, "total_return_pct"),
        maxDrawdownPct: numberIn(row, "max_drawdown_pct"),
        winRate: numberIn(row, "win_rate"),
      });
    }
  }
  return { runs, evaluations, weights: await readWeights(connection) };
}

async function readEpisodes(connection: Connection, runId: string): Promise<RunRow["episodes"]> {
  const rewards: { episode: number; reward: number }[] = [];
  for await (
    const batch of batchesOf(connection, {
      table: "training_episodes",
      columns: "episode_number episode_reward",
      condition: { sql: "run_id = ?", value: runId },
      tail: "ORDER BY episode_number",
    })
  ) {
    for (const row of batch) {
      const episode = numberIn(row, "episode_number");
      const reward = numberIn(row, "episode_reward");
      if (episode !== null && reward !== null) rewards.push({ episode, reward });
    }
  }
  return episodeSeries(rewards);
}

async function readWeights(connection: Connection): Promise<WeightRow[]> {
  const newest = new Map<string, { time: number; rows: WeightRow[] }>();
  for await (
    const batch of batchesOf(connection, {
      table: "ensemble_weights",
      columns: "ensemble_id update_time run_id weight is_active",
      tail: "ORDER BY weight DESC",
    })
  ) {
    for (const row of batch) {
      const ensemble = String(row.ensemble_id);
      const time = numberIn(row, "update_time") ?? 0;
      const weight = numberIn(row, "weight");
      const known = newest.get(ensemble);
      if (known !== undefined && known.time > time) continue;
      const rows = known !== undefined && known.time === time ? known.rows : [];
      if (row.is_active !== 0 && weight !== null) {
        rows.push({ ensemble, runId: String(row.run_id), weight });
      }
      newest.set(ensemble, { time, rows });
    }
  }
  return [...newest.values()].flatMap(({ rows }) => rows);
}
