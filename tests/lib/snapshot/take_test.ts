import assert from "node:assert/strict";
import { join } from "node:path";
import {
  AccessError,
  CorruptDatabaseError,
  DiskFullError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
  SnapshotError,
  UsageError,
} from "../../../lib/base/errors.ts";
import { unpack } from "../../../lib/snapshot/sources.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { snapshotName } from "../../../lib/snapshot/names.ts";
import { listSnapshots, lockStore } from "../../../lib/snapshot/store.ts";
import { contentOf, databaseNames, execute } from "../../helpers.ts";
import { ReadOnlyDirectory } from "../database/read_only_directory.ts";
import { TemporaryDirectory } from "../support.ts";
import { Bot, damagePages, filesOf, reasonForNoDisk, SmallDisk } from "./bot.ts";

const noDisk = reasonForNoDisk();
const onSmallDisk = noDisk === null ? "" : ` (skipped: ${noDisk})`;

Deno.test("a snapshot has the content of the databases, under the documented names", async () => {
  using bot = await Bot.create();
  const before = Math.floor(Date.now() / 1000);
  const manifest = await bot.migrator.createSnapshot();
  const { name, createdAt } = manifest;
  assert(createdAt >= before && createdAt <= Date.now() / 1000);
  assert.equal(name, snapshotName(createdAt));
  const names = [...databaseNames, "migrations"];
  assert.deepEqual(
    bot.backupFiles(),
    [...names.map((one) => `${one}_${name}.db`), `snapshot_${name}.json`].toSorted(),
  );
  for (const one of names) {
    assert.deepEqual(
      contentOf(`${bot.backups}/${one}_${name}.db`),
      contentOf(bot.file(`${one}.db`)),
    );
  }
  const [positions, trading] = manifest.files;
  assert.deepEqual(positions?.rows, { positions: 10, closed_positions: 10 });
  assert.deepEqual(trading?.migrations, ["002"]);
  assert.equal(trading?.sizeBytes, Deno.statSync(`${bot.backups}/trading_${name}.db`).size);
  assert.deepEqual([manifest.reason, manifest.verified], ["manual", "quick"]);
  assert.match(manifest.sqliteVersion, /^3\.\d+\.\d+$/);
});

Deno.test("commits that are only in the log are in the snapshot", async () => {
  using bot = await Bot.create(3);
  const { DatabaseSync } = await import("node:sqlite");
  using db = new DatabaseSync(bot.file("positions.db"));
  db.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM positions WHERE position_id = 'P2'");
  const { files } = await bot.migrator.createSnapshot();
  assert.equal(files[0]?.rows["positions"], 0);
});

Deno.test("snapshots of the same second have different names", async () => {
  using bot = await Bot.create(0);
  const names: string[] = [];
  for (let count = 0; count < 4; count++) {
    names.push((await bot.migrator.createSnapshot({ databases: ["positions"] })).name);
  }
  assert.equal(new Set(names).size, 4);
  const listed = await bot.migrator.listSnapshots();
  assert.deepEqual(listed.map(({ name }) => name), names.toReversed());
  for (const { problems } of listed) assert.deepEqual(problems, []);
});

Deno.test("two simultaneous runs both make their snapshot", async () => {
  using bot = await Bot.create(3);
  const both = await Promise.all([
    bot.migratorWith({ timeout: 600 }).createSnapshot(),
    bot.migratorWith({ timeout: 600 }).createSnapshot(),
  ]);
  assert.notEqual(both[0].name, both[1].name);
  for (const { name } of both) assert((await bot.migrator.verifySnapshot(name)).ok);
});

Deno.test("a user's copy with such a name is not overwritten", async () => {
  using bot = await Bot.create(0);
  Deno.mkdirSync(bot.backups);
  const now = Math.floor(Date.now() / 1000);
  const own = Array.from(
    { length: 60 },
    (_, second) => `positions_${snapshotName(now + second)}.db`,
  );
  for (const file of own) Deno.writeTextFileSync(`${bot.backups}/${file}`, "mine");
  const { name } = await bot.migrator.createSnapshot();
  assert.match(name, /_2$/);
  for (const file of own) assert.equal(Deno.readTextFileSync(`${bot.backups}/${file}`), "mine");
});

