import fc from "fast-check";
import assert from "node:assert/strict";
import { Subject } from "./subject.ts";
import { trials } from "../../effort.ts";

/**
 * Changes that lose nothing. The objects that they create have numbered names, so that any
 * combination works.
 */
const harmless = fc.constantFrom<(number: number) => { upgrade: string; downgrade: string }>(
  (n) => ({
    upgrade: `CREATE TABLE t${n} (a INTEGER PRIMARY KEY, b TEXT NOT NULL CHECK (b <> ''),
      owner_id INTEGER REFERENCES owners); INSERT INTO t${n} VALUES (1, 'b', NULL)`,
    downgrade: `DROP TABLE t${n}`,
  }),
  (n) => ({
    upgrade: `ALTER TABLE owners ADD COLUMN c${n} INTEGER NOT NULL DEFAULT ${n};
      UPDATE owners SET c${n} = length(name)`,
    downgrade: `ALTER TABLE owners DROP COLUMN c${n}`,
  }),
  (n) => ({
    upgrade: `CREATE UNIQUE INDEX i${n} ON pets (owner_id, pet_id) WHERE pet_id > ${n}`,
    downgrade: `DROP INDEX i${n}`,
  }),
  (n) => ({
    upgrade:
      `CREATE VIEW v${n} AS SELECT name, count(*) AS pets FROM owners JOIN pets USING (owner_id)
      GROUP BY name`,
    downgrade: `DROP VIEW v${n}`,
  }),
  (n) => ({
    upgrade:
      `CREATE TRIGGER g${n} AFTER DELETE ON pets BEGIN DELETE FROM bare; UPDATE bare SET a = 1; END`,
    downgrade: `DROP TRIGGER g${n}`,
  }),
  (n) => ({
    upgrade: `INSERT INTO plain SELECT pet_id, 'new ${n}' FROM pets WHERE pet_id = ${n};
      UPDATE plain SET a = ${n} WHERE b = 'DELETE FROM plain'`,
    downgrade: `DELETE FROM plain WHERE b = 'new ${n}'`,
    destroys: ["plain"],
  }),
  (n) => ({
    upgrade: `CREATE TABLE new_plain (a INTEGER, b TEXT DEFAULT '${n}');
      INSERT INTO new_plain SELECT * FROM plain; DROP TABLE plain;
      ALTER TABLE new_plain RENAME TO plain`,
    downgrade: `CREATE TABLE new_plain (a, b); INSERT INTO new_plain SELECT * FROM plain;
      DROP TABLE plain; ALTER TABLE new_plain RENAME TO plain`,
    // After another rebuild the previous types are not the first ones.
    allows: [{ code: "downgrade-differs", reason: "the types may go" }],
  }),
  (n) => ({
    upgrade: `ALTER TABLE bare RENAME COLUMN a TO a${n}; ALTER TABLE bare RENAME COLUMN a${n} TO a;
      SAVEPOINT s; DROP TABLE plain; ROLLBACK TO s; RELEASE s`,
    downgrade: "SELECT 1",
  }),
);

Deno.test("random harmless migrations have no errors, and upgrade applies them", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(harmless, { minLength: 1, maxLength: 8 }), async (changes) => {
      using subject = await Subject.create();
      const steps = changes.map((change, index) => change(index));
      const { ok, findings } = await subject.migrator(steps).lint();
      assert(ok, JSON.stringify(findings, null, 2));
      const { applied } = await subject.migrator(steps).upgrade();
      assert.equal(applied.length, steps.length);
    }),
    { numRuns: trials(12) },
  );
});
