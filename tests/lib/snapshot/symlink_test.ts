/** Snapshots, restores and imports of a database that is a symbolic link to a file elsewhere. */
import assert from "node:assert/strict";
import { DatabaseLockedError, LocationError } from "../../../lib/base/errors.ts";
import { replaceDatabase } from "../../../lib/snapshot/replace.ts";
import { partFileOf } from "../../../lib/base/paths.ts";
import { type Content, contentOf } from "../../helpers.ts";
import { testLinks } from "../../links.ts";
import { execute, Program, query, startWriter } from "../support.ts";
import { Bot, damagePages, reasonForNoDisk, SmallDisk } from "./bot.ts";
import { count, yes } from "./restore_support.ts";

/** A bot with a snapshot, whose trading database is a link to another link to a file. */
async function linked(): Promise<{ bot: Bot; real: string; name: string; former: Content }> {
  const bot = await Bot.create(10);
  Deno.mkdirSync(bot.file("elsewhere"));
  const real = bot.file("elsewhere/real.db");
  Deno.renameSync(bot.file("trading.db"), real);
  Deno.symlinkSync("real.db", bot.file("elsewhere/second.db"));
  Deno.symlinkSync("elsewhere/second.db", bot.file("trading.db"));
  const { name } = await bot.migrator.createSnapshot();
  return { bot, real, name, former: contentOf(real) };
}

/** The links are unchanged, and no other files are next to the link or the file. */
function assertLinked(bot: Bot, expected: readonly string[] = ["real.db", "second.db"]): void {
  assert.equal(Deno.readLinkSync(bot.file("trading.db")), "elsewhere/second.db");
  assert.equal(Deno.readLinkSync(bot.file("elsewhere/second.db")), "real.db");
  const left = bot.names().filter((name) => !/^(\w+\.db|migrations\.lock|backups)$/.test(name));
  assert.deepEqual(left, ["elsewhere"]);
  const there = [...Deno.readDirSync(bot.file("elsewhere"))].map(({ name }) => name);
  assert.deepEqual(there.toSorted(), expected);
}

const WITHOUT_FILLS = `db.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM fills")`;

testLinks("a snapshot of a linked database has the commits of its log", async () => {
  const { bot: made, real } = await linked();
  using bot = made;
  await using _program = await Program.start(bot.file("trading.db"), WITHOUT_FILLS);
  assert(Deno.statSync(`${real}-wal`).size > 0);
  const { files } = await bot.migrator.createSnapshot();
  const trading = files.find(({ database }) => database === "trading");
  assert.deepEqual([trading?.rows.fills, trading?.rows.orders], [0, 10]);
});

testLinks("a linked database is restored from a snapshot while a program has it open", async () => {
  const { bot: made, real, name, former } = await linked();
  using bot = made;
  {
    await using _program = await Program.start(bot.file("trading.db"), WITHOUT_FILLS);
    await bot.migrator.restoreSnapshot(name, yes);
    assert.equal(count(bot, "trading", "fills"), 10);
  }
  assert.deepEqual(contentOf(real), former);
  assertLinked(bot);
  // The previous data can be restored as it was in the log.
  await bot.migrator.undoRestore(yes);
  assert.equal(count(bot, "trading", "fills"), 0);
  assertLinked(bot);
});

testLinks(
  "a damaged linked database is moved aside in its own directory, and the link is kept",
  async () => {
    const { bot: made, real, name, former } = await linked();
    using bot = made;
    Deno.writeTextFileSync(real, "no database\n".repeat(1000));
    const before = Deno.readFileSync(real);
    await bot.migrator.restoreSnapshot(name, yes);
    assert.deepEqual(contentOf(real), former);
    const kept = damagedOnes(bot);
    assert.equal(kept.length, 1);
    assert.deepEqual(Deno.readFileSync(bot.file(`elsewhere/${kept[0]}`)), before);
    assertLinked(bot, ["real.db", ...kept, "second.db"]);
  },
);

testLinks("the log of a damaged linked database is moved aside with it", async () => {
  const { bot: made, real, former } = await linked();
  using bot = made;
  const source = bot.file("source.db");
  Deno.copyFileSync(real, source);
  Deno.writeTextFileSync(real, "no database\n".repeat(1000));
  Deno.writeTextFileSync(`${real}-wal`, "a log");
  const target = bot.file("trading.db");
  await replaceDatabase({ database: "trading", source, compressed: false, target }, {
    timeout: 5,
    watched: null,
    keep: () => Promise.resolve(),
  });
  assert.deepEqual(contentOf(real), former);
  const kept = damagedOnes(bot);
  const log = kept.find((name) => name.endsWith("-wal"));
  assert.equal(Deno.readTextFileSync(bot.file(`elsewhere/${log}`)), "a log");
  assertLinked(bot, ["real.db", ...kept, "second.db"]);
});

function damagedOnes(bot: Bot): string[] {
  return [...Deno.readDirSync(bot.file("elsewhere"))].map(({ name }) => name)
    .filter((name) => name.startsWith("real.db.damaged_")).toSorted();
}

testLinks("a damaged linked database that a program has open is not moved aside", async () => {
  const { bot: made, real, name, former } = await linked();
  using bot = made;
  {
    await using program = await Program.start(
      bot.file("trading.db"),
      `db.exec("BEGIN"); db.prepare("SELECT count(*) FROM orders").get()`,
    );
    damagePages(real, 1);
    await assert.rejects(bot.migrator.restoreSnapshot(name, yes), (error) => {
      assert(error instanceof DatabaseLockedError, String(error));
      assert.match(error.message, new RegExp(`process ${program.pid}\\b`));
      return true;
    });
  }
  await bot.migrator.upgrade(); // continues where it stopped
  assert.deepEqual(contentOf(real), former);
  assert.equal(Deno.readLinkSync(bot.file("trading.db")), "elsewhere/second.db");
}, { onLinux: true });

