/** `lint`, `upgrade` and `rehearse` must agree on which upgrades are wrong. */
import assert from "node:assert/strict";
import type { CatalystError } from "../../../lib/base/errors.ts";
import type { MigrationDefinition } from "../../../lib/migration/migration.ts";
import { Subject } from "./subject.ts";

type Upgrade = string | (Partial<MigrationDefinition> & Pick<MigrationDefinition, "upgrade">);

/** Upgrades of a database with rows that can't be applied, and the expected message. */
const wrong: readonly (readonly [upgrade: Upgrade, says: RegExp])[] = [
  ["ALTER TABLE plain ADD COLUMN c NOT NULL", /NOT NULL column with default value NULL/],
  ["ALTER TABLE plain ADD COLUMN c DEFAULT 0 CHECK (c > 0)", /CHECK constraint failed/],
  ["ALTER TABLE plain ADD COLUMN c DEFAULT 1 REFERENCES owners", /REFERENCES column/],
  ["ALTER TABLE plain ADD COLUMN c DEFAULT CURRENT_TIMESTAMP", /non-constant default/],
  ["ALTER TABLE plain ADD COLUMN c AS (a) STORED", /STORED column/],
  ["CREATE UNIQUE INDEX u ON pets (owner_id)", /2 rows have owner_id = 1/],
  ["CREATE UNIQUE INDEX u ON pets (abs(owner_id) DESC) WHERE pet_id < 3", /abs\(owner_id\) = 1/],
  [
    "CREATE TABLE n (a, b, UNIQUE (b)); INSERT INTO n SELECT pet_id, owner_id FROM pets",
    /2 rows have b = 1/,
  ],
  [
    "CREATE TABLE n (a CHECK (a < 2)); INSERT INTO n SELECT pet_id FROM pets",
    /CHECK constraint failed/,
  ],
  ["CREATE TABLE n (a INT) STRICT; INSERT INTO n SELECT name FROM owners", /cannot store TEXT/],
  ["CREATE TABLE n (a NOT NULL); INSERT INTO n SELECT b FROM plain", /NOT NULL constraint failed/],
  ["UPDATE pets SET owner_id = 9 WHERE pet_id = 1", /FOREIGN KEY constraint failed/],
  ["UPDATE owners SET name = NULL WHERE owner_id = 1", /NOT NULL constraint failed/],
  ["DELETE FROM pets WHERE pet_id = 1", /would lose rows that it does not declare/],
  ["CREATE INDEX i ON owners (json(name))", /malformed JSON/],
  ["INSERT INTO owners VALUES (1, 'Cid', 'buy', NULL)", /UNIQUE constraint failed/],
  ["PRAGMA wal_checkpoint(TRUNCATE)", /works only outside a transaction/],
  ["PRAGMA main.journal_mode = DELETE", /works only outside a transaction/],
  ["PRAGMA foreign_keys = OFF", /works only outside a transaction/],
  [{ upgrade: "PRAGMA foreign_keys(1)", foreignKeys: false }, /works only outside/],
  ["ALTER TABLE plain ADD COLUMN a", /baseline --to 002/],
  ["CREATE TABLE plain (a)", /baseline --to 002/],
  ["CREATE INDEX owners_by_name ON owners (name)", /baseline --to 002/],
  [{ upgrade: (t) => t.exec("CREATE UNIQUE INDEX u ON pets (owner_id)") }, /owner_id = 1/],
  ["ALTER TABLE log ADD COLUMN c", /breaks an UPDATE trigger of "owners": table log has 2 columns/],
  [
    { upgrade: "DROP TABLE owners", destroys: ["owners", "pets"] },
    /breaks a foreign key of "pets": table "owners" is missing/,
  ],
  [
    {
      upgrade:
        `CREATE TABLE n (owner_id INTEGER, name); INSERT INTO n SELECT owner_id, name FROM owners;
        DROP TABLE owners; ALTER TABLE n RENAME TO owners`,
      foreignKeys: false,
      destroys: ["owners"],
    },
    /foreign key mismatch - "pets" referencing "owners"|is no unique key of "owners"/,
  ],
  ["SELECT json('x{') FROM plain", /malformed JSON/],
  ["SELECT json('x{')", /malformed JSON/],
];

