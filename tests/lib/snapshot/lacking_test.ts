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
