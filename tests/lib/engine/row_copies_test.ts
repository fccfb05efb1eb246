import assert from "node:assert/strict";
import { MigrationFailedError } from "../../../lib/base/errors.ts";
import { defineMigration, type Migration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { execute, query, tempDir } from "../../helpers.ts";

const PRICES = `CREATE TABLE px (id INTEGER PRIMARY KEY, bid REAL, ask REAL, note TEXT);
  INSERT INTO px VALUES (1, 10, 11, 'a'), (2, 20, 21, 'b'), (3, 30, 31, NULL);
  CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('one'), ('two');
  CREATE TABLE archive AS SELECT * FROM log;
  CREATE VIEW spread AS SELECT id, ask - bid AS spread FROM px;`;

/** Applies one migration to a database with {@link PRICES}; returns the rows and the destroyed rows. */
async function apply(upgrade: Migration["upgrade"], destroys: readonly string[] = []) {
  await using dir = await tempDir();
  const path = `${dir.path}/app.db`;
  const migration = defineMigration({
    name: "001_x",
    database: "app",
    upgrade,
    destroys,
    foreignKeys: false,
  });
  execute(path, PRICES);
  const migrator = new Migrator({
    databases: { app: path },
    ledger: `${dir.path}/migrations.db`,
    migrations: [migration],
    trusted: [migration], // skips `lint`, which would refuse it first
  });
  const before = query(path, "SELECT * FROM px");
  try {
    const { applied } = await migrator.upgrade();
    return { destroyed: applied[0]?.destroyed ?? [], error: null };
  } catch (error) {
    assert.deepEqual(query(path, "SELECT * FROM px"), before);
    return { destroyed: [], error };
  }
}

const rebuild = (columns: string, select: string) =>
  `DROP VIEW spread; CREATE TABLE px_new (${columns}); INSERT INTO px_new ${select};
  DROP TABLE px; ALTER TABLE px_new RENAME TO px;`;
const SWAPPED = "id INTEGER PRIMARY KEY, ask REAL, bid REAL, note TEXT";

const REFUSED: Readonly<Record<string, [Migration["upgrade"], RegExp]>> = {
  "a row replaced by another": [
    "DELETE FROM px WHERE id = 2; INSERT INTO px VALUES (4, 1, 1, NULL);",
    /1 of table "px"/,
  ],
  "a row of a table without a key replaced by another": [
    "DELETE FROM log WHERE line = 'two'; INSERT INTO log VALUES ('three');",
    /1 of table "log"/,
  ],
  "columns copied by position": [
    rebuild(SWAPPED, "SELECT * FROM px"),
    /table "px": column "(ask|bid)" gets the values of/,
  ],
  "values left out of a rebuild": [
    rebuild(SWAPPED, "SELECT id, ask, bid, NULL FROM px"),
    /column "note" loses 2 values/,
  ],
  "a rebuild that takes one row twice and leaves one out": [
    rebuild(SWAPPED, "SELECT iif(id = 3, 9, id), ask, bid, note FROM px"),
    /1 of table "px"/,
  ],
  "a table dropped beside a new one of its size": [
    "DROP TABLE log; CREATE TABLE other (line TEXT); INSERT INTO other VALUES ('x'), ('y');",
    /2 of table "log"/,
  ],
  "rows replaced by a function": [
    async (tx) => {
      await tx.run("DELETE FROM px WHERE id = 2");
      await tx.run("INSERT INTO px VALUES (5, 1, 1, NULL)");
    },
    /1 of table "px"/,
  ],
  "a view that is broken": [
    "ALTER TABLE log ADD COLUMN a; PRAGMA legacy_alter_table = ON; ALTER TABLE px RENAME TO py;",
    /it breaks view "spread"/,
  ],
};

for (const [name, [upgrade, reason]] of Object.entries(REFUSED)) {
  Deno.test(`a migration is rolled back for ${name}`, async () => {
    const { error } = await apply(upgrade);
    assert.ok(error instanceof MigrationFailedError, String(error));
    assert.match(error.message, reason);
  });
}

for (
  const [name, upgrade] of Object.entries({
    "a rebuild in another order by name": rebuild(SWAPPED, "SELECT id, ask, bid, note FROM px"),
    "a rebuild that fills in what is missing": rebuild(
      "id INTEGER PRIMARY KEY, bid INTEGER, ask TEXT, note TEXT NOT NULL",
      "SELECT id, bid, ask, coalesce(note, '') FROM px",
    ),
    "a rename": "DROP VIEW spread; ALTER TABLE px RENAME TO prices;",
    "a table that is copied under another name":
      "CREATE TABLE lines AS SELECT * FROM log; DROP TABLE log;",
    "a delete of nothing and an update":
      "DELETE FROM log WHERE line = 'no'; UPDATE log SET line = upper(line) WHERE line = 'no';",
  })
) {
  Deno.test(`${name} loses nothing`, async () => {
    assert.equal((await apply(upgrade)).error, null);
  });
}

Deno.test("declared destroyed rows are counted", async () => {
  const { destroyed } = await apply("DROP VIEW spread; DELETE FROM px WHERE id > 1;", ["px"]);
  assert.deepEqual(destroyed, [{ table: "px", rows: 2 }]);
});