Deno.test("a compressed snapshot unpacks to the same database", async () => {
  using bot = await Bot.create();
  const { name, files } = await bot.migrator.createSnapshot({ compress: true });
  assert(files.every(({ file, compressed }) => compressed && file.endsWith(".db.gz")));
  assert.deepEqual(
    bot.backupFiles(),
    [
      ...files.map(({ file }) => file),
      `snapshot_${name}.json`,
    ].toSorted(),
  );
  for (const one of databaseNames) {
    const unpacked = bot.file(`${one}_unpacked.db`);
    await unpack(`${bot.backups}/${one}_${name}.db.gz`, unpacked);
    assert.deepEqual(contentOf(unpacked), contentOf(bot.file(`${one}.db`)));
  }
});

Deno.test("only the named databases, and the ledger, are copied into another directory", async () => {
  using bot = await Bot.create();
  const directory = bot.file("elsewhere");
  const { files } = await bot.migrator.createSnapshot({ databases: ["trading"], directory });
  assert.deepEqual(files.map(({ database }) => database), ["trading", "migrations"]);
  assert.equal((await listSnapshots(directory)).length, 1);
  assert(!bot.names().includes("backups"));
  await assert.rejects(bot.migrator.createSnapshot({ databases: ["trade"] }), UsageError);
});

Deno.test("missing databases are left out; if all are missing there is nothing to copy", async () => {
  using bot = await Bot.create();
  Deno.removeSync(bot.file("ml_training.db"));
  const { files } = await bot.migrator.createSnapshot();
  assert.deepEqual(files.map(({ database }) => database), ["positions", "trading", "migrations"]);
  assert(!bot.names().includes("ml_training.db"));
  using empty = new TemporaryDirectory();
  const migrator = createCatalystMigrator({ dataDir: empty.path, alone: true });
  await assert.rejects(migrator.createSnapshot(), (error) => {
    assert(error instanceof SnapshotError);
    assert.equal(error.message, "Cannot take a snapshot: none of the databases exists");
    return true;
  });
  assert.deepEqual(empty.names(), []);
});

Deno.test("the next run removes what a killed run has left, and nothing else", async () => {
  using bot = await Bot.create(0);
  Deno.mkdirSync(bot.backups);
  const note = ["positions_20250120_123000.db", "trading_20250120_123000.db"].join("\n");
  const put = (name: string, text = "x") => Deno.writeTextFileSync(`${bot.backups}/${name}`, text);
  put("snapshot_20250120_123000.unfinished", note);
  put("positions_20250120_123000.db");
  put("trading_20250120_123000.db.part");
  put("mine.db.part");
  put("positions_20240101_000000.db");
  const { name, files } = await bot.migrator.createSnapshot();
  assert.deepEqual(
    bot.backupFiles(),
    [
      "mine.db.part",
      "positions_20240101_000000.db",
      `snapshot_${name}.json`,
      ...files.map(({ file }) => file),
    ].toSorted(),
  );
});

Deno.test("a damaged database is named, and older snapshots are unchanged", async () => {
  using bot = await Bot.create(500);
  await bot.migrator.createSnapshot();
  const before = bot.backupFiles();
  damagePages(bot.file("trading.db"), 15, 16, 17);
  for (const compress of [false, true]) {
    await assert.rejects(bot.migrator.createSnapshot({ compress }), (error) => {
      assert(error instanceof CorruptDatabaseError);
      assert.match(error.message, /trading/);
      assert(error.help);
      return true;
    });
    assert.deepEqual(bot.backupFiles(), before);
  }
  for (const { name } of await bot.migrator.listSnapshots()) {
    assert((await bot.migrator.verifySnapshot(name)).ok);
  }
});

Deno.test("a file in place of the directory, and a missing parent, are refused", async () => {
  using bot = await Bot.create(0);
  Deno.writeTextFileSync(bot.backups, "mine");
  await assert.rejects(bot.migrator.createSnapshot(), (error) => {
    assert(error instanceof LocationError);
    assert.match(error.message, /backups as directory of the snapshots: it is a file$/);
    return true;
  });
  await assert.rejects(
    bot.migrator.createSnapshot({ directory: `${bot.backups}/below` }),
    LocationError,
  );
  await assert.rejects(
    bot.migrator.createSnapshot({ directory: bot.file("a/b/c") }),
    LocationError,
  );
  assert.equal(Deno.readTextFileSync(bot.backups), "mine");
});

