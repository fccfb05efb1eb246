import assert from "node:assert/strict";
import { createCatalystMigrator, SchemaConflictError } from "../../../mod.ts";
import { EARLIER_MOMENT, earlierSql, makeEarlierSystem } from "../../earlier_system.ts";
import {
  contentOf,
  type DatabaseName,
  databaseNames,
  execute,
  filesOf,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";

for (const rows of [0, 3]) {
  for (const ledger of [true, false]) {
    const what = `${rows === 0 ? "without" : "with"} rows and ${
      ledger ? "with" : "without"
    } its ledger`;
    Deno.test(`the earlier system's databases, ${what}, are adopted and otherwise unchanged`, async () => {
      await using dir = await tempDir();
      makeEarlierSystem(dir.path, { rows, ledger });
      const files = filesOf(dir.path);
      const before = contents(dir);
      const history = ledger ? historyOf(dir) : [];

      const status = await runCli(["status", "--json", "--check", "--data-dir", dir.path]);
      assert.equal(status.code, 0, status.stdout);
      assert.deepEqual(statesIn(status.stdout), {
        "001": "applied",
        "002": "applied",
        "003": "applied",
      });
      const dryRun = await runCli(["upgrade", "--dry-run", "--json", "--data-dir", dir.path]);
      assert.deepEqual(JSON.parse(dryRun.stdout).adopt, ["001", "002", "003"]);
      assert.deepEqual(filesOf(dir.path), files, "reading changed a file");

      const upgrade = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
      assert.equal(upgrade.code, 0, upgrade.stdout);
      const { ok, applied, adopted, reconciled, failed } = JSON.parse(upgrade.stdout);
      assert.deepEqual({ ok, applied, adopted, reconciled, failed }, {
        ok: true,
        applied: [],
        adopted: ["001", "002", "003"],
        reconciled: [],
        failed: null,
      });
      assert.deepEqual(contents(dir), marked(before));
      if (ledger) assert.deepEqual(historyOf(dir), history);
      assert.deepEqual(historyOf(dir).map(({ status }) => status), [
        "applied",
        "applied",
        "applied",
      ]);

      const again = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
      assert.deepEqual(JSON.parse(again.stdout).adopted, []);
    });
  }
}

Deno.test("an adopted migration keeps the time from the ledger", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  const moments = async () =>
    (await migrator.status()).migrations.map(({ appliedAt }) => appliedAt);
  const expected = [EARLIER_MOMENT, EARLIER_MOMENT, EARLIER_MOMENT];
  assert.deepEqual(await moments(), expected);
  await migrator.upgrade();
  assert.deepEqual(await moments(), expected);
  await Deno.remove(dir.database("migrations"));
  await migrator.upgrade();
  assert.deepEqual(historyOf(dir).map(({ applied_at }) => applied_at), expected);
});

Deno.test("adopting keeps the settings of the file", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path, { databases: ["positions"], ledger: false });
  const settings = "SELECT * FROM pragma_user_version, pragma_application_id, pragma_journal_mode";
  execute(
    dir.database("positions"),
    "PRAGMA user_version = 7; PRAGMA application_id = 42; PRAGMA journal_mode = TRUNCATE;",
  );
  await createCatalystMigrator({ dataDir: dir.path }).upgrade();
  const after = query(dir.database("positions"), settings);
  assert.deepEqual(after, [{ user_version: 7, application_id: 42, journal_mode: "delete" }]);
});

for (const ledger of [true, false]) {
  const what = ledger ? "with" : "without";
  Deno.test(`if only some of the earlier system's databases exist, ${what} its ledger, the others are created`, async () => {
    await using dir = await tempDir();
    makeEarlierSystem(dir.path, { databases: ["positions", "ml_training"], ledger });
    const before = contents(dir);
    const status = await runCli(["status", "--json", "--data-dir", dir.path]);
    assert.deepEqual(statesIn(status.stdout), {
      "001": "applied",
      "002": "pending",
      "003": "applied",
    });
    const { code, stdout } = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
    assert.equal(code, 0, stdout);
    const { applied, adopted, reconciled } = JSON.parse(stdout);
    assert.deepEqual(adopted, ["001", "003"]);
    assert.deepEqual(applied.map(({ id }: { id: string }) => id), ["002"]);
    assert.deepEqual(reconciled, ledger ? ["002"] : []);
    const { trading, ...others } = contents(dir);
    const { trading: _, ...expected } = marked(before);
    assert.deepEqual(others, expected);
    assert.deepEqual(trading.markers, ["002"]);
  });
}

