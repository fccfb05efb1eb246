import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { StatementError, UsageError } from "../../../lib/base/errors.ts";
import {
  bundledQueries,
  findQueries,
  parameterValue,
  parseQuery,
} from "../../../lib/report/queries.ts";
import { parametersOf, runQuery } from "../../../lib/report/query.ts";
import { createBot, execute, TemporaryDirectory } from "../support.ts";

/** A query that takes forever and reads no table. */
const ENDLESS =
  "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";

function notes(): TemporaryDirectory {
  const directory = new TemporaryDirectory();
  execute(
    directory.file("app.db"),
    `PRAGMA journal_mode = WAL;
    CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);
    INSERT INTO notes VALUES (1, 'a'), (2, 'b'), (9007199254740993, NULL);`,
  );
  return directory;
}

Deno.test("rows are arrays with the names of their columns, even if two names are equal", async () => {
  using directory = notes();
  const result = await runQuery(directory.file("app.db"), {
    sql: "SELECT id, id, body FROM notes WHERE id >= :least ORDER BY 1 -- a comment",
    parameters: { least: 2 },
  });
  assert.deepEqual(result, {
    columns: ["id", "id", "body"],
    rows: [[2, 2, "b"], [9007199254740993n, 9007199254740993n, null]],
    isCut: false,
  });
  const none = await runQuery(directory.file("app.db"), {
    sql: "SELECT body FROM notes WHERE id = 7",
  });
  assert.deepEqual(none, { columns: ["body"], rows: [], isCut: false });
});

Deno.test("more rows than the limit are cut, and the result says so", async () => {
  using directory = notes();
  const sql = "SELECT id FROM notes";
  assert.equal((await runQuery(directory.file("app.db"), { sql, limit: 2 })).isCut, true);
  assert.equal((await runQuery(directory.file("app.db"), { sql, limit: 3 })).isCut, false);
});

Deno.test("a result too large for one text, and a text that Deno cannot read, are refused", async () => {
  using directory = notes();
  const read = (sql: string) => runQuery(directory.file("app.db"), { sql });
  for (
    const [sql, reason] of [
      ["SELECT zeroblob(90000000)", /the result is larger than 80 MB/],
      ["SELECT printf('%.*c', 30000000, 'x') FROM notes", /the result is larger than 80 MB/],
      ["SELECT printf('%.*c', 540000000, 'x')", /string or blob too big/],
    ] as const
  ) {
    await assert.rejects(
      read(sql),
      (error) =>
        error instanceof StatementError && reason.test(error.message) &&
        /octet_length\(column\)/.test(error.help ?? ""),
    );
  }
  const { rows } = await read("SELECT octet_length(zeroblob(90000000))");
  assert.deepEqual(rows, [[90_000_000]]);
});

Deno.test("only reading is allowed, whatever the statement, and no files remain", async () => {
  using directory = notes();
  const before = directory.listing();
  const writing = [
    "DELETE FROM notes",
    "INSERT INTO notes VALUES (5, 'x') RETURNING id",
    "CREATE TABLE t (x)",
    "CREATE TEMP TABLE t (x)",
    "DROP TABLE notes",
    `ATTACH '${directory.file("other.db")}' AS other`,
    `VACUUM INTO '${directory.file("copy.db")}'`,
    `/* x */ -- y\n VACUUM INTO '${directory.file("copy.db")}'`,
    `EXPLAIN VACUUM INTO '${directory.file("copy.db")}'`,
    "WITH one AS (SELECT 1) DELETE FROM notes",
    "VALUES (1); DELETE FROM notes",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 7",
    "BEGIN IMMEDIATE",
    "ANALYZE",
    "REINDEX",
    "SELECT load_extension('x')",
  ];
  for (const sql of writing) {
    const isRefused = await runQuery(directory.file("app.db"), { sql }).then(
      () => false,
      () => true,
    );
    assert.ok(isRefused || sql.startsWith("EXPLAIN"), sql); // EXPLAIN does not run the statement
  }
  assert.deepEqual(directory.listing(), before);
  const { rows } = await runQuery(directory.file("app.db"), { sql: "PRAGMA table_info(notes)" });
  assert.equal(rows.length, 2);
});

