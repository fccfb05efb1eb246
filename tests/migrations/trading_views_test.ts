import assert from "node:assert/strict";
import { requiredRow } from "./constraints.ts";
import { MemoryDatabase, type Values } from "./fixture.ts";

const noon = Date.UTC(2024, 0, 2, 12) / 1000;

function insertOrder(db: MemoryDatabase, order_id: string, given: Values = {}): void {
  db.insert("orders", requiredRow("orders", { order_id, client_order_id: order_id, ...given }));
}

function dayAfter(days: number): string {
  return new Date(Date.UTC(2024, 0, 1 + days)).toISOString().slice(0, 10);
}

Deno.test("v_recent_orders lists the 100 newest orders, times in UTC", () => {
  using db = MemoryDatabase.migrated("trading");
  for (let at = 0; at < 103; at++) {
    insertOrder(db, `o${at}`, { submitted_at: noon + (at * 7) % 103 });
  }
  const submitted = db.column("SELECT submitted_datetime FROM v_recent_orders").map(String);
  assert.equal(submitted.length, 100);
  assert.deepEqual(submitted, submitted.toSorted().reverse());
  assert.deepEqual([submitted[0], submitted.at(-1)], [
    "2024-01-02 12:01:42",
    "2024-01-02 12:00:03",
  ]);
});

Deno.test("v_recent_orders shows when an order was filled, or NULL", () => {
  using db = MemoryDatabase.migrated("trading");
  insertOrder(db, "open", { submitted_at: noon + 1 });
  insertOrder(db, "done", { submitted_at: noon, filled_at: noon + 3600, status: "filled" });
  assert.deepEqual(db.rows("SELECT order_id, status, filled_datetime FROM v_recent_orders"), [
    { order_id: "open", status: "pending", filled_datetime: null },
    { order_id: "done", status: "filled", filled_datetime: "2024-01-02 13:00:00" },
  ]);
});

Deno.test("v_order_fill_stats shows the number and the average, lowest and highest price of an order's fills", () => {
  using db = MemoryDatabase.migrated("trading");
  insertOrder(db, "o1", { quantity: 10, filled_quantity: 9, status: "partially_filled" });
  insertOrder(db, "o2", { quantity: 1, filled_quantity: 1, status: "filled", side: "sell" });
  [[1, 10], [6, 11], [2, 15]].forEach(([quantity = 0, price = 0], at) => {
    const fill = { fill_id: `f${at}`, order_id: "o1", quantity, price };
    db.insert("fills", requiredRow("fills", fill));
  });
  db.insert("fills", requiredRow("fills", { fill_id: "g", order_id: "o2", price: 7 }));
  const plain = { ticker: "x" };
  assert.deepEqual(db.rows("SELECT * FROM v_order_fill_stats ORDER BY order_id"), [
    {
      order_id: "o1",
      ...plain,
      side: "buy",
      order_quantity: 10,
      filled_quantity: 9,
      num_fills: 3,
      avg_fill_price: 12,
      best_fill_price: 10,
      worst_fill_price: 15,
    },
    {
      order_id: "o2",
      ...plain,
      side: "sell",
      order_quantity: 1,
      filled_quantity: 1,
      num_fills: 1,
      avg_fill_price: 7,
      best_fill_price: 7,
      worst_fill_price: 7,
    },
  ]);
});

Deno.test("v_order_fill_stats lists only filled and partially filled orders, including those without fills", () => {
  using db = MemoryDatabase.migrated("trading");
  for (const status of ["pending", "new", "partially_filled", "filled", "cancelled", "rejected"]) {
    insertOrder(db, status, { status });
  }
  assert.deepEqual(
    db.rows(
      `SELECT order_id, num_fills, avg_fill_price, best_fill_price, worst_fill_price
       FROM v_order_fill_stats ORDER BY order_id`,
    ),
    ["filled", "partially_filled"].map((order_id) => ({
      order_id,
      num_fills: 0,
      avg_fill_price: null,
      best_fill_price: null,
      worst_fill_price: null,
    })),
  );
});

Deno.test("v_equity_curve lists all portfolio snapshots, oldest first", () => {
  using db = MemoryDatabase.migrated("trading");
  for (let at = 0; at < 120; at++) {
    const day = (at * 7) % 120;
    db.insert(
      "portfolio_snapshots",
      requiredRow("portfolio_snapshots", {
        snapshot_id: null,
        snapshot_date: dayAfter(day),
        snapshot_time: noon + day,
        total_equity: 1000 + day,
      }),
    );
  }
  assert.deepEqual(
    db.rows("SELECT snapshot_date, total_equity FROM v_equity_curve"),
    Array.from({ length: 120 }, (_, day) => ({
      snapshot_date: dayAfter(day),
      total_equity: 1000 + day,
    })),
  );
});

Deno.test("v_performance_summary lists the 30 newest daily metrics", () => {
  using db = MemoryDatabase.migrated("trading");
  for (let at = 0; at < 40; at++) {
    const day = (at * 7) % 40;
    db.insert(
      "performance_metrics",
      requiredRow("performance_metrics", {
        metric_id: null,
        metric_date: dayAfter(day),
        metric_time: day,
        sharpe_ratio: day / 10,
      }),
    );
  }
  assert.deepEqual(
    db.rows("SELECT metric_date, sharpe_ratio FROM v_performance_summary"),
    Array.from({ length: 30 }, (_, at) => ({
      metric_date: dayAfter(39 - at),
      sharpe_ratio: (39 - at) / 10,
    })),
  );
});
