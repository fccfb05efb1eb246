/** Tests of user migrations from files. */
import assert from "node:assert/strict";
import { query } from "../../helpers.ts";
import type { Scenario } from "../scenario.ts";
import { makeBot } from "./commands.ts";

const ADD_NOTES = `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN notes TEXT;
-- migrate:down
ALTER TABLE orders DROP COLUMN notes;
`;

/** A JavaScript migration that reads and writes rows. */
const FILL_NOTES = `export default {
  name: "005_fill_notes",
  database: "trading",
  async upgrade(transaction) {
    const rows = await transaction.all("SELECT order_id FROM orders");
    for (const { order_id } of rows) {
      await transaction.run("UPDATE orders SET notes = ? WHERE order_id = ?", [\`order \${order_id}\`, order_id]);
    }
  },
  async downgrade(transaction) {
    await transaction.exec("UPDATE orders SET notes = NULL WHERE notes IS NOT NULL");
  },
};
`;

/** Scenarios of migrations from files. */
export const migrationScenarios: readonly Scenario[] = [
  {
    name: "an SQL migration is created, linted, rehearsed, applied, redone and repaired",
    commands: ["new", "lint", "rehearse", "upgrade", "redo", "repair", "downgrade"],
    async run(place) {
      await makeBot(place);
      await place.ok("new add notes --database trading");
      assert.deepEqual(place.names("migrations"), ["004_add_notes.sql"]);
      place.write("migrations/004_add_notes.sql", ADD_NOTES);
      await place.ok("lint");
      await place.ok("rehearse", { same: false });
      assert.equal(
        JSON.parse((await place.ok("rehearse --json", { same: false })).stdout).ok,
        true,
      );
      await place.ok("upgrade");
      await place.ok("redo 004 --yes");
      place.write("migrations/004_add_notes.sql", ADD_NOTES.replace("TEXT", "TEXT DEFAULT ''"));
      assert.match((await place.ends(1, "upgrade")).stderr, /004_add_notes/);
      await place.ok("repair --accept-changed 004");
      await place.ok("downgrade --steps 1 --yes");
      await place.ok("upgrade");
      await place.ok("verify");
    },
  },
  {
    name: "an error in a migration is reported with its line, and the migration is rolled back",
    commands: ["upgrade", "lint", "rehearse"],
    async run(place) {
      await place.ok("upgrade");
      place.write(
        "migrations/004_wrong.sql",
        "-- database: trading\n-- migrate:up\nCREATE TABLE mine (a);\nINSERT INTO nowhere VALUES (1);\n",
      );
      for (const command of ["lint", "rehearse", "upgrade"]) await place.ends(1, command);
      assert.match((await place.ends(1, "upgrade")).stderr, /004_wrong\.sql:4/);
      assert.deepEqual(tables(place.file("data/trading.db"), "mine"), []);
    },
  },
  {
    name: "a JavaScript migration reads and writes rows, and cannot bypass its transaction",
    commands: ["new", "upgrade", "downgrade"],
    async run(place) {
      await makeBot(place);
      place.write("migrations/004_add_notes.sql", ADD_NOTES);
      await place.ok("upgrade");
      await place.ok("new fill_notes --database trading --kind js");
      place.write("migrations/005_fill_notes.js", FILL_NOTES);
      await place.ok("upgrade");
      const notes = () =>
        query(
          place.file("data/trading.db"),
          "SELECT count(*) AS n FROM orders WHERE notes LIKE 'order %'",
        );
      assert.deepEqual(notes(), [{ n: 3 }]);
      await place.ok("downgrade --steps 1 --yes");
      assert.deepEqual(notes(), [{ n: 0 }]);
      place.write("migrations/005_fill_notes.js", FILL_NOTES.replace("name:", "nam:"));
      const wrong = await place.ends(1, "upgrade", { alone: true }); // loads the module again
      assert.match(wrong.stderr, /has no field "nam"/);
    },
  },
  {
    name:
      "a TypeScript migration is applied by Deno, and refused with an explanation by the executable",
    commands: ["new", "upgrade"],
    async run(place) {
      await place.ok("upgrade");
      place.write(
        "migrations/004_typed.ts",
        'const sql: string = "CREATE TABLE typed (a)";\n' +
          'export default { name: "004_typed", database: "trading", upgrade: sql };\n',
      );
      const { code, stderr } = await place.run("upgrade", { same: false });
      if (place.isStandalone) {
        assert.equal(code, 1);
        assert.match(
          stderr,
          /^error: Cannot use migrations\/004_typed\.ts: the standalone executable cannot load TypeScript\nhelp: .*\.sql or \.js/,
        );
      } else assert.equal(code, 0, stderr);
      assert.equal(
        tables(place.file("data/trading.db"), "typed").length,
        place.isStandalone ? 0 : 1,
      );
    },
  },
  {
    name: "many migrations are squashed, and a manually applied one is recorded",
    commands: ["squash", "baseline", "upgrade", "verify"],
    async run(place) {
      await place.ok("upgrade");
      place.write("migrations/004_add_notes.sql", ADD_NOTES);
      place.write(
        "migrations/005_note_index.sql",
        "-- database: trading\n-- migrate:up\nCREATE INDEX idx_notes ON orders (notes);\n",
      );
      await place.ok("upgrade");
      await place.ok("squash --to 005 --out squashed");
      assert.notDeepEqual(place.names("squashed"), []);
      place.copy("data", "copy");
      Deno.removeSync(place.file("copy/migrations.db"));
      await place.ends(2, "baseline");
      await place.ok("baseline --to 005 --data-dir copy");
      await place.ok("verify --data-dir copy");
    },
  },
];

function tables(path: string, name: string): unknown[] {
  return query(path, `SELECT name FROM sqlite_schema WHERE name = '${name}'`);
}
