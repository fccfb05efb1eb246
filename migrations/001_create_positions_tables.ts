/**
 * Creates the `positions` database: open positions and closed ones.
 *
 * @module
 */
import { defineMigration, type Migration } from "../lib/migration/migration.ts";

/** Tables `positions` and `closed_positions`, their indexes and views. */
const migration: Migration = defineMigration({
  name: "001_create_positions_tables",
  database: "positions",
  upgrade: `
-- Columns ending in _at are moments: Unix epoch seconds, UTC.
-- Prices and profits are in the account's currency; columns ending in _pct are in percent: 5.0 is 5 %.

CREATE TABLE IF NOT EXISTS positions (
  position_id TEXT PRIMARY KEY,
  ticker TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('long', 'short')),
  quantity INTEGER NOT NULL CHECK (quantity > 0), -- shares; positive for a short as well
  entry_price REAL NOT NULL CHECK (entry_price > 0), -- per share
  current_price REAL NOT NULL CHECK (current_price > 0), -- per share, as of updated_at
  unrealized_pnl REAL NOT NULL DEFAULT 0.0,
  unrealized_pnl_pct REAL NOT NULL DEFAULT 0.0,
  stop_loss_price REAL,
  take_profit_price REAL,
  opened_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  strategy TEXT,
  signal_score REAL CHECK (signal_score >= 0 AND signal_score <= 1),
  atr_at_entry REAL, -- average true range, in currency per share
  rvol_at_entry REAL, -- relative volume: 1.0 is the usual volume
  market_regime TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_stop_loss CHECK (
    (side = 'long' AND (stop_loss_price IS NULL OR stop_loss_price < entry_price))
    OR (side = 'short' AND (stop_loss_price IS NULL OR stop_loss_price > entry_price))
  ),
  CONSTRAINT valid_take_profit CHECK (
    (side = 'long' AND (take_profit_price IS NULL OR take_profit_price > entry_price))
    OR (side = 'short' AND (take_profit_price IS NULL OR take_profit_price < entry_price))
  )
);

CREATE INDEX IF NOT EXISTS idx_positions_ticker ON positions (ticker);
CREATE INDEX IF NOT EXISTS idx_positions_strategy ON positions (strategy);
CREATE INDEX IF NOT EXISTS idx_positions_opened_at ON positions (opened_at DESC);
CREATE INDEX IF NOT EXISTS idx_positions_unrealized_pnl ON positions (unrealized_pnl DESC);
CREATE INDEX IF NOT EXISTS idx_positions_ticker_side ON positions (ticker, side);

CREATE TABLE IF NOT EXISTS closed_positions (
  position_id TEXT PRIMARY KEY,
  ticker TEXT NOT NULL,
  side TEXT NOT NULL CHECK (side IN ('long', 'short')),
  quantity INTEGER NOT NULL CHECK (quantity > 0), -- shares; positive for a short as well
  entry_price REAL NOT NULL CHECK (entry_price > 0), -- per share
  exit_price REAL NOT NULL CHECK (exit_price > 0), -- per share
  realized_pnl REAL NOT NULL, -- its sign decides win or loss
  realized_pnl_pct REAL NOT NULL,
  stop_loss_price REAL,
  take_profit_price REAL,
  opened_at INTEGER NOT NULL,
  closed_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  holding_period_hours REAL NOT NULL,
  exit_reason TEXT NOT NULL,
  strategy TEXT,
  signal_score REAL CHECK (signal_score >= 0 AND signal_score <= 1),
  atr_at_entry REAL, -- average true range, in currency per share
  rvol_at_entry REAL, -- relative volume: 1.0 is the usual volume
  market_regime TEXT,
  commission REAL DEFAULT 0.0, -- in currency, for the whole position
  slippage REAL DEFAULT 0.0,
  max_favorable_excursion REAL, -- furthest that the price went the position's way
  max_adverse_excursion REAL, -- furthest that the price went against it
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_exit_reason CHECK (
    exit_reason IN (
      'stop_loss', 'take_profit', 'trailing_stop', 'time_exit',
      'manual', 'risk_limit', 'circuit_breaker', 'market_close'
    )
  ),
  CONSTRAINT valid_holding_period CHECK (holding_period_hours >= 0),
  CONSTRAINT valid_closed_at CHECK (closed_at >= opened_at)
);

CREATE INDEX IF NOT EXISTS idx_closed_positions_ticker ON closed_positions (ticker);
CREATE INDEX IF NOT EXISTS idx_closed_positions_closed_at ON closed_positions (closed_at DESC);
CREATE INDEX IF NOT EXISTS idx_closed_positions_exit_reason ON closed_positions (exit_reason);
CREATE INDEX IF NOT EXISTS idx_closed_positions_strategy ON closed_positions (strategy);
CREATE INDEX IF NOT EXISTS idx_closed_positions_realized_pnl ON closed_positions (realized_pnl DESC);
CREATE INDEX IF NOT EXISTS idx_closed_positions_holding_period ON closed_positions (holding_period_hours);

CREATE VIEW IF NOT EXISTS v_position_summary AS
SELECT
  ticker,
  side,
  quantity,
  entry_price,
  current_price,
  unrealized_pnl,
  unrealized_pnl_pct,
  (current_price - entry_price) * quantity AS pnl_dollars, -- a short gains where it is negative
  strategy,
  datetime(opened_at, 'unixepoch') AS opened_datetime,
  datetime(updated_at, 'unixepoch') AS updated_datetime,
  -- unixepoch() would break the view in programs with an SQLite before 3.38
  (strftime('%s', 'now') - opened_at) / 3600.0 AS hours_held
FROM positions
ORDER BY unrealized_pnl DESC;

CREATE VIEW IF NOT EXISTS v_recent_closed_trades AS
SELECT
  ticker,
  side,
  quantity,
  entry_price,
  exit_price,
  realized_pnl,
  realized_pnl_pct,
  exit_reason,
  strategy,
  holding_period_hours,
  datetime(opened_at, 'unixepoch') AS opened_datetime,
  datetime(closed_at, 'unixepoch') AS closed_datetime,
  CASE
    WHEN realized_pnl > 0 THEN 'WIN'
    WHEN realized_pnl < 0 THEN 'LOSS'
    ELSE 'BREAKEVEN'
  END AS outcome
FROM closed_positions
ORDER BY closed_at DESC
LIMIT 100;
`,
  downgrade: `
DROP VIEW IF EXISTS v_recent_closed_trades;
DROP VIEW IF EXISTS v_position_summary;
DROP TABLE IF EXISTS closed_positions;
DROP TABLE IF EXISTS positions;
`,
});

export default migration;
