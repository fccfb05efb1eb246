import assert from "node:assert/strict";
import { Database } from "./db_sqlite.ts";
import { testDriver } from "./db_sqlite_cases.ts";

Deno.test("fact: the driver truncates SQL with non-ASCII characters", () => {
  const db = new Database(":memory:");
  assert.throws(() => db.prepare("SELECT 'é'"), /unrecognized token/);
  assert.equal(db.prepare("SELECT '🚀' AS abcd").sql, "SELECT '🚀' AS ab");
});

testDriver({
  name: "an open database",
  open: (path) => new Database(path),
  checkAfter: (db) => assert.equal(db.openStatements, 0, "statements were not finalized"),
});
