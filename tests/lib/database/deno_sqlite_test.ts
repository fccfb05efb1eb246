import assert from "node:assert/strict";
import { DenoSqliteConnection } from "../../../lib/database/deno_sqlite.ts";
import { MigrationFailedError, StatementError } from "../../../lib/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { migrationOf, query, TemporaryDirectory } from "../support.ts";
import { Database } from "./db_sqlite.ts";

function openMemory(): { db: Database; connection: DenoSqliteConnection } {
  const db = new Database(":memory:");
  return { db, connection: new DenoSqliteConnection(db, { label: ":memory:" }) };
}

Deno.test("fact: the driver cuts a text with characters beyond ASCII short", () => {
  const db = new Database(":memory:");
  assert.throws(() => db.prepare("SELECT 'é'"), /unrecognized token/);
  assert.equal(db.prepare("SELECT '🚀' AS abcd").sql, "SELECT '🚀' AS ab");
});

Deno.test("text with characters beyond ASCII is run whole", async () => {
  const { connection } = openMemory();
  await connection.exec('CREATE TABLE "größe" (a)');
  assert.deepEqual(await connection.run("INSERT INTO \"größe\" VALUES ('日本🚀')"), { changes: 1 });
  assert.deepEqual(await connection.all('SELECT a FROM "größe"'), [{ a: "日本🚀" }]);
  assert.deepEqual(await connection.get("SELECT ? || 'é' AS a", ["ü"]), { a: "üé" });
});

Deno.test("integers of 64 bits are read whole", async () => {
  const { connection } = openMemory();
  assert.deepEqual(
    await connection.get("SELECT 1700000000000 AS a, 9223372036854775807 AS b, 1 AS c"),
    { a: 1_700_000_000_000, b: 9223372036854775807n, c: 1 },
  );
});

Deno.test("a script is split by SQLite, whatever characters it has, and each failure has its line", async () => {
  const { connection } = openMemory();
  const statements: string[] = [];
  const script = connection.script(
    "-- größe 🚀\nCREATE TABLE t (a); /* é */\nINSERT INTO t VALUES ('日本; 🚀');\n" +
      "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 'ü'; END;\nINSERT INTO missing VALUES ('é');",
    { onStatement: (sql) => statements.push(sql) },
  );
  await assert.rejects(script, (error) => {
    assert(error instanceof StatementError);
    assert.equal(error.line, 5);
    return true;
  });
  assert.deepEqual(statements, [
    "CREATE TABLE t (a);",
    "INSERT INTO t VALUES ('日本; 🚀');",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 'ü'; END;",
  ]);
});

Deno.test("every statement is finalized, also one that fails", async () => {
  const { db, connection } = openMemory();
  await connection.exec("CREATE TABLE t (a UNIQUE)");
  await connection.run("INSERT INTO t VALUES (1)");
  await assert.rejects(connection.run("INSERT INTO t VALUES (1)"), /UNIQUE/);
  await assert.rejects(
    connection.script("INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)"),
    /UNIQUE/,
  );
  await connection.all("SELECT * FROM t");
  await connection.get("SELECT * FROM t");
  assert.equal(db.openStatements, 0);
});

const migrations = [
  migrationOf({
    name: "001_groesse",
    upgrade: `-- Preis in €, 日本語, 🚀
      CREATE TABLE IF NOT EXISTS "größe" (
        id INTEGER PRIMARY KEY,
        währung TEXT NOT NULL DEFAULT '€' CHECK (währung IN ('€', '¥', '🚀'))
      );
      CREATE INDEX IF NOT EXISTS "größe_währung" ON "größe" (währung DESC);
      CREATE TRIGGER "größe_bleibt" BEFORE UPDATE ON "größe" BEGIN SELECT RAISE(ABORT, 'nö; nie'); END;`,
    downgrade: `DROP TABLE "größe"; -- auf Wiedersehen ü`,
  }),
  migrationOf({
    name: "002_fill",
    upgrade: async (transaction) => {
      await transaction.run(`INSERT INTO "größe" (id) VALUES (?)`, [2n ** 60n]);
      await transaction.exec(`CREATE VIEW gross AS SELECT id AS "größe" FROM "größe"; -- é`);
    },
    downgrade: `DROP VIEW gross; -- ü`,
  }),
];

