import assert from "node:assert/strict";
import { bundledMigrations } from "../../migrations/mod.ts";
import { earlierThan, MemoryDatabase, sqlOf } from "./fixture.ts";

for (const migration of bundledMigrations) {
  const { name } = migration;
  const upgrade = sqlOf(migration, "upgrade");
  const downgrade = sqlOf(migration, "downgrade");

  // The first migration of a database may find the tables of the earlier system.
  if (earlierThan(migration).length === 0) {
    Deno.test(`${name} upgraded twice creates the same schema as once`, () => {
      using db = MemoryDatabase.before(migration).upgraded([migration]);
      const before = db.rows("SELECT * FROM sqlite_schema");
      db.exec(upgrade);
      assert.deepEqual(db.rows("SELECT * FROM sqlite_schema"), before);
    });

    Deno.test(`${name} downgraded twice has the same effect as once`, () => {
      using db = MemoryDatabase.before(migration).upgraded([migration]);
      db.exec(downgrade);
      db.exec(downgrade);
      assert.deepEqual(db.objects(), []);
    });
  }

  Deno.test(`${name} downgraded restores the schema before it`, () => {
    using db = MemoryDatabase.before(migration);
    const before = db.objects();
    db.exec(upgrade);
    db.exec(downgrade);
    assert.deepEqual(db.objects(), before);
  });

  Deno.test(`${name} upgraded after a downgrade creates the same schema again`, () => {
    using db = MemoryDatabase.before(migration).upgraded([migration]);
    const before = db.objects();
    db.exec(downgrade);
    db.exec(upgrade);
    assert.deepEqual(db.objects(), before);
  });

  Deno.test(`${name} runs in both directions inside one transaction`, () => {
    using db = MemoryDatabase.before(migration);
    const before = db.objects();
    db.exec("BEGIN IMMEDIATE");
    db.exec(upgrade);
    db.exec(downgrade);
    db.exec(upgrade);
    assert.equal(db.isTransaction, true);
    db.exec("ROLLBACK");
    assert.deepEqual(db.objects(), before);
  });
}

Deno.test("a downgrade with rows in parents and children violates no foreign key", () => {
  for (const database of ["trading", "ml_training"]) {
    using db = MemoryDatabase.migrated(database);
    if (database === "trading") {
      db.exec(`
        INSERT INTO orders (order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at)
        VALUES ('o1', 'c1', 'AAPL', 'market', 'buy', 1, 0, 0);
        INSERT INTO fills (fill_id, order_id, client_order_id, ticker, side, quantity, price, filled_at)
        VALUES ('f1', 'o1', 'c1', 'AAPL', 'buy', 1, 10, 0);
      `);
    } else {
      db.exec(`
        INSERT INTO training_runs (run_id, algorithm, model_name, start_time, total_timesteps, train_start_date, train_end_date)
        VALUES ('r1', 'PPO', 'm', 0, 1, '2024-01-01', '2024-02-01');
        INSERT INTO hyperparameters (run_id, algorithm, params_json, created_at)
        VALUES ('r1', 'PPO', '{}', 0);
      `);
    }
    for (const migration of bundledMigrations.toReversed()) {
      if (migration.database === database) db.exec(sqlOf(migration, "downgrade"));
    }
    assert.deepEqual(db.objects(), []);
  }
});
