/**
 * Creates the `trading` database: orders, their fills, and the account's performance.
 *
 * @module
 */
import { defineMigration, type Migration } from "../lib/migration/migration.ts";

/** Tables `orders`, `fills`, `portfolio_snapshots` and `performance_metrics`, indexes and views. */
const migration: Migration = defineMigration({
  name: "002_create_trading_tables",
  database: "trading",
  upgrade: `
-- Columns ending in _at or _time are moments: Unix epoch seconds, UTC.
-- Columns ending in _date are days: text, YYYY-MM-DD.
-- Prices and amounts are in the account's currency; columns ending in _pct are in percent: 5.0 is 5 %.

CREATE TABLE IF NOT EXISTS orders (
  order_id TEXT PRIMARY KEY, -- the broker's id
  client_order_id TEXT NOT NULL UNIQUE, -- the bot's own id: one order, however often it is sent
  ticker TEXT NOT NULL,
  order_type TEXT NOT NULL CHECK (
    order_type IN ('market', 'limit', 'stop', 'stop_limit', 'trailing_stop')
  ),
  side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
  quantity INTEGER NOT NULL CHECK (quantity > 0), -- shares; positive for a sale as well
  limit_price REAL CHECK (limit_price IS NULL OR limit_price > 0),
  stop_price REAL CHECK (stop_price IS NULL OR stop_price > 0),
  time_in_force TEXT NOT NULL DEFAULT 'day' CHECK (
    time_in_force IN ('day', 'gtc', 'ioc', 'fok', 'opg', 'cls')
  ),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (
    status IN (
      'pending', 'new', 'accepted', 'partially_filled', 'filled', 'cancelled',
      'rejected', 'expired', 'replaced', 'pending_cancel', 'pending_replace'
    )
  ),
  submitted_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  filled_at INTEGER,
  cancelled_at INTEGER,
  expired_at INTEGER,
  filled_quantity INTEGER DEFAULT 0 CHECK (filled_quantity >= 0),
  filled_avg_price REAL CHECK (filled_avg_price IS NULL OR filled_avg_price > 0),
  commission REAL DEFAULT 0.0,
  position_id TEXT, -- of the positions database, open or closed: no foreign key reaches there
  parent_order_id TEXT, -- the order that this one belongs to, as the legs of a bracket do
  strategy TEXT,
  signal_score REAL CHECK (signal_score >= 0 AND signal_score <= 1),
  expected_price REAL, -- per share, when the order was sent
  slippage REAL, -- of the fill against expected_price
  reject_reason TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_filled_quantity CHECK (filled_quantity <= quantity),
  CONSTRAINT valid_limit_order CHECK (
    (order_type = 'limit' AND limit_price IS NOT NULL) OR (order_type != 'limit')
  ),
  CONSTRAINT valid_stop_order CHECK (
    (order_type IN ('stop', 'stop_limit') AND stop_price IS NOT NULL)
    OR (order_type NOT IN ('stop', 'stop_limit'))
  )
);

CREATE INDEX IF NOT EXISTS idx_orders_ticker ON orders (ticker);
CREATE INDEX IF NOT EXISTS idx_orders_status ON orders (status);
CREATE INDEX IF NOT EXISTS idx_orders_submitted_at ON orders (submitted_at DESC);
CREATE INDEX IF NOT EXISTS idx_orders_position_id ON orders (position_id);
CREATE INDEX IF NOT EXISTS idx_orders_strategy ON orders (strategy);
CREATE INDEX IF NOT EXISTS idx_orders_client_order_id ON orders (client_order_id);

CREATE TABLE IF NOT EXISTS fills (
  fill_id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL,
  client_order_id TEXT NOT NULL,
  ticker TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
  quantity INTEGER NOT NULL CHECK (quantity > 0), -- shares of this fill alone
  price REAL NOT NULL CHECK (price > 0), -- per share
  filled_at INTEGER NOT NULL,
  liquidity TEXT CHECK (liquidity IN ('maker', 'taker', 'unknown')),
  commission REAL DEFAULT 0.0,
  position_id TEXT, -- as in orders
  exchange TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  FOREIGN KEY (order_id) REFERENCES orders (order_id)
);

CREATE INDEX IF NOT EXISTS idx_fills_order_id ON fills (order_id);
CREATE INDEX IF NOT EXISTS idx_fills_ticker ON fills (ticker);
CREATE INDEX IF NOT EXISTS idx_fills_filled_at ON fills (filled_at DESC);
CREATE INDEX IF NOT EXISTS idx_fills_position_id ON fills (position_id);

CREATE TABLE IF NOT EXISTS portfolio_snapshots (
  snapshot_id INTEGER PRIMARY KEY AUTOINCREMENT,
  snapshot_date TEXT NOT NULL UNIQUE,
  snapshot_time INTEGER NOT NULL UNIQUE,
  total_equity REAL NOT NULL,
  cash_balance REAL NOT NULL,
  long_market_value REAL NOT NULL DEFAULT 0.0,
  short_market_value REAL NOT NULL DEFAULT 0.0,
  net_liquidation_value REAL NOT NULL,
  positions_count INTEGER NOT NULL DEFAULT 0,
  daily_pnl REAL NOT NULL DEFAULT 0.0,
  daily_return_pct REAL NOT NULL DEFAULT 0.0,
  cumulative_pnl REAL NOT NULL DEFAULT 0.0, -- since the account began
  cumulative_return_pct REAL NOT NULL DEFAULT 0.0,
  buying_power REAL,
  leverage REAL, -- a ratio: 1.0 is unleveraged
  margin_used REAL,
  unrealized_pnl REAL DEFAULT 0.0,
  realized_pnl_today REAL DEFAULT 0.0,
  trades_today INTEGER DEFAULT 0,
  wins_today INTEGER DEFAULT 0,
  losses_today INTEGER DEFAULT 0,
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_equity CHECK (total_equity >= 0),
  CONSTRAINT valid_positions_count CHECK (positions_count >= 0)
);

CREATE INDEX IF NOT EXISTS idx_portfolio_snapshots_date ON portfolio_snapshots (snapshot_date DESC);
CREATE INDEX IF NOT EXISTS idx_portfolio_snapshots_time ON portfolio_snapshots (snapshot_time DESC);

-- One row a day. The endings _1d, _7d and _30d are the days looked back on, _ytd the year so far.
CREATE TABLE IF NOT EXISTS performance_metrics (
  metric_id INTEGER PRIMARY KEY AUTOINCREMENT,
  metric_date TEXT NOT NULL UNIQUE,
  metric_time INTEGER NOT NULL UNIQUE,
  sharpe_ratio REAL,
  sortino_ratio REAL,
  calmar_ratio REAL,
  omega_ratio REAL,
  max_drawdown REAL,
  max_drawdown_pct REAL,
  current_drawdown REAL,
  current_drawdown_pct REAL,
  days_in_drawdown INTEGER DEFAULT 0,
  recovery_days INTEGER,
  return_1d REAL,
  return_7d REAL,
  return_30d REAL,
  return_ytd REAL,
  return_inception REAL,
  volatility_daily REAL,
  volatility_annualized REAL,
  downside_deviation REAL,
  total_trades_30d INTEGER DEFAULT 0,
  winning_trades_30d INTEGER DEFAULT 0,
  losing_trades_30d INTEGER DEFAULT 0,
  win_rate_30d REAL, -- winning trades of all trades
  avg_win_30d REAL,
  avg_loss_30d REAL,
  profit_factor_30d REAL, -- gross profit divided by gross loss
  expectancy_30d REAL, -- mean profit of a trade
  largest_win_30d REAL,
  largest_loss_30d REAL,
  current_win_streak INTEGER DEFAULT 0,
  current_loss_streak INTEGER DEFAULT 0,
  max_win_streak INTEGER DEFAULT 0,
  max_loss_streak INTEGER DEFAULT 0,
  avg_position_size REAL,
  avg_holding_period_hours REAL,
  turnover_rate REAL,
  benchmark_return REAL,
  alpha REAL,
  beta REAL,
  correlation_to_benchmark REAL, -- -1 to 1
  strategy TEXT,
  metadata TEXT -- free for the bot, usually JSON
);

CREATE INDEX IF NOT EXISTS idx_performance_metrics_date ON performance_metrics (metric_date DESC);
CREATE INDEX IF NOT EXISTS idx_performance_metrics_strategy ON performance_metrics (strategy);

CREATE VIEW IF NOT EXISTS v_recent_orders AS
SELECT
  order_id,
  client_order_id,
  ticker,
  order_type,
  side,
  quantity,
  filled_quantity,
  status,
  filled_avg_price,
  datetime(submitted_at, 'unixepoch') AS submitted_datetime,
  datetime(filled_at, 'unixepoch') AS filled_datetime,
  strategy,
  slippage
FROM orders
ORDER BY submitted_at DESC
LIMIT 100;

-- An order without fills is listed too, with 0 fills and no prices.
-- The average is of the fills' prices; it is not weighted by their quantities.
CREATE VIEW IF NOT EXISTS v_order_fill_stats AS
SELECT
  o.order_id AS order_id,
  o.ticker AS ticker,
  o.side AS side,
  o.quantity AS order_quantity,
  o.filled_quantity AS filled_quantity,
  COUNT(f.fill_id) AS num_fills,
  AVG(f.price) AS avg_fill_price,
  MIN(f.price) AS best_fill_price, -- best for a buyer, whatever the side
  MAX(f.price) AS worst_fill_price
FROM orders AS o
LEFT JOIN fills AS f ON f.order_id = o.order_id
WHERE o.status IN ('filled', 'partially_filled')
GROUP BY o.order_id;

CREATE VIEW IF NOT EXISTS v_equity_curve AS
SELECT
  snapshot_date,
  total_equity,
  cumulative_pnl,
  cumulative_return_pct,
  daily_return_pct,
  positions_count,
  trades_today
FROM portfolio_snapshots
ORDER BY snapshot_date ASC;

CREATE VIEW IF NOT EXISTS v_performance_summary AS
SELECT
  metric_date,
  sharpe_ratio,
  max_drawdown_pct,
  win_rate_30d,
  profit_factor_30d,
  return_30d,
  total_trades_30d,
  avg_win_30d,
  avg_loss_30d
FROM performance_metrics
ORDER BY metric_date DESC
LIMIT 30;
`,
  downgrade: `
DROP VIEW IF EXISTS v_performance_summary;
DROP VIEW IF EXISTS v_equity_curve;
DROP VIEW IF EXISTS v_order_fill_stats;
DROP VIEW IF EXISTS v_recent_orders;
DROP TABLE IF EXISTS performance_metrics;
DROP TABLE IF EXISTS portfolio_snapshots;
DROP TABLE IF EXISTS fills;
DROP TABLE IF EXISTS orders;
`,
});

export default migration;
