/**
 * Made-up orders and fills that belong to made-up positions.
 *
 * @module
 */
import type { SqlValue } from "../database/connection.ts";
import { market, moment, type Position } from "./demo_account.ts";
import { type DemoTable, type Random, round } from "./demo_random.ts";

const REJECTIONS = [
  "insufficient buying power",
  "trading halted",
  "shares not available to short",
  "price outside the allowed band",
] as const;

/** An order before it has an id. */
interface Order {
  readonly at: number;
  readonly row: Readonly<Record<string, SqlValue>>;
  /** Price and quantity of each fill. */
  readonly fills: readonly (readonly [price: number, quantity: number])[];
}

/** Makes the orders and fills of positions, and some orders that came to nothing. */
export function orderTables(
  random: Random,
  { positions, days }: {
    readonly positions: readonly Position[];
    readonly days: readonly string[];
  },
): DemoTable[] {
  const orders = positions.flatMap((one) => {
    const entry = filledOrder(random, one, { isEntry: true });
    return one.exitDay === null ? [entry] : [entry, filledOrder(random, one, { isEntry: false })];
  });
  for (let count = 0; count < 40; count++) {
    const [ticker, price] = random.pick<(typeof market)[number]>(market);
    const at = moment(days[random.whole(0, days.length - 1)], random.whole(5, 380));
    const isRejected = count < 24;
    orders.push({
      at,
      fills: [],
      row: {
        ...blankOrder,
        ticker,
        order_type: "limit",
        side: random.pick(["buy", "sell"]),
        quantity: random.whole(5, 60),
        limit_price: price,
        status: isRejected ? "rejected" : count < 34 ? "cancelled" : "expired",
        submitted_at: at,
        updated_at: at + 2,
        cancelled_at: !isRejected && count < 34 ? at + 2 : null,
        expired_at: count < 34 ? null : at + 2,
        strategy: random.pick(["momentum", "mean_reversion", "breakout"]),
        reject_reason: isRejected ? random.pick<string>(REJECTIONS) : null,
      },
    });
  }
  const rows: Record<string, SqlValue>[] = [];
  const fills: Record<string, SqlValue>[] = [];
  for (const [number, { row, fills: parts }] of orders.sort((a, b) => a.at - b.at).entries()) {
    const id = `ord-${String(number + 1).padStart(5, "0")}`;
    const order = { order_id: id, client_order_id: `bot-${id}`, ...row };
    rows.push(order);
    const total = parts.reduce((sum, [, quantity]) => sum + quantity, 0);
    for (const [at, [price, quantity]] of parts.entries()) {
      fills.push({
        fill_id: `fill-${String(fills.length + 1).padStart(5, "0")}`,
        order_id: id,
        client_order_id: order.client_order_id,
        ticker: row.ticker ?? null,
        side: row.side ?? null,
        quantity,
        price,
        filled_at: Number(row.filled_at ?? row.updated_at) - (parts.length - 1 - at),
        liquidity: random.pick(["maker", "taker"]),
        commission: round(Number(row.commission) * quantity / total, 4),
        position_id: row.position_id ?? null,
        exchange: random.pick(["NASDAQ", "NYSE", "ARCA"]),
      });
    }
  }
  return [
    { database: "trading", table: "orders", rows },
    { database: "trading", table: "fills", rows: fills },
  ];
}

const blankOrder: Readonly<Record<string, SqlValue>> = {
  stop_price: null,
  time_in_force: "day",
  filled_at: null,
  filled_quantity: 0,
  filled_avg_price: null,
  commission: 0,
  position_id: null,
  expected_price: null,
  slippage: null,
  signal_score: null,
};

function filledOrder(
  random: Random,
  one: Position,
  { isEntry }: { readonly isEntry: boolean },
): Order {
  const isBuy = (one.direction === 1) === isEntry;
  const price = isEntry ? one.entryPrice : one.lastPrice;
  const seconds = random.whole(1, 12);
  const at = (isEntry ? one.openedAt : one.lastAt) - seconds;
  const slip = one.slippage[isEntry ? 0 : 1];
  const isStop = !isEntry && one.exitReason === "stop_loss";
  const type = isStop ? "stop" : random.pick(["market", "limit"]);
  // The entries of two open positions are still being filled.
  const isPartial = isEntry && one.exitDay === null && one.quantity % 3 === 0;
  const parts = one.quantity < 6 ? 1 : random.pick([1, 1, 1, 2, 3]);
  const first = Math.floor(one.quantity / parts);
  const quantities = Array.from(
    { length: parts },
    (_, part) => part < parts - 1 ? first : one.quantity - first * (parts - 1),
  );
  return {
    at,
    fills: quantities.map((quantity) => [price, quantity]),
    row: {
      ...blankOrder,
      ticker: one.ticker,
      order_type: type,
      side: isBuy ? "buy" : "sell",
      quantity: isPartial ? one.quantity + 10 : one.quantity,
      limit_price: type === "limit" ? price : null,
      stop_price: isStop ? one.stop : null,
      status: isPartial ? "partially_filled" : "filled",
      submitted_at: at,
      updated_at: at + seconds,
      cancelled_at: null,
      expired_at: null,
      filled_at: isPartial ? null : at + seconds,
      filled_quantity: one.quantity,
      filled_avg_price: price,
      commission: round(one.commission / 2),
      position_id: one.id,
      expected_price: round(price - (isBuy ? slip : -slip), 4),
      slippage: round(slip * one.quantity, 4),
      strategy: one.strategy,
      signal_score: isEntry ? one.score : null,
      reject_reason: null,
    },
  };
}
