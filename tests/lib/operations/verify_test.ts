import assert from "node:assert/strict";
import { isAdopted } from "../../../lib/operations/verify.ts";
import { Migrator } from "../../../lib/migrator.ts";
import type { Finding } from "../../../lib/schema/model.ts";
import type { Verification } from "../../../lib/operations/verify.ts";
import {
  createBot,
  execute,
  fillBot,
  migrationOf,
  query,
  TemporaryDirectory,
  withDatabase,
} from "../support.ts";

function problemsOf({ databases }: Verification): readonly Finding[] {
  return databases.flatMap(({ problems }) => problems);
}

function noticesOf({ databases }: Verification): readonly Finding[] {
  return databases.flatMap(({ notices }) => notices);
}

/** One way to damage a database, and the expected finding. */
interface Damage {
  readonly name: string;
  readonly database: string;
  readonly sql: string | ((path: string) => void);
  /** The object that the problem names, and part of its text. */
  readonly object: string;
  readonly detail: RegExp;
  readonly fix: RegExp;
  /** Whether `repair` fixes it. */
  readonly isRepaired: boolean;
}

/** Recreates a table from its own text, changed. */
function remake(table: string, from: string, to: string): (path: string) => void {
  return (path) =>
    withDatabase(path, (db) => {
      const objects = db.prepare(
        "SELECT type, sql FROM sqlite_schema WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY rowid",
      ).all(table);
      db.exec(`PRAGMA foreign_keys = OFF; DROP TABLE ${table}`);
      for (const { type, sql } of objects) {
        const text = String(sql);
        assert(type !== "table" || text.includes(from), `${from} is not in ${text}`);
        db.exec(type === "table" ? text.replace(from, to) : text);
      }
    });
}

