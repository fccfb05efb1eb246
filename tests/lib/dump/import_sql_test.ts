import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  ConfirmationError,
  DatabaseLockedError,
  InterruptedError,
  LocationError,
  UsageError,
} from "../../../lib/base/errors.ts";
import { execute, existsSync } from "../../helpers.ts";
import { leftovers, makeApp, streamOf } from "./import_support.ts";

const DUMP = `PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE);
INSERT INTO notes VALUES(1,'one');
INSERT INTO notes VALUES(2,'it''s; two');
COMMIT;
`;

Deno.test("a dump creates a new database, which the ledger and the markers record", async () => {
  await using app = await makeApp();
  const result = await app.import(DUMP);
  assert.deepEqual(result, {
    database: "app",
    outcome: "created",
    rows: { notes: 2 },
    violations: [],
    violatedChecks: [],
    snapshot: null,
    adopted: ["001"],
    reconciled: [],
  });
  assert.deepEqual(app.query("SELECT body FROM notes"), [{ body: "one" }, { body: "it's; two" }]);
  assert.deepEqual(app.query("PRAGMA journal_mode"), [{ journal_mode: "wal" }]);
  const [event] = (await app.migrator.history()).filter(({ direction }) => direction === "import");
  assert.equal(event?.name, "dump.sql");
  assert.equal((await app.migrator.verify()).ok, true);
});

Deno.test("an existing database is replaced after confirmation, and a bot that has it open sees the new one", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  execute(app.path, "INSERT INTO notes VALUES (7, 'old')");
  using bot = new DatabaseSync(app.path);
  bot.exec("PRAGMA busy_timeout = 5000; SELECT * FROM notes");
  await assert.rejects(app.import(DUMP, { confirm: () => false }), ConfirmationError);
  const plans: unknown[] = [];
  const { outcome, snapshot } = await app.import(DUMP, {
    confirm: (plan) => Boolean(plans.push(plan)),
  });
  assert.deepEqual(plans, [{
    label: "dump.sql",
    database: "app",
    now: { rows: { notes: 1 }, migrations: ["001"] },
    then: { rows: { notes: 2 }, migrations: [] },
  }]);
  assert.equal(outcome, "replaced");
  assert.equal(bot.prepare("SELECT count(*) AS rows FROM notes").get()?.["rows"], 2);
  bot.exec("INSERT INTO notes (body) VALUES ('by the bot')");
  assert.notEqual(snapshot, null);
  await app.migrator.undoRestore({ confirm: () => true });
  assert.deepEqual(app.query("SELECT body FROM notes"), [{ body: "old" }]);
});

Deno.test("an import that another program stops halfway keeps its file, with which the next command finishes it", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  execute(app.path, "INSERT INTO notes VALUES (7, 'old')");
  using bot = new DatabaseSync(app.path);
  await assert.rejects(
    app.import(DUMP, {
      onStep: ({ what }) => {
        if (what === "replacing app" && !bot.isTransaction) bot.exec("BEGIN IMMEDIATE");
      },
    }),
    (error) => error instanceof DatabaseLockedError && /has begun/.test(error.help ?? ""),
  );
  assert.deepEqual(leftovers(app.directory).toSorted(), [
    "app.db.import.part",
    "migrations.restore",
  ]);
  bot.exec("ROLLBACK");
  await app.migrator.upgrade();
  assert.deepEqual(app.query("SELECT body FROM notes"), [{ body: "one" }, { body: "it's; two" }]);
  assert.deepEqual(leftovers(app.directory), []);
});

Deno.test("without confirmation nothing is built", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  const unread = streamOf(DUMP);
  const importing = app.migrator.importDump(unread, { database: "app" });
  await assert.rejects(importing, ConfirmationError);
});

Deno.test("with backup false there is no snapshot", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  assert.equal((await app.import(DUMP, { backup: false })).snapshot, null);
  assert.deepEqual(await app.migrator.listSnapshots(), []);
});

