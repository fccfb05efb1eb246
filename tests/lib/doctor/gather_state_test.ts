import assert from "node:assert/strict";
import { join } from "node:path";
import { prepare } from "../../cli_helpers.ts";
import { execute, tempDir } from "../../helpers.ts";
import { examine } from "./support.ts";

/** Repeats the first event of the ledger, with another time or version. */
function repeatEvent(cwd: string, startedAt: string, version = "toolkit_version"): void {
  const kept = "migration_id, migration_name, database_name, database_path, direction, outcome";
  execute(
    join(cwd, "data/migrations.db"),
    `INSERT INTO migration_events (${kept}, started_at, toolkit_version)
    SELECT ${kept}, ${startedAt}, ${version} FROM migration_events WHERE event_id = 1`,
  );
}

Deno.test("pending migrations are a notice, and so is a ledger to correct", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "002"], { cwd });
  execute(join(cwd, "data/migrations.db"), "DELETE FROM migration_history");
  const diagnosis = await examine({ cwd });
  assert.match(diagnosis.only("migrations-pending").detail, /^pending: 003_\w+$/);
  assert.match(diagnosis.only("unreconciled").detail, /001, 002$/);
  assert.equal(diagnosis.code, 0);
});

Deno.test("an unknown migration is a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  execute(
    join(cwd, "data/trading.db"),
    `UPDATE catalyst_migrations SET migration_id = '017', migration_name = '017_of_the_future'`,
  );
  assert.match((await examine({ cwd })).only("migration-unknown").detail, /^017_of_the_future /);
});

Deno.test("a ledger of a newer version is a problem, and the databases are still examined", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  execute(join(cwd, "data/migrations.db"), "PRAGMA user_version = 99");
  const diagnosis = await examine({ cwd });
  const { database, detail } = diagnosis.only("state-unreadable");
  assert.equal(database, "migrations");
  assert.match(detail, /its format is 99/);
  diagnosis.only("migrations-applied");
});

Deno.test("a newer toolkit that was used here is reported", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  repeatEvent(cwd, "started_at", "'99.1.2'");
  assert.match(
    (await examine({ cwd })).only("newer-toolkit").detail,
    /^catalyst-migrate 99\.1\.2 /,
  );
});

Deno.test("a table of the same name and a different shape is a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.mkdir(join(cwd, "data"));
  execute(join(cwd, "data/trading.db"), "CREATE TABLE orders (mine)");
  const diagnosis = await examine({ cwd });
  assert.equal(diagnosis.code, 1);
  assert(diagnosis.codes("problem").includes("schema-conflict"));
});

Deno.test("events and markers in the future are reported, and events out of order", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const tomorrow = Math.floor(Date.now() / 1000) + 86_400;
  execute(join(cwd, "data/trading.db"), `UPDATE catalyst_migrations SET applied_at = ${tomorrow}`);
  const marked = await examine({ cwd });
  assert.match(
    marked.only("clock-behind").detail,
    /002_create_trading_tables in trading is dated /,
  );
  repeatEvent(cwd, `${tomorrow + 60}`);
  repeatEvent(cwd, "started_at");
  const recorded = await examine({ cwd });
  assert.match(recorded.only("clock-behind").detail, /001_\w+ in the ledger is dated .* 1 more/);
  assert.equal(recorded.only("events-out-of-order").level, "notice");
});

Deno.test("every unusable migration file is reported, and the others are read, as by `status`", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const files = {
    "004_broken.sql": "-- database: trading\n-- migrate:up\nCREATE TABEL a (b);\n",
    "005_nowhere.sql": "-- database: nowhere\n-- migrate:up\nSELECT 1;\n",
    "006_fine.sql": "-- database: trading\n-- migrate:up\nCREATE TABLE fine (a);\n",
    "007_thrown.js": "throw new Error('on import');",
    "008_twice.sql": "-- database: trading\n-- migrate:up\nSELECT 1;\n",
    "008_again.sql": "-- database: trading\n-- migrate:up\nSELECT 1;\n",
    "009 wrong name_.sql": "",
  };
  await Deno.mkdir(join(cwd, "migrations"));
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(cwd, "migrations", name), text);
  }
  const { checks, only } = await examine({ cwd });
  const messages = checks.filter(({ code }) => code === "migration-file").map(({ detail }) =>
    detail
  );
  for (const wanted of [/004_broken/, /005_nowhere/, /007_thrown.*on import/, /same number/]) {
    assert.equal(messages.filter((one) => wanted.test(one)).length, 1, `${wanted}: ${messages}`);
  }
  assert.match(only("own-migrations").detail, /^1 migration found in migrations$/);
  assert.match(only("migrations-pending").detail, /006_fine$/);
});
