import assert from "node:assert/strict";
import { requiredRow } from "./constraints.ts";
import { MemoryDatabase } from "./fixture.ts";

const noon = Date.UTC(2024, 0, 2, 12) / 1000;

Deno.test("v_position_summary shows a position's profit in dollars and its times in UTC", () => {
  using db = MemoryDatabase.migrated("positions");
  db.insert(
    "positions",
    requiredRow("positions", {
      quantity: 10,
      entry_price: 100,
      current_price: 102.5,
      unrealized_pnl_pct: 2.5,
      opened_at: noon,
      updated_at: noon + 61,
    }),
  );
  assert.deepEqual(
    db.rows(
      `SELECT pnl_dollars, unrealized_pnl_pct, opened_datetime, updated_datetime
       FROM v_position_summary`,
    ),
    [{
      pnl_dollars: 25,
      unrealized_pnl_pct: 2.5,
      opened_datetime: "2024-01-02 12:00:00",
      updated_datetime: "2024-01-02 12:01:01",
    }],
  );
});

Deno.test("v_position_summary computes pnl_dollars from the price alone, for short and long positions", () => {
  using db = MemoryDatabase.migrated("positions");
  for (const side of ["long", "short"]) {
    db.insert(
      "positions",
      requiredRow("positions", {
        position_id: side,
        side,
        quantity: 10,
        entry_price: 100,
        current_price: 98,
      }),
    );
  }
  assert.deepEqual(db.column("SELECT pnl_dollars FROM v_position_summary"), [-20, -20]);
});

Deno.test("v_position_summary counts the hours from opening to now as a REAL", () => {
  using db = MemoryDatabase.migrated("positions");
  db.insert("positions", requiredRow("positions", { opened_at: noon }));
  // SQLite's clock does not advance within one statement.
  const [row] = db.rows(
    `SELECT hours_held, typeof(hours_held) AS type, unixepoch() AS now FROM v_position_summary`,
  );
  assert.equal(row?.hours_held, (Number(row?.now) - noon) / 3600);
  assert.equal(row?.type, "real");
});

Deno.test("v_position_summary lists all positions, largest profit first", () => {
  using db = MemoryDatabase.migrated("positions");
  for (let at = 0; at < 120; at++) {
    const row = { position_id: `p${at}`, unrealized_pnl: (at * 7) % 120 - 60 };
    db.insert("positions", requiredRow("positions", row));
  }
  const found = db.column("SELECT unrealized_pnl FROM v_position_summary");
  assert.deepEqual(found, Array.from({ length: 120 }, (_, at) => 59 - at));
});

Deno.test("v_recent_closed_trades labels a trade WIN, LOSS or BREAKEVEN by the sign of its profit", () => {
  using db = MemoryDatabase.migrated("positions");
  const trades = [0.01, -0.01, 0, -0, 1e9, -1e9];
  trades.forEach((realized_pnl, at) => {
    const row = { position_id: `p${at}`, realized_pnl, closed_at: 100 - at };
    db.insert("closed_positions", requiredRow("closed_positions", row));
  });
  assert.deepEqual(
    db.column("SELECT outcome FROM v_recent_closed_trades"),
    ["WIN", "LOSS", "BREAKEVEN", "BREAKEVEN", "WIN", "LOSS"],
  );
});

Deno.test("v_recent_closed_trades lists the 100 newest closed positions, times in UTC", () => {
  using db = MemoryDatabase.migrated("positions");
  for (let at = 0; at < 103; at++) {
    const minute = (at * 7) % 103;
    const row = { position_id: `p${at}`, opened_at: noon, closed_at: noon + minute * 60 };
    db.insert("closed_positions", requiredRow("closed_positions", row));
  }
  const rows = db.rows("SELECT opened_datetime, closed_datetime FROM v_recent_closed_trades");
  assert.equal(rows.length, 100);
  assert.deepEqual(rows[0], {
    opened_datetime: "2024-01-02 12:00:00",
    closed_datetime: "2024-01-02 13:42:00",
  });
  const closed = rows.map((row) => String(row.closed_datetime));
  assert.deepEqual(closed, closed.toSorted().reverse());
  assert.equal(closed.at(-1), "2024-01-02 12:03:00");
});
