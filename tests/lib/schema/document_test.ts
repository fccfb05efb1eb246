import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { LocationError, NotADatabaseError, StatementError } from "../../../lib/base/errors.ts";
import {
  compareSchemas,
  describeSchema,
  formatSchema,
  parseSchema,
} from "../../../lib/schema/mod.ts";
import { createBot, execute, startWriter, TemporaryDirectory } from "../support.ts";
import { SAMPLE } from "./sample.ts";

Deno.test("a database file is described by path or URL, without the markers", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const path = directory.file("positions.db");
  const before = directory.listing();
  const { sql, schema } = await describeSchema(path);
  assert.deepEqual(schema.tables.map(({ name }) => name), ["closed_positions", "positions"]);
  assert.match(sql, /^CREATE TABLE closed_positions \(\n/);
  assert.doesNotMatch(sql, /catalyst_migrations/);
  assert.deepEqual(await describeSchema(pathToFileURL(path)), { sql, schema });
  assert.deepEqual(directory.listing(), before);
});

Deno.test("the formatted SQL creates the schema, and is the same after formatting again", async () => {
  const described = await parseSchema(SAMPLE);
  const again = await parseSchema(described.sql);
  assert.deepEqual(again, described);
  assert.equal(formatSchema(described.schema), described.sql);
  assert.deepEqual(compareSchemas(described.schema, again.schema), []);
});

Deno.test("a database with an uncommitted change is described without it", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  execute(path, "PRAGMA journal_mode = WAL; CREATE TABLE a (x)");
  await using _writer = await startWriter(path, "CREATE TABLE b (x)");
  const { schema } = await describeSchema(path, { timeout: 0 });
  assert.deepEqual(schema.tables.map(({ name }) => name), ["a"]);
});

Deno.test("a file that is not a database is refused", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  await assert.rejects(describeSchema(path), LocationError);
  await assert.rejects(describeSchema(directory.path), LocationError);
  assert.deepEqual(directory.names(), []);
  Deno.writeTextFileSync(path, "hello\n".repeat(100));
  await assert.rejects(describeSchema(path), NotADatabaseError);
});

Deno.test("SQL may contain transactions and rows, like a dump", async () => {
  const { sql } = await parseSchema(
    "PRAGMA foreign_keys = OFF; BEGIN TRANSACTION; CREATE TABLE a (x); INSERT INTO a VALUES (1); COMMIT;",
  );
  assert.equal(sql, "CREATE TABLE a (\n  x\n);\n");
  assert.equal((await parseSchema("")).sql, "");
});

Deno.test("an error in SQL is reported with its line", async () => {
  await assert.rejects(parseSchema("CREATE TABLE a (x);\n\nCREATE TABEL b (x);"), (error) => {
    assert(error instanceof StatementError);
    assert.equal(error.line, 3);
    assert.match(error.message, /^Cannot .+: near "TABEL": syntax error$/);
    return true;
  });
});

Deno.test("SQL cannot open or write files", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("other.db");
  for (const statement of [`ATTACH '${path}' AS other`, `VACUUM INTO '${path}'`]) {
    await assert.rejects(parseSchema(`CREATE TABLE a (x);\n${statement};`), (error) => {
      assert(error instanceof StatementError);
      assert.equal(error.line, 2);
      assert.match(error.message, /opens another file$/);
      assert.match(error.help ?? "", /ATTACH/);
      return true;
    });
  }
  assert.deepEqual(directory.names(), []);
});
