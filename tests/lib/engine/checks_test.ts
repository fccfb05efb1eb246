import assert from "node:assert/strict";
import {
  compareObservations,
  lostRows,
  mayTouchRows,
  observeRows,
  type RowObservation,
} from "../../../lib/engine/checks.ts";
import { countRows } from "../../../lib/schema/tables.ts";
import { quoteName } from "../../../lib/sql/tokens.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { MigrationFailedError } from "../../../lib/base/errors.ts";
import { migrationOf } from "../support.ts";

const migration = migrationOf({ name: "001_a" });

function observation(
  rows: Record<string, number>,
  violations: readonly string[] = [],
): RowObservation {
  return { rows: new Map(Object.entries(rows)), violations: new Set(violations) };
}

Deno.test("rows of all tables with any name are counted, except SQLite's internal tables and the markers", async () => {
  await using db = openMemory();
  await db.exec(`
    CREATE TABLE "it's ""odd""" (a);
    CREATE TABLE counted (a INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE TABLE catalyst_migrations (a);
    CREATE VIEW shown AS SELECT 1;
    CREATE TEMP TABLE counted (a);
    INSERT INTO "it's ""odd""" VALUES (1), (2);
    INSERT INTO main.counted DEFAULT VALUES;
    INSERT INTO catalyst_migrations VALUES (1);
  `);
  assert.deepEqual(
    [...await countRows(db)].toSorted(),
    [["counted", 1], [`it's "odd"`, 2]],
  );
});

Deno.test("rows of a virtual table count if it stores them itself, not if it shows those of another table", async () => {
  await using db = openMemory();
  await db.exec(`
    CREATE TABLE bodies (id INTEGER PRIMARY KEY, body);
    CREATE VIRTUAL TABLE notes USING fts5(body);
    CREATE VIRTUAL TABLE old_notes USING fts4(body);
    CREATE VIRTUAL TABLE "odd ""boxes" USING rtree(id, low, high);
    CREATE VIRTUAL TABLE of_others USING fts5(body, content=bodies, content_rowid=id);
    CREATE VIRTUAL TABLE of_nothing USING fts5(body, content='');
    CREATE VIRTUAL TABLE terms USING fts5vocab(notes, row);
    CREATE VIRTUAL TABLE temp.passing USING fts5(body);
    INSERT INTO bodies VALUES (1, 'a');
    INSERT INTO of_others (rowid, body) VALUES (1, 'a');
    INSERT INTO of_nothing (rowid, body) VALUES (1, 'a');
    INSERT INTO notes VALUES ('a b'), ('c'), ('d');
    INSERT INTO old_notes VALUES ('a'), ('c');
    INSERT INTO "odd ""boxes" VALUES (1, 0, 1);
    INSERT INTO passing VALUES ('a');
  `);
  assert.deepEqual([...await countRows(db)].toSorted(), [
    ["bodies", 1],
    ["notes", 3],
    [`odd "boxes`, 1],
    ["old_notes", 2],
  ]);
});

Deno.test("a quoted name is read back by SQLite", () => {
  assert.equal(quoteName(`a"b`), `"a""b"`);
});

Deno.test("only a body that just creates objects needs no counting", () => {
  assert(!mayTouchRows("CREATE TABLE a (b); CREATE INDEX c ON a (b);"));
  assert(
    !mayTouchRows(
      "-- Update of a; /* insert */\nCREATE TABLE /* drop\n, delete */ a (b); -- alter",
    ),
  );
  for (
    const body of [
      "DELETE FROM a",
      "drop table a",
      "INSERT OR REPLACE INTO a VALUES (1)",
      "REPLACE INTO a VALUES (1)",
      "UPDATE a SET b = 1",
      "ALTER TABLE a DROP COLUMN b",
      "PRAGMA foreign_keys = OFF",
      "CREATE TABLE a (b DEFAULT '--'); DELETE FROM a",
      'CREATE TABLE "/*" (b);\n-- more\nDROP TABLE "*/"',
      // SQLite reads each of these variables as one token.
      "SELECT $x(--); DELETE FROM a",
      "SELECT :x::y(/*); DELETE FROM a",
      "SELECT @1('), ' -- '; DELETE FROM a",
      () => {},
    ]
  ) assert(mayTouchRows(body));
});

Deno.test("a table with fewer rows, or a missing one, has lost rows", () => {
  const before = new Map([["a", 5], ["b", 3], ["c", 0], ["d", 4]]);
  const after = new Map([["a", 2], ["d", 9]]);
  assert.deepEqual(lostRows(before, after), [{ table: "a", rows: 3 }, { table: "b", rows: 3 }]);
});

Deno.test("a renamed table has lost nothing; only one of two missing tables can be the renamed one", () => {
  const before = new Map([["a", 5], ["b", 5]]);
  assert.deepEqual(lostRows(before, new Map([["a2", 5], ["b2", 5]])), []);
  assert.deepEqual(lostRows(before, new Map([["new", 5]])), [{ table: "b", rows: 5 }]);
});

