import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CatalystError,
  ChangedMigrationError,
  InterruptedError,
  MigrationFailedError,
  UnknownMarkerError,
} from "../../../lib/base/errors.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { createBot, execute, fillBot, migrationOf, query, TemporaryDirectory } from "../support.ts";
import { definitions } from "../arbitraries.ts";

/** A migrator of one database, `app`, in a directory. */
function migratorOf(directory: TemporaryDirectory, migrations: readonly Migration[]): Migrator {
  return new Migrator({
    databases: { app: directory.file("app.db") },
    ledger: directory.file("migrations.db"),
    migrations,
  });
}

const first = migrationOf({
  name: "001_a",
  upgrade: "CREATE TABLE a (x)",
  downgrade: "DROP TABLE a",
});
const second = migrationOf({
  name: "002_b",
  upgrade: "CREATE TABLE b (x)",
  downgrade: "DROP TABLE b",
});
const third = migrationOf({
  name: "003_c",
  upgrade: "CREATE TABLE c (x)",
  downgrade: "DROP TABLE c",
});
const all = [first, second, third];

function tablesOf(directory: TemporaryDirectory): unknown[] {
  return query(
    directory.file("app.db"),
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'catalyst_migrations'",
  ).map((row) => Object.values(row as object)[0]);
}

Deno.test("any set of migrations is applied in order, each with its marker and its ledger row", async () => {
  await fc.assert(
    fc.asyncProperty(definitions, async ({ migrations, databases }) => {
      using directory = new TemporaryDirectory();
      const migrator = new Migrator({
        databases: Object.fromEntries(
          databases.map((name) => [name, directory.file(`${name}.db`)]),
        ),
        ledger: directory.file("migrations.db"),
        migrations,
      });
      const { applied } = await migrator.upgrade();
      assert.deepEqual(applied.map(({ id }) => id), migrator.ids);
      assert((await migrator.verify()).ok);
      assert.deepEqual(await migrator.upgrade(), {
        applied: [],
        adopted: [],
        reconciled: [],
        snapshot: null,
      });
      for (const { id, name, database } of migrations) {
        const markers =
          "SELECT migration_name AS name FROM catalyst_migrations WHERE migration_id = ?";
        assert.deepEqual(query(directory.file(`${database}.db`), markers, id), [{ name }]);
        const rows =
          "SELECT status, database_path AS path FROM migration_history WHERE migration_id = ?";
        assert.deepEqual(
          query(directory.file("migrations.db"), rows, id),
          [{ status: "applied", path: directory.file(`${database}.db`) }],
        );
      }
    }),
    { numRuns: 8 },
  );
});

Deno.test("only the requested migration, or those up to it, are applied", async () => {
  using directory = new TemporaryDirectory();
  const migrator = migratorOf(directory, all);
  const ids = async (request: Parameters<Migrator["upgrade"]>[0]) =>
    (await migrator.upgrade(request)).applied.map(({ id }) => id);
  assert.deepEqual(await ids({ migration: "1" }), ["001"]);
  assert.deepEqual(await ids({ to: "002_b" }), ["002"]);
  assert.deepEqual(await ids({}), ["003"]);
});

Deno.test("a plan changes nothing, and creates no file or directory", async () => {
  using directory = new TemporaryDirectory();
  const migrator = new Migrator({
    databases: { app: directory.file("new/app.db") },
    ledger: directory.file("new/migrations.db"),
    migrations: all,
  });
  const { apply, adopt, reconcile } = await migrator.planUpgrade({ to: "2" });
  assert.deepEqual(apply, [first, second]);
  assert.deepEqual([...adopt, ...reconcile], []);
  assert.deepEqual(directory.names(), []);
});

Deno.test("it stops at the first failure, keeps what was applied before, and reports it", async () => {
  using directory = new TemporaryDirectory();
  const broken = migrationOf({
    name: "002_b",
    upgrade: "CREATE TABLE b (x);\nINSERT INTO missing VALUES (1)",
  });
  await assert.rejects(migratorOf(directory, [first, broken, third]).upgrade(), (error) => {
    assert(error instanceof MigrationFailedError);
    assert.equal(error.migration, "002_b");
    assert.equal(error.database, "app");
    assert.equal(error.line, 2);
    assert.match(error.statement ?? "", /INSERT INTO missing/);
    assert.deepEqual(error.progress, {
      done: ["001"],
      adopted: [],
      reconciled: [],
      failed: "002",
    });
    return true;
  });
  assert.deepEqual(tablesOf(directory), ["a"]);
  const { migrations } = await migratorOf(directory, all).status();
  assert.deepEqual(migrations.map(({ state }) => state), ["applied", "failed", "pending"]);
  assert.equal((await migratorOf(directory, all).upgrade()).applied.length, 2);
  assert.deepEqual(tablesOf(directory), ["a", "b", "c"]);
});

Deno.test("a function that throws fails its migration, which leaves nothing behind", async () => {
  using directory = new TemporaryDirectory();
  const failing = migrationOf({
    name: "001_a",
    upgrade: async (transaction) => {
      await transaction.exec("CREATE TABLE a (x)");
      throw new RangeError("not today");
    },
  });
  await assert.rejects(migratorOf(directory, [failing]).upgrade(), /001_a.*not today/);
  assert.deepEqual(tablesOf(directory), []);
});

Deno.test("progress is reported before and after each migration", async () => {
  using directory = new TemporaryDirectory();
  const told: string[] = [];
  await migratorOf(directory, [first, second]).upgrade({
    onProgress: ({ kind, id, durationSeconds }) => {
      told.push(`${kind} ${id} ${durationSeconds === null ? "" : "timed"}`.trim());
    },
  });
  assert.deepEqual(told, [
    "started 001",
    "finished 001 timed",
    "started 002",
    "finished 002 timed",
  ]);
});