Deno.test("missing indexes and views do not prevent adoption; repair creates them", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path);
  execute(dir.database("trading"), "DROP INDEX idx_orders_ticker; DROP VIEW v_equity_curve");
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  assert.deepEqual((await migrator.upgrade()).adopted, ["001", "002", "003"]);
  const { recreated } = await migrator.repair();
  assert.deepEqual(recreated.map(({ name }) => name), ["idx_orders_ticker", "v_equity_curve"]);
});

Deno.test("matching tables are kept, and missing ones of the same migration are created", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path, { databases: ["trading"], ledger: false });
  execute(
    dir.database("trading"),
    `DROP VIEW v_recent_orders; DROP VIEW v_order_fill_stats; DROP VIEW v_equity_curve;
    DROP VIEW v_performance_summary; DROP TABLE performance_metrics`,
  );
  const { orders, fills } = contentOf(dir.database("trading")).rows;
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  const { applied, adopted } = await migrator.upgrade();
  assert.deepEqual([applied.map(({ id }) => id), adopted], [["001", "002", "003"], []]);
  const { rows, markers } = contentOf(dir.database("trading"));
  assert.deepEqual([rows["orders"], rows["fills"], markers], [orders, fills, ["002"]]);
  assert.deepEqual(rows["performance_metrics"], []);
});

/** A bot's own table with a row. */
const OWN_POSITIONS = `
  CREATE TABLE positions (
    position_id TEXT PRIMARY KEY,
    ticker TEXT NOT NULL,
    quantity REAL NOT NULL,
    entry_price REAL NOT NULL CHECK (entry_price > 0),
    notes TEXT
  );
  INSERT INTO positions VALUES ('P1', 'ABC', 1.5, 10.0, 'mine');`;

for (const ledger of [false, true]) {
  Deno.test(`a bot's own positions without side, ${ledger ? "beside" : "without"} the ledger, fail the upgrade, which changes only other databases`, async () => {
    await using dir = await tempDir();
    makeEarlierSystem(dir.path, { databases: ledger ? ["trading"] : [], ledger });
    execute(dir.database("positions"), `PRAGMA journal_mode = WAL; ${OWN_POSITIONS}`);
    const files = filesOf(dir.path);
    const own = contentOf(dir.database("positions"));
    for (
      const command of [["upgrade", "--dry-run"], ["upgrade", "--migration", "001"], ["upgrade"]]
    ) {
      const { code, stdout, stderr } = await runCli([
        ...command,
        "--verbose",
        "--data-dir",
        dir.path,
      ]);
      assert.equal(code, 1);
      assert.equal(stdout, "");
      const [, table] = stderr.match(/^error: .*table "positions" in (.*) differs from/m) ?? [];
      assert.equal(table, dir.database("positions"), stderr);
      assert.match(stderr, /: 14 columns missing, 1 extra, 1 column defined differently, 6 checks/);
      // The error names every missing, different or extra column, and what to do.
      const missing = ["side", "current_price", "unrealized_pnl", "stop_loss_price", "opened_at"];
      for (const column of [...missing, "quantity", "notes", "metadata"]) {
        assert.match(stderr, new RegExp(`"${column}"`), `${column} is not named: ${stderr}`);
      }
      assert.match(stderr, /^help: [^]*"own_positions": "positions.db"/m);
      if (command.includes("--dry-run")) assert.deepEqual(filesOf(dir.path), files);
      assert.deepEqual(contentOf(dir.database("positions")), own);
    }
    const other = await runCli(["upgrade", "--migration", "002", "--data-dir", dir.path]);
    assert.equal(other.code, 0, other.stderr);
    const status = await runCli(["status", "--json", "--data-dir", dir.path]);
    assert.deepEqual(statesIn(status.stdout), {
      "001": "pending",
      "002": "applied",
      "003": "applied",
    });
    const check = await runCli(["status", "--check", "--data-dir", dir.path]);
    assert.equal(check.code, 1);
    assert.match(check.stdout + check.stderr, /"positions"/);
    const after = filesOf(dir.path);
    const json = await runCli(["upgrade", "--json", "--data-dir", dir.path]);
    assert.equal(JSON.parse(json.stdout).error.code, "SCHEMA_CONFLICT");
    assert.deepEqual(filesOf(dir.path), after);
  });
}

