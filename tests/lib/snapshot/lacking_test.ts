import assert from "node:assert/strict";
import { createBot, fillBot, query, runCommandLine, TemporaryDirectory } from "../support.ts";

Deno.test("a backup without a database that the ledger knows reports it and exits with 1", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  const data = ["--data-dir", directory.path];
  assert.deepEqual(await bot.lostDatabases(), []);
  for (const ending of ["", "-wal", "-shm"]) {
    await Deno.remove(directory.file(`trading.db${ending}`)).catch(() => {});
  }
  const gone = await runCommandLine(["backup", ...data]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /^warning: trading is not backed up: /m);
  Deno.writeTextFileSync(directory.file("trading.db"), "");
  const empty = await runCommandLine(["backup", "--json", ...data]);
  assert.equal(empty.code, 1);
  assert.deepEqual(JSON.parse(empty.stdout).lost, [{
    database: "trading",
    snapshot: null,
  }]);
  assert.equal((await runCommandLine(["backup", "positions", ...data])).code, 0);
  assert.equal((await bot.listSnapshots()).length, 3);
});

Deno.test("a restore over a damaged database says where its file is, and that no snapshot contains it", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  await bot.createSnapshot();
  const garbage = new Uint8Array(8192).fill(0x5a);
  Deno.writeFileSync(directory.file("trading.db"), garbage);
  const { code, stdout, stderr } = await runCommandLine([
    "restore",
    "latest",
    "--yes",
    "--data-dir",
    directory.path,
  ]);
  assert.equal(code, 0);
  assert.match(stderr, /^ {2}trading: the file is damaged; migrations unknown -> 002$/m);
  assert.match(stderr, /^ {4}orders +unknown {2}-> {2}3 rows$/m);
  const [, path = ""] =
    /^trading was damaged, so no snapshot of it was taken: .* moved to (.*)\.$/m.exec(stdout) ??
      [];
  assert.deepEqual(Deno.readFileSync(path), garbage);
  assert.match(stdout, /The previous data of positions, ml_training is in snapshot /);
  const [event] = query(
    directory.file("migrations.db"),
    "SELECT detail FROM migration_events WHERE database_name = 'trading' ORDER BY event_id DESC",
  ) as { detail: string }[];
  assert.equal(event?.detail, `the damaged file was moved to ${path}`);
});

for (const state of ["missing", "damaged"] as const) {
  for (const rows of [0, 3]) {
    Deno.test(`a restore of a snapshot without a ${state} database with ${rows} rows names, before and after, the one that has it`, async () => {
      using directory = new TemporaryDirectory();
      const bot = await createBot(directory);
      if (rows > 0) fillBot(directory, rows);
      const { name } = await bot.createSnapshot();
      for (const ending of ["", "-wal", "-shm"]) {
        await Deno.remove(directory.file(`trading.db${ending}`)).catch(() => {});
      }
      if (state === "damaged") {
        Deno.writeFileSync(directory.file("trading.db"), new Uint8Array(8192).fill(0x5a));
      }
      const data = ["--data-dir", directory.path];
      assert.equal((await runCommandLine(["backup", ...data])).code, 1);
      const what = state === "missing" ? "is missing or empty" : "can't be read";
      const way = `\`restore ${name} trading\` brings it back`;
      const planned = `  trading: not in this snapshot, and its file ${what}; ${way}\n`;
      const dryRun = await runCommandLine(["restore", "latest", "--dry-run", ...data]);
      assert(dryRun.stdout.includes(planned), dryRun.stdout);
      const { code, stderr } = await runCommandLine(["restore", "latest", "--yes", ...data]);
      assert.equal(code, 0);
      assert(stderr.includes(planned), stderr);
      const after = `trading: ${directory.file("trading.db")} ${
        state === "missing" ? "is still missing or empty" : "still can't be read"
      }; ${way}`;
      assert(stderr.includes(after), stderr);
      const whole = await runCommandLine(["restore", name, "--dry-run", ...data]);
      assert(!whole.stdout.includes("not in this snapshot"), whole.stdout);
    });
  }
}

Deno.test("the plan of a restore does not depend on databases that the snapshot lacks", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  await bot.createSnapshot({ databases: ["positions"] });
  for (const ending of ["", "-wal", "-shm"]) {
    await Deno.remove(directory.file(`trading.db${ending}`)).catch(() => {});
  }
  Deno.mkdirSync(directory.file("trading.db"));
  const data = ["--data-dir", directory.path];
  const { code, stderr } = await runCommandLine(["restore", "latest", "--dry-run", ...data]);
  assert.equal(code, 0, stderr);
});
