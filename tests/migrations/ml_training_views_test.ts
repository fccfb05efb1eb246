import assert from "node:assert/strict";
import { requiredRow } from "./constraints.ts";
import { MemoryDatabase, type Values } from "./fixture.ts";

const noon = Date.UTC(2024, 0, 2, 12) / 1000;

function insertRun(db: MemoryDatabase, run_id: string, given: Values = {}): void {
  db.insert("training_runs", requiredRow("training_runs", { run_id, ...given }));
}

function insertPerformance(db: MemoryDatabase, run_id: string, given: Values = {}): void {
  const row = { performance_id: null, run_id, evaluation_type: "validation", ...given };
  db.insert("agent_performance", requiredRow("agent_performance", row));
}

function insertHyperparameters(db: MemoryDatabase, run_id: string, given: Values = {}): void {
  const row = { hyperparameter_id: null, run_id, ...given };
  db.insert("hyperparameters", requiredRow("hyperparameters", row));
}

function insertWeight(db: MemoryDatabase, ensemble_id: string, given: Values): void {
  const row = { weight_id: null, ensemble_id, run_id: "r1", ...given };
  db.insert("ensemble_weights", requiredRow("ensemble_weights", row));
}

Deno.test("v_agent_leaderboard lists only validations, the best Sharpe ratio first, NULL last", () => {
  using db = MemoryDatabase.migrated("ml_training");
  insertRun(db, "r1", { algorithm: "SAC", model_name: "first" });
  insertRun(db, "r2", { model_name: "second" });
  insertPerformance(db, "r1", { sharpe_ratio: null });
  insertPerformance(db, "r1", { sharpe_ratio: 1.5 });
  insertPerformance(db, "r2", { sharpe_ratio: 2.5 });
  insertPerformance(db, "r2", { sharpe_ratio: -1 });
  for (const evaluation_type of ["train", "test", "live_paper", "backtest"]) {
    insertPerformance(db, "r1", { evaluation_type, sharpe_ratio: 9 });
  }
  assert.deepEqual(
    db.rows("SELECT run_id, algorithm, model_name, sharpe_ratio FROM v_agent_leaderboard"),
    [
      { run_id: "r2", algorithm: "PPO", model_name: "second", sharpe_ratio: 2.5 },
      { run_id: "r1", algorithm: "SAC", model_name: "first", sharpe_ratio: 1.5 },
      { run_id: "r2", algorithm: "PPO", model_name: "second", sharpe_ratio: -1 },
      { run_id: "r1", algorithm: "SAC", model_name: "first", sharpe_ratio: null },
    ],
  );
});

Deno.test("v_current_ensemble lists each ensemble's active weights at its own latest update, with its run's algorithm", () => {
  using db = MemoryDatabase.migrated("ml_training");
  insertRun(db, "r1", { model_name: "first" });
  insertRun(db, "r2", { model_name: "second", algorithm: "TD3" });
  insertWeight(db, "a", { update_time: noon, weight: 1 });
  insertWeight(db, "a", { update_time: noon + 60, weight: 0.25 });
  insertWeight(db, "a", { update_time: noon + 60, weight: 0.7, run_id: "r2", algorithm: "SAC" });
  insertWeight(db, "a", { update_time: noon + 60, weight: 0.9, is_active: 0 });
  // Older than the update of ensemble "a", but the latest of its own ensemble.
  insertWeight(db, "b", { update_time: noon - 60, weight: 0.5 });
  assert.deepEqual(
    db.rows(
      `SELECT ensemble_id, algorithm, model_name, weight, last_updated FROM v_current_ensemble`,
    ),
    [
      {
        ensemble_id: "a",
        algorithm: "TD3",
        model_name: "second",
        weight: 0.7,
        last_updated: "2024-01-02 12:01:00",
      },
      {
        ensemble_id: "b",
        algorithm: "PPO",
        model_name: "first",
        weight: 0.5,
        last_updated: "2024-01-02 11:59:00",
      },
      {
        ensemble_id: "a",
        algorithm: "PPO",
        model_name: "first",
        weight: 0.25,
        last_updated: "2024-01-02 12:01:00",
      },
    ],
  );
});

