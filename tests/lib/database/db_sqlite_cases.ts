/** Tests for an open `Database` of `jsr:@db/sqlite` or its stand-in. */
import assert from "node:assert/strict";
import { DenoSqliteConnection } from "../../../lib/database/deno_sqlite.ts";
import type { DenoSqliteDatabase } from "../../../lib/database/deno_sqlite.ts";
import { MigrationFailedError, StatementError, UsageError } from "../../../lib/base/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { writeJournal } from "../../../lib/snapshot/journal.ts";
import { migrationOf, query, TemporaryDirectory } from "../support.ts";

/** The driver's database, with the methods that a program uses. */
export interface DriverDatabase extends DenoSqliteDatabase {
  readonly open: boolean;
  close(): void;
}

/** How to open a database. */
export interface Driver<D extends DriverDatabase> {
  /** Name for the tests. */
  readonly name: string;
  open(path: string): D;
  /** Checks that nothing was left behind. */
  checkAfter?(db: D): void;
}

/** Adds the tests. */
export function testDriver<D extends DriverDatabase>(driver: Driver<D>): void {
  const { name: of, checkAfter = () => {} } = driver;

  /** Runs a test on a database in memory. */
  const inMemory = (
    name: string,
    work: (connection: DenoSqliteConnection, db: D) => Promise<void>,
  ) => {
    Deno.test(`${of}: ${name}`, async () => {
      const db = driver.open(":memory:");
      try {
        await work(new DenoSqliteConnection(db, { label: ":memory:" }), db);
        checkAfter(db);
      } finally {
        db.close();
      }
    });
  };

  /** Runs a test on a file. */
  const onFile = (name: string, work: (db: D, place: TemporaryDirectory) => Promise<void>) => {
    Deno.test(`${of}: ${name}`, async () => {
      using place = new TemporaryDirectory();
      const db = driver.open(place.file("app.db"));
      try {
        await work(db, place);
      } finally {
        db.close();
      }
    });
  };

  inMemory("SQL with non-ASCII characters runs completely", async (connection) => {
    await connection.exec('CREATE TABLE "größe" (a)');
    assert.deepEqual(await connection.run("INSERT INTO \"größe\" VALUES ('日本🚀')"), {
      changes: 1,
    });
    assert.deepEqual(await connection.all('SELECT a FROM "größe"'), [{ a: "日本🚀" }]);
    assert.deepEqual(await connection.get("SELECT ? || 'é' AS a", ["ü"]), { a: "üé" });
  });

  inMemory("a failed step reports its reason", async (connection) => {
    await connection.exec("CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1)");
    for (
      const work of [
        () => connection.run("INSERT INTO t VALUES (?)", [1]),
        () => connection.all("INSERT INTO t VALUES (1) RETURNING a"),
        () => connection.script("INSERT INTO t VALUES (1)"),
      ]
    ) await assert.rejects(work, /UNIQUE constraint failed: t\.a/);
  });

  inMemory("a number that the driver would truncate to 64 bits is refused", async (connection) => {
    await connection.exec("CREATE TABLE t (a)");
    for (const value of [2 ** 63, 1e300, -(2 ** 63) * 1.5, 2n ** 63n, -(2n ** 63n) - 1n]) {
      await assert.rejects(
        connection.run("INSERT INTO t VALUES (?)", [value]),
        /cannot store .* more than 64 bits/,
      );
    }
    const right = [-(2n ** 63n), 2n ** 63n - 1n, Infinity, 0.5];
    for (const value of right) await connection.run("INSERT INTO t VALUES (?)", [value]);
    assert.deepEqual((await connection.all("SELECT a FROM t")).map(({ a }) => a), right);
  });

  onFile("infinity is exported as a number", async (db, place) => {
    db.exec("CREATE TABLE t (a REAL, b); INSERT INTO t VALUES (9e999, -9e999), (1.5, 2)");
    const migrator = new Migrator({
      databases: { app: db },
      ledger: place.file("migrations.db"),
      migrations: [],
    });
    const dump = await new Response(await migrator.exportDatabase("app")).text();
    assert.match(dump, /\(1,9\.0e\+999,-9\.0e\+999\),\n\(2,1\.5,2\)/);
  });

  inMemory("64-bit integers are read exactly", async (connection) => {
    assert.deepEqual(
      await connection.get("SELECT 1700000000000 AS a, 9223372036854775807 AS b, 1 AS c"),
      { a: 1_700_000_000_000, b: 9223372036854775807n, c: 1 },
    );
  });

  inMemory("values of every kind are read back unchanged", async (connection) => {
    const values = [
      [null],
      [0],
      [-1],
      [2n ** 31n, 2 ** 31],
      [-(2n ** 31n) - 1n, -(2 ** 31) - 1],
      [2n ** 53n - 1n, 2 ** 53 - 1],
      [2n ** 53n + 1n],
      [-(2n ** 63n)],
      [1.5],
      [-1.5e-300],
      [""],
      ["é🚀"],
      [new Uint8Array([0, 1, 255])],
    ] as const;
    await connection.exec("CREATE TABLE t (n INTEGER PRIMARY KEY, v)");
    for (const [value] of values) await connection.run("INSERT INTO t (v) VALUES (?)", [value]);
    const rows = await connection.all("SELECT v FROM t ORDER BY n");
    assert.deepEqual(rows.map(({ v }) => v), values.map(([value, read = value]) => read));
    assert.deepEqual(
      await connection.all("SELECT typeof(v) AS type FROM t WHERE n BETWEEN 4 AND 8"),
      Array(5).fill({ type: "integer" }),
    );
  });

  inMemory("text with NUL is stored completely", async (connection) => {
    await connection.exec("CREATE TABLE t (v)");
    await connection.run("INSERT INTO t VALUES (?)", ["a\0b"]);
    assert.deepEqual(await connection.get("SELECT typeof(v) AS type, hex(v) AS bytes FROM t"), {
      type: "text",
      bytes: "610062",
    });
  });

  inMemory(
    "SQLite splits a script with any characters, and each error has its line",
    async (connection) => {
      const statements: string[] = [];
      const script = connection.script(
        "-- größe 🚀\nCREATE TABLE t (a); /* é */\nINSERT INTO t VALUES ('日本; 🚀');\n" +
          "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 'ü'; END;\n" +
          "INSERT INTO missing VALUES ('é');",
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
    },
  );

  inMemory(
    "a failed statement reports its reason and leaves nothing behind",
    async (connection) => {
      await connection.exec("CREATE TABLE t (a UNIQUE)");
      await connection.run("INSERT INTO t VALUES (1)");
      await assert.rejects(connection.run("INSERT INTO t VALUES (1)"), /UNIQUE/);
      await assert.rejects(
        connection.script("INSERT INTO t VALUES (2); INSERT INTO t VALUES (1)"),
        /UNIQUE/,
      );
      assert.deepEqual(await connection.all("SELECT a FROM t"), [{ a: 1 }, { a: 2 }]);
      assert.equal(await connection.get("SELECT a FROM t WHERE a = 3"), undefined);
    },
  );

  onFile("an open database is upgraded, verified and downgraded", async (db, place) => {
    db.exec("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 7");
    const ledger = place.file("migrations.db");
    const migrator = new Migrator({ databases: { app: db }, ledger, migrations });

    const { applied } = await migrator.upgrade();
    assert.deepEqual(applied.map(({ id }) => id), ["001", "002"]);
    assert.deepEqual((await migrator.upgrade()).applied, []);
    const status = await migrator.status();
    assert(status.ok);
    assert.equal(status.databases[0]?.path, place.file("app.db"));
    assert.deepEqual((await migrator.verify({ data: true })).databases[0]?.problems, []);

    db.exec(`DROP INDEX "größe_währung"`);
    assert.match(
      (await migrator.verify()).databases[0]?.problems[0]?.detail ?? "",
      /index "größe_währung".*is missing/,
    );
    const { recreated } = await migrator.repair();
    assert.deepEqual(recreated.map(({ name }) => name), ["größe_währung"]);
    assert((await migrator.verify()).ok);

    const { rolledBack, lost } = await migrator.downgrade({ confirm: () => true });
    assert.deepEqual(rolledBack, ["002", "001"]);
    assert.deepEqual(lost, [{ database: "app", table: "größe", rows: 1 }]);
    checkAfter(db);
    assert(db.open && !db.inTransaction);
    const pragma = (name: string) => Object.values(rowsOf(db, `PRAGMA ${name}`)[0] ?? {})[0];
    assert.equal(pragma("foreign_keys"), 0);
    assert.equal(pragma("busy_timeout"), 7);
    assert.deepEqual(
      query(ledger, "SELECT status FROM migration_history"),
      [{ status: "rolled_back" }, { status: "rolled_back" }],
    );
  });

  onFile("a migration that fails midway is rolled back", async (db, place) => {
    const migrator = new Migrator({
      databases: { app: db },
      ledger: place.file("migrations.db"),
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
    assert.deepEqual(rowsOf(db, "SELECT name FROM sqlite_schema"), []);
  });

  onFile(
    "a migration that ends its transaction is refused, although the driver has no authorizer",
    async (db, place) => {
      for (const upgrade of ["CREATE TABLE a (b); COMMIT", "/* ü */ END; SELECT 1"]) {
        const migrator = new Migrator({
          databases: { app: db },
          ledger: place.file("migrations.db"),
          migrations: [migrationOf({ name: "001_a", upgrade })],
        });
        await assert.rejects(migrator.upgrade(), MigrationFailedError);
        assert(!db.inTransaction);
        assert.deepEqual(rowsOf(db, "SELECT name FROM sqlite_schema"), []);
      }
    },
  );

  onFile("an open transaction of the caller is left alone, and the error says what to do", async (
    db,
    place,
  ) => {
    db.exec("CREATE TABLE mine (a); BEGIN; INSERT INTO mine VALUES (1)");
    const ledger = place.file("migrations.db");
    const migrator = new Migrator({ databases: { app: db }, ledger, migrations });
    await assert.rejects(migrator.upgrade(), (error) => {
      assert(error instanceof StatementError || error instanceof MigrationFailedError);
      assert.match(error.message, /has an open transaction/);
      assert.match(error.help ?? "", /commit it or roll it back/);
      return true;
    });
    assert(db.inTransaction);
    db.exec("COMMIT");
    assert.deepEqual(rowsOf(db, "SELECT a FROM mine"), [{ a: 1 }]);
  });

  onFile("operations that would open its file a second time are refused", async (db, place) => {
    const places = { ledger: place.file("migrations.db"), backups: place.file("backups") };
    const options = { databases: { app: db }, ...places };
    await new Migrator({ ...options, migrations: migrations.slice(0, 1) }).upgrade();
    const migrator = new Migrator({ ...options, migrations });
    const refused = (work: () => Promise<unknown>, message: RegExp) =>
      assert.rejects(work, (error) => {
        assert(error instanceof UsageError, String(error));
        assert.match(error.message, message);
        assert.match(error.help ?? "", /path/);
        return true;
      });
    await refused(() => migrator.rehearse(), /^Cannot rehearse on app: /);
    db.exec(`INSERT INTO "größe" DEFAULT VALUES`);
    assert.equal((await migrator.upgrade()).snapshot, null, "before a change none is taken");
    const snapshot = /^Cannot take a snapshot of app: it is open through another SQLite library$/;
    await refused(() => migrator.createSnapshot(), snapshot);
    const { name } = await migrator.createSnapshot({ databases: ["migrations"] });
    await migrator.verifySnapshot(name);
    Deno.copyFileSync(place.file("migrations.db"), place.file("other.db"));
    await refused(
      () => migrator.restoreSnapshot(place.file("other.db"), { databases: ["app"] }),
      /^Cannot restore app: it is open through another SQLite library$/,
    );
    // A restore that was interrupted before the program opened the database.
    const journal = place.file("migrations.restore");
    const [source, target] = [place.file("other.db"), place.file("app.db")];
    const { size: bytes } = Deno.statSync(source);
    const replacements = [{ database: "app", source, bytes, compressed: false }];
    await writeJournal(journal, { label: "x", safety: null, replacements });
    const before = Deno.readFileSync(target);
    await refused(
      () => migrator.upgrade(),
      /^Cannot finish the restore of app: it is open through another SQLite library$/,
    );
    assert.deepEqual(Deno.readFileSync(target), before);
    Deno.removeSync(journal);
  });

  onFile(
    "exporting a large database opens its file only once, and keeps an open transaction",
    async (db, place) => {
      const ledger = place.file("migrations.db");
      const migrator = new Migrator({ databases: { app: db }, ledger, migrations: [], timeout: 0 });
      db.exec(
        "CREATE TABLE free AS SELECT zeroblob(33000000); DROP TABLE free; CREATE TABLE t (v)",
      );
      db.exec("BEGIN; INSERT INTO t VALUES ('mine')");
      const dump = await new Response(await migrator.exportDatabase("app")).text();
      assert.match(dump, /mine/);
      assert.ok(db.inTransaction);
      db.exec("COMMIT");
      assert.equal(rowsOf(db, "SELECT v FROM t").length, 1);
    },
  );

  onFile("its dump contains every value", async (db, place) => {
    const ledger = place.file("migrations.db");
    const migrator = new Migrator({ databases: { app: db }, ledger, migrations });
    await migrator.upgrade();
    db.exec(`CREATE TABLE t (v); INSERT INTO t VALUES
      ('a' || char(0) || 'b'), (x'00ff'), (9007199254740993), (-0.0), (9e999), ('日本🚀')`);
    const dump = await new Response(await migrator.exportDatabase("app")).text();
    const copy = driver.open(place.file("copy.db"));
    try {
      copy.exec(dump);
      const values = "SELECT typeof(v) AS type, hex(v) AS bytes, quote(v) AS text FROM t";
      assert.deepEqual(rowsOf(copy, values), rowsOf(db, values));
    } finally {
      copy.close();
    }
  });
}

/** All rows of a query as a program reads them. */
function rowsOf(db: DriverDatabase, sql: string): object[] {
  const statement = db.prepare(sql);
  try {
    return statement.all();
  } finally {
    statement.finalize();
  }
}

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
