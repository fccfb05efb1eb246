import assert from "node:assert/strict";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { Migrator } from "../../../lib/migrator.ts";
import {
  createBot,
  execute,
  fillBot,
  migrationOf,
  startWriter,
  TemporaryDirectory,
} from "../support.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../database/read_only_directory.ts";

Deno.test("in an empty directory everything is pending, and nothing is created", async () => {
  using directory = new TemporaryDirectory();
  for (const dataDir of [directory.path, directory.file("none")]) {
    const migrator = createCatalystMigrator({ dataDir });
    const { ok, pending, databases, migrations, recent } = await migrator.status();
    assert.equal(ok, false);
    assert.equal(pending, 3);
    assert.deepEqual(databases[0], {
      name: "positions",
      path: `${dataDir}/positions.db`,
      exists: false,
      sizeBytes: null,
      journalMode: null,
      markers: null,
      hasTables: false,
      adoptable: [],
    });
    assert.deepEqual(migrations.map(({ state }) => state), ["pending", "pending", "pending"]);
    assert.deepEqual(recent, []);
    assert.deepEqual(await migrator.history(), []);
    assert.equal((await migrator.verify({ data: true })).ok, false);
    await migrator.planUpgrade();
    await migrator.planDowngrade();
  }
  assert.deepEqual(directory.names(), []);
});

Deno.test("the status of migrated databases is complete, and no file is changed", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 100);
  const before = directory.listing();
  const { ok, pending, databases, migrations, recent, conflicts } = await migrator.status();
  assert(ok);
  assert.equal(pending, 0);
  assert.deepEqual(conflicts, []);
  assert.equal(recent.length, 3);
  for (const { name, path, exists, sizeBytes, journalMode } of databases) {
    assert.equal(path, directory.file(`${name}.db`));
    assert(exists);
    assert.equal(sizeBytes, Deno.statSync(path).size);
    assert.equal(journalMode, "wal");
  }
  for (const { state, appliedAt, durationSeconds } of migrations) {
    assert.equal(state, "applied");
    assert(appliedAt !== null && appliedAt > 1_600_000_000);
    assert(durationSeconds !== null && durationSeconds >= 0);
  }
  await migrator.history();
  await migrator.verify({ data: true });
  assert.deepEqual(directory.listing(), before);
});

Deno.test("status works while a bot writes, and the bot continues", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  await using writer = await startWriter(
    directory.file("trading.db"),
    "INSERT INTO performance_metrics (metric_date, metric_time) VALUES ('2026-01-01', 1)",
  );
  const before = directory.listing({ timesOf: /\.db$/ });
  assert((await migrator.status()).ok);
  assert((await migrator.verify({ data: true })).ok);
  assert.deepEqual(directory.listing({ timesOf: /\.db$/ }), before);
  await writer.release();
});

Deno.test("failed, rolled back and changed migrations are distinguished", async () => {
  using directory = new TemporaryDirectory();
  const of = (upgrade: string, others = true) =>
    new Migrator({
      databases: { app: directory.file("app.db"), other: directory.file("other.db") },
      ledger: directory.file("m.db"),
      migrations: [
        migrationOf({ name: "001_a", upgrade }),
        ...others
          ? [
            migrationOf({ name: "002_b", database: "other", downgrade: "SELECT 1" }),
            migrationOf({ name: "003_c", database: "other", upgrade: "SELECT missing" }),
          ]
          : [],
      ],
    });
  await assert.rejects(of("CREATE TABLE a (x)").upgrade());
  await of("CREATE TABLE a (x)").downgrade({ migration: "002" });
  const statesOf = async (migrator: Migrator) =>
    (await migrator.status()).migrations.map(({ id, state }) => `${id} ${state}`);
  assert.deepEqual(
    await statesOf(of("CREATE TABLE a (y)")),
    ["001 changed", "002 rolled_back", "003 failed"],
  );
  await of("CREATE TABLE a (x)").upgrade({ migration: "002" });
  assert.deepEqual(await statesOf(of("CREATE TABLE a (x)", false)), ["001 applied", "002 missing"]);
});

Deno.test("errors in the ledger are reported, and the state is that of the databases", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  Deno.removeSync(directory.file("positions.db"));
  execute(
    directory.file("migrations.db"),
    "DELETE FROM migration_history WHERE migration_id = '002'",
  );
  const { migrations, unreconciled, pending } = await migrator.status();
  assert.deepEqual(migrations.map(({ state }) => state), ["pending", "applied", "applied"]);
  assert.deepEqual(unreconciled, ["001", "002"]);
  assert.equal(pending, 1);
});

const noMount = reasonForNoMount();
Deno.test({
  name: "the status of a read-only directory is read" + (noMount ? ` (skipped: ${noMount})` : ""),
  ignore: noMount !== null,
  fn: async () => {
    using directory = new TemporaryDirectory();
    await createBot(directory);
    using readOnly = new ReadOnlyDirectory((path) => {
      for (const name of directory.names()) {
        Deno.copyFileSync(directory.file(name), `${path}/${name}`);
      }
    });
    const migrator = createCatalystMigrator({ dataDir: readOnly.path });
    assert((await migrator.status()).ok);
    assert((await migrator.verify({ data: true })).ok);
    assert.equal((await migrator.history()).length, 6);
    assert.deepEqual((await migrator.upgrade()).applied, []);
    assert.equal((await migrator.planDowngrade()).rollBack.length, 3);
  },
});
