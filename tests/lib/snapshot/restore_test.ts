import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  ConfirmationError,
  CorruptDatabaseError,
  DatabaseLockedError,
  SnapshotError,
} from "../../../lib/errors.ts";
import type { RestorePlan } from "../../../lib/snapshot/restore.ts";
import { databaseNames } from "../../helpers.ts";
import { execute, query, startWriter } from "../support.ts";
import { Bot, damagePages } from "./bot.ts";

const yes = { confirm: () => true };

/** Rows of a table of the bot. */
function count(bot: Bot, database: string, table: string): unknown {
  const [row] = query(bot.file(`${database}.db`), `SELECT count(*) AS count FROM ${table}`);
  return (row as { count: unknown }).count;
}

/** A bot with a snapshot, of which rows were deleted since. */
async function changed(): Promise<{ bot: Bot; name: string; former: ReturnType<Bot["contents"]> }> {
  const bot = await Bot.create(10);
  const former = bot.contents();
  const { name } = await bot.migrator.createSnapshot();
  execute(bot.file("trading.db"), "DELETE FROM fills");
  execute(bot.file("positions.db"), "DELETE FROM positions");
  return { bot, name, former };
}

/** Ledger and markers agree, all is as the migrations make it, and nothing is left to do. */
async function assertInOrder(bot: Bot): Promise<void> {
  const { ok, migrations } = await bot.migrator.status();
  assert(ok);
  assert(migrations.every(({ state }) => state === "applied"));
  assert((await bot.migrator.verify()).ok);
  const { applied, adopted, reconciled } = await bot.migrator.upgrade();
  assert.deepEqual([applied, adopted, reconciled], [[], [], []]);
  const left = bot.names().filter((name) => !/^(\w+\.db|migrations\.lock|backups)$/.test(name));
  assert.deepEqual(left, []);
}

Deno.test("all databases go back to a snapshot, and the ledger goes on", async () => {
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
    assert.equal(detail, `what was there before is in snapshot ${result.safety}`);
  }
  await assertInOrder(bot);
});

Deno.test("only the databases that are named go back", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const { restored } = await bot.migrator.restoreSnapshot(name, { ...yes, databases: ["trading"] });
  assert.deepEqual(restored, ["trading"]);
  assert.equal(count(bot, "trading", "fills"), 10);
  assert.equal(count(bot, "positions", "positions"), 0);
  await assertInOrder(bot);
});

Deno.test("the ledger goes back where it is named, and is still reconciled", async () => {
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

Deno.test("a ledger that isn't there comes with the snapshot", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  Deno.removeSync(bot.file("migrations.db"));
  const { restored } = await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(restored, [...databaseNames, "migrations"]);
  await assertInOrder(bot);
});

Deno.test("markers and ledger agree after going back over a migration", async () => {
  using bot = await Bot.create(0);
  await bot.migrator.downgrade({ to: "001" });
  const { name } = await bot.migrator.createSnapshot();
  await bot.migrator.upgrade();
  await bot.migrator.restoreSnapshot(name, yes);
  const { migrations } = await bot.migrator.status();
  // The ledger, which was kept, knows that they were applied; the databases say that they are not.
  assert.deepEqual(migrations.map(({ state }) => state), ["applied", "pending", "pending"]);
  assert.deepEqual(
    query(bot.file("migrations.db"), "SELECT migration_id AS id FROM migration_history"),
    [{ id: "001" }],
  );
  const { applied } = await bot.migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["002", "003"]);
});

