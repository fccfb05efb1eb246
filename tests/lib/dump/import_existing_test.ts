import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ConfirmationError, DatabaseLockedError } from "../../../lib/base/errors.ts";
import { RowCopies } from "../../../lib/engine/row_copies.ts";
import { execute } from "../../helpers.ts";
import { type App, makeApp } from "./import_support.ts";

const into = { intoExisting: true } as const;

async function withNotes(): Promise<App> {
  const app = await makeApp();
  await app.migrator.upgrade();
  execute(app.path, "INSERT INTO notes VALUES (1, 'one'), (2, 'two')");
  return app;
}

Deno.test("rows are added to an existing database, after a snapshot", async () => {
  await using app = await withNotes();
  const result = await app.import(
    "BEGIN;\nINSERT INTO notes VALUES (3, 'three');\nINSERT INTO notes VALUES (4, 'four');\nCOMMIT;",
    into,
  );
  assert.equal(result.outcome, "added");
  assert.deepEqual(result.rows, { notes: 2 });
  assert.notEqual(result.snapshot, null);
  assert.deepEqual(app.query("SELECT count(*) AS rows FROM notes"), [{ rows: 4 }]);
  const [event] = await app.migrator.history({ limit: 1 });
  assert.equal(event?.direction, "import");
});

Deno.test("imports are all-or-nothing", async () => {
  await using app = await withNotes();
  const error = await app.refuse(
    "INSERT INTO notes VALUES (3, 'three');\nBEGIN; COMMIT;\nINSERT INTO notes VALUES (4, 'one');",
    into,
  );
  assert.match(error.message, /line 3: UNIQUE constraint failed: notes\.body/);
});

Deno.test("dangling rows are refused, whatever the order of the rows", async () => {
  await using app = await withNotes();
  await app.import("CREATE TABLE child (a INTEGER REFERENCES notes);", into);
  await app.import("INSERT INTO child VALUES (9);\nINSERT INTO notes VALUES (9, 'nine');", into);
  const error = await app.refuse("INSERT INTO child VALUES (77);", into);
  assert.match(error.message, /1 row would reference missing rows \(child to notes\)/);
});

Deno.test("rows are lost only after a confirmation that gives their number", async () => {
  await using app = await withNotes();
  const lossy = "DELETE FROM notes WHERE note_id = 1;";
  await assert.rejects(
    app.import(lossy, { ...into, confirm: () => false }),
    (error) =>
      error instanceof ConfirmationError &&
      /would lose rows: 1 of table "notes"/.test(error.message),
  );
  assert.deepEqual(app.query("SELECT count(*) AS rows FROM notes"), [{ rows: 2 }]);
  const plans: unknown[] = [];
  await app.import(lossy, { ...into, confirm: (plan) => Boolean(plans.push(plan)) });
  assert.deepEqual(plans, [{
    label: "dump.sql",
    database: "app",
    now: { rows: { notes: 2 }, migrations: [] },
    then: { rows: { notes: 1 }, migrations: [] },
    lost: { notes: 1 },
  }]);
  assert.deepEqual(app.query("SELECT count(*) AS rows FROM notes"), [{ rows: 1 }]);
});

for (
  const [what, dump] of [
    [
      "drops and creates their table",
      "DROP TABLE IF EXISTS notes;\nCREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT);\n" +
      "INSERT INTO notes VALUES (7, 'x');\nINSERT INTO notes VALUES (8, 'y');",
    ],
    [
      "deletes them and inserts others",
      "DELETE FROM notes;\nINSERT INTO notes VALUES (7, 'x'), (8, 'y'), (9, 'z');",
    ],
    ["replaces them", "REPLACE INTO notes SELECT note_id, 'old' || note_id FROM notes;"],
    [
      "replaces them by those of a query",
      "WITH old AS (SELECT note_id FROM notes) REPLACE INTO notes SELECT note_id, 'old' || note_id FROM old;",
    ],
    ["inserts over them", "INSERT/**/OR REPLACE INTO notes VALUES (1, 'x'), (2, 'y'), (3, 'z');"],
    ["updates them", "INSERT INTO notes VALUES (3, 'x');\nUPDATE notes SET body = note_id;"],
    [
      "drops their table and creates one without a column",
      "DROP TABLE notes;\nCREATE TABLE notes (note_id);\nINSERT INTO notes VALUES (1), (2);",
    ],
    [
      "moves others into their table",
      "CREATE TABLE other AS SELECT 9 AS note_id, 'x' AS body UNION SELECT 8, 'y';\n" +
      "DROP TABLE notes;\nALTER TABLE other RENAME TO notes;",
    ],
  ] as const
) {
  Deno.test(`rows are not lost without a confirmation to a dump that ${what}`, async () => {
    await using app = await withNotes();
    const before = app.query("SELECT * FROM notes");
    await assert.rejects(
      app.import(dump, { ...into, confirm: () => false }),
      (error) =>
        error instanceof ConfirmationError &&
        /^Cannot import dump\.sql: app would lose or change rows: 2 of table "notes"$/
          .test(error.message),
    );
    assert.deepEqual(app.query("SELECT * FROM notes"), before);
    await app.import(dump, into);
    assert.notDeepEqual(app.query("SELECT * FROM notes"), before);
  });
}