Deno.test("a different table under another name is not a conflict and keeps its rows", async () => {
  await using dir = await tempDir();
  execute(dir.database("positions"), OWN_POSITIONS);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await assert.rejects(migrator.upgrade(), SchemaConflictError);
  execute(dir.database("positions"), "ALTER TABLE positions RENAME TO my_positions");
  await migrator.upgrade();
  assert.equal(contentOf(dir.database("positions")).rows["my_positions"]?.length, 1);
});

/** Ways in which a table differs from that of the migration. */
const OTHER_SHAPES: readonly {
  readonly what: string;
  readonly from: string;
  readonly to: string;
  /** The end of the message. */
  readonly summary: RegExp;
  /** What the details contain. */
  readonly named: RegExp;
}[] = [
  {
    what: "another type",
    from: `"quantity" integer not null`,
    to: `"quantity" real not null`,
    summary: /: 1 column defined differently$/,
    named: /"quantity"/,
  },
  {
    what: "a nullable column",
    from: `"ticker" text not null`,
    to: `"ticker" text`,
    summary: /: 1 column defined differently$/,
    named: /"ticker"/,
  },
  {
    what: "another default",
    from: `default 0.0 not null`,
    to: `default 1.0 not null`,
    summary: /: 1 column defined differently$/,
    named: /"unrealized_pnl"/,
  },
  {
    what: "another name",
    from: `"market_regime"`,
    to: `"regime"`,
    summary: /: 1 column missing, 1 extra$/,
    named: /"market_regime"/,
  },
  {
    what: "a check that accepts more",
    from: `"quantity">0`,
    to: `"quantity">-1`,
    summary: /: 2 checks differ$/,
    named: /quantity/,
  },
  {
    what: "no key",
    from: `primary key("position_id")`,
    to: `check(1)`,
    summary: /: 1 check differs, 1 other difference$/,
    named: /key/,
  },
];

for (const { what, from, to, summary, named } of OTHER_SHAPES) {
  Deno.test(`tables with ${what} are not adopted`, async () => {
    await using dir = await tempDir();
    const sql = earlierSql("positions");
    assert.ok(sql.includes(from));
    execute(dir.database("positions"), sql.replace(from, to));
    const before = contentOf(dir.database("positions"));
    const migrator = createCatalystMigrator({ dataDir: dir.path });
    await assert.rejects(migrator.upgrade(), (error) => {
      assert.ok(error instanceof SchemaConflictError);
      assert.match(error.message, summary);
      assert.match(error.details.join("\n"), named);
      return true;
    });
    assert.deepEqual(contentOf(dir.database("positions")), before);
  });
}

Deno.test("tables that no migration knows are left alone, and verify reports them as a notice", async () => {
  await using dir = await tempDir();
  await createCatalystMigrator({ dataDir: dir.path }).upgrade();
  const own =
    `CREATE TABLE watchlist (ticker TEXT PRIMARY KEY); INSERT INTO watchlist VALUES ('ABC');
    CREATE INDEX idx_watchlist ON watchlist (ticker DESC);`;
  execute(dir.database("trading"), own);
  const before = contentOf(dir.database("trading"));
  for (const command of ["upgrade", "repair"]) {
    assert.equal((await runCli([command, "--data-dir", dir.path])).code, 0);
  }
  assert.deepEqual(contentOf(dir.database("trading")), before);
  const { stdout } = await runCli(["verify", "--json", "--data-dir", dir.path]);
  const trading = JSON.parse(stdout).databases.find(({ name }: { name: string }) =>
    name === "trading"
  );
  assert.deepEqual([trading.ok, trading.problems], [true, []]);
  const notices: { kind: string; object: string }[] = trading.notices;
  assert.deepEqual(notices.map(({ kind, object }) => [kind, object]), [
    ["unmanaged", "watchlist"],
    ["unmanaged", "idx_watchlist"],
  ]);
  await createCatalystMigrator({ dataDir: dir.path }).downgrade({ migration: "002" });
  assert.deepEqual(contentOf(dir.database("trading")).rows, { watchlist: [{ ticker: "ABC" }] });
});

