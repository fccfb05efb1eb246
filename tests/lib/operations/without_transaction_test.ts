import assert from "node:assert/strict";
import { InterruptedError, MigrationFailedError } from "../../../lib/base/errors.ts";
import type { MigrationDefinition } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { cliCommand, outputOf } from "../../helpers.ts";
import { migrationOf, TemporaryDirectory, withDatabase } from "../support.ts";

/**
 * A migrator of one database with a table of three rows, and one migration without a transaction.
 */
async function prepare(
  directory: TemporaryDirectory,
  definition: Partial<MigrationDefinition>,
): Promise<Migrator> {
  const first = migrationOf({
    name: "001_t",
    upgrade: "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3);",
  });
  const options = {
    databases: { app: directory.file("app.db") },
    ledger: directory.file("migrations.db"),
    idleTimeout: 0.2,
  };
  const second = migrationOf({ name: "002_x", transaction: false, ...definition });
  // Otherwise they would first be tried on a copy of the schema, which a function may notice.
  const trusted = [second];
  await new Migrator({ ...options, migrations: [first] }).upgrade();
  return new Migrator({ ...options, migrations: [first, second], trusted });
}

function failure(upgrade: Promise<unknown>): Promise<MigrationFailedError> {
  return upgrade.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => {
      assert(error instanceof MigrationFailedError, String(error));
      return error;
    },
  );
}

function tablesOf(directory: TemporaryDirectory): string[] {
  return withDatabase(
    directory.file("app.db"),
    (db) =>
      db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").all()
        .map(({ name }) => String(name)),
  );
}

Deno.test("without a transaction a migration may VACUUM and set the journal mode, as text or function", async () => {
  const sql =
    "PRAGMA journal_mode = DELETE; VACUUM; PRAGMA journal_mode = WAL; CREATE TABLE u (a);";
  for (const upgrade of [sql, ({ exec }: { exec(sql: string): Promise<void> }) => exec(sql)]) {
    using directory = new TemporaryDirectory();
    const migrator = await prepare(directory, { upgrade, downgrade: "DROP TABLE u; VACUUM;" });
    const { applied } = await migrator.upgrade();
    assert.deepEqual(applied.map(({ id }) => id), ["002"]);
    assert.deepEqual(tablesOf(directory), ["catalyst_migrations", "t", "u"]);
    assert.deepEqual((await migrator.upgrade()).applied, []);
    const { rolledBack } = await migrator.downgrade({ steps: 1 });
    assert.deepEqual(rolledBack, ["002"]);
    assert.deepEqual(tablesOf(directory), ["catalyst_migrations", "t"]);
  }
});

for (
  const sql of [
    "BEGIN",
    "VACUUM; COMMIT",
    "VACUUM; ATTACH ':memory:' AS other",
    "VACUUM INTO 'copy.db'",
    "SAVEPOINT a",
  ]
) {
  Deno.test(`without a transaction a migration may still not run ${sql}`, async () => {
    using directory = new TemporaryDirectory();
    const migrator = await prepare(directory, { upgrade: sql });
    await failure(migrator.upgrade());
    assert.equal((await migrator.status()).pending, 1);
  });
}

Deno.test("a failure without a transaction reports what was done, and the next run starts over", async () => {
  using directory = new TemporaryDirectory();
  const upgrade = "CREATE TABLE IF NOT EXISTS u (a);\nSELECT 1;\nINSERT INTO nowhere VALUES (1);";
  const migrator = await prepare(directory, { upgrade });
  for (let run = 0; run < 2; run++) {
    const error = await failure(migrator.upgrade());
    assert.match(error.message, /^Cannot apply 002_x to app: no such table: nowhere \(line 3/);
    assert.match(error.help ?? "", /its first 2 statements were completed and not undone/);
    assert.deepEqual(tablesOf(directory), ["catalyst_migrations", "t", "u"]);
  }
  const failing =
    "DELETE FROM t WHERE a = 1; INSERT INTO t SELECT max(a, abs(-9223372036854775807 - 1)) FROM t;";
  using another = new TemporaryDirectory();
  const other = await prepare(another, { upgrade: failing, destroys: ["t"] });
  assert.match((await failure(other.upgrade())).help ?? "", /its first statement was completed/);
});

Deno.test("rows lost without a transaction are reported, and cannot be restored", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await prepare(directory, { upgrade: "DELETE FROM t WHERE a > 1;" });
  const error = await failure(migrator.upgrade());
  assert.match(error.message, /would lose rows that it does not declare: 2 of table "t"/);
  assert.match(error.help ?? "", /ran without a transaction: its changes are kept/);
  assert.doesNotMatch(error.help ?? "", /rolled back/);
});

