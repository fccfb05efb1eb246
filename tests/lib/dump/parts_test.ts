/** Which content an export has: everything, the schema, the rows, some tables. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import type { ExportOptions } from "../../../lib/dump/export.ts";
import type { LeftOut } from "../../../lib/dump/export_sql.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { execute, insertRows, query, tempDir } from "../../helpers.ts";
import { appIn, textOf } from "./app.ts";
import { contentOf } from "./content.ts";
import { runShell, shellVersion } from "./shell.ts";

/** Exports a database created with SQL. */
async function dumpOf(sql: string, options?: ExportOptions): Promise<string> {
  await using source = await tempDir();
  const { migrator, path } = appIn(source.path);
  execute(path, sql);
  return await textOf(await migrator.exportDatabase("app", options));
}

/** Loads a dump into a new database with this toolkit and with the shell; examines both. */
async function loaded<T>(
  dump: string,
  look: (path: string) => T,
  { before = "" }: { readonly before?: string } = {},
): Promise<T> {
  await using target = await tempDir();
  const { migrator, path } = appIn(target.path);
  if (before !== "") execute(path, before);
  await migrator.importDump(new Blob([dump]).stream(), {
    database: "app",
    intoExisting: before !== "",
  });
  const found = look(path);
  if (shellVersion !== null) {
    const other = `${path}.shell`;
    if (before !== "") execute(other, before);
    await runShell(other, dump);
    assert.deepEqual(look(other), found);
  }
  return found;
}

const ORDERS = `
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT);
CREATE TABLE fills (id INTEGER PRIMARY KEY, order_id REFERENCES orders);
CREATE INDEX orders_note ON orders (note);
CREATE INDEX fills_order ON fills (order_id);
CREATE VIEW all_orders AS SELECT * FROM orders;
CREATE TRIGGER on_order AFTER UPDATE ON orders BEGIN SELECT 1; END;
CREATE TRIGGER on_fill AFTER INSERT ON fills BEGIN SELECT 1; END;
INSERT INTO orders VALUES (1, 'a'), (2, 'b');
INSERT INTO fills VALUES (1, 1);
DELETE FROM orders WHERE id = 2;
`;

Deno.test("an export of some tables includes their indexes and triggers, and nothing else", async () => {
  const dump = await dumpOf(ORDERS, { tables: ["ORDERS"] });
  const names = await loaded(
    dump,
    (path) => query(path, "SELECT name FROM sqlite_schema ORDER BY name").map(({ name }) => name),
  );
  assert.deepEqual(names, ["on_order", "orders", "orders_note", "sqlite_sequence"]);
  const [mark] = await loaded(dump, (path) => query(path, "SELECT * FROM sqlite_sequence"));
  assert.equal(mark?.["seq"], 2);
});

Deno.test("a virtual table that is exported alone includes its rows", async () => {
  const dump = await dumpOf(
    `CREATE VIRTUAL TABLE Notes USING fts5(body); INSERT INTO notes VALUES ('hello world');
    CREATE VIRTUAL TABLE notes2 USING fts5(body); INSERT INTO notes2 VALUES ('x');
    CREATE TABLE notes_ (a)`,
    { tables: ["notes"] },
  );
  const found = await loaded(
    dump,
    (path) => query(path, "SELECT rowid, * FROM notes WHERE notes MATCH 'hello'"),
  );
  assert.deepEqual(found, [{ rowid: 1, body: "hello world" }]);
  assert.doesNotMatch(dump, /notes2|notes_ \(a\)/);
});

Deno.test("a missing table is an error that lists the existing ones", async () => {
  await assert.rejects(dumpOf(ORDERS, { tables: ["orders", "trades"] }), (error) => {
    assert(error instanceof UsageError);
    assert.match(error.message, /^Cannot export table "trades": app has no such table$/);
    assert.equal(error.help, "the tables are orders, fills, all_orders");
    return true;
  });
});

