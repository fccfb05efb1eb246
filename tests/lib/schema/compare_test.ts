import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { NodeSqliteConnection } from "../../../lib/database/node_sqlite.ts";
import { compareSchemas } from "../../../lib/schema/compare.ts";
import { describeDifference } from "../../../lib/schema/model.ts";
import { readSchema } from "../../../lib/schema/read.ts";
import { differences, SAMPLE, schemaOf } from "./sample.ts";

Deno.test("different spellings of the same schema are equal", async () => {
  const respelled = `
    create table "accounts" (
      [account_id] integer not null primary key autoincrement,
      Email text collate nocase not null,
      status text default 'new' not null check (("status"in('new', 'open', /* or */ 'closed'))),
      balance real not null default 0,
      constraint one_email unique (email)
    );
    CREATE TABLE Trades (
      trade_id TEXT, account_id INTEGER NOT NULL, side TEXT NOT NULL, quantity INTEGER NOT NULL,
      price REAL NOT NULL, stop REAL DEFAULT NULL, score REAL,
      cost REAL AS (price*quantity), -- computed
      CHECK (side IN ('long', 'short')), CHECK (quantity>0), CHECK ([score] between 0 and 1),
      CHECK (stop is null or (SIDE = 'long' AND stop < price) OR (side == 'short' AND stop > price)),
      PRIMARY KEY (trade_id),
      UNIQUE (side, account_id, price),
      FOREIGN KEY (account_id) REFERENCES accounts (account_id) ON DELETE CASCADE
    );
    CREATE INDEX IDX_TRADES_SIDE ON trades ("side" ASC, price desc);
    CREATE UNIQUE INDEX idx_trades_open ON trades (account_id, LOWER("side")) WHERE stop IS NULL;
    CREATE VIEW open_trades AS SELECT trade_id, price AS "entry" FROM trades WHERE stop IS NULL;
    CREATE TRIGGER "trades_keep" BEFORE delete ON Trades BEGIN
      SELECT raise(abort, 'trades are kept; all of them'); END;
  `;
  assert.deepEqual(await differences(SAMPLE, respelled), []);
});

Deno.test("a differently written but equivalent check is a difference", async () => {
  assert.deepEqual(
    await differences("CREATE TABLE t (a CHECK (a > 0))", "CREATE TABLE t (a CHECK (0 < a))"),
    [`the check "a > 0" is missing`, `the check "0 < a" is not expected`],
  );
});

Deno.test("a check may prefix a column with its own table", async () => {
  const plain = "CREATE TABLE t (a CHECK (a > 0.5 AND a <> '.'))";
  const qualified = `CREATE TABLE t (a CHECK ("T".a > 0.5 AND t . "A" <> '.'))`;
  assert.deepEqual(await differences(plain, qualified), []);
  const other = "CREATE TABLE t (a, b, CHECK (t.b > 0.5 AND a <> '.'))";
  assert.notDeepEqual(
    await differences("CREATE TABLE t (a, b, CHECK (a > 0.5 AND a <> '.'))", other),
    [],
  );
});

Deno.test("a column added later is equal to an original one", async () => {
  assert.deepEqual(
    await differences(
      `CREATE TABLE p (id INTEGER PRIMARY KEY);
       CREATE TABLE t (
         a TEXT,
         n TEXT DEFAULT 'it''s' COLLATE NOCASE CHECK (n <> ''),
         p INT REFERENCES p (id) ON DELETE SET NULL,
         CHECK (a <> ''), UNIQUE (a)
       )`,
      `CREATE TABLE p (id INTEGER PRIMARY KEY);
       CREATE TABLE t (a TEXT, CHECK (a <> ''), UNIQUE (a));
       ALTER TABLE t ADD COLUMN n TEXT DEFAULT 'it''s' COLLATE NOCASE CHECK (n <> '');
       ALTER TABLE t ADD COLUMN p INT REFERENCES p (id) ON DELETE SET NULL`,
    ),
    [],
  );
});

Deno.test("a table rebuilt under another name is equal", async () => {
  assert.deepEqual(
    await differences(
      "CREATE TABLE t (a TEXT CHECK (t.a <> ''), b INT); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t",
      `CREATE TABLE old (a TEXT CHECK (old.a <> ''), x INT);
       ALTER TABLE old RENAME TO t; ALTER TABLE t RENAME COLUMN x TO b;
       CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t`,
    ),
    [],
  );
});

