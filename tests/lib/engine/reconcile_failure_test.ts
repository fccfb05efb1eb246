import assert from "node:assert/strict";
import { type CatalystError, defineMigration, MigrationFailedError } from "../../../mod.ts";
import { contentOf, insertRows, query, tempDir } from "../../helpers.ts";
import { appMigrator } from "../operations/app.ts";
import { historyOf, migratorOf } from "./reconcile_support.ts";

Deno.test("a failed rollback leaves the migration applied and keeps its row", async () => {
  await using dir = await tempDir();
  const migrator = appMigrator(dir, [
    defineMigration({
      name: "001_notes",
      database: "app",
      upgrade: "CREATE TABLE notes (body TEXT)",
      downgrade: "DROP TABLE notes; DROP TABLE nothing",
    }),
  ]);
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

Deno.test("a migration that fails and then succeeds is applied; a later failure never undoes that", async () => {
  await using dir = await tempDir();
  let fails = true;
  const migrator = appMigrator(dir, [
    defineMigration({
      name: "001_notes",
      database: "app",
      upgrade: async (transaction) => {
        await transaction.exec("CREATE TABLE notes (body TEXT)");
        if (fails) throw new Error("not today");
      },
      downgrade: "DROP TABLE notes",
    }),
  ]);
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

Deno.test("rows that a bot inserts after the confirmation are not lost silently", async () => {
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
