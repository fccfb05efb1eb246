import assert from "node:assert/strict";
import { databasesBelow, proposeName } from "../../../lib/state/uncovered_files.ts";
import { execute, query, runCommandLine, TemporaryDirectory } from "../support.ts";

Deno.test("databases are recognised by their header, anywhere below the directory", () => {
  using directory = new TemporaryDirectory();
  for (const path of ["feedback", "backups", ".hidden"]) Deno.mkdirSync(directory.file(path));
  const files = ["market.db", "feedback/alerts", ".hidden/x.db", "market.db.bak", "backups/b.db"];
  for (const path of files) execute(directory.file(path), "CREATE TABLE t (a)");
  Deno.writeTextFileSync(directory.file("backups/snapshot_20260101_000000.json"), "{}");
  Deno.writeTextFileSync(directory.file("notes.db"), "not a database");
  const { path } = directory;
  assert.deepEqual(databasesBelow(`${path}/`), [`${path}/feedback/alerts`, `${path}/market.db`]);
});

Deno.test("proposed names are plain, and no two are the same", () => {
  assert.equal(proposeName("feedback/alert performance.sqlite", []), "alert_performance");
  assert.equal(proposeName("feedback/alerts.db", ["Alerts"]), "feedback_alerts");
  assert.equal(proposeName("2024.db", []), "db_2024");
  assert.equal(proposeName("a.db", ["a"]), "database_2");
});

Deno.test("a bot's own databases are found, adopted, migrated and verified beside the bundled ones", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data/feedback"), { recursive: true });
  const market = directory.file("data/market.db");
  execute(
    market,
    `CREATE TABLE prices (ticker TEXT, price REAL -- in USD
    );
    CREATE INDEX prices_ticker ON prices (ticker);
    CREATE VIEW latest AS SELECT * FROM prices;
    CREATE TRIGGER keep AFTER INSERT ON prices BEGIN SELECT 1; END;
    CREATE VIRTUAL TABLE notes USING fts5(body);
    INSERT INTO prices VALUES ('AAPL', 1.5);`,
  );
  execute(directory.file("data/feedback/alerts.db"), "CREATE TABLE alerts (a)");
  execute(
    directory.file("data/positions.db"),
    `CREATE TABLE positions (id INTEGER PRIMARY KEY, symbol TEXT);
    CREATE INDEX idx_positions_status ON positions (symbol);
    INSERT INTO positions VALUES (1, 'AAPL');`,
  );
  const run = async (...args: string[]) => {
    const result = await runCommandLine(args, { cwd: directory.path });
    return { ...result, text: result.stdout + result.stderr };
  };

  // The conflict in one database does not block the others, and the advice works to the end.
  const refused = await run("upgrade");
  assert.equal(refused.code, 1);
  assert.match(
    refused.text,
    /^error: .*table "positions" in data\/positions.db differs from the one that 001 creates: \d+ columns missing, 2 extra, /m,
  );
  assert.match(refused.text, /^help: .*run `init`/m);
  assert(Deno.statSync(directory.file("data/trading.db")).isFile);
  assert.equal((await run("verify")).text.match(/table "positions"/g)?.length, 1);

  assert.match((await run("init")).text, /non-interactive session/);
  Deno.writeTextFileSync(directory.file("data/empty.db"), "");
  const { stdout, stderr: told } = await run("init", "--yes");
  assert.match(told, /^positions\.db has other tables than .* yours is called own_positions, /m);
  assert.match(told, /^warning: skipped data\/empty\.db: it is empty$/m);
  assert.match(told, /^Next: `catalyst-migrate upgrade` /m);
  assert.match(stdout, /^alerts +feedback\/alerts.db .* 1 +0$/m);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(directory.file("catalyst.json"))), {
    databases: {
      alerts: "feedback/alerts.db",
      market: "market.db",
      own_positions: "positions.db",
      positions: "catalyst/positions.db",
    },
  });
  assert.match((await run("init", "--yes")).text, /Cannot write catalyst.json: it exists/);
  assert.match((await run("init", "--yes", "--force")).text, /catalyst.json is up to date/);
  assert.equal((await run("upgrade")).code, 0);

  const before = Deno.readFileSync(market);
  const { stdout: sql } = await run("adopt", "market", "--dry-run");
  assert.deepEqual(Deno.readFileSync(market), before);
  assert.match(
    (await run("adopt", "market")).text,
    /wrote migrations\/004_adopt_market.sql with 5 obj/,
  );
  assert.equal(Deno.readTextFileSync(directory.file("migrations/004_adopt_market.sql")), sql);
  assert.match((await run("adopt", "market")).text, /it is adopted already, as 004_adopt_market/);
  assert.match((await run("adopt", "positions")).text, /migration 001_\w+ already creates it/);
  Deno.writeTextFileSync(
    directory.file("migrations/005_volume.sql"),
    "-- database: market\n-- migrate:up\nALTER TABLE prices ADD COLUMN volume INTEGER;\n",
  );
  assert.equal((await run("upgrade")).code, 0);
  assert.deepEqual(query(market, "SELECT ticker, volume FROM prices"), [
    { ticker: "AAPL", volume: null },
  ]);
  const { databases } = JSON.parse((await run("verify", "--json")).stdout);
  assert.deepEqual(
    databases.flatMap(({ name, problems, notices }: Record<string, unknown>) =>
      name === "market" ? [problems, notices] : []
    ),
    [[], []],
  );
});

