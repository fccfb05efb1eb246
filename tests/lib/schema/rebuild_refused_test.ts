import assert from "node:assert/strict";
import { MigrationFailedError } from "../../../lib/base/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { rebuildTable } from "../../../lib/schema/rebuild_table.ts";
import { type App, appOf, contentOf } from "./rebuild_support.ts";
import { migrationOf, TemporaryDirectory } from "../support.ts";

/** Expects a rebuild to fail with this error and to leave everything unchanged. */
async function refused(
  app: App,
  work: () => Promise<void>,
  { message, help = /./ }: { readonly message: RegExp; readonly help?: RegExp },
): Promise<void> {
  const before = contentOf(app.path);
  await assert.rejects(work(), (error) => {
    assert(error instanceof MigrationFailedError, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /_rebuild_(?!\d)/);
    assert.match(error.help ?? "", help);
    return true;
  });
  assert.deepEqual(contentOf(app.path), before);
}

Deno.test("a rebuild with foreign keys on is refused", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(directory, "CREATE TABLE t (a); INSERT INTO t VALUES (1);");
  const migrator = new Migrator({
    databases: { app: app.path },
    ledger: directory.file("migrations.db"),
    migrations: [
      migrationOf({ name: "1_rebuild", upgrade: (transaction) => rebuildTable(transaction, "t") }),
    ],
  });
  await refused(app, async () => void await migrator.upgrade(), {
    message: /Cannot rebuild table "t": foreign keys are on/,
    help: /set `foreignKeys: false`/,
  });
});

Deno.test("a row that violates a new constraint stops the rebuild, and the error names the constraint", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (a INTEGER, b TEXT UNIQUE ON CONFLICT REPLACE);
    INSERT INTO t VALUES (1, 'x'), (-1, 'X');`,
  );
  await refused(app, () => app.rebuild("t", { addChecks: { positive: "a > 0" } }), {
    message: /Cannot rebuild table "t": CHECK constraint failed: positive/,
  });
  const refusals: [definition: string, message: RegExp][] = [
    ["TEXT COLLATE NOCASE UNIQUE ON CONFLICT REPLACE", /UNIQUE constraint failed: t\.b/],
    ["TEXT COLLATE NOCASE UNIQUE ON CONFLICT IGNORE", /UNIQUE constraint failed: t\.b/],
    ["TEXT REFERENCES t (b)", /foreign key of t to t would no longer match/],
    ["TEXT, c TEXT", /not one complete piece of SQL/],
    ["TEXT)", /not one complete piece of SQL/],
    ["TEXT CHECK (", /not one complete piece of SQL/],
    ["TEXT CHECK (nix > 0)", /no such column: nix/],
  ];
  for (const [definition, message] of refusals) {
    await refused(app, () => app.rebuild("t", { changeColumns: { b: definition } }), { message });
  }
});

Deno.test("content that would be lost must be named", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c TEXT);
    CREATE INDEX t_b ON t (b);
    INSERT INTO t VALUES (1, 'x', 'y');`,
  );
  const create = "CREATE TABLE t (a INTEGER PRIMARY KEY)";
  await refused(app, () => app.rebuild("t", { create }), {
    message: /the content of columns "b", "c" would be lost/,
    help: /"drops": \["b", "c"\]/,
  });
  await refused(app, () => app.rebuild("t", { create, drops: ["b", "c"] }), {
    message: /index "t_b" cannot be created again \(no such column: b\)/,
    help: /"dropIndexes"/,
  });
  await app.rebuild("t", { create, drops: ["b", "c"], dropIndexes: ["T_B"] });
  assert.deepEqual(app.query("SELECT * FROM t"), [{ a: 1 }]);
});

