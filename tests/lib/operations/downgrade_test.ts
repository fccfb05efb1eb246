import assert from "node:assert/strict";
import {
  ConfirmationError,
  DowngradeBlockedError,
  MigrationFailedError,
} from "../../../lib/base/errors.ts";
import type { DowngradePlan } from "../../../lib/operations/downgrade.ts";
import { describeLosses } from "../../../lib/operations/rollback_losses.ts";
import type { Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { createBot, execute, fillBot, migrationOf, query, TemporaryDirectory } from "../support.ts";

const yes = () => true;

Deno.test("without rows nothing is asked and nothing is lost", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  const result = await migrator.downgrade({
    confirm: () => assert.fail("nothing should have been asked"),
  });
  assert.deepEqual(result, {
    rolledBack: ["003", "002", "001"],
    lost: [],
    adopted: [],
    reconciled: [],
    snapshot: null,
  });
  const { migrations } = await migrator.status();
  assert.deepEqual(migrations.map(({ state }) => state), Array(3).fill("rolled_back"));
  for (const name of ["positions", "trading", "ml_training"]) {
    const path = directory.file(`${name}.db`);
    const objects =
      "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%' AND tbl_name <> 'catalyst_migrations'";
    assert.deepEqual(query(path, objects), []);
  }
});

Deno.test("losses are reported by table, and the question gets the plan", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 10);
  const plans: DowngradePlan[] = [];
  const { lost, rolledBack } = await migrator.downgrade({
    to: "1",
    confirm: (plan) => {
      plans.push(plan);
      return true;
    },
  });
  assert.deepEqual(rolledBack, ["003", "002"]);
  assert.deepEqual(lost, [
    { database: "trading", table: "orders", rows: 10 },
    { database: "trading", table: "fills", rows: 10 },
    { database: "trading", table: "portfolio_snapshots", rows: 10 },
  ]);
  assert.equal(plans.length, 1);
  assert.deepEqual(plans[0]?.rollBack.map(({ id }) => id), ["003", "002"]);
  assert.deepEqual(plans[0]?.losses.filter(({ rows }) => rows > 0), lost);
  assert.equal(query(directory.file("positions.db"), "SELECT * FROM positions").length, 5);
});

for (
  const [name, confirm] of [
    ["no confirmation is given", undefined],
    ["the answer is no", () => false],
    ["the answer comes as a promise of no", () => Promise.resolve(false)],
  ] as const
) {
  Deno.test(`if rows would be lost and ${name}, nothing is changed`, async () => {
    using directory = new TemporaryDirectory();
    const migrator = await createBot(directory);
    fillBot(directory, 3);
    const before = directory.listing();
    await assert.rejects(migrator.downgrade(confirm === undefined ? {} : { confirm }), (error) => {
      assert(error instanceof ConfirmationError);
      assert.match(error.message, /3 rows of trading\.orders/);
      assert.match(error.help ?? "", /nothing was changed/);
      return true;
    });
    assert.deepEqual(directory.listing(), before);
  });
}

Deno.test("an error thrown by the question reaches the caller, and nothing is changed", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 3);
  const before = directory.listing();
  const confirm = () => {
    throw new RangeError("the terminal is gone");
  };
  await assert.rejects(migrator.downgrade({ confirm }), RangeError);
  assert.deepEqual(directory.listing(), before);
});

Deno.test("rows added meanwhile to an empty table stop it", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 3);
  const confirm = () => {
    execute(
      directory.file("trading.db"),
      `INSERT INTO performance_metrics (metric_date, metric_time) VALUES ('2026-01-01', 1)`,
    );
    return true;
  };
  await assert.rejects(migrator.downgrade({ confirm }), (error) => {
    assert(error instanceof ConfirmationError);
    assert.match(error.message, /after the confirmation: 1 row of trading\.performance_metrics/);
    return true;
  });
  assert.equal(query(directory.file("trading.db"), "SELECT * FROM orders").length, 3);
  assert((await migrator.status()).ok);
});

