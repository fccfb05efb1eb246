import assert from "node:assert/strict";
import { createBot, execute, fillBot, runCommandLine, TemporaryDirectory } from "../support.ts";

async function run(
  directory: TemporaryDirectory,
  ...args: string[]
): ReturnType<typeof runCommandLine> {
  return await runCommandLine([...args, "--data-dir", directory.path]);
}

Deno.test("upgrade lists what it applied, and then has nothing to apply", async () => {
  using directory = new TemporaryDirectory();
  const first = await run(directory, "upgrade");
  assert.equal(first.code, 0);
  assert.match(first.stdout, /applied +001_create_positions_tables +positions/);
  assert.match(first.stdout, /\n3 migrations applied\. The databases are in .*\/\.\n$/);
  const second = await run(directory, "upgrade");
  assert.equal(second.stdout, "Nothing to apply: 3 migrations known, none of them pending.\n");
});

Deno.test("upgrade --dry-run prints the SQL, and creates nothing", async () => {
  using directory = new TemporaryDirectory();
  const { code, stdout } = await run(directory, "upgrade", "--dry-run", "--to", "001");
  assert.equal(code, 0);
  assert.match(stdout, /^-- would apply 001_create_positions_tables to positions\n/);
  assert.match(stdout, /CREATE TABLE IF NOT EXISTS positions \(/);
  assert.match(stdout, /1 migration would be applied\. Nothing was changed\.\n$/);
  assert.deepEqual(directory.names(), []);
});

Deno.test("status --check exits with 1 if something is pending or wrong, otherwise with 0", async () => {
  using directory = new TemporaryDirectory();
  assert.equal((await run(directory, "status")).code, 0);
  assert.equal((await run(directory, "status", "--check")).code, 1);
  assert.deepEqual(directory.names(), []);
  await createBot(directory);
  assert.equal((await run(directory, "status", "--check")).code, 0);
  execute(directory.file("trading.db"), "UPDATE catalyst_migrations SET upgrade_sql = 'SELECT 1'");
  const changed = await run(directory, "status", "--check");
  assert.equal(changed.code, 1);
  assert.match(changed.stdout, /002_create_trading_tables +trading +changed/);
});

Deno.test("verify reports problems and fixes, and exits with 1", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const fine = await run(directory, "verify");
  assert.equal(fine.code, 0);
  assert.match(fine.stdout, /No problems found\.\n$/);
  execute(directory.file("trading.db"), "DROP VIEW v_equity_curve; CREATE TABLE mine (a)");
  const wrong = await run(directory, "verify");
  assert.equal(wrong.code, 1);
  assert.match(
    wrong.stdout,
    /trading \(.*\): not ok\n {2}problem: view "v_equity_curve" is missing\n {4}fix: /,
  );
  assert.match(wrong.stdout, / {2}notice: table "mine" is not expected\n/);
  assert.match(wrong.stdout, /Problems were found\.\n$/);
  const quiet = await run(directory, "verify", "--quiet");
  assert.match(
    quiet.stdout,
    /^trading \(.*\): not ok\n {2}problem: .*\n {4}fix: .*\nProblems were found\.\n$/,
  );
});

Deno.test("repair reports what it created, and what it can't repair, and then has nothing to do", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  execute(directory.file("trading.db"), "DROP VIEW v_equity_curve");
  const planned = await run(directory, "repair", "--dry-run");
  assert.equal(
    planned.stdout,
    "would create view v_equity_curve in trading\nNothing was changed.\n",
  );
  const done = await run(directory, "repair");
  assert.equal(done.stdout, "created view v_equity_curve in trading\n");
  assert.equal((await run(directory, "repair")).stdout, "Nothing to repair.\n");
  execute(directory.file("trading.db"), "ALTER TABLE orders ADD COLUMN mine TEXT");
  const left = await run(directory, "repair");
  assert.equal(left.code, 1);
  assert.match(
    left.stdout,
    /can't be repaired.*\n {2}trading: table "orders": column "mine" is not expected/,
  );
});

