import assert from "node:assert/strict";
import { CorruptDatabaseError } from "../../../lib/base/errors.ts";
import { copyDirectory, existsSync } from "../../helpers.ts";
import { type CommandResult, execute, runCommandLine } from "../support.ts";
import { Bot, damagePages, filesOf, writeFake } from "../snapshot/bot.ts";

async function run(bot: Bot, ...args: string[]): Promise<CommandResult> {
  return await runCommandLine([...args, "--data-dir", bot.path]);
}

/** Runs a command with `--json`; stdout must be one document. */
async function json(bot: Bot, ...args: string[]): Promise<[number, Record<string, unknown>]> {
  const { code, stdout } = await run(bot, ...args, "--json");
  return [code, JSON.parse(stdout)];
}

Deno.test("backup prints its files, their rows, and how long writers waited", async () => {
  using bot = await Bot.create(4);
  const { code, stdout, stderr } = await run(bot, "backup");
  assert.deepEqual([code, stderr], [0, ""]);
  const name = /^Snapshot (\S+): 4 files, [\d.]+ kB, checked; writers waited \S+ m?s\.$/m
    .exec(stdout)?.[1];
  assert.match(stdout, new RegExp(`^positions_${name}\\.db +[\\d.]+ kB +4 rows$`, "m"));
  assert.match(stdout, new RegExp(`^trading_${name}\\.db +[\\d.]+ kB +12 rows$`, "m"));
  assert((await bot.migrator.verifySnapshot(name ?? "")).ok);
});

Deno.test("backup of some databases, elsewhere, compressed and without a check", async () => {
  using bot = await Bot.create(4);
  const out = bot.file("elsewhere/");
  const args = ["backup", "trading", "--out", out, "--compress", "--verify", "none"];
  const { code, stdout } = await run(bot, ...args);
  assert.equal(code, 0);
  assert.match(stdout, /: 2 files, [\d.]+ kB, not checked; /);
  assert(!bot.names().includes("backups"));
  const files = filesOf(out);
  assert.deepEqual(files.map((file) => file.replace(/\d+_\d+/, "T")), [
    "migrations_T.db.gz",
    "snapshot_T.json",
    "trading_T.db.gz",
  ]);
  const listed = await run(bot, "backup", "list", `--out=${out}`);
  assert.match(listed.stdout, /manual +ok\n$/);
  const verified = await run(bot, "backup", "verify", "latest", "--out", out);
  assert.deepEqual([verified.code, /all files match/.test(verified.stdout)], [0, true]);
  // A flag's value before the command is not taken for the command.
  assert.equal((await run(bot, "--out", out, "backup", "list")).stdout, listed.stdout);
});

Deno.test("backup as JSON is the manifest", async () => {
  using bot = await Bot.create(4);
  const [code, document] = await json(bot, "backup", "positions", "trading");
  assert.equal(code, 0);
  const [entry] = await bot.migrator.listSnapshots();
  assert.deepEqual(document, { ok: true, snapshot: entry?.manifest, lost: [], damaged: [] });
});

Deno.test("backup omits a damaged database or ledger, names it, and exits with 1", async (t) => {
  const damages: Readonly<Record<string, (path: string) => void>> = {
    "a header": (path) => Deno.writeTextFileSync(path, "no database at all ".repeat(500)),
    "a page": (path) => damagePages(path, 2, 3, 4),
    "half of a file": (path) => Deno.truncateSync(path, Deno.statSync(path).size / 2 & ~4095),
  };
  for (const [what, damage] of Object.entries(damages)) {
    for (const name of ["trading", "migrations"]) {
      for (const verify of ["quick", "full"]) {
        await t.step(`${what} of ${name}, ${verify}`, async () => {
          using bot = await Bot.create(4);
          const path = bot.file(`${name}.db`);
          execute(path, "PRAGMA wal_checkpoint(TRUNCATE)");
          for (const ending of ["-wal", "-shm"]) {
            if (existsSync(`${path}${ending}`)) Deno.removeSync(`${path}${ending}`);
          }
          damage(path);
          const { code, stdout, stderr } = await run(bot, "backup", "--verify", verify);
          assert.equal(code, 1);
          assert.match(stdout, /^Snapshot \S+: 3 files, [\d.]+ kB, checked/m);
          assert.match(stderr, new RegExp(`^warning: the snapshot lacks ${name}: Cannot .+\n$`));
          const [entry] = await bot.migrator.listSnapshots();
          assert((await bot.migrator.verifySnapshot(entry?.name ?? "")).ok);
          const [, document] = await json(bot, "backup");
          assert.equal(document["ok"], false);
          assert.match(JSON.stringify(document["damaged"]), new RegExp(`"database":"${name}"`));
          if (name === "migrations") return;
          const alone = await run(bot, "backup", name);
          assert.deepEqual([alone.code, alone.stdout], [1, ""]);
          assert.match(alone.stderr, /^error: /);
        });
      }
    }
  }
  await t.step("in a thread", async () => {
    using bot = await Bot.create(4);
    damagePages(bot.file("positions.db"), 2, 3, 4);
    const damaged: string[] = [];
    const migrator = bot.migratorWith({ alone: false });
    await assert.rejects(migrator.createSnapshot(), CorruptDatabaseError);
    const { files } = await migrator.createSnapshot({
      onDamaged: ({ database }) => damaged.push(database),
    });
    assert.deepEqual([damaged, files.length], [["positions"], 3]);
  });
});