const damages: readonly Damage[] = [
  {
    name: "an index is dropped",
    database: "trading",
    sql: "DROP INDEX idx_orders_submitted_at",
    object: "idx_orders_submitted_at",
    detail: /index "idx_orders_submitted_at" on orders \(submitted_at DESC\) is missing/,
    fix: /`repair`/,
    isRepaired: true,
  },
  {
    name: "an index sorts the other way",
    database: "trading",
    sql:
      "DROP INDEX idx_orders_submitted_at; CREATE INDEX idx_orders_submitted_at ON orders (submitted_at)",
    object: "idx_orders_submitted_at",
    detail: /is on \(submitted_at\), expected \(submitted_at DESC\)/,
    fix: /DROP INDEX idx_orders_submitted_at/,
    isRepaired: false,
  },
  {
    name: "a view is dropped",
    database: "positions",
    sql: "DROP VIEW v_position_summary",
    object: "v_position_summary",
    detail: /view "v_position_summary" is missing/,
    fix: /`repair`/,
    isRepaired: true,
  },
  {
    name: "a view computes something different",
    database: "trading",
    sql: `DROP VIEW v_equity_curve;
      CREATE VIEW v_equity_curve AS SELECT snapshot_date, total_equity, cumulative_pnl,
        cumulative_return_pct, daily_return_pct, positions_count, trades_today
      FROM portfolio_snapshots ORDER BY snapshot_date DESC`,
    object: "v_equity_curve",
    detail: /view "v_equity_curve" differs from the expected definition/,
    fix: /DROP VIEW v_equity_curve/,
    isRepaired: false,
  },
  {
    name: "a view has different columns",
    database: "trading",
    sql:
      "DROP VIEW v_equity_curve; CREATE VIEW v_equity_curve AS SELECT snapshot_date FROM portfolio_snapshots",
    object: "v_equity_curve",
    detail: /has the columns \(snapshot_date\), expected \(snapshot_date, total_equity/,
    fix: /DROP VIEW v_equity_curve/,
    isRepaired: false,
  },
  {
    name: "a column is dropped",
    database: "ml_training",
    sql: "ALTER TABLE training_runs DROP COLUMN notes",
    object: "training_runs.notes",
    detail: /column "notes" is missing \(TEXT\)/,
    fix: /ALTER TABLE training_runs ADD COLUMN/,
    isRepaired: false,
  },
  {
    name: "a column is added",
    database: "trading",
    sql: "ALTER TABLE orders ADD COLUMN broker TEXT",
    object: "orders.broker",
    detail: /column "broker" is not expected \(TEXT\)/,
    fix: /leave it/,
    isRepaired: false,
  },
  {
    name: "a column has a different type",
    database: "trading",
    sql: remake("orders", "limit_price REAL", "limit_price TEXT"),
    object: "orders.limit_price",
    detail: /column "limit_price" is TEXT, expected REAL/,
    fix: /rebuild table orders/,
    isRepaired: false,
  },
  {
    name: "a column allows NULL",
    database: "positions",
    sql: remake("positions", "ticker TEXT NOT NULL", "ticker TEXT"),
    object: "positions.ticker",
    detail: /column "ticker" allows NULL, expected NOT NULL/,
    fix: /rebuild table positions/,
    isRepaired: false,
  },
  {
    name: "a default differs",
    database: "trading",
    sql: remake("orders", "DEFAULT 'day'", "DEFAULT 'gtc'"),
    object: "orders.time_in_force",
    detail: /the default of "time_in_force" is 'gtc', expected 'day'/,
    fix: /rebuild table orders/,
    isRepaired: false,
  },
  {
    name: "a check is stricter",
    database: "positions",
    sql: remake("positions", "side IN ('long', 'short')", "side IN ('long')"),
    object: "positions",
    detail: /the check "side IN \('long', 'short'\)" is missing/,
    fix: /rebuild table positions/,
    isRepaired: false,
  },
  {
    name: "a check is missing",
    database: "trading",
    sql: remake(
      "orders",
      "CONSTRAINT valid_filled_quantity CHECK (filled_quantity <= quantity),",
      "",
    ),
    object: "orders",
    detail: /the check "filled_quantity <= quantity" is missing/,
    fix: /rebuild table orders/,
    isRepaired: false,
  },
  {
    name: "a column is no longer unique",
    database: "trading",
    sql: remake("orders", "client_order_id TEXT NOT NULL UNIQUE", "client_order_id TEXT NOT NULL"),
    object: "orders",
    detail: /the UNIQUE constraint on \(client_order_id\) is missing/,
    fix: /rebuild table orders/,
    isRepaired: false,
  },
  {
    name: "a foreign key is missing",
    database: "trading",
    sql: remake(
      "fills",
      "metadata TEXT, -- free for the bot, usually JSON\n  FOREIGN KEY (order_id) REFERENCES orders (order_id)",
      "metadata TEXT",
    ),
    object: "fills",
    detail: /the foreign key \(order_id\) to orders \(order_id\) is missing/,
    fix: /rebuild table fills/,
    isRepaired: false,
  },
  {
    name: "a table with its indexes is dropped",
    database: "trading",
    sql: "DROP TABLE performance_metrics",
    object: "performance_metrics",
    detail: /table "performance_metrics" is missing/,
    fix: /`repair`/,
    isRepaired: true,
  },
];

for (const { name, database, sql, object, detail, fix, isRepaired } of damages) {
  Deno.test(`verify finds that ${name}, and repair ${isRepaired ? "fixes it" : "says that it can't"}`, async () => {
    using directory = new TemporaryDirectory();
    const migrator = await createBot(directory);
    const path = directory.file(`${database}.db`);
    if (typeof sql === "string") execute(path, sql);
    else sql(path);
    const before = directory.listing();
    const verification = await migrator.verify();
    assert.deepEqual(directory.listing(), before);
    assert(!verification.ok);
    assert.deepEqual(
      verification.databases.filter(({ ok }) => !ok).map((one) => one.name),
      [database],
    );
    const problem = problemsOf(verification).find((one) => one.object === object);
    assert(problem !== undefined, JSON.stringify(problemsOf(verification)));
    assert.match(problem.detail, detail);
    assert.match(problem.fix, fix);
    const { recreated, remaining } = await migrator.repair();
    assert.equal((await migrator.verify()).ok, isRepaired);
    assert.equal(recreated.some((one) => one.name === object), isRepaired);
    assert.equal(remaining.some((one) => one.object === object), !isRepaired);
  });
}

Deno.test("the databases of the bot, new or full of rows, have no findings", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  assert.deepEqual(problemsOf(await migrator.verify({ data: true })), []);
  fillBot(directory, 12_000);
  const verification = await migrator.verify({ data: true });
  assert.deepEqual([...problemsOf(verification), ...noticesOf(verification)], []);
  assert(verification.ok);
});

