import assert from "node:assert/strict";
import { LintError, MigrationFailedError } from "../../../lib/base/errors.ts";
import { execute, query } from "../support.ts";
import { rebuildOwners, type Step, Subject } from "./subject.ts";

async function refusal(subject: Subject, ...steps: readonly Step[]): Promise<LintError> {
  const error = await subject.migrator(steps).upgrade().then(() => null, (thrown) => thrown);
  assert(error instanceof LintError, String(error));
  return error;
}

const losing: Readonly<Record<string, Step>> = {
  "table-dropped": "DROP TABLE pets",
  "column-dropped": "ALTER TABLE plain DROP COLUMN a",
  "rows-deleted": "DELETE FROM pets",
  "rows-updated": "UPDATE plain SET a = 0",
  "rebuild-with-foreign-keys": rebuildOwners(),
};

for (const [code, step] of Object.entries(losing)) {
  Deno.test(`upgrade refuses before anything runs: ${code}`, async () => {
    using subject = await Subject.create();
    const error = await refusal(subject, "CREATE TABLE t (a)", step);
    assert.equal(error.code, "LINT_REFUSED");
    assert.equal(error.migration, "003_step");
    assert.equal(error.database, "app");
    assert(error.message.endsWith(`[${code}]`), error.message);
    assert.match(error.help ?? "", /Nothing was changed/);
    assert.equal(error.progress, undefined);
    const { migrations } = await subject.migrator(["CREATE TABLE t (a)", step]).status();
    assert.deepEqual(migrations.map(({ state }) => state), ["applied", "pending", "pending"]);
    assert.deepEqual(query(subject.path, "SELECT name FROM sqlite_schema WHERE name = 't'"), []);
    assert.deepEqual(subject.directory.names().filter((name) => name === "backups"), []);
  });

  Deno.test(`upgrade applies declared losses: ${code}`, async () => {
    using subject = await Subject.create();
    const upgrade = typeof step === "string" ? step : step.upgrade;
    const declared = { upgrade, destroys: ["pets", "plain", "owners"] };
    const { applied } = await subject.migrator([declared]).upgrade();
    assert.deepEqual(applied.map(({ id }) => id), ["002"]);
  });
}

Deno.test("upgrade refuses all data loss of all migrations at once", async () => {
  using subject = await Subject.create();
  const error = await refusal(subject, "DROP TABLE pets", "DELETE FROM plain");
  assert.match(error.message, /^Cannot apply 002_step, 003_step: .*"pets".*; .*"plain"/);
});

Deno.test("an allowed data loss is not refused", async () => {
  using subject = await Subject.create();
  const allows = [{ code: "rows-updated", reason: "in cents from now on" }];
  await subject.migrator([{ upgrade: "UPDATE plain SET a = a * 100", allows }]).upgrade();
  assert.deepEqual(query(subject.path, "SELECT a FROM plain"), [{ a: 100 }, { a: 200 }]);
});

Deno.test("upgrade refuses only data loss", async () => {
  using subject = await Subject.create();
  const upgrade = rebuildOwners({ after: "" });
  const { ok, findings } = await subject.migrator([{ upgrade, foreignKeys: false }]).lint();
  assert.deepEqual([ok, findings.length > 0], [true, true]);
  await subject.migrator([{ upgrade, foreignKeys: false }]).upgrade();
  assert.equal(query(subject.path, "SELECT * FROM pets").length, 3);
});

Deno.test("rows that only a WHERE loses are still counted after the migration", async () => {
  using subject = await Subject.create();
  await assert.rejects(
    subject.migrator(["DELETE FROM pets WHERE pet_id = 1"]).upgrade(),
    /would lose rows that it does not declare: 1 of table "pets"/,
  );
});

Deno.test("on a new database nothing is refused, and a function is called once", async () => {
  using subject = new Subject();
  let calls = 0;
  const upgrade = () => {
    calls++;
  };
  await subject.migrator([{ upgrade }, "DROP TABLE plain"]).upgrade();
  assert.equal(calls, 1);
});

Deno.test("lint and the guard do not change the database's files", async () => {
  using subject = await Subject.create();
  execute(subject.path, "PRAGMA wal_checkpoint(TRUNCATE)");
  const before = subject.directory.listing();
  await subject.migrator(["DROP TABLE pets"]).lint();
  await subject.migrator(["DROP TABLE pets"]).planUpgrade({ effects: true });
  assert.deepEqual(subject.directory.listing(), before);
});

Deno.test("a script that fails halfway is reported as a failure, not by what it would have lost", async () => {
  using subject = await Subject.create();
  const script = "DELETE FROM plain; INSERT INTO nowhere VALUES (1)";
  assert.deepEqual(await subject.codes(script), ["error fails"]);
  await assert.rejects(subject.migrator([script]).upgrade(), (error) => {
    assert(error instanceof MigrationFailedError, String(error));
    assert.match(error.message, /nowhere/);
    return true;
  });
  assert.equal(query(subject.path, "SELECT * FROM plain").length, 2);
});
