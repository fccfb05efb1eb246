import assert from "node:assert/strict";
import type { Migration } from "../../../lib/migration/migration.ts";
import { type Untried, upDownUp } from "../../../lib/trial/up_down_up.ts";
import { migrationOf } from "../support.ts";

const a1 = migrationOf({ name: "001_a", database: "a", downgrade: "SELECT 1" });
const b2 = migrationOf({ name: "002_b", database: "b", downgrade: "SELECT 1" });
const a3 = migrationOf({ name: "003_a", database: "a", downgrade: "SELECT 1" });
const b4 = migrationOf({ name: "004_b", database: "b", downgrade: "SELECT 1" });
const oneWay = migrationOf({ name: "005_a", database: "a" });

/** The runs in order, such as `up 001`; the named ones fail. */
async function runs(
  migrations: readonly Migration[],
  ...failing: readonly string[]
): Promise<{ readonly done: readonly string[]; readonly untried: Untried }> {
  const done: string[] = [];
  const untried = await upDownUp(migrations, ({ id }, pass) => {
    done.push(`${pass} ${id}`);
    return Promise.resolve(!failing.includes(`${pass} ${id}`));
  });
  return { done, untried };
}

Deno.test("all go up in order, down in reverse, and up again in order", async () => {
  const { done, untried } = await runs([a1, b2, a3]);
  assert.deepEqual(done, [
    ...["up 001", "up 002", "up 003"],
    ...["down 003", "down 002", "down 001"],
    ...["again 001", "again 002", "again 003"],
  ]);
  assert.deepEqual(untried, { failed: null, notRolledBack: [] });
});

Deno.test("after a failed upgrade nothing else runs", async () => {
  const { done, untried } = await runs([a1, b2, a3], "up 002");
  assert.deepEqual(done, ["up 001", "up 002"]);
  assert.equal(untried.failed, b2);
});

Deno.test("a failed downgrade stops only its own database, and only what was rolled back is applied again", async () => {
  const { done } = await runs([a1, b2, a3, b4], "down 003");
  assert.deepEqual(done.slice(4), [
    ...["down 004", "down 003", "down 002"],
    ...["again 002", "again 004"],
  ]);
});

Deno.test("a failed second upgrade stops only its own database", async () => {
  const { done } = await runs([a1, b2, a3, b4], "again 001");
  assert.deepEqual(done.slice(8), ["again 001", "again 002", "again 004"]);
});

Deno.test("a migration without a downgrade also keeps earlier ones of its database applied", async () => {
  const { done, untried } = await runs([a1, b2, oneWay]);
  assert.deepEqual(done.slice(3), ["down 002", "again 002"]);
  assert.deepEqual(untried.notRolledBack, [
    { migration: a1, irreversible: oneWay },
    { migration: oneWay, irreversible: oneWay },
  ]);
});