Deno.test("an object that no migration created is a notice, not a problem", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(
    directory.file("trading.db"),
    `CREATE TABLE my_notes (a);
    CREATE INDEX my_index ON orders (ticker, side);
    CREATE VIEW my_view AS SELECT 1;
    CREATE TRIGGER my_trigger AFTER INSERT ON orders BEGIN SELECT 1; END`,
  );
  const verification = await migrator.verify();
  assert(verification.ok);
  assert.deepEqual(
    noticesOf(verification).map(({ kind, object }) => `${kind} ${object}`).toSorted(),
    ["unmanaged my_index", "unmanaged my_notes", "unmanaged my_trigger", "unmanaged my_view"],
  );
});

Deno.test("a different spelling makes no difference", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  const path = directory.file("trading.db");
  execute(
    path,
    'DROP INDEX idx_orders_ticker; create   index IDX_ORDERS_TICKER on "ORDERS"([Ticker])',
  );
  assert.deepEqual(problemsOf(await migrator.verify()), []);
});

/** Databases in which one trigger belongs to a migration. */
function withTrigger(directory: TemporaryDirectory): Migrator {
  return new Migrator({
    databases: { app: directory.file("app.db") },
    ledger: directory.file("migrations.db"),
    migrations: [migrationOf({
      name: "001_a",
      upgrade: `CREATE TABLE a (x);
        CREATE TRIGGER keep BEFORE DELETE ON a BEGIN SELECT RAISE(ABORT, 'kept; all'); END;`,
    })],
  });
}

Deno.test("a missing or different trigger is found; a missing one can be repaired", async () => {
  using directory = new TemporaryDirectory();
  const migrator = withTrigger(directory);
  await migrator.upgrade();
  execute(directory.file("app.db"), "DROP TRIGGER keep");
  assert.match(
    problemsOf(await migrator.verify())[0]?.detail ?? "",
    /trigger "keep" of a is missing/,
  );
  assert.deepEqual((await migrator.repair()).recreated.map(({ type }) => type), ["trigger"]);
  assert((await migrator.verify()).ok);
  execute(
    directory.file("app.db"),
    "DROP TRIGGER keep; CREATE TRIGGER keep BEFORE DELETE ON a BEGIN SELECT 1; END",
  );
  const [problem] = problemsOf(await migrator.verify());
  assert.match(problem?.detail ?? "", /trigger "keep" differs from the expected definition/);
  assert.match(problem?.fix ?? "", /DROP TRIGGER keep/);
});

Deno.test("a migration that is not applied, or was changed, is a problem of its database", async () => {
  using directory = new TemporaryDirectory();
  const options = { databases: { app: directory.file("app.db") }, ledger: directory.file("m.db") };
  const of = (upgrade: string) =>
    new Migrator({ ...options, migrations: [migrationOf({ name: "001_a", upgrade })] });
  const kinds = async (migrator: Migrator) =>
    problemsOf(await migrator.verify()).map(({ kind, object }) => `${kind} ${object}`);
  assert.deepEqual(await kinds(of("CREATE TABLE a (x)")), ["pending 001_a"]);
  assert.deepEqual(directory.names(), []);
  await of("CREATE TABLE a (x)").upgrade();
  assert.deepEqual(await kinds(of("CREATE TABLE a (x)")), []);
  assert((await kinds(of("CREATE TABLE a (y)"))).includes("changed 001_a"));
});

Deno.test("a migration that doesn't run on an empty database is a notice, not a failure", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("app.db");
  execute(path, "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)");
  const migrator = new Migrator({
    databases: { app: path },
    ledger: directory.file("m.db"),
    migrations: [migrationOf({ name: "001_a", upgrade: "INSERT INTO mine VALUES (2)" })],
  });
  await migrator.upgrade();
  const verification = await migrator.verify();
  assert(verification.ok);
  assert.deepEqual(noticesOf(verification).map(({ kind }) => kind), ["unchecked"]);
});

