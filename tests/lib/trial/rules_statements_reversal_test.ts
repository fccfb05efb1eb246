import assert from "node:assert/strict";
import { rebuildOwners, Subject } from "./subject.ts";

Deno.test("a migration without a downgrade is a warning", async () => {
  using subject = await Subject.create();
  const findings = await subject.findings("CREATE TABLE t (a)");
  assert.deepEqual(findings.map(({ severity, code }) => [severity, code]), [
    ["warning", "no-downgrade"],
  ]);
});

Deno.test("a downgrade that restores the schema has no finding", async () => {
  using subject = await Subject.create();
  const good = [
    { upgrade: "CREATE TABLE t (a); INSERT INTO t VALUES (1)", downgrade: "DROP TABLE t" },
    {
      upgrade: "ALTER TABLE plain ADD COLUMN c",
      downgrade: "ALTER TABLE plain DROP COLUMN c",
    },
    {
      upgrade: rebuildOwners(),
      downgrade: rebuildOwners({
        columns: `name TEXT NOT NULL CHECK (name <> ''),
          side TEXT CHECK (side IN ('buy', 'sell')), empty TEXT`,
      }),
      foreignKeys: false,
    },
    { upgrade: "CREATE INDEX i ON plain (a)", downgrade: "DROP INDEX i" },
  ];
  for (const one of good) assert.deepEqual(await subject.findings(one), [], one.upgrade);
  assert.deepEqual(await subject.findings(good), []);
});

Deno.test("a downgrade that reverts too little or too much is an error that gives the difference", async () => {
  using subject = await Subject.create();
  const upgrade = "CREATE TABLE t (a); CREATE INDEX i ON plain (a)";
  const [left] = await subject.findings({ upgrade, downgrade: "DROP TABLE t" });
  assert.deepEqual([left?.severity, left?.code], ["error", "downgrade-differs"]);
  assert.match(left?.reason ?? "", /index "i" is not expected/);
  const [taken] = await subject.findings({
    upgrade,
    downgrade: "DROP TABLE t; DROP TABLE plain",
  });
  assert.match(taken?.reason ?? "", /table "plain" is missing/);
});

Deno.test("an upgrade that doesn't run again after its downgrade is an error", async () => {
  using subject = await Subject.create();
  const [finding] = await subject.findings({
    upgrade: "INSERT INTO owners (owner_id, name) VALUES (9, 'Cy')",
    downgrade: "SELECT 1",
  });
  assert.equal(finding?.code, "downgrade-differs");
  assert.match(finding?.reason ?? "", /doesn't run again after its downgrade: UNIQUE/);
  const good = {
    upgrade: "INSERT INTO owners (owner_id, name) VALUES (9, 'Cy')",
    downgrade: "DELETE FROM owners WHERE owner_id = 9",
    destroys: ["owners"],
  };
  assert.deepEqual(await subject.findings(good), []);
});

Deno.test("a downgrade that fails is an error", async () => {
  using subject = await Subject.create();
  const [finding] = await subject.findings({
    upgrade: "CREATE TABLE t (a)",
    downgrade: "\nDROP TABLE u",
  });
  assert.deepEqual([finding?.severity, finding?.code, finding?.line], ["error", "fails", 2]);
  assert.match(finding?.reason ?? "", /its downgrade fails .* no such table: u/);
});

Deno.test("a later migration is tried on the schema after the upgrade, whatever the downgrade does", async () => {
  using subject = await Subject.create();
  const first = { upgrade: "CREATE TABLE t (a)", downgrade: "DROP TABLE t; DROP TABLE plain" };
  const codes = await subject.codes([first, "ALTER TABLE t ADD COLUMN b; SELECT a FROM plain"]);
  assert.deepEqual(codes, ["error downgrade-differs"]);
});

Deno.test("an upgrade with IF NOT EXISTS must run twice", async () => {
  using subject = await Subject.create();
  const claim = "CREATE TABLE IF NOT EXISTS t (a)";
  const [finding] = await subject.findings(`${claim};\nCREATE INDEX i ON t (a)`);
  assert.deepEqual([finding?.severity, finding?.code, finding?.line], [
    "warning",
    "not-idempotent",
    2,
  ]);
  assert.match(finding?.reason ?? "", /index i already exists/);
  for (
    const upgrade of [
      claim,
      `${claim}; CREATE INDEX IF NOT EXISTS i ON t (a)`,
      "DROP INDEX IF EXISTS nothing_there",
      "CREATE TABLE t (a DEFAULT 'IF NOT EXISTS') -- IF NOT EXISTS",
      "CREATE TABLE t (a); INSERT INTO t SELECT 1 WHERE NOT EXISTS (SELECT * FROM t)",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
});

Deno.test("a downgrade that deletes rows of an existing table without declaring it gets a warning", async () => {
  using subject = await Subject.create();
  const upgrade =
    "INSERT INTO plain VALUES (7, 'new'); CREATE TABLE t (a); INSERT INTO t VALUES (1)";
  const downgrade = "DELETE FROM plain WHERE b = 'new'; DELETE FROM t; DROP TABLE t";
  const [finding, ...others] = await subject.findings({ upgrade, downgrade });
  assert.deepEqual(others, []);
  assert.equal(`${finding?.severity} ${finding?.code}`, "warning rows-deleted");
  assert.match(finding?.reason ?? "", /its downgrade deletes rows of table "plain"/);
  assert.match(finding?.fix ?? "", /destroys:plain on the "-- migrate:up" line/);
  assert.deepEqual(await subject.codes({ upgrade, downgrade, destroys: ["PLAIN"] }), []);
});
