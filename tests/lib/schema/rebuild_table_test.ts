import assert from "node:assert/strict";
import { Migrator } from "../../../lib/migrator.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";
import { type App, appOf } from "./rebuild_support.ts";
import { createBot, fillBot, migrationOf, query, TemporaryDirectory } from "../support.ts";

/** The text of one object. */
function sqlOf(app: App, name: string): unknown {
  return app.query(`SELECT sql FROM sqlite_schema WHERE name = '${name}'`)[0]?.["sql"];
}

Deno.test("a rebuilt table has its new definition and its old rows", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE orders (id INTEGER PRIMARY KEY, quantity INTEGER CHECK (quantity > 0));
    INSERT INTO orders VALUES (7, 1), (3, 2);`,
  );
  await app.rebuild("orders", {
    create: `CREATE TABLE IF NOT EXISTS Orders ( -- of the bot
      id INTEGER PRIMARY KEY,
      quantity INTEGER NOT NULL CHECK (quantity >= 0) -- shares
    ); -- the end`,
  });
  assert.equal(
    sqlOf(app, "Orders"),
    `CREATE TABLE "Orders" ( -- of the bot
      id INTEGER PRIMARY KEY,
      quantity INTEGER NOT NULL CHECK (quantity >= 0) -- shares
    )`,
  );
  assert.deepEqual(app.query("SELECT * FROM orders"), [{ id: 3, quantity: 2 }, {
    id: 7,
    quantity: 1,
  }]);
});

Deno.test("changes to the definition leave the rest of its text unchanged", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE orders (
      id INTEGER PRIMARY KEY, -- the broker's
      side TEXT COLLATE NOCASE DEFAULT 'buy' CHECK (side IN ('buy', 'sell')),
      old TEXT, -- goes
      quantity INTEGER CHECK (quantity > 0), -- shares
      CHECK (quantity < 1000),
      CONSTRAINT even CHECK (orders.quantity % 2 = 0)
    ) STRICT;
    INSERT INTO orders VALUES (1, 'sell', 'x', 4);`,
  );
  await app.rebuild("orders", {
    drops: ["old"],
    changeColumns: { quantity: "INTEGER NOT NULL CHECK (quantity >= 0) -- any" },
    dropChecks: ["even"],
    addColumns: { note: "TEXT NOT NULL DEFAULT ''" },
    addChecks: { small: "quantity < 100 -- shares" },
  });
  assert.equal(
    sqlOf(app, "orders"),
    `CREATE TABLE "orders" (
      id INTEGER PRIMARY KEY, -- the broker's
      side TEXT COLLATE NOCASE DEFAULT 'buy' CHECK (side IN ('buy', 'sell')),
      quantity INTEGER NOT NULL CHECK (quantity >= 0), -- shares
      note TEXT NOT NULL DEFAULT '',
      CHECK (quantity < 1000),
      CONSTRAINT small CHECK (quantity < 100)
    ) STRICT`,
  );
  assert.deepEqual(app.query("SELECT * FROM orders"), [
    { id: 1, side: "sell", quantity: 4, note: "" },
  ]);
});