Deno.test("with --data, dangling rows are found", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(
    directory.file("ml_training.db"),
    `PRAGMA foreign_keys = OFF;
    INSERT INTO hyperparameters (run_id, algorithm, params_json, created_at)
    SELECT 'none', 'PPO', '{}', 1`,
  );
  assert((await migrator.verify()).ok);
  const [problem] = problemsOf(await migrator.verify({ data: true }));
  assert.equal(problem?.kind, "foreign_key");
  assert.match(
    problem.detail,
    /1 row\(s\) of hyperparameters reference a missing row of training_runs/,
  );
});

Deno.test("a database without migrations has one notice, however many tables it has", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("own.db"), "CREATE TABLE a (x); CREATE TABLE b (x)");
  const migrator = new Migrator({
    databases: { own: directory.file("own.db") },
    ledger: directory.file("m.db"),
    migrations: [],
  });
  const found = await migrator.verify();
  assert(found.ok);
  assert.deepEqual(noticesOf(found).map(({ detail }) => detail), [
    "no migration created its 2 objects",
  ]);
});

Deno.test("a view of a missing table is reported once, and its fix is that of the table", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  execute(directory.file("trading.db"), "DROP TABLE fills");
  const found = problemsOf(await migrator.verify()).filter(({ detail }) =>
    detail.includes("v_order_fill_stats")
  );
  assert.deepEqual(found.map(({ kind }) => kind), ["broken"]);
  assert.match(found[0]?.fix ?? "", /^fix the problems above first; /);
});

Deno.test("with --data, an index that disagrees with its table is found", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 3);
  damageIndex(directory.file("trading.db"), "idx_orders_ticker", "ABC");
  assert((await migrator.verify()).ok);
  const problems = problemsOf(await migrator.verify({ data: true }));
  assert(
    problems.some(({ kind, detail }) => kind === "integrity" && /idx_orders_ticker/.test(detail)),
  );
});

/** Changes a text only in the page of an index, as a failing disk might. */
function damageIndex(path: string, index: string, text: string): void {
  const [place] = query(
    path,
    "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = ?",
    index,
  );
  const { rootpage, page_size: size } = place as { rootpage: number; page_size: number };
  using file = Deno.openSync(path, { read: true, write: true });
  const page = new Uint8Array(size);
  file.seekSync((rootpage - 1) * size, Deno.SeekMode.Start);
  file.readSync(page);
  const at = new TextDecoder("latin1").decode(page).lastIndexOf(text);
  assert(at > 0);
  file.seekSync((rootpage - 1) * size + at, Deno.SeekMode.Start);
  file.writeSync(new TextEncoder().encode("Q"));
}

Deno.test("a custom check gets the databases by name, and its findings count", async () => {
  using directory = new TemporaryDirectory();
  const finding = { kind: "mine", object: "a", detail: "x", fix: "y" };
  const migrator = new Migrator({
    databases: { app: directory.file("app.db") },
    ledger: directory.file("m.db"),
    migrations: [migrationOf({ name: "001_a", upgrade: "CREATE TABLE a (x)" })],
    dataCheck: async (databases) => {
      const rows = await databases.get("app")?.all("SELECT * FROM a") ?? [];
      return rows.length === 0 ? [{ ...finding, database: "app" }] : [];
    },
  });
  await migrator.upgrade();
  assert((await migrator.verify()).ok);
  assert.deepEqual(problemsOf(await migrator.verify({ data: true })), [finding]);
  execute(directory.file("app.db"), "INSERT INTO a VALUES (1)");
  assert((await migrator.verify({ data: true })).ok);
});

Deno.test("a database counts as adopted while any of its migrations was adopted", () => {
  const marker = { id: "001", name: "001_a", appliedAt: 0, upgradeSql: null };
  assert.equal(isAdopted(null), true);
  assert.equal(
    isAdopted([{ ...marker, durationSeconds: null }, { ...marker, durationSeconds: 1 }]),
    true,
  );
  assert.equal(isAdopted([{ ...marker, durationSeconds: 0 }]), false);
});
