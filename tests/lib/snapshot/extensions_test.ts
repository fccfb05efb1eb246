/**
 * A bot may have its own collations, functions and modules. Here a database gets them by writing
 * their names into its schema, in place of built-in ones with the same behaviour.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { LeftOut } from "../../../lib/dump/export_sql.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { query, tempDir } from "../../helpers.ts";

const SCHEMA = `
CREATE TABLE tags (name TEXT COLLATE RTRIM PRIMARY KEY, n);
INSERT INTO tags VALUES ('a', 1), ('b', 2);
CREATE TABLE tags2 (name TEXT COLLATE RTRIM PRIMARY KEY, n) WITHOUT ROWID;
INSERT INTO tags2 VALUES ('a', 1), ('b', 2), ('c', 3);
CREATE TABLE computed (a, u AS (hex(a)) STORED, v AS (hex(a)));
INSERT INTO computed VALUES ('x'), ('y');
CREATE TABLE checked (a CHECK (hex(a) <> ''));
INSERT INTO checked VALUES ('x');
CREATE TABLE child (name TEXT REFERENCES tags (name));
INSERT INTO child VALUES ('a');
CREATE INDEX computed_a ON computed (hex(a));
CREATE VIEW by_name AS SELECT name, hex(name) AS h FROM tags ORDER BY name;
CREATE TABLE vectors_data (id INTEGER PRIMARY KEY);
INSERT INTO vectors_data VALUES (1);
CREATE TABLE plain (a);
INSERT INTO plain VALUES (1);
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql, 'RTRIM', 'bots'), 'hex(', 'bots(');
INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)
VALUES ('table', 'vectors', 'vectors', 0, 'CREATE VIRTUAL TABLE vectors USING bots(x)');
PRAGMA writable_schema = OFF;
CREATE TABLE schema_migrations (version VARCHAR(128) PRIMARY KEY);
INSERT INTO schema_migrations VALUES ('20240101000000');
`;

const ROWS = {
  tags: 2,
  tags2: 3,
  computed: 2,
  checked: 1,
  child: 1,
  vectors_data: 1,
  plain: 1,
  schema_migrations: 1,
};

Deno.test("a bot's own extensions do not prevent backup, restore, verify, upgrade or export", async () => {
  await using directory = await tempDir();
  const path = join(directory.path, "app.db");
  {
    using db = new DatabaseSync(path) as DatabaseSync & { enableDefensive(on: boolean): void };
    db.enableDefensive(false);
    db.exec(SCHEMA);
  }
  const migrator = new Migrator({
    databases: { app: path },
    ledger: join(directory.path, "migrations.db"),
    migrations: [
      defineMigration({
        name: "001_note",
        database: "app",
        upgrade: "ALTER TABLE plain ADD COLUMN note; INSERT INTO plain VALUES (2, 'x')",
        downgrade: "ALTER TABLE plain DROP COLUMN note; DELETE FROM plain WHERE a = 2",
        destroys: ["plain"],
      }),
    ],
  });
  const snapshot = await migrator.createSnapshot({ verify: "full" });
  assert.deepEqual(snapshot.files[0]?.rows, ROWS);
  assert.deepEqual(
    snapshot.files[0]?.unchecked?.toSorted(),
    ["computed", "tags", "tags2"],
  );
  assert.equal((await migrator.verifySnapshot(snapshot.name)).ok, true);
  assert.deepEqual((await migrator.lint()).findings, []);
  await migrator.upgrade();
  const { ok, databases: [verified] } = await migrator.verify({ data: true, hash: true });
  assert.equal(ok, true);
  const unchecked = verified?.notices.filter(({ kind }) => kind === "unchecked") ?? [];
  assert.deepEqual(unchecked.map(({ object }) => object).toSorted(), [
    "001_note", // no migration creates its table
    "app",
    "checked",
    "computed",
    "tags",
    "tags2",
  ]);
  await migrator.downgrade({ steps: 1, confirm: () => true });
  const leftOut: LeftOut[] = [];
  const onLeftOut = (one: LeftOut) => void leftOut.push(one);
  const dump = await new Response(await migrator.exportDatabase("app", { onLeftOut })).text();
  assert.deepEqual(leftOut, [
    { name: "tags2", what: "rows", reason: "its collation is missing" },
    { name: "vectors", what: "table", reason: "no such module: bots" },
  ]);
  assert.match(dump, /INSERT INTO "tags" .*\n\(1,'a',1\),\n\(2,'b',2\);/);
  assert.match(dump, /\n-- left out, its collation is missing: the rows of tags2\n/);
  assert.match(dump, /\n-- left out, no such module: bots: CREATE VIRTUAL TABLE vectors /);
  const tables: string[] = [];
  const each = migrator.exportTables("app", { format: "csv", onLeftOut });
  for await (const { name, rows } of each) {
    tables.push(name);
    await new Response(rows).text();
  }
  assert.deepEqual(
    tables.toSorted(),
    Object.keys(ROWS).filter((name) => name !== "tags2").toSorted(),
  );
  Deno.removeSync(path);
  await migrator.restoreSnapshot(snapshot.name, { confirm: () => true, databases: ["app"] });
  assert.deepEqual(query(path, "SELECT a FROM plain"), [{ a: 1 }]);
});