Deno.test("an export of only the schema has no rows, counters or statistics", async () => {
  const dump = await dumpOf(`${ORDERS} ANALYZE;`, { content: "schema" });
  assert.doesNotMatch(dump, /INSERT INTO "|sqlite_s/);
  const [counts] = await loaded(
    dump,
    (path) => query(path, "SELECT (SELECT count(*) FROM orders) AS rows"),
  );
  assert.equal(counts?.["rows"], 0);
});

Deno.test("the results of ANALYZE are restored, even if they were changed or deleted", async () => {
  const statistics = (path: string) =>
    query(path, "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx");
  const find = async (sql: string) => await loaded(await dumpOf(`${ORDERS} ${sql}`), statistics);
  assert.equal((await find("ANALYZE")).length, 2);
  assert.deepEqual(await find("ANALYZE; DELETE FROM sqlite_stat1"), []);
  assert.deepEqual(
    await find("ANALYZE; UPDATE sqlite_stat1 SET stat = '7 7' WHERE idx = 'orders_note'"),
    [{ tbl: "fills", idx: "fills_order", stat: "1 1" }, {
      tbl: "orders",
      idx: "orders_note",
      stat: "7 7",
    }],
  );
  const none = await dumpOf(`${ORDERS} ANALYZE; DROP TABLE sqlite_stat1`);
  assert.doesNotMatch(none, /ANALYZE|sqlite_stat/);
});

Deno.test("statements that end in a comment don't swallow the following text", async () => {
  const dump = await dumpOf(
    `CREATE TABLE a (x) STRICT -- one
    ;`.replace("(x)", "(x ANY)") +
      `CREATE TABLE b (x -- ; '
    );
    CREATE INDEX c ON b (x) /* ; */ -- two`,
  );
  await loaded(
    `${dump}CREATE VIEW d AS SELECT 1 -- three\n`.replace("COMMIT;\n", "") + "; COMMIT;",
    (path) => query(path, "SELECT count(*) FROM d"),
  );
});

Deno.test("an unclosed comment doesn't swallow the following text", async () => {
  const dump = await dumpOf(
    "CREATE TABLE t (a); INSERT INTO t VALUES (1); CREATE VIEW v AS SELECT a FROM t /* open",
  );
  await loaded(dump, (path) => query(path, "SELECT * FROM v"));
});

Deno.test("a virtual table created with carriage returns in its SQL is restored", async () => {
  const dump = await dumpOf(
    "CREATE VIRTUAL TABLE notes USING fts5(\r\n  body\r\n); INSERT INTO notes VALUES ('a')",
  );
  const rows = await loaded(dump, (path) => query(path, "SELECT * FROM notes WHERE notes = 'a'"));
  assert.deepEqual(rows, [{ body: "a" }]);
});

Deno.test("a schema with carriage returns is restored with them", async () => {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = appIn(source.path);
  const to = appIn(target.path);
  execute(
    from.path,
    "CREATE TABLE t (\r\n  a TEXT DEFAULT 'x\r\ny', -- one\r\n  b\r\n);\r\nINSERT INTO t (b) VALUES (1)",
  );
  await to.migrator.importDump(await from.migrator.exportDatabase("app"), { database: "app" });
  assert.deepEqual(contentOf(to.path), contentOf(from.path));
});

Deno.test("the dump of an empty database creates an empty database", async () => {
  const dump = await dumpOf("PRAGMA user_version = 7; PRAGMA application_id = -5");
  const pragmas = await loaded(dump, (path) => [
    query(path, "PRAGMA user_version"),
    query(path, "PRAGMA application_id"),
  ]);
  assert.deepEqual(pragmas, [[{ user_version: 7 }], [{ application_id: -5 }]]);
});

Deno.test("only rows are loaded into an upgraded database, whose markers are kept", async () => {
  await using source = await tempDir();
  await using target = await tempDir();
  const from = createCatalystMigrator({ dataDir: source.path });
  const to = createCatalystMigrator({ dataDir: target.path });
  await from.upgrade();
  await to.upgrade();
  for (const database of ["trading", "positions", "ml_training"] as const) {
    insertRows(source.database(database), database, 3);
    const before = query(target.database(database), "SELECT * FROM catalyst_migrations");
    const dump = await from.exportDatabase(database, { content: "data" });
    const { outcome } = await to.importDump(dump, { database, intoExisting: true });
    assert.equal(outcome, "added");
    const markers = query(target.database(database), "SELECT * FROM catalyst_migrations");
    assert.deepEqual(markers, before);
    const rows = (path: string) =>
      Object.entries(contentOf(path).rows).filter(([name]) => name !== "catalyst_migrations");
    assert.deepEqual(rows(target.database(database)), rows(source.database(database)));
  }
});

Deno.test("an export of only rows includes the AUTOINCREMENT counters, which never go back", async () => {
  const schema = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a);";
  const dump = await dumpOf(`${schema} INSERT INTO t VALUES (9, 'x'); DELETE FROM t`, {
    content: "data",
  });
  const mark = async (before: string) => {
    const [row] = await loaded(dump, (path) => query(path, "SELECT * FROM sqlite_sequence"), {
      before,
    });
    return row?.["seq"];
  };
  assert.equal(await mark(schema), 9);
  assert.equal(await mark(`${schema} INSERT INTO t VALUES (20, 'y')`), 20);
  assert.equal(await mark(`${schema} INSERT INTO t VALUES (2, 'y')`), 9);
});

