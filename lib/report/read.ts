/**
 * Reads the rows of a report from the bot's databases.
 *
 * @module
 */
import type { Connection, Row, SqlValue } from "../database/connection.ts";
import { readColumns } from "../schema/tables.ts";
import {
  episodeSeries,
  type EvaluationRow,
  type FillSums,
  type OrderRow,
  type RunRow,
  type TrainingRows,
  type WeightRow,
} from "./activity.ts";
import { type EquityRow, sum } from "./statistics.ts";
import type { ReportFilter, StoredMetrics } from "./report.ts";
import type { Trade } from "./trade_figures.ts";

/** What to read from a table. */
interface Selection {
  readonly table: string;
  /** Names of the columns, separated by spaces; `*` means all. */
  readonly columns: string;
  /** Which rows; a table without the columns `strategy` or `ticker` ignores these. */
  readonly filter?: { readonly [K in keyof ReportFilter]: ReportFilter[K] | undefined };
  /** The column that the filter's times refer to. */
  readonly time?: string;
  /** One more condition, with the value of its parameter. */
  readonly condition?: { readonly sql: string; readonly value: SqlValue };
  readonly order?: string;
  /** Maximum number of rows. Default: all. */
  readonly most?: number;
}

/** Number of rows to read at once: waiting for each row would take longer than reading it. */
const BATCH = 1_000;

/**
 * Reads the rows of a table, except those for which `convert` returns null. A missing column is
 * NULL. A missing table has no rows.
 */
async function readRows<T>(
  connection: Connection,
  { table, columns, filter = {}, time, condition, order, most = Infinity }: Selection,
  convert: (row: Row) => T | null,
): Promise<T[]> {
  const known = new Set((await readColumns(connection, table)).map(({ name }) => name));
  if (known.size === 0) return [];
  const list = columns.split(" ")
    .map((name) => name === "*" || known.has(name) ? name : `NULL AS ${name}`);
  const { since, until, strategy, ticker } = filter;
  const conditions: string[] = [];
  const parameters: SqlValue[] = [];
  const add = (sql: string, value: SqlValue | undefined): void => {
    if (value === undefined) return;
    conditions.push(sql);
    parameters.push(value);
  };
  add(`${time} >= ?`, since);
  add(`${time} <= ?`, until);
  if (known.has("strategy")) add("strategy = ?", strategy);
  if (known.has("ticker")) add("ticker = ?", ticker);
  if (condition !== undefined) add(condition.sql, condition.value);
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
  const sorted = order === undefined ? "" : `ORDER BY ${order}`;
  const sql = `SELECT ${list} FROM ${table} ${where} ${sorted} LIMIT ? OFFSET ?`;
  const found: T[] = [];
  for (let offset = 0; offset < most; offset += BATCH) {
    const limit = Math.min(BATCH, most - offset);
    const rows = await connection.all(sql, [...parameters, limit, offset]);
    for (const row of rows) {
      const converted = convert(row);
      if (converted !== null) found.push(converted);
    }
    if (rows.length < limit) break;
  }
  return found;
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
  // Most texts occur many times; without this each row would have its own copy.
  const known = new Map<string, string>();
  const shared = (row: Row, column: string): string | null => {
    const value = textIn(row, column);
    if (value === null) return null;
    const first = known.get(value);
    if (first === undefined) known.set(value, value);
    return first ?? value;
  };
  return await readRows(connection, {
    table: "closed_positions",
    columns: "ticker side quantity entry_price realized_pnl stop_loss_price closed_at " +
      "holding_period_hours exit_reason strategy market_regime signal_score max_adverse_excursion",
    filter,
    time: "closed_at",
    order: "closed_at",
  }, (row) => {
    const pnl = numberIn(row, "realized_pnl");
    const closedAt = numberIn(row, "closed_at");
    if (pnl === null || closedAt === null) return null;
    return {
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
    };
  });
}

/** Reads the snapshots of the account. */
export async function readSnapshots(
  connection: Connection,
  { since, until }: ReportFilter,
): Promise<EquityRow[]> {
  return await readRows(connection, {
    table: "portfolio_snapshots",
    columns: "snapshot_time snapshot_date total_equity daily_pnl",
    filter: { since, until },
    time: "snapshot_time",
    order: "snapshot_time",
  }, (row) => {
    const time = numberIn(row, "snapshot_time");
    return time === null ? null : {
      time,
      date: textIn(row, "snapshot_date") ?? new Date(time * 1000).toISOString().slice(0, 10),
      equity: numberIn(row, "total_equity"),
      dailyPnl: numberIn(row, "daily_pnl"),
    };
  });
}

/** Reads orders. */
export async function readOrders(
  connection: Connection,
  filter: ReportFilter,
): Promise<OrderRow[]> {
  return await readRows(connection, {
    table: "orders",
    columns: "status side submitted_at filled_at filled_quantity filled_avg_price expected_price " +
      "slippage commission reject_reason",
    filter,
    time: "submitted_at",
  }, (row) => ({
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
  }));
}

