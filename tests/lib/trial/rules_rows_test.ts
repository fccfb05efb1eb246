import assert from "node:assert/strict";
import { Subject } from "./subject.ts";

Deno.test("dropping a table with rows is an error that gives their number", async () => {
  using subject = await Subject.create();
  const [finding] = await subject.findings("DROP TABLE pets");
  assert.equal(finding?.code, "table-dropped");
  assert.equal(finding?.severity, "error");
  assert.match(finding?.reason ?? "", /table "pets" with 3 rows/);
  assert.match(finding?.fix ?? "", /destroys:pets/);
});

Deno.test("dropping a table without rows, a view, or the migration's own table is fine", async () => {
  using subject = await Subject.create("CREATE VIEW names AS SELECT name FROM owners;");
  for (
    const upgrade of [
      "DROP TABLE bare; DROP TRIGGER owners_log",
      "DROP TABLE IF EXISTS nothing_there",
      "DROP VIEW names",
      "CREATE TABLE t AS SELECT * FROM plain; DROP TABLE t",
      "CREATE TEMP TABLE plain AS SELECT * FROM main.plain; DROP TABLE temp.plain",
      "SAVEPOINT s; DROP TABLE pets; ROLLBACK TO s; RELEASE s",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
});

Deno.test("a declared table, or one whose drop is allowed, may be dropped", async () => {
  using subject = await Subject.create();
  assert.deepEqual(await subject.codes({ upgrade: "DROP TABLE pets", destroys: ["PETS"] }), []);
  const allows = [{ code: "table-dropped", reason: "nobody uses it" }];
  // An upgrade still refuses to lose rows.
  assert.deepEqual(await subject.codes({ upgrade: "DROP TABLE pets", allows }), ["error fails"]);
  assert.deepEqual(await subject.codes({ upgrade: "DROP TABLE pets", destroys: ["owners"] }), [
    "error table-dropped",
  ]);
});

Deno.test("a table that is recreated without its rows is dropped", async () => {
  using subject = await Subject.create();
  const [finding, ...others] = await subject.findings("DROP TABLE plain; CREATE TABLE plain (a)");
  assert.equal(finding?.code, "table-dropped");
  assert.match(finding?.reason ?? "", /its replacement gets none/);
  assert.deepEqual(others.map(({ code }) => code), ["no-downgrade"]);
});

Deno.test("rows of a table that an earlier pending migration renamed or copied are still rows", async () => {
  using subject = await Subject.create();
  for (
    const first of ["ALTER TABLE plain RENAME TO p", "CREATE TABLE p AS SELECT * FROM plain"]
  ) assert.deepEqual(await subject.codes([first, "DROP TABLE p"]), ["error table-dropped"]);
  assert.deepEqual(await subject.codes(["CREATE TABLE p (a)", "DROP TABLE p"]), []);
});

Deno.test("if the database does not exist its rows are unknown, but not those of a migration's own table", async () => {
  using subject = new Subject();
  assert.deepEqual(await subject.codes([{ upgrade: "DROP TABLE pets" }]), ["error table-dropped"]);
  assert.deepEqual(await subject.codes("CREATE TABLE t (a); DROP TABLE t"), []);
});

Deno.test("of a table and a temporary one with the same name, the one that a statement refers to counts", async () => {
  using subject = await Subject.create();
  const hide =
    "CREATE TEMP TABLE plain (a, c); INSERT INTO temp.plain SELECT a, 1 FROM main.plain;";
  for (
    const [sql, codes] of [
      ["DELETE FROM main.plain", ["error rows-deleted"]],
      ["UPDATE main.plain SET a = 1", ["error rows-updated"]],
      ["DROP TABLE main.plain", ["error table-dropped"]],
      ["ALTER TABLE main.plain DROP COLUMN a", ["error column-dropped"]],
      ["DELETE FROM plain", []],
      ["UPDATE temp.plain SET a = 1", []],
      ["ALTER TABLE plain DROP COLUMN a", []],
      ["DROP TABLE plain", []],
    ] as const
  ) {
    assert.deepEqual(await subject.codes(`${hide} ${sql}`), codes, sql);
    // Each starts without the objects of the previous one.
    const next = sql.replace(/\b(temp|main)\./, "");
    if (codes.length > 0) assert.deepEqual(await subject.codes([hide, next]), codes, next);
  }
});

Deno.test("dropping a virtual table with rows is one error", async () => {
  using subject = await Subject.create("CREATE VIRTUAL TABLE words USING fts5(word);");
  subject.migrator([]);
  const { execute } = await import("../support.ts");
  execute(subject.path, "INSERT INTO words VALUES ('hello')");
  assert.deepEqual(await subject.codes("DROP TABLE words"), ["error table-dropped"]);
});

Deno.test("dropping a column with values is an error; one without values loses nothing", async () => {
  using subject = await Subject.create();
  assert.deepEqual(await subject.codes("ALTER TABLE plain DROP COLUMN a"), [
    "error column-dropped",
  ]);
  assert.deepEqual(await subject.codes("ALTER TABLE plain DROP COLUMN b"), []);
  assert.deepEqual(await subject.codes("ALTER TABLE bare DROP COLUMN a"), []);
  assert.deepEqual(
    await subject.codes({ upgrade: "ALTER TABLE plain DROP COLUMN a", destroys: ["plain"] }),
    [],
  );
});

Deno.test("renaming, adding and moving columns drops none", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "ALTER TABLE plain RENAME COLUMN a TO z",
      "ALTER TABLE plain ADD COLUMN c",
      "ALTER TABLE plain RENAME TO plainer",
      `CREATE TABLE n (z, b); INSERT INTO n SELECT a, b FROM plain; DROP TABLE plain;
      ALTER TABLE n RENAME TO plain`,
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
  assert.deepEqual(
    await subject.codes([
      "ALTER TABLE plain RENAME COLUMN a TO z",
      "ALTER TABLE plain DROP COLUMN z",
    ]),
    ["error column-dropped"],
  );
});

Deno.test("a rebuild that leaves out a column with values drops it", async () => {
  using subject = await Subject.create();
  const upgrade = `CREATE TABLE n (b); INSERT INTO n SELECT b FROM plain; DROP TABLE plain;
    ALTER TABLE n RENAME TO plain`;
  const findings = await subject.findings(upgrade);
  assert.deepEqual(findings.map(({ code }) => code), ["column-dropped", "no-downgrade"]);
  assert.match(findings[0]?.reason ?? "", /loses column "a"/);
});

Deno.test("deleting all rows is an error, however it is written", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "DELETE FROM pets",
      "DELETE FROM pets WHERE 1",
      "DELETE FROM pets WHERE EXISTS (SELECT 1 FROM plain)",
      "delete from main . [pets] -- WHERE pet_id = 1",
      "WITH x AS (SELECT pet_id FROM pets) DELETE FROM pets",
      "DELETE FROM owners",
    ]
  ) {
    // One reads the table's columns for something else; SQLite ignores what isn't used.
    assert.deepEqual(await subject.codes(upgrade), ["error rows-deleted"], upgrade);
  }
});

