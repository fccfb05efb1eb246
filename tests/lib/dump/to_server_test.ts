/**
 * Copies random databases to a real server and back. `CATALYST_TEST_EFFORT` multiplies their number,
 * `CATALYST_DUMP_SEED` repeats a run.
 */
import fc from "fast-check";
import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { ConfirmationError, StatementError } from "../../../lib/base/errors.ts";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { contentHash } from "../../../lib/dump/hash.ts";
import { fillServer } from "../../../lib/dump/to_server.ts";
import { trials } from "../../effort.ts";
import { tempDir } from "../../helpers.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";
import { contentOf } from "./content.ts";
import { build, recipes } from "./recipes.ts";

const numRuns = trials(4);
const seed = Number(Deno.env.get("CATALYST_DUMP_SEED") ?? Math.floor(Math.random() * 2 ** 31));

function hashOf(path: string): Promise<string> {
  return contentHash({ kind: "file", path }, defaultSettings);
}

function open(server: TestServer, namespace: string) {
  const address = parseLibsqlAddress(server.address(namespace));
  return openLibsql({ address, tokenVariables: [] }, { timeout: 60 });
}

libsqlTest("a database that is copied to a server and back is the same database", async () => {
  // deno-lint-ignore no-console -- shows how to repeat this run
  console.log(`CATALYST_DUMP_SEED=${seed}`);
  await using server = await TestServer.start();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(recipes(), async (recipe) => {
      await using dir = await tempDir();
      const [original, back] = [`${dir.path}/original.db`, `${dir.path}/back.db`];
      // A server has its own page size, no application_id and only UTF-8.
      build(original, {
        ...recipe,
        encoding: "UTF-8",
        applicationId: 0,
        autoVacuum: 0,
        isAnalyzed: false,
      });
      const name = `n${runs++}`;
      await server.create(name);
      await using connection = await open(server, name);
      const hash = await fillServer(original, connection, { timeout: 60 });
      await connection.copyTo(back);
      equal([await hashOf(back), hash], [hash, await hashOf(original)]);
      const [before, after] = [contentOf(original), contentOf(back)];
      equal(after.rows, before.rows);
      equal(after.integrity, before.integrity);
    }),
    { seed, numRuns, endOnFailure: true }, // each step of shrinking takes a database
  );
});

libsqlTest("values of every size and form reach a server exactly", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using dir = await tempDir();
  const path = `${dir.path}/values.db`;
  {
    using db = new DatabaseSync(path);
    db.exec(
      `CREATE TABLE v (i INTEGER PRIMARY KEY, a, b REAL);
      INSERT INTO v (a) VALUES
          (-0.0), (9e999), (-9e999), (5e-324), (0.0012467), (1768.4838211), (1870274574100276992.0),
          (9223372036854775807), (-9223372036854775808), (CAST(x'ff' AS TEXT)),
          ('a' || char(0) || 'b'), (char(65533)), (zeroblob(4900000)),
          (CAST(zeroblob(200000) AS TEXT)), (hex(randomblob(100000)) || char(65533));
      WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
      INSERT INTO v (a, b) SELECT random() / 1e16, random() * 1.0 / (1 + abs(random() % 1000)) FROM n`,
    );
  }
  await using connection = await open(server, "a");
  const rows: number[] = [];
  await fillServer(path, connection, { timeout: 60, onProgress: ({ done }) => rows.push(done) });
  ok(rows.length > 3 && rows.at(-1) === 20_015, String(rows.at(-1)));
});

libsqlTest("a UTF-16 database is copied with the same texts, unless one is invalid", async () => {
  await using server = await (await TestServer.start()).create("a", "b");
  await using dir = await tempDir();
  const path = `${dir.path}/utf16.db`;
  using db = new DatabaseSync(path);
  db.exec(
    `PRAGMA encoding = 'UTF-16le';
    CREATE TABLE t (a TEXT);
    INSERT INTO t VALUES ('é'), (char(0x1F600)), ('a' || char(0)), (hex(zeroblob(100000)))`,
  );
  await using a = await open(server, "a");
  await fillServer(path, a, { timeout: 60 });
  equal(await a.get("SELECT count(*) AS n FROM t WHERE a = 'é'"), { n: 1 });
  db.exec("INSERT INTO t VALUES (CAST(x'00d8' AS TEXT))");
  await using b = await open(server, "b");
  await rejects(fillServer(path, b, { timeout: 60 }), /not valid UTF-16/);
  equal(await b.all("SELECT name FROM sqlite_schema"), []);
});

libsqlTest("what a server can't store is refused, and leaves it empty", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using dir = await tempDir();
  await using connection = await open(server, "a");
  const cases = {
    "larger than the server stores":
      "CREATE TABLE t (a); INSERT INTO t VALUES (1), (zeroblob(5100000))",
    "application_id 5": "CREATE TABLE t (a); PRAGMA application_id = 5",
    "no such function": "CREATE TABLE t (a, b AS (unistr(a)))",
  };
  for (const [reason, sql] of Object.entries(cases)) {
    const path = `${dir.path}/${reason.slice(0, 5)}.db`;
    {
      using db = new DatabaseSync(path);
      db.exec(sql);
    }
    await rejects(fillServer(path, connection, { timeout: 60 }), (error) => {
      ok(error instanceof StatementError && error.message.includes(reason), String(error));
      return true;
    });
    equal(await connection.all("SELECT name FROM sqlite_schema"), []);
    equal(connection.inTransaction, false);
  }
  await connection.exec("CREATE TABLE theirs (a)");
  await rejects(fillServer(`${dir.path}/no su.db`, connection, { timeout: 60 }), ConfirmationError);
  equal(await connection.all("SELECT name FROM sqlite_schema"), [{ name: "theirs" }]);
});