Deno.test("virtual tables can be read, and neither they nor their shadow tables written", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  execute(
    path,
    `CREATE VIRTUAL TABLE words USING fts5(body);
    INSERT INTO words VALUES ('hello world');
    CREATE VIRTUAL TABLE boxes USING rtree(id, low, high);
    INSERT INTO boxes VALUES (1, 2, 3);`,
  );
  const before = directory.listing();
  const read = async (sql: string) => (await runQuery(path, { sql })).rows;
  assert.deepEqual(await read("SELECT body FROM words WHERE words MATCH 'hello'"), [[
    "hello world",
  ]]);
  assert.deepEqual(await read("SELECT id FROM boxes WHERE low < 3"), [[1]]);
  for (
    const sql of [
      "DELETE FROM words",
      "DELETE FROM words_data",
      "INSERT INTO words VALUES ('x')",
      "INSERT INTO words (words) VALUES ('rebuild')",
      "DELETE FROM boxes",
      "UPDATE boxes_node SET data = NULL",
    ]
  ) {
    const text = `WITH one AS (SELECT 1) ${sql}`;
    await assert.rejects(read(text), StatementError, sql);
    using open = new DatabaseSync(path);
    await assert.rejects(
      runQuery(open, { sql: text }),
      StatementError,
      `${sql} on an open database`,
    );
  }
  assert.deepEqual(directory.listing(), before);
  execute(path, "CREATE VIRTUAL TABLE old USING fts4(body); INSERT INTO old VALUES ('a'), ('b')");
  const optimize = "SELECT optimize(old) FROM old LIMIT 1"; // writes
  await assert.rejects(read(optimize), StatementError);
  using open = new DatabaseSync(path);
  await assert.rejects(runQuery(open, { sql: optimize }), StatementError);
});

Deno.test("a misspelled word, an unknown table and a value of a wrong type get help", async () => {
  using directory = notes();
  const helpFor = async (sql: string, parameters: Record<string, string> = {}) => {
    const error = await runQuery(directory.file("app.db"), { sql, parameters }).catch((thrown) =>
      thrown
    );
    assert(error instanceof StatementError);
    return `${error.message}; ${error.help}`;
  };
  assert.match(await helpFor("selct 1"), /: syntax error at "selct"; did you mean "select"\?/);
  assert.match(await helpFor("SELECT * FROM nots"), /no such table: nots; did you mean "notes"\?/);
  assert.match(
    await helpFor("SELECT * FROM notes LIMIT :n", { n: "abc" }),
    /datatype mismatch; a value has the wrong type: check n = "abc"$/,
  );
});

Deno.test("only one statement is allowed: none, two, or one hidden after a comment are refused", async () => {
  using directory = notes();
  for (const sql of ["", "-- nothing", "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM notes", ";"]) {
    await assert.rejects(runQuery(directory.file("app.db"), { sql }), UsageError, sql);
  }
  assert.deepEqual((await runQuery(directory.file("app.db"), { sql: "SELECT ';' AS a;" })).rows, [[
    ";",
  ]]);
});

Deno.test("every parameter needs a value, and every value a parameter", async () => {
  using directory = notes();
  const run = (sql: string, parameters: Record<string, string>) =>
    runQuery(directory.file("app.db"), { sql, parameters });
  await assert.rejects(run("SELECT :a, @b", { a: "1" }), /parameter "b" has no value/);
  await assert.rejects(run("SELECT :a", { a: "1", c: "1" }), /has no parameter "c"/);
  await assert.rejects(run("SELECT ?", {}), /has no name/);
  assert.deepEqual((await run("SELECT :a, @b, $c, ':d'", { a: "x", b: "'; DROP", c: "z" })).rows, [
    ["x", "'; DROP", "z", ":d"],
  ]);
  assert.deepEqual(parametersOf("SELECT :a, '? :b', \"@c\" /* :d */, :a"), ["a"]);
});

Deno.test("a timeout and a signal interrupt a query that would never end", async () => {
  using directory = notes();
  const path = directory.file("app.db");
  const program = `
    import { runQuery } from ${JSON.stringify(new URL("../../../mod.ts", import.meta.url).href)};
    const sql = ${JSON.stringify(ENDLESS)};
    const late = await runQuery(${
    JSON.stringify(path)
  }, { sql, timeout: 0.2 }).catch((error) => error.code);
    const control = new AbortController();
    setTimeout(() => control.abort(), 100);
    const stopped = await runQuery(${JSON.stringify(path)}, { sql, signal: control.signal })
      .catch((error) => error.code);
    // A query that ends in time is not interrupted.
    const { rows } = await runQuery(${
    JSON.stringify(path)
  }, { sql: "SELECT count(*) FROM notes", timeout: 60 });
    const wrong = await runQuery(${
    JSON.stringify(path)
  }, { sql: "SELECT 1 FROM nothing", timeout: 60 })
      .catch((error) => error.code);
    console.log(late, stopped, rows[0][0], wrong);
    Deno.exit();`;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(
    new TextDecoder().decode(stdout),
    "QUERY_TIMEOUT INTERRUPTED 3 STATEMENT_FAILED\n",
    new TextDecoder().decode(stderr),
  );
});

