import assert from "node:assert/strict";
import { Subject } from "./subject.ts";

Deno.test("a NOT NULL column without a default is an error on a table with rows", async () => {
  using subject = await Subject.create();
  const [finding] = await subject.findings("\nALTER TABLE plain ADD COLUMN c INTEGER NOT NULL");
  assert.deepEqual([finding?.code, finding?.severity, finding?.line], [
    "not-null-without-default",
    "error",
    2,
  ]);
});

Deno.test("a NOT NULL column is fine with a default, and on a table without rows", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "ALTER TABLE plain ADD COLUMN c INTEGER NOT NULL DEFAULT 0",
      "ALTER TABLE plain ADD COLUMN c INTEGER CHECK (c > 0)",
      "ALTER TABLE owners ADD COLUMN c INTEGER NOT NULL DEFAULT 1 CHECK (c > 0)",
      "ALTER TABLE bare ADD COLUMN c INTEGER NOT NULL",
      "CREATE TABLE t (a NOT NULL)",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
});

Deno.test("a rebuild that adds a NOT NULL column must fill it", async () => {
  using subject = await Subject.create();
  const rebuild = (column: string, values: string) =>
    `CREATE TABLE n (a, b, ${column}); INSERT INTO n (a, b${values === "" ? "" : ", c"})
    SELECT a, b${values} FROM plain; DROP TABLE plain; ALTER TABLE n RENAME TO plain`;
  const codes = (column: string, values = "") => subject.codes(rebuild(column, values));
  assert.deepEqual(await codes("c NOT NULL"), ["error not-null-without-default"]);
  assert.deepEqual(await codes("c NOT NULL DEFAULT 0"), []);
  assert.deepEqual(await codes("c NOT NULL", ", 1"), []);
  assert.deepEqual(await codes("c CHECK (c > 0)", ", 1"), []);
  // Only the rows show that the old column has NULLs.
  const renamed = `CREATE TABLE n (a, z NOT NULL); INSERT INTO n SELECT a, b FROM plain;
    DROP TABLE plain; ALTER TABLE n RENAME TO plain`;
  assert.deepEqual(await subject.codes(renamed), ["error fails"]);
});

Deno.test("other statements that SQLite refuses on a table with rows are found", async () => {
  using subject = await Subject.create();
  const upgrade = "ALTER TABLE plain ADD COLUMN at TEXT DEFAULT CURRENT_TIMESTAMP";
  const [finding] = await subject.findings(upgrade);
  assert.equal(finding?.code, "fails");
  assert.match(finding?.reason ?? "", /fails if the table has rows: .*non-constant default/);
  assert.deepEqual(await subject.codes(upgrade.replace("plain", "bare")), []);
});

Deno.test("a pragma without effect in a transaction is an error, or a warning if it makes no difference", async () => {
  using subject = await Subject.create();
  const off = "PRAGMA foreign_keys = OFF";
  assert.deepEqual(await subject.codes(off), ["error ineffective-pragma"]);
  assert.deepEqual(await subject.codes({ upgrade: off, foreignKeys: false }), [
    "warning ineffective-pragma",
  ]);
  assert.deepEqual(await subject.codes("PRAGMA journal_mode(DELETE)"), [
    "error ineffective-pragma",
  ]);
  assert.deepEqual(await subject.codes("PRAGMA synchronous = OFF"), ["error ineffective-pragma"]);
  const down = { upgrade: "CREATE TABLE t (a)", downgrade: `DROP TABLE t; ${off}` };
  assert.deepEqual(await subject.codes(down), ["error ineffective-pragma"]);
});

Deno.test("a pragma that only reads, or that works in a transaction, is fine", async () => {
  using subject = await Subject.create();
  for (
    const upgrade of [
      "PRAGMA foreign_keys",
      "PRAGMA user_version = 3",
      "PRAGMA defer_foreign_keys = ON",
      "PRAGMA legacy_alter_table = ON",
      "PRAGMA foreign_key_check",
      "CREATE TABLE t (a DEFAULT 'PRAGMA foreign_keys = OFF')",
    ]
  ) assert.deepEqual(await subject.codes(upgrade), [], upgrade);
  const upgrade = "PRAGMA foreign_keys = OFF";
  assert.deepEqual(await subject.codes({ upgrade, transaction: false }), []);
});

