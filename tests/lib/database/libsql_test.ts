import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import {
  AccessError,
  DatabaseLockedError,
  ServerError,
  StatementError,
} from "../../../lib/base/errors.ts";
import { type LibsqlConnection, openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { withTransaction } from "../../../lib/database/transaction.ts";
import { freePort, libsqlTest, TestServer, Tokens } from "../../libsql_server.ts";

function open(
  address: string,
  { timeout = 20, token = "" }: { timeout?: number; token?: string } = {},
): Promise<LibsqlConnection> {
  // A separate variable: the client is loaded before the variable is read.
  const variable = `CATALYST_LIBSQL_TOKEN_TEST_${connections++}`;
  Deno.env.set(variable, token);
  const location = { address: parseLibsqlAddress(address), tokenVariables: [variable] };
  return openLibsql(location, { timeout });
}

let connections = 0;

libsqlTest(
  "the server has the SQLite version and the settings that the toolkit relies on",
  async () => {
    await using server = await (await TestServer.start()).create("a");
    await using db = await open(server.address("a"));
    equal(await db.get("SELECT sqlite_version() AS version"), { version: "3.45.1" });
    equal(await db.get("PRAGMA foreign_keys"), { foreign_keys: 1 });
    equal(await db.get("PRAGMA journal_mode"), { journal_mode: "wal" });
    await db.exec("PRAGMA user_version = 7; PRAGMA foreign_keys = OFF");
    equal(await db.get("PRAGMA user_version"), { user_version: 7 });
    equal(await db.get("PRAGMA foreign_keys"), { foreign_keys: 0 });
    for (
      const sql of [
        "ATTACH 'x.db' AS x",
        "VACUUM",
        "ANALYZE",
        "CREATE TEMP TABLE t (a)",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA synchronous = OFF",
        "PRAGMA busy_timeout = 1",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA application_id = 1",
        "PRAGMA writable_schema = ON",
        "PRAGMA wal_checkpoint(PASSIVE)",
      ]
    ) {
      await rejects(
        db.exec(sql),
        (error) =>
          error instanceof StatementError && /does not allow this statement/.test(error.message),
        sql,
      );
    }
  },
);

libsqlTest("every kind of value is read back as it was bound", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  await db.exec("CREATE TABLE t (v)");
  const values = [
    null,
    9_007_199_254_740_993n,
    -(2n ** 63n),
    -0,
    5e-324,
    1.7976931348623157e308,
    "",
    "a\0b",
    "é\u{1F600}",
    new Uint8Array(),
    Uint8Array.of(0, 255),
  ];
  for (const value of values) await db.run("INSERT INTO t VALUES (?)", [value]);
  await db.exec("INSERT INTO t VALUES (9e999), (-9e999)");
  const rows = await db.all("SELECT v FROM t ORDER BY rowid");
  equal(rows.map(({ v }) => v), [...values, Infinity, -Infinity]);
  ok(Object.is(rows[3]?.["v"], -0));
  // A bound number is a real, as in node:sqlite; a bigint is an integer.
  equal(await db.get("SELECT typeof(?) AS a, typeof(?) AS b", [1, 1n]), {
    a: "real",
    b: "integer",
  });
  await rejects(db.run("INSERT INTO t VALUES (?)", [Infinity]), StatementError);
});

libsqlTest("a failed statement stops a script, and the error names its line", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  const script =
    "CREATE TABLE t (a);\n\n-- a comment; with a semicolon\nINSERT INTO nope VALUES (1);\n" +
    "INSERT INTO t VALUES (2);";
  await rejects(db.script(script), (error) => {
    ok(error instanceof StatementError);
    equal([error.line, error.statement], [4, "INSERT INTO nope VALUES (1);"]);
    ok(error.message.endsWith("no such table: nope"), error.message);
    return true;
  });
  equal(await db.all("SELECT * FROM t"), []);
  await rejects(db.exec("CREATE TABLE u (a); SELECT nope; CREATE TABLE v (a)"), StatementError);
  equal((await db.all("SELECT name FROM sqlite_schema")).map(({ name }) => name), ["t", "u"]);
});

