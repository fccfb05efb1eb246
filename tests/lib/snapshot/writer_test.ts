/**
 * Takes snapshots while a separate process writes continuously, and checks every one of them.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { trials } from "../../effort.ts";
import { runCli, type TempDir, tempDir } from "../../helpers.ts";

const snapshots = trials(12);

/**
 * One of this many snapshots is taken by the command line, or by the library on a separate thread.
 */
const COMMAND_EVERY = 6;
const THREAD_EVERY = 5;

/**
 * A bot that opens a trade with an order, its fill, and the position in the other file, and closes
 * trades in the opposite order. At any time no fill lacks its order, no position lacks its fill,
 * and at most one trade at either end is incomplete.
 */
const WRITER = `
import { DatabaseSync } from "node:sqlite";

const [directory] = Deno.args;
const open = (name) => {
  const db = new DatabaseSync(directory + "/" + name + ".db");
  db.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  return db;
};
const trading = open("trading");
const positions = open("positions");
const report = { trades: 0, failures: [], longestWait: 0, longestWrite: 0 };

function write(db, sql, ...parameters) {
  const start = performance.now();
  try {
    db.exec("BEGIN IMMEDIATE");
    report.longestWait = Math.max(report.longestWait, performance.now() - start);
    db.prepare(sql).run(...parameters);
    db.exec("COMMIT");
  } catch (error) {
    report.failures.push(error.message);
  }
  report.longestWrite = Math.max(report.longestWrite, performance.now() - start);
}

const KEPT = 300; // open trades at a time, so that the files stay small
for (let n = 1; report.failures.length === 0; n++) {
  const quantity = n * 7 % 1000 + 1;
  write(trading, \`INSERT INTO orders
    (order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at)
    VALUES (?1, ?1, 'AAPL', 'market', 'buy', ?2, ?3, ?3)\`, String(n), quantity, n);
  write(trading, \`INSERT INTO fills
    (fill_id, order_id, client_order_id, ticker, side, quantity, price, filled_at)
    VALUES (?1, ?1, ?1, 'AAPL', 'buy', ?2, 1, ?3)\`, String(n), quantity, n);
  write(positions, \`INSERT INTO positions
    (position_id, ticker, side, quantity, entry_price, current_price, opened_at, updated_at)
    VALUES (?1, 'AAPL', 'long', ?2, 1, 1, ?3, ?3)\`, String(n), quantity, n);
  if (n > KEPT) {
    write(positions, "DELETE FROM positions WHERE position_id = ?", String(n - KEPT));
    write(trading, "DELETE FROM fills WHERE fill_id = ?", String(n - KEPT));
    write(trading, "DELETE FROM orders WHERE order_id = ?", String(n - KEPT));
  }
  report.trades = n;
  if (n === 1) console.log("the first trade is written");
  if (n % 20 === 0) {
    try {
      Deno.lstatSync(directory + "/stop");
      break;
    } catch { /* not yet */ }
  }
}
console.log(JSON.stringify(report));
`;

interface Report {
  readonly trades: number;
  readonly failures: readonly string[];
  /** Milliseconds until the write lock was acquired. */
  readonly longestWait: number;
  /** Milliseconds including the write. */
  readonly longestWrite: number;
}

Deno.test("snapshots of databases that are being written are each consistent, and block no writer for long", async () => {
  await using dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  const alone = createCatalystMigrator({ dataDir: dir.path, alone: true });
  await migrator.upgrade();
  const writer = await startWriter(dir);
  const moments: Moment[] = [];
  let held = 0;
  try {
    for (let number = 1; number <= snapshots; number++) {
      const directory = join(dir.path, "snapshots");
      if (number % COMMAND_EVERY === 0) {
        const { code, stderr } = await runCli(
          ["backup", "--data-dir", dir.path, "--out", directory],
        );
        assert.equal(code, 0, stderr);
      } else {
        const taker = number % THREAD_EVERY === 0 ? migrator : alone;
        const verify = number % 2 === 0 ? "quick" : "none";
        const { heldSeconds } = await taker.createSnapshot({ directory, verify });
        held = Math.max(held, heldSeconds * 1000);
      }
      const [entry, ...others] = await migrator.listSnapshots(directory);
      assert.ok(entry !== undefined && others.length === 0);
      assert.deepEqual(entry.problems, []);
      moments.push(momentOf(directory, entry.name));
      await Deno.remove(directory, { recursive: true });
    }
  } finally {
    await Deno.writeTextFile(join(dir.path, "stop"), "");
  }
  const { trades, failures, longestWait, longestWrite } = await writer.report();
  const between = moments.filter(({ orders, positions }) => orders !== positions).length;
  // deno-lint-ignore no-console -- prints the measurements
  console.log(
    `${snapshots} snapshots during ${trades} trades, ${between} of them with a trade under way; ` +
      `locks held ${ms(held)} at most; longest wait of a write ${ms(longestWait)}, ` +
      `longest write ${ms(longestWrite)}`,
  );
  assert.deepEqual(failures, []);
  const [first] = moments;
  const last = moments.at(-1);
  assert.ok(first && last && last.orders > first.orders, "the writer stood still");
});

/** Starts the writer; resolves when its first trade is written. */
async function startWriter(dir: TempDir): Promise<{ report(): Promise<Report> }> {
  const script = join(dir.path, "writer.js");
  await Deno.writeTextFile(script, WRITER);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, dir.path],
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(child.stderr).text();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { done } = await reader.read();
  assert.ok(!done, `the writer did not begin: ${done && await stderr}`);
  return {
    report: async () => {
      let text = "";
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        text += read.value;
      }
      assert.ok((await child.status).success, await stderr);
      return JSON.parse(text);
    },
  };
}

/** Numbers of the newest order and the newest position in a snapshot; 0 if there are none. */
interface Moment {
  readonly orders: number;
  readonly positions: number;
}

/** Reads a snapshot, which must show a consistent state. */
function momentOf(directory: string, name: string): Moment {
  using trading = new DatabaseSync(join(directory, `trading_${name}.db`));
  using positionsFile = new DatabaseSync(join(directory, `positions_${name}.db`));
  for (const db of [trading, positionsFile]) {
    assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
  }
  const orders = quantities(trading, "SELECT order_id AS id, quantity FROM orders");
  const fills = quantities(trading, "SELECT order_id AS id, quantity FROM fills");
  const positions = quantities(positionsFile, "SELECT position_id AS id, quantity FROM positions");
  for (const [number, quantity] of fills) {
    assert.equal(orders.get(number), quantity, `${name}: fill ${number} is without its order`);
  }
  for (const [number, quantity] of positions) {
    assert.equal(orders.get(number), quantity, `${name}: position ${number} is ahead of its order`);
    assert.equal(fills.get(number), quantity, `${name}: position ${number} is ahead of its fill`);
  }
  const newest = {
    orders: Math.max(0, ...orders.keys()),
    positions: Math.max(0, ...positions.keys()),
  };
  assert.ok(
    newest.orders - newest.positions <= 1,
    `${name}: position ${newest.positions} is of an earlier moment than order ${newest.orders}`,
  );
  return newest;
}

function quantities(db: DatabaseSync, sql: string): Map<number, unknown> {
  return new Map(db.prepare(sql).all().map(({ id, quantity }) => [Number(id), quantity]));
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(1)} ms`;
}
