/** The operations on databases on a real libSQL server, with a local ledger. */
import { deepStrictEqual as equal, ok, rejects } from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { UsageError } from "../../../lib/base/errors.ts";
import { defineMigration, Migrator } from "../../../mod.ts";
import { catalystDatabases, createCatalystMigrator } from "../../../lib/catalyst.ts";
import { openLibsql } from "../../../lib/database/libsql.ts";
import { parseLibsqlAddress } from "../../../lib/database/location.ts";
import { runMigration } from "../../../lib/engine/apply.ts";
import { Lease } from "../../../lib/engine/lock.ts";
import { tempDir } from "../../helpers.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";

function open(server: TestServer, namespace: string) {
  const address = parseLibsqlAddress(server.address(namespace));
  return openLibsql({ address, tokenVariables: [] }, { timeout: 20 });
}

libsqlTest(
  "the bot's databases on a server are created, verified, saved and exported",
  async () => {
    await using server = await (await TestServer.start()).create(...catalystDatabases);
    await using dir = await tempDir();
    const migrator = createCatalystMigrator({
      dataDir: dir.path,
      databases: Object.fromEntries(catalystDatabases.map((name) => [name, server.address(name)])),
    });
    equal((await migrator.status()).pending, 3);
    equal((await migrator.upgrade()).applied.map(({ id }) => id), ["001", "002", "003"]);
    equal((await migrator.upgrade()).applied, []);
    ok((await migrator.status()).ok);
    await using trading = await open(server, "trading");
    await trading.exec(
      "CREATE TABLE extra (a); INSERT INTO extra VALUES (-0.0), (0.0012467), (9e999)",
    );
    const { ok: isOk, databases } = await migrator.verify({ data: true, hash: true });
    ok(isOk, JSON.stringify(databases));
    // A snapshot's file is an ordinary local database, with the hash of the original.
    const { files } = await migrator.createSnapshot();
    equal(files.map(({ database }) => database), [...catalystDatabases, "migrations"]);
    const local = createCatalystMigrator({
      dataDir: dir.path,
      databases: Object.fromEntries(
        files.slice(0, 3).map(({ database, file }) => [database, `${dir.path}/backups/${file}`]),
      ),
    });
    equal(
      (await local.verify({ hash: true })).databases.map(({ hash }) => hash),
      databases.map(({ hash }) => hash),
    );
    const sql = await new Response(await migrator.exportDatabase("trading")).text();
    ok(sql.includes("CREATE TABLE orders"), sql);
    const [event] = await migrator.history({ limit: 1 });
    equal(event?.databasePath, server.address("ml_training"));
    await rejects(migrator.restoreSnapshot("latest", { confirm: () => true }), (error) => {
      ok(error instanceof UsageError && /it is on a server/.test(error.message), String(error));
      return /`copy FILE DATABASE`/.test(error.help ?? "");
    });
  },
);

libsqlTest(
  "a dump is imported only into an empty database on a server, and rows into a table",
  async () => {
    await using server = await (await TestServer.start()).create("app");
    await using dir = await tempDir();
    const migrator = new Migrator({
      databases: { app: server.address("app") },
      ledger: `${dir.path}/migrations.db`,
      migrations: [],
    });
    const stream = (text: string) => new Blob([text]).stream();
    const dump = "CREATE TABLE notes (id INTEGER PRIMARY KEY, price REAL); " +
      "INSERT INTO notes VALUES (1, 0.0012467), (2, 7.5);";
    const { outcome, rows } = await migrator.importDump(stream(dump), { database: "app" });
    equal([outcome, rows], ["created", { notes: 2 }]);
    await rejects(migrator.importDump(stream(dump), { database: "app" }), /it is not empty/);
    await rejects(
      migrator.importDump(stream(dump), { database: "app", intoExisting: true }),
      /it is on a server/,
    );
    await migrator.importRows(stream("id,price\n3,0.1\n4,1e300\n"), {
      database: "app",
      table: "notes",
      format: "csv",
    });
    await using app = await open(server, "app");
    equal((await app.all("SELECT price FROM notes ORDER BY id")).map(({ price }) => price), [
      0.0012467,
      7.5,
      0.1,
      1e300,
    ]);
    equal(
      (await migrator.history({ limit: 9 }))
        .filter(({ outcome }) => outcome === "applied").map(({ direction }) => direction),
      [
        "import",
        "import",
      ],
    );
  },
);