Deno.test("page size, encoding, auto_vacuum, user_version and application_id come from the dump", async () => {
  await using app = await makeApp();
  await app.import(
    "-- a comment\nPRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16le'; PRAGMA auto_vacuum = 1;" +
      "PRAGMA application_id = 7; BEGIN; PRAGMA user_version = 3; CREATE TABLE t (a); COMMIT;",
  );
  assert.deepEqual(
    ["page_size", "encoding", "auto_vacuum", "user_version", "application_id"]
      .flatMap((name) => app.query(`PRAGMA ${name}`)),
    [
      { page_size: 8192 },
      { encoding: "UTF-16le" },
      { auto_vacuum: 1 },
      { user_version: 3 },
      { application_id: 7 },
    ],
  );
});

Deno.test("gzip, a byte-order mark, carriage returns and any number of transactions are accepted", async () => {
  await using app = await makeApp();
  const packed = new Blob([DUMP]).stream().pipeThrough(new CompressionStream("gzip"));
  const gzip = new Uint8Array(await new Response(packed).arrayBuffer());
  for (
    const dump of [
      gzip,
      `\uFEFF${DUMP}`,
      DUMP.replaceAll("\n", "\r\n"),
      DUMP.replaceAll(";\nINSERT", ";\nEND;;\nBEGIN IMMEDIATE;SAVEPOINT a;RELEASE a;\nINSERT"),
      `${DUMP}-- the end`,
      `${DUMP}/* the end */`,
    ]
  ) {
    assert.deepEqual((await app.import(dump)).rows, { notes: 2 });
  }
  const cut = await app.refuse(gzip.subarray(0, -9));
  assert.match(cut.message, /its compressed data is damaged or incomplete/);
});

Deno.test("rows in single inserts and in long ones give the same result, despite triggers", async () => {
  await using app = await makeApp();
  const many = Array.from(
    { length: 5000 },
    (_, n) => `INSERT INTO t VALUES(${n},'a;(${n})',-${n}.5);\n`,
  );
  const { rows } = await app.import(
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c); CREATE TABLE log (a, total);" +
      "CREATE TRIGGER copy AFTER INSERT ON t WHEN new.a % 1000 = 0 BEGIN " +
      `INSERT INTO log VALUES (new.a, (SELECT count(*) FROM t)); END;\n${many.join("")}`,
  );
  assert.deepEqual(rows, { t: 5000, log: 5 });
  assert.deepEqual(
    app.query("SELECT total FROM log"),
    [1, 1001, 2001, 3001, 4001].map((total) => ({ total })),
  );
  assert.deepEqual(app.query("SELECT b, c FROM t WHERE a = 4999"), [{ b: "a;(4999)", c: -4999.5 }]);
});

Deno.test("a failing statement is reported with its line and SQLite's reason, wherever it is", async () => {
  await using app = await makeApp();
  await app.import(DUMP);
  const filler = "INSERT INTO big(x) VALUES('0123456789012345678901234567890123456789');\n";
  for (const count of [0, 3, 5000, 150_000]) {
    const head = `CREATE TABLE big (x TEXT);\nCREATE TABLE u (a UNIQUE);\n${filler.repeat(count)}`;
    const fault = "INSERT INTO u VALUES (1);\n-- it's; here\n\nINSERT INTO u\n  VALUES (1);\n";
    const error = await app.refuse(`${head}${fault}${filler.repeat(2000)}`);
    assert.equal(error.line, count + 6);
    assert.equal(error.statement, "INSERT INTO u\n  VALUES (1);");
    assert.equal(
      error.message,
      `Cannot import dump.sql: line ${count + 6}: UNIQUE constraint failed: u.a ` +
        "(INSERT INTO u VALUES (1);)",
    );
  }
});

Deno.test("a failing row among many single inserts is found", async () => {
  await using app = await makeApp();
  const lines = Array.from(
    { length: 3000 },
    (_, n) => `INSERT INTO u VALUES(${n === 2500 ? 7 : n});\n`,
  );
  const error = await app.refuse(`CREATE TABLE u (a UNIQUE);\n${lines.join("")}`);
  assert.equal(error.line, 2502);
  assert.equal(error.statement, "INSERT INTO u VALUES(7);");
});

