import assert from "node:assert/strict";
import { LocationError } from "../../../lib/base/errors.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { existsSync } from "../../helpers.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";
import { Bot, filesOf, writeFake } from "./bot.ts";

const notes = migrationOf({
  name: "001_notes",
  upgrade: "CREATE TABLE notes (body)",
  downgrade: "DROP TABLE notes",
});
const tags = migrationOf({
  name: "002_tags",
  upgrade: "ALTER TABLE notes ADD COLUMN tag",
  downgrade: "ALTER TABLE notes DROP COLUMN tag",
});
const other = migrationOf({
  name: "003_other",
  database: "other",
  upgrade: "CREATE TABLE things (a)",
  downgrade: "DROP TABLE things",
});

function migratorIn(
  directory: TemporaryDirectory,
  migrations: readonly Migration[] = [notes, tags, other],
): Migrator {
  return new Migrator({
    databases: { app: directory.file("app.db"), other: directory.file("other.db") },
    ledger: directory.file("migrations.db"),
    migrations,
    alone: true,
  });
}

/** Databases after the first migration, with or without a row. */
async function begun(options: { rows?: boolean } = {}): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  await migratorIn(directory, [notes]).upgrade();
  if (options.rows ?? true) execute(directory.file("app.db"), "INSERT INTO notes VALUES ('first')");
  return directory;
}

/** Reasons and databases of the snapshots, newest first. */
async function taken(migrator: Migrator): Promise<unknown[]> {
  return (await migrator.listSnapshots()).map(({ name, manifest, problems }) => [
    ...[name, manifest?.reason, manifest?.files.map(({ database }) => database).join(" ")],
    ...problems,
  ]);
}

Deno.test("an upgrade first takes a snapshot of the databases that it changes and that hold rows", async () => {
  using directory = await begun();
  const migrator = migratorIn(directory);
  const { snapshot, applied } = await migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["002", "003"]);
  assert.deepEqual(await taken(migrator), [[snapshot, "automatic", "app migrations"]]);
  // It shows the state before the change.
  const columns = `SELECT name FROM pragma_table_info('notes')`;
  assert.deepEqual(query(`${directory.path}/backups/app_${snapshot}.db`, columns), [
    { name: "body" },
  ]);
  const details = (await migrator.history()).filter(({ id }) => id !== "001")
    .map(({ detail }) => detail);
  assert.deepEqual(new Set(details), new Set([`snapshot ${snapshot} was taken before`]));
  await migrator.restoreSnapshot(snapshot ?? "", { confirm: () => true });
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM notes"), [{ body: "first" }]);
});

Deno.test("without rows, changes or the option, no snapshot is taken", async () => {
  using empty = await begun({ rows: false });
  assert.equal((await migratorIn(empty).upgrade()).snapshot, null);
  assert.equal((await migratorIn(empty).upgrade()).snapshot, null);
  using unwished = await begun();
  assert.equal((await migratorIn(unwished).upgrade({ backup: false })).snapshot, null);
  using elsewhere = await begun();
  assert.equal((await migratorIn(elsewhere, [notes, other]).upgrade()).snapshot, null);
  for (const directory of [empty, unwished, elsewhere]) {
    assert(!directory.names().includes("backups"));
    const details = (await migratorIn(directory).history()).map(({ detail }) => detail);
    assert(details.every((detail) => detail === null));
  }
});

Deno.test("a downgrade that loses rows first takes a snapshot, from which they can be restored", async () => {
  using directory = await begun();
  const migrator = migratorIn(directory, [notes]);
  const yes = { confirm: () => true };
  const { snapshot, lost } = await migrator.downgrade(yes);
  assert.equal(lost[0]?.rows, 1);
  assert.deepEqual(await taken(migrator), [[snapshot, "automatic", "app migrations"]]);
  const [newest] = await migrator.history({ limit: 1 });
  assert.equal(newest?.detail, `snapshot ${snapshot} was taken before`);
  await migrator.restoreSnapshot(snapshot ?? "", yes);
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM notes"), [{ body: "first" }]);
  assert((await migrator.status()).ok);
});

Deno.test("a downgrade that is not confirmed, loses no rows, or has backups turned off takes no snapshot", async () => {
  using directory = await begun();
  const migrator = migratorIn(directory, [notes]);
  await assert.rejects(migrator.downgrade());
  assert.equal((await migrator.downgrade({ confirm: () => true, backup: false })).snapshot, null);
  await migrator.upgrade();
  assert.equal((await migrator.downgrade()).snapshot, null);
  assert(!directory.names().includes("backups"));
});