Deno.test("an interruption without a transaction reports what was done", async () => {
  using directory = new TemporaryDirectory();
  const abort = new AbortController();
  const migrator = await prepare(directory, {
    upgrade: async ({ run }) => {
      await run("CREATE TABLE u (a)");
      abort.abort();
      await run("CREATE TABLE v (a)");
    },
  });
  await assert.rejects(migrator.upgrade({ signal: abort.signal }), (error) => {
    assert(error instanceof InterruptedError);
    assert.match(error.help ?? "", /its first statement was completed/);
    return true;
  });
});

Deno.test("a migration without a transaction that is killed is not marked and runs again", async () => {
  using directory = new TemporaryDirectory();
  const [data, own] = [directory.file("data"), directory.file("migrations")];
  Deno.mkdirSync(own);
  const args = ["upgrade", "--data-dir", data, "--migrations-dir", own];
  Deno.writeTextFileSync(
    `${own}/004_many.sql`,
    `-- migrate:up database:trading
    CREATE TABLE many (a);
    INSERT INTO many
    WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 9999) SELECT a FROM n;`,
  );
  assert((await cliCommand(args).output()).success);
  const path = `${own}/005_x.sql`;
  const head = "-- migrate:up database:trading transaction:false\n";
  // Without rows, as in a copy of the schema, it takes no time.
  const slow = "SELECT count(*) FROM many AS x, many AS y, many AS z WHERE x.a + y.a + z.a = 0;\n";
  const first = "CREATE TABLE IF NOT EXISTS begun (a);\nINSERT INTO begun VALUES (1);\n";
  Deno.writeTextFileSync(path, head + first + slow);
  const child = cliCommand(args).spawn();
  const output = outputOf(child);
  const begun = () => {
    try {
      return withDatabase(
        `${data}/trading.db`,
        (db) => Number(db.prepare("SELECT count(*) AS begun FROM begun").get()?.begun),
      );
    } catch {
      return 0;
    }
  };
  let ended = false;
  output.then(() => ended = true);
  while (begun() === 0 && !ended) await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGKILL");
  await output;
  const markers = () =>
    withDatabase(
      `${data}/trading.db`,
      (db) =>
        db.prepare("SELECT migration_id FROM catalyst_migrations").all()
          .map((row) => String(row.migration_id)),
    );
  assert.deepEqual(markers(), ["002", "004"]);
  Deno.writeTextFileSync(path, head + first + "SELECT 1;\n");
  const again = await cliCommand(args).output();
  assert(again.success, new TextDecoder().decode(again.stderr));
  assert.deepEqual(markers(), ["002", "004", "005"]);
  assert.equal(begun(), 2);
});

for (const transaction of [true, false]) {
  const how = transaction ? "with" : "without";
  Deno.test(`a function that never ends is given up by name, ${how} a transaction`, async () => {
    using directory = new TemporaryDirectory();
    let late: (() => Promise<void>) | undefined;
    const migrator = await prepare(directory, {
      transaction,
      upgrade: async ({ run, exec }) => {
        await run("CREATE TABLE u (a)");
        late = () => exec("CREATE TABLE v (a)");
        await new Promise(() => {});
      },
    });
    const error = await failure(migrator.upgrade());
    assert.equal(
      error.message,
      "Cannot apply 002_x to app: its function has not run a statement for 0.2 s and has not returned",
    );
    assert(late !== undefined);
    await assert.rejects(late(), /after it had returned/);
    const left = transaction ? [] : ["u"];
    assert.deepEqual(tablesOf(directory), ["catalyst_migrations", "t", ...left]);
  });
}

Deno.test("a function that keeps executing statements may take any time", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await prepare(directory, {
    transaction: true,
    upgrade: async ({ run }) => {
      for (let step = 0; step < 5; step++) {
        await run("INSERT INTO t VALUES (4)");
        await new Promise((resolve) => setTimeout(resolve, 80));
      }
    },
  });
  assert.equal((await migrator.upgrade()).applied.length, 1);
});

Deno.test("a statement that a function doesn't await is still in the same transaction", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await prepare(directory, {
    transaction: true,
    upgrade: ({ exec }) => void exec("CREATE TABLE u (a); CREATE TABLE v (a);"),
  });
  await migrator.upgrade();
  assert.deepEqual(tablesOf(directory), ["catalyst_migrations", "t", "u", "v"]);
  using another = new TemporaryDirectory();
  const failing = await prepare(another, {
    transaction: true,
    upgrade: ({ exec }) => void exec("CREATE TABLE u (a); INSERT INTO nowhere VALUES (1);"),
  });
  assert.match((await failure(failing.upgrade())).message, /no such table: nowhere/);
});
