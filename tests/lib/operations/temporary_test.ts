/**
 * Temporary objects hide those of the database. What the toolkit counts and writes is the
 * database's.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  createMarkerTable,
  hasMarker,
  readMarkers,
  writeMarker,
} from "../../../lib/state/marker.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { findLosses } from "../../../lib/operations/rollback_losses.ts";
import { LintError, MigrationFailedError } from "../../../lib/base/errors.ts";
import type {
  MigrationDefinition,
  MigrationTransaction,
} from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";
import { appMigrator } from "./app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const orders = migrationOf({
  name: "001_orders",
  upgrade: "CREATE TABLE orders (order_id); INSERT INTO orders VALUES (1), (2), (3);",
});

type Body = Partial<MigrationDefinition> & Pick<MigrationDefinition, "upgrade">;

function migratorOf(directory: TemporaryDirectory, ...bodies: readonly Body[]): Migrator {
  const more = bodies.map((body, index) => migrationOf({ name: `00${index + 2}_more`, ...body }));
  return appMigrator(directory, [orders, ...more]);
}

/** A database with the first migration applied: an upgrade of a new one checks nothing. */
async function begun(): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  await migratorOf(directory).upgrade();
  return directory;
}

function idsIn(directory: TemporaryDirectory): unknown[] {
  return query(directory.file("app.db"), "SELECT migration_id AS id FROM catalyst_migrations")
    .map((row) => Object(row).id);
}

function countIn(directory: TemporaryDirectory): unknown[] {
  return query(directory.file("app.db"), "SELECT count(*) AS rows FROM orders");
}

Deno.test("a temporary table named like the markers' table receives no marker", async () => {
  using directory = await begun();
  const upgrade = async ({ exec }: MigrationTransaction) => {
    await exec("CREATE TEMP TABLE catalyst_migrations AS SELECT * FROM catalyst_migrations");
  };
  await migratorOf(directory, { upgrade }).upgrade();
  assert.deepEqual(idsIn(directory), ["001", "002"]);
});

Deno.test("markers are read and written despite a temporary table of the same name", async () => {
  await using db = openMemory();
  const details = { appliedAt: 1, durationSeconds: 1, checksum: null };
  await db.exec("CREATE TEMP TABLE catalyst_migrations (migration_id)");
  await createMarkerTable(db);
  await writeMarker(db, orders, details);
  assert.equal(await hasMarker(db, "001"), true);
  assert.deepEqual((await readMarkers(db)).markers?.map(({ id }) => id), ["001"]);
});