Deno.test("columns get new names, new values and new positions", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (a INTEGER, b TEXT, c TEXT);
    CREATE INDEX t_a ON t (a);
    CREATE VIEW v AS SELECT a FROM t;
    INSERT INTO t (rowid, a, b, c) VALUES (5, 1, 'x', 'y');`,
  );
  await app.rebuild("t", {
    create: "CREATE TABLE t (bc TEXT NOT NULL, amount INTEGER, twice INTEGER)",
    renames: { a: "amount" },
    values: { bc: "b || c -- both", twice: "amount * 2" },
    drops: ["b", "c"],
  });
  assert.deepEqual(app.query("SELECT rowid, * FROM t"), [
    { rowid: 5, bc: "xy", amount: 1, twice: 2 },
  ]);
  assert.match(String(sqlOf(app, "t_a")), /amount/);
  assert.deepEqual(app.query("SELECT * FROM v"), [{ amount: 1 }]);
});

Deno.test("child tables keep their rows and their foreign keys", async () => {
  using directory = new TemporaryDirectory();
  const child = "CREATE TABLE fills (id INTEGER PRIMARY KEY, " +
    "order_id TEXT REFERENCES orders (id) ON DELETE CASCADE)";
  const app = appOf(
    directory,
    `CREATE TABLE orders (id TEXT PRIMARY KEY, parent TEXT REFERENCES orders ON DELETE CASCADE);
    ${child};
    INSERT INTO orders VALUES ('a', NULL), ('b', 'a');
    INSERT INTO fills VALUES (1, 'a'), (2, 'b'), (3, 'gone');`,
  );
  await app.rebuild("orders", { addColumns: { note: "TEXT" } });
  assert.equal(app.query("SELECT * FROM fills").length, 3);
  assert.equal(sqlOf(app, "fills"), child);
  assert.match(String(sqlOf(app, "orders")), /REFERENCES orders ON DELETE CASCADE/);
  app.execute("PRAGMA foreign_keys = ON; DELETE FROM orders WHERE id = 'a'");
  assert.deepEqual(app.query("SELECT id FROM fills"), [{ id: 3 }]);
});

Deno.test("indexes, triggers and views are kept, including broken ones", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE orders (id INTEGER PRIMARY KEY, side TEXT, quantity INTEGER UNIQUE);
    CREATE TABLE log (what TEXT);
    CREATE UNIQUE INDEX "odd name" ON orders (lower(side), quantity DESC) WHERE orders.side = 'x';
    CREATE INDEX by_side ON orders (side COLLATE NOCASE);
    CREATE VIEW buys AS SELECT * FROM orders WHERE side = 'buy';
    CREATE VIEW large_buys AS SELECT * FROM buys WHERE quantity > 9;
    CREATE VIEW broken AS SELECT nix FROM nowhere;
    CREATE VIEW half AS SELECT nix FROM orders;
    CREATE TRIGGER logged AFTER UPDATE OF side ON orders WHEN NEW.side <> OLD.side BEGIN
      INSERT INTO log VALUES (OLD.side || ' to ' || NEW.side); -- both; sides
    END;
    CREATE TRIGGER stopped BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'kept'); END;
    CREATE TRIGGER mirrored AFTER INSERT ON log BEGIN
      UPDATE orders SET quantity = quantity + 1 WHERE id = 1;
    END;
    CREATE TRIGGER through INSTEAD OF INSERT ON large_buys BEGIN
      INSERT INTO orders VALUES (NEW.id, NEW.side, NEW.quantity);
    END;
    CREATE TRIGGER lame AFTER DELETE ON log BEGIN DELETE FROM nowhere; END;
    INSERT INTO orders VALUES (1, 'buy', 10), (2, 'sell', 30);`,
  );
  const others = `SELECT type, name, tbl_name, sql FROM sqlite_schema
    WHERE name <> 'orders' AND tbl_name <> 'catalyst_migrations' ORDER BY 1, 2`;
  const before = app.query(others);
  await app.rebuild("orders", { changeColumns: { side: "TEXT NOT NULL" } });
  assert.deepEqual(app.query(others), before);
  app.execute(
    "UPDATE orders SET side = 'x' WHERE id = 1; INSERT INTO large_buys VALUES (3, 'buy', 99)",
  );
  assert.deepEqual(app.query("SELECT what FROM log"), [{ what: "buy to x" }]);
  assert.deepEqual(app.query("SELECT quantity FROM orders WHERE id = 1"), [{ quantity: 11 }]);
  assert.deepEqual(app.query("SELECT id FROM large_buys"), [{ id: 3 }]);
  assert.throws(() => app.execute("DELETE FROM orders"), /kept/);
});

Deno.test("the AUTOINCREMENT sequence is kept, with and without rows", async () => {
  for (const last of [2, 9]) {
    using directory = new TemporaryDirectory();
    const app = appOf(
      directory,
      `CREATE TABLE other (id INTEGER PRIMARY KEY AUTOINCREMENT);
      INSERT INTO other VALUES (4);
      CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a);
      INSERT INTO t VALUES (2, 'a'), (9, 'b');
      DELETE FROM t WHERE id >= ${last};
      ${last === 2 ? "DELETE FROM t;" : ""}`,
    );
    await app.rebuild("t", { addColumns: { b: "" } });
    assert.deepEqual(app.query("SELECT name, seq FROM sqlite_sequence ORDER BY 1"), [
      { name: "other", seq: 4 },
      { name: "t", seq: 9 },
    ]);
    app.execute("INSERT INTO t (a) VALUES ('c')");
    assert.deepEqual(app.query("SELECT max(id) AS id FROM t"), [{ id: 10 }]);
  }
});

