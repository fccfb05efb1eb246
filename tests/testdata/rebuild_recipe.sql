-- database: trading

-- migrate:up foreign-keys:off
-- 1. The new table, under another name: the text that `schema trading` shows, with the change in it.
CREATE TABLE new_orders (
  order_id TEXT PRIMARY KEY, -- the broker's id
  client_order_id TEXT NOT NULL UNIQUE, -- the bot's own id: one order, however often it is sent
  ticker TEXT NOT NULL,
  order_type TEXT NOT NULL CHECK (
    order_type IN ('market', 'limit', 'stop', 'stop_limit', 'trailing_stop')
  ),
  side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
  quantity INTEGER NOT NULL CHECK (quantity >= 0), -- shares; the change
  limit_price REAL CHECK (limit_price > 0),
  stop_price REAL CHECK (stop_price > 0),
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
  filled_avg_price REAL CHECK (filled_avg_price > 0),
  commission REAL DEFAULT 0.0,
  position_id TEXT, -- of the positions database, open or closed: no foreign key reaches there
  parent_order_id TEXT, -- the order that this one belongs to, as the legs of a bracket do
  strategy TEXT,
  signal_score REAL CHECK (signal_score BETWEEN 0 AND 1),
  expected_price REAL, -- per share, when the order was sent
  slippage REAL, -- of the fill against expected_price
  reject_reason TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_filled_quantity CHECK (filled_quantity <= quantity),
  CONSTRAINT valid_limit_order CHECK (order_type <> 'limit' OR limit_price IS NOT NULL),
  CONSTRAINT valid_stop_order CHECK (
    order_type NOT IN ('stop', 'stop_limit') OR stop_price IS NOT NULL
  )
);

-- 2. The rows. Where a column comes, goes or moves, name the columns on both sides.
INSERT INTO new_orders SELECT * FROM orders;

-- 3. The old table goes. With foreign keys on, this would delete the fills of all orders, or fail.
DROP TABLE orders;

-- 4. The new one gets the name, and SQLite leaves alone what names `orders` elsewhere: views, triggers
-- and foreign keys mean the new table from here on.
PRAGMA legacy_alter_table = ON;
ALTER TABLE new_orders RENAME TO orders;
PRAGMA legacy_alter_table = OFF;

-- 5. The indexes, and the triggers if it has any, were dropped with the old table.
CREATE INDEX idx_orders_ticker ON orders (ticker);
CREATE INDEX idx_orders_status ON orders (status);
CREATE INDEX idx_orders_submitted_at ON orders (submitted_at DESC);
CREATE INDEX idx_orders_position_id ON orders (position_id);
CREATE INDEX idx_orders_strategy ON orders (strategy);
CREATE INDEX idx_orders_client_order_id ON orders (client_order_id);
