import assert from "node:assert/strict";
import { renderTerminalReport } from "../../../lib/commands/report.ts";
import { demoTables } from "../../../lib/report/demo.ts";
import { buildReport } from "../../../lib/report/report.ts";
import { createStyle } from "../../../lib/terminal/text.ts";
import { query, runCommandLine, TemporaryDirectory } from "../support.ts";

/** Runs a command on the databases of a directory. */
async function run(
  directory: TemporaryDirectory,
  ...args: readonly string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  return await runCommandLine([...args, "--data-dir", directory.path], { cwd: directory.path });
}

Deno.test("the same seed gives the same data, another seed other data", () => {
  assert.deepEqual(demoTables(7), demoTables(7));
  assert.notDeepEqual(demoTables(7), demoTables(8));
});

Deno.test("the demo has 250 trading days, 400 trades of three strategies and five runs of three algorithms", () => {
  const tables = new Map(demoTables(1).map(({ table, rows }) => [table, rows]));
  const distinct = (table: string, column: string): number =>
    new Set(tables.get(table)?.map((row) => row[column])).size;
  assert.equal(tables.get("portfolio_snapshots")?.length, 250);
  assert.equal(tables.get("closed_positions")?.length, 400);
  assert.equal(distinct("closed_positions", "strategy"), 3);
  assert.equal(tables.get("training_runs")?.length, 5);
  assert.equal(distinct("training_runs", "algorithm"), 3);
  assert.equal(tables.get("training_episodes")?.length, 5 * 300);
  const orders = tables.get("orders") ?? [];
  for (const status of ["filled", "partially_filled", "rejected", "cancelled"]) {
    assert.ok(orders.some((order) => order.status === status), status);
  }
  assert.ok((tables.get("fills")?.length ?? 0) > orders.length);
});

Deno.test("demo ignores the configuration, and open-positions agrees with itself for shorts", async () => {
  using directory = new TemporaryDirectory();
  const databases = { own: "sub/own.db", trading: "other.db" };
  Deno.writeTextFileSync(directory.file("catalyst.json"), JSON.stringify({ databases }));
  const options = { cwd: directory.path };
  const made = await runCommandLine(["demo", "--data-dir", "demo"], options);
  assert.equal(made.code, 0, made.stderr);
  assert.deepEqual(
    Array.from(Deno.readDirSync(directory.file("demo")), ({ name }) => name).sort(),
    ["migrations.db", "migrations.lock", "ml_training.db", "positions.db", "trading.db"],
  );
  assert.deepEqual(directory.names().sort(), ["catalyst.json", "demo"]);
  const shown = await runCommandLine(
    ["query", "open-positions", "--data-dir", "demo", "--json"],
    options,
  );
  const { columns } = JSON.parse(shown.stdout);
  assert.ok(columns.includes("unrealized_pnl") && !columns.includes("pnl_dollars"));
});

Deno.test("demo, query and report work together, on the terminal, as files and as JSON", async () => {
  using directory = new TemporaryDirectory();
  assert.equal((await run(directory, "demo")).code, 0);
  const again = await run(directory, "demo");
  assert.equal(again.code, 1);
  assert.match(again.stderr, /^error: Cannot create a demo in .*: .*positions\.db exists\nhelp: /);
  // The snapshots agree with the trades, the deposits and the open positions.
  const [last] = query(
    directory.file("trading.db"),
    "SELECT total_equity - 100000 - 5000 AS earned FROM portfolio_snapshots ORDER BY snapshot_time DESC LIMIT 1",
  ) as { earned: number }[];
  const [realized] = query(
    directory.file("positions.db"),
    `SELECT (SELECT sum(realized_pnl) FROM closed_positions) + (SELECT sum(unrealized_pnl) FROM positions) AS pnl`,
  ) as { pnl: number }[];
  assert.ok(Math.abs((last?.earned ?? 0) - (realized?.pnl ?? 1)) < 0.01);

  const report = await run(directory, "report");
  assert.equal(report.code, 0, report.stderr);
  assert.match(report.stdout, /^Account\nEquity +[\d,.]+ /);
  assert.match(
    report.stdout,
    /\nSharpe ratio +-?\d+\.\d\d +mean\(r\) \/ sd\(r, n - 1\) \* sqrt\(k\), k = 252/,
  );
  for (const title of ["Drawdown", "Closed positions", "Strategy", "Best agents (validation)"]) {
    assert.ok(report.stdout.includes(`\n${title}\n`), title);
  }
  assert.match(report.stdout, /^[ -~\n]*$/);
  const misspelled = await run(directory, "report", "--strategy", "momentm");
  assert.equal(misspelled.code, 2);
  assert.match(
    misspelled.stderr,
    /has the strategy "momentm"\nhelp: did you mean "momentum"\? those that exist: breakout, /,
  );
  const part = await run(
    directory,
    "report",
    "--since",
    "2025-03-01",
    "--until",
    "2025-04-30",
    "--ticker",
    "AAPL",
    "--json",
  );
  const document = JSON.parse(part.stdout);
  assert.equal(document.ok, true);
  assert.equal(document.equity.firstDate, "2025-03-03");
  assert.equal(document.equity.sharpe, null);
  assert.equal(document.equity.reasons.sharpe, "period too short");
  assert.deepEqual(document.groups.ticker.map(({ key }: { key: string }) => key), ["AAPL"]);

  Deno.mkdirSync(directory.file("queries"));
  Deno.writeTextFileSync(
    directory.file("queries/big.sql"),
    "-- database: trading\n-- about: Large orders\n-- param: least = 20\n" +
      "SELECT ticker, quantity, submitted_at FROM orders WHERE quantity >= :least ORDER BY order_id\n",
  );
  assert.match((await run(directory, "query")).stdout, /^big +trading +Large orders$/m);
  const cut = await run(directory, "query", "big", "--limit", "2");
  assert.equal(cut.stdout.split("\n").length, 5);
  assert.match(cut.stdout, /2025-01-\d\d \d\d:\d\d:\d\d$/m);
  assert.match(cut.stderr, /only the first 2 rows are shown/);
  const raw = await run(
    directory,
    "query",
    "big",
    "--limit",
    "1",
    "--param",
    "least=60",
    "--format",
    "jsonl",
  );
  const row = JSON.parse(raw.stdout);
  assert.ok(row.quantity >= 60 && row.submitted_at > 1.7e9);
  const json = JSON.parse((await run(directory, "query", "big", "--json")).stdout);
  assert.deepEqual(Object.keys(json), ["ok", "database", "columns", "rows", "isCut"]);
});