Deno.test("statements that end the transaction or leave the database are errors, and the others are still checked", async () => {
  using subject = await Subject.create();
  for (
    const statement of [
      "ATTACH 'other.db' AS other",
      "DETACH other",
      "VACUUM",
      "VACUUM INTO 'copy.db'",
      "BEGIN",
      "COMMIT",
      "END",
      "ROLLBACK",
    ]
  ) {
    assert.deepEqual(await subject.codes(`/* so */ ${statement}`), ["error forbidden-statement"]);
  }
  assert.deepEqual(
    await subject.codes("BEGIN; DELETE FROM pets; COMMIT"),
    [
      "error forbidden-statement",
      "error rows-deleted",
      "error forbidden-statement",
    ].toSorted((a, b) => Number(a.includes("rows")) - Number(b.includes("rows"))),
  );
  const inFunction = await subject.codes({ upgrade: ({ exec }) => exec("COMMIT") });
  assert.deepEqual(inFunction, ["error forbidden-statement"]);
  assert.deepEqual(subject.directory.names().filter((name) => /copy|other/.test(name)), []);
});

Deno.test("savepoints are fine, and without a transaction VACUUM is", async () => {
  using subject = await Subject.create();
  assert.deepEqual(await subject.codes("SAVEPOINT s; CREATE TABLE t (a); RELEASE s"), []);
  assert.deepEqual(await subject.codes({ upgrade: "VACUUM", transaction: false }), []);
  const attach = { upgrade: "ATTACH 'other.db' AS other", transaction: false };
  assert.deepEqual(await subject.codes(attach), ["error forbidden-statement"]);
});

Deno.test("a migration that doesn't run on a copy of the schema is an error with its line", async () => {
  using subject = await Subject.create();
  const [finding, ...others] = await subject.findings(
    "CREATE TABLE t (a);\n\nINSERT INTO u VALUES (1)",
  );
  assert.deepEqual(others, []);
  assert.deepEqual(
    [finding?.code, finding?.severity, finding?.line, finding?.statement],
    ["fails", "error", 3, "INSERT INTO u VALUES (1)"],
  );
  assert.match(finding?.reason ?? "", /no such table: u/);
  assert.deepEqual(await subject.codes("CREATE TABEL t (a)"), ["error fails"]);
  assert.deepEqual(await subject.codes("CREATE TABLE plain (a)"), ["error fails"]);
});

Deno.test("a failure that may be due to missing rows is a warning if the rows are not tried", async () => {
  using subject = await Subject.create("CREATE VIRTUAL TABLE search USING fts5 (body);");
  using tried = await Subject.create();
  const needsRow =
    "INSERT INTO owners (name) VALUES ((SELECT name FROM owners WHERE owner_id = 1))";
  assert.deepEqual(await subject.codes(needsRow), ["warning fails"]);
  assert.deepEqual(await tried.codes(needsRow), []);
  const upgrade = async ({ all }: { all: (sql: string) => Promise<unknown[]> }) => {
    if ((await all("SELECT * FROM owners")).length === 0) throw new Error("no owners");
  };
  assert.deepEqual(await subject.codes({ upgrade }), ["warning fails"]);
  assert.deepEqual(await tried.codes({ upgrade }), []);
});

Deno.test("a new foreign key to columns that are not a key is a warning", async () => {
  using subject = await Subject.create();
  const [finding] = await subject.findings("CREATE TABLE t (a REFERENCES plain (a))");
  assert.equal(`${finding?.severity} ${finding?.code}`, "warning missing-reference");
  assert.match(finding?.reason ?? "", /foreign key mismatch/);
  assert.deepEqual(await subject.codes("CREATE TABLE t (a REFERENCES owners)"), []);
});

Deno.test("statements after a failed migration are not checked", async () => {
  using subject = await Subject.create();
  const { checked, findings } = await subject.migrator(["nonsense", "DROP TABLE pets"]).lint();
  assert.deepEqual(checked, ["002_step"]);
  assert.deepEqual(findings.map(({ code }) => code), ["fails"]);
});