Deno.test("another run that uses the directory is waited for until the timeout", async () => {
  using bot = await Bot.create(0);
  Deno.mkdirSync(bot.backups);
  using _lock = await lockStore(bot.backups, { timeout: 0 });
  await assert.rejects(bot.migratorWith({ timeout: 0 }).createSnapshot(), MigratorLockedError);
  assert.deepEqual(bot.backupFiles(), []);
});

Deno.test("an interruption leaves no files", async () => {
  using bot = await Bot.create();
  const controller = new AbortController();
  for (const verify of ["quick", "none"] as const) {
    await assert.rejects(
      bot.migrator.createSnapshot({
        signal: controller.signal,
        onProgress: () => controller.abort(),
        verify,
      }),
      (error) => error instanceof InterruptedError && error.help !== undefined,
      verify,
    );
    assert.deepEqual(bot.backupFiles(), []);
  }
});

Deno.test("an error in the caller's progress function ends it, and no files remain", async () => {
  using bot = await Bot.create();
  const onProgress = () => {
    throw new RangeError("the caller's own");
  };
  await assert.rejects(bot.migrator.createSnapshot({ onProgress }), /the caller's own/);
  assert.deepEqual(bot.backupFiles(), []);
});

Deno.test({
  name: `nothing is begun where the disk has no room for it${onSmallDisk}`,
  ignore: noDisk !== null,
  async fn() {
    using bot = await Bot.create();
    using disk = new SmallDisk(200);
    await assert.rejects(bot.migrator.createSnapshot({ directory: disk.path }), (error) => {
      assert(error instanceof DiskFullError);
      assert.match(
        error.message,
        /^Cannot write to \S+: 0\.\d MB needed, 0\.\d MB free$/,
      );
      return true;
    });
    assert.deepEqual(filesOf(disk.path), []);
  },
});

Deno.test({
  name:
    `a disk that fills up in the middle keeps the older snapshots and nothing else${onSmallDisk}`,
  ignore: noDisk !== null,
  async fn() {
    using bot = await Bot.create(0);
    let failures = 0;
    for (let size = 800; size <= 1100; size += 60) {
      using disk = new SmallDisk(size);
      const { migrator } = bot;
      const directory = disk.path;
      const { name } = await migrator.createSnapshot({ directory });
      const before = filesOf(directory);
      // Another program uses the space right after the check.
      const take = () => fill(join(disk.path, "taken"));
      await migrator.createSnapshot({ directory, onProgress: take }).then(() => {}, (error) => {
        failures++;
        assert(error instanceof DiskFullError, String(error));
        assert(error.help);
      });
      const after = filesOf(disk.path).filter((file) => file !== "taken");
      for (const file of before) assert(after.includes(file));
      assert(!after.some((file) => /\.(part|unfinished)$/.test(file)), after.join());
      assert((await migrator.verifySnapshot(name, { directory })).ok);
    }
    assert(failures > 0);
  },
});

Deno.test({
  name: `a directory that can't be written is said to be so${onSmallDisk}`,
  ignore: noDisk !== null,
  async fn() {
    using bot = await Bot.create(0);
    for (const content of [[], ["backups.lock"]]) {
      using directory = new ReadOnlyDirectory((path) => {
        for (const file of content) Deno.writeTextFileSync(`${path}/${file}`, "");
      });
      await assert.rejects(
        bot.migrator.createSnapshot({ directory: directory.path }),
        (error) => error instanceof AccessError && error.help !== undefined,
      );
    }
  },
});

Deno.test("a snapshot changes nothing in the databases", async () => {
  using bot = await Bot.create();
  execute(bot.file("trading.db"), "PRAGMA journal_mode = DELETE");
  const before = bot.listing();
  await bot.migrator.createSnapshot({ directory: (Deno.mkdirSync(bot.file("b")), bot.file("b")) });
  assert.deepEqual(bot.listing().filter((line) => !line.startsWith("b ")), before);
});

/** Fills a disk. */
function fill(path: string): void {
  using file = Deno.openSync(path, { create: true, append: true });
  try {
    while (true) file.writeSync(new Uint8Array(4096));
  } catch {
    // Expected.
  }
}
