/**
 * The bundled queries, and those that users keep in files, one each: `queries/*.sql`.
 *
 * @module
 */
import { QueryFileError } from "../base/errors.ts";
import { mayRead, refuseSpecialFile } from "../base/paths.ts";
import type { SqlValue } from "../database/connection.ts";

/** A query with a name. */
export interface NamedQuery {
  readonly name: string;
  /** Name of its database; `ledger` is the ledger. */
  readonly database: string;
  /** What it shows, in one line. */
  readonly about: string;
  readonly sql: string;
  /** Default values of its parameters, as text, by name. A parameter without a default is not listed. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Path of its file; null for a bundled query. */
  readonly file: string | null;
}

/** Name that stands for the ledger. */
export const LEDGER_ALIAS = "ledger";

/** P&L of closed positions by an expression. */
function pnlBy(
  expression: string,
  { label = expression, order = "total_pnl DESC" }: { label?: string; order?: string } = {},
): string {
  return `SELECT
  ${expression} AS ${label},
  count(*) AS trades,
  round(100.0 * avg(realized_pnl > 0), 1) AS win_rate_pct,
  round(sum(realized_pnl), 2) AS total_pnl,
  round(avg(realized_pnl), 2) AS average_pnl
FROM closed_positions
GROUP BY 1
ORDER BY ${order}`;
}

const WEEKDAY = `CASE strftime('%w', closed_at, 'unixepoch')
    WHEN '0' THEN 'Sunday'
    WHEN '1' THEN 'Monday'
    WHEN '2' THEN 'Tuesday'
    WHEN '3' THEN 'Wednesday'
    WHEN '4' THEN 'Thursday'
    WHEN '5' THEN 'Friday'
    WHEN '6' THEN 'Saturday'
  END`;

/** Description and text of the bundled queries, by database and name. */
const BUNDLED: Record<string, Record<string, readonly [about: string, sql: string]>> = {
  positions: {
    "open-positions": [
      "open positions, best first",
      // Without pnl_dollars of the view, which ignores the side.
      `SELECT
  ticker,
  side,
  quantity,
  entry_price,
  current_price,
  unrealized_pnl,
  unrealized_pnl_pct,
  strategy,
  opened_datetime,
  updated_datetime,
  hours_held
FROM v_position_summary
ORDER BY unrealized_pnl DESC`,
    ],
    "unrealized-pnl": [
      "total unrealized P&L of the open positions",
      `SELECT
  count(*) AS positions,
  round(coalesce(sum(unrealized_pnl), 0), 2) AS unrealized_pnl,
  round(coalesce(sum(quantity * current_price) FILTER (WHERE side = 'long'), 0), 2) AS long_market_value,
  round(coalesce(sum(quantity * current_price) FILTER (WHERE side = 'short'), 0), 2) AS short_market_value
FROM positions`,
    ],
    "win-rate": [
      "win rate and total P&L of closed positions",
      `SELECT
  count(*) AS trades,
  coalesce(sum(realized_pnl > 0), 0) AS wins,
  coalesce(sum(realized_pnl < 0), 0) AS losses,
  round(100.0 * avg(realized_pnl > 0), 2) AS win_rate_pct,
  round(sum(realized_pnl), 2) AS total_pnl
FROM closed_positions`,
    ],
    "recent-trades": [
      "the last 100 closed positions, newest first",
      "SELECT * FROM v_recent_closed_trades",
    ],
    "pnl-by-strategy": [
      "P&L of closed positions by strategy",
      pnlBy("strategy"),
    ],
    "pnl-by-ticker": [
      "P&L of closed positions by ticker",
      pnlBy("ticker"),
    ],
    "pnl-by-exit-reason": [
      "P&L of closed positions by exit reason",
      pnlBy("exit_reason"),
    ],
    "pnl-by-weekday": [
      "P&L of closed positions by weekday of closing (UTC)",
      pnlBy(WEEKDAY, {
        label: "weekday",
        order: "(strftime('%w', closed_at, 'unixepoch') + 6) % 7",
      }),
    ],
  },
  trading: {
    "equity-curve": ["equity by day", "SELECT * FROM v_equity_curve"],
    "risk": [
      "current Sharpe ratio and drawdown, as the bot stored them",
      `SELECT
  metric_date,
  sharpe_ratio,
  current_drawdown_pct,
  max_drawdown_pct
FROM performance_metrics
ORDER BY metric_time DESC
LIMIT 1`,
    ],
    "recent-fills": [
      "the last 100 filled orders, newest first",
      `SELECT
  ticker,
  side,
  order_type,
  filled_quantity,
  filled_avg_price,
  slippage,
  commission,
  strategy,
  filled_at
FROM orders
WHERE status = 'filled'
ORDER BY filled_at DESC
LIMIT 100`,
    ],
    "fill-stats": [
      "fills and fill prices of each filled order",
      "SELECT * FROM v_order_fill_stats",
    ],
    "performance": [
      "stored performance metrics of the last 30 days",
      "SELECT * FROM v_performance_summary",
    ],
  },
  ml_training: {
    "best-agents": [
      "agents by Sharpe ratio of their validation",
      "SELECT * FROM v_agent_leaderboard",
    ],
    "ensemble": ["agents and weights of the current ensemble", "SELECT * FROM v_current_ensemble"],
    "algorithms": [
      "average Sharpe ratio and number of runs of each algorithm",
      `SELECT
  r.algorithm AS algorithm,
  count(DISTINCT r.run_id) AS runs,
  round(avg(p.sharpe_ratio), 3) AS average_sharpe_ratio,
  round(max(p.sharpe_ratio), 3) AS best_sharpe_ratio
FROM training_runs AS r
LEFT JOIN agent_performance AS p ON p.run_id = r.run_id AND p.evaluation_type = 'validation'
GROUP BY r.algorithm
ORDER BY average_sharpe_ratio DESC`,
    ],
    "training-summary": [
      "training runs with their validation, newest first",
      "SELECT * FROM v_training_summary",
    ],
    "hyperparameters": [
      "hyperparameters and results of completed runs",
      "SELECT * FROM v_hyperparameter_results",
    ],
  },
  [LEDGER_ALIAS]: {
    "failed-migrations": [
      "migrations that failed last",
      `SELECT
  migration_id,
  migration_name,
  applied_at,
  error_message
FROM migration_history
WHERE status = 'failed'
ORDER BY applied_at DESC`,
    ],
  },
};

