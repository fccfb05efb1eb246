import assert from "node:assert/strict";
import { rebuildOwners, Subject } from "./subject.ts";

const off = { foreignKeys: false } as const;

Deno.test("a rebuild that forgets a check loses it", async () => {
  using subject = await Subject.create();
  const columns = "name TEXT NOT NULL, side TEXT CHECK (side IN ('buy', 'sell')), empty TEXT";
  const [finding] = await subject.findings({ upgrade: rebuildOwners({ columns }), ...off });
  assert.equal(finding?.code, "lost-check");
  assert.match(finding?.reason ?? "", /CHECK \(name <> ''\)/);
});

Deno.test("a check that is changed, renamed or dropped with its column is not lost", async () => {
  using subject = await Subject.create();
  const name = "name TEXT NOT NULL CHECK (name <> '')";
  for (
    const columns of [
      `${name}, side TEXT CHECK (side IN ('buy', 'sell', 'short')), empty TEXT`,
      `${name}, side TEXT, empty TEXT, CONSTRAINT side_known CHECK (length(side) > 2)`,
      `${name}, direction TEXT CHECK (direction IN ('buy', 'sell')), empty TEXT`,
      `NAME TEXT NOT NULL CHECK( "name"!='' ), side TEXT CHECK (side = 'buy' OR side = 'sell'), empty`,
    ]
  ) {
    const upgrade = rebuildOwners({ columns });
    assert.deepEqual(await subject.codes({ upgrade, ...off }), [], columns);
  }
  const withoutSide = `CREATE TABLE n (owner_id INTEGER PRIMARY KEY, ${name}, empty TEXT);
    INSERT INTO n SELECT owner_id, name, empty FROM owners; DROP TABLE owners;
    ALTER TABLE n RENAME TO owners;
    CREATE INDEX owners_by_name ON owners (name);
    CREATE TRIGGER owners_log AFTER UPDATE ON owners BEGIN SELECT 1; END`;
  assert.deepEqual(await subject.codes({ upgrade: withoutSide, ...off, destroys: ["owners"] }), []);
});

Deno.test("a rebuild that forgets an index or a trigger loses it", async () => {
  using subject = await Subject.create();
  const upgrade = rebuildOwners({ after: "" });
  const findings = await subject.findings({ upgrade, ...off });
  assert.deepEqual(findings.map(({ severity, code }) => `${severity} ${code}`), [
    "warning lost-index",
    "warning lost-trigger",
    "warning no-downgrade",
  ]);
  assert.match(findings[0]?.reason ?? "", /drops index "owners_by_name"/);
  assert.match(findings[0]?.fix ?? "", /CREATE INDEX owners_by_name ON owners \(name\)/);
  assert.match(findings[1]?.reason ?? "", /drops trigger "owners_log"/);
});

Deno.test("an index or trigger that is dropped explicitly or recreated under another name is not lost", async () => {
  using subject = await Subject.create();
  const trigger = "CREATE TRIGGER owners_log AFTER UPDATE ON owners BEGIN SELECT 1; END";
  for (
    const parts of [
      { before: "DROP INDEX owners_by_name; DROP TRIGGER owners_log;", after: "" },
      { after: `CREATE INDEX by_name ON owners (name); ${trigger}` },
      { after: `CREATE INDEX owners_by_name ON owners (name, side); ${trigger}` },
    ]
  ) assert.deepEqual(await subject.codes({ upgrade: rebuildOwners(parts), ...off }), []);
  assert.deepEqual(await subject.codes("DROP INDEX owners_by_name"), []);
  assert.deepEqual(
    await subject.codes({
      upgrade: "DROP TABLE pets; DROP TABLE owners",
      destroys: ["owners", "pets"],
    }),
    [],
  );
});

Deno.test("a view that is dropped for a rebuild and not recreated is lost", async () => {
  using subject = await Subject.create("CREATE VIEW names AS SELECT name FROM owners;");
  const view = "CREATE VIEW names AS SELECT upper(name) AS name FROM owners;";
  const after = `CREATE INDEX owners_by_name ON owners (name);
    CREATE TRIGGER owners_log AFTER UPDATE ON owners BEGIN SELECT 1; END;`;
  const before = "DROP VIEW names;";
  const [finding] = await subject.findings({ upgrade: rebuildOwners({ before, after }), ...off });
  assert.equal(finding?.code, "lost-view");
  assert.match(finding?.reason ?? "", /"names" is dropped for the rebuild of "owners"/);
  const upgrade = rebuildOwners({ before, after: after + view });
  assert.deepEqual(await subject.codes({ upgrade, ...off }), []);
  assert.deepEqual(await subject.codes("DROP VIEW names"), []);
});

Deno.test("a view that can no longer be read is lost; one that was broken before is not", async () => {
  using subject = await Subject.create(
    "CREATE VIEW pairs AS SELECT a, b FROM plain; CREATE VIEW broken AS SELECT x FROM nowhere;",
  );
  const codes = await subject.codes({ upgrade: "DROP TABLE plain", destroys: ["plain"] });
  assert.deepEqual(codes, ["error lost-view"]);
  assert.deepEqual(await subject.codes("CREATE TABLE t (a)"), []);
});
