import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { catalystDatabases, createCatalystMigrator, prefixOf } from "../../lib/catalyst.ts";
import { RegistryError, UsageError } from "../../lib/base/errors.ts";
import { migrationOf, TemporaryDirectory } from "./support.ts";

Deno.test("the databases and the ledger are in the data directory", async () => {
  using directory = new TemporaryDirectory();
  await createCatalystMigrator({ dataDir: directory.path }).upgrade();
  assert.deepEqual(
    directory.names(),
    ["migrations.db", "migrations.lock", "ml_training.db", "positions.db", "trading.db"],
  );
});

Deno.test("a prefix replaces the directory before each name", async () => {
  using directory = new TemporaryDirectory();
  const migrator = createCatalystMigrator({ dataDir: "never", prefix: directory.file("test_") });
  await migrator.upgrade();
  assert.deepEqual(directory.names(), [
    "test_migrations.db",
    "test_migrations.lock",
    "test_ml_training.db",
    "test_positions.db",
    "test_trading.db",
  ]);
});

Deno.test("a database that the program has open replaces its file", async () => {
  using directory = new TemporaryDirectory();
  using trading = new DatabaseSync(":memory:");
  const migrator = createCatalystMigrator({ dataDir: directory.path, databases: { trading } });
  await migrator.upgrade();
  assert(!directory.names().includes("trading.db"));
  assert.equal(trading.prepare("SELECT count(*) AS rows FROM orders").get()?.["rows"], 0);
  assert((await migrator.verify({ data: true })).ok);
});

Deno.test("custom migrations come after the bundled ones", async () => {
  using directory = new TemporaryDirectory();
  const own = migrationOf({
    name: "004_notes",
    database: "trading",
    upgrade: "ALTER TABLE orders ADD COLUMN notes TEXT",
    downgrade: "ALTER TABLE orders DROP COLUMN notes",
  });
  const migrator = createCatalystMigrator({ dataDir: directory.path, migrations: [own] });
  assert.deepEqual(migrator.ids, ["001", "002", "003", "004"]);
  await migrator.upgrade();
  assert((await migrator.verify({ data: true })).ok);
  assert.deepEqual((await migrator.downgrade({ steps: 1 })).rolledBack, ["004"]);
  assert.throws(
    () => createCatalystMigrator({ migrations: [{ ...own, id: "3", name: "3_x" }] }),
    RegistryError,
  );
});

Deno.test("a directory becomes a prefix with a trailing separator", () => {
  assert.equal(prefixOf("data"), "data/");
  assert.equal(prefixOf("data/"), "data/");
  assert.equal(prefixOf(""), "");
  assert.equal(prefixOf("C:\\data\\"), "C:\\data\\");
});

Deno.test("a prefix with a NUL character is refused", () => {
  for (const options of [{ prefix: "a\0b" }, { dataDir: "a\0b" }]) {
    assert.throws(() => createCatalystMigrator(options), UsageError);
  }
});

Deno.test("the databases' names match those of the bundled migrations", async () => {
  using directory = new TemporaryDirectory();
  const { databases } = await createCatalystMigrator({ dataDir: directory.path }).status();
  assert.deepEqual(databases.map(({ name }) => name), [...catalystDatabases]);
});
