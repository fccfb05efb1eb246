/**
 * Creates the `ml_training` database: the agents' training runs and their results.
 *
 * @module
 */
import { defineMigration, type Migration } from "../lib/migration/migration.ts";

/** Tables around `training_runs`, their indexes and views. */
const migration: Migration = defineMigration({
  name: "003_create_ml_training_tables",
  database: "ml_training",
  upgrade: `
-- Columns ending in _at or _time are moments: Unix epoch seconds, UTC.
-- Columns ending in _date are days: text, YYYY-MM-DD.
-- Amounts are in the account's currency.
-- Columns ending in _pct are in percent, 5.0 is 5 %, where nothing else is said beside them.
-- Flags are INTEGER: 0 is no, 1 is yes.

CREATE TABLE IF NOT EXISTS training_runs (
  run_id TEXT PRIMARY KEY,
  algorithm TEXT NOT NULL CHECK (
    algorithm IN ('PPO', 'SAC', 'A2C', 'TD3', 'DQN', 'DDPG', 'Ensemble')
  ),
  model_name TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER, -- NULL while the run goes on
  duration_seconds REAL,
  total_timesteps INTEGER NOT NULL,
  train_start_date TEXT NOT NULL, -- first and last day of the market data, not of the run
  train_end_date TEXT NOT NULL,
  val_start_date TEXT,
  val_end_date TEXT,
  status TEXT NOT NULL DEFAULT 'running' CHECK (
    status IN ('running', 'completed', 'failed', 'stopped', 'aborted')
  ),
  final_reward REAL,
  best_reward REAL,
  final_loss REAL,
  convergence_achieved INTEGER DEFAULT 0, -- flag
  early_stopped INTEGER DEFAULT 0, -- flag
  model_path TEXT,
  tensorboard_log_dir TEXT,
  python_version TEXT,
  stable_baselines_version TEXT,
  random_seed INTEGER,
  device TEXT, -- such as cpu or cuda
  num_envs INTEGER DEFAULT 1, -- environments trained in parallel
  notes TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  CONSTRAINT valid_duration CHECK ((end_time IS NULL) OR (duration_seconds >= 0)),
  CONSTRAINT valid_timesteps CHECK (total_timesteps > 0)
);

CREATE INDEX IF NOT EXISTS idx_training_runs_algorithm ON training_runs (algorithm);
CREATE INDEX IF NOT EXISTS idx_training_runs_status ON training_runs (status);
CREATE INDEX IF NOT EXISTS idx_training_runs_start_time ON training_runs (start_time DESC);
CREATE INDEX IF NOT EXISTS idx_training_runs_model_name ON training_runs (model_name);

-- A run may be evaluated many times, also many times on the same kind of data.
CREATE TABLE IF NOT EXISTS agent_performance (
  performance_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL,
  evaluation_date TEXT NOT NULL,
  evaluation_time INTEGER NOT NULL,
  data_period_start TEXT NOT NULL, -- first and last day of the data evaluated on
  data_period_end TEXT NOT NULL,
  evaluation_type TEXT NOT NULL CHECK (
    evaluation_type IN ('train', 'validation', 'test', 'live_paper', 'backtest')
  ),
  total_return REAL,
  total_return_pct REAL,
  annualized_return REAL,
  cumulative_reward REAL, -- rewards are the agent's own measure, not money
  avg_episode_reward REAL,
  sharpe_ratio REAL,
  sortino_ratio REAL,
  calmar_ratio REAL,
  max_drawdown REAL,
  max_drawdown_pct REAL,
  volatility REAL,
  downside_deviation REAL,
  total_trades INTEGER DEFAULT 0,
  winning_trades INTEGER DEFAULT 0,
  losing_trades INTEGER DEFAULT 0,
  win_rate REAL, -- winning trades of all trades
  avg_win REAL,
  avg_loss REAL,
  profit_factor REAL, -- gross profit divided by gross loss
  expectancy REAL, -- mean profit of a trade
  largest_win REAL,
  largest_loss REAL,
  avg_holding_period_hours REAL,
  buy_and_hold_return REAL,
  excess_return REAL, -- over buy_and_hold_return
  information_ratio REAL,
  num_episodes INTEGER,
  avg_episode_length REAL, -- in steps
  successful_episodes INTEGER,
  avg_action_entropy REAL,
  avg_value_estimate REAL,
  policy_stability REAL,
  notes TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  FOREIGN KEY (run_id) REFERENCES training_runs (run_id)
);

CREATE INDEX IF NOT EXISTS idx_agent_performance_run_id ON agent_performance (run_id);
CREATE INDEX IF NOT EXISTS idx_agent_performance_evaluation_type ON agent_performance (evaluation_type);
CREATE INDEX IF NOT EXISTS idx_agent_performance_sharpe ON agent_performance (sharpe_ratio DESC);
CREATE INDEX IF NOT EXISTS idx_agent_performance_date ON agent_performance (evaluation_date DESC);

-- One row a run. What an algorithm doesn't have is NULL; params_json holds all of them.
CREATE TABLE IF NOT EXISTS hyperparameters (
  hyperparameter_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL UNIQUE,
  algorithm TEXT NOT NULL,
  learning_rate REAL,
  batch_size INTEGER,
  n_steps INTEGER,
  gamma REAL, -- discount of the next step's reward
  policy_type TEXT,
  net_arch TEXT,
  activation_fn TEXT,
  n_epochs INTEGER,
  buffer_size INTEGER,
  learning_starts INTEGER, -- steps before learning begins
  tau REAL,
  gradient_steps INTEGER,
  ent_coef REAL,
  vf_coef REAL,
  max_grad_norm REAL,
  target_kl REAL,
  normalize_observations INTEGER DEFAULT 0, -- flag
  normalize_rewards INTEGER DEFAULT 0, -- flag
  clip_range REAL,
  clip_range_vf REAL,
  optimizer TEXT,
  epsilon REAL,
  weight_decay REAL,
  reward_function TEXT,
  reward_scaling REAL DEFAULT 1.0,
  transaction_cost_pct REAL DEFAULT 0.001, -- a fraction in spite of its name: 0.001 is 0.1 %
  slippage_pct REAL DEFAULT 0.0005, -- a fraction in spite of its name: 0.0005 is 0.05 %
  params_json TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  CONSTRAINT valid_learning_rate CHECK (learning_rate IS NULL OR learning_rate > 0),
  CONSTRAINT valid_batch_size CHECK (batch_size IS NULL OR batch_size > 0),
  CONSTRAINT valid_gamma CHECK (gamma IS NULL OR (gamma >= 0 AND gamma <= 1)),
  FOREIGN KEY (run_id) REFERENCES training_runs (run_id)
);

CREATE INDEX IF NOT EXISTS idx_hyperparameters_run_id ON hyperparameters (run_id);
CREATE INDEX IF NOT EXISTS idx_hyperparameters_algorithm ON hyperparameters (algorithm);

-- An update of an ensemble adds a row for each of its agents; the latest update_time is in force.
CREATE TABLE IF NOT EXISTS ensemble_weights (
  weight_id INTEGER PRIMARY KEY AUTOINCREMENT,
  ensemble_id TEXT NOT NULL,
  update_time INTEGER NOT NULL,
  update_date TEXT NOT NULL,
  run_id TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  weight REAL NOT NULL CHECK (weight >= 0 AND weight <= 1), -- a share: 0.5 is half of the vote
  performance_score REAL,
  sharpe_ratio REAL,
  win_rate REAL, -- winning trades of all trades
  is_active INTEGER NOT NULL DEFAULT 1, -- flag
  weighting_method TEXT CHECK (
    weighting_method IN ('equal', 'sharpe_weighted', 'performance_weighted', 'adaptive', 'manual')
  ),
  lookback_days INTEGER,
  notes TEXT,
  metadata TEXT, -- free for the bot, usually JSON
  FOREIGN KEY (run_id) REFERENCES training_runs (run_id)
);

CREATE INDEX IF NOT EXISTS idx_ensemble_weights_ensemble_time ON ensemble_weights (ensemble_id, update_time DESC);

CREATE TABLE IF NOT EXISTS training_episodes (
  episode_id INTEGER PRIMARY KEY AUTOINCREMENT,
  run_id TEXT NOT NULL,
  episode_number INTEGER NOT NULL,
  episode_reward REAL NOT NULL,
  episode_length INTEGER NOT NULL, -- in steps
  episode_time INTEGER NOT NULL,
  mean_action REAL,
  std_action REAL,
  mean_value REAL,
  mean_loss REAL,
  learning_rate REAL,
  exploration_rate REAL,
  metadata TEXT, -- free for the bot, usually JSON
  UNIQUE (run_id, episode_number),
  FOREIGN KEY (run_id) REFERENCES training_runs (run_id)
);

CREATE INDEX IF NOT EXISTS idx_training_episodes_run_id ON training_episodes (run_id);
CREATE INDEX IF NOT EXISTS idx_training_episodes_run_episode ON training_episodes (run_id, episode_number);

CREATE VIEW IF NOT EXISTS v_agent_leaderboard AS
SELECT
  r.algorithm AS algorithm,
  r.model_name AS model_name,
  p.sharpe_ratio AS sharpe_ratio,
  p.total_return_pct AS total_return_pct,
  p.max_drawdown_pct AS max_drawdown_pct,
  p.win_rate AS win_rate,
  p.total_trades AS total_trades,
  p.evaluation_type AS evaluation_type,
  p.evaluation_date AS evaluation_date,
  p.run_id AS run_id
FROM agent_performance AS p
JOIN training_runs AS r ON r.run_id = p.run_id
WHERE p.evaluation_type = 'validation'
ORDER BY p.sharpe_ratio DESC;

-- An agent left out of its ensemble's latest update, or inactive in it, is not listed.
CREATE VIEW IF NOT EXISTS v_current_ensemble AS
SELECT
  w.ensemble_id AS ensemble_id,
  r.algorithm AS algorithm,
  r.model_name AS model_name,
  w.weight AS weight,
  w.performance_score AS performance_score,
  w.sharpe_ratio AS sharpe_ratio,
  datetime(w.update_time, 'unixepoch') AS last_updated
FROM ensemble_weights AS w
JOIN training_runs AS r ON r.run_id = w.run_id
WHERE w.is_active = 1
  AND w.update_time = (
    SELECT MAX(latest.update_time)
    FROM ensemble_weights AS latest
    WHERE latest.ensemble_id = w.ensemble_id
  )
ORDER BY w.weight DESC;

-- A run has a row for each of its validations, and one row where there is none.
CREATE VIEW IF NOT EXISTS v_training_summary AS
SELECT
  r.run_id AS run_id,
  r.algorithm AS algorithm,
  r.model_name AS model_name,
  r.status AS status,
  r.total_timesteps AS total_timesteps,
  ROUND(r.duration_seconds / 3600.0, 2) AS duration_hours,
  datetime(r.start_time, 'unixepoch') AS started_at,
  p.sharpe_ratio AS sharpe_ratio,
  p.win_rate AS win_rate,
  p.total_return_pct AS total_return_pct,
  h.learning_rate AS learning_rate,
  h.batch_size AS batch_size
FROM training_runs AS r
LEFT JOIN agent_performance AS p ON p.run_id = r.run_id AND p.evaluation_type = 'validation'
LEFT JOIN hyperparameters AS h ON h.run_id = r.run_id
ORDER BY r.start_time DESC;

-- As above, a run has a row for each of its validations, and one row where there is none.
CREATE VIEW IF NOT EXISTS v_hyperparameter_results AS
SELECT
  h.algorithm AS algorithm,
  h.learning_rate AS learning_rate,
  h.batch_size AS batch_size,
  h.n_steps AS n_steps,
  h.gamma AS gamma,
  p.sharpe_ratio AS sharpe_ratio,
  p.win_rate AS win_rate,
  p.total_return_pct AS total_return_pct,
  h.run_id AS run_id
FROM hyperparameters AS h
JOIN training_runs AS r ON r.run_id = h.run_id
LEFT JOIN agent_performance AS p ON p.run_id = h.run_id AND p.evaluation_type = 'validation'
WHERE r.status = 'completed'
ORDER BY p.sharpe_ratio DESC;
`,
  downgrade: `
DROP VIEW IF EXISTS v_hyperparameter_results;
DROP VIEW IF EXISTS v_training_summary;
DROP VIEW IF EXISTS v_current_ensemble;
DROP VIEW IF EXISTS v_agent_leaderboard;
DROP TABLE IF EXISTS training_episodes;
DROP TABLE IF EXISTS ensemble_weights;
DROP TABLE IF EXISTS hyperparameters;
DROP TABLE IF EXISTS agent_performance;
DROP TABLE IF EXISTS training_runs;
`,
});

export default migration;
