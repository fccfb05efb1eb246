import assert from "node:assert/strict";
import { rebuildOwners, Subject } from "./subject.ts";

const rebuildPlain = `CREATE TABLE n (a INTEGER, b TEXT);
  INSERT INTO n SELECT a, b FROM plain;
  DROP TABLE plain;
  ALTER TABLE n RENAME TO plain`;

Deno.test("a correct rebuild has no finding", async () => {
  using subject = await Subject.create();
  assert.deepEqual(await subject.codes({ upgrade: rebuildOwners(), foreignKeys: false }), []);
});

Deno.test("a rebuild with foreign keys on is an error if another table with rows refers to it", async () => {
  using subject = await Subject.create();
  const [finding, ...others] = await subject.findings(rebuildOwners());
  assert.equal(finding?.code, "rebuild-with-foreign-keys");
  assert.match(finding?.reason ?? "", /those of "pets"/);
  assert.match(finding?.statement ?? "", /^DROP TABLE owners/);
  assert.equal(finding?.line, 6);
  assert.deepEqual(others.map(({ code }) => code), ["no-downgrade"]);
});

Deno.test("a rebuild with foreign keys on is fine if no row refers to the table", async () => {
  using subject = await Subject.create("CREATE TABLE notes (a REFERENCES bare (a));");
  assert.deepEqual(await subject.codes(rebuildPlain), []);
  assert.deepEqual(
    await subject.codes(
      `DROP TRIGGER owners_log; CREATE TABLE n (a UNIQUE, b); INSERT INTO n SELECT * FROM bare;
      DROP TABLE bare; ALTER TABLE n RENAME TO bare`,
    ),
    [],
  );
  const declared = { upgrade: rebuildOwners(), destroys: ["pets"] };
  assert.deepEqual(await subject.codes(declared), []);
});

Deno.test("without a transaction a migration may turn off foreign keys itself", async () => {
  using subject = await Subject.create();
  const upgrade = `PRAGMA foreign_keys = OFF; ${rebuildOwners()}; PRAGMA foreign_keys = ON`;
  assert.deepEqual(await subject.codes({ upgrade, transaction: false }), []);
  assert.deepEqual(
    await subject.codes({ upgrade: `PRAGMA foreign_keys = ON; ${upgrade}` }),
    [
      "warning ineffective-pragma",
      "error ineffective-pragma",
      "error rebuild-with-foreign-keys",
      "warning ineffective-pragma",
    ],
  );
});

Deno.test("a rebuild through a temporary table keeps the rows", async () => {
  using subject = await Subject.create();
  const upgrade = `CREATE TEMP TABLE kept AS SELECT * FROM plain;
    DROP TABLE plain;
    CREATE TABLE plain (a INTEGER, b TEXT);
    INSERT INTO plain SELECT * FROM kept;
    DROP TABLE kept`;
  assert.deepEqual(await subject.codes(upgrade), []);
});

Deno.test("renaming the old table first is an error if others refer to it, otherwise a warning", async () => {
  using subject = await Subject.create();
  const reversed = (table: string, columns: string) =>
    `ALTER TABLE ${table} RENAME TO old_${table};
    CREATE TABLE ${table} (${columns});
    INSERT INTO ${table} SELECT * FROM old_${table};
    DROP TABLE old_${table};`;
  const owners = `owner_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (name <> ''), side TEXT CHECK (side <> 'x'), empty TEXT`;
  const upgrade = `${reversed("owners", owners)}
    CREATE INDEX owners_by_name ON owners (name);
    CREATE TRIGGER owners_log AFTER UPDATE ON owners BEGIN SELECT 1; END;`;
  const [finding, ...others] = await subject.findings({ upgrade, foreignKeys: false });
  assert.deepEqual([finding?.severity, finding?.code], ["error", "rebuild-order"]);
  assert.match(finding?.reason ?? "", /makes "pets" follow the old table/);
  assert.deepEqual(others.map(({ code }) => code).filter((code) => code !== "no-downgrade"), []);
  assert.deepEqual(await subject.codes(reversed("plain", "a, b")), ["warning rebuild-order"]);
  assert.deepEqual(await subject.codes(rebuildPlain), []);
});