/** The bundled queries. */
export const bundledQueries: readonly NamedQuery[] = Object.entries(BUNDLED).flatMap(
  ([database, queries]) =>
    Object.entries(queries).map(([name, [about, sql]]) => ({
      name,
      database,
      about,
      sql,
      defaults: {},
      file: null,
    })),
);

/** Named queries, and the errors of unusable query files. */
export interface KnownQueries {
  /** The bundled queries, then the users' own, by name; these replace bundled ones. */
  readonly queries: readonly NamedQuery[];
  /** Errors of unusable files, by the name that the query would have. */
  readonly faults: ReadonlyMap<string, QueryFileError>;
}

/**
 * Finds all named queries, the users' own in a directory. A directory that is missing or can't be
 * read has none.
 */
export async function findQueries(directory = "queries"): Promise<KnownQueries> {
  const own: NamedQuery[] = [];
  const faults = new Map<string, QueryFileError>();
  for (const name of await namesIn(directory)) {
    const file = `${directory}/${name}.sql`;
    try {
      refuseSpecialFile(file, { cannot: "read" });
      const found = parseQuery(name, await Deno.readTextFile(file));
      if ("reason" in found) faults.set(name, faultOf(file, found));
      else own.push({ ...found, file });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      faults.set(name, faultOf(file, { line: 0, reason: error.message, cause: error }));
    }
  }
  const isReplaced = ({ name }: NamedQuery): boolean => own.some((one) => one.name === name);
  return { queries: [...bundledQueries.filter((one) => !isReplaced(one)), ...own], faults };
}

async function namesIn(directory: string): Promise<string[]> {
  if (!mayRead(directory)) return [];
  try {
    const entries = await Array.fromAsync(Deno.readDir(directory));
    return entries.flatMap(({ name, isDirectory }) =>
      isDirectory ? [] : /^(.+)\.sql$/i.exec(name)?.[1] ?? []
    ).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return [];
    }
    throw error;
  }
}

function faultOf(
  file: string,
  { line, reason, cause }: QueryTextFault & { readonly cause?: Error },
): QueryFileError {
  return new QueryFileError(`Cannot use ${file}${line === 0 ? "" : `:${line}`}: ${reason}`, {
    path: file,
    help: "a query file begins with `-- database: NAME`; `-- about: TEXT` and " +
      "`-- param: NAME = VALUE` may follow, then one SELECT",
    ...(line === 0 ? {} : { line }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * The value to bind for a parameter: a number if the text is written like one, such as `10` or `0.5`,
 * otherwise the text. `007` and `1e3` remain text, because a number would be written differently.
 */
export function parameterValue(text: string): SqlValue {
  if (!/^-?\d+(\.\d+)?$/.test(text)) return text;
  if (/^-?\d+$/.test(text)) {
    const whole = BigInt(text);
    if (String(whole) !== text || BigInt.asIntN(64, whole) !== whole) return text;
    return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
  }
  return /^-?(0|[1-9]\d*)\./.test(text) ? Number(text) : text;
}

/** The error in the text of a query, and its line, counted from 1. */
export interface QueryTextFault {
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads the text of a query file. Comments at its beginning define `-- database: NAME` (required),
 * `-- about: TEXT` and, for each default value of a parameter, `-- param: NAME = VALUE`.
 */
export function parseQuery(
  name: string,
  text: string,
): Omit<NamedQuery, "file"> | QueryTextFault {
  const found = new Map<string, string>();
  const defaults: Record<string, string> = {};
  for (const [at, line] of text.replace(/^\ufeff/, "").split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    if (!line.startsWith("--")) break;
    const [, key, value = ""] = /^--\s*(database|about|param)\s*:\s*(.*?)\s*$/i.exec(line) ?? [];
    if (key === undefined) continue;
    if (key.toLowerCase() === "param") {
      const [, parameter, standard] = /^[:@$]?(\w+)(?:\s*=\s*(.*))?$/.exec(value) ?? [];
      if (parameter === undefined) {
        return { line: at + 1, reason: "expected `-- param: NAME = VALUE`" };
      }
      if (standard !== undefined) defaults[parameter] = standard;
      continue;
    }
    if (value === "") return { line: at + 1, reason: `\`-- ${key}:\` has no value` };
    if (found.has(key.toLowerCase())) {
      return { line: at + 1, reason: `\`-- ${key}:\` is given twice` };
    }
    found.set(key.toLowerCase(), value);
  }
  const database = found.get("database");
  if (database === undefined) {
    return { line: 1, reason: "no line `-- database: NAME` says which database it reads" };
  }
  return { name, database, about: found.get("about") ?? "", sql: text, defaults };
}
