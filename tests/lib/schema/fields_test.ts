import assert from "node:assert/strict";
import { entitiesOf, TypeNames } from "../../../lib/schema/entities.ts";
import type { Field } from "../../../lib/schema/fields.ts";
import { SAMPLE, schemaOf } from "./sample.ts";

/** The columns of the first table that a script creates, or of a table or view with a name. */
async function fieldsOf(sql: string, name?: string): Promise<readonly Field[]> {
  const entities = entitiesOf(await schemaOf(sql));
  const found = name === undefined ? entities[0] : entities.find((one) => one.name === name);
  assert(found !== undefined);
  return found.fields;
}

async function meaningsOf(sql: string): Promise<Record<string, string | null>> {
  return Object.fromEntries((await fieldsOf(sql)).map(({ name, meaning }) => [name, meaning]));
}

/** Each column of a view as `name kind`, with `?` where it can be NULL and its values, if known. */
async function viewOf(select: string): Promise<string[]> {
  const fields = await fieldsOf(`${SAMPLE}; CREATE VIEW v AS ${select}`, "v");
  return fields.map(({ name, kind, values, nullable }) =>
    `${name} ${values === null ? kind : values.join("|")}${nullable ? "?" : ""}`
  );
}

Deno.test("a column's meaning is the comment after it on the same line", async () => {
  const meanings = await meaningsOf(`CREATE TABLE t ( -- one row a day
    -- Identity
    id INTEGER PRIMARY KEY, -- the broker's  id
    plain TEXT,
    side TEXT NOT NULL CHECK ( -- which way
      side IN ('a, -- no comment', 'b')
    ), /* long or short */
    price REAL, -- per share,
                -- in USD
    -- Notes
    note TEXT -- last
  )`);
  assert.deepEqual(meanings, {
    id: "the broker's id",
    plain: null,
    side: "which way long or short",
    price: "per share, in USD",
    note: "last",
  });
});

Deno.test("comments on constraints and above columns are not meanings", async () => {
  const sql = `CREATE TABLE t (
    -- Above
    a INT,
    b INT,
    UNIQUE (a, b), -- a rule
    -- more about the rule
    CHECK (a > b) -- another rule
  )`;
  assert.deepEqual(await meaningsOf(sql), { a: null, b: null });
});

Deno.test("a table's meaning is the comment on its first line", async () => {
  const [table] = entitiesOf(await schemaOf("CREATE TABLE t ( -- one row a day\n  a INT\n)"));
  assert.equal(table?.meaning, "one row a day");
});

Deno.test("columns added by ALTER TABLE do not get the comment of another column", async () => {
  const sql = `CREATE TABLE t (
    a INT,
    b TEXT, -- free for the bot
    CHECK (a > 0)
  );
  ALTER TABLE t ADD COLUMN c TEXT;
  ALTER TABLE t ADD COLUMN d TEXT`;
  const meanings = { a: null, b: "free for the bot", c: null, d: null };
  assert.deepEqual(await meaningsOf(sql), meanings);
});

Deno.test("a check with a list of literals determines the values of a column", async () => {
  const fields = await fieldsOf(`CREATE TABLE t (
    a TEXT CHECK (a IN ('x', 'it''s')),
    b INTEGER CHECK (b IN (-1, 0, '1')),
    c TEXT CHECK (c IN (1, 2)),
    d CHECK (d IS NULL OR "d" IN ('x')),
    e CHECK ((e IN ('x')) OR e IS NULL),
    f TEXT CHECK (f IS NOT NULL AND (f IN ('x', 'x', 'y'))),
    g TEXT,
    CONSTRAINT known_g CHECK (g IN ('x'))
  )`);
  const values = fields.map((field) => field.values);
  const expected = [["x", "it's"], [-1, 0, 1], ["1", "2"], ["x"], ["x"], ["x", "y"], ["x"]];
  assert.deepEqual(values, expected);
});

Deno.test("a check that allows other values determines no list", async () => {
  const fields = await fieldsOf(`CREATE TABLE t (
    a TEXT CHECK (a IN ('x', NULL)),
    b TEXT CHECK (b NOT IN ('x')),
    c TEXT CHECK (c IN ('x') OR length(c) > 3),
    d TEXT CHECK (lower(d) IN ('x')),
    e TEXT COLLATE NOCASE CHECK (e IN ('x')),
    f TEXT CHECK (f IN ('x', a)),
    g TEXT CHECK (NOT g IN ('x')),
    h TEXT CHECK (h IN ('x') = 0),
    i TEXT CHECK (i IN (upper('x'))),
    j TEXT CHECK (a BETWEEN 'a' AND j IN ('x'))
  )`);
  assert.deepEqual(fields.filter(({ values }) => values !== null), []);
});

Deno.test("a column is optional if SQLite can fill it, and read-only if it is generated", async () => {
  const fields = await fieldsOf(`CREATE TABLE t (
    id INTEGER PRIMARY KEY,
    a TEXT NOT NULL,
    b TEXT NOT NULL DEFAULT 'x',
    c TEXT,
    d TEXT AS (a) STORED NOT NULL
  )`);
  const shown = fields.map(({ name, nullable, optional, readOnly }) =>
    [
      name,
      ...(nullable ? ["nullable"] : []),
      ...(optional ? ["optional"] : []),
      ...(readOnly ? ["readOnly"] : []),
    ].join(" ")
  );
  const expected = ["id optional", "a", "b optional", "c nullable optional", "d readOnly"];
  assert.deepEqual(shown, expected);
});

