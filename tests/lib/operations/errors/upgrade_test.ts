import assert from "node:assert/strict";
import { execute, query } from "../../../helpers.ts";
import { openSnapshots } from "../../../snapshot.ts";
import { type Definition, failureOf, Program, worded } from "./failure.ts";

const snapshots = openSnapshots("migrations");

/** The existing data: rows that a bad migration could lose. */
const first: Definition = {
  upgrade: `CREATE TABLE parents (parent_id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE children (
      child_id INTEGER PRIMARY KEY,
      parent_id INTEGER REFERENCES parents (parent_id) ON DELETE CASCADE
    );
    CREATE TABLE loose (loose_id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parents (parent_id))`,
};
const rows = `INSERT INTO parents VALUES (1, 'a'), (2, 'b');
  INSERT INTO children VALUES (10, 1), (20, 2), (30, 2);
  CREATE TABLE stray (a TEXT);
  CREATE INDEX by_name ON parents (parent_id);
  PRAGMA foreign_keys = OFF;
  INSERT INTO loose VALUES (1, 99)`; // dangling from the beginning

const rebuild = `CREATE TABLE parents_new (parent_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
  INSERT INTO parents_new SELECT parent_id, name FROM parents;
  DROP TABLE parents;
  ALTER TABLE parents_new RENAME TO parents;`;

const bad: Readonly<Record<string, Definition>> = {
  "COMMIT in its text": { upgrade: "CREATE TABLE t (a);\nCOMMIT;\nCREATE TABLE u (a);" },
  "COMMIT behind a comment": { upgrade: "CREATE TABLE t (a); /* end */ ; -- here\n CoMmIt" },
  "END in its text": { upgrade: "CREATE TABLE t (a); END TRANSACTION" },
  "ROLLBACK in its text": {
    upgrade: "DELETE FROM parents; ROLLBACK",
    destroys: ["parents"],
  },
  "BEGIN in its text": { upgrade: "BEGIN; CREATE TABLE t (a)" },
  "COMMIT in a function": {
    upgrade: async ({ exec }) => {
      await exec("CREATE TABLE t (a)");
      await exec("COMMIT");
    },
  },
  "ROLLBACK as a query in a function": {
    upgrade: async ({ all, run }) => {
      await run("DELETE FROM children");
      await all("ROLLBACK");
    },
    destroys: ["children"],
  },
  "a trigger that takes the marker away": {
    upgrade: `CREATE TRIGGER gone AFTER INSERT ON catalyst_migrations
      BEGIN DELETE FROM catalyst_migrations WHERE migration_id = new.migration_id; END`,
  },
  "rows of a table that a temporary one hides": {
    upgrade: `CREATE TEMP TABLE children AS SELECT * FROM children;
      DELETE FROM main.children WHERE child_id > 10`,
  },
  "BEGIN in a function": {
    upgrade: async ({ run }) => {
      await run("BEGIN");
    },
  },
  "a caught COMMIT, and then another table": {
    upgrade: async ({ exec, run }) => {
      await run("COMMIT").catch(() => {});
      await exec("CREATE TABLE t (a); COMMIT");
    },
  },
  "ATTACH": { upgrade: "ATTACH 'other.db' AS other; CREATE TABLE other.t (a)" },
  "ATTACH in a function": {
    upgrade: ({ exec }) => exec("ATTACH ':memory:' AS other"),
  },
  "DETACH": { upgrade: "CREATE TABLE t (a);\n\nDETACH other" },
  "VACUUM": { upgrade: "CREATE TABLE t (a); VACUUM" },
  "VACUUM INTO": { upgrade: "VACUUM INTO 'copy.db'" },
  "a syntax error": { upgrade: "CREATE TABLE t (a);\n\nCREATE TABL u (a);" },
  "a table that is not there": { upgrade: "CREATE TABLE t (a);\nINSERT INTO nowhere VALUES (1);" },
  "a constraint that fails": {
    upgrade: "DELETE FROM loose;\nINSERT INTO parents\nVALUES (1, 'twice');",
    destroys: ["loose"],
  },
  "a foreign key that fails": { upgrade: "INSERT INTO children VALUES (40, 4)" },
  "a string that doesn't end": { upgrade: "CREATE TABLE t (a);\nINSERT INTO t VALUES ('x" },
  "a NUL character": { upgrade: "CREATE TABLE t (a);\0 DROP TABLE parents" },
  "a function that throws": {
    upgrade: async ({ run }) => {
      await run("DELETE FROM children");
      throw new TypeError("the price is not a number");
    },
    destroys: ["children"],
  },
  "a function that throws no error": {
    upgrade: () => {
      throw "just a text";
    },
  },
  "rows lost that it didn't declare": { upgrade: "DELETE FROM children WHERE child_id > 10" },
  "a row that will point to nothing": {
    upgrade: "DELETE FROM parents WHERE parent_id = 2",
    destroys: ["parents"],
    foreignKeys: false,
  },
  "IF NOT EXISTS over a table of another shape": {
    upgrade: "CREATE TABLE IF NOT EXISTS stray (a INTEGER, b TEXT)",
  },
  "IF NOT EXISTS over an index of another shape": {
    upgrade: "CREATE INDEX IF NOT EXISTS by_name ON parents (name)",
  },
};