libsqlTest("a snapshot of local and remote databases is consistent", async () => {
  await using server = await (await TestServer.start()).create("a", "b");
  await using dir = await tempDir();
  const local = `${dir.path}/c.db`;
  const migrator = new Migrator({
    databases: { a: server.address("a"), b: server.address("b"), c: local },
    ledger: `${dir.path}/migrations.db`,
    migrations: [],
    alone: true,
  });
  await using a = await open(server, "a");
  await using b = await open(server, "b");
  using c = new DatabaseSync(local);
  const create = "CREATE TABLE account (money INTEGER); INSERT INTO account VALUES (1000)";
  await a.exec(create);
  await b.exec(create);
  c.exec(`PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 0; ${create}`);
  let isDone = false;
  let transfers = 0;
  const transfer = async () => {
    while (!isDone) {
      // With all locks held at once, no transfer is seen half done.
      await a.exec("BEGIN IMMEDIATE; UPDATE account SET money = money - 3");
      await b.exec("BEGIN IMMEDIATE; UPDATE account SET money = money + 1");
      try {
        // Waiting here would stop the snapshot, which runs on the same thread.
        c.exec("BEGIN IMMEDIATE");
      } catch {
        await a.exec("ROLLBACK");
        await b.exec("ROLLBACK");
        continue;
      }
      c.exec("UPDATE account SET money = money + 2");
      await a.exec("COMMIT");
      await b.exec("COMMIT");
      c.exec("COMMIT");
      transfers++;
      await new Promise((resolve) => setTimeout(resolve, 5)); // lets others run
    }
  };
  const writer = transfer();
  const amounts = new Set<number>();
  try {
    for (let snapshot = 0; snapshot < 4; snapshot++) {
      const { files } = await migrator.createSnapshot();
      const money = files.filter(({ database }) => database !== "migrations").map(({ file }) => {
        using copy = new DatabaseSync(`${dir.path}/backups/${file}`, { readOnly: true });
        return Number(copy.prepare("SELECT money FROM account").get()?.["money"]);
      });
      equal(money.reduce((sum, one) => sum + one), 3000, money.join());
      amounts.add(money[0] ?? 0);
    }
  } finally {
    isDone = true;
    await writer;
  }
  ok(transfers > 4 && amounts.size > 1, `${transfers} transfers, ${amounts.size} amounts`);
});

libsqlTest("a migration on a server commits with its marker, or leaves nothing", async () => {
  await using server = await (await TestServer.start()).create("app");
  await using dir = await tempDir();
  const run = async (upgrade: string) => {
    const migrator = new Migrator({
      databases: { app: server.address("app") },
      ledger: `${dir.path}/migrations.db`,
      migrations: [
        defineMigration({
          name: "001_create_notes",
          database: "app",
          upgrade: "CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT)",
          downgrade: "DROP TABLE notes",
        }),
        defineMigration({ name: "002_change", database: "app", upgrade }),
      ],
    });
    return await migrator.upgrade();
  };
  await using app = await open(server, "app");
  for (
    const upgrade of [
      "CREATE TABLE other (a); INSERT INTO nope VALUES (1)",
      "CREATE TABLE other (a); COMMIT; CREATE TABLE more (a)",
      "CREATE TABLE other (a); BEGIN",
      "CREATE TABLE other (a); ATTACH 'x.db' AS x",
      "CREATE TABLE other (a); ROLLBACK",
    ]
  ) {
    await rejects(run(upgrade), upgrade);
    equal(
      await app.all("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"),
      [{ name: "catalyst_migrations" }, { name: "notes" }],
      upgrade,
    );
    equal(await app.all("SELECT migration_id FROM catalyst_migrations"), [{ migration_id: "001" }]);
  }
  equal((await run("CREATE TABLE other (a)")).applied.map(({ id }) => id), ["002"]);
  using ledger = new DatabaseSync(`${dir.path}/migrations.db`);
  equal(
    ledger.prepare("SELECT migration_id, status FROM migration_history ORDER BY 1").all()
      .map((row) => ({ ...row })),
    [
      { migration_id: "001", status: "applied" },
      { migration_id: "002", status: "applied" },
    ],
  );
});

