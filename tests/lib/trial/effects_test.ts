import assert from "node:assert/strict";
import type { MigrationEffects } from "../../../lib/trial/effects.ts";
import { rebuildOwners, type Step, Subject } from "./subject.ts";

async function effectsOf(subject: Subject, ...steps: Step[]): Promise<readonly MigrationEffects[]> {
  return (await subject.migrator(steps).planUpgrade({ effects: true })).effects ?? [];
}

function objects({ objects }: MigrationEffects): string[] {
  return objects.map(({ change, type, name }) => `${change} ${type} ${name}`);
}

function rows({ rows }: MigrationEffects): string[] {
  return rows.map(({ change, extent, rows, table, from }) =>
    `${change} ${extent} ${rows} ${table}${from.map((one) => ` from ${one}`).join()}`
  );
}

Deno.test("a plan has no effects unless requested", async () => {
  using subject = await Subject.create();
  assert.equal((await subject.migrator(["DROP TABLE pets"]).planUpgrade()).effects, undefined);
});

Deno.test("the effects name the objects that a migration creates, changes and drops", async () => {
  using subject = await Subject.create();
  const [effects] = await effectsOf(
    subject,
    `DROP INDEX owners_by_name;
    ALTER TABLE plain ADD COLUMN c;
    CREATE TABLE t (a);
    CREATE INDEX t_by_a ON t (a);
    CREATE VIEW v AS SELECT a FROM t;
    CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;
    CREATE TABLE gone (a); DROP TABLE gone;
    CREATE VIRTUAL TABLE words USING fts5(word)`,
  );
  assert(effects !== undefined);
  assert.deepEqual(objects(effects), [
    "creates table t",
    "creates table words",
    "creates index t_by_a",
    "creates view v",
    "creates trigger g",
    "changes table plain",
    "drops index owners_by_name",
  ]);
  assert.deepEqual(rows(effects), []);
  assert.equal(effects.unknown, null);
});

Deno.test("a rebuild changes its table and loses no rows", async () => {
  using subject = await Subject.create();
  const [effects] = await effectsOf(subject, { upgrade: rebuildOwners(), foreignKeys: false });
  assert(effects !== undefined);
  assert.deepEqual(objects(effects), ["changes table owners"]);
  assert.deepEqual(rows(effects), ["inserts some 2 new_owners from owners"]);
});

Deno.test("the effects say how many rows are touched: all of a table, or some of this many", async () => {
  using subject = await Subject.create();
  const [effects] = await effectsOf(
    subject,
    `UPDATE owners SET empty = 'x';
    DELETE FROM pets WHERE pet_id = 1;
    INSERT INTO plain VALUES (7, 7), (8, 8);
    INSERT INTO bare SELECT pet_id, 1 FROM pets;
    DELETE FROM plain`,
  );
  assert(effects !== undefined);
  assert.deepEqual(rows(effects), [
    "updates all 2 owners",
    "deletes some 3 pets",
    "inserts exact 2 plain",
    "inserts some 3 bare from pets",
    "deletes all 2 plain",
  ]);
  const [dropping] = await effectsOf(subject, "DROP TABLE pets");
  assert(dropping !== undefined);
  assert.deepEqual(objects(dropping), ["drops table pets"]);
  assert.deepEqual(rows(dropping), ["deletes all 3 pets"]);
});

Deno.test("unknown effects are reported as such, also for later migrations", async () => {
  using subject = await Subject.create();
  const [first, second] = await effectsOf(subject, "CREATE TABLE t (a); nonsense", "DROP TABLE t");
  assert.match(first?.unknown ?? "", /syntax error/);
  assert.match(second?.unknown ?? "", /002_step before it can't be tried/);
});
