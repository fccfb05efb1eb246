import assert from "node:assert/strict";
import { findingOf } from "../../../lib/trial/finding.ts";
import { Subject } from "./subject.ts";
import { migrationOf } from "../support.ts";

const source = { path: "migrations/002_step.sql", upgradeLine: 4, downgradeLine: 9 };
const place = { sql: "DROP TABLE t;\n", line: 2 };
const fault = { code: "table-dropped", reason: "r", fix: "f" } as const;

Deno.test("a finding's line is the file's, in the right section", () => {
  const migration = migrationOf({ name: "002_step", source });
  const line = (more: object) => findingOf(migration, { ...fault, ...more }).line;
  assert.equal(line({ place }), 5);
  assert.equal(line({ place, direction: "downgrade" }), 10);
  assert.equal(line({}), 4);
  assert.equal(line({ place: { sql: "", line: null } }), null);
});

Deno.test("without a file the line is the SQL's, and a module has none", () => {
  const bare = findingOf(migrationOf({ name: "002_step" }), { ...fault, place });
  assert.deepEqual([bare.file, bare.line, bare.statement], [null, 2, "DROP TABLE t;"]);
  const inModule = migrationOf({ name: "002_step", source: { path: "002_step.ts" } });
  const finding = findingOf(inModule, { ...fault, place });
  assert.deepEqual([finding.file, finding.line], ["002_step.ts", null]);
});

Deno.test("findings are sorted by line, those about the whole migration last", async () => {
  using subject = await Subject.create();
  const upgrade = "DELETE FROM pets;\nPRAGMA foreign_keys = OFF;\nDROP TABLE plain";
  const findings = await subject.findings({ upgrade, source });
  assert.deepEqual(findings.map(({ code, line }) => [code, line]), [
    ["rows-deleted", 4],
    ["ineffective-pragma", 5],
    ["table-dropped", 6],
    ["no-downgrade", 4],
  ]);
});

Deno.test("an allowance suppresses only its own code", async () => {
  using subject = await Subject.create();
  const allows = [{ code: "rows-deleted", reason: "old" }, { code: "no-downgrade", reason: "-" }];
  const findings = await subject.findings({
    upgrade: "DELETE FROM pets; DROP TABLE plain",
    allows,
  });
  assert.deepEqual(findings.map(({ code }) => code), ["table-dropped"]);
});

Deno.test("a migration is checked by id, name or file, even if it is applied", async () => {
  using subject = await Subject.create();
  const steps = [{ upgrade: "CREATE TABLE t (a); INSERT INTO t VALUES (1)" }, {
    upgrade: "DROP TABLE t",
    source,
    destroys: ["t"],
  }];
  await subject.migrator(steps).upgrade();
  const undeclared = [steps[0] ?? "", { upgrade: "DROP TABLE t", source }];
  const lint = (...migrations: string[]) => subject.migrator(undeclared).lint({ migrations });
  assert.deepEqual((await subject.migrator(undeclared).lint()).checked, []);
  for (const asked of ["003", "3", "003_step", "./migrations/002_step.sql"]) {
    const { checked, findings } = await lint(asked);
    assert.deepEqual(checked, ["003_step"]);
    assert.deepEqual(findings.map(({ code }) => code), ["table-dropped", "no-downgrade"]);
  }
  assert.deepEqual((await lint("002")).checked, ["002_step"]);
  await assert.rejects(lint("004"), /is not in the registry/);
  await assert.rejects(lint("other/002_step.sql"), /not the file of a known migration/);
});
