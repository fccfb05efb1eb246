import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Migrator } from "../../../lib/migrator.ts";
import { query, tempDir } from "../../helpers.ts";
import { execute } from "../support.ts";
import { Bot } from "./bot.ts";
import { assertInOrder, count, yes } from "./restore_support.ts";

Deno.test("single files are restored: made with `cp`, compressed, or part of a snapshot", async () => {
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

Deno.test("a copy made with its log includes the rows in the log", async () => {
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

Deno.test("a database that is restored from itself does not change", async () => {
  using bot = await Bot.create(10);
  const before = bot.contents();
  await bot.migrator.restoreSnapshot(bot.file("trading.db"), yes);
  assert.deepEqual(bot.contents(), before);
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

Deno.test("a copy with its journal is restored to the state before the interrupted transaction", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "copy.db");
  {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode = PERSIST; CREATE TABLE t (a); INSERT INTO t VALUES ('before')");
    db.exec("PRAGMA cache_size = 1; BEGIN");
    const insert = db.prepare("INSERT INTO t VALUES (?)");
    for (let row = 0; row < 500; row++) insert.run("x".repeat(500));
    db.exec("UPDATE t SET a = 'after' WHERE rowid = 1");
    // As a killed program leaves both: the file is half written, and the journal has the old pages.
    await Deno.copyFile(path, `${path}.killed`);
    await Deno.copyFile(`${path}-journal`, `${path}.killed-journal`);
  }
  const copy = join(directory.path, "killed.db");
  for (const ending of ["", "-journal"]) {
    await Deno.rename(`${path}.killed${ending}`, `${copy}${ending}`);
  }
  const bytes = await Deno.readFile(copy);
  const app = join(directory.path, "app.db");
  const migrator = new Migrator({
    databases: { app },
    ledger: join(directory.path, "migrations.db"),
    migrations: [],
  });
  await migrator.restoreSnapshot(copy, { databases: ["app"], confirm: () => true });
  assert.deepEqual(query(app, "SELECT a FROM t"), [{ a: "before" }]);
  assert.deepEqual(await Deno.readFile(copy), bytes);
});