Deno.test("downgrade without a terminal reports losses, and needs --yes", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 2);
  const before = directory.listing();
  const refused = await run(directory, "downgrade");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /This will lose:\n {2}trading\.orders +2 rows\n/);
  assert.match(
    refused.stderr,
    /error: Cannot roll back 003, 002, 001: it would lose .*\nhelp: .*--yes/,
  );
  assert.deepEqual(directory.listing(), before);
  const planned = await run(directory, "downgrade", "--dry-run", "--steps", "2");
  assert.equal(planned.code, 0);
  assert.match(planned.stdout, /would roll back 003_.*\nwould roll back 002_.*\nThis will lose:\n/);
  assert.deepEqual(directory.listing(), before);
  const done = await run(directory, "downgrade", "--yes");
  assert.equal(done.code, 0);
  const [snapshot, ...lines] = done.stdout.split("\n");
  assert.match(
    snapshot ?? "",
    /^took snapshot (\d{8}_\d{6}) first; `restore \1` goes back$/,
  );
  assert.deepEqual(lines, [
    "3 migrations rolled back: 003, 002, 001.",
    "8 rows lost: 2 rows of trading.orders, 2 rows of trading.fills, " +
    "2 rows of trading.portfolio_snapshots, 1 row of positions.positions, " +
    "1 row of positions.closed_positions.",
    "",
  ]);
});

Deno.test("downgrade without rows needs no confirmation, and a second one has nothing to do", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const done = await run(directory, "downgrade", "--steps", "1");
  assert.equal(done.stdout, "1 migration rolled back: 003.\n");
  const { stdout } = await run(directory, "status");
  assert.match(stdout, /^003_create_ml_training_tables +ml_training +rolled back$/m);
  const kept = await run(directory, "downgrade", "--to", "2");
  assert.equal(kept.stdout, "Nothing to roll back: no migration after 2 is applied.\n");
  await run(directory, "downgrade");
  const nothing = await run(directory, "downgrade");
  assert.equal(nothing.code, 0);
  assert.equal(nothing.stdout, "Nothing to roll back: no migration is applied.\n");
});

Deno.test("history is a table, newest first, or says that there are no events", async () => {
  using directory = new TemporaryDirectory();
  const nothing = await run(directory, "history");
  assert.equal(nothing.stdout, "No events: nothing has been migrated here.\n");
  assert.deepEqual(directory.names(), []);
  await createBot(directory);
  const { stdout } = await run(directory, "history", "--limit", "1");
  assert.match(stdout, /^WHEN \(UTC\).*\n.*upgrade applied +003_create_ml_training_tables +/);
  assert.equal(stdout.trim().split("\n").length, 2);
});

Deno.test("history of one migration or one database has only its events", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const namesOf = async (...filter: string[]) => {
    const { stdout } = await run(directory, "history", ...filter, "--json");
    const { events } = JSON.parse(stdout) as { events: { name: string }[] };
    return [...new Set(events.map(({ name }) => name))];
  };
  for (const id of ["2", "002", "002_create_trading_tables"]) {
    assert.deepEqual(await namesOf("--migration", id), ["002_create_trading_tables"]);
  }
  assert.deepEqual(await namesOf("--database", "positions"), ["001_create_positions_tables"]);
  assert.deepEqual(await namesOf("--database", "positions", "--migration", "2"), []);
  const nothing = await run(directory, "history", "--migration", "9", "--database", "trading");
  assert.equal(nothing.stdout, "No events of migration 9 in database trading.\n");
  const unknown = await run(directory, "history", "--database", "tradin");
  assert.equal(unknown.code, 2);
  assert.match(
    unknown.stderr,
    /^error: Cannot show the history of "tradin": .*\nhelp: did you mean "trading"\?/,
  );
});

Deno.test("names in a database are shown without their control characters", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  execute(directory.file("trading.db"), 'CREATE TABLE "a\u001b[31mb" (x)');
  const { stdout } = await run(directory, "verify");
  assert(!stdout.includes("\u001b"));
});

Deno.test("downgrade --dry-run names the tables of which a migration may delete rows", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(
    directory.file("migrations/004_strategies.sql"),
    `-- database: trading
-- migrate:up destroys:orders
UPDATE orders SET strategy = 'unknown' WHERE strategy IS NULL;
-- migrate:down
DELETE FROM orders WHERE strategy = 'unknown';
`,
  );
  const places = ["--migrations-dir", directory.file("migrations")];
  assert.equal((await run(directory, "upgrade", ...places)).code, 0);
  const { stdout } = await run(directory, "downgrade", "--steps", "1", "--dry-run", ...places);
  assert.equal(
    stdout,
    `would roll back 004_strategies in trading
004_strategies declares that it may delete rows of orders
Nothing was changed.
`,
  );
});

Deno.test("a table that would be too long for a text is refused", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  // The table would be 600 lines as wide as the first row.
  const sql = "SELECT iif(value = 0, printf('%.*c', 1000000, 'x'), 'y'), 1 FROM json_each('[" +
    `${Array.from({ length: 600 }, (_, at) => at)}]')`;
  const { code, stderr } = await run(directory, "query", "trading", sql);
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot show the rows as table: the text would be too long\nhelp: /);
  assert.equal((await run(directory, "query", "trading", sql, "--format", "csv")).code, 0);
});
