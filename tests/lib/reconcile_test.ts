import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  type CatalystError,
  createCatalystMigrator,
  defineMigration,
  MigrationFailedError,
  Migrator,
  UnknownMarkerError,
} from "../../mod.ts";
import {
  contentOf,
  copyDirectory,
  type DatabaseName,
  databaseNames,
  execute,
  existsSync,
  filesOf,
  idOf,
  insertRows,
  type PlainRow,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../helpers.ts";

Deno.test("a crash after an upgrade's commit and before the ledger's is corrected", async () => {
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

Deno.test("a crash after a rollback's commit and before the ledger's is corrected", async () => {
  await using dir = await migrated();
  const ledger = await Deno.readFile(dir.database("migrations"));
  await migratorOf(dir).downgrade({ migration: "002", confirm: () => true });
  await Deno.writeFile(dir.database("migrations"), ledger);
  crashBeforeRecording(dir, { id: "002", direction: "downgrade" });
  assert.equal((await statusOf(dir))["002"], "rolled_back");
  // Another command than upgrade sets it right as well, and doesn't bring the tables back.
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

Deno.test("a crash before a rollback's commit leaves the migration applied, and is not taken for a rollback later", async () => {
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

Deno.test("a deleted ledger is written again from the markers, with their moments", async () => {
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

Deno.test("a ledger whose rows were edited by hand is set right by the markers", async () => {
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

Deno.test("a database that was deleted by hand has its migrations pending again", async () => {
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

Deno.test("a database and the ledger that were deleted together are made again", async () => {
  await using dir = await migrated();
  await Deno.remove(dir.database("trading"));
  await Deno.remove(dir.database("migrations"));
  const result = await upgradeByCli(dir);
  assert.deepEqual(result, { applied: ["002"], adopted: [], reconciled: ["001", "003"] });
  await assertAgreed(dir);
});

/** Two migrations of one database, so that an older copy of it has the first alone. */
function twoSteps(dir: TempDir): Migrator {
  return new Migrator({
    databases: { app: `${dir.path}/app.db` },
    ledger: dir.database("migrations"),
    migrations: [
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
    ],
  });
}

Deno.test("a database restored from a copy made before a migration gets that migration again", async () => {
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

Deno.test("a database restored from a copy made before a rollback is applied, whatever the ledger says", async () => {
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

Deno.test("a rollback reconciles as well: what the ledger has and the database hasn't is not rolled back", async () => {
  await using dir = await migrated();
  await Deno.remove(dir.database("trading"));
  const { code, stdout } = await runCli(["downgrade", "--yes", "--json", "--data-dir", dir.path]);
  assert.equal(code, 0, stdout);
  assert.deepEqual(JSON.parse(stdout).rolledBack, ["003", "001"]);
  assert.ok(!existsSync(dir.database("trading")));
  assert.deepEqual(historyOf(dir), { "001": "rolled_back", "003": "rolled_back" });
});

Deno.test("a renamed directory and a copy of it tell their own state", async () => {
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
  // What is done to the copy is not done to the original.
  await createCatalystMigrator({ dataDir: copied }).downgrade({ confirm: () => true });
  assert.deepEqual(contents(dir), before);
  await assertAgreed(dir);
});

Deno.test("databases of another directory tell their own state beside a ledger that isn't theirs", async () => {
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

Deno.test("two databases whose files were swapped are refused and left as they are", async () => {
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

Deno.test("events are only ever added, whatever is reconciled", async () => {
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

Deno.test("a failed rollback leaves the migration applied, and its row", async () => {
  await using dir = await tempDir();
  const migrator = new Migrator({
    databases: { app: `${dir.path}/app.db` },
    ledger: dir.database("migrations"),
    migrations: [
      defineMigration({
        name: "001_notes",
        database: "app",
        upgrade: "CREATE TABLE notes (body TEXT)",
        downgrade: "DROP TABLE notes; DROP TABLE nothing",
      }),
    ],
  });
  await migrator.upgrade();
  const before = [query(dir.database("migrations"), "SELECT * FROM migration_history")];
  await assert.rejects(migrator.downgrade(), (error: CatalystError) => {
    assert.ok(error instanceof MigrationFailedError);
    assert.deepEqual(error.progress?.failed, "001");
    return true;
  });
  assert.deepEqual([query(dir.database("migrations"), "SELECT * FROM migration_history")], before);
  assert.deepEqual(contentOf(`${dir.path}/app.db`).markers, ["001"]);
  assert.deepEqual((await migrator.history({ limit: 1 }))[0]?.outcome, "failed");
  assert.ok((await migrator.status()).ok);
});

Deno.test("a migration that failed and then succeeds is applied; failing again never undoes that", async () => {
  await using dir = await tempDir();
  let fails = true;
  const migrator = new Migrator({
    databases: { app: `${dir.path}/app.db` },
    ledger: dir.database("migrations"),
    migrations: [
      defineMigration({
        name: "001_notes",
        database: "app",
        upgrade: async (transaction) => {
          await transaction.exec("CREATE TABLE notes (body TEXT)");
          if (fails) throw new Error("not today");
        },
        downgrade: "DROP TABLE notes",
      }),
    ],
  });
  await assert.rejects(migrator.upgrade(), /not today/);
  assert.deepEqual(historyOf(dir), { "001": "failed" });
  assert.deepEqual(contentOf(`${dir.path}/app.db`).objects, []);
  fails = false;
  await migrator.upgrade();
  assert.deepEqual(historyOf(dir), { "001": "applied" });
  fails = true;
  for (const request of [{}, { migration: "001" }, { to: "001" }]) {
    assert.deepEqual((await migrator.upgrade(request)).applied, []);
  }
  assert.deepEqual(historyOf(dir), { "001": "applied" });
});

Deno.test("rows that a bot inserts after the question was answered are not lost unsaid", async () => {
  await using dir = await tempDir();
  const migrator = migratorOf(dir);
  await migrator.upgrade();
  const confirm = () => assert.fail("there was nothing to lose");
  const rollback = migrator.downgrade({
    migration: "002",
    confirm,
    onProgress: ({ kind }) => {
      if (kind === "started") insertRows(dir.database("trading"), "trading", 1);
    },
  });
  await assert.rejects(rollback, MigrationFailedError);
  const { rows, markers } = contentOf(dir.database("trading"));
  assert.deepEqual([rows["orders"]?.length, markers], [1, ["002"]]);
});

/** A directory with all migrations applied and rows in every table. */
async function migrated(): Promise<TempDir> {
  const dir = await tempDir();
  await migratorOf(dir).upgrade();
  for (const name of databaseNames) insertRows(dir.database(name), name);
  return dir;
}

function migratorOf(dir: TempDir): Migrator {
  return createCatalystMigrator({ dataDir: dir.path });
}

/** Adds to the ledger what a process leaves that is killed after it wrote that it begins. */
function crashBeforeRecording(
  dir: TempDir,
  { id, direction }: { readonly id: string; readonly direction: string },
): void {
  execute(
    dir.database("migrations"),
    `INSERT INTO migration_events (
      migration_id, migration_name, database_name, database_path, direction, outcome, started_at,
      toolkit_version
    ) SELECT
      migration_id, migration_name, database_name, database_path, '${direction}', 'started', 1, '0'
    FROM migration_events
    WHERE migration_id = '${id}'
    LIMIT 1`,
  );
}

function contents(
  dir: Pick<TempDir, "database">,
): Record<DatabaseName, ReturnType<typeof contentOf>> {
  const of = (name: DatabaseName) => contentOf(dir.database(name));
  return { positions: of("positions"), trading: of("trading"), ml_training: of("ml_training") };
}

function eventsOf(dir: TempDir): PlainRow[] {
  return query(dir.database("migrations"), "SELECT * FROM migration_events ORDER BY event_id");
}

/** Status by migration id, as the ledger has it. */
function historyOf(dir: TempDir): Record<string, unknown> {
  const rows = query(
    dir.database("migrations"),
    "SELECT migration_id, status FROM migration_history ORDER BY 1",
  );
  return Object.fromEntries(rows.map((row) => [row["migration_id"], row["status"]]));
}

/** State by migration id, as the command line tells it. */
async function statusOf(dir: Pick<TempDir, "path">): Promise<Record<string, string>> {
  const { stdout } = await runCli(["status", "--json", "--data-dir", dir.path]);
  const { migrations } = JSON.parse(stdout);
  return Object.fromEntries(
    migrations.map(({ id, state }: { id: string; state: string }) => [id, state]),
  );
}

async function upgradeByCli(
  dir: Pick<TempDir, "path">,
): Promise<{ applied: string[]; adopted: string[]; reconciled: string[] }> {
  const { code, stdout } = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
  assert.equal(code, 0, stdout);
  const { applied, adopted, reconciled } = JSON.parse(stdout);
  return { applied: applied.map(({ id }: { id: string }) => id), adopted, reconciled };
}

/** Ledger, markers and schema agree, and there is nothing left to do. */
async function assertAgreed(dir: TempDir): Promise<void> {
  assert.deepEqual(historyOf(dir), { "001": "applied", "002": "applied", "003": "applied" });
  for (const name of databaseNames) {
    assert.deepEqual(contentOf(dir.database(name)).markers, [idOf[name]]);
  }
  const migrator = migratorOf(dir);
  const { ok, unreconciled } = await migrator.status();
  assert.deepEqual({ ok, unreconciled }, { ok: true, unreconciled: [] });
  assert.ok((await migrator.verify()).ok);
  assert.deepEqual(await upgradeByCli(dir), { applied: [], adopted: [], reconciled: [] });
}
