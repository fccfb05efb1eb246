import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ConfirmationError, DatabaseLockedError } from "../../../lib/base/errors.ts";
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
  }]);
  assert.deepEqual(app.query("SELECT count(*) AS rows FROM notes"), [{ rows: 1 }]);
});

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
