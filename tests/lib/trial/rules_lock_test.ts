import assert from "node:assert/strict";
import { Subject } from "./subject.ts";

const large = { largeTable: 1 };
const slow: Readonly<Record<string, RegExp>> = {
  "CREATE INDEX i ON plain (a)": /creates an index over 2 rows of "plain"/,
  "CREATE UNIQUE INDEX i ON plain (a) WHERE b > 1": /creates an index/,
  "UPDATE plain SET b = 1": /updates all 2 rows of "plain"/,
  "ALTER TABLE plain ADD COLUMN c CHECK (c > 0)": /checks all 2 rows/,
  "ALTER TABLE plain DROP COLUMN b": /rewrites all 2 rows/,
  "CREATE TABLE t AS SELECT * FROM plain": /copies 2 rows of "plain"/,
  "CREATE TABLE t (a, b); INSERT INTO t SELECT * FROM plain": /copies 2 rows/,
};

for (const [upgrade, reason] of Object.entries(slow)) {
  Deno.test(`on a large table a long lock is reported with an estimate: ${upgrade}`, async () => {
    using subject = await Subject.create();
    const findings = (await subject.findings(upgrade, large))
      .filter(({ code }) => code === "long-lock");
    assert.deepEqual(findings.map(({ severity }) => severity), ["warning"]);
    assert.match(findings[0]?.reason ?? "", reason);
    assert.match(findings[0]?.reason ?? "", /about 1 s \(an estimate\)/);
    assert.deepEqual(await subject.codes(upgrade), []);
  });
}

Deno.test("statements that take no time on a large table are not long locks", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "ALTER TABLE plain ADD COLUMN c",
      "ALTER TABLE plain ADD COLUMN c INTEGER NOT NULL DEFAULT 1",
      "ALTER TABLE plain RENAME TO p",
      "ALTER TABLE plain RENAME COLUMN a TO c",
      "CREATE INDEX i ON bare (a)",
      "CREATE TABLE t (a UNIQUE)",
      "CREATE VIEW v AS SELECT * FROM plain",
      "UPDATE plain SET a = 1 WHERE a = 2",
      "INSERT INTO plain VALUES (1, 2)",
    ]
  ) {
    const codes = await subject.codes(upgrade, large);
    assert(!codes.includes("warning long-lock") || /NOT NULL/.test(upgrade), upgrade);
  }
});

Deno.test("an index on a rebuilt table counts the rows that were copied", async () => {
  using subject = await Subject.create();
  const upgrade = `CREATE TABLE n (a, b); INSERT INTO n SELECT * FROM plain; DROP TABLE plain;
    ALTER TABLE n RENAME TO plain; CREATE INDEX i ON plain (a)`;
  const reasons = (await subject.findings(upgrade, large)).map(({ reason }) => reason);
  assert.match(reasons.join("\n"), /copies 2 rows of "plain"/);
  assert.match(reasons.join("\n"), /index over 2 rows of "plain"/);
});

Deno.test("a long lock is estimated from the number of rows", async () => {
  using subject = await Subject.create();
  const { execute } = await import("../support.ts");
  execute(
    subject.path,
    `INSERT INTO plain
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
    SELECT NULL, NULL FROM n`,
  );
  const [finding] = await subject.findings({
    upgrade: "CREATE INDEX i ON plain (a)",
    downgrade: "DROP INDEX i",
  });
  assert.equal(finding?.code, "long-lock");
  assert.match(finding?.reason ?? "", /1,000,002 rows .* about 1 s/);
});
