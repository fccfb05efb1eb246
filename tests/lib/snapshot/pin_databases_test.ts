import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DatabaseLockedError, InterruptedError } from "../../../lib/base/errors.ts";
import { pin, type PinTarget } from "../../../lib/snapshot/pin_databases.ts";
import { databaseNames } from "../../helpers.ts";
import { execute, startWriter, withDatabase } from "../support.ts";
import { Bot } from "./bot.ts";

function targetsOf(bot: Bot): PinTarget[] {
  return databaseNames.map((database) => ({ database, path: bot.file(`${database}.db`) }));
}

Deno.test("a consistent state is pinned while others write and read", async () => {
  using bot = await Bot.create(3);
  await using pinned = await pin(targetsOf(bot), { timeout: 5 });
  assert(pinned.heldSeconds >= 0);
  assert.deepEqual(pinned.databases.map(({ database }) => database), databaseNames);
  // The locks were released: a writer with no timeout succeeds.
  withDatabase(bot.file("trading.db"), (db) => {
    db.exec("PRAGMA busy_timeout = 0; DELETE FROM fills; DELETE FROM orders");
  });
  const trading = pinned.databases[1]?.connection;
  const seen = await trading?.get("SELECT count(*) AS orders FROM orders");
  assert.deepEqual({ ...seen }, { orders: 3 });
  const now = withDatabase(
    bot.file("trading.db"),
    (db) => db.prepare("SELECT count(*) AS orders FROM orders").get(),
  );
  assert.deepEqual({ ...now }, { orders: 0 });
});

Deno.test("after the release no files remain next to the databases", async () => {
  using bot = await Bot.create(3);
  const before = bot.names();
  {
    await using _pinned = await pin(targetsOf(bot), { timeout: 5 });
  }
  assert.deepEqual(bot.names(), before);
});

Deno.test("a writer past the timeout is named, and the other databases are unlocked meanwhile", async () => {
  using bot = await Bot.create(3);
  const path = bot.file("trading.db");
  await using writer = await startWriter(path, "DELETE FROM fills");
  const failed = pin(targetsOf(bot), { timeout: 1 }).then(() => null, (error) => error);
  using positions = new DatabaseSync(bot.file("positions.db"), { timeout: 1000 });
  let writes = 0;
  let isOver = false;
  failed.then(() => isOver = true);
  while (!isOver) {
    positions.exec("UPDATE positions SET quantity = quantity + 1");
    writes++;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(writes > 0);
  const error = await failed;
  assert(error instanceof DatabaseLockedError);
  assert(error.message.includes(`${path} was locked for 1 s by `));
  if (Deno.build.os === "linux") assert(error.message.includes(`process ${writer.pid} (`));
  assert.match(error.help ?? "", /--timeout/);
});

Deno.test("a writer that ends in time is waited for", async () => {
  using bot = await Bot.create(3);
  const writer = await startWriter(bot.file("trading.db"), "DELETE FROM fills");
  const waiting = pin(targetsOf(bot), { timeout: 30 });
  await writer.release();
  await using pinned = await waiting;
  const seen = await pinned.databases[1]?.connection.get("SELECT count(*) AS fills FROM fills");
  assert.deepEqual({ ...seen }, { fills: 0 });
});

Deno.test("waiting for a writer can be stopped", async () => {
  using bot = await Bot.create(3);
  await using _writer = await startWriter(bot.file("trading.db"), "DELETE FROM fills");
  const controller = new AbortController();
  const waiting = pin(targetsOf(bot), { timeout: 600, signal: controller.signal });
  controller.abort();
  await assert.rejects(waiting, InterruptedError);
});

Deno.test("a database outside of WAL mode is pinned, too", async () => {
  using bot = await Bot.create(3);
  execute(bot.file("trading.db"), "PRAGMA journal_mode = DELETE");
  await using pinned = await pin(targetsOf(bot), { timeout: 5 });
  const seen = await pinned.databases[1]?.connection.get("SELECT count(*) AS orders FROM orders");
  assert.deepEqual({ ...seen }, { orders: 3 });
});
