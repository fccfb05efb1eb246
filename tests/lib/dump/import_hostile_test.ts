/** Dumps that try to reach outside of the database that they are imported into. */
import assert from "node:assert/strict";
import { filesIn } from "../../cli_helpers.ts";
import { makeApp } from "./import_support.ts";

const row = (values: string, table = "sqlite_schema(type,name,tbl_name,rootpage,sql)") =>
  `CREATE TABLE t (a);\nPRAGMA writable_schema=ON;\nINSERT INTO ${table} VALUES(${values});`;

/** A dump, and the expected error. */
const hostile: readonly (readonly [string, RegExp])[] = [
  ["CREATE TABLE t (a);\nATTACH 'other.db' AS x;", /line 2: it attaches another file/],
  ["ATTACH 'other.db' AS x; CREATE TABLE x.t (a);", /line 1: it attaches another file/],
  ["CREATE TABLE t (a);\nDETACH main;", /line 2: it detaches a file/],
  ["VACUUM INTO 'other.db';", /line 1: cannot VACUUM/],
  ["CREATE TABLE t (a);\nVACUUM INTO 'other.db';", /line 2: cannot VACUUM/],
  ["CREATE TABLE t (a);\nCOMMIT;\nVACUUM INTO 'other.db';", /line 3: cannot VACUUM/],
  ["PRAGMA user_version = 1;\nCOMMIT; VACUUM;", /line 2: cannot VACUUM/],
  ["CREATE TABLE t (a);\nSELECT load_extension('x');", /line 2: it calls load_extension\(\)/],
  ["CREATE TABLE t (a);\nSELECT fts3_tokenizer('simple');", /line 2: it calls fts3_tokenizer\(\)/],
  [
    "CREATE TABLE t (a);\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT load_extension('x'); END;" +
    "\nINSERT INTO t VALUES (1);",
    /line 3: it calls load_extension\(\)/,
  ],
  ["CREATE TABLE t (a);\nSELECT writefile('x', 'y');", /line 2: no such function: writefile/],
  ["PRAGMA temp_store_directory = '/';", /line 1: it uses PRAGMA temp_store_directory/],
  ["PRAGMA trusted_schema = ON;", /line 1: it uses PRAGMA trusted_schema/],
  ["PRAGMA schema_version = 7;", /line 1: it uses PRAGMA schema_version/],
  ["SELECT * FROM pragma_database_list;", /line 1: it uses PRAGMA database_list/],
  ["CREATE TEMP TABLE t (a);", /line 1: it creates a temporary object/],
  ["CREATE TEMP TRIGGER t AFTER INSERT ON t BEGIN SELECT 1; END;", /no such table|temporary/],
  ["CREATE TABLE t (a);\nSAVEPOINT a; ROLLBACK TO a;", /line 2: it rolls back to a savepoint/],
  ["CREATE VIRTUAL TABLE x USING dbstat;", /line 1: it has a virtual table of module dbstat/],
  [
    "CREATE VIRTUAL TABLE x USING csv(filename='/x');",
    /line 1: it has a virtual table of module csv/,
  ],
  [
    "PRAGMA writable_schema = ON;\nCREATE TABLE t (a);\nUPDATE sqlite_schema SET sql = 'x';",
    /line 3: table sqlite_master may not be modified/,
  ],
  [
    "CREATE TABLE t (a);\nDELETE FROM sqlite_schema;",
    /line 2: table sqlite_master may not be modified/,
  ],
  [
    "CREATE TABLE t (a);\nINSERT/**/INTO sqlite_schema VALUES (1, 2, 3, 4, 5);",
    /line 2: table sqlite_master may not be modified/,
  ],
  [
    "CREATE TABLE t (a);\nUPDATE sqlite_dbpage SET data = x'00';",
    /line 2: (no such table: sqlite_dbpage|.*may not be modified)/,
  ],
  [row("'table','x','x',0,'CREATE VIRTUAL TABLE x USING dbstat'"), /line 3: .*module dbstat/],
  [row("'table','x','x',2,'CREATE TABLE x (a)'"), /line 3: it changes sqlite_schema/],
  [row("'table','x','x',0,'CREATE TABLE x (a)'"), /line 3: it writes something other than/],
  [row("'table','x','y',0,'CREATE VIRTUAL TABLE x USING fts5(a)'"), /line 3: it changes sqlite_/],
  [row("'table','x','x',0,'CREATE VIRTUAL TABLE y USING fts5(a)'"), /line 3: it writes something/],
  [
    row("'table','x','x',0,'CREATE VIRTUAL TABLE x USING fts5(a); DROP TABLE t'"),
    /line 3: it writ/,
  ],
  [row("'table','x','x',0,'CREATE VIRTUAL TABLE x USING fts5(a)) (b)'"), /line 3: it writes/],
  [row("'table','x','x',0,'CREATE VIRTUAL TABLE' || ' x USING fts5(a)'"), /line 3: it changes/],
  [
    row("'trigger','x','t',0,'CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END'"),
    /it changes/,
  ],
  [
    row("'table','t','t',0,'CREATE VIRTUAL TABLE t USING fts5(a)'"),
    /line 3: the name t is already in use/,
  ],
  [
    row("'table','sqlite_x','sqlite_x',0,'CREATE VIRTUAL TABLE sqlite_x USING fts5(a)'"),
    /line 3: th/,
  ],
  [
    row("'table','x','x',0,'CREATE VIRTUAL TABLE x USING fts5(a)'"),
    /line 3: virtual table x can't/,
  ],
  [row("'table','x','x',0,'x'),('table','y','y',0,'y'"), /line 3: it changes sqlite_schema/],
  [
    row("'table','x','x',0,'CREATE VIRTUAL TABLE x USING dbstat'", '"sqlite_master"'),
    /module dbstat/,
  ],
];

for (const [dump, message] of hostile) {
  Deno.test(`a dump is refused: ${dump.replaceAll("\n", " ").slice(0, 160)}`, async () => {
    await using app = await makeApp();
    assert.match((await app.refuse(dump)).message, message);
    await app.migrator.upgrade();
    const before = Object.keys(filesIn(app.directory)).filter((name) => !/-(wal|shm)$/.test(name));
    await app.refuse(dump);
    await app.refuse(dump, { intoExisting: true, backup: false });
    const after = Object.keys(filesIn(app.directory)).filter((name) => !/-(wal|shm)$/.test(name));
    assert.deepEqual(after, before);
    // The guard is removed after the import.
    assert.equal((await app.migrator.verify()).ok, true);
  });
}

Deno.test("pragmas that only affect how a dump is run have no effect", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  await app.import(
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;" +
      "INSERT INTO notes VALUES (1, 'one'); PRAGMA journal_mode = DELETE;",
    { intoExisting: true },
  );
  assert.deepEqual(app.query("PRAGMA journal_mode"), [{ journal_mode: "wal" }]);
});