Deno.test("usage errors of query and report name the next step", async () => {
  using directory = new TemporaryDirectory();
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [["query", "opn-positions"], /query not found\nhelp: did you mean "open-positions"/],
    [["query", "trading"], /the SQL for trading is missing/],
    [["query", "trading", "SELECT 1", "more"], /put the SQL in quotes/],
    [["query", "trading", "SELECT :a", "--param", "a"], /expected NAME=VALUE/],
    [["report", "--since", "2025-02-30"], /it is not a date/],
    [["report", "--since", "2025-02-03", "--until", "2025-02-01"], /--since is later than --until/],
    [["report", "--html", "-"], /name a file/],
  ];
  for (const [args, says] of cases) {
    const { code, stderr } = await run(directory, ...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
  }
  const missing = await run(directory, "report");
  assert.equal(missing.code, 1);
  assert.match(
    missing.stderr,
    /^error: Cannot report: none of the databases exists[^]*`demo` creates/,
  );
});

Deno.test("a terminal report without data names what is missing, and shows no control characters", () => {
  const report = buildReport({
    snapshots: [],
    trades: [],
    orders: [],
    fills: { fills: 0, commission: 0 },
    training: { runs: [], evaluations: [], weights: [] },
    storedMetrics: null,
    notes: ["\x1b[31m"],
  }, { computedAt: 0 });
  const text = renderTerminalReport(report, { style: createStyle(false), width: 80 });
  assert.match(text, /- There are no closed positions\./);
  assert.match(text, /^[ -~\n]*$/);
});

Deno.test("a page never replaces a database, a snapshot, a migration or the configuration", async () => {
  using directory = new TemporaryDirectory();
  await run(directory, "demo");
  await run(directory, "backup");
  const [snapshot = ""] = [...Deno.readDirSync(directory.file("backups"))]
    .map(({ name }) => name).filter((name) => name.startsWith("trading_"));
  Deno.mkdirSync(directory.file("own"));
  Deno.writeTextFileSync(
    directory.file("own/004_a.sql"),
    "-- database: trading\n-- migrate:up\nSELECT 1;\n",
  );
  Deno.writeTextFileSync(directory.file("catalyst.json"), "{}");
  const places = [
    "--migrations-dir",
    directory.file("own"),
    "--config",
    directory.file("catalyst.json"),
  ];
  const cases = {
    "trading.db": "database trading",
    "migrations.db": "the ledger",
    "migrations.lock": "a lock",
    [`backups/${snapshot}`]: "a database",
    "own/004_a.sql": "a migration",
    "catalyst.json": "the configuration",
  };
  for (const [path, what] of Object.entries(cases)) {
    const args = ["report", "--html", directory.file(path), "--force", ...places];
    const { code, stderr } = await run(directory, ...args);
    assert.equal(code, 1, path);
    assert.match(stderr, new RegExp(`^error: Cannot write .*: it is the path of ${what}\n`), path);
  }
});