/** Upgrades that are right, or that only get warnings. */
const right: readonly Upgrade[] = [
  "ALTER TABLE plain ADD COLUMN c NOT NULL DEFAULT 0 CHECK (c >= 0)",
  "ALTER TABLE bare ADD COLUMN c NOT NULL",
  "ALTER TABLE plain ADD COLUMN d REFERENCES owners",
  { upgrade: "ALTER TABLE plain ADD COLUMN e DEFAULT 1 REFERENCES owners", foreignKeys: false },
  "CREATE UNIQUE INDEX u_owners ON owners (name)",
  "CREATE UNIQUE INDEX u ON pets (owner_id) WHERE pet_id > 1",
  "UPDATE plain SET b = 1 WHERE a = 1",
  "PRAGMA foreign_keys = ON",
  { upgrade: "PRAGMA foreign_keys = off", foreignKeys: false },
  { upgrade: "PRAGMA wal_checkpoint", transaction: false },
  "CREATE TABLE IF NOT EXISTS plain (z)",
  "CREATE VIEW v AS SELECT * FROM nobody",
  "CREATE TABLE keyless (name REFERENCES owners (side))",
  "CREATE VIEW w AS SELECT * FROM nobody; UPDATE plain SET b = 2 WHERE a = 1",
];

const sqlOf = (upgrade: Upgrade) => {
  const body = typeof upgrade === "string" ? upgrade : upgrade.upgrade;
  return typeof body === "string" ? body : "a function";
};

Deno.test("lint, upgrade and rehearse refuse the same upgrades", async (t) => {
  using subject = await Subject.create();
  for (const [upgrade, says] of wrong) {
    await t.step(sqlOf(upgrade), async () => {
      const findings = await subject.findings(upgrade);
      const error = findings.find(({ severity }) => severity === "error");
      assert.match(`${error?.reason} ${error?.fix}`, says);
      const migrator = subject.migrator([upgrade]);
      const { ok, surprises } = await migrator.rehearse();
      assert.equal(ok, false);
      assert.match(surprises[0]?.code ?? "", /^upgrade-/);
      await assert.rejects(migrator.upgrade({ backup: false }), (error: CatalystError) => {
        assert.match(`${error.message} ${error.help}`, says);
        return true;
      });
    });
  }
});

Deno.test("lint, upgrade and rehearse let the same upgrades pass", async (t) => {
  using subject = await Subject.create();
  const applied: Upgrade[] = [];
  for (const upgrade of right) {
    await t.step(sqlOf(upgrade), async () => {
      applied.push(upgrade);
      const migrator = subject.migrator(applied);
      assert.equal((await migrator.lint()).ok, true);
      assert.deepEqual((await migrator.rehearse()).surprises, []);
      await migrator.upgrade({ backup: false });
    });
  }
});

/** Downgrades that are wrong, and those that only get warnings. */
const wayBack: readonly (readonly [definition: Exclude<Upgrade, string>, isRight: boolean])[] = [
  [{ upgrade: "ALTER TABLE plain ADD COLUMN c", downgrade: "SELECT 1" }, false],
  [{ upgrade: "CREATE TABLE n (a)", downgrade: "SELECT 1" }, false],
  [{ upgrade: "CREATE TABLE n (a)", downgrade: "DROP TABLE m" }, false],
  [{ upgrade: "INSERT INTO owners VALUES (9, 'Cy', 'buy', NULL)", downgrade: "SELECT 1" }, false],
  [{ upgrade: "CREATE TABLE n (a)" }, true],
  [{ upgrade: "CREATE TABLE n (a)", downgrade: "DROP TABLE n" }, true],
  [{
    upgrade: "CREATE TABLE n (a)",
    downgrade: "SELECT 1",
    allows: [{ code: "downgrade-differs", reason: "the table may stay" }],
  }, true],
];

Deno.test("lint and rehearse agree on which downgrades are wrong; a wrong downgrade does not prevent an upgrade", async (t) => {
  for (const [definition, isRight] of wayBack) {
    await t.step(`${sqlOf(definition)}; ${definition.downgrade}`, async () => {
      using subject = await Subject.create();
      const migrator = subject.migrator([definition]);
      assert.equal((await migrator.lint()).ok, isRight);
      assert.equal((await migrator.rehearse()).ok, isRight);
      await migrator.upgrade({ backup: false });
    });
  }
});

Deno.test("a rebuild that loses a check, an index, a trigger or a view gets a warning, and upgrade runs it", async () => {
  using subject = await Subject.create(
    "CREATE VIEW owner_names AS SELECT name FROM owners;",
  );
  const upgrade = `DROP VIEW owner_names;
    CREATE TABLE new_owners (owner_id INTEGER PRIMARY KEY, name TEXT NOT NULL, side, empty);
    INSERT INTO new_owners SELECT * FROM owners;
    DROP TABLE owners;
    ALTER TABLE new_owners RENAME TO owners`;
  const definition = { upgrade, foreignKeys: false };
  const findings = await subject.findings(definition);
  const lost = findings.filter(({ code }) => code.startsWith("lost-"));
  assert.deepEqual(
    ["lost-check", "lost-index", "lost-trigger", "lost-view"].filter((code) =>
      !lost.some((one) => one.code === code)
    ),
    [],
  );
  assert.deepEqual(findings.filter(({ severity }) => severity === "error"), []);
  await subject.migrator([definition]).upgrade({ backup: false });
});