Deno.test("invalid dumps are refused with a reason", async (t) => {
  const bad: readonly (readonly [string | Uint8Array, RegExp, number?])[] = [
    ["", /: it is empty$/],
    [" \n\n", /: it contains nothing to import$/],
    ["PRAGMA foreign_keys=OFF;\n", /: it contains nothing to import$/],
    [
      "CREATE TABLE t (a);\n INSRT INTO t;\n",
      /: line 2: near "INSRT": syntax error \(INSRT INTO t;\)$/,
      2,
    ],
    ["BEGIN;\nCREATE TABLE t (a);", /: it ends in the middle: its COMMIT is missing$/],
    [
      "CREATE TABLE t (a);\n\nINSERT INTO t",
      /: line 3: it ends in the middle of a statement \(INSERT/,
      3,
    ],
    ["CREATE TABLE t (a);\nINSERT INTO t VALUES ('x\n;", /: line 2: it ends in the middle/, 2],
    [
      "BEGIN;\nCREATE TABLE t (a);\nROLLBACK; -- due to errors",
      /: line 3: it contains ROLLBACK, .*incomplete/,
      3,
    ],
    ["CREATE TABLE t (a);\nINSERT INTO t VALUES ('\0');", /: line 2: it has a NUL character/, 2],
    ["SQLite format 3\0and so on", /: it is an SQLite database, not a dump$/],
    [new Uint8Array([0xff, 0xfe, 0x43, 0, 0x52]), /: it is UTF-16 text, but damaged or truncated$/],
    [new Uint8Array([0x43, 0, 0x52, 0, 0x45, 0]), /: line 1: it ends in the middle of a statement/],
    [new Uint8Array([1, 2, 0, 0, 0, 5, 6, 7]), /: it is binary, not text$/],
    [new Uint8Array([0x50, 0x4b, 3, 4, 5, 6]), /: it is compressed, but not with gzip$/],
    [
      new TextEncoder().encode("CREATE TABLE t (a);\n\nINSERT INTO t VALUES ('x');")
        .map((byte) => byte === 120 ? 0xe9 : byte),
      /: line 3: it is not UTF-8, or is damaged$/,
      3,
    ],
    [
      "CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES (1);INSERT OR ROLLBACK INTO t VALUES (1);",
      /UNIQUE/,
    ],
  ];
  for (const [dump, message, line] of bad) {
    await t.step(String(message), async () => {
      await using app = await makeApp();
      const absent = await app.refuse(dump);
      assert.match(absent.message, message);
      assert.equal(absent.line, line ?? absent.line);
      await app.import(DUMP);
      assert.match((await app.refuse(dump)).message, message);
      assert.match((await app.refuse(dump, { intoExisting: true })).message, message);
    });
  }
});

Deno.test("names the line of invalid UTF-8, wherever a chunk of the dump ends", async () => {
  await using app = await makeApp();
  const dump = new TextEncoder().encode(
    "CREATE TABLE t (a);\nINSERT INTO t VALUES ('\uFFFD');\nINSERT INTO t VALUES ('é€🙂');\n#;\n",
  ).map((byte) => byte === 0x23 ? 0xff : byte);
  for (let size = 1; size <= dump.length; size++) {
    const chunks = Array.from(
      { length: Math.ceil(dump.length / size) },
      (_, at) => dump.slice(at * size, (at + 1) * size),
    );
    const imported = app.migrator.importDump(ReadableStream.from(chunks), { database: "app" });
    await assert.rejects(imported, /: line 4: it is not UTF-8, or is damaged$/, `${size} bytes`);
  }
});

Deno.test("for an SQLite database file the error suggests `restore`", async () => {
  await using app = await makeApp();
  const { help } = await app.refuse("SQLite format 3\0and so on");
  assert.match(help ?? "", /`restore FILE NAME`/);
});

Deno.test("dangling rows are reported, and imported unchanged", async () => {
  await using app = await makeApp();
  const { violations } = await app.import(
    "CREATE TABLE p (a PRIMARY KEY); CREATE TABLE c (a REFERENCES p); INSERT INTO c VALUES (1), (2);",
  );
  assert.deepEqual(violations, [{ table: "c", parent: "p", rows: 2 }]);
});

Deno.test("rows that violate a CHECK are exported and imported unchanged, and counted", async () => {
  await using app = await makeApp();
  await app.import(DUMP);
  using python = new DatabaseSync(app.path, { enableDoubleQuotedStringLiterals: true });
  python.exec(
    `CREATE TABLE "odd ones" (side TEXT CHECK (side IN ('buy', "sell")), q CHECK (q > 0 -- not 0
      ), CHECK (length(side) < 5));
    CREATE TABLE fine (q CHECK (q > 0));
    PRAGMA ignore_check_constraints = ON;
    INSERT INTO "odd ones" VALUES ('hold', 1), ('buy', 0), ('buy', NULL), ('sell', 1), ('longer', 0);
    INSERT INTO fine VALUES (1), (NULL)`,
  );
  python.close();
  const told: unknown[] = [];
  const dump = await new Response(
    await app.migrator.exportDatabase("app", {
      onViolatedCheck: (violated) => void told.push(violated),
    }),
  ).text();
  const expected = [{ table: "odd ones", rows: 3 }];
  assert.deepEqual(told, expected);
  const before = app.query('SELECT * FROM "odd ones"');
  assert.deepEqual((await app.import(dump)).violatedChecks, expected);
  assert.deepEqual(app.query('SELECT * FROM "odd ones"'), before);
  await app.migrator.createSnapshot();
  await app.refuse(`INSERT INTO fine VALUES (0)`, { intoExisting: true });
});

Deno.test("an unknown migration is imported: its file may be missing or broken", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  const marker = app.query("SELECT sql FROM sqlite_schema WHERE name = 'catalyst_migrations'")[0]
    ?.["sql"];
  const columns = app.query("SELECT * FROM catalyst_migrations")[0] ?? {};
  const values = Object.values({ ...columns, migration_id: "999" })
    .map((value) => value === null ? "NULL" : `'${value}'`).join();
  await app.import(`${marker};\nINSERT INTO catalyst_migrations VALUES (${values});\n`);
  const { migrations } = await app.migrator.status();
  assert.deepEqual(migrations.filter(({ id }) => id === "999").map(({ state }) => state), [
    "missing",
  ]);
});