Deno.test("a repair first takes a snapshot of the databases that it changes and that hold rows", async () => {
  using bot = await Bot.create(3);
  execute(bot.file("trading.db"), "DROP INDEX idx_orders_ticker");
  execute(bot.file("ml_training.db"), "DROP INDEX idx_training_runs_algorithm");
  const missing = await bot.migrator.repair({ dryRun: true });
  assert.deepEqual([missing.snapshot, missing.recreated.length], [null, 2]);
  assert(!bot.names().includes("backups"));
  const { snapshot, recreated } = await bot.migrator.repair();
  assert.equal(recreated.length, 2);
  assert.deepEqual(await taken(bot.migrator), [[snapshot, "automatic", "trading migrations"]]);
  execute(bot.file("trading.db"), "DROP INDEX idx_orders_ticker");
  assert.equal((await bot.migrator.repair({ backup: false })).snapshot, null);
  assert.equal((await bot.migrator.repair()).snapshot, null);
});

Deno.test("the last ten automatic snapshots of a database are kept, and no others are touched", async () => {
  using directory = await begun();
  const backups = directory.file("backups");
  const old = 1_500_000_000;
  const databases = ["app", "migrations"];
  const others: string[] = [];
  for (let number = 0; number < 12; number++) {
    const createdAt = old - 100 + number;
    others.push(await writeFake(backups, { createdAt, reason: "manual", databases }));
  }
  others.push(
    await writeFake(backups, { createdAt: old - 2, reason: "safety", databases }),
    // The last good copy of another database, however old.
    await writeFake(backups, { createdAt: old - 1, reason: "automatic", databases: ["other"] }),
  );
  const automatic: string[] = [];
  for (let number = 0; number < 12; number++) {
    const createdAt = old + number;
    automatic.push(await writeFake(backups, { createdAt, reason: "automatic", databases }));
  }
  const migrator = migratorIn(directory);
  const { snapshot } = await migrator.upgrade();
  const names = (await migrator.listSnapshots()).map(({ name }) => name);
  assert.deepEqual(
    names,
    [snapshot, ...automatic.slice(-9).toReversed(), ...others.toReversed()],
  );
  assert.equal(filesOf(backups).filter((file) => file.endsWith(".json")).length, names.length);
});

Deno.test("if the clock was set back, the new snapshot is kept, and those of the future are neither removed nor counted", async () => {
  using directory = await begun();
  const backups = directory.file("backups");
  const databases = ["app", "migrations"];
  const tomorrow = Math.floor(Date.now() / 1000) + 86_400;
  for (let number = 0; number < 12; number++) {
    const createdAt = tomorrow + number;
    await writeFake(backups, { createdAt, reason: "automatic", databases });
    await writeFake(backups, { createdAt: createdAt + 100, reason: "safety", databases });
  }
  const migrator = migratorIn(directory);
  const { snapshot } = await migrator.upgrade();
  const names = async () => (await migrator.listSnapshots()).map(({ name }) => name);
  assert.ok(snapshot !== null && (await names()).includes(snapshot));
  const { name } = await migrator.createSnapshot();
  assert.deepEqual(await migrator.pruneSnapshots({ keep: 1 }), []);
  assert.equal((await names()).length, 26);
  assert.equal((await migrator.planRestore("latest")).snapshot, name);
  const confirm = () => true;
  const { safety } = await migrator.restoreSnapshot(name, { confirm });
  assert.equal((await migrator.undoRestore({ confirm })).snapshot, safety);
});

Deno.test("if no snapshot can be taken, nothing is changed", async () => {
  using directory = await begun();
  const backups = directory.file("backups");
  Deno.writeTextFileSync(backups, "mine");
  const migrator = migratorIn(directory);
  const before = [await migrator.history(), directory.listing({ timesOf: /app/ })];
  await assert.rejects(migrator.upgrade(), LocationError);
  await assert.rejects(
    migratorIn(directory, [notes]).downgrade({ confirm: () => true }),
    LocationError,
  );
  assert.deepEqual([await migrator.history(), directory.listing({ timesOf: /app/ })], before);
  assert(!existsSync(directory.file("other.db")));
  const { applied } = await migrator.upgrade({ backup: false });
  assert.equal(applied.length, 2);
});

Deno.test("a failed migration leaves its database unchanged, and keeps the snapshot", async () => {
  using directory = await begun();
  const wrong = migrationOf({
    name: "002_wrong",
    upgrade: "DELETE FROM notes; CREATE TABLE notes (a)",
    destroys: ["notes"],
  });
  const migrator = migratorIn(directory, [notes, wrong]);
  await assert.rejects(migrator.upgrade());
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM notes"), [{ body: "first" }]);
  const [entry, ...others] = await migrator.listSnapshots();
  assert.deepEqual([entry?.manifest?.reason, entry?.problems, others], ["automatic", [], []]);
  const [failed] = await migrator.history({ limit: 1 });
  assert.deepEqual(
    [failed?.outcome, failed?.detail],
    ["failed", `snapshot ${entry?.name} was taken before`],
  );
});
