import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  createCatalystMigrator,
  defineMigration,
  type Migrator,
  UnknownMarkerError,
} from "../../../mod.ts";
import {
  contentOf,
  copyDirectory,
  execute,
  existsSync,
  filesOf,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { appMigrator } from "../operations/app.ts";
import {
  assertAgreed,
  contents,
  crashBeforeRecording,
  eventsOf,
  historyOf,
  migrated,
  migratorOf,
  statusOf,
  upgradeByCli,
} from "./reconcile_support.ts";

Deno.test("a crash between the commit of an upgrade and that of the ledger is corrected", async () => {
  await using dir = await migrated();
  const before = contents(dir);
  crashBeforeRecording(dir, { id: "002", direction: "upgrade" });
  execute(
    dir.database("migrations"),
    "DELETE FROM migration_history WHERE migration_id = '002'",
  );
  assert.equal((await statusOf(dir))["002"], "applied");
  const result = await upgradeByCli(dir);
  assert.deepEqual(result, { applied: [], adopted: [], reconciled: ["002"] });
  assert.deepEqual(contents(dir), before);
  await assertAgreed(dir);
});

Deno.test("a crash between the commit of a rollback and that of the ledger is corrected", async () => {
  await using dir = await migrated();
  const ledger = await Deno.readFile(dir.database("migrations"));
  await migratorOf(dir).downgrade({ migration: "002", confirm: () => true });
  await Deno.writeFile(dir.database("migrations"), ledger);
  crashBeforeRecording(dir, { id: "002", direction: "downgrade" });
  assert.equal((await statusOf(dir))["002"], "rolled_back");
  // Other commands correct it as well, and do not create the tables again.
  const { reconciled, recreated } = await migratorOf(dir).repair();
  assert.deepEqual([reconciled, recreated], [["002"], []]);
  assert.deepEqual(historyOf(dir)["002"], "rolled_back");
  assert.equal((await statusOf(dir))["002"], "rolled_back");
  assert.deepEqual(contentOf(dir.database("trading")).objects, []);
  assert.deepEqual(await upgradeByCli(dir), { applied: ["002"], adopted: [], reconciled: [] });
  await assertAgreed(dir);
});

Deno.test("a crash before an upgrade's commit leaves it pending", async () => {
  await using dir = await migrated();
  await migratorOf(dir).downgrade({ migration: "002", confirm: () => true });
  crashBeforeRecording(dir, { id: "002", direction: "upgrade" });
  assert.deepEqual(await upgradeByCli(dir), { applied: ["002"], adopted: [], reconciled: [] });
  await assertAgreed(dir);
});

Deno.test("a crash before a rollback's commit leaves the migration applied, and is not mistaken for a rollback later", async () => {
  await using dir = await migrated();
  const before = contents(dir);
  crashBeforeRecording(dir, { id: "002", direction: "downgrade" });
  assert.equal((await statusOf(dir))["002"], "applied");
  assert.deepEqual(await upgradeByCli(dir), { applied: [], adopted: [], reconciled: ["002"] });
  assert.deepEqual(contents(dir), before);
  await assertAgreed(dir);
  await Deno.remove(dir.database("trading"));
  assert.equal((await statusOf(dir))["002"], "pending");
});

Deno.test("a deleted ledger is created again from the markers, with their times", async () => {
  await using dir = await migrated();
  const before = contents(dir);
  const rows = query(dir.database("migrations"), "SELECT * FROM migration_history ORDER BY 1");
  await Deno.remove(dir.database("migrations"));
  assert.deepEqual(await statusOf(dir), { "001": "applied", "002": "applied", "003": "applied" });
  assert.ok(!existsSync(dir.database("migrations")), "status created the ledger");
  const result = await upgradeByCli(dir);
  assert.deepEqual(result, { applied: [], adopted: [], reconciled: ["001", "002", "003"] });
  assert.deepEqual(contents(dir), before);
  const { applied_at, status, duration_seconds } = rows[1] ?? {};
  const after = query(dir.database("migrations"), "SELECT * FROM migration_history ORDER BY 1");
  assert.deepEqual(after, rows);
  assert.ok(applied_at !== undefined && status === "applied" && duration_seconds !== null);
  await assertAgreed(dir);
});

Deno.test("a manually edited ledger is corrected from the markers", async () => {
  await using dir = await migrated();
  execute(
    dir.database("migrations"),
    `UPDATE migration_history SET status = 'failed', error_message = 'x' WHERE migration_id = '001';
    UPDATE migration_history SET status = 'rolled_back' WHERE migration_id = '002';
    UPDATE migration_history SET migration_name = '003_other' WHERE migration_id = '003';`,
  );
  assert.deepEqual((await upgradeByCli(dir)).reconciled, ["001", "002", "003"]);
  await assertAgreed(dir);
});

Deno.test("the migrations of a manually deleted database are pending again", async () => {
  await using dir = await migrated();
  await Deno.remove(dir.database("trading"));
  const { positions, ml_training } = contents(dir);
  assert.deepEqual(await statusOf(dir), { "001": "applied", "002": "pending", "003": "applied" });
  const check = await runCli(["status", "--check", "--data-dir", dir.path]);
  assert.equal(check.code, 1);
  assert.ok(!existsSync(dir.database("trading")), "status created the database");
  const result = await upgradeByCli(dir);
  assert.deepEqual(result, { applied: ["002"], adopted: [], reconciled: ["002"] });
  const after = contents(dir);
  assert.deepEqual([after.positions, after.ml_training], [positions, ml_training]);
  assert.ok(
    query(dir.database("migrations"), "SELECT detail FROM migration_events").some(({ detail }) =>
      String(detail).includes(`"status":"applied"`)
    ),
    "the event does not say what the ledger had said",
  );
  await assertAgreed(dir);
});

Deno.test("a database and the ledger that were deleted together are created again", async () => {
  await using dir = await migrated();
  await Deno.remove(dir.database("trading"));
  await Deno.remove(dir.database("migrations"));
  const result = await upgradeByCli(dir);
  assert.deepEqual(result, { applied: ["002"], adopted: [], reconciled: ["001", "003"] });
  await assertAgreed(dir);
});

/** Two migrations of one database, so that an older copy has only the first. */
function twoSteps(dir: TempDir): Migrator {
  return appMigrator(dir, [
    defineMigration({
      name: "001_notes",
      database: "app",
      upgrade: "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL)",
      downgrade: "DROP TABLE notes",
    }),
    defineMigration({
      name: "002_tags",
      database: "app",
      upgrade: "CREATE TABLE tags (tag TEXT PRIMARY KEY); ALTER TABLE notes ADD COLUMN tag TEXT",
      downgrade: "ALTER TABLE notes DROP COLUMN tag; DROP TABLE tags",
    }),
  ]);
}

Deno.test("a migration is applied again to a database restored from a copy from before it", async () => {
  await using dir = await tempDir();
  const migrator = twoSteps(dir);
  await migrator.upgrade({ to: "001" });
  execute(`${dir.path}/app.db`, "INSERT INTO notes (body) VALUES ('kept')");
  const copy = await Deno.readFile(`${dir.path}/app.db`);
  await migrator.upgrade();
  await Deno.writeFile(`${dir.path}/app.db`, copy);
  assert.deepEqual((await migrator.status()).migrations.map(({ state }) => state), [
    "applied",
    "pending",
  ]);
  const { applied, adopted, reconciled } = await migrator.upgrade();
  assert.deepEqual([applied.map(({ id }) => id), adopted, reconciled], [["002"], [], ["002"]]);
  const { rows, markers } = contentOf(`${dir.path}/app.db`);
  assert.deepEqual(rows["notes"], [{ note_id: 1, body: "kept", tag: null }]);
  assert.deepEqual(markers, ["001", "002"]);
  assert.ok((await migrator.verify()).ok);
});

Deno.test("after restoring a copy from before a rollback, the migration is applied, regardless of the ledger", async () => {
  await using dir = await tempDir();
  const migrator = twoSteps(dir);
  await migrator.upgrade();
  execute(`${dir.path}/app.db`, "INSERT INTO notes (body, tag) VALUES ('kept', 'a')");
  const copy = await Deno.readFile(`${dir.path}/app.db`);
  await migrator.downgrade({ confirm: () => true });
  await Deno.writeFile(`${dir.path}/app.db`, copy);
  assert.ok((await migrator.status()).ok);
  const { applied, reconciled } = await migrator.upgrade();
  assert.deepEqual([applied, reconciled], [[], ["001", "002"]]);
  assert.deepEqual(contentOf(`${dir.path}/app.db`).rows["notes"], [{
    note_id: 1,
    body: "kept",
    tag: "a",
  }]);
});

Deno.test("a rollback reconciles too: a migration only in the ledger is not rolled back", async () => {
  await using dir = await migrated();
  await Deno.remove(dir.database("trading"));
  const { code, stdout } = await runCli(["downgrade", "--yes", "--json", "--data-dir", dir.path]);
  assert.equal(code, 0, stdout);
  assert.deepEqual(JSON.parse(stdout).rolledBack, ["003", "001"]);
  assert.ok(!existsSync(dir.database("trading")));
  assert.deepEqual(historyOf(dir), { "001": "rolled_back", "003": "rolled_back" });
});

Deno.test("a renamed directory and a copy of it have their own state", async () => {
  await using dir = await migrated();
  await using parent = await tempDir();
  const [copied, renamed] = [`${parent.path}/copied`, `${parent.path}/renamed`];
  const before = contents(dir);
  await copyDirectory(dir.path, copied);
  await copyDirectory(dir.path, `${parent.path}/former`);
  await Deno.rename(`${parent.path}/former`, renamed);
  for (const path of [copied, renamed]) {
    const there = { ...dir, path, database: (name: string) => `${path}/${name}.db` };
    const files = filesOf(path);
    assert.deepEqual(await statusOf(there), await statusOf(dir));
    assert.deepEqual(await upgradeByCli(there), { applied: [], adopted: [], reconciled: [] });
    assert.deepEqual(filesOf(path), files);
    assert.deepEqual(contents(there), before);
  }
  // Changes to the copy do not affect the original.
  await createCatalystMigrator({ dataDir: copied }).downgrade({ confirm: () => true });
  assert.deepEqual(contents(dir), before);
  await assertAgreed(dir);
});

Deno.test("databases of another directory keep their own state beside a different ledger", async () => {
  await using dir = await migrated();
  await using other = await tempDir();
  await migratorOf(other).upgrade({ to: "001" });
  await Deno.copyFile(dir.database("trading"), other.database("trading"));
  assert.deepEqual(await statusOf(other), { "001": "applied", "002": "applied", "003": "pending" });
  const result = await upgradeByCli(other);
  assert.deepEqual(result, { applied: ["003"], adopted: [], reconciled: ["002"] });
  assert.deepEqual(contentOf(other.database("trading")), contentOf(dir.database("trading")));
  await assertAgreed(other);
});

Deno.test("two databases with swapped files are refused and left unchanged", async () => {
  await using dir = await migrated();
  await Deno.rename(dir.database("trading"), `${dir.path}/swap`);
  await Deno.rename(dir.database("positions"), dir.database("trading"));
  await Deno.rename(`${dir.path}/swap`, dir.database("positions"));
  const files = filesOf(dir.path);
  const migrator = migratorOf(dir);
  await assert.rejects(migrator.upgrade(), UnknownMarkerError);
  await assert.rejects(migrator.downgrade({ confirm: () => true }), UnknownMarkerError);
  const { migrations } = await migrator.status();
  assert.equal(migrations.filter(({ state }) => state === "missing").length, 2);
  assert.deepEqual(filesOf(dir.path), files);
});

Deno.test("reconciling only ever adds events", async () => {
  await using dir = await migrated();
  let events = eventsOf(dir);
  const assertAdded = (): void => {
    const now = eventsOf(dir);
    assert.ok(now.length > events.length);
    assert.deepEqual(now.slice(0, events.length), events);
    events = now;
  };
  execute(dir.database("migrations"), "DELETE FROM migration_history");
  await migratorOf(dir).upgrade();
  assertAdded();
  await migratorOf(dir).downgrade({ confirm: () => true });
  assertAdded();
  await migratorOf(dir).upgrade();
  assertAdded();
  for (const sql of ["UPDATE migration_events SET outcome = 'x'", "DELETE FROM migration_events"]) {
    assert.throws(() => execute(dir.database("migrations"), sql), /only ever added to/);
  }
  using db = new DatabaseSync(dir.database("migrations"));
  db.exec("PRAGMA recursive_triggers = ON");
  assert.throws(
    () => db.exec("REPLACE INTO migration_events SELECT * FROM migration_events LIMIT 1"),
    /only ever added to/,
  );
  assert.deepEqual(eventsOf(dir), events);
});
