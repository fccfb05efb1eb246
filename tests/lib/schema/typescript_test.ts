import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { formatTypeScript } from "../../../lib/schema/typescript.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { TemporaryDirectory } from "../support.ts";
import { HOSTILE, schemaOf } from "./sample.ts";

const configuration = fileURLToPath(new URL("../../../deno.json", import.meta.url));

// Each line after `@ts-expect-error` must be a compile error, and no other line may be one.
const PROGRAM = `
import { Kysely, type Insertable, type Updateable } from "kysely";
import type { NoneRow } from "./hostile.ts";
import type {
  OrdersInsert,
  OrdersRow,
  OrdersUpdate,
  TInsert,
  TRow,
  TradingDatabase,
  VOrderFillStatsRow,
  XDatabase,
} from "./types.ts";

declare const db: Kysely<TradingDatabase>;
declare const other: Kysely<XDatabase>;

export async function queries(): Promise<void> {
  const orders = await db.selectFrom("orders").innerJoin("fills", "fills.order_id", "orders.order_id")
    .select(["orders.status", "orders.limit_price", "fills.price"])
    .where("orders.status", "=", "partially_filled").execute();
  const status: OrdersRow["status"] | undefined = orders[0]?.status;
  const price: number | null | undefined = orders[0]?.limit_price;
  // @ts-expect-error No order has this status.
  db.selectFrom("orders").selectAll().where("status", "=", "partly_filled");
  // @ts-expect-error The column does not exist.
  db.selectFrom("orders").select("state");

  const order: OrdersInsert = {
    order_id: "1", client_order_id: "1", ticker: "ABC", order_type: "market", side: "buy",
    quantity: 1, submitted_at: 0, updated_at: 0,
  };
  await db.insertInto("orders").values(order).execute();
  await db.insertInto("orders").values({ ...order, status: "filled", limit_price: null }).execute();
  // @ts-expect-error No order has this status.
  db.insertInto("orders").values({ ...order, status: "done" });
  // @ts-expect-error The key is required.
  const withoutKey: OrdersInsert = { ...order, order_id: undefined };
  // @ts-expect-error The time is required.
  const withoutTime: Insertable<TradingDatabase["orders"]> = {
    order_id: "1", client_order_id: "1", ticker: "ABC", order_type: "market", side: "buy",
    quantity: 1, updated_at: 0,
  };
  const change: OrdersUpdate = { status: "filled", filled_at: null };
  await db.updateTable("orders").set(change).where("order_id", "=", "1").execute();
  // @ts-expect-error No order has this status.
  db.updateTable("orders").set({ status: "done" });

  // SQLite numbers the row.
  await db.insertInto("portfolio_snapshots").values({
    snapshot_date: "2026-01-31", snapshot_time: 0, total_equity: 1, cash_balance: 1,
    net_liquidation_value: 1,
  }).execute();

  const stats: VOrderFillStatsRow[] = await db.selectFrom("v_order_fill_stats").selectAll().execute();
  const side: "buy" | "sell" | undefined = stats[0]?.side;
  // @ts-expect-error The average of no fills is NULL.
  const average: number | undefined = stats[0]?.avg_fill_price;
  // @ts-expect-error A view cannot be written.
  const written: keyof Insertable<TradingDatabase["v_order_fill_stats"]> = "side";

  const row: TRow = { id: 1, "a b": null, total: 2, code: 1 };
  const rows: TRow[] = await other.selectFrom("t").selectAll().execute();
  await other.insertInto("t").values({ "a b": new Uint8Array() }).execute();
  const inserted: TInsert = { id: 1, code: 2 };
  // @ts-expect-error SQLite computes this column.
  const computed: Updateable<XDatabase["t"]> = { total: 1 };
  // @ts-expect-error SQLite computes this column.
  row.total = 3;
  // @ts-expect-error The check allows 1 and 2.
  const wrong: TInsert = { code: 3 };
  const none: NoneRow = { a: new Uint8Array() };
  console.log(none, status, price, withoutKey, withoutTime, side, average, rows, inserted, computed, wrong, written);
}
`;

Deno.test("the types let Kysely find a wrong status, column or NULL", async () => {
  using directory = new TemporaryDirectory();
  const trading = bundledMigrations.filter(({ database }) => database === "trading");
  const databases = new Map([
    ["trading", await schemaOf(trading.map(({ upgrade }) => String(upgrade)).join("\n"))],
    [
      "x",
      await schemaOf(`CREATE TABLE t (
        id INTEGER PRIMARY KEY,
        "a b" BLOB,
        total REAL AS (id * 2) NOT NULL,
        code INTEGER NOT NULL DEFAULT 1 CHECK (code IN (1, 2))
      )`),
    ],
  ]);
  Deno.writeTextFileSync(directory.file("types.ts"), formatTypeScript(databases));
  const hostile = new Map([["my db `x` */ y\nz", await schemaOf(HOSTILE)]]);
  Deno.writeTextFileSync(directory.file("hostile.ts"), formatTypeScript(hostile));
  Deno.writeTextFileSync(directory.file("program.ts"), PROGRAM);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["check", "--config", configuration, directory.file("program.ts")],
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
});

Deno.test("a table becomes the types of a row, a new row and a change", async () => {
  const schema = await schemaOf(`CREATE TABLE order_items ( -- what was bought
    item_id INTEGER PRIMARY KEY,
    side TEXT NOT NULL CHECK (side IN ('buy', 'sell')),
    price REAL, -- per share
    total REAL AS (price * 2)
  );
  CREATE VIEW sides AS SELECT side FROM order_items`);
  const text = formatTypeScript(new Map([["shop", schema]]));
  assert.match(text, /^\/\/ Generated by `catalyst-migrate schema shop --format typescript`\. /);
  const types = text.slice(text.indexOf("export type OrderItemsSide"));
  assert.equal(
    types,
    `export type OrderItemsSide = "buy" | "sell";

/** A row of \`order_items\`. what was bought */
export interface OrderItemsRow {
  item_id: number;
  side: OrderItemsSide;
  /** per share */
  price: number | null;
  readonly total: number | null;
}

/** A new row of \`order_items\`. */
export interface OrderItemsInsert {
  item_id?: number;
  side: OrderItemsSide;
  price?: number | null;
}

/** Changes to a row of \`order_items\`. */
export type OrderItemsUpdate = Partial<OrderItemsInsert>;

/** A row of \`sides\`. */
export interface SidesRow {
  side: OrderItemsSide;
}

/** The database shop for Kysely: \`new Kysely<ShopDatabase>(…)\`. */
export interface ShopDatabase {
  order_items: Table<OrderItemsRow, OrderItemsInsert>;
  sides: Table<SidesRow>;
}
`,
  );
});