/** Adds up the fills of the orders that match the filter. */
export async function readFills(
  connection: Connection,
  { strategy, ...filter }: ReportFilter,
): Promise<FillSums> {
  const commissions = await readRows(connection, {
    table: "fills",
    columns: "commission",
    filter,
    time: "filled_at",
    ...(strategy === undefined ? {} : {
      condition: {
        sql: "order_id IN (SELECT order_id FROM orders WHERE strategy = ?)",
        value: strategy,
      },
    }),
  }, (row) => numberIn(row, "commission") ?? 0);
  return { fills: commissions.length, commission: sum(commissions) };
}

/** Reads the newest row of `performance_metrics`; null without one. */
export async function readStoredMetrics(
  connection: Connection,
  { until }: ReportFilter,
): Promise<StoredMetrics | null> {
  const [newest = null] = await readRows(connection, {
    table: "performance_metrics",
    columns: "metric_time metric_date strategy *",
    filter: { until },
    time: "metric_time",
    order: "metric_time DESC",
    most: 1,
  }, (row) => {
    const time = numberIn(row, "metric_time");
    const date = textIn(row, "metric_date");
    // A row about one strategy does not describe the account.
    if (time === null || date === null || row.strategy !== null) return null;
    const values = Object.keys(row).map((name) => [name, numberIn(row, name)] as const);
    return { time, date, values: Object.fromEntries(values) };
  });
  return newest;
}

/** Reads training runs with their evaluations, episodes and newest ensemble weights. */
export async function readTraining(
  connection: Connection,
  { since, until }: ReportFilter,
): Promise<TrainingRows> {
  const learningRates = new Map(
    await readRows(
      connection,
      { table: "hyperparameters", columns: "run_id learning_rate" },
      (row) => [row.run_id, numberIn(row, "learning_rate")] as const,
    ),
  );
  const found = await readRows(connection, {
    table: "training_runs",
    columns: "run_id algorithm model_name status start_time",
    filter: { since, until },
    time: "start_time",
    order: "start_time",
  }, (row) => ({
    runId: String(row.run_id),
    algorithm: textIn(row, "algorithm") ?? "(none)",
    model: textIn(row, "model_name") ?? "(none)",
    status: textIn(row, "status") ?? "(none)",
    startedAt: numberIn(row, "start_time") ?? 0,
    learningRate: learningRates.get(row.run_id) ?? null,
  }));
  const runs: RunRow[] = [];
  for (const run of found) {
    runs.push({ ...run, episodes: await readEpisodes(connection, run.runId) });
  }
  const evaluations = await readRows(connection, {
    table: "agent_performance",
    columns:
      "run_id evaluation_type evaluation_date sharpe_ratio total_return_pct max_drawdown_pct win_rate",
  }, (row): EvaluationRow => ({
    runId: String(row.run_id),
    type: textIn(row, "evaluation_type") ?? "(none)",
    date: textIn(row, "evaluation_date") ?? "",
    sharpe: numberIn(row, "sharpe_ratio"),
    returnPct: numberIn(row, "total_return_pct"),
    maxDrawdownPct: numberIn(row, "max_drawdown_pct"),
    winRate: numberIn(row, "win_rate"),
  }));
  return { runs, evaluations, weights: await readWeights(connection) };
}

async function readEpisodes(connection: Connection, runId: string): Promise<RunRow["episodes"]> {
  const rewards = await readRows(connection, {
    table: "training_episodes",
    columns: "episode_number episode_reward",
    condition: { sql: "run_id = ?", value: runId },
    order: "episode_number",
  }, (row) => {
    const episode = numberIn(row, "episode_number");
    const reward = numberIn(row, "episode_reward");
    return episode === null || reward === null ? null : { episode, reward };
  });
  return episodeSeries(rewards);
}

/** The newest weights of each ensemble, largest first. */
async function readWeights(connection: Connection): Promise<WeightRow[]> {
  const all = await readRows(connection, {
    table: "ensemble_weights",
    columns: "ensemble_id update_time run_id weight is_active",
    order: "weight DESC",
  }, (row) => ({
    ensemble: String(row.ensemble_id),
    time: numberIn(row, "update_time") ?? 0,
    runId: String(row.run_id),
    weight: row.is_active === 0 ? null : numberIn(row, "weight"),
  }));
  return [...Map.groupBy(all, ({ ensemble }) => ensemble).values()].flatMap((rows) => {
    const newest = rows.reduce((latest, { time }) => Math.max(latest, time), -Infinity);
    return rows.flatMap(({ ensemble, time, runId, weight }) =>
      time === newest && weight !== null ? [{ ensemble, runId, weight }] : []
    );
  });
}
