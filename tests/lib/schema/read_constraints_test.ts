import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { readIndexText, readTableText } from "../../../lib/schema/read.ts";

/** Reads a statement that SQLite has accepted. */
async function read(sql: string): Promise<ReturnType<typeof readTableText>> {
  await using connection = openMemory();
  await connection.exec(sql);
  return readTableText(sql);
}

Deno.test("checks are found in columns and tables, with and without names", async () => {
  const found = await read(`CREATE TABLE "check (" (
    a INT CONSTRAINT positive CHECK (a > 0) CHECK(a <> ')') /* CHECK (no) */ NOT NULL,
    "check" TEXT DEFAULT 'CHECK (no)' CHECK (("check") IN ('x', 'y')),
    b DECIMAL(10, 2) DEFAULT (1 + (2)) CONSTRAINT n NOT NULL CHECK (b),
    CONSTRAINT one CHECK (a < b) CONSTRAINT "Two 2" CHECK (b < 9),
    CHECK (a /* why */ > 1)
  )`);
  assert.deepEqual(found.checks, [
    { name: "positive", expression: "a > 0" },
    { name: null, expression: "a <> ')'" },
    { name: null, expression: `("check") IN ('x', 'y')` },
    { name: null, expression: "b" },
    { name: "one", expression: "a < b" },
    { name: "Two 2", expression: "b < 9" },
    { name: null, expression: "a /* why */ > 1" },
  ]);
});

Deno.test("a column added after the constraints is still a column", async () => {
  await using connection = openMemory();
  await connection.script(`
    CREATE TABLE t (a, CHECK (a > 0), UNIQUE (a));
    ALTER TABLE t ADD COLUMN b TEXT COLLATE nocase CHECK (b <> '');
  `);
  const row = await connection.get("SELECT sql FROM sqlite_schema");
  const found = readTableText(String(row?.["sql"]));
  // Depending on its version, SQLite puts the new column before or after the constraints.
  assert.deepEqual(found.checks.map((check) => check.expression).toSorted(), ["a > 0", "b <> ''"]);
  assert.deepEqual([...found.collations], [["b", "NOCASE"]]);
});

Deno.test("collations, generated columns, deferral, conflicts and options are found", async () => {
  const found = await read(`CREATE TABLE t (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    A TEXT COLLATE "rtrim" NOT NULL ON CONFLICT REPLACE DEFAULT 'x',
    b INT AS (id * 2) STORED UNIQUE ON CONFLICT ABORT,
    c INT GENERATED ALWAYS AS ((b) + 1),
    d INT REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED REFERENCES t (b) ON DELETE SET NULL,
    FOREIGN KEY (d) REFERENCES t (id) NOT DEFERRABLE INITIALLY DEFERRED,
    UNIQUE (A, "d") ON CONFLICT IGNORE
  ) STRICT`);
  assert.deepEqual([...found.collations], [["a", "RTRIM"]]);
  assert.deepEqual([...found.generated], [["b", "id * 2"], ["c", "(b) + 1"]]);
  assert.deepEqual(found.deferred, [true, false, false]);
  assert.deepEqual(found.conflicts, ["NOT NULL (a): REPLACE", "UNIQUE (a, d): IGNORE"]);
  assert.equal(found.autoincrement, true);
  assert.equal(found.strict, true);
  assert.equal(found.withoutRowid, false);
  assert.equal((await read("CREATE TABLE t (a PRIMARY KEY) WITHOUT ROWID")).withoutRowid, true);
});

Deno.test("the terms and the condition of an index are found", () => {
  assert.deepEqual(
    readIndexText(
      `CREATE UNIQUE INDEX "on" ON t (a DESC, max(b, ',') COLLATE nocase ASC) WHERE a > ')'`,
    ),
    { terms: ["a", "max(b, ',')"], where: "a > ')'" },
  );
  assert.deepEqual(readIndexText("CREATE INDEX i ON [t (] (a)"), { terms: ["a"], where: null });
});