Deno.test("an abort rolls the running migration back and keeps earlier ones", async () => {
  using directory = new TemporaryDirectory();
  const controller = new AbortController();
  const slow = migrationOf({
    name: "002_b",
    upgrade: async (transaction) => {
      await transaction.exec("CREATE TABLE b (x)");
      controller.abort();
      await transaction.exec("CREATE TABLE b2 (x)");
    },
  });
  const { signal } = controller;
  await assert.rejects(migratorOf(directory, [first, slow, third]).upgrade({ signal }), (error) => {
    assert(error instanceof InterruptedError);
    assert.deepEqual(error.progress?.done, ["001"]);
    return true;
  });
  assert.deepEqual(tablesOf(directory), ["a"]);
});

Deno.test("rows lost without a declaration stop a migration; declared losses don't", async () => {
  using directory = new TemporaryDirectory();
  await migratorOf(directory, [first]).upgrade();
  execute(directory.file("app.db"), "INSERT INTO a VALUES (1), (2)");
  const losing = { name: "002_b", upgrade: "DELETE FROM a WHERE x = 1" };
  await assert.rejects(
    migratorOf(directory, [first, migrationOf(losing)]).upgrade(),
    /would lose rows that it does not declare: 1 of table "a"/,
  );
  assert.equal(query(directory.file("app.db"), "SELECT x FROM a").length, 2);
  await migratorOf(directory, [first, migrationOf({ ...losing, destroys: ["a"] })]).upgrade();
  assert.equal(query(directory.file("app.db"), "SELECT x FROM a").length, 1);
});

const parents = migrationOf({
  name: "001_parents",
  upgrade: `CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (parent INTEGER REFERENCES parents ON DELETE CASCADE)`,
});
const rebuild = {
  name: "002_rebuild",
  upgrade: `CREATE TABLE new_parents (id INTEGER PRIMARY KEY, note TEXT);
    INSERT INTO new_parents (id) SELECT id FROM parents;
    DROP TABLE parents;
    ALTER TABLE new_parents RENAME TO parents;`,
};

Deno.test("a table rebuild that would empty a child table through foreign keys is stopped", async () => {
  using directory = new TemporaryDirectory();
  await migratorOf(directory, [parents]).upgrade();
  execute(
    directory.file("app.db"),
    "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)",
  );
  await assert.rejects(
    migratorOf(directory, [parents, migrationOf(rebuild)]).upgrade(),
    /it rebuilds table "parents" with foreign keys on/,
  );
  const careful = migrationOf({ ...rebuild, foreignKeys: false });
  await migratorOf(directory, [parents, careful]).upgrade();
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM children"), [{ parent: 1 }]);
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM parents"), [{
    id: 1,
    note: null,
  }]);
});

Deno.test("with foreign keys off, a migration may still not leave dangling rows", async () => {
  using directory = new TemporaryDirectory();
  await migratorOf(directory, [parents]).upgrade();
  execute(
    directory.file("app.db"),
    "INSERT INTO parents VALUES (1); INSERT INTO children VALUES (1)",
  );
  const careless = migrationOf({
    name: "002_careless",
    upgrade: "DELETE FROM parents",
    destroys: ["parents"],
    foreignKeys: false,
  });
  await assert.rejects(
    migratorOf(directory, [parents, careless]).upgrade(),
    /1 row would reference missing rows \(children to parents\)/,
  );
  assert.equal(query(directory.file("app.db"), "SELECT * FROM parents").length, 1);
});

Deno.test("IF NOT EXISTS doesn't hide a table of a different shape that appeared in between", async () => {
  using directory = new TemporaryDirectory();
  await migratorOf(directory, [first]).upgrade();
  execute(directory.file("app.db"), "CREATE TABLE b (y)");
  const tolerant = migrationOf({ name: "002_b", upgrade: "CREATE TABLE IF NOT EXISTS b (x)" });
  await assert.rejects(migratorOf(directory, [first, tolerant]).upgrade(), (error) => {
    assert(error instanceof CatalystError);
    assert.match(error.message, /table "b".*"x" is missing/);
    return true;
  });
  assert.equal((await migratorOf(directory, [first, tolerant]).status()).pending, 1);
});

Deno.test("a plan is refused if a marker is unknown or a migration was changed", async () => {
  using directory = new TemporaryDirectory();
  await migratorOf(directory, [first, second]).upgrade();
  const before = directory.listing();
  await assert.rejects(migratorOf(directory, [first]).upgrade(), UnknownMarkerError);
  const changed = migrationOf({ name: "002_b", upgrade: "CREATE TABLE b (y)" });
  await assert.rejects(
    migratorOf(directory, [first, changed, third]).upgrade(),
    ChangedMigrationError,
  );
  assert.deepEqual(directory.listing(), before);
});

Deno.test("an upgrade of up-to-date databases with rows changes none of their files", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 50);
  const before = directory.listing();
  assert.deepEqual((await migrator.upgrade()).applied, []);
  assert.deepEqual(directory.listing(), before);
});

Deno.test("a hundred migrations on one database give the schema as written", async () => {
  using directory = new TemporaryDirectory();
  const many = Array.from(
    { length: 100 },
    (_, index) =>
      migrationOf({ name: `${index + 1}_m`, upgrade: `CREATE TABLE t${index + 1} (a)` }),
  );
  await migratorOf(directory, many.toReversed()).upgrade();
  assert.deepEqual(tablesOf(directory), many.map((_, index) => `t${index + 1}`));
  assert((await migratorOf(directory, many).verify()).ok);
});