for (const [name, definition] of Object.entries(bad)) {
  Deno.test(`a migration that fails is rolled back and says why: ${name}`, async () => {
    using program = new Program();
    await program.migrator(first).upgrade();
    execute(program.path, rows);
    const before = program.content();
    const migrator = program.migrator(first, definition, { upgrade: "CREATE TABLE later (a)" });
    const error = await failureOf(() => migrator.upgrade());
    snapshots(name)(worded(error));
    assert.equal(error.migration, "002_step");
    assert.equal(error.database, "app");
    assert.deepEqual(error.progress, { done: [], adopted: [], reconciled: [], failed: "002" });
    assert.deepEqual(program.content(), before);
    const states = (await migrator.status()).migrations.map(({ state }) => state);
    assert.deepEqual(states, ["applied", "failed", "pending"]);
    const [event] = await migrator.history({ limit: 1 });
    assert.deepEqual([event?.id, event?.outcome, event?.error], ["002", "failed", error.message]);
  });
}

const good: Readonly<Record<string, Definition & { readonly left: readonly number[] }>> = {
  "a rebuild with foreign keys off": { upgrade: rebuild, foreignKeys: false, left: [2, 3, 1] },
  "rows lost as declared": {
    upgrade: "DELETE FROM children",
    destroys: ["CHILDREN"],
    left: [2, 0, 1],
  },
  "a savepoint, rolled back": {
    upgrade: "SAVEPOINT mine; DELETE FROM children; ROLLBACK TO mine; RELEASE mine",
    left: [2, 3, 1],
  },
  "rows that pointed to nothing before": {
    upgrade: "UPDATE loose SET loose_id = loose_id",
    destroys: ["loose"],
    left: [2, 3, 1],
  },
  "words of transactions in strings, names and triggers": {
    upgrade: `CREATE TABLE "commit" (a DEFAULT 'BEGIN; COMMIT; ROLLBACK');
      CREATE TRIGGER keep AFTER INSERT ON "commit" BEGIN SELECT 'ATTACH'; END;
      INSERT INTO "commit" DEFAULT VALUES`,
    left: [2, 3, 1],
  },
};

for (const [name, { left, ...definition }] of Object.entries(good)) {
  Deno.test(`a permitted migration succeeds: ${name}`, async () => {
    using program = new Program();
    await program.migrator(first).upgrade();
    execute(program.path, rows);
    await program.migrator(first, definition).upgrade();
    const counts = ["parents", "children", "loose"].map((table) =>
      query(program.path, `SELECT count(*) AS rows FROM ${table}`)[0]?.["rows"]
    );
    assert.deepEqual(counts, left);
    assert.deepEqual(program.content().markers, ["001", "002"]);
  });
}

Deno.test("after a failure the fixed migration continues where it stopped", async () => {
  using program = new Program();
  const broken = program.migrator(first, { upgrade: "CREATE TABLE t (a)" }, { upgrade: "OOPS" });
  const error = await failureOf(() => broken.upgrade());
  assert.deepEqual(error.progress?.done, ["001", "002"]);
  assert.equal(error.progress?.failed, "003");
  const fixed = program.migrator(first, { upgrade: "CREATE TABLE t (a)" }, {
    upgrade: "CREATE TABLE u (a)",
  });
  assert.deepEqual((await fixed.upgrade()).applied.map(({ id }) => id), ["003"]);
  assert((await fixed.status()).ok);
});