Deno.test("v_current_ensemble omits an ensemble whose latest update is entirely inactive", () => {
  using db = MemoryDatabase.migrated("ml_training");
  insertRun(db, "r1");
  insertWeight(db, "a", { update_time: 1, weight: 1 });
  insertWeight(db, "a", { update_time: 2, weight: 1, is_active: 0 });
  assert.deepEqual(db.rows("SELECT * FROM v_current_ensemble"), []);
});

Deno.test("v_training_summary lists every run, newest first, with the known values", () => {
  using db = MemoryDatabase.migrated("ml_training");
  insertRun(db, "bare", { start_time: noon + 2 });
  insertRun(db, "trained", { start_time: noon + 1, duration_seconds: 5000 });
  insertRun(db, "validated", { start_time: noon, status: "completed" });
  insertPerformance(db, "trained", { evaluation_type: "train", sharpe_ratio: 9 });
  insertPerformance(db, "validated", { sharpe_ratio: 1.5, win_rate: 0.6, total_return_pct: 12 });
  insertPerformance(db, "validated", { evaluation_type: "test", sharpe_ratio: 9 });
  insertHyperparameters(db, "trained", { learning_rate: 0.001, batch_size: 64 });
  const nothing = {
    duration_hours: null,
    sharpe_ratio: null,
    win_rate: null,
    total_return_pct: null,
    learning_rate: null,
    batch_size: null,
  };
  assert.deepEqual(
    db.rows(
      `SELECT run_id, status, duration_hours, started_at, sharpe_ratio, win_rate, total_return_pct,
         learning_rate, batch_size
       FROM v_training_summary`,
    ),
    [
      { ...nothing, run_id: "bare", status: "running", started_at: "2024-01-02 12:00:02" },
      {
        ...nothing,
        run_id: "trained",
        status: "running",
        duration_hours: 1.39,
        started_at: "2024-01-02 12:00:01",
        learning_rate: 0.001,
        batch_size: 64,
      },
      {
        ...nothing,
        run_id: "validated",
        status: "completed",
        started_at: "2024-01-02 12:00:00",
        sharpe_ratio: 1.5,
        win_rate: 0.6,
        total_return_pct: 12,
      },
    ],
  );
});

Deno.test("v_training_summary has a row for each validation of a run", () => {
  using db = MemoryDatabase.migrated("ml_training");
  insertRun(db, "r1");
  insertHyperparameters(db, "r1", { batch_size: 64 });
  insertPerformance(db, "r1", { sharpe_ratio: 1 });
  insertPerformance(db, "r1", { sharpe_ratio: 2 });
  assert.deepEqual(
    db.rows(
      "SELECT run_id, sharpe_ratio, batch_size FROM v_training_summary ORDER BY sharpe_ratio",
    ),
    [
      { run_id: "r1", sharpe_ratio: 1, batch_size: 64 },
      { run_id: "r1", sharpe_ratio: 2, batch_size: 64 },
    ],
  );
});

Deno.test("v_hyperparameter_results lists only completed runs, the best validation first", () => {
  using db = MemoryDatabase.migrated("ml_training");
  for (const status of ["running", "completed", "failed", "stopped", "aborted"]) {
    insertRun(db, status, { status });
    insertHyperparameters(db, status, { gamma: 0.9 });
    insertPerformance(db, status, { sharpe_ratio: 1 });
    insertPerformance(db, status, { evaluation_type: "test", sharpe_ratio: 9 });
  }
  insertRun(db, "better", { status: "completed" });
  insertHyperparameters(db, "better", { algorithm: "SAC", gamma: 0.99 });
  insertPerformance(db, "better", { sharpe_ratio: 3 });
  insertRun(db, "not validated", { status: "completed" });
  insertHyperparameters(db, "not validated", { gamma: 0.5 });
  insertRun(db, "without hyperparameters", { status: "completed" });
  assert.deepEqual(
    db.rows("SELECT run_id, algorithm, gamma, sharpe_ratio FROM v_hyperparameter_results"),
    [
      { run_id: "better", algorithm: "SAC", gamma: 0.99, sharpe_ratio: 3 },
      { run_id: "completed", algorithm: "x", gamma: 0.9, sharpe_ratio: 1 },
      { run_id: "not validated", algorithm: "x", gamma: 0.5, sharpe_ratio: null },
    ],
  );
});