Deno.test("it reads while a bot writes, and reads an open database, too", async () => {
  using directory = notes();
  using bot = new DatabaseSync(directory.file("app.db"));
  bot.exec("BEGIN IMMEDIATE; INSERT INTO notes VALUES (3, 'c')");
  const sql = "SELECT count(*) FROM notes";
  assert.deepEqual((await runQuery(directory.file("app.db"), { sql })).rows, [[3]]);
  bot.exec("COMMIT");
  assert.deepEqual((await runQuery(bot, { sql })).rows, [[4]]);
  bot.exec("INSERT INTO notes VALUES (4, 'd')"); // still writable afterwards
});

Deno.test("a database that does not exist is refused, and not created", async () => {
  using directory = new TemporaryDirectory();
  await assert.rejects(
    runQuery(directory.file("none.db"), { sql: "SELECT 1" }),
    /there is no database at/,
  );
  assert.deepEqual(directory.names(), []);
});

Deno.test("every bundled query runs on the bot's empty databases", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  for (const { name, database, sql } of bundledQueries) {
    const { columns } = await migrator.query(database, { sql });
    assert.ok(columns.length > 0, name);
  }
});

Deno.test("a failed migration is found in the ledger", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(
    directory.file("migrations.db"),
    "UPDATE migration_history SET status = 'failed', error_message = 'boom' WHERE migration_id = '002'",
  );
  const { sql = "" } = bundledQueries.find(({ name }) => name === "failed-migrations") ?? {};
  const { rows } = await migrator.query("ledger", { sql });
  assert.deepEqual(rows.map((row) => [row[0], row[3]]), [["002", "boom"]]);
});

Deno.test("custom queries are found, replace bundled ones, and are reported if invalid", async () => {
  using directory = new TemporaryDirectory();
  const write = (name: string, text: string) => Deno.writeTextFileSync(directory.file(name), text);
  write(
    "recent.sql",
    "-- database: trading\r\n-- about: Recent orders\r\n-- param: since = 2025-01-01\r\nSELECT :since",
  );
  write("win-rate.sql", "-- database: positions\nSELECT 1");
  write("nowhere.sql", "SELECT 1");
  write("odd.sql", "-- database: trading\n-- param: = 1\nSELECT 1");
  write("readme.txt", "no query");
  const { queries, faults } = await findQueries(directory.path);
  const recent = queries.find(({ name }) => name === "recent");
  assert.equal(recent?.database, "trading");
  assert.equal(recent?.about, "Recent orders");
  assert.deepEqual(recent?.defaults, { since: "2025-01-01" });
  assert.equal(queries.filter(({ name }) => name === "win-rate").length, 1);
  assert.equal(
    queries.find(({ name }) => name === "win-rate")?.file,
    directory.file("win-rate.sql"),
  );
  assert.deepEqual([...faults.keys()], ["nowhere", "odd"]);
  assert.equal(faults.get("odd")?.line, 2);
  assert.deepEqual((await findQueries(directory.file("none"))).faults.size, 0);
});

Deno.test("the head of a query ends at its first line of SQL", () => {
  const found = parseQuery("a", "-- database: trading\nSELECT 1\n-- about: no");
  assert.ok("sql" in found && found.about === "");
  assert.ok("reason" in parseQuery("a", "-- database:\nSELECT 1"));
  assert.ok("reason" in parseQuery("a", "-- database: a\n-- database: b\nSELECT 1"));
});

Deno.test("a parameter is a number only if it is written as one", () => {
  const values = [
    "10",
    "-3",
    "0.5",
    "007",
    "1e3",
    "",
    "2025-01-01",
    "9223372036854775807",
    "9223372036854775808",
    "1.",
    "-0",
  ];
  assert.deepEqual(values.map(parameterValue), [
    10,
    -3,
    0.5,
    "007",
    "1e3",
    "",
    "2025-01-01",
    9223372036854775807n,
    "9223372036854775808",
    "1.",
    "-0",
  ]);
});
