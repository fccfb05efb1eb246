import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { AccessError, DatabaseLockedError, LocationError } from "../../../lib/base/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { contentOf } from "../../helpers.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../database/read_only_directory.ts";
import { execute, migrationOf, TemporaryDirectory } from "../support.ts";
import { type Bot, damagePages, filesOf } from "./bot.ts";
import { assertInOrder, changed, yes } from "./restore_support.ts";

const noMount = reasonForNoMount();

/** Refused before anything was decided: no journal, no snapshot, no changed database. */
async function assertRefused(
  bot: Bot,
  run: () => Promise<unknown>,
  kind: new (...parameters: never[]) => Error,
): Promise<void> {
  const before = [bot.contents(), filesOf(bot.backups)];
  await assert.rejects(run(), (error) => {
    assert(error instanceof kind, String(error));
    assert.match("help" in error ? String(error.help) : "", /^stop that program, or let it finish/);
    return true;
  });
  assert.deepEqual([bot.contents(), filesOf(bot.backups)], before);
  assert.deepEqual(bot.names().filter((name) => /restore|part/.test(name)), []);
}

function dump(): ReadableStream<Uint8Array> {
  return new Blob(["CREATE TABLE t (a);"]).stream();
}

Deno.test("a damaged or missing ledger is restored, too, and the damaged one is kept", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  const databases = ["positions", "trading", "ml_training", "migrations"];
  const garbage = "hello\n".repeat(300);
  Deno.writeTextFileSync(bot.file("migrations.db"), garbage);
  const { restored, movedAside = [] } = await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(restored, databases);
  assert.deepEqual(bot.contents(), former);
  assert.deepEqual(movedAside.map(({ database }) => database), ["migrations"]);
  for (const { path } of movedAside) {
    assert.equal(Deno.readTextFileSync(path), garbage);
    Deno.removeSync(path);
  }
  await assertInOrder(bot);
  Deno.removeSync(bot.file("migrations.db"));
  const again = await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(again.restored, databases);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});

Deno.test("a writer is found before a database is replaced, also without a snapshot", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const migrator = bot.migratorWith({ timeout: 0 });
  for (const database of ["trading", "migrations"]) {
    using writer = new DatabaseSync(bot.file(`${database}.db`));
    writer.exec("BEGIN IMMEDIATE");
    const options = { database: "trading", backup: false, ...yes };
    await assertRefused(bot, () => migrator.restoreSnapshot(name, yes), DatabaseLockedError);
    await assertRefused(bot, () => migrator.importDump(dump(), options), DatabaseLockedError);
    assert(writer.isTransaction);
    writer.exec("ROLLBACK");
  }
  await migrator.restoreSnapshot(name, yes);
});

Deno.test("checking whether a database is writable changes nothing in it", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  // Refused at the last one, after all others were checked.
  using writer = new DatabaseSync(bot.file("migrations.db"));
  writer.exec("BEGIN IMMEDIATE");
  Deno.removeSync(bot.file("ml_training.db"));
  Deno.writeTextFileSync(bot.file("ml_training.db"), "");
  execute(bot.file("trading.db"), "PRAGMA journal_mode = DELETE; PRAGMA user_version = 7");
  damagePages(bot.file("positions.db"), 5);
  const databases = /^(positions|trading|ml_training)\.db/;
  const listing = () => bot.listing({ timesOf: databases });
  const before = listing();
  const migrator = bot.migratorWith({ timeout: 0 });
  await assert.rejects(migrator.restoreSnapshot(name, yes), DatabaseLockedError);
  assert.deepEqual(listing(), before);
});

Deno.test("a damaged database is moved aside with the log that a crash left", async () => {
  const { bot: made, name, former } = await changed();
  using bot = made;
  const path = bot.file("trading.db");
  {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM orders");
    // As after a kill: the log remains, and no process has the database open.
    for (const end of ["", "-wal"]) Deno.copyFileSync(`${path}${end}`, bot.file(`kept${end}`));
  }
  for (const end of ["", "-wal"]) Deno.renameSync(bot.file(`kept${end}`), `${path}${end}`);
  damagePages(path, Deno.statSync(path).size / 4096);
  const log = Deno.readFileSync(`${path}-wal`);
  await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(bot.contents(), former);
  const [aside = ""] = bot.names().filter((name) => /damaged_\d+-wal$/.test(name));
  assert.deepEqual(Deno.readFileSync(bot.file(aside)), log);
});

Deno.test({
  name: "a place where a missing database can't be created is found before others are replaced" +
    (noMount === null ? "" : ` (skipped: ${noMount})`),
  ignore: noMount !== null,
  async fn() {
    using directory = new TemporaryDirectory();
    using frozen = new ReadOnlyDirectory((path) => {
      execute(`${path}/there.db`, "CREATE TABLE b (a); INSERT INTO b VALUES (1)");
    });
    const migratorFor = (other: string) =>
      new Migrator({
        databases: { app: directory.file("app.db"), other },
        ledger: directory.file("migrations.db"),
        migrations: [
          migrationOf({ name: "001_app", upgrade: "CREATE TABLE a (a)" }),
          migrationOf({ name: "002_other", database: "other", upgrade: "CREATE TABLE b (a)" }),
        ],
        alone: true,
      });
    const migrator = migratorFor(directory.file("other.db"));
    await migrator.upgrade();
    const { name } = await migrator.createSnapshot();
    execute(directory.file("app.db"), "INSERT INTO a VALUES ('new')");
    const before = [contentOf(directory.file("app.db")), directory.names()];
    for (const file of ["missing.db", "there.db", "no/such/place.db"]) {
      await assert.rejects(
        migratorFor(`${frozen.path}/${file}`).restoreSnapshot(name, yes),
        (error) => {
          const isPlace = file.startsWith("no") && error instanceof LocationError;
          assert(isPlace || error instanceof AccessError, String(error));
          assert(error.message.includes(frozen.path));
          return true;
        },
      );
      assert.deepEqual([contentOf(directory.file("app.db")), directory.names()], before, file);
    }
  },
});