Deno.test("an import can be interrupted, and a failing source is reported", async () => {
  await using app = await makeApp();
  await app.import(DUMP);
  const controller = new AbortController();
  const endless = new ReadableStream<Uint8Array>({
    pull(stream) {
      stream.enqueue(new TextEncoder().encode("CREATE TABLE IF NOT EXISTS t (a);\n"));
    },
  });
  const bytes: number[] = [];
  await assert.rejects(
    app.migrator.importDump(endless, {
      database: "app",
      confirm: () => true,
      signal: controller.signal,
      onProgress: (read) => bytes.push(read) > 100 ? controller.abort() : undefined,
    }),
    InterruptedError,
  );
  assert.ok(bytes.length > 100 && (bytes.at(-1) ?? 0) > 3000);
  const failing = new ReadableStream<Uint8Array>({
    pull: (stream) => stream.error(new Error("the cable was pulled")),
  });
  await assert.rejects(
    app.migrator.importDump(failing, { database: "app", label: "x", confirm: () => true }),
    /Cannot import x: the cable was pulled/,
  );
  assert.deepEqual(app.query("SELECT count(*) AS rows FROM notes"), [{ rows: 2 }]);
});

Deno.test("a row of 30 MB is imported", async () => {
  await using app = await makeApp();
  const text = "é".repeat(15_000_000);
  await app.import(`CREATE TABLE t (a);\nINSERT INTO t VALUES('${text}');\n`);
  assert.deepEqual(app.query("SELECT length(a) AS length FROM t"), [{ length: 15_000_000 }]);
});

Deno.test("an import without a suitable target is refused", async () => {
  await using app = await makeApp();
  await assert.rejects(app.import(DUMP, { database: "none" }), UsageError);
  await assert.rejects(app.import(DUMP, { intoExisting: true }), LocationError);
  assert.equal(existsSync(app.path), false);
});