libsqlTest(
  "rows that are replaced, and columns that are mixed up, are noticed on a server",
  async () => {
    await using server = await (await TestServer.start()).create("app");
    await using dir = await tempDir();
    const run = async (upgrade: string, destroys: readonly string[] = []) => {
      const migrator = new Migrator({
        databases: { app: server.address("app") },
        ledger: `${dir.path}/migrations.db`,
        migrations: [
          defineMigration({
            name: "001_create_notes",
            database: "app",
            upgrade: "CREATE TABLE notes (id INTEGER PRIMARY KEY, a TEXT, b TEXT)",
          }),
          defineMigration({ name: "002_change", database: "app", upgrade, destroys }),
        ],
      });
      return await migrator.upgrade();
    };
    await run("SELECT 1");
    await using app = await open(server, "app");
    await app.exec(
      "DELETE FROM catalyst_migrations WHERE migration_id = '002'; " +
        "INSERT INTO notes VALUES (1, 'one', 'x'), (2, 'two', 'y')",
    );
    const rebuild = (select: string) =>
      `CREATE TABLE new (id INTEGER PRIMARY KEY, b TEXT, a TEXT);
    INSERT INTO new SELECT ${select} FROM notes;
    DROP TABLE notes;
    ALTER TABLE new RENAME TO notes`;
    await rejects(
      run("DELETE FROM notes WHERE id = 2; INSERT INTO notes VALUES (3, 'three', 'z')"),
      /it would lose rows or values that it does not declare: 1 of table "notes"/,
    );
    await rejects(run(rebuild("id, a, b")), /column "a" gets the values of "b"/);
    equal(await app.all("SELECT a, b FROM notes"), [{ a: "one", b: "x" }, { a: "two", b: "y" }]);
    equal((await run(rebuild("id, b, a"))).applied.map(({ id }) => id), ["002"]);
    equal(await app.all("SELECT a, b FROM notes"), [{ a: "one", b: "x" }, { a: "two", b: "y" }]);
    equal(
      (await app.all("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"))
        .map(({ name }) => name),
      ["catalyst_migrations", "notes"],
    );
  },
);

libsqlTest("outside of a transaction the lease is renewed between the statements", async () => {
  await using server = await (await TestServer.start()).create("app");
  await using app = await open(server, "app");
  const lease = await Lease.take(app, { holder: "me", timeout: 0, renewAfter: 0 });
  await app.exec("UPDATE catalyst_migrations SET applied_at = 5");
  const seen: unknown[] = [];
  const migration = defineMigration({
    name: "001_long",
    database: "app",
    transaction: false,
    upgrade: "CREATE TABLE a (x); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)",
  });
  await runMigration(app, {
    migration,
    direction: "upgrade",
    checksum: null,
    snapshot: null,
    destroys: [],
    timeout: 5,
    renew: async () => {
      await lease.renew();
      const isTaken = "SELECT applied_at > unixepoch() AS yes FROM catalyst_migrations";
      seen.push(
        (await app.get(isTaken))?.["yes"],
        (await app.get("SELECT count(*) AS n FROM a"))?.["n"],
      );
      await app.exec("UPDATE catalyst_migrations SET applied_at = 5");
    },
  });
  equal(seen, [1, 0, 1, 1, 1, 2]);
});
