import assert from "node:assert/strict";
import {
  ConfirmationError,
  CorruptDatabaseError,
  DatabaseLockedError,
  SnapshotError,
} from "../../../lib/base/errors.ts";
import type { RestorePlan } from "../../../lib/snapshot/restore.ts";
import { databaseNames } from "../../helpers.ts";
import { query, startWriter } from "../support.ts";
import { Bot, damagePages } from "./bot.ts";
import { assertInOrder, changed, count, yes } from "./restore_support.ts";

Deno.test("all databases are restored, and the ledger continues", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  const events = (await bot.migrator.history({ limit: 100 })).length;
  const result = await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(bot.contents(), former);
  assert.deepEqual([result.snapshot, result.restored], [name, databaseNames]);
  const history = await bot.migrator.history({ limit: 100 });
  assert.equal(history.length, events + 3);
  for (const { direction, outcome, detail, name: label } of history.slice(0, 3)) {
    assert.deepEqual([direction, outcome, label], ["restore", "applied", name]);
    assert.equal(detail, `the previous data is in snapshot ${result.safety}`);
  }
  await assertInOrder(bot);
});

Deno.test("only the named databases are restored", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const { restored } = await bot.migrator.restoreSnapshot(name, { ...yes, databases: ["trading"] });
  assert.deepEqual(restored, ["trading"]);
  assert.equal(count(bot, "trading", "fills"), 10);
  assert.equal(count(bot, "positions", "positions"), 0);
  await assertInOrder(bot);
});

Deno.test("the ledger is restored if named, and is still reconciled", async () => {
  using bot = await Bot.create(3);
  await bot.migrator.downgrade({ migration: "003", ...yes });
  const { name } = await bot.migrator.createSnapshot();
  await bot.migrator.upgrade();
  const databases = ["migrations"];
  const { restored, reconciled } = await bot.migrator.restoreSnapshot(name, { ...yes, databases });
  assert.deepEqual(restored, ["migrations"]);
  assert.deepEqual(reconciled, ["003"]);
  assert.equal((await bot.migrator.history({ limit: 1 }))[0]?.direction, "restore");
  await assertInOrder(bot);
});

Deno.test("a missing ledger is restored from the snapshot", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  Deno.removeSync(bot.file("migrations.db"));
  const { restored } = await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(restored, [...databaseNames, "migrations"]);
  await assertInOrder(bot);
});

Deno.test("markers and ledger agree after restoring a state from before a migration", async () => {
  using bot = await Bot.create(0);
  await bot.migrator.downgrade({ to: "001" });
  const { name } = await bot.migrator.createSnapshot();
  await bot.migrator.upgrade();
  await bot.migrator.restoreSnapshot(name, yes);
  const { migrations } = await bot.migrator.status();
  // The ledger, which was kept, says that they were applied; the databases say that they were not.
  assert.deepEqual(migrations.map(({ state }) => state), ["applied", "pending", "pending"]);
  assert.deepEqual(
    query(bot.file("migrations.db"), "SELECT migration_id AS id FROM migration_history"),
    [{ id: "001" }],
  );
  const { applied } = await bot.migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["002", "003"]);
});

Deno.test("without confirmation nothing is changed, and the plan lists rows and migrations", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = [bot.contents(), bot.backupFiles(), await bot.migrator.history()];
  const plans: RestorePlan[] = [];
  const confirm = (plan: RestorePlan) => plans.push(plan) === 0;
  for (const options of [{}, { confirm }, { confirm: async () => await Promise.resolve(false) }]) {
    await assert.rejects(bot.migrator.restoreSnapshot(name, options), ConfirmationError);
  }
  assert.deepEqual([bot.contents(), bot.backupFiles(), await bot.migrator.history()], before);
  assert.deepEqual(plans, [await bot.migrator.planRestore(name)]);
  const [positions, trading] = plans[0]?.changes ?? [];
  assert.deepEqual(positions, {
    database: "positions",
    now: { rows: { positions: 0, closed_positions: 5 }, migrations: ["001"] },
    then: { rows: { positions: 5, closed_positions: 5 }, migrations: ["001"] },
  });
  assert.deepEqual([trading?.now?.rows["fills"], trading?.then.rows["fills"]], [0, 10]);
});

Deno.test("planning a restore writes nothing", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const compressed = await bot.migrator.createSnapshot({ compress: true });
  const before = [bot.listing({ timesOf: /\.db/ }), bot.backupFiles()];
  for (const reference of [name, compressed.name, `${bot.backups}/trading_${name}.db`]) {
    await bot.migrator.planRestore(reference);
  }
  assert.deepEqual([bot.listing({ timesOf: /\.db/ }), bot.backupFiles()], before);
});