Deno.test("only a single INTEGER PRIMARY KEY numbers the rows, and no primary key is NULL", async () => {
  const keys = [
    "id TEXT PRIMARY KEY",
    "id INT PRIMARY KEY",
    "id INTEGER, b INTEGER NOT NULL, PRIMARY KEY (id, b)",
  ];
  for (const key of keys) {
    const [id] = await fieldsOf(`CREATE TABLE t (${key})`);
    assert.deepEqual([id?.nullable, id?.optional], [false, false], key);
  }
  const [without] = await fieldsOf("CREATE TABLE t (id INTEGER PRIMARY KEY) WITHOUT ROWID");
  assert.equal(without?.optional, false);
  const [named] = await fieldsOf("CREATE TABLE t (id INTEGER, PRIMARY KEY (id))");
  assert.equal(named?.optional, true);
});

Deno.test("the kind of a column follows its declared type", async () => {
  const types = "INTEGER BIGINT REAL TEXT VARCHAR(9) BLOB TIMESTAMP DATE BOOLEAN DECIMAL(9,2) JSON";
  const columns = types.split(" ").map((type, at) => `c${at} ${type}`).join(", ");
  const fields = await fieldsOf(`CREATE TABLE t (${columns}, x, y ODD)`);
  assert.deepEqual(fields.map(({ kind }) => kind), [
    ...["integer", "integer", "real", "text", "text", "blob", "moment", "moment", "integer"],
    ...["number", "text", "any", "any"],
  ]);
});

Deno.test("a view has the types of its source columns", async () => {
  assert.deepEqual(
    await viewOf("SELECT trade_id, t.side AS way, stop s, price * 2 AS double FROM trades AS t"),
    ["trade_id text", "way long|short", "s real?", "double number?"],
  );
  assert.deepEqual(await viewOf("SELECT * FROM accounts"), [
    ...["account_id integer", "email text", "status new|open|closed", "balance real"],
  ]);
  assert.deepEqual(await viewOf("SELECT w.* FROM (SELECT 1) AS x, open_trades AS w"), [
    ...["trade_id text", "entry real"],
  ]);
  assert.deepEqual(await viewOf("SELECT * FROM open_trades WHERE entry > 1"), [
    ...["trade_id text", "entry real"],
  ]);
});

Deno.test("an outer join or an aggregate without rows makes columns of a view nullable", async () => {
  const from = "accounts AS a LEFT JOIN trades AS t ON t.account_id = a.account_id";
  assert.deepEqual(await viewOf(`SELECT status, side FROM ${from}`), [
    ...["status new|open|closed", "side long|short?"],
  ]);
  assert.deepEqual(
    await viewOf(
      "SELECT a.email, t.side FROM trades t FULL JOIN accounts a ON a.account_id = t.account_id",
    ),
    ["email text?", "side long|short?"],
  );
  assert.deepEqual(await viewOf("SELECT side, count(*) AS n, max(price) AS m FROM trades"), [
    ...["side long|short?", "n integer", "m real?"],
  ]);
  assert.deepEqual(await viewOf("SELECT side, count(*) AS n FROM trades GROUP BY side"), [
    ...["side long|short", "n integer"],
  ]);
});

Deno.test("a view's CASE, COALESCE and CAST have the types of their results", async () => {
  assert.deepEqual(
    await viewOf(`SELECT
      CASE WHEN price > 1 THEN 'high' ELSE 'low' END AS a,
      CASE side WHEN 'long' THEN 1 END AS b,
      coalesce(stop, 0) AS c,
      CAST(price AS TEXT) AS d,
      CASE WHEN stop IS NULL THEN side ELSE 'none' END AS e,
      (SELECT 1) AS f,
      side || 'x' AS g,
      price > 1 AS h
    FROM trades`),
    [
      ...["a high|low", "b 1?", "c number", "d text", "e long|short|none", "f any?", "g text?"],
      "h integer?",
    ],
  );
});

Deno.test("a column that cannot be derived from a view's SQL can be anything", async () => {
  const anything = ["side any?"];
  assert.deepEqual(await viewOf("SELECT side FROM trades UNION SELECT NULL"), anything);
  assert.deepEqual(
    await viewOf("WITH trades AS (SELECT 1 AS side) SELECT side FROM trades"),
    anything,
  );
  assert.deepEqual(await viewOf("SELECT side FROM (SELECT side FROM trades)"), anything);
  assert.deepEqual(
    await viewOf("SELECT a.account_id AS side FROM accounts a JOIN trades USING (account_id)"),
    ["side integer"],
  );
  assert.deepEqual(
    await viewOf("SELECT account_id AS side FROM accounts JOIN trades USING (account_id)"),
    anything,
  );
});

Deno.test("type names are unique with all suffixes", () => {
  const names = new TypeNames(["Table"]);
  const suffixes = ["Row", ""];
  assert.equal(names.take("order_items", suffixes), "OrderItems");
  assert.equal(names.take("OrderItems", suffixes), "OrderItems2");
  assert.equal(names.take("order items row", suffixes), "OrderItemsRow2");
  assert.equal(names.take("table"), "Table2");
  assert.equal(names.take("1 %"), "T1");
});