Deno.test("row ids are kept if they are not a column, and become a new key", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (name TEXT PRIMARY KEY, rowid TEXT);
    INSERT INTO t (oid, name, rowid) VALUES (40, 'b', 'x'), (20, 'a', 'y');`,
  );
  const rows = () => app.query("SELECT oid AS id, name, rowid AS text FROM t ORDER BY name");
  const before = rows();
  await app.rebuild("t", { changeColumns: { rowid: "TEXT NOT NULL" } });
  assert.deepEqual(rows(), before);
  await app.rebuild("t", {
    create: "CREATE TABLE t (number INTEGER PRIMARY KEY, name TEXT UNIQUE, rowid TEXT)",
  });
  assert.deepEqual(app.query("SELECT number FROM t ORDER BY name"), [{ number: 20 }, {
    number: 40,
  }]);
});

Deno.test("generated columns, WITHOUT ROWID and statistics are kept", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (
      a TEXT, b INTEGER, twice INTEGER AS (b * 2) STORED, more INT AS (twice + 1),
      PRIMARY KEY (b DESC, a)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX t_more ON t (a);
    INSERT INTO t VALUES ('x', 1), ('y', 2);
    ANALYZE;`,
  );
  const before = app.query("SELECT * FROM t ORDER BY a");
  const statistics = app.query("SELECT * FROM sqlite_stat1 ORDER BY idx");
  await app.rebuild("t", { changeColumns: { twice: "INTEGER" } });
  assert.deepEqual(app.query("SELECT * FROM t ORDER BY a"), before);
  assert.match(String(sqlOf(app, "t")), /more INT AS \(twice \+ 1\).*\) STRICT, WITHOUT ROWID$/s);
  assert.deepEqual(app.query("SELECT * FROM sqlite_stat1 ORDER BY idx"), statistics);
});

Deno.test("the bot's orders are rebuilt under their views, up and down", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 20);
  const path = directory.file("trading.db");
  const { bundledMigrations } = await import("../../../migrations/mod.ts");
  const quantity = (check: string) => ({
    changeColumns: { quantity: `INTEGER NOT NULL CHECK (${check})` },
  });
  const migrator = new Migrator({
    databases: Object.fromEntries(
      ["positions", "trading", "ml_training"].map((name) => [name, directory.file(`${name}.db`)]),
    ),
    ledger: directory.file("migrations.db"),
    migrations: [
      ...bundledMigrations,
      migrationOf({
        name: "004_allow_empty_orders",
        database: "trading",
        foreignKeys: false,
        upgrade: (transaction) => rebuildTable(transaction, "orders", quantity("quantity >= 0")),
        downgrade: (transaction) => rebuildTable(transaction, "orders", quantity("quantity > 0")),
      }),
    ],
  });
  const rows = "SELECT rowid, * FROM orders ORDER BY 1";
  const views = "SELECT * FROM v_order_fill_stats, v_recent_orders";
  const before = [query(path, rows), query(path, views), query(path, "SELECT * FROM fills")];
  const after = () => [query(path, rows), query(path, views), query(path, "SELECT * FROM fills")];
  await migrator.upgrade();
  assert.deepEqual(after(), before);
  assert.ok((await migrator.verify()).ok);
  query(path, "UPDATE orders SET quantity = 0 WHERE order_id = 'O1' RETURNING 1");
  await assert.rejects(migrator.downgrade({ to: "003" }), /CHECK constraint failed: quantity > 0/);
  query(path, "UPDATE orders SET quantity = 1 WHERE order_id = 'O1' RETURNING 1");
  await migrator.downgrade({ to: "003" });
  assert.deepEqual(after(), before);
  const { databases } = await migrator.verify();
  assert.deepEqual(
    databases.flatMap(({ problems }) => problems.map(({ detail }) => detail)),
    ["migration 004_allow_empty_orders is rolled back"],
  );
});
