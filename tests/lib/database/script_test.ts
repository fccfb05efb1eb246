import assert from "node:assert/strict";
import fc from "fast-check";
import { openMemory } from "../../../lib/database/open.ts";
import { StatementError } from "../../../lib/base/errors.ts";

/** The statements of a script as they were run. */
async function statementsOf(sql: string): Promise<string[]> {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a)");
  const statements: string[] = [];
  await db.script(sql, { onStatement: (statement) => statements.push(statement) });
  return statements;
}

const TRIGGER = "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT ';'; -- ; END\n  SELECT 2; END;";

Deno.test("SQLite finds the end of a statement", async () => {
  for (
    const statement of [
      TRIGGER,
      "SELECT 'a;b', \"t\".a, [a], `a` FROM t;",
      "SELECT 'it''s; fine';",
      "SELECT /* ; */ 1 -- ; 2\n;",
      "SELECT CASE WHEN 1 THEN 2 END;",
      'CREATE TABLE "semi;colon" (a);',
      "SELECT 'é; 日本; 🚀';",
      "SELECT x'3b';",
    ]
  ) {
    assert.deepEqual(await statementsOf(`${statement}\nSELECT 3`), [statement, "SELECT 3"]);
  }
});

Deno.test("text without a statement is never passed to the driver, which would crash", async () => {
  for (const sql of ["", ";", " ;; \n", "-- a", "/* a */", "/* a", "\uFEFF", "\uFEFF;-- é\r\n"]) {
    assert.deepEqual(await statementsOf(sql), []);
    assert.deepEqual((await statementsOf(`SELECT 1;${sql}`)).length, 1);
    assert.deepEqual((await statementsOf(`${sql}\nSELECT 1`)).length, sql === "/* a" ? 0 : 1);
  }
});

Deno.test("statements run one by one, without the text between them", async () => {
  const statement = fc.constantFrom(
    "SELECT 1;",
    "SELECT ';';",
    "SELECT 'ü🚀';",
    "INSERT INTO t VALUES (1);",
  );
  const between = fc.constantFrom("", "\n", "\r\n\r\n", " -- é; ü\n", "/* ; 🚀 */", ";;", "\uFEFF");
  const script = fc.array(fc.tuple(between, statement), { maxLength: 6 });
  await fc.assert(fc.asyncProperty(script, between, async (parts, end) => {
    const sql = parts.flat().join("") + end;
    assert.deepEqual(await statementsOf(sql), parts.map(([, each]) => each));
  }));
});

Deno.test("Windows line endings and a byte-order mark make no difference", async () => {
  const sql = `\uFEFF-- a\r\nINSERT INTO t\r\n  VALUES (1);\r\n${TRIGGER.replaceAll("\n", "\r\n")}`;
  assert.equal((await statementsOf(sql)).length, 2);
});

Deno.test("an unterminated string or trigger is an error, not a statement", async () => {
  for (
    const sql of ["SELECT 'a", 'SELECT "a', "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1;"]
  ) {
    await assert.rejects(statementsOf(sql), StatementError);
  }
});

Deno.test("an error names the statement and the line on which it begins", async () => {
  await using db = openMemory();
  const script = db.script(
    "-- ü\r\nSELECT 1;\n\n/* two\nlines */ INSERT INTO missing\n  VALUES (1); SELECT 2",
  );
  await assert.rejects(script, (error) => {
    assert(error instanceof StatementError);
    assert.equal(error.line, 5);
    assert.equal(error.statement, "INSERT INTO missing\n  VALUES (1)");
    assert.match(error.message, /no such table: missing/);
    return true;
  });
});

Deno.test("a statement that fails while running is named alone", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE u (a UNIQUE); INSERT INTO u VALUES (1)");
  await assert.rejects(db.script("SELECT 1;\nINSERT INTO u VALUES (1); SELECT 2"), (error) => {
    assert(error instanceof StatementError);
    assert.equal(error.statement, "INSERT INTO u VALUES (1);");
    assert.equal(error.line, 2);
    return true;
  });
});

Deno.test("statements before a failure keep their effect, and those after it do not run", async () => {
  await using db = openMemory();
  await db.exec("CREATE TABLE t (a)");
  await assert.rejects(
    db.script("INSERT INTO t VALUES (1); INSERT INTO missing VALUES (2); INSERT INTO t VALUES (3)"),
  );
  assert.deepEqual((await db.all("SELECT a FROM t")).map((row) => row["a"]), [1]);
});

Deno.test("a statement sees the effect of the one before it", async () => {
  assert.equal(
    (await statementsOf("CREATE TABLE a (b); INSERT INTO a VALUES (1); DROP TABLE a;")).length,
    3,
  );
});

Deno.test("a NUL character, at which SQLite would silently stop, is refused before anything runs", async () => {
  await using db = openMemory();
  for (const sql of ["\0", "CREATE TABLE t (a);\n\0", "CREATE TABLE t (a); SELECT 'a\0b'"]) {
    await assert.rejects(db.script(sql), /the SQL has a NUL character/);
  }
  assert.deepEqual(await db.all("SELECT name FROM sqlite_schema"), []);
});