Deno.test("each difference is described in plain words", async () => {
  const expected = `CREATE TABLE p (id INTEGER PRIMARY KEY, k TEXT UNIQUE);
    CREATE TABLE t (
      id INTEGER PRIMARY KEY AUTOINCREMENT, side TEXT NOT NULL, quantity INTEGER CHECK (quantity > 0),
      status TEXT DEFAULT 'pending', total REAL AS (quantity * 2), p INT REFERENCES p (id),
      UNIQUE (side, status)
    );
    CREATE INDEX idx_x ON t (side, status DESC);
    CREATE UNIQUE INDEX idx_y ON t (p) WHERE p > 0;
    CREATE INDEX idx_z ON t (quantity);
    CREATE VIEW v AS SELECT side, p FROM t;
    CREATE VIEW w AS SELECT side FROM t;
    CREATE VIEW gone AS SELECT k FROM p;
    CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END;
    CREATE TRIGGER s AFTER INSERT ON t BEGIN SELECT 1; END;
    CREATE TABLE missing (a)`;
  const actual = `CREATE TABLE p (id INTEGER PRIMARY KEY, k TEXT, note BLOB);
    CREATE TABLE t (
      id INTEGER PRIMARY KEY, quantity REAL NOT NULL CHECK (quantity >= 0),
      p INT REFERENCES p (id) ON DELETE CASCADE, status TEXT DEFAULT 'new' COLLATE NOCASE,
      total REAL, UNIQUE (status)
    );
    CREATE INDEX idx_x ON t (p, status);
    CREATE INDEX idx_y ON t (p);
    CREATE INDEX idx_mine ON t (p);
    CREATE VIEW v AS SELECT p FROM t;
    CREATE VIEW w AS SELECT total AS side FROM t;
    CREATE VIEW gone AS SELECT k FROM nowhere;
    CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 2; END;
    CREATE TABLE mine (a); CREATE VIEW missing AS SELECT 1 AS a`;
  assert.deepEqual(await differences(expected, actual), [
    'column "note" is not expected (BLOB)',
    "the UNIQUE constraint on (k) is missing",
    'column "side" is missing (TEXT NOT NULL)',
    'column "quantity" is REAL, expected INTEGER',
    'column "quantity" is NOT NULL, but should allow NULL',
    `the default of "status" is 'new', expected 'pending'`,
    'column "status" has the collation NOCASE, expected BINARY',
    'column "total" is an ordinary column, expected computed as (quantity * 2), virtual',
    'columns are in a different order: found "p", expected "status"',
    "the UNIQUE constraint on (side, status) is missing",
    "the UNIQUE constraint on (status) is not expected",
    "the foreign key (p) to p (id) is missing",
    "the foreign key (p) to p (id), ON DELETE CASCADE is not expected",
    'the check "quantity > 0" is missing',
    'the check "quantity >= 0" is not expected',
    "the table is not AUTOINCREMENT, but should be",
    'table "missing" is missing, and a view has its name',
    'table "mine" is not expected',
    'index "idx_x" is on (p, status COLLATE NOCASE), expected (side, status DESC)',
    'index "idx_y" is not unique, but should be',
    'index "idx_y" covers all rows, expected only rows with p > 0',
    'index "idx_z" on t (quantity) is missing',
    'index "idx_mine" is not expected',
    'view "v" has the columns (p), expected (side, p)',
    'view "w" differs from the expected definition',
    `view "gone" cannot be read: a table or column that it uses is missing`,
    'view "missing" is not expected',
    'trigger "r" differs from the expected definition',
    'trigger "s" of t is missing',
  ]);
});

Deno.test("a view with the right text is no difference, although a table that it uses is missing", async () => {
  const view = "CREATE VIEW v AS SELECT a FROM t";
  assert.deepEqual(await differences(`CREATE TABLE t (a); ${view}`, view), [
    'table "t" is missing',
  ]);
});

Deno.test("a difference names its object and table", async () => {
  const found = compareSchemas(
    await schemaOf("CREATE TABLE t (a INT, B INT); CREATE INDEX i ON t (a)"),
    await schemaOf(
      "CREATE TABLE T (A TEXT, c INT); CREATE TRIGGER r AFTER INSERT ON T BEGIN SELECT 1; END",
    ),
  );
  assert.deepEqual(found.map(({ detail: _, ...difference }) => difference), [
    { kind: "different", type: "column", object: "t.a", table: "t" },
    { kind: "missing", type: "column", object: "t.B", table: "t" },
    { kind: "extra", type: "column", object: "t.c", table: "t" },
    { kind: "missing", type: "index", object: "i", table: "t" },
    { kind: "extra", type: "trigger", object: "r", table: "T" },
  ]);
});