Deno.test("a whole life of a database that the caller has open: upgrade, verify, downgrade", async () => {
  using directory = new TemporaryDirectory();
  const db = new Database(directory.file("app.db"));
  db.exec("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 7");
  const ledger = directory.file("migrations.db");
  const migrator = new Migrator({ databases: { app: db }, ledger, migrations });

  const { applied } = await migrator.upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ["001", "002"]);
  assert.deepEqual((await migrator.upgrade()).applied, []);
  const status = await migrator.status();
  assert(status.ok);
  assert.equal(status.databases[0]?.path, directory.file("app.db"));
  assert.deepEqual((await migrator.verify({ data: true })).databases[0]?.problems, []);

  db.exec(`DROP INDEX "größe_währung"`);
  assert.match(
    (await migrator.verify()).databases[0]?.problems[0]?.detail ?? "",
    /index "größe_währung".*is missing/,
  );
  assert.deepEqual((await migrator.repair()).recreated.map(({ name }) => name), ["größe_währung"]);
  assert((await migrator.verify()).ok);

  const { rolledBack, lost } = await migrator.downgrade({ confirm: () => true });
  assert.deepEqual(rolledBack, ["002", "001"]);
  assert.deepEqual(lost, [{ database: "app", table: "größe", rows: 1 }]);
  assert.equal(db.openStatements, 0);
  assert(db.open && !db.inTransaction);
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).all()[0] ?? {})[0];
  assert.equal(pragma("foreign_keys"), 0);
  assert.equal(pragma("busy_timeout"), 7);
  db.close();
  assert.deepEqual(
    query(ledger, "SELECT status FROM migration_history"),
    [{ status: "rolled_back" }, { status: "rolled_back" }],
  );
});

Deno.test("a migration that fails half-way is rolled back on such a database too", async () => {
  using directory = new TemporaryDirectory();
  const db = new Database(directory.file("app.db"));
  const migrator = new Migrator({
    databases: { app: db },
    ledger: directory.file("migrations.db"),
    migrations: [
      migrationOf({ name: "001_a", upgrade: "CREATE TABLE ü (a); -- é\nCREATE TABLE ü (a)" }),
    ],
  });
  await assert.rejects(migrator.upgrade(), (error) => {
    assert(error instanceof MigrationFailedError);
    assert.equal(error.line, 2);
    return true;
  });
  assert(!db.inTransaction);
  assert.deepEqual(db.prepare("SELECT name FROM sqlite_schema").all(), []);
  db.close();
});

Deno.test("a migration that ends its transaction is refused, though the driver has no authorizer", async () => {
  using directory = new TemporaryDirectory();
  const db = new Database(directory.file("app.db"));
  for (const upgrade of ["CREATE TABLE a (b); COMMIT", "/* ü */ END; SELECT 1"]) {
    const migrator = new Migrator({
      databases: { app: db },
      ledger: directory.file("migrations.db"),
      migrations: [migrationOf({ name: "001_a", upgrade })],
    });
    await assert.rejects(migrator.upgrade(), MigrationFailedError);
    assert(!db.inTransaction);
    assert.deepEqual(db.prepare("SELECT name FROM sqlite_schema").all(), []);
  }
  db.close();
});

Deno.test("a transaction of the caller's is left alone, and the error says what to do", async () => {
  using directory = new TemporaryDirectory();
  const db = new Database(directory.file("app.db"));
  db.exec("CREATE TABLE mine (a); BEGIN; INSERT INTO mine VALUES (1)");
  const ledger = directory.file("migrations.db");
  const migrator = new Migrator({ databases: { app: db }, ledger, migrations });
  await assert.rejects(migrator.upgrade(), (error) => {
    assert(error instanceof StatementError || error instanceof MigrationFailedError);
    assert.match(error.message, /inside a transaction/);
    assert.match(error.help ?? "", /commit it or roll it back/);
    return true;
  });
  assert(db.inTransaction);
  db.exec("COMMIT");
  assert.deepEqual(db.prepare("SELECT a FROM mine").all(), [{ a: 1 }]);
  db.close();
});