Deno.test("the ids of deleted rows are not reused after an import", async () => {
  await using app = await withNotes();
  execute(
    app.path,
    `CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT);
    INSERT INTO log VALUES (5); DELETE FROM log`,
  );
  for (const [counter, id] of [[1, 6], [90, 91]]) {
    const dump =
      `DELETE FROM sqlite_sequence;\nINSERT INTO sqlite_sequence VALUES ('log', ${counter});`;
    await app.import(dump, into);
    execute(app.path, "INSERT INTO log DEFAULT VALUES");
    assert.deepEqual(app.query("SELECT max(id) AS id FROM log"), [{ id }]);
  }
});

Deno.test("no row counts as lost if a dump keeps all of them", async () => {
  await using app = await withNotes();
  const trigger = "CREATE TABLE total (rows);\nINSERT INTO total VALUES (2);\n" +
    "CREATE TRIGGER counted AFTER INSERT ON notes BEGIN UPDATE total SET rows = rows + 1; END;";
  const refusing = { ...into, confirm: () => assert.fail("it asked") };
  for (
    const dump of [
      trigger,
      "INSERT OR IGNORE INTO notes VALUES (1, 'x'), (3, 'delete, drop, update or replace notes');",
      "DELETE FROM notes WHERE note_id > 50;\nUPDATE notes SET body = body;\nREPLACE INTO notes VALUES (4, 'x');",
      "CREATE TABLE other AS SELECT * FROM notes;\nDROP TABLE notes;\nALTER TABLE other RENAME TO notes;",
      "CREATE TABLE more (a);\nINSERT INTO more VALUES (1);\nUPDATE more SET a = 2;\nDELETE FROM more;",
    ]
  ) await app.import(dump, refusing);
  assert.equal(app.query("SELECT * FROM notes").length, 4);
});

Deno.test("a table is copied only if a dump may change or delete its rows", async () => {
  await using app = await withNotes();
  const copies = countCopies();
  const added: number[] = [];
  for (
    const dump of [
      "BEGIN;\nCREATE TABLE other (a);\nINSERT INTO other VALUES (1);\nINSERT INTO notes VALUES (3, 'x');\nCOMMIT;",
      "INSERT INTO notes VALUES (4, 'y');\nDELETE FROM other;",
      "UPDATE notes SET body = body;\nDELETE FROM notes WHERE note_id > 50;",
    ]
  ) {
    await app.import(dump, into);
    added.push(copies.number);
  }
  copies.restore();
  assert.deepEqual(added, [0, 1, 2]);
});

/** Counts the copies of tables that are made. */
function countCopies() {
  const { add } = RowCopies.prototype;
  const counted = {
    number: 0,
    restore: () => {
      RowCopies.prototype.add = add;
    },
  };
  RowCopies.prototype.add = function (table) {
    counted.number++;
    return add.call(this, table);
  };
  return counted;
}

Deno.test("a virtual table can be added only by CREATE VIRTUAL TABLE", async () => {
  await using app = await withNotes();
  const row = "INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql) VALUES" +
    "('table','f','f',0,'CREATE VIRTUAL TABLE f USING fts5(x)');";
  const error = await app.refuse(row, into);
  assert.match(error.message, /line 1: virtual table f can't be added to a database/);
  await app.import("CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('hello');", into);
  assert.deepEqual(app.query("SELECT x FROM f WHERE f MATCH 'hello'"), [{ x: "hello" }]);
});

Deno.test("a writer that doesn't end is waited for, then named", async () => {
  await using app = await withNotes();
  using bot = new DatabaseSync(app.path);
  bot.exec("BEGIN IMMEDIATE");
  const importing = app.import("INSERT INTO notes VALUES (3, 'three');", {
    ...into,
    backup: false,
  });
  await assert.rejects(importing, DatabaseLockedError);
});