testLinks("if the target of a link is missing, a restore creates it there", async () => {
  const { bot: made, real, name, former } = await linked();
  using bot = made;
  Deno.removeSync(real);
  await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(contentOf(real), former);
  assertLinked(bot);
});

testLinks(
  "a link into a missing directory is refused before anything is changed",
  async () => {
    const { bot: made, name } = await linked();
    using bot = made;
    Deno.renameSync(bot.file("elsewhere"), bot.file("unplugged"));
    const before = bot.names();
    const dump = new Blob(["CREATE TABLE t (a)"]).stream();
    for (
      const change of [
        () => bot.migrator.restoreSnapshot(name, yes),
        () => bot.migrator.importDump(dump, { database: "trading", ...yes }),
      ]
    ) {
      await assert.rejects(change, (error) => {
        assert(error instanceof LocationError, String(error));
        assert.match(
          error.message,
          /trading\.db is a link to .*elsewhere\/second\.db, which does not exist/,
        );
        return true;
      });
      assert.deepEqual(bot.names(), before);
    }
    Deno.renameSync(bot.file("unplugged"), bot.file("elsewhere"));
    await bot.migrator.restoreSnapshot(name, yes);
    assertLinked(bot);
  },
);

testLinks("a file that is a link is restored with the commits of its log", async () => {
  const { bot: made } = await linked();
  using bot = made;
  using directory = await Bot.create(3);
  const source = directory.file("trading.db");
  Deno.symlinkSync(source, bot.file("elsewhere/copy.db"));
  await using _program = await Program.start(source, WITHOUT_FILLS);
  const before = directory.names();
  const link = bot.file("elsewhere/copy.db");
  await bot.migrator.restoreSnapshot(link, { ...yes, databases: ["trading"] });
  assert.deepEqual([count(bot, "trading", "fills"), count(bot, "trading", "orders")], [0, 3]);
  // The program still has its log.
  assert.deepEqual(directory.names(), before);
  Deno.removeSync(link);
  assertLinked(bot);
});

const DUMP = "CREATE TABLE mine (a); INSERT INTO mine VALUES (1), (2);";

for (const state of ["there", "empty", "gone"]) {
  testLinks(`an import replaces the target of a link, which is ${state}`, async () => {
    const { bot: made, real } = await linked();
    using bot = made;
    if (state !== "there") Deno.removeSync(real);
    if (state === "empty") Deno.writeTextFileSync(real, "");
    const source = new Blob([DUMP]).stream();
    const { outcome } = await bot.migrator.importDump(source, { database: "trading", ...yes });
    assert.equal(outcome, state === "there" ? "replaced" : "created");
    assert.equal(query(real, "SELECT a FROM mine").length, 2);
    assertLinked(bot);
  });
}

const noDisk = reasonForNoDisk();

Deno.test({
  name: "a link to another disk is restored and imported in place" +
    (noDisk === null ? "" : ` (skipped: ${noDisk})`),
  ignore: noDisk !== null,
  fn: async () => {
    using bot = await Bot.create(10);
    const { name } = await bot.migrator.createSnapshot();
    const former = contentOf(bot.file("trading.db"));
    using disk = new SmallDisk(8000);
    const real = `${disk.path}/trading.db`;
    Deno.removeSync(bot.file("trading.db"));
    Deno.symlinkSync(real, bot.file("trading.db"));
    const options = { database: "trading", ...yes };
    await bot.migrator.importDump(new Blob([DUMP]).stream(), options);
    assert.equal(query(real, "SELECT a FROM mine").length, 2);
    Deno.truncateSync(real, 5000);
    await bot.migrator.restoreSnapshot(name, yes);
    assert.deepEqual(contentOf(real), former);
    assert.equal(Deno.readLinkSync(bot.file("trading.db")), real);
    assert.equal(Deno.statSync(bot.file("trading.db")).dev, Deno.statSync(disk.path).dev);
  },
});

testLinks("staged files of a killed restore next to a link's target are removed", async () => {
  const { bot: made, real, name } = await linked();
  using bot = made;
  Deno.writeTextFileSync(partFileOf(real), "half of it");
  await bot.migrator.restoreSnapshot(name, yes);
  assertLinked(bot);
});

testLinks("a writer of a linked database keeps a restore waiting, and is named", async () => {
  const { bot: made, name } = await linked();
  using bot = made;
  await using _reader = await Program.start(
    bot.file("trading.db"),
    `db.exec("PRAGMA user_version")`,
  );
  await using writer = await startWriter(bot.file("trading.db"), "DELETE FROM fills");
  await assert.rejects(bot.migratorWith({ timeout: 0.3 }).restoreSnapshot(name, yes), (error) => {
    assert(error instanceof DatabaseLockedError);
    assert.deepEqual(error.message.match(/process \d+/g), [`process ${writer.pid}`]);
    return true;
  });
}, { onLinux: true });

testLinks("migrations go up and down in a linked database", async () => {
  const { bot: made, real } = await linked();
  using bot = made;
  execute(real, "DELETE FROM fills; DELETE FROM orders");
  await bot.migrator.downgrade({ migration: "002", ...yes });

  await bot.migrator.upgrade();
  assert.equal(count(bot, "trading", "fills"), 0);
  assertLinked(bot);
});
