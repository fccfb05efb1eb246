import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import fc from "fast-check";
import { locate } from "../../../lib/database/location.ts";
import { openForReading } from "../../../lib/database/open.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { compareSchemas } from "../../../lib/schema/compare.ts";
import { formatSchema } from "../../../lib/schema/format.ts";
import { readSchema } from "../../../lib/schema/read.ts";
import { RESERVED, spellName } from "../../../lib/sql/spelling.ts";
import { stableSchema } from "../../../lib/schema/document.ts";
import { fold, normalize, tokenize } from "../../../lib/sql/tokens.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { earlierSql } from "../../earlier_system.ts";
import { databaseNames } from "../../helpers.ts";
import { TemporaryDirectory } from "../support.ts";
import { SAMPLE, schemaOf } from "./sample.ts";
import { trials } from "../../effort.ts";

/** The formatted schema of a script, after checking that it creates the same schema again. */
async function format(sql: string): Promise<string> {
  const schema = await schemaOf(sql);
  const text = formatSchema(schema);
  const again = await schemaOf(text);
  assert.deepEqual(compareSchemas(schema, again), [], text);
  assert.equal(formatSchema(again), text);
  assert.deepEqual(stableSchema(again), stableSchema(schema));
  // Regardless of layout, each object has the same tokens.
  const spellings = ({ tables, indexes, views, triggers }: typeof schema) =>
    [...tables, ...indexes, ...views, ...triggers].map((one) => normalize(one.sql)).toSorted();
  assert.deepEqual(spellings(again), spellings(schema));
  return text;
}

Deno.test("the formatted bundled schemas and their earlier versions create the same schemas again", async () => {
  for (const { upgrade } of bundledMigrations) {
    assert(typeof upgrade === "string");
    assert.doesNotMatch(await format(upgrade), / \n|IF NOT EXISTS|--|.{101}/);
  }
  for (const database of databaseNames) await format(earlierSql(database));
});

Deno.test("tables are sorted by name, each with its indexes and triggers, and views come last", async () => {
  assert.equal(
    await format(SAMPLE),
    `CREATE TABLE accounts (
  account_id INTEGER PRIMARY KEY AUTOINCREMENT,
  email TEXT NOT NULL UNIQUE COLLATE NOCASE,
  status TEXT NOT NULL DEFAULT 'new' CHECK (status IN ('new', 'open', 'closed')),
  balance REAL NOT NULL DEFAULT 0.0
);

CREATE TABLE trades (
  trade_id TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES accounts ON DELETE CASCADE,
  side TEXT NOT NULL CHECK (side IN ('long', 'short')),
  quantity INTEGER NOT NULL CHECK (quantity > 0),
  price REAL NOT NULL,
  stop REAL,
  score REAL CHECK (score BETWEEN 0 AND 1),
  cost REAL GENERATED ALWAYS AS (price * quantity) VIRTUAL,
  UNIQUE (account_id, side, price),
  CONSTRAINT valid_stop CHECK (
    stop IS NULL OR (side = 'long' AND stop < price) OR (side = 'short' AND stop > price)
  )
);
CREATE UNIQUE INDEX idx_trades_open ON trades (account_id, lower(side)) WHERE stop IS NULL;
CREATE INDEX idx_trades_side ON trades (side, price DESC);
CREATE TRIGGER trades_keep BEFORE DELETE ON trades
BEGIN
  SELECT RAISE(ABORT, 'trades are kept; all of them');
END;

CREATE VIEW open_trades AS
SELECT
  trade_id,
  price AS entry
FROM trades
WHERE stop IS NULL;
`,
  );
});