Deno.test("an object that would no longer work stops the rebuild", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c TEXT UNIQUE);
    CREATE TABLE child (c TEXT REFERENCES t (c));
    CREATE VIEW v AS SELECT b FROM t;
    CREATE VIEW w AS SELECT * FROM v;
    INSERT INTO t VALUES (1, 'x', 'y');
    INSERT INTO child VALUES ('y');`,
  );
  await refused(app, () => app.rebuild("t", { drops: ["b"] }), {
    message: /view "v" would no longer work \(no such column: b\), view "w" would no longer work/,
    help: /drop it before the rebuild and create it again/,
  });
  await refused(app, () => app.rebuild("t", { changeColumns: { c: "TEXT" } }), {
    message: /the foreign key of child to t would no longer match/,
  });
  await refused(app, () => app.rebuild("t", { values: { c: "'z'" } }), {
    message: /1 row would reference missing rows \(child to t\)/,
  });
  app.execute("DROP VIEW w; DROP VIEW v");
  const triggers: [sql: string, message: RegExp][] = [
    ["AFTER UPDATE OF b ON t BEGIN SELECT 1; END", /trigger "x" fires on updates of column "b"/],
    [
      "AFTER INSERT ON t BEGIN SELECT NEW.b; END",
      /an INSERT trigger of "t" .*no such column: NEW\.b/,
    ],
    ["AFTER DELETE ON child BEGIN DELETE FROM t WHERE b = 1; END", /a DELETE trigger of "child" /],
    ["AFTER UPDATE ON child BEGIN INSERT INTO t VALUES (1, 2, 3); END", /2 columns but 3 values/],
  ];
  for (const [sql, message] of triggers) {
    app.execute(`CREATE TRIGGER x ${sql}`);
    await refused(app, () => app.rebuild("t", { drops: ["b"] }), { message });
    app.execute("DROP TRIGGER x");
  }
  await app.rebuild("t", { drops: ["b"] });
});

Deno.test("a mistake in the options is reported with the valid names", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(
    directory,
    `CREATE TABLE orders (side TEXT CHECK (side <> ''), g AS (side || 'x'));
    CREATE INDEX by_side ON orders (side);
    CREATE VIEW v AS SELECT 1 AS one;
    CREATE VIRTUAL TABLE words USING fts5 (word);
    INSERT INTO orders VALUES ('buy');`,
  );
  const create = "CREATE TABLE orders (side TEXT)";
  const cases: [table: string, options: Parameters<App["rebuild"]>[1], RegExp, RegExp?][] = [
    ["order", {}, /table not found/, /did you mean "orders"\?/],
    ["v", {}, /it is a view/],
    ["words", {}, /it is a virtual/],
    ["words_data", {}, /it is a shadow/],
    ["orders", { changeColumns: { sid: "TEXT" } }, /no column "sid"/, /did you mean "side"\?/],
    ["orders", { drops: ["sid"] }, /no column "sid"/, /did you mean "side"\?/],
    ["orders", { values: { sid: "1" } }, /no column "sid"/, /did you mean "side"\?/],
    ["orders", { values: { g: "1" } }, /column "g" is generated/],
    ["orders", { renames: { sid: "x" } }, /no such column: ""sid""/],
    ["orders", { dropChecks: ["nix"] }, /no check "nix"/, /its checks are side <> ''/],
    ["orders", { dropIndexes: ["by_sid"] }, /no index "by_sid"/, /did you mean "by_side"\?/],
    ["orders", { create, addChecks: { a: "1" } }, /"create" and "addChecks"/],
    ["orders", { create: "CREATE TABLE fills (a)" }, /is for a table "fills"/],
    ["orders", { create: "CREATE TABLE orders AS SELECT 1" }, /no list of columns/],
    ["orders", { create: `${create}; DROP TABLE orders` }, /not one complete statement/],
    ["orders", { create: "CREATE VIEW orders (a) AS SELECT 1" }, /not a CREATE TABLE statement/],
    ["orders", { create: "" }, /not a CREATE TABLE statement/],
    ["orders", { addColumns: { x: "TEXT NOT NULL" } }, /new column "x" is NOT NULL/],
    ["orders", { addColumns: { side: "TEXT" } }, /duplicate column name: side/],
  ];
  for (const [table, options, message, help] of cases) {
    await refused(app, () => app.rebuild(table, options), { message, ...(help ? { help } : {}) });
  }
});

Deno.test("a migration that catches the error finds the table unchanged", async () => {
  using directory = new TemporaryDirectory();
  const app = appOf(directory, "CREATE TABLE t (a); INSERT INTO t VALUES (1);");
  const before = contentOf(app.path);
  await app.migrate(async (transaction) => {
    await assert.rejects(
      rebuildTable(transaction, "t", { addChecks: { negative: "a < 0" } }),
      /negative/,
    );
    const [pragma] = await transaction.all("PRAGMA legacy_alter_table");
    assert.equal(pragma?.["legacy_alter_table"], 0);
  });
  assert.deepEqual(contentOf(app.path), before);
});
