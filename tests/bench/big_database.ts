import { DatabaseSync } from "node:sqlite";

/** Approximate size in bytes of one generated order with its share of the indexes. */
const BYTES_PER_ORDER = 305;

/** Fills the orders of a trading database until it has about the given number of bytes. */
export function fillTrading(path: string, bytes: number): void {
  using db = new DatabaseSync(path);
  db.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; PRAGMA wal_autocheckpoint = 0");
  db.prepare(
    `INSERT INTO orders (
        order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at,
        strategy, metadata
    )
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
    SELECT
        printf('o%09d', n),
        printf('c%09d', n),
        printf('T%03d', n % 500),
        'market',
        iif(n % 2 = 0, 'buy', 'sell'),
        1 + n % 100,
        1700000000 + n,
        1700000000 + n,
        printf('s%d', n % 7),
        hex(randomblob(40))
    FROM numbers`,
  ).run(Math.round(bytes / BYTES_PER_ORDER));
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
}