Deno.test("every clause of a statement has its own line", async () => {
  const text = await format(`
    CREATE TABLE t (a, b, "order");
    CREATE VIEW v AS with recursive n(i) as (select 1 union all select i+1 from n where i < 9),
      m as (select * from n) select distinct i, case when i between 1 and 3 and a then 'a long text'
      when i is distinct from 4 then 'another text that is long' else - -i end as kind,
      (select max(b) from t where a is not distinct from 3) as most
      from n left outer join t as "u" on u.a=n.i and exists(select 1 from m where m.i=n.i)
      where a in (1,2) group by i having count(*)>0 order by i desc, most limit 3 offset 1;
    CREATE TRIGGER g after update of a, b on "t" for each row when new."a">3 begin
      insert or replace into t("a",b) values(1,-2),(3,case when 1 then 2 end);
      update t set a=new.a,"order"=3 where a=old.a; delete from t where a=9;
      select raise(abort,'no; not
        so') where new.a=7;
    end;`);
  assert.equal(
    text,
    `CREATE TABLE t (
  a,
  b,
  "order"
);
CREATE TRIGGER g AFTER UPDATE OF a, b ON t FOR EACH ROW
WHEN new.a > 3
BEGIN
  INSERT OR REPLACE INTO t (a, b)
  VALUES (1, -2), (3, CASE WHEN 1 THEN 2 END);
  UPDATE t
  SET a = new.a, "order" = 3
  WHERE a = old.a;
  DELETE FROM t
  WHERE a = 9;
  SELECT raise(abort, 'no; not
        so')
  WHERE new.a = 7;
END;

CREATE VIEW v AS
WITH RECURSIVE
  n (i) AS (
    SELECT 1
    UNION ALL
    SELECT i + 1
    FROM n
    WHERE i < 9
  ),
  m AS (
    SELECT *
    FROM n
  )
SELECT DISTINCT
  i,
  CASE
    WHEN i BETWEEN 1 AND 3 AND a THEN 'a long text'
    WHEN i IS DISTINCT FROM 4 THEN 'another text that is long'
    ELSE - -i
  END AS kind,
  (
    SELECT max(b)
    FROM t
    WHERE a IS NOT DISTINCT FROM 3
  ) AS most
FROM n
LEFT OUTER JOIN t AS u ON u.a = n.i
  AND EXISTS (
    SELECT 1
    FROM m
    WHERE m.i = n.i
  )
WHERE a IN (1, 2)
GROUP BY i
HAVING count(*) > 0
ORDER BY i DESC, most
LIMIT 3 OFFSET 1;
`,
  );
});

Deno.test("an unnamed column of a view keeps its text, which is its name", async () => {
  const sql = `CREATE TABLE t (a, b);
    CREATE VIEW v AS SELECT a /* plain */, a  +  b, count( * ) -- all of them
    , max(a) /* most */ FROM t;
    CREATE VIEW w AS SELECT "a  +  b" AS sum FROM v;`;
  const text = await format(sql);
  const before = await schemaOf(sql);
  const after = await schemaOf(text);
  assert.deepEqual(before.views[0]?.columns[1], "a  +  b");
  assert.deepEqual(after.views.map((view) => view.columns), before.views.map((v) => v.columns));
});

Deno.test("virtual tables keep their arguments, and shadow tables are omitted", async () => {
  assert.equal(
    await format(`CREATE VIRTUAL TABLE docs USING fts5(title ,body, tokenize="unicode61" );
      CREATE VIRTUAL TABLE "boxes" USING rtree( id, x0, x1 );`),
    `CREATE VIRTUAL TABLE boxes USING rtree (
  id,
  x0,
  x1
);

CREATE VIRTUAL TABLE docs USING fts5 (
  title,
  body,
  tokenize="unicode61"
);
`,
  );
});

