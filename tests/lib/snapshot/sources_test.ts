import assert from "node:assert/strict";
import { CatalystError, CorruptDatabaseError, SnapshotError } from "../../../lib/base/errors.ts";
import { createRegistry } from "../../../lib/migration/migration.ts";
import { findSources, type RestoreSet } from "../../../lib/snapshot/sources.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { databaseNames } from "../../helpers.ts";
import { execute, migrationOf } from "../support.ts";
import { Bot, damagePages } from "./bot.ts";

const registry = createRegistry(bundledMigrations, databaseNames);

/** Looks for what the user names. */
async function find(bot: Bot, reference: string, ...databases: string[]): Promise<RestoreSet> {
  return await findSources(reference, { directory: bot.backups, databases, registry });
}

/** The error if nothing is found. */
async function refusal(
  bot: Bot,
  reference: string,
  ...databases: string[]
): Promise<CatalystError> {
  const before = bot.names();
  const error = await find(bot, reference, ...databases).then(() => null, (reason) => reason);
  assert(error instanceof CatalystError, String(error));
  assert(error.help);
  assert.deepEqual(bot.names(), before);
  return error;
}

Deno.test("a snapshot is found by its name, its manifest's path, and as the latest", async () => {
  using bot = await Bot.create(3);
  await bot.migrator.createSnapshot();
  const { name } = await bot.migrator.createSnapshot();
  for (const reference of [name, `${bot.backups}/snapshot_${name}.json`, "latest"]) {
    const { label, sources } = await find(bot, reference);
    assert.equal(label, name);
    assert.deepEqual(sources.map(({ database }) => database), [...databaseNames, "migrations"]);
    assert.equal(sources[1]?.source, `${bot.backups}/trading_${name}.db`);
    assert.deepEqual(sources[1]?.migrations, ["002"]);
  }
  const { sources } = await find(bot, name, "trading", "migrations");
  assert.deepEqual(sources.map(({ database }) => database), ["trading", "migrations"]);
});

Deno.test("the latest is the newest whose files all exist", async () => {
  using bot = await Bot.create(0);
  assert.match((await refusal(bot, "latest")).message, /has no intact snapshot/);
  const { name } = await bot.migrator.createSnapshot();
  const newer = await bot.migrator.createSnapshot();
  Deno.removeSync(`${bot.backups}/trading_${newer.name}.db`);
  assert.equal((await find(bot, "latest")).label, name);
});

Deno.test("damage is named, even if another part was requested", async () => {
  using bot = await Bot.create(3);
  const { name } = await bot.migrator.createSnapshot();
  damagePages(`${bot.backups}/trading_${name}.db`, 2);
  const error = await refusal(bot, name);
  assert(error instanceof SnapshotError);
  assert.match(error.message, /^Cannot restore \S+: trading_\S+ is damaged: its checksum/);
  assert.equal((await find(bot, name, "positions")).sources.length, 1);
  Deno.writeTextFileSync(`${bot.backups}/snapshot_${name}.json`, "{}");
  assert.match((await refusal(bot, name)).message, /it is damaged/);
});

Deno.test("a reference that is neither a snapshot nor a file is reported as such", async () => {
  using bot = await Bot.create(0);
  const { name } = await bot.migrator.createSnapshot();
  for (const reference of ["20200101_000000", "snapshot_20200101_000000.json"]) {
    assert.match((await refusal(bot, reference)).message, /^Cannot find snapshot/);
  }
  for (const reference of ["nothing.db", "", "lates", "../nowhere", `${name}/../x`]) {
    assert.match((await refusal(bot, reference)).message, /neither a snapshot.s name nor a file/);
  }
  assert.match((await refusal(bot, name, "trade")).message, /it has no database "trade"/);
});

Deno.test("a snapshot of other databases is refused, and one with unknown migrations is not", async () => {
  using bot = await Bot.create(0);
  const { name } = await bot.migrator.createSnapshot();
  const other = createRegistry([migrationOf({ name: "001_first" })], ["app"]);
  const asked = (one: typeof registry) =>
    findSources(name, { directory: bot.backups, databases: [], registry: one });
  await assert.rejects(asked(other), /it belongs to another set of databases: it has "positions"/);
  const [first, , third] = bundledMigrations;
  assert(first && third);
  const older = createRegistry([first, third], databaseNames);
  assert.equal((await asked(older)).sources.length, 4); // its file may be missing or broken
  const swapped = createRegistry([first, { ...third, id: "002" }], databaseNames);
  await assert.rejects(asked(swapped), /trading holds migration 002, which belongs to another/);
});

Deno.test("a single file's database is known by its markers, or by its name", async () => {
  using bot = await Bot.create(3);
  const path = bot.file("some copy.db");
  Deno.copyFileSync(bot.file("trading.db"), path);
  const { label, sources } = await find(bot, path);
  assert.equal(label, path);
  assert.deepEqual(sources.map(({ database }) => database), ["trading"]);
  assert.equal(sources[0]?.rows["orders"], 3);
  for (const file of ["positions.db", "positions_old.db"]) {
    Deno.mkdirSync(bot.file("old"), { recursive: true });
    execute(bot.file(`old/${file}`), "CREATE TABLE positions (a)");
    assert.equal((await find(bot, bot.file(`old/${file}`))).sources[0]?.database, "positions");
  }
  execute(bot.file("unknown.db"), "CREATE TABLE positions (a)");
  const { message } = await refusal(bot, bot.file("unknown.db"));
  assert.match(
    message,
    /does not say which database it belongs to: name the database after the file/,
  );
  assert.equal(
    (await find(bot, bot.file("unknown.db"), "trading")).sources[0]?.database,
    "trading",
  );
});

Deno.test("a single file does not replace another database", async () => {
  using bot = await Bot.create(0);
  const path = bot.file("copy.db");
  Deno.copyFileSync(bot.file("trading.db"), path);
  assert.match(
    (await refusal(bot, path, "positions")).message,
    /it belongs to trading, not to positions$/,
  );
  assert.match(
    (await refusal(bot, path, "positions", "trading")).message,
    /one file holds one database/,
  );
});

Deno.test("a compressed file is unpacked to be checked, and nothing is left next to it", async () => {
  using bot = await Bot.create(3);
  const { name } = await bot.migrator.createSnapshot({ compress: true });
  const path = `${bot.backups}/trading_${name}.db.gz`;
  const before = bot.backupFiles();
  const { sources } = await find(bot, path);
  assert.deepEqual(sources.map(({ database, compressed }) => [database, compressed]), [[
    "trading",
    true,
  ]]);
  assert.deepEqual(bot.backupFiles(), before);
});

Deno.test("a file that is not a database, or is damaged, is refused, whatever its name", async () => {
  using bot = await Bot.create(200);
  for (const file of ["positions_x.db", "positions_x.db.gz"]) {
    Deno.writeTextFileSync(bot.file(file), "hello\n".repeat(300));
    await refusal(bot, bot.file(file));
    await refusal(bot, bot.file(file), "positions");
  }
  Deno.copyFileSync(bot.file("trading.db"), bot.file("copy.db"));
  damagePages(bot.file("copy.db"), 20);
  assert(await refusal(bot, bot.file("copy.db"), "trading") instanceof CorruptDatabaseError);
  Deno.mkdirSync(bot.file("positions_directory"));
  assert(await refusal(bot, bot.file("positions_directory")) instanceof CatalystError);
});
