/** Helpers for restore tests: a bot that is restored, and its required state afterwards. */
import assert from "node:assert/strict";
import { execute, query } from "../support.ts";
import { Bot } from "./bot.ts";

/** Answers yes. */
export const yes = { confirm: () => true };

/** Number of rows of a table of the bot. */
export function count(bot: Bot, database: string, table: string): unknown {
  const [row] = query(bot.file(`${database}.db`), `SELECT count(*) AS count FROM ${table}`);
  return (row as { count: unknown }).count;
}

/** A bot with a snapshot, from which rows were deleted since. */
export async function changed(): Promise<
  { bot: Bot; name: string; former: ReturnType<Bot["contents"]> }
> {
  const bot = await Bot.create(10);
  const former = bot.contents();
  const { name } = await bot.migrator.createSnapshot();
  execute(bot.file("trading.db"), "DELETE FROM fills");
  execute(bot.file("positions.db"), "DELETE FROM positions");
  return { bot, name, former };
}

/** Ledger and markers agree, the schema matches the migrations, and nothing is left to do. */
export async function assertInOrder(bot: Bot): Promise<void> {
  const { ok, migrations } = await bot.migrator.status();
  assert(ok);
  assert(migrations.every(({ state }) => state === "applied"));
  assert((await bot.migrator.verify()).ok);
  const { applied, adopted, reconciled } = await bot.migrator.upgrade();
  assert.deepEqual([applied, adopted, reconciled], [[], [], []]);
  const left = bot.names().filter((name) => !/^(\w+\.db|migrations\.lock|backups)$/.test(name));
  assert.deepEqual(left, []);
}
