import assert from "node:assert/strict";
import { HookError, MigrationFailedError } from "../../../lib/base/errors.ts";
import type { MigrationHooks } from "../../../lib/operations/run_migrations.ts";
import { appMigrator } from "./app.ts";
import { migrationOf, query, TemporaryDirectory } from "../support.ts";

const one = migrationOf({
  name: "001_one",
  upgrade: "CREATE TABLE one (a)",
  downgrade: "DROP TABLE one",
});
const two = migrationOf({
  name: "002_two",
  upgrade: "CREATE TABLE two (a)",
  downgrade: "DROP TABLE two",
});
const bad = migrationOf({ name: "003_bad", upgrade: "CREATE TABEL bad (a)" });

const states = async (directory: TemporaryDirectory) =>
  (await appMigrator(directory, [one, two]).status()).migrations.map(({ state }) => state);

/** Hooks that record their calls. */
function recorder(calls: string[]): MigrationHooks {
  return {
    beforeAll: (all) => void calls.push(`before ${all.map(({ id }) => id)}`),
    afterAll: (all) => void calls.push(`after ${all.map(({ id }) => id)}`),
    beforeEach: ({ id, direction }) => void calls.push(`before ${direction} ${id}`),
    afterEach: async ({ id }) => {
      await Promise.resolve();
      calls.push(`after ${id}`);
    },
    onError: (_, migration) => void calls.push(`error ${migration?.id ?? "-"}`),
  };
}

Deno.test("hooks are called around all migrations and around each one, up and down", async () => {
  using directory = new TemporaryDirectory();
  const calls: string[] = [];
  const migrator = appMigrator(directory, [one, two]);
  await migrator.upgrade({ hooks: recorder(calls) });
  await migrator.downgrade({ steps: 1, hooks: recorder(calls) });
  assert.deepEqual(calls, [
    "before 001,002",
    "before upgrade 001",
    "after 001",
    "before upgrade 002",
    "after 002",
    "after 001,002",
    "before 002",
    "before downgrade 002",
    "after 002",
    "after 002",
  ]);
});

Deno.test("no hook is called if there is nothing to do", async () => {
  using directory = new TemporaryDirectory();
  const calls: string[] = [];
  const migrator = appMigrator(directory, [one]);
  await migrator.upgrade();
  await migrator.upgrade({ hooks: recorder(calls) });
  assert.deepEqual(calls, []);
});

Deno.test("a hook that throws before a migration stops the upgrade, and earlier migrations stay applied", async () => {
  using directory = new TemporaryDirectory();
  const calls: string[] = [];
  const hooks: MigrationHooks = {
    ...recorder(calls),
    beforeEach: ({ id }) => {
      if (id === "002") throw new RangeError("the bot has open orders");
    },
  };
  await assert.rejects(appMigrator(directory, [one, two]).upgrade({ hooks }), (error: Error) => {
    assert.ok(error instanceof HookError && error.cause instanceof RangeError);
    assert.equal(
      error.message,
      "Cannot continue: the hook beforeEach failed for 002_two: the bot has open orders",
    );
    assert.deepEqual(error.progress?.done, ["001"]);
    return true;
  });
  assert.deepEqual(await states(directory), ["applied", "pending"]);
  assert.deepEqual(calls, ["before 001,002", "after 001", "error 002"]);
  assert.deepEqual(
    query(directory.file("app.db"), "SELECT name FROM sqlite_schema WHERE name = 'two'"),
    [],
  );
});

Deno.test("onError receives the error of a migration and cannot hide it", async () => {
  using directory = new TemporaryDirectory();
  const seen: unknown[] = [];
  const hooks: MigrationHooks = {
    onError: (error, migration) => {
      seen.push(error, migration?.name);
      throw new Error("the messenger is down too");
    },
  };
  await assert.rejects(appMigrator(directory, [one, bad]).upgrade({ hooks }), MigrationFailedError);
  assert.ok(seen[0] instanceof MigrationFailedError);
  assert.equal(seen[1], "003_bad");
});