Deno.test("in a database with only a bot's own tables, the migration's tables are created beside them", async () => {
  await using dir = await tempDir();
  execute(
    dir.database("positions"),
    "CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('a')",
  );
  const { applied, adopted } = await createCatalystMigrator({ dataDir: dir.path }).upgrade();
  assert.deepEqual([applied.length, adopted], [3, []]);
  assert.deepEqual(contentOf(dir.database("positions")).rows["notes"], [{ note: "a" }]);
});

Deno.test("adopted databases can be rolled back, and the losses are reported", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path, { rows: 2 });
  const { code, stdout } = await runCli(["downgrade", "--yes", "--json", "--data-dir", dir.path]);
  assert.equal(code, 0, stdout);
  const { rolledBack, lost } = JSON.parse(stdout);
  assert.deepEqual(rolledBack, ["003", "002", "001"]);
  assert.equal(lost.length, 11);
  assert.ok(lost.every(({ rows }: { rows: number }) => rows === 2));
});

type Contents = Record<DatabaseName, ReturnType<typeof contentOf>>;

function contents(dir: TempDir): Contents {
  return Object.fromEntries(
    databaseNames.map((name) => [name, contentOf(dir.database(name))]),
  ) as Contents;
}

/** The same with the markers and nothing else. */
function marked(before: Contents): Contents {
  const { positions, trading, ml_training } = before;
  return {
    positions: { ...positions, markers: ["001"] },
    trading: { ...trading, markers: ["002"] },
    ml_training: { ...ml_training, markers: ["003"] },
  };
}

function historyOf(dir: TempDir): Record<string, unknown>[] {
  return query(dir.database("migrations"), "SELECT * FROM migration_history ORDER BY migration_id");
}

function statesIn(stdout: string): Record<string, string> {
  const { migrations } = JSON.parse(stdout);
  return Object.fromEntries(
    migrations.map(({ id, state }: { id: string; state: string }) => [id, state]),
  );
}

Deno.test("repair replaces the earlier system's views and keeps their rows, triggers and text", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path);
  const path = dir.database("ml_training");
  execute(
    path,
    `CREATE TRIGGER own INSTEAD OF DELETE ON v_current_ensemble BEGIN SELECT 1; END;
    CREATE VIEW own_view AS SELECT * FROM V_CURRENT_ENSEMBLE;`,
  );
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.upgrade();
  const adopted = (await migrator.verify()).databases.flatMap(({ notices }) => notices)
    .filter(({ kind }) => kind === "adopted");
  assert.equal(adopted.length, 10);
  assert.match(adopted[0]?.fix ?? "", /repair/);
  const { rows } = contentOf(path);

  const planned = await migrator.repair({ dryRun: true });
  const { recreated, replaced, remaining } = await migrator.repair();
  assert.deepEqual(planned.replaced, replaced);
  assert.deepEqual([recreated, remaining], [[], []]);
  assert.equal(replaced.length, 10);
  const ensemble = replaced.find(({ name }) => name === "v_current_ensemble");
  assert.match(ensemble?.formerSql ?? "", /^create view "v_current_ensemble"/i);
  assert.match(ensemble?.sql ?? "", /r\.algorithm AS algorithm/);
  const { ok, databases } = await migrator.verify();
  assert(ok);
  assert.deepEqual(
    databases.flatMap(({ notices }) => notices.map(({ object }) => object)),
    ["own_view", "own"],
  );
  assert.deepEqual(contentOf(path).rows, rows);
  const [event] = await migrator.history({ limit: 1 });
  assert.match(event?.detail ?? "", /replaced view v_.*, formerly: create view/i);
  assert.deepEqual((await migrator.repair()).replaced, []);
});
