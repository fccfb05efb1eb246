/**
 * Rules between the bot's tables that no foreign key can express.
 *
 * @module
 */
import { type Connection, number, text } from "./database/connection.ts";
import type { DataCheck } from "./operations/verify.ts";
import type { Finding } from "./schema/model.ts";

type CatalystFinding = Finding & { readonly database: string };

/** How many position ids are looked up at once; bounds the memory for any number of rows. */
const BATCH = 5_000;

/** A fill has an order, orders and fills have a position, and snapshots follow each other in time. */
export const checkCatalystData: DataCheck = async (databases) => {
  const trading = databases.get("trading");
  if (trading === undefined) return [];
  const tables = await tablesOf(trading);
  const findings: CatalystFinding[] = [];
  if (tables.has("fills") && tables.has("orders")) {
    findings.push(...await fillsWithoutOrder(trading));
    const positions = databases.get("positions");
    if (positions !== undefined && (await tablesOf(positions)).has("closed_positions")) {
      findings.push(...await withoutPosition({ trading, positions, table: "orders" }));
      findings.push(...await withoutPosition({ trading, positions, table: "fills" }));
    }
  }
  if (tables.has("portfolio_snapshots")) findings.push(...await snapshotsOutOfOrder(trading));
  return findings;
};

async function tablesOf(connection: Connection): Promise<Set<string>> {
  const rows = await connection.all("SELECT name FROM sqlite_schema WHERE type = 'table'");
  return new Set(rows.map((row) => text(row, "name")));
}

async function fillsWithoutOrder(trading: Connection): Promise<CatalystFinding[]> {
  const row = await trading.get(
    `SELECT count(*) AS fills, min(fill_id) AS example
    FROM fills
    WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.order_id = fills.order_id)`,
  );
  if (row === undefined || number(row, "fills") === 0) return [];
  return [{
    database: "trading",
    kind: "fill_without_order",
    object: "fills",
    detail: `${row.fills} fill(s) belong to a missing order, such as ${row.example}`,
    fix: "restore the orders from a backup, or delete those fills",
  }];
}

interface PositionSearch {
  readonly trading: Connection;
  readonly positions: Connection;
  readonly table: "orders" | "fills";
}

async function withoutPosition(
  { trading, positions, table }: PositionSearch,
): Promise<CatalystFinding[]> {
  const unknown: string[] = [];
  let last: string | null = null;
  for (;;) {
    // An empty id is looked up, too. A BLOB sorts after all texts: it is not an id and bounds the
    // range.
    const batch: string[] = (await trading.all(
      `SELECT DISTINCT position_id
      FROM ${table}
      WHERE position_id ${last === null ? ">=" : ">"} ? AND position_id < x''
      ORDER BY position_id
      LIMIT ${BATCH}`,
      [last ?? ""],
    )).map((row) => text(row, "position_id"));
    const end = batch.at(-1);
    if (end === undefined) break;
    last = end;
    unknown.push(...await unknownPositions(positions, batch));
  }
  if (unknown.length === 0) return [];
  return [{
    database: "trading",
    kind: "position_missing",
    object: table,
    detail:
      `${table} name ${unknown.length} position(s) that are neither open nor closed, such as ${
        unknown[0]
      }`,
    fix: "restore the positions from a backup, or set their position_id to NULL",
  }];
}

async function unknownPositions(positions: Connection, ids: readonly string[]): Promise<string[]> {
  const rows = await positions.all(
    `SELECT value AS position_id
    FROM json_each(?)
    WHERE NOT EXISTS (SELECT 1 FROM positions WHERE positions.position_id = value)
      AND NOT EXISTS (SELECT 1 FROM closed_positions WHERE closed_positions.position_id = value)`,
    [JSON.stringify(ids)],
  );
  return rows.map((row) => String(row.position_id));
}

async function snapshotsOutOfOrder(trading: Connection): Promise<CatalystFinding[]> {
  const row = await trading.get(
    `SELECT count(*) AS snapshots, min(snapshot_id) AS example
    FROM (
        SELECT
            snapshot_id,
            snapshot_time < lag(snapshot_time) OVER (ORDER BY snapshot_id) AS is_earlier,
            snapshot_time < lag(snapshot_time) OVER (ORDER BY snapshot_date) AS contradicts_date
        FROM portfolio_snapshots
    )
    WHERE is_earlier OR contradicts_date`,
  );
  if (row === undefined || number(row, "snapshots") === 0) return [];
  return [{
    database: "trading",
    kind: "snapshot_out_of_order",
    object: "portfolio_snapshots",
    detail:
      `${row.snapshots} snapshot(s) have an earlier time than the one before, such as snapshot_id ${row.example}`,
    fix: "correct their snapshot_time or snapshot_date; the clock may have been set back",
  }];
}