for (
  const trigger of [
    `CREATE TRIGGER gone AFTER INSERT ON catalyst_migrations
    BEGIN DELETE FROM catalyst_migrations WHERE migration_id = new.migration_id; END`,
    `CREATE TRIGGER ignored BEFORE INSERT ON catalyst_migrations BEGIN SELECT raise(IGNORE); END`,
    `CREATE TRIGGER loses AFTER INSERT ON "Catalyst_Migrations" BEGIN DELETE FROM orders; END`,
    `CREATE TEMP TRIGGER hidden AFTER INSERT ON main.catalyst_migrations
    BEGIN DELETE FROM catalyst_migrations WHERE migration_id = new.migration_id; END`,
  ]
) {
  Deno.test(`a migration with a trigger on the markers' table fails: ${trigger.slice(0, 28)}`, async () => {
    using directory = await begun();
    for (const transaction of [true, false]) {
      const attempt = migratorOf(directory, {
        // Otherwise the temporary trigger would be dropped first.
        upgrade: transaction ? `CREATE TABLE t (a); ${trigger}` : trigger,
        transaction,
      }).upgrade();
      if (/TEMP/.test(trigger)) {
        await attempt;
        assert.deepEqual(idsIn(directory), ["001", "002"]);
        return;
      }
      await assert.rejects(attempt, (error) => {
        assert(error instanceof MigrationFailedError);
        assert.match(error.message, /table catalyst_migrations .* has the trigger "/);
        assert.match(error.help ?? "", /^drop the trigger/);
        return true;
      });
      assert.deepEqual(idsIn(directory), ["001"]);
      assert.deepEqual(countIn(directory), [{ rows: 3 }]);
    }
  });
}

for (
  const [what, sql] of [
    [
      'has the trigger "back"',
      `CREATE TRIGGER back AFTER DELETE ON catalyst_migrations
      BEGIN INSERT INTO catalyst_migrations VALUES (
        old.migration_id, old.migration_name, 1, 1, NULL, NULL, NULL, 1, 0, '1'
      ); END;`,
    ],
    [
      'a foreign key of table "notes" refers to it',
      `CREATE TABLE notes (
        of TEXT REFERENCES "catalyst_migrations" (migration_id) ON DELETE CASCADE
      );
      INSERT INTO notes VALUES ('002');`,
    ],
  ] as const
) {
  Deno.test(`a rollback fails because of the markers' table: ${what}`, async () => {
    using directory = await begun();
    const migrator = migratorOf(directory, {
      upgrade: "CREATE TABLE t (a)",
      downgrade: "DROP TABLE t",
    });
    await migrator.upgrade();
    execute(directory.file("app.db"), sql);
    await assert.rejects(
      migrator.downgrade({ steps: 1 }),
      (error) => error instanceof MigrationFailedError && error.message.includes(what),
    );
    assert.deepEqual(idsIn(directory), ["001", "002"]);
  });
}

const HIDING = `CREATE TEMP TABLE orders (order_id);
  INSERT INTO temp.orders SELECT order_id FROM main.orders;`;

Deno.test("lost rows are noticed in a table that a temporary one hides", async () => {
  using directory = await begun();
  const all = migratorOf(directory, { upgrade: `${HIDING} DELETE FROM main.orders;` });
  await assert.rejects(all.upgrade(), (error) => {
    assert(error instanceof LintError);
    assert.match(error.message, /deletes all rows of table "orders": 3 rows/);
    return true;
  });
  const some = `${HIDING} DELETE FROM main.orders WHERE order_id > 1;`;
  await assert.rejects(migratorOf(directory, { upgrade: some }).upgrade(), (error) => {
    assert(error instanceof MigrationFailedError);
    assert.match(error.message, /2 of table "orders"/);
    return true;
  });
  assert.deepEqual(countIn(directory), [{ rows: 3 }]);
});

Deno.test("a rebuild changes the table that a temporary one hides", async () => {
  using directory = await begun();
  const upgrade = async (transaction: MigrationTransaction) => {
    await transaction.exec(
      "CREATE TEMP TABLE orders (order_id); INSERT INTO temp.orders VALUES (9)",
    );
    await rebuildTable(transaction, "orders", { addColumns: { note: "TEXT" } });
  };
  await migratorOf(directory, { upgrade, foreignKeys: false }).upgrade();
  assert.deepEqual(
    query(directory.file("app.db"), "SELECT order_id, note FROM orders WHERE order_id > 2"),
    [{ order_id: 3, note: null }],
  );
});

Deno.test("a rollback counts the rows of the table that a temporary one hides", async () => {
  await using db = openMemory();
  await db.exec(`CREATE TABLE orders (order_id); INSERT INTO orders VALUES (1), (2);
    CREATE TEMP TABLE orders (order_id)`);
  const dropped = { ...orders, downgrade: "DROP TABLE orders" };
  assert.deepEqual((await findLosses(db, [dropped], [dropped])).losses, [
    { database: "app", table: "orders", rows: 2 },
  ]);
});

for (const transaction of [true, false]) {
  Deno.test(
    `temporary objects that a migration leaves are removed before the next one, ${
      transaction ? "in" : "outside of"
    } a transaction`,
    async () => {
      using directory = await begun();
      const leaves = `${HIDING} CREATE TEMP VIEW shown AS SELECT 1;
      CREATE INDEX temp.by_id ON orders (order_id); CREATE VIRTUAL TABLE temp.words USING fts5(word);
      CREATE TEMP TRIGGER lost AFTER INSERT ON main.orders
      BEGIN DELETE FROM orders; END;`;
      const { applied } = await migratorOf(
        directory,
        { upgrade: leaves, transaction },
        { upgrade: "INSERT INTO orders VALUES (4); CREATE TEMP TABLE words (a)" },
        { upgrade: ({ exec }) => exec("CREATE TEMPORARY TABLE orders (a)") },
        { upgrade: "INSERT INTO orders VALUES (5); CREATE TEMP VIEW shown AS SELECT 2" },
      ).upgrade();
      assert.equal(applied.length, 4);
      assert.deepEqual(countIn(directory), [{ rows: 5 }]);
    },
  );
}

Deno.test("temporary objects in a program's connection are kept", async () => {
  using directory = await begun();
  using db = new DatabaseSync(directory.file("app.db"));
  db.exec("CREATE TEMP TABLE mine (a); INSERT INTO mine VALUES (1)");
  const migrator = new Migrator({
    databases: { app: db },
    ledger: directory.file("migrations.db"),
    migrations: [orders, migrationOf({ name: "002_t", upgrade: "CREATE TEMP TABLE theirs (a)" })],
  });
  await migrator.upgrade();
  assert.deepEqual(
    db.prepare("SELECT name FROM temp.sqlite_schema").all().map(({ name }) => name),
    ["mine"],
  );
});