Deno.test("without a yes nothing is changed, and the plan says rows and migrations", async () => {
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

Deno.test("where nothing is there nobody has to be asked", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  for (const one of databaseNames) Deno.removeSync(bot.file(`${one}.db`));
  const { safety } = await bot.migrator.restoreSnapshot(name);
  assert.equal(safety, null);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});

Deno.test("single files are restored: made by `cp`, compressed, or a part of a snapshot", async () => {
  using bot = await Bot.create(10);
  const { name } = await bot.migrator.createSnapshot({ compress: true });
  const plain = await bot.migrator.createSnapshot();
  Deno.mkdirSync(bot.file("copies"));
  Deno.copyFileSync(bot.file("trading.db"), bot.file("copies/by_cp.db"));
  for (
    const reference of [
      bot.file("copies/by_cp.db"),
      `${bot.backups}/trading_${name}.db.gz`,
      `${bot.backups}/trading_${plain.name}.db`,
    ]
  ) {
    execute(bot.file("trading.db"), "DELETE FROM fills");
    const { restored } = await bot.migrator.restoreSnapshot(reference, yes);
    assert.deepEqual(restored, ["trading"]);
    assert.equal(count(bot, "trading", "fills"), 10);
  }
  await assertRemoved(bot, "copies");
});

Deno.test("a copy that was made with its log has what is in the log", async () => {
  using bot = await Bot.create(3);
  Deno.mkdirSync(bot.file("copies"));
  {
    using db = new DatabaseSync(bot.file("trading.db"));
    db.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM fills WHERE fill_id = 'F1'");
    for (const ending of ["", "-wal"]) {
      Deno.copyFileSync(bot.file(`trading.db${ending}`), bot.file(`copies/trading.db${ending}`));
    }
    db.exec("DELETE FROM fills");
  }
  await bot.migrator.restoreSnapshot(bot.file("copies/trading.db"), yes);
  assert.equal(count(bot, "trading", "fills"), 2);
});

const shell = hasShell();
Deno.test({
  name: `a copy by the sqlite3 shell is restored${shell ? "" : " (skipped: no sqlite3 here)"}`,
  ignore: !shell,
  async fn() {
    using bot = await Bot.create(10);
    for (const command of [".backup", "VACUUM INTO"]) {
      const copy = bot.file(`${command.slice(1, 4)}.db`);
      const { success } = await new Deno.Command("sqlite3", {
        args: [bot.file("trading.db"), `${command} '${copy}'`],
      }).output();
      assert(success);
      execute(bot.file("trading.db"), "DELETE FROM fills");
      await bot.migrator.restoreSnapshot(copy, yes);
      assert.equal(count(bot, "trading", "fills"), 10);
      Deno.removeSync(copy);
    }
    await assertInOrder(bot);
  },
});

Deno.test("a database that is restored from itself stays what it is", async () => {
  using bot = await Bot.create(10);
  const before = bot.contents();
  await bot.migrator.restoreSnapshot(bot.file("trading.db"), yes);
  assert.deepEqual(bot.contents(), before);
  await assertInOrder(bot);
});

for (const page of [1, 12, 20]) {
  Deno.test(`a database with a damaged page ${page} is replaced, and kept beside it`, async () => {
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
    // What is sound was kept as always.
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

Deno.test("a bot that reads and writes meanwhile goes on with the restored rows", async () => {
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

Deno.test("--undo goes back and forth", async () => {
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

/** Puts the journal of a restore that was killed when it had only decided what to do. */
function interrupt(bot: Bot, name: string): void {
  const replacements = databaseNames.map((database) => ({
    database,
    source: Deno.realPathSync(`${bot.backups}/${database}_${name}.db`),
    compressed: false,
    target: bot.file(`${database}.db`),
  }));
  const journal = { label: name, safety: null, replacements };
  Deno.writeTextFileSync(bot.file("migrations.restore"), JSON.stringify(journal));
}

const finishers: Readonly<Record<string, (bot: Bot) => Promise<unknown>>> = {
  upgrade: ({ migrator }) => migrator.upgrade(),
  downgrade: ({ migrator }) => migrator.downgrade({ migration: "003" }),
  repair: ({ migrator }) => migrator.repair(),
  backup: ({ migrator }) => migrator.createSnapshot(),
};

for (const [command, run] of Object.entries(finishers)) {
  Deno.test(`a restore that was killed is finished by ${command}`, async () => {
    const { bot: made, name, former } = await changed();
    using bot = made;
    interrupt(bot, name);
    await run(bot);
    assert(!bot.names().includes("migrations.restore"));
    const { positions, trading } = bot.contents();
    assert.deepEqual([positions, trading], [former["positions"], former["trading"]]);
    const events = await bot.migrator.history({ limit: 100 });
    assert.equal(events.filter(({ direction }) => direction === "restore").length, 3);
    await bot.migrator.upgrade();
    await assertInOrder(bot);
  });
}

Deno.test("what only reads doesn't finish a restore that was killed", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = bot.contents();
  interrupt(bot, name);
  await bot.migrator.status();
  await bot.migrator.verify();
  await bot.migrator.history();
  await bot.migrator.listSnapshots();
  await bot.migrator.planUpgrade();
  await bot.migrator.planRestore(name);
  await bot.migrator.repair({ dryRun: true });
  assert(bot.names().includes("migrations.restore"));
  assert.deepEqual(bot.contents(), before);
});

Deno.test("a killed restore whose snapshot is gone, or whose journal is damaged, says what to do", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  interrupt(bot, name);
  Deno.renameSync(`${bot.backups}/trading_${name}.db`, bot.file("away"));
  await assert.rejects(bot.migrator.upgrade(), (error) => {
    assert(error instanceof SnapshotError && error.help !== undefined);
    assert.match(error.message, /trading_\S+ is gone$/);
    return true;
  });
  Deno.renameSync(bot.file("away"), `${bot.backups}/trading_${name}.db`);
  await bot.migrator.upgrade();
  for (const text of ["", "{", "null", "[]", "{}", '{"replacements": [1]}']) {
    Deno.writeTextFileSync(bot.file("migrations.restore"), text);
    await assert.rejects(
      bot.migrator.upgrade(),
      (error) => error instanceof SnapshotError && /is damaged$/.test(error.message),
      text,
    );
  }
  Deno.removeSync(bot.file("migrations.restore"));
  await assertInOrder(bot);
});

async function assertRemoved(bot: Bot, directory: string): Promise<void> {
  await Deno.remove(bot.file(directory), { recursive: true });
  await assertInOrder(bot);
}

function hasShell(): boolean {
  try {
    return new Deno.Command("sqlite3", { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test("an interrupted restore whose files are gone gives way to another one, and to nothing else", async () => {
  const { bot, name, former } = await changed();
  using _bot = bot;
  const replacements = [{
    database: "trading",
    source: bot.file("gone.db"),
    compressed: false,
    target: bot.file("trading.db"),
  }];
  const journal = { label: "gone", safety: null, replacements };
  Deno.writeTextFileSync(bot.file("migrations.restore"), JSON.stringify(journal));
  await assert.rejects(bot.migrator.upgrade(), SnapshotError);
  await assert.rejects(bot.migrator.createSnapshot(), SnapshotError);
  await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});

Deno.test("a command that waited for a restore that was killed does not go on with a mixture", async () => {
  const { bot } = await changed();
  using _bot = bot;
  const { createWorkspace } = await import("../../../lib/workspace.ts");
  const { Session } = await import("../../../lib/session.ts");
  const workspace = createWorkspace({
    databases: { trading: bot.file("trading.db") },
    ledger: bot.file("migrations.db"),
    migrations: [],
  });
  Deno.writeTextFileSync(bot.file("migrations.restore"), "{}");
  await assert.rejects(Session.begin(workspace), SnapshotError);
  await (await Session.begin(workspace, { restores: true }))[Symbol.asyncDispose]();
});

Deno.test("a session that can't begin leaves the lock free", async () => {
  const { bot } = await changed();
  using _bot = bot;
  const { createWorkspace } = await import("../../../lib/workspace.ts");
  const { Session } = await import("../../../lib/session.ts");
  const workspace = createWorkspace({
    databases: { trading: bot.file("trading.db") },
    ledger: bot.file("migrations.db"),
    migrations: [],
    timeout: 1,
  });
  // A directory in the place of the note, which can't be removed as a file can.
  Deno.mkdirSync(bot.file("migrations.restore.part/full"), { recursive: true });
  await assert.rejects(Session.begin(workspace));
  Deno.removeSync(bot.file("migrations.restore.part"), { recursive: true });
  await (await Session.begin(workspace))[Symbol.asyncDispose]();
});