Deno.test("without databases, init writes nothing and needs no answer", async () => {
  using directory = new TemporaryDirectory();
  const { code, stdout } = await runCommandLine(["init"], { cwd: directory.path });
  assert.equal(code, 0);
  assert.match(stdout, /^No SQLite files in data: a configuration is not needed\./);
  assert.deepEqual(directory.names(), []);
});

Deno.test("init --force keeps the comments and the other keys of the file", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data"));
  execute(directory.file("data/prices.db"), "CREATE TABLE prices (a)");
  const file = directory.file("catalyst.json");
  const init = async (former: string) => {
    Deno.writeTextFileSync(file, former);
    const args = ["init", "--force", "--yes"];
    const { code, stderr } = await runCommandLine(args, { cwd: directory.path });
    assert.equal(code, 0, stderr);
    return Deno.readTextFileSync(file);
  };
  const text = (own: string) =>
    `{\n  // ours\n  "databases": {\n    "own": "own.db"${own} // mine\n  },\n  "timeout": 5,\n}\n`;
  assert.equal(await init(text("")), text(',\n    "prices": "prices.db"'));
  const plain = { $schema: "x.json", timeout: 5, databases: { own: "own.db" } };
  assert.deepEqual(JSON.parse(await init(JSON.stringify(plain))), {
    ...plain,
    databases: { own: "own.db", prices: "prices.db" },
  });
});

Deno.test("a database that needs a missing module can't be adopted, and stays as it is", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data"));
  const path = directory.file("data/odd.db");
  execute(path, "CREATE VIRTUAL TABLE v USING fts5(a)");
  const bytes = Deno.readFileSync(path);
  const at = new TextDecoder("latin1").decode(bytes).indexOf("USING fts5(a)");
  bytes.set(new TextEncoder().encode("gone"), at + "USING ".length);
  Deno.writeFileSync(path, bytes);
  Deno.writeTextFileSync(directory.file("catalyst.json"), '{"databases": {"odd": "odd.db"}}');
  const before = Deno.readFileSync(path);
  const { code, stderr } = await runCommandLine(["adopt", "odd"], { cwd: directory.path });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /Cannot adopt odd: .*gone[^]*help: without migrations it can still be backed/,
  );
  assert.deepEqual(Deno.readFileSync(path), before);
  assert.throws(() => Deno.statSync(directory.file("migrations")), Deno.errors.NotFound);
});

Deno.test("init never writes to the place of a database, a lock or a migration", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data"));
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(directory.file("migrations/004_x.sql"), "");
  execute(directory.file("data/prices.db"), "CREATE TABLE prices (a)");
  for (
    const [path, what] of [
      ["data/trading.db", "database trading"],
      ["data/migrations.lock", "a lock"],
      ["migrations/005_y.sql", "a migration"],
    ]
  ) {
    const { code, stderr } = await runCommandLine(["init", "--yes", "--config", path ?? ""], {
      cwd: directory.path,
    });
    assert.equal(code, 1);
    assert(stderr.includes(`error: Cannot write ${path}: it is the path of ${what}\n`), stderr);
    assert.deepEqual([...Deno.readDirSync(directory.file("data"))].map(({ name }) => name), [
      "prices.db",
    ]);
  }
});