libsqlTest("a confined connection refuses to end its transaction", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  for (const sql of ["COMMIT", "/* x */ END", "-- x\nROLLBACK", "BEGIN", "ATTACH 'x' AS y"]) {
    const work = withTransaction(db, async () => {
      await db.exec("CREATE TABLE t (a)");
      using _confined = db.confine();
      await db.script(`INSERT INTO t VALUES (1); ${sql}; INSERT INTO t VALUES (2)`);
    }, { timeout: 5 });
    await rejects(work, /not authorized/, sql);
    equal(await db.all("SELECT name FROM sqlite_schema"), [], sql);
  }
  await withTransaction(db, async () => {
    using _confined = db.confine();
    await db.script("CREATE TABLE t (a); SAVEPOINT s; DELETE FROM t; ROLLBACK TO s; RELEASE s");
  }, { timeout: 5 });
  equal(db.inTransaction, false);
});

libsqlTest("a query or migration can't reach the files of the server's machine", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  // The server itself allows it.
  equal(await db.all(`SELECT writefile('${server.dir}/x', 'y') AS written`), [{ written: 1 }]);
  for (
    const sql of [
      "SELECT readfile('/etc/hostname')",
      `SELECT "WriteFile" /* x */ ('${server.dir}/x', 'y')`,
      "SELECT * FROM fsdir WHERE path = '/'",
    ]
  ) {
    await rejects(
      db.select(sql, { parameters: {}, limit: 1 }),
      /files on the server's machine/,
      sql,
    );
    using _confined = db.confine();
    await rejects(db.script(sql), /files on the server's machine/, sql);
  }
  const { rows } = await db.select("SELECT 'readfile(x)' -- writefile(", {
    parameters: {},
    limit: 1,
  });
  equal(rows, [["readfile(x)"]]);
});

libsqlTest("a transaction that lost its lock commits nothing", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  await using other = await open(server.address("a"));
  await db.exec("CREATE TABLE t (a)");
  const work = withTransaction(db, async () => {
    await db.run("INSERT INTO t VALUES (1)");
    // Another client waits for the lock, and gets it after 5 s.
    await other.run("INSERT INTO t VALUES (100)");
    await rejects(db.run("INSERT INTO t VALUES (2)"), DatabaseLockedError);
    // A migration's function may ignore the error and continue.
    await rejects(db.run("INSERT INTO t VALUES (3)"), DatabaseLockedError);
    await rejects(db.exec("INSERT INTO t VALUES (4)"), DatabaseLockedError);
  }, { timeout: 5 });
  await rejects(work, DatabaseLockedError);
  equal(db.inTransaction, false);
  await db.run("INSERT INTO t VALUES (5)");
  equal(await other.all("SELECT a FROM t ORDER BY a"), [{ a: 5 }, { a: 100 }]);
});

libsqlTest("results larger than a response are read in parts", async () => {
  await using server = await (await TestServer.start()).create("a");
  await using db = await open(server.address("a"));
  await db.exec(
    `CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT);
    INSERT INTO t
    WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30)
    SELECT i, printf('%.*c', 1000000, 'x') FROM n`,
  );
  equal((await db.all("SELECT a, b FROM t ORDER BY a")).map(({ a }) => a).at(-1), 30);
  let rows = 0;
  for await (const { b } of db.iterate("SELECT b FROM t;")) {
    rows += String(b).length === 1e6 ? 1 : 0;
  }
  equal(rows, 30);
  await rejects(
    db.run("INSERT INTO t (b) VALUES (?)", ["x".repeat(5e6)]),
    /larger than the server stores/,
  );
});

libsqlTest("access errors name the host and the namespace but never the token", async () => {
  const dir = await Deno.makeTempDir();
  const tokens = await Tokens.create();
  await using server = await (await TestServer.start({ args: await tokens.arguments(dir) }))
    .create("a");
  await using db = await open(server.address("a"), { token: await tokens.sign({ a: "rw" }) });
  await db.exec("CREATE TABLE t (a)");
  const expired = await tokens.sign({ a: "rw", exp: 1000 });
  const readOnly = await tokens.sign({ a: "ro" });
  const secret = "eyJhbGciOiJFZERTQSJ9.c2VjcmV0.c2lnbmF0dXJl";
  const cases = [
    { token: expired, expected: AccessError, text: /the token has expired/ },
    { token: secret, expected: AccessError, text: /the server refused the token/ },
    { token: "", expected: AccessError, text: /the server requires a token/ },
  ];
  for (const { token, expected, text } of cases) {
    await rejects(open(server.address("a"), { token }), (error) => {
      ok(error instanceof expected && text.test(error.message), String(error));
      ok(error.message.includes(`127.0.0.1:${server.port}?namespace=a`), error.message);
      ok(token === "" || !Deno.inspect(error, { depth: 9 }).includes(token));
      return true;
    });
  }
  await using reader = await open(server.address("a"), { token: readOnly });
  equal(await reader.all("SELECT * FROM t"), []);
  await rejects(reader.run("INSERT INTO t VALUES (1)"), (error) => {
    ok(!Deno.inspect(error, { depth: 9 }).includes(readOnly));
    return error instanceof AccessError || error instanceof ServerError;
  });
  equal(await db.all("SELECT * FROM t"), []);
  await rejects(
    open(server.address("nope"), { token: await tokens.sign({ a: "rw" }) }),
    (error) => {
      return error instanceof ServerError && /has no namespace "nope"/.test(error.message);
    },
  );
  await Deno.remove(dir, { recursive: true });
});

