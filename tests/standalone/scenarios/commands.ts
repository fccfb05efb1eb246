/** Tests of every command with the bundled migrations. */
import assert from "node:assert/strict";
import { commandNames } from "../../../lib/commands/main.ts";
import { copyUpgraded, databaseNames, execute, insertRows, query } from "../../helpers.ts";
import type { Place } from "../place.ts";
import type { Scenario } from "../scenario.ts";

/** The bot's databases with some rows in every table. */
export async function makeBot(place: Place): Promise<void> {
  Deno.mkdirSync(place.file("data"), { recursive: true });
  await copyUpgraded(place.file("data"));
  for (const name of databaseNames) insertRows(place.file(`data/${name}.db`), name);
}

/** Scenarios of every command that needs no user migrations. */
export const commandScenarios: readonly Scenario[] = [
  {
    name: "upgrade creates the databases once, and status, history and verify report it",
    commands: ["upgrade", "status", "history", "verify"],
    async run(place) {
      await place.ok("status");
      assert.deepEqual(place.names(), []);
      await place.ends(1, "status --check --quiet");
      await place.ok("upgrade --dry-run");
      assert.deepEqual(place.names(), []);
      const { stdout } = await place.ok([]);
      assert.match(
        stdout,
        /^applied {2}001_create_positions_tables [^]*3 migrations applied\. .*\n$/,
      );
      assert.deepEqual(place.names("data"), [
        "migrations.db",
        "migrations.lock",
        "ml_training.db",
        "positions.db",
        "trading.db",
      ]);
      assert.match((await place.ok("upgrade")).stdout, /Nothing to apply/);
      await place.ok("status --check");
      const status = JSON.parse((await place.ok("status --json")).stdout);
      assert.deepEqual([status.ok, status.pending], [true, 0]);
      assert.match((await place.ok("history --limit 2")).stdout, /003_create_ml_training_tables/);
      await place.ok("verify");
      assert.equal(JSON.parse((await place.ok("verify --data --hash --json")).stdout).ok, true);
    },
  },
  {
    name: "the program and each command have help, and an unknown word is wrong usage",
    commands: [],
    async run(place) {
      const { stdout } = await place.ok("--help");
      for (const name of commandNames) {
        assert.match(stdout, new RegExp(`^ +${name} `, "m"));
        const help = await place.ok([name, "--help"]);
        assert.match(help.stdout, new RegExp(`^catalyst-migrate ${name}: `));
      }
      assert.match((await place.ends(2, "stauts")).stderr, /did you mean "status"/);
      assert.match((await place.ends(2, "status --chek")).stderr, /did you mean "--check"/);
      assert.deepEqual(place.names(), []);
    },
  },
  {
    name: "--version shows the versions of the program and its parts",
    commands: [],
    async run(place) {
      const { stdout } = await place.ok("--version", { same: false });
      assert.match(stdout, /^catalyst-migrate \d+\.\d+\.\d+\ndeno +\d+\.\S+\nsqlite +3\.\S+\n/);
      assert.match(stdout, /\nmigrations {2}3, sha256 [0-9a-f]{12}\n/);
      const report = JSON.parse((await place.ok("--version --json", { same: false })).stdout);
      assert.equal(report.standalone, place.isStandalone);
      assert.equal(report.target, Deno.build.target);
      // All have the same migrations.
      place.transcript.push(JSON.stringify(report.migrations));
    },
  },
  {
    name: "shell scripts and the manual page are printed, and values are completed",
    commands: ["completion", "man"],
    async run(place) {
      for (const shell of ["bash", "zsh", "fish", "powershell"]) {
        assert.match((await place.ok(`completion ${shell}`)).stdout, /catalyst-migrate/);
      }
      const { stdout } = await place.ok("completion fish --words .upgrade .--to .");
      assert.match(stdout, /^002\tcreate trading tables$/m);
      assert.match((await place.ok("man")).stdout, /^\.TH "CATALYST\\-MIGRATE" "1"/m);
      assert.deepEqual(place.names(), []);
    },
  },
  {
    name: "doctor finds no problem with a bot's databases, reports one, and changes nothing",
    commands: ["doctor"],
    async run(place) {
      // The result depends on the permissions, so the ways differ.
      const same = { same: false };
      await place.ok("doctor", same);
      assert.deepEqual(place.names(), []);
      await makeBot(place);
      const names = place.names("data");
      assert.equal(JSON.parse((await place.ok("doctor --json", same)).stdout).problems, 0);
      Deno.writeTextFileSync(place.file("data/trading.db"), "no database");
      const { stdout } = await place.ends(1, "doctor --quiet", same);
      assert.match(stdout, /^ {2}problem {2}.*\btrading\b/m);
      assert.deepEqual(place.names("data"), names);
    },
  },
  {
    name: "a demo is created once, and its data is shown by queries and on the terminal",
    commands: ["demo", "query", "report"],
    async run(place) {
      await place.ends(2, "demo");
      await place.ok("demo --data-dir data");
      await place.ends(1, "demo --data-dir data");
      await place.ok("query");
      const { stdout } = await place.ok("query pnl-by-strategy --format csv");
      assert.match(stdout, /^"momentum",167,/m);
      const endless = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) " +
        "SELECT count(*) FROM c";
      // Alone: the query goes on until its process ends.
      const late = await place.ends(1, ["query", "trading", endless, "--timeout", "1"], {
        alone: true,
      });
      assert.match(late.stderr, /it took longer than 1 s/);
      await place.ends(1, ["query", "trading", "DELETE FROM fills"]);
      assert.match((await place.ok("report")).stdout, /Sharpe ratio +0\.\d\d /);
      await place.ok("verify --data");
    },
  },
  {
    name: "a user's database is found, adopted and copied",
    commands: ["init", "adopt", "copy"],
    async run(place) {
      await place.ok("upgrade");
      execute(place.file("data/market.db"), "CREATE TABLE prices (ticker TEXT)");
      await place.ok("init --yes");
      await place.ok("adopt market");
      await place.ok("copy market data/copied.db");
      await place.ok("status --check --quiet");
      assert.deepEqual(query(place.file("data/copied.db"), "SELECT * FROM prices"), []);
    },
  },
  {
    name: "a report is written as a page with charts",
    commands: ["report"],
    reason: ({ name }) =>
      name === "the package" ? "it has no network, and the chart library comes from npm" : null,
    async run(place) {
      await place.ok("demo --data-dir data");
      await place.ok("report --html report.html");
      assert.match(Deno.readTextFileSync(place.file("report.html")), /^<!doctype html>[^]*<svg/);
      await place.ends(1, "report --html report.html");
      await place.ok("report --html report.html --force");
    },
  },
  {
    name: "downgrade removes rows only after confirmation, and keeps them in a snapshot",
    commands: ["downgrade", "restore"],
    async run(place) {
      await makeBot(place);
      const refused = await place.ends(1, "downgrade --to 002");
      assert.match(refused.stderr, /^error: .* 3 rows of ml_training\.training_runs, [^]*--yes/m);
      await place.ok("downgrade --to 002 --dry-run");
      await place.ok("downgrade --to 002 --yes");
      assert.deepEqual(
        query(
          place.file("data/ml_training.db"),
          "SELECT * FROM sqlite_schema WHERE name = 'training_runs'",
        ),
        [],
      );
      await place.ends(1, "status --check --quiet");
      await place.ok("restore latest --dry-run");
      await place.ok("restore latest --yes");
      assert.deepEqual(rowsIn(place, "ml_training", "training_runs"), 3);
    },
  },
  {
    name: "a snapshot is taken, listed, verified and restored, and the restore is undone",
    commands: ["backup", "restore"],
    async run(place) {
      await makeBot(place);
      await place.ok("backup");
      await place.ok("backup --compress --verify full trading --out elsewhere");
      await place.ok("backup list");
      await place.ok("backup verify latest");
      await place.ok("backup verify latest --out elsewhere");
      execute(place.file("data/trading.db"), "DELETE FROM fills");
      await place.ends(1, "restore latest");
      await place.ok("restore latest trading --yes");
      assert.equal(rowsIn(place, "trading", "fills"), 3);
      await place.ok("restore --undo --yes");
      assert.equal(rowsIn(place, "trading", "fills"), 0);
      await place.ok("backup prune --keep 1 --dry-run");
      await place.ok("backup prune --keep 1");
      assert.equal(
        JSON.parse((await place.ok("backup list --json", { same: false })).stdout).ok,
        true,
      );
    },
  },
  {
    name: "an export is imported as the same database, completely and by table",
    commands: ["export", "import", "verify"],
    async run(place) {
      await makeBot(place);
      const hash = async () => (await place.ok("verify --hash --json")).stdout;
      const before = await hash();
      const { stdout: dump } = await place.ok("export trading", { same: false });
      assert.match(dump, /CREATE TABLE [^]*INSERT INTO/);
      await place.ok("export --all --out dumps --compress", { same: false });
      assert.deepEqual(
        place.names("dumps"),
        databaseNames.map((name) => `${name}.sql.gz`).toSorted(),
      );
      execute(place.file("data/trading.db"), "DELETE FROM fills");
      await place.ends(1, "import dumps/trading.sql.gz --database trading");
      await place.ok("import dumps/trading.sql.gz --database trading --yes");
      assert.equal(rowsIn(place, "trading", "fills"), 3);
      await place.ok("import - --database trading --yes", { input: dump });
      assert.equal(await hash(), before);
      for (const format of ["csv", "jsonl"]) {
        await place.ok(`export trading --table fills --format ${format} --out fills.${format}`);
        execute(place.file("data/trading.db"), "DELETE FROM fills");
        await place.ok(`import fills.${format} --database trading --table fills`);
      }
      assert.equal(await hash(), before);
    },
  },
  {
    name: "the schema is printed, and compared with a file",
    commands: ["schema"],
    async run(place) {
      await place.ok("upgrade");
      const { stdout } = await place.ok("schema trading");
      place.write("schema.sql", stdout);
      await place.ok("schema trading --check schema.sql");
      await place.ok("schema --format json");
      execute(place.file("data/trading.db"), "ALTER TABLE orders ADD COLUMN mine TEXT");
      await place.ends(1, "schema trading --check schema.sql");
    },
  },
  {
    name: "repair creates a missing index and a lost ledger again",
    commands: ["repair", "upgrade"],
    async run(place) {
      await makeBot(place);
      const [index] = query(
        place.file("data/trading.db"),
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name LIMIT 1",
      );
      execute(place.file("data/trading.db"), `DROP INDEX "${index?.["name"]}"`);
      await place.ends(1, "verify");
      await place.ok("repair --dry-run");
      await place.ok("repair");
      await place.ok("verify");
      Deno.removeSync(place.file("data/migrations.db"));
      await place.ok("upgrade");
      await place.ok("status --check");
    },
  },
  {
    name: "environment variables are used, and an invalid one is wrong usage",
    commands: ["upgrade", "status"],
    async run(place) {
      const env = { DB_PATH_PREFIX: "test_", SQLITE_WAL_MODE: "off", SQLITE_CACHE_SIZE: "100" };
      await place.ok("upgrade", { env });
      assert.equal(place.names().includes("test_trading.db"), true);
      assert.match(
        (await place.ok("status --verbose", { env })).stdout,
        /test_trading\.db .* delete/,
      );
      const wrong = await place.ends(2, "status", { env: { SQLITE_SYNCHRONOUS: "maybe" } });
      assert.match(wrong.stderr, /SQLITE_SYNCHRONOUS="maybe"/);
    },
  },
];

function rowsIn(place: Place, database: string, table: string): unknown {
  return query(place.file(`data/${database}.db`), `SELECT count(*) AS n FROM ${table}`)[0]?.["n"];
}