Deno.test("a renamed or extended table is formatted like one created that way", async () => {
  const rest = `CREATE VIEW v AS SELECT o.a AS a, l.b AS b FROM orders AS o, legs AS l;
    CREATE TRIGGER g AFTER INSERT ON orders BEGIN
      UPDATE orders SET b = 1 WHERE orders.a = new.a; INSERT INTO orders (a, b) SELECT 1, 2;
    END;`;
  const made = await format(`CREATE TABLE orders (a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x');
    CREATE TABLE legs (a REFERENCES orders (a), b); CREATE INDEX i ON orders (b, a); ${rest}`);
  const grown = await format(`CREATE TABLE orders_new(a integer primary key);
    CREATE TABLE legs (a REFERENCES orders_new (a), b);
    ${rest.replaceAll("orders", "orders_new")}
    ALTER TABLE orders_new RENAME TO orders; ALTER TABLE orders ADD COLUMN b TEXT DEFAULT 'x';
    CREATE INDEX i ON orders(b, a)`);
  assert.equal(grown.replace("integer", "INTEGER"), made);
});

Deno.test("a double-quoted string, as in old databases, becomes one that every build of SQLite accepts", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("old.db");
  using db = new DatabaseSync(path, { enableDoubleQuotedStringLiterals: true });
  db.exec(`CREATE TABLE t ("side" TEXT DEFAULT "long" CHECK ("side" IN ("long", "it's")), b "INT");
    CREATE INDEX i ON t (b) WHERE side = "long";`);
  await using connection = await openForReading(locate(path), defaultSettings);
  const schema = await readSchema(connection);
  const text = formatSchema(schema);
  assert.equal(
    text,
    `CREATE TABLE t (
  side TEXT DEFAULT 'long' CHECK (side IN ('long', 'it''s')),
  b "INT"
);
CREATE INDEX i ON t (b) WHERE side = 'long';
`,
  );
  const again = await schemaOf(text);
  assert.equal(formatSchema(again), text);
  assert.deepEqual(stableSchema(again), stableSchema(schema));
});

Deno.test("names that need quotes keep them", () => {
  const words = "abort action add after all alter always analyze and as asc attach autoincrement " +
    "before begin between by cascade case cast check collate column commit conflict constraint " +
    "create cross current current_date current_time current_timestamp database default deferrable " +
    "deferred delete desc detach distinct do drop each else end escape except exclude exclusive " +
    "exists explain fail filter first following for foreign from full generated glob group groups " +
    "having if ignore immediate in index indexed initially inner insert instead intersect into is " +
    "isnull join key last left like limit match materialized natural no not nothing notnull null " +
    "nulls of offset on or order others outer over partition plan pragma preceding primary query " +
    "raise range recursive references regexp reindex release rename replace restrict returning " +
    "right rollback row rows savepoint select set table temp temporary then ties to transaction " +
    "trigger unbounded union unique update using vacuum values view virtual when where window with " +
    "without true false a$b 1a été a-b";
  using db = new DatabaseSync(":memory:");
  for (const word of [...words.split(" "), "", "a b", 'say "so"']) {
    db.exec(
      `CREATE TABLE t (${spellName(word)} INTEGER CHECK (${spellName(word)} > 0)); DROP TABLE t`,
    );
    if (!/^\w+$/.test(word) || /^\d/.test(word)) continue;
    assert.equal(spellName(word), `"${word}"`);
    let isName = true;
    try {
      db.exec(`CREATE TABLE t (${word} INTEGER); DROP TABLE t`);
    } catch {
      isName = false;
    }
    assert.equal(RESERVED.has(word), !isName, word);
  }
});

const NAMES = ["id", "side", "Price", "key", "order", "a b", 'say "so"', "naïve", "select", "desc"];

const column = fc.record({
  type: fc.constantFrom("INTEGER", "REAL", "TEXT", "BLOB", "", "VARCHAR(10)", "DOUBLE PRECISION"),
  rules: fc.subarray([
    "NOT NULL",
    "UNIQUE",
    "DEFAULT -1",
    "COLLATE NOCASE",
    "CHECK (# > - -1)",
    "CHECK (# IN (1, 2) OR # BETWEEN 1 AND 3 AND length(#) > 2)",
    "REFERENCES p (id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED",
    "DEFAULT (1 + 2)",
    "CONSTRAINT named NOT NULL ON CONFLICT IGNORE",
  ]),
  index: fc.option(fc.constantFrom("#", "# DESC", "lower(#)", "# COLLATE RTRIM", "# + 1")),
  partial: fc.boolean(),
});