Deno.test("more rows in a table whose loss was confirmed don't stop it, and are counted", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 1);
  const confirm = () => {
    execute(directory.file("trading.db"), "DELETE FROM fills; DELETE FROM orders");
    fillBotAgain(directory);
    return true;
  };
  const { lost } = await migrator.downgrade({ migration: "002", confirm });
  assert.deepEqual(lost.find(({ table }) => table === "orders"), {
    database: "trading",
    table: "orders",
    rows: 2,
  });
});

function fillBotAgain(directory: TemporaryDirectory): void {
  execute(
    directory.file("trading.db"),
    `INSERT INTO orders (
      order_id, client_order_id, ticker, order_type, side, quantity, submitted_at, updated_at
    ) VALUES ('x', 'x', 'ABC', 'market', 'buy', 1, 1, 1), ('y', 'y', 'ABC', 'market', 'buy', 1, 1, 1)`,
  );
}

Deno.test("a plan changes nothing", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 2);
  const before = directory.listing();
  const { rollBack, losses } = await migrator.planDowngrade({ migration: "002" });
  assert.deepEqual(rollBack.map(({ id }) => id), ["002"]);
  assert.deepEqual(losses.map(({ table, rows }) => `${table} ${rows}`), [
    "orders 2",
    "fills 2",
    "portfolio_snapshots 2",
    "performance_metrics 0",
  ]);
  assert.deepEqual(directory.listing(), before);
});

Deno.test("without databases, nothing is rolled back and nothing is created", async () => {
  using directory = new TemporaryDirectory();
  const options = {
    databases: { app: directory.file("new/a.db") },
    ledger: directory.file("new/l.db"),
  };
  const migrator = new Migrator({ ...options, migrations: [migrationOf({ name: "1_a" })] });
  assert.deepEqual((await migrator.downgrade()).rolledBack, []);
  assert.deepEqual(directory.names(), []);
});

/** A migrator of one database, `app`, in a directory. */
function migratorOf(directory: TemporaryDirectory, migrations: readonly Migration[]): Migrator {
  return new Migrator({
    databases: { app: directory.file("app.db") },
    ledger: directory.file("migrations.db"),
    migrations,
  });
}

const table = migrationOf({
  name: "001_a",
  upgrade: "CREATE TABLE a (x)",
  downgrade: "DROP TABLE a",
});
const column = migrationOf({
  name: "002_note",
  upgrade: "ALTER TABLE a ADD COLUMN note TEXT",
  downgrade: "ALTER TABLE a DROP COLUMN note",
});

Deno.test("a dropped column loses its values, and is confirmed only if it has any", async () => {
  using directory = new TemporaryDirectory();
  const migrator = migratorOf(directory, [table, column]);
  await migrator.upgrade();
  execute(directory.file("app.db"), "INSERT INTO a VALUES (1, 'x'), (2, NULL)");
  await assert.rejects(
    migrator.downgrade({ steps: 1 }),
    /the values of note in 1 row of app\.a/,
  );
  const { lost } = await migrator.downgrade({ steps: 1, confirm: yes });
  assert.deepEqual(lost, [{ database: "app", table: "a", rows: 1, columns: ["note"] }]);
  assert.deepEqual(query(directory.file("app.db"), "SELECT * FROM a"), [{ x: 1 }, { x: 2 }]);
});