Deno.test("rows of virtual tables are loaded into existing virtual tables", async () => {
  const schema = `CREATE VIRTUAL TABLE notes USING fts5(title, body);
    CREATE TABLE docs (id INTEGER PRIMARY KEY, body);
    CREATE VIRTUAL TABLE found USING fts5(body, content = 'docs', content_rowid = 'id');
    CREATE VIRTUAL TABLE gone USING fts5(body, content = '');
    CREATE VIRTUAL TABLE vocabulary USING fts5vocab('notes', 'row');
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1, +label);`;
  const dump = await dumpOf(
    `${schema}
    INSERT INTO notes (rowid, title, body) VALUES (7, 'a', 'hello'), (9, 'b', 'world');
    INSERT INTO docs VALUES (3, 'hello docs');
    INSERT INTO found (found) VALUES ('rebuild');
    INSERT INTO gone (rowid, body) VALUES (1, 'hello');
    INSERT INTO boxes VALUES (-4, 0.1, 0.7, 'it''s');`,
    { content: "data" },
  );
  const rows = await loaded(dump, (path) => [
    query(path, "SELECT rowid, * FROM notes"),
    query(path, "SELECT rowid, body FROM found WHERE found MATCH 'docs'"),
    query(path, "SELECT count(*) AS rows FROM gone"),
    query(path, "SELECT term FROM vocabulary ORDER BY term"),
    query(path, "SELECT id, label FROM boxes"),
  ], { before: schema });
  assert.deepEqual(rows, [
    [{ rowid: 7, title: "a", body: "hello" }, { rowid: 9, title: "b", body: "world" }],
    [{ rowid: 3, body: "hello docs" }],
    [{ rows: 0 }],
    [{ term: "a" }, { term: "b" }, { term: "hello" }, { term: "world" }],
    [{ id: -4, label: "it's" }],
  ]);
});

Deno.test("rows are loaded next to others in a table with a key", async () => {
  const schema = "CREATE TABLE t (id TEXT PRIMARY KEY, a);";
  const dump = await dumpOf(`${schema} INSERT INTO t VALUES ('x', 1)`, { content: "data" });
  const rows = await loaded(dump, (path) => query(path, "SELECT * FROM t ORDER BY id"), {
    before: `${schema} INSERT INTO t VALUES ('a', 0)`,
  });
  assert.deepEqual(rows, [{ id: "a", a: 0 }, { id: "x", a: 1 }]);
});

Deno.test("a virtual table of a missing module is left out and reported", async () => {
  const make = (db: DatabaseSync) =>
    db.exec(
      `CREATE TABLE t (a); INSERT INTO t VALUES (1);
      PRAGMA writable_schema = ON;
      INSERT INTO sqlite_schema VALUES ('table', 'strange', 'strange', 0, 'CREATE VIRTUAL TABLE strange USING nowhere(a)');`,
    );
  await using source = await tempDir();
  const { migrator, path } = appIn(source.path);
  {
    using db = new DatabaseSync(path);
    (db as DatabaseSync & { enableDefensive?(active: boolean): void }).enableDefensive?.(false);
    make(db);
  }
  for (const content of ["all", "data"] as const) {
    const told: string[] = [];
    const onLeftOut = ({ name, reason }: LeftOut) => void told.push(`${name}: ${reason}`);
    const dump = await textOf(await migrator.exportDatabase("app", { content, onLeftOut }));
    assert.deepEqual(told, ["strange: no such module: nowhere"]);
    assert.match(dump, /\n-- left out, no such module: nowhere: CREATE VIRTUAL TABLE strange /);
    assert.match(dump, /INSERT INTO "t" /);
  }
});
