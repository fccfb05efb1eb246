import assert from "node:assert/strict";
import { createBot, TemporaryDirectory } from "../support.ts";

const parts = [
  "trading.db.import.part",
  "trading.db.import.part-wal",
  "trading.db.import.part-shm",
  "positions.db.part",
  "positions.db.part-journal",
  "migrations.db.part",
  "migrations.restore.part",
];

Deno.test("the next command that holds the lock removes the leftovers of killed ones, and nothing else", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  const before = directory.names();
  const others = [
    "trading.db.import.part.mine",
    "notes.part",
    "trading.sql.part",
    "rehearsal-mine",
  ];
  for (const name of [...parts, ...others]) Deno.writeTextFileSync(directory.file(name), "x");
  const rehearsal = directory.file("rehearsal-0123abcd");
  Deno.mkdirSync(rehearsal);
  Deno.writeTextFileSync(`${rehearsal}/rehearsal.lock`, "process 1\n");
  Deno.writeTextFileSync(`${rehearsal}/1_trading.db`, "x");
  const running = directory.file("rehearsal-4567abcd");
  Deno.mkdirSync(running);
  using lock = Deno.openSync(`${running}/rehearsal.lock`, { write: true, create: true });
  lock.lockSync(true);
  // Without a lock, but with a file: it may be anything.
  const foreign = directory.file("rehearsal-89abcdef");
  Deno.mkdirSync(foreign);
  Deno.writeTextFileSync(`${foreign}/mine`, "x");
  Deno.utimeSync(foreign, 0, 0);
  await bot.pruneSnapshots({ keep: 1 });
  assert.deepEqual(
    directory.names(),
    [...before, ...others, "rehearsal-4567abcd", "rehearsal-89abcdef"].toSorted(),
  );
  assert.equal(Deno.readTextFileSync(`${foreign}/mine`), "x");
});

Deno.test("the files that an interrupted restore still needs are kept", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  Deno.writeTextFileSync(directory.file("migrations.restore"), "{}"); // a damaged journal
  Deno.writeTextFileSync(directory.file("trading.db.import.part"), "x");
  await assert.rejects(bot.upgrade({ to: "001" }));
  assert(directory.names().includes("trading.db.import.part"));
});