Deno.test("defaults are compared as the column stores them", async () => {
  const same = async (type: string, a: string, b: string): Promise<boolean> => {
    const [first, second] = [a, b].map((value) => `CREATE TABLE t (a ${type} DEFAULT ${value})`);
    return (await differences(first ?? "", second ?? "")).length === 0;
  };
  assert.ok(await same("REAL", "0.0", "0"));
  assert.ok(await same("REAL", "-1", "- 1.0"));
  assert.ok(await same("INTEGER", "(7)", "+7"));
  assert.ok(await same("TEXT", "NULL", "null"));
  assert.ok(await same("TEXT", "current_timestamp", "CURRENT_TIMESTAMP"));
  assert.ok(!await same("TEXT", "0.0", "0"));
  assert.ok(!await same("REAL", "0.1", "0"));
  assert.ok(!await same("INTEGER", "1", "-1"));
  assert.ok(!await same("TEXT", "'New'", "'new'"));
  assert.ok(!await same("TEXT", "'0'", "0"));
});

Deno.test("table options and virtual tables are compared", async () => {
  assert.deepEqual(
    await differences(
      `CREATE TABLE a (x INT PRIMARY KEY) STRICT; CREATE TABLE b (x TEXT NOT NULL PRIMARY KEY);
       CREATE VIRTUAL TABLE f USING fts5 (x, y); CREATE VIRTUAL TABLE g USING fts5 (x);
       CREATE TABLE c (x INT NOT NULL ON CONFLICT REPLACE DEFAULT 0)`,
      `CREATE TABLE a (x INT PRIMARY KEY); CREATE TABLE b (x TEXT PRIMARY KEY) WITHOUT ROWID;
       CREATE VIRTUAL TABLE f USING FTS5(x,y); CREATE VIRTUAL TABLE g USING fts5 (x, y);
       CREATE TABLE c (x INT NOT NULL DEFAULT 0)`,
    ),
    [
      'column "x" allows NULL, expected NOT NULL',
      "the table is not STRICT, but should be",
      "the table is WITHOUT ROWID, but should not be",
      `table "g" is defined as CREATE VIRTUAL TABLE g USING fts5 (x, y), expected CREATE VIRTUAL TABLE g USING fts5 (x)`,
      "the ON CONFLICT rule of NOT NULL (x): REPLACE is missing",
    ],
  );
});

Deno.test("keys are compared completely and in order", async () => {
  assert.deepEqual(
    await differences(
      "CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b))",
      "CREATE TABLE t (a INT, b INT, PRIMARY KEY (b, a))",
    ),
    ["the primary key is (b, a), expected (a, b)"],
  );
  assert.deepEqual(
    await differences("CREATE TABLE t (a INT PRIMARY KEY)", "CREATE TABLE t (a INT)"),
    ["the primary key is missing, expected (a)"],
  );
});

Deno.test("double-quoted strings, which other builds of SQLite allow, are strings", async () => {
  const path = await Deno.makeTempFile({ suffix: ".db" });
  try {
    const loose = new DatabaseSync(path, { enableDoubleQuotedStringLiterals: true });
    loose.exec(`CREATE TABLE t (side TEXT DEFAULT "long" CHECK (side IN ("long", "short")))`);
    loose.close();
    await using connection = new NodeSqliteConnection(new DatabaseSync(path), {
      label: "positions",
      owned: true,
    });
    const expected = await schemaOf(
      "CREATE TABLE t (side TEXT DEFAULT 'long' CHECK (side IN ('long', 'short')))",
    );
    assert.deepEqual(compareSchemas(expected, await readSchema(connection)), []);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("the description of a difference names its table", async () => {
  const expected = await schemaOf(
    "CREATE TABLE t (a, t); CREATE TABLE u (a); CREATE VIEW v AS SELECT 1",
  );
  const actual = await schemaOf("CREATE TABLE t (a PRIMARY KEY)");
  assert.deepEqual(compareSchemas(expected, actual).map(describeDifference), [
    'table "t": column "t" is missing (of any type)',
    'table "t": the primary key is (a), expected none',
    'table "u" is missing',
    'view "v" is missing',
  ]);
});
