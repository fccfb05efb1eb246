import assert from "node:assert/strict";
import { type CommandResult, execute, query, runCommandLine } from "../support.ts";
import { Bot } from "../snapshot/bot.ts";

async function run(bot: Bot, ...args: string[]): Promise<CommandResult> {
  return await runCommandLine([...args, "--data-dir", bot.path]);
}

/** A bot with a snapshot of four fills, and only one of them now. */
async function changed(): Promise<{ bot: Bot; name: string }> {
  const bot = await Bot.create(4);
  const { name } = await bot.migrator.createSnapshot();
  execute(bot.file("trading.db"), "DELETE FROM fills WHERE fill_id <> 'F1'");
  return { bot, name };
}

function fills(bot: Bot): unknown {
  return query(bot.file("trading.db"), "SELECT count(*) AS fills FROM fills")[0];
}

Deno.test("restore without a terminal compares rows and migrations, and needs --yes", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = [bot.contents(), bot.backupFiles()];
  const { code, stdout, stderr } = await run(bot, "restore", name);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(
    stderr,
    new RegExp(`^Restoring ${name} will change:\\n {2}positions: migrations 001 -> 001\\n`),
  );
  assert.match(stderr, /^ {4}fills +1 row +-> +4 rows$/m);
  assert.match(
    stderr,
    /^error: Cannot restore \S+: it would replace positions, trading, ml_training$/m,
  );
  assert.match(stderr, /^help: nothing was changed; .*--yes/m);
  assert.deepEqual([bot.contents(), bot.backupFiles()], before);
});

Deno.test("restore names what it restored, and where the previous data is", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const { code, stdout } = await run(bot, "restore", name, "trading", "--yes");
  assert.equal(code, 0);
  const [safety] = await bot.migrator.listSnapshots();
  assert.equal(safety?.manifest?.reason, "safety");
  assert.deepEqual(stdout.split("\n"), [
    `Restored trading from ${name}.`,
    `The previous data is in snapshot ${safety?.name}; \`restore --undo\` goes back.`,
    "If the bot is running, restart it: its memory is newer than its databases.",
    "",
  ]);
  assert.deepEqual(fills(bot), { fills: 4 });
  const history = await run(bot, "history", "--limit", "1");
  assert.match(
    history.stdout,
    new RegExp(` restore applied +${name} .*\\n.* ${safety?.name}$`, "m"),
  );
});

Deno.test("restore as JSON", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const planned = await run(bot, "restore", name, "trading", "--dry-run", "--json");
  const plan = JSON.parse(planned.stdout);
  assert.deepEqual(Object.keys(plan), ["ok", "dryRun", "snapshot", "changes"]);
  assert.deepEqual(plan.changes.map(({ database }: { database: string }) => database), ["trading"]);
  assert.deepEqual([plan.changes[0].now.rows.fills, plan.changes[0].then.rows.fills], [1, 4]);
  const done = await run(bot, "restore", "latest", "trading", "--yes", "--json");
  const [{ name: safety } = { name: "" }] = await bot.migrator.listSnapshots();
  assert.deepEqual(JSON.parse(done.stdout), {
    ok: true,
    ...{ snapshot: name, restored: ["trading"], safety, adopted: [], reconciled: [] },
  });
});

Deno.test("restore --dry-run changes nothing, also with --yes and --undo", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const nothing = await run(bot, "restore", "--undo", "--dry-run", "--yes");
  assert.deepEqual([nothing.code, nothing.stdout], [1, ""]);
  await run(bot, "restore", name, "--yes");
  const before = [bot.listing({ timesOf: /\.db$/ }), bot.backupFiles()];
  for (const args of [[name], ["latest"], ["--undo"], [`${bot.backups}/trading_${name}.db`]]) {
    const { code, stdout } = await run(bot, "restore", ...args, "--dry-run", "--yes");
    assert.equal(code, 0);
    assert.match(stdout, /^Restoring .+ will change:\n/);
    assert.match(stdout, /\nNothing was changed\.\n$/);
  }
  assert.deepEqual([bot.listing({ timesOf: /\.db$/ }), bot.backupFiles()], before);
});

Deno.test("restore --undo goes back, and a second time forward again", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  await run(bot, "restore", name, "--yes");
  assert.deepEqual(fills(bot), { fills: 4 });
  for (const expected of [1, 4]) {
    assert.equal((await run(bot, "restore", "--undo")).code, 1);
    const { code } = await run(bot, "restore", "--undo", "--yes");
    assert.equal(code, 0);
    assert.deepEqual(fills(bot), { fills: expected });
  }
  const checked = await run(bot, "status", "--check");
  assert.equal(checked.code, 0);
});

Deno.test("tables missing now, or in the snapshot, are shown as missing", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  execute(bot.file("trading.db"), 'CREATE TABLE "a\nb" (c)');
  Deno.removeSync(bot.file("positions.db"));
  const { stdout } = await run(bot, "restore", name, "--dry-run");
  assert.match(stdout, /^ {2}positions: migrations none -> 001$/m);
  assert.match(stdout, /^ {4}positions +missing +-> +2 rows$/m);
  assert.match(stdout, /^ {4}a\\nb +0 rows +-> +missing$/m);
});

Deno.test("a restore that goes back over a migration says so, and status agrees", async () => {
  using bot = await Bot.create(0);
  await bot.migrator.downgrade({ to: "001" });
  const { name } = await bot.migrator.createSnapshot();
  await bot.migrator.upgrade();
  const { code, stdout, stderr } = await run(bot, "restore", name, "--yes");
  assert.equal(code, 0);
  assert.match(stderr, /^ {2}trading: migrations 002 -> none$/m);
  assert.match(stdout, /^corrected the ledger for 002, 003: /m);
  const status = await run(bot, "status");
  assert.match(status.stdout, /002_create_trading_tables +trading +pending/);
});

Deno.test("the command in an upgrade's message goes back", async () => {
  using bot = await Bot.create(4);
  const { stdout } = await run(bot, "downgrade", "--migration", "003");
  assert.doesNotMatch(stdout, /snapshot/);
  execute(bot.file("trading.db"), "DROP INDEX idx_orders_ticker");
  const repaired = await run(bot, "repair");
  const command = /`(restore \S+)` goes back$/m.exec(repaired.stdout)?.[1]?.split(" ") ?? [];
  assert.equal((await run(bot, ...command, "--yes")).code, 0);
  const indexes = "SELECT count(*) AS found FROM sqlite_schema WHERE name = 'idx_orders_ticker'";
  assert.deepEqual(query(bot.file("trading.db"), indexes), [{ found: 0 }]);
});