Deno.test("a rollback may not lose rows beyond what was confirmed", async () => {
  using directory = new TemporaryDirectory();
  const careless = migrationOf({
    name: "002_b",
    upgrade: "CREATE TABLE b (x)",
    downgrade: "DROP TABLE b; DELETE FROM a",
  });
  const migrator = migratorOf(directory, [table, careless]);
  await migrator.upgrade();
  execute(directory.file("app.db"), "INSERT INTO a VALUES (1)");
  await assert.rejects(
    migrator.downgrade({ steps: 1, confirm: yes }),
    (error) => {
      assert(error instanceof MigrationFailedError);
      assert.deepEqual(error.progress?.done, []);
      assert.equal(error.progress?.failed, "002");
      return true;
    },
  );
  assert.equal(query(directory.file("app.db"), "SELECT * FROM a").length, 1);
  assert((await migrator.status()).ok);
});

Deno.test("a rollback may delete rows of a table that its migration declares; they are counted and kept", async () => {
  using directory = new TemporaryDirectory();
  const copying = migrationOf({
    name: "002_copy",
    upgrade: "INSERT INTO a VALUES (8), (9)",
    downgrade: "DELETE FROM a WHERE x > 7",
  });
  const rows = () => query(directory.file("app.db"), "SELECT group_concat(x) AS all_x FROM a");
  const undeclared = migratorOf(directory, [table, copying]);
  await undeclared.upgrade();
  execute(directory.file("app.db"), "INSERT INTO a VALUES (1)");
  await assert.rejects(
    undeclared.downgrade({ steps: 1, confirm: yes }),
    (error) => {
      assert(error instanceof MigrationFailedError);
      assert.match(
        error.message,
        /it would lose rows that were not confirmed: 2 of table "a"$/,
      );
      assert.match(error.help ?? "", /if the loss is intended, declare it: destroys:a on/);
      return true;
    },
  );
  assert.deepEqual(rows(), [{ all_x: "8,9,1" }]);
  const declared = migratorOf(directory, [table, { ...copying, destroys: ["A"] }]);
  const { lost, snapshot } = await declared.downgrade({
    steps: 1,
    confirm: () => assert.fail("it is declared"),
  });
  assert.deepEqual(lost, [{ database: "app", table: "a", rows: 2 }]);
  assert.deepEqual(rows(), [{ all_x: "1" }]);
  await declared.restoreSnapshot(snapshot ?? "", { confirm: yes });
  assert.deepEqual(rows(), [{ all_x: "8,9,1" }]);
});

Deno.test("a failed rollback leaves the migration applied, and lists what was rolled back before", async () => {
  using directory = new TemporaryDirectory();
  const broken = { ...table, downgrade: "DROP TABLE missing" };
  const migrator = migratorOf(directory, [broken, column]);
  await migrator.upgrade();
  await assert.rejects(migrator.downgrade(), (error) => {
    assert(error instanceof MigrationFailedError);
    assert.match(error.message, /^Cannot roll back 001_a/);
    assert.deepEqual(error.progress?.done, ["002"]);
    return true;
  });
  const { migrations } = await migrator.status();
  assert.deepEqual(migrations.map(({ state }) => state), ["applied", "rolled_back"]);
});

Deno.test("a migration without a downgrade stops everything before it begins", async () => {
  using directory = new TemporaryDirectory();
  const oneWay = migrationOf({ name: "001_a", upgrade: "CREATE TABLE a (x)" });
  const migrator = migratorOf(directory, [oneWay, column]);
  await migrator.upgrade();
  const before = directory.listing();
  await assert.rejects(migrator.downgrade(), DowngradeBlockedError);
  assert.deepEqual(directory.listing(), before);
});

Deno.test("an upgrade after a downgrade creates the same schema again", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  await migrator.downgrade();
  assert.equal((await migrator.upgrade()).applied.length, 3);
  assert((await migrator.verify({ data: true })).ok);
});

Deno.test("losses are described in plain English", () => {
  const loss = { database: "app", table: "a" };
  assert.equal(
    describeLosses([
      { ...loss, rows: 1 },
      { ...loss, table: "b", rows: 0 },
      { ...loss, table: "c", rows: 2, columns: ["x", "y"] },
    ]),
    "1 row of app.a, the values of x, y in 2 rows of app.c",
  );
});