Deno.test("if no data exists, no confirmation is needed", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  for (const one of databaseNames) Deno.removeSync(bot.file(`${one}.db`));
  const { safety } = await bot.migrator.restoreSnapshot(name);
  assert.equal(safety, null);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});

for (const page of [1, 12, 20]) {
  Deno.test(`a database with a damaged page ${page} is replaced, and kept next to the new one`, async () => {
    using bot = await Bot.create(200);
    const former = bot.contents();
    const { name } = await bot.migrator.createSnapshot();
    const path = bot.file("trading.db");
    damagePages(path, page);
    const damaged = Deno.readFileSync(path);
    await assert.rejects(bot.migrator.createSnapshot());
    const { safety } = await bot.migrator.restoreSnapshot(name, yes);
    assert.deepEqual(bot.contents(), former);
    const aside = bot.names().filter((one) => one.startsWith("trading.db.damaged_"));
    assert.equal(aside.length, 1);
    assert.deepEqual(Deno.readFileSync(bot.file(aside[0] ?? "")), damaged);
    // Sound databases were copied as usual.
    const listed = await bot.migrator.listSnapshots();
    const kept = listed.find((one) => one.name === safety)?.manifest?.files;
    assert.deepEqual(kept?.map(({ database }) => database), ["positions", "ml_training"]);
    Deno.removeSync(bot.file(aside[0] ?? ""));
    await assertInOrder(bot);
  });
}

Deno.test("a damaged snapshot restores nothing", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = bot.contents();
  damagePages(`${bot.backups}/ml_training_${name}.db`, 3);
  await assert.rejects(bot.migrator.restoreSnapshot(name, yes), SnapshotError);
  Deno.copyFileSync(bot.file("trading.db"), bot.file("copy.db"));
  damagePages(bot.file("copy.db"), 5);
  await assert.rejects(
    bot.migrator.restoreSnapshot(bot.file("copy.db"), yes),
    CorruptDatabaseError,
  );
  assert.deepEqual(bot.contents(), before);
});

Deno.test("a writer past the timeout stops a restore before anything is changed", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = bot.contents();
  const files = bot.backupFiles();
  {
    await using _writer = await startWriter(bot.file("trading.db"), "SELECT 1");
    await assert.rejects(
      bot.migratorWith({ timeout: 1 }).restoreSnapshot(name, yes),
      DatabaseLockedError,
    );
  }
  assert.deepEqual(bot.contents(), before);
  assert.deepEqual(bot.backupFiles(), files);
  await assertInOrder(bot);
});

Deno.test("a bot that reads and writes meanwhile continues with the restored rows", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const program = `import { DatabaseSync } from "node:sqlite";
    const db = new DatabaseSync(${JSON.stringify(bot.file("trading.db"))}, { timeout: 5000 });
    const say = (text) => Deno.stdout.writeSync(new TextEncoder().encode(text + "\\n"));
    const fills = () => db.prepare("SELECT count(*) AS count FROM fills").get().count;
    say("before " + fills());
    let isOver = false;
    Deno.stdin.read(new Uint8Array(1)).then(() => isOver = true);
    while (!isOver) {
      db.exec("UPDATE portfolio_snapshots SET cash_balance = cash_balance + 1");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    say("after " + fills());
    db.exec("DELETE FROM fills WHERE fill_id = 'F1'");
    say("integrity " + db.prepare("PRAGMA integrity_check").get().integrity_check);
    db.close();`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = (await lines.read()).value ?? "";
  await bot.migratorWith({ timeout: 30 }).restoreSnapshot(name, yes);
  await child.stdin.close();
  for (let next = await lines.read(); !next.done; next = await lines.read()) text += next.value;
  const complaints = await new Response(child.stderr).text();
  assert.equal((await child.status).code, 0, complaints);
  assert.equal(text, "before 0\nafter 10\nintegrity ok\n");
  assert.equal(count(bot, "trading", "fills"), 9);
  await assertInOrder(bot);
});

Deno.test("--undo switches back and forth", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  const later = bot.contents();
  await assert.rejects(bot.migrator.undoRestore(yes), (error) => {
    assert(error instanceof SnapshotError);
    assert.match(error.message, /^Cannot undo a restore: /);
    return true;
  });
  await bot.migrator.restoreSnapshot(name, yes);
  await assert.rejects(bot.migrator.undoRestore(), ConfirmationError);
  await bot.migrator.undoRestore(yes);
  assert.deepEqual(bot.contents(), later);
  await bot.migrator.undoRestore(yes);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});