Deno.test("undeclared lost rows fail the migration, and the error names the table and the number", () => {
  const before = observation({ orders: 3, fills: 2 });
  const after = observation({ orders: 1, fills: 0 });
  assert.throws(
    () => compareObservations(before, after, { migration, destroys: ["ORDERS"] }),
    (error) => {
      assert(error instanceof MigrationFailedError);
      assert.match(error.message, /2 of table "fills"/);
      assert.doesNotMatch(error.message, /orders/);
      return true;
    },
  );
  compareObservations(before, after, { migration, destroys: ["orders", "fills"] });
});

Deno.test("an existing foreign key violation does not fail the migration; a new one does", async () => {
  await using db = openMemory();
  await db.exec(`
    PRAGMA foreign_keys = OFF;
    CREATE TABLE orders (id INTEGER PRIMARY KEY);
    CREATE TABLE fills (order_id INTEGER REFERENCES orders);
    INSERT INTO fills VALUES (1);
  `);
  const before = await observeRows(db);
  assert.equal(before.violations.size, 1);
  compareObservations(before, await observeRows(db), { migration, destroys: [] });
  await db.exec("INSERT INTO fills VALUES (2)");
  const after = await observeRows(db);
  assert.throws(
    () => compareObservations(before, after, { migration, destroys: [] }),
    /1 row would reference missing rows \(fills to orders\)/,
  );
});

Deno.test("violations in a table WITHOUT ROWID are found too", async () => {
  await using db = openMemory();
  await db.exec(`
    PRAGMA foreign_keys = OFF;
    CREATE TABLE orders (id INTEGER PRIMARY KEY);
    CREATE TABLE fills (id TEXT PRIMARY KEY, order_id INTEGER REFERENCES orders) WITHOUT ROWID;
    INSERT INTO fills VALUES ('a', 1);
  `);
  const before = await observeRows(db);
  assert.equal(before.violations.size, 1);
});

const WITHOUT_ROWID = `
  PRAGMA foreign_keys = OFF;
  CREATE TABLE orders (id INTEGER PRIMARY KEY);
  CREATE TABLE fills (
    part TEXT COLLATE NOCASE, id, order_id INTEGER REFERENCES orders, PRIMARY KEY (part, id)
  ) WITHOUT ROWID;
  INSERT INTO orders VALUES (1), (2), (3);
  INSERT INTO fills VALUES ('a', 1, 1), ('a', 2.5, 2), ('b', x'01', 3), ('b', 9, 99);`;

for (
  const [what, sql] of [
    ["more than before", "UPDATE fills SET order_id = order_id + 1000 WHERE order_id < 10"],
    [
      "as many as were fixed",
      "UPDATE fills SET order_id = iif(id = 9, 1, 1000) WHERE id IN (1, 9)",
    ],
  ] as const
) {
  Deno.test(`new violations in a table WITHOUT ROWID are distinguished from old ones: ${what}`, async () => {
    await using db = openMemory();
    await db.exec(WITHOUT_ROWID);
    const before = await observeRows(db);
    compareObservations(before, await observeRows(db), { migration, destroys: [] });
    await db.exec(sql);
    const after = await observeRows(db);
    assert.throws(
      () => compareObservations(before, after, { migration, destroys: [] }),
      /rows? would reference missing rows \(fills to orders\)/,
    );
    await db.exec("UPDATE fills SET order_id = 1 WHERE order_id > 10");
    compareObservations(before, await observeRows(db), { migration, destroys: [] });
  });
}

Deno.test("a second violated key of the same row is a new violation", async () => {
  await using db = openMemory();
  await db.exec(`
    PRAGMA foreign_keys = OFF;
    CREATE TABLE orders (id INTEGER PRIMARY KEY);
    CREATE TABLE pairs (first REFERENCES orders, second REFERENCES orders);
    INSERT INTO orders VALUES (1);
    INSERT INTO pairs VALUES (1, 99);
  `);
  const before = await observeRows(db);
  await db.exec("UPDATE pairs SET first = 98");
  const after = await observeRows(db);
  assert.throws(
    () => compareObservations(before, after, { migration, destroys: [] }),
    /1 row would reference/,
  );
});

Deno.test("a foreign key that SQLite cannot check does not hide violations in other tables", async () => {
  await using db = openMemory();
  await db.exec(`
    PRAGMA foreign_keys = OFF;
    CREATE TABLE parents (id INTEGER PRIMARY KEY, code TEXT);
    CREATE TABLE odd (code TEXT REFERENCES parents (code));
    CREATE TABLE children (id INTEGER REFERENCES parents);
    INSERT INTO odd VALUES ('x');
    INSERT INTO children VALUES (7);
  `);
  const { violations } = await observeRows(db);
  assert.deepEqual([...violations], ['["children","parents","1"]']);
});