Deno.test("backup list shows each snapshot and its problems", async () => {
  using bot = await Bot.create(4);
  assert.equal((await run(bot, "backup", "list")).stdout, "No snapshots.\n");
  assert.deepEqual(await json(bot, "backup", "list"), [0, { ok: true, snapshots: [] }]);
  assert(!bot.names().includes("backups"));
  const { name } = await bot.migrator.createSnapshot();
  const now = Math.floor(Date.now() / 1000);
  const ages: readonly (readonly [number, string])[] = [
    [600, "10 min"],
    [7200, "2 h"],
    [86_400 * 2.5, "2 days"],
  ];
  for (const [age] of ages) await writeFake(bot.backups, { createdAt: now - age });
  const missing = await writeFake(bot.backups, { createdAt: 1, isWhole: false });
  Deno.writeTextFileSync(`${bot.backups}/snapshot_20200101_000000.json`, "{\u001b[31m");
  const { code, stdout } = await run(bot, "backup", "list");
  assert.equal(code, 0);
  const [header, newest, ...others] = stdout.trimEnd().split("\n");
  assert.match(header ?? "", /^SNAPSHOT +TAKEN \(UTC\) +AGE +SIZE +UP TO +WHY +STATE$/);
  assert.match(newest ?? "", new RegExp(`^${name} .* 0 min .* 003 +manual +ok$`));
  for (const [index, [, age]] of ages.entries()) assert(others[index]?.includes(` ${age} `));
  assert.match(others[3] ?? "", new RegExp(`^${missing} +1970-01-01 00:00:01 .* damaged$`));
  assert.match(others[4] ?? "", /^ {4}\S+ is missing$/);
  assert.match(others[5] ?? "", /^20200101_000000 +- +- +- +- +- +damaged$/);
  const said = others.slice(6).join("\n").replace(/\s+/g, " ");
  assert.match(said, /^ Cannot read .* is damaged/);
  const [, document] = await json(bot, "backup", "list");
  assert.deepEqual(
    document["snapshots"],
    JSON.parse(JSON.stringify(await bot.migrator.listSnapshots())),
  );
});

Deno.test("backup verify names damaged files, and exits with 1", async () => {
  using bot = await Bot.create(4);
  const { name } = await bot.migrator.createSnapshot();
  for (const reference of [name, "latest", `snapshot_${name}.json`]) {
    for (const check of ["quick", "full", "none"]) {
      const { code, stdout } = await run(bot, "backup", "verify", reference, "--verify", check);
      assert.deepEqual([code, stdout], [
        0,
        `Snapshot ${name}: all files match the manifest.\n`,
      ]);
    }
  }
  Deno.removeSync(`${bot.backups}/positions_${name}.db`);
  execute(`${bot.backups}/trading_${name}.db`, "PRAGMA journal_mode = DELETE; DELETE FROM fills");
  const { code, stdout } = await run(bot, "backup", "verify", name);
  assert.equal(code, 1);
  const [first, ...problems] = stdout.trimEnd().split("\n");
  assert.equal(first, `Snapshot ${name} is damaged:`);
  assert.deepEqual(problems, [
    `  positions_${name}.db is missing`,
    `  trading_${name}.db is damaged: its checksum does not match the manifest`,
  ]);
  const [failed, document] = await json(bot, "backup", "verify", name);
  assert.deepEqual([failed, document], [1, {
    ok: false,
    snapshot: name,
    problems: problems.map((problem) => problem.trim()),
  }]);
});