const schemas = fc.record({
  columns: fc.array(column, { minLength: 1, maxLength: 8 }),
  names: fc.shuffledSubarray(NAMES, { minLength: 9 }),
  withoutRowid: fc.boolean(),
  unique: fc.boolean(),
  generated: fc.constantFrom("", "VIRTUAL", "STORED"),
  view: fc.boolean(),
  trigger: fc.boolean(),
}).map(({ columns, names, withoutRowid, unique, generated, view, trigger }) => {
  const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;
  const nameOf = (at: number) => quote(names[at] ?? "");
  const table = quote(`${names[0]} table`);
  const lines = columns.map(({ type, rules }, at) =>
    `${nameOf(at)} ${type} ${rules.join(" ").replaceAll("#", nameOf(at))}`
  );
  if (generated !== "") lines.push(`g AS (${nameOf(0)} || 'it''s -- ;') ${generated}`);
  if (unique) lines.push(`UNIQUE (${nameOf(0)})`);
  if (withoutRowid) lines.push(`CONSTRAINT main_key PRIMARY KEY (${nameOf(0)})`);
  const statements = [
    "CREATE TABLE p (id INTEGER PRIMARY KEY)",
    `CREATE TABLE ${table} (${lines.join(", ")})${withoutRowid ? " WITHOUT ROWID" : ""}`,
    ...columns.flatMap(({ index, partial }, at) =>
      index === null ? [] : [
        `CREATE INDEX ${quote(`i ${at}`)} ON ${table} (${index.replaceAll("#", nameOf(at))})` +
        (partial ? ` WHERE ${nameOf(at)} IS NOT NULL` : ""),
      ]
    ),
  ];
  if (view) {
    statements.push(
      `CREATE VIEW v AS SELECT t.${nameOf(0)} AS ${nameOf(0)}, t.${nameOf(0)} + 1 AS more ` +
        `FROM ${table} AS t JOIN p ON p.id = t.${nameOf(0)} AND p.id <> 3 ` +
        `WHERE EXISTS (SELECT 1 FROM p AS q WHERE q.id = p.id) ORDER BY more DESC`,
    );
  }
  if (trigger) {
    statements.push(
      `CREATE TRIGGER g AFTER UPDATE OF ${nameOf(0)} ON ${table} WHEN new.${nameOf(0)} > 1 BEGIN ` +
        `DELETE FROM p WHERE id = CASE WHEN old.${nameOf(0)} THEN 1 ELSE -2 END; ` +
        `INSERT INTO p (id) VALUES (1), (2); END`,
    );
  }
  return statements.map((statement) => `${statement};\n`).join("");
});

/** The same text with different white space, comments, quotes around names, and case of keywords. */
function reformat(sql: string, ways: readonly number[]): string {
  return tokenize(sql).map((token, at) => {
    const way = ways[at % ways.length] ?? 0;
    let text = token.text;
    if (token.kind === "word" && RESERVED.has(fold(text)) && way % 2 === 0) {
      text = text.toLowerCase();
    }
    if (token.kind === "quoted" && !/["`\]]/.test(token.value)) {
      text = [text, `\`${token.value}\``, `[${token.value}]`][way % 3] ?? text;
    }
    return text + [" ", "\n", " /* , ( ' */ ", " -- it's )\n", "\r\n\t"][way % 5];
  }).join("");
}

Deno.test("random schemas are created again, and their formatting does not depend on the original spelling", async () => {
  const ways = fc.array(fc.nat(99), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(schemas, ways, async (sql, ways) => {
      assert.equal(await format(reformat(sql, ways)), await format(sql));
    }),
    { numRuns: trials(50) },
  );
});

Deno.test("an empty schema gives an empty text", async () => {
  assert.equal(await format("CREATE TABLE catalyst_migrations (a); SELECT 1"), "");
});
