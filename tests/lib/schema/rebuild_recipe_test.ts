import assert from "node:assert/strict";
import { openCatalystMigrator } from "../../../lib/catalyst.ts";
import { createBot, fillBot, query, TemporaryDirectory } from "../support.ts";
import { appOf } from "./rebuild_support.ts";

/** Texts that are also in the README. */
const textOf = (name: string): string =>
  Deno.readTextFileSync(new URL(`../../testdata/${name}.sql`, import.meta.url));

Deno.test("the recipe for SQL files keeps the bot's orders, fills, indexes and views", async () => {
  using directory = new TemporaryDirectory();
  using migrations = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 20);
  Deno.writeTextFileSync(
    migrations.file("004_allow_empty_orders.sql"),
    textOf("rebuild_recipe"),
  );
  const path = directory.file("trading.db");
  const rows = () =>
    ["orders", "fills", "v_recent_orders", "v_order_fill_stats"]
      .map((name) => query(path, `SELECT * FROM ${name} ORDER BY 1`));
  const others = () =>
    query(
      path,
      `SELECT type, name, replace(sql, ' IF NOT EXISTS', '') AS sql FROM sqlite_schema
      WHERE name <> 'orders' AND tbl_name <> 'catalyst_migrations' ORDER BY 1, 2`,
    );
  const before = { rows: rows(), others: others() };
  const migrator = await openCatalystMigrator({
    dataDir: directory.path,
    migrationsDir: migrations.path,
  });
  const { applied } = await migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["004"]);
  assert.deepEqual({ rows: rows(), others: others() }, before);
  assert.ok((await migrator.verify()).ok);
  assert.deepEqual(query(path, "PRAGMA foreign_key_check"), []);
  query(path, "UPDATE orders SET quantity = 0, filled_quantity = 0 WHERE order_id = 'O1'");
});

Deno.test("the recipe for the AUTOINCREMENT sequence keeps it, with and without rows", async () => {
  for (const keep of [1, 0]) {
    using directory = new TemporaryDirectory();
    const columns = "(id INTEGER PRIMARY KEY AUTOINCREMENT, side TEXT)";
    const app = appOf(
      directory,
      `CREATE TABLE orders ${columns};
      INSERT INTO orders VALUES (1, 'buy'), (9, 'sell');
      DELETE FROM orders WHERE id > ${keep};`,
    );
    await app.migrate((transaction) =>
      transaction.exec(`CREATE TABLE new_orders ${columns};
        INSERT INTO new_orders (id, side) SELECT id, side FROM orders;
        ${textOf("rebuild_mark")}
        DROP TABLE orders;
        ALTER TABLE new_orders RENAME TO orders;`)
    );
    assert.deepEqual(app.query("SELECT * FROM sqlite_sequence"), [{ name: "orders", seq: 9 }]);
  }
});