Deno.test("deleting some rows is found by running the statement on a copy of the rows", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "DELETE FROM pets WHERE pet_id = 1",
      "DELETE FROM pets WHERE rowid > 2",
      "DELETE FROM owners WHERE owner_id IN (SELECT owner_id FROM pets)",
    ]
  ) {
    const finding = (await subject.findings(upgrade)).find(({ code }) => code === "fails");
    assert.match(finding?.reason ?? "", /would lose rows that it does not declare/);
  }
  assert.deepEqual(await subject.codes("DELETE FROM pets WHERE pet_id = 9"), []);
});

Deno.test("deleting the rows of an empty or new table, or no rows, is fine", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "DELETE FROM bare",
      "CREATE TABLE t AS SELECT * FROM pets; DELETE FROM t",
      "SAVEPOINT s; DELETE FROM pets; ROLLBACK TO s; RELEASE s",
      "CREATE TRIGGER t AFTER INSERT ON plain BEGIN DELETE FROM pets; END",
      "CREATE TABLE t (a DEFAULT 'DELETE FROM pets')",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
  const declared = { upgrade: "DELETE FROM pets", destroys: ["pets"] };
  assert.deepEqual(await subject.codes(declared), []);
});

Deno.test("a function's DELETE of all rows is detected, too", async () => {
  using subject = await Subject.create();
  const findings = await subject.findings({
    upgrade: async ({ run, all }) => {
      await all("SELECT * FROM pets");
      await run("DELETE FROM pets");
    },
  });
  assert.deepEqual(findings.map(({ code, line }) => [code, line]), [
    ["rows-deleted", null],
    ["no-downgrade", null],
  ]);
});

Deno.test("overwriting a column in all rows is an error", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "UPDATE plain SET a = a + 1",
      "UPDATE plain SET b = a, a = 2",
      "UPDATE owners SET name = upper(name) WHERE 1",
      "UPDATE pets SET owner_id = (SELECT max(owner_id) FROM owners)",
      "UPDATE plain SET a = owners.name FROM owners",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), ["error rows-updated"], upgrade);
});

Deno.test("filling a new or empty column, and updating some rows, is fine", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "ALTER TABLE plain ADD COLUMN c; UPDATE plain SET c = a * 2",
      "UPDATE plain SET b = a",
      "UPDATE plain SET a = 0 WHERE a = 1",
      "UPDATE plain SET a = a + 1 WHERE a IS NOT NULL",
      "UPDATE plain SET a = o.name FROM owners AS o WHERE o.owner_id = plain.a",
      "UPDATE bare SET a = 1",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
  const declared = { upgrade: "UPDATE plain SET a = 1", destroys: ["plain"] };
  assert.deepEqual(await subject.codes(declared), []);
});
