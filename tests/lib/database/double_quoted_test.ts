/** Double-quoted texts, which Python and older versions of SQLite treat as strings. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { MigrationFailedError } from "../../../lib/base/errors.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { query } from "../../helpers.ts";
import { TemporaryDirectory } from "../support.ts";

const SCHEMA = `
CREATE TABLE candles ("open" REAL, close REAL);
CREATE TABLE signals (side TEXT DEFAULT "buy" CHECK (side IN ("buy", "open")), n INT);
INSERT INTO signals (n) VALUES (1);
CREATE INDEX opened ON signals (n) WHERE side <> "closed";
CREATE VIEW bought AS SELECT n FROM signals WHERE side = "buy";
CREATE TRIGGER after_signal AFTER INSERT ON signals WHEN new.side = "open"
BEGIN
  UPDATE signals SET side = "buy" WHERE n = new.n;
END;
CREATE TABLE orders (metadata TEXT);
`;

function appWith(place: TemporaryDirectory, upgrade: string): Migrator {
  return new Migrator({
    databases: { app: place.file("app.db") },
    ledger: place.file("migrations.db"),
    migrations: [
      defineMigration({ name: "001_step", database: "app", upgrade }),
      defineMigration({
        name: "002_rebuild",
        database: "app",
        foreignKeys: false,
        upgrade: async (tx) => await rebuildTable(tx, "signals", { addColumns: { note: "TEXT" } }),
      }),
    ].slice(0, upgrade.includes("nothing") ? 1 : 2),
  });
}

Deno.test("every command accepts double-quoted strings in a schema", async () => {
  using place = new TemporaryDirectory();
  {
    using db = new DatabaseSync(place.file("app.db"), { enableDoubleQuotedStringLiterals: true });
    db.exec(SCHEMA);
  }
  const migrator = appWith(
    place,
    `ALTER TABLE "orders" RENAME COLUMN "metadata" TO "meta";
    ALTER TABLE orders ADD COLUMN "more" TEXT DEFAULT "none";
    INSERT INTO orders ("meta") SELECT "side" AS "s" FROM signals ORDER BY "s";
    ALTER TABLE orders DROP COLUMN "more"`,
  );
  assert.equal((await migrator.lint({ migrations: ["001"] })).ok, true);
  assert.equal((await migrator.rehearse()).ok, true);
  await migrator.upgrade();
  const view = migrator.exportTables("app", { format: "csv", tables: ["bought"] });
  for await (const { rows } of view) assert.equal(await new Response(rows).text(), '"n"\n1\n');
  assert.equal((await migrator.verify({ data: true, hash: true })).databases.length, 1);
  // SQLite itself corrects the quotes when it renames a column.
  assert.match((await migrator.describeSchema("app")).sql, /WHERE side = 'buy'/);
  const dump = await migrator.exportDatabase("app");
  await migrator.importDump(dump, { database: "app", confirm: () => true });
  const snapshot = await migrator.createSnapshot({ verify: "full" });
  await migrator.restoreSnapshot(snapshot.name, { confirm: () => true });
  assert.deepEqual(query(place.file("app.db"), "SELECT * FROM signals"), [
    { side: "buy", n: 1, note: null },
  ]);
  assert.deepEqual(query(place.file("app.db"), "SELECT * FROM orders"), [{ meta: "buy" }]);
});

Deno.test("a mistyped name in double quotes fails in upgrade, lint and rehearse", async () => {
  for (
    const sql of [
      `UPDATE orders SET metadata = 'x' WHERE "nothing" = 'x'`,
      `CREATE TABLE t (a CHECK (a IN ("nothing")))`,
      `CREATE INDEX i ON orders (metadata) WHERE metadata <> "nothing" -- "metadata"`,
    ]
  ) {
    using place = new TemporaryDirectory();
    {
      using db = new DatabaseSync(place.file("app.db"));
      db.exec("CREATE TABLE orders (metadata TEXT); INSERT INTO orders VALUES ('a')");
    }
    const migrator = appWith(place, sql);
    const message =
      /no such column: "nothing" - should this be a string literal in single-quotes\?/;
    const { findings } = await migrator.lint();
    assert.match(findings.map(({ severity, reason }) => severity + reason).join(), message);
    assert.match(findings.map(({ severity }) => severity).join(), /error/);
    assert.equal((await migrator.rehearse()).ok, false);
    await assert.rejects(
      migrator.upgrade({ backup: false }),
      (error) => error instanceof MigrationFailedError && message.test(error.message),
    );
    assert.deepEqual(query(place.file("app.db"), "SELECT * FROM orders"), [{ metadata: "a" }]);
  }
});