libsqlTest("a server that is unreachable, hangs or closes the connection is reported", async () => {
  // A server of another test may take a port that was free, but listens on 127.0.0.1 only.
  await rejects(
    open(`ws://127.0.0.2:${freePort()}?namespace=a`),
    (error) => error instanceof ServerError && /the connection was refused/.test(error.message),
  );
  await rejects(
    open("ws://does-not-exist.invalid?namespace=a"),
    (error) => error instanceof ServerError && /the host is unknown/.test(error.message),
  );
  await using server = await (await TestServer.start()).create("a");
  await rejects(
    open(`wss://127.0.0.1:${server.port}?namespace=a`),
    (error) => error instanceof ServerError && /the TLS connection failed/.test(error.message),
  );
  await using db = await open(server.address("a"), { timeout: 1 });
  await db.exec("CREATE TABLE t (a)");
  await server.pause();
  await rejects(
    db.run("INSERT INTO t VALUES (1)"),
    (error) => error instanceof ServerError && /did not answer for 1 s/.test(error.message),
  );
  await rejects(
    open(server.address("a"), { timeout: 1 }),
    (error) => error instanceof ServerError && /did not answer for 1 s/.test(error.message),
  );
  server.signal("SIGCONT");
  await using again = await open(server.address("a"));
  const cut = again.all(
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
  );
  server.signal("SIGKILL");
  await rejects(
    cut,
    (error) =>
      error instanceof ServerError && /the connection to the server was lost/.test(error.message),
  );
});

libsqlTest(
  "on a replica a transaction sees its own writes, and writes fail without the primary",
  async () => {
    await using primary = await (await TestServer.start()).create("a");
    await using replica = await TestServer.start({
      args: ["--primary-grpc-url", `http://127.0.0.1:${primary.grpc}`],
    });
    await using db = await open(replica.address("a"), { timeout: 3 });
    await db.exec("CREATE TABLE t (a)");
    const count = async () => (await db.get("SELECT count(*) AS n FROM t"))?.["n"];
    for (let n = 1; n <= 20; n++) {
      await withTransaction(db, async () => {
        // The primary answers such reads, on which a migration relies, for example for its marker.
        equal(await count(), n - 1);
        await db.run("INSERT INTO t VALUES (?)", [n]);
        equal(await count(), n);
      }, { timeout: 3 });
    }
    // Outside a transaction the replica itself answers, with a delay of some milliseconds.
    while (await count() !== 20);
    primary.signal("SIGKILL");
    await primary.ended();
    equal(await count(), 20);
    await rejects(db.run("INSERT INTO t VALUES (21)"), (error) => {
      ok(error instanceof ServerError || error instanceof StatementError, String(error));
      return true;
    });
  },
);

libsqlTest(
  "a connection lost during a transaction leaves no changes and no lock",
  async () => {
    // By itself the server would not end the transaction while the test runs.
    await using server = await (await TestServer.start()).createOne("a", { txn_timeout_s: 3600 });
    await using other = await open(server.address("a"));
    await other.exec("CREATE TABLE t (a)");
    // A proxy that forwards everything until it closes the connection.
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const ends: Deno.Conn[] = [];
    const passing = (async () => {
      const near = await listener.accept();
      const far = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      ends.push(near, far);
      await Promise.allSettled([
        near.readable.pipeTo(far.writable),
        far.readable.pipeTo(near.writable),
      ]);
    })();
    await using db = await open(`ws://127.0.0.1:${port}?namespace=a`);
    const work = withTransaction(db, async () => {
      await db.run("INSERT INTO t VALUES (1)");
      for (const end of ends) end.close();
      await db.run("INSERT INTO t VALUES (2)");
    }, { timeout: 5 });
    await rejects(
      work,
      (error) =>
        error instanceof ServerError && /the connection to the server was lost/.test(error.message),
    );
    await passing;
    await other.run("INSERT INTO t VALUES (3)");
    equal(await other.all("SELECT a FROM t"), [{ a: 3 }]);
  },
);