Deno.test("backup prune lists what it deletes, or with --dry-run what it would delete", async () => {
  using bot = await Bot.create(0);
  const names: string[] = [];
  for (const day of [1, 2, 3]) {
    names.push(await writeFake(bot.backups, { createdAt: 1_700_000_000 + day * 86_400 }));
  }
  const before = bot.backupFiles();
  const [oldest, middle, newest] = names;
  const planned = await run(bot, "backup", "prune", "--keep", "1", "--dry-run");
  assert.deepEqual([planned.code, planned.stdout], [
    0,
    `would delete snapshot ${oldest}\nwould delete snapshot ${middle}\n` +
    "2 snapshots would be deleted.\n",
  ]);
  assert.deepEqual(bot.backupFiles(), before);
  const all = await run(bot, "backup", "prune", "--keep-daily", "9", "--keep-monthly=1");
  assert.equal(all.stdout, "Nothing to delete.\n");
  const done = await run(bot, "backup", "prune", "--keep-daily", "2");
  assert.equal(done.stdout, `deleted snapshot ${oldest}\n1 snapshot deleted.\n`);
  assert.deepEqual(await json(bot, "backup", "prune", "--keep-weekly", "0"), [
    0,
    { ok: true, dryRun: false, deleted: [middle] },
  ]);
  assert.deepEqual(bot.backupFiles(), [`positions_${newest}.db`, `snapshot_${newest}.json`]);
});

Deno.test("backup prune keeps the last snapshot of each database, and those for restore --undo", async () => {
  using bot = await Bot.create(3);
  const former = bot.contents();
  const { name: full } = await bot.migrator.createSnapshot();
  execute(bot.file("trading.db"), "DROP INDEX idx_orders_ticker");
  const { snapshot: automatic } = await bot.migrator.repair();
  execute(bot.file("positions.db"), "DELETE FROM positions");
  const emptied = bot.contents();
  await bot.migrator.restoreSnapshot(full, { databases: ["positions"], confirm: () => true });
  const { name: partial } = await bot.migrator.createSnapshot({ databases: ["trading"] });
  const before = bot.backupFiles();
  for (const flags of [["--keep", "1"], ["--keep-daily", "14", "--keep-weekly", "8"]]) {
    const { stdout } = await run(bot, "backup", "prune", ...flags);
    assert.equal(stdout, "Nothing to delete.\n");
  }
  assert.deepEqual(bot.backupFiles(), before);
  await bot.migrator.createSnapshot();
  const [, document] = await json(bot, "backup", "prune", "--keep", "1");
  assert.deepEqual(document["deleted"], [full, partial]);
  assert((await bot.migrator.verifySnapshot(automatic ?? "")).ok);
  await bot.migrator.undoRestore({ confirm: () => true });
  assert.deepEqual(bot.contents(), emptied);
  await bot.migrator.restoreSnapshot("latest", { confirm: () => true });
  assert.deepEqual(bot.contents()["positions"], former["positions"]);
});

Deno.test("a prefix of the databases also applies to the directory of the snapshots", async () => {
  using bot = await Bot.create(0);
  const env = { DB_PATH_PREFIX: `${bot.path}/test_` };
  await runCommandLine(["upgrade"], { env });
  const { code } = await runCommandLine(["backup"], { env });
  assert.equal(code, 0);
  assert.equal(filesOf(bot.file("test_backups")).length, 5);
});

Deno.test("a snapshot that was copied elsewhere can be listed and verified there", async () => {
  using bot = await Bot.create(3);
  const { name } = await bot.migrator.createSnapshot();
  await copyDirectory(bot.backups, bot.file("carried"));
  Deno.removeSync(bot.backups, { recursive: true });
  const { code } = await run(bot, "backup", "verify", name, "--out", bot.file("carried"));
  assert.equal(code, 0);
});
