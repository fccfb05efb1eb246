import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { execute, query, TemporaryDirectory } from "../lib/support.ts";

const page = Deno.readTextFileSync(new URL("../../docs/python.md", import.meta.url));
const cli = fileURLToPath(new URL("../../cli.ts", import.meta.url));
const configuration = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** The code blocks of the page in one language. */
function blocks(language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))]
    .map(([, code = ""]) => code);
}

/** The block whose first line names a file. */
function blockOf(file: string): string {
  const language = file.endsWith(".sql") ? "sql" : "python";
  const found = blocks(language).find((code) => code.split("\n")[0]?.endsWith(` ${file}`));
  assert(found !== undefined, file);
  return found;
}

/** A directory with the page's Python files, for running its commands. */
class Bot extends TemporaryDirectory {
  constructor() {
    super();
    for (const code of blocks("python")) {
      const name = /^# (\w+\.py)$/m.exec(code)?.[1];
      if (name !== undefined) Deno.writeTextFileSync(this.file(name), code);
    }
    Deno.mkdirSync(this.file("data"));
    Deno.mkdirSync(this.file("bin"));
    const line = `exec '${Deno.execPath()}' run -A --config '${configuration}' '${cli}' "$@"`;
    Deno.writeTextFileSync(this.file("bin/catalyst-migrate"), `#!/bin/sh\n${line}\n`);
    Deno.chmodSync(this.file("bin/catalyst-migrate"), 0o755);
  }

  /** Runs a program; returns its exit code and output. */
  async run(program: string, ...args: string[]): Promise<{ code: number; output: string }> {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      cwd: this.path,
      env: {
        PATH: `${this.file("bin")}:${Deno.env.get("PATH")}`,
        NO_COLOR: "1",
        DB_PATH_PREFIX: "",
      },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
  }

  /** Runs Python code that must succeed; returns its output. */
  async python(code: string): Promise<string> {
    const result = await this.run("python3", "-W", "error", "-c", code);
    assert.equal(result.code, 0, result.output);
    return result.output;
  }

  /** Runs a block of commands that must succeed. */
  async shell(code: string): Promise<string> {
    const result = await this.run("sh", "-ec", code);
    assert.equal(result.code, 0, result.output);
    return result.output;
  }
}

const isMissing = Deno.build.os === "windows" ||
  !await new Deno.Command("python3", { args: ["--version"] }).output().then(
    ({ success }) => success,
    () => false,
  );
const skipped = isMissing ? " (skipped: no Python or no sh)" : "";

/** The commands of the page that begin with some words. */
function commands(start: string): string {
  const found = blocks("sh").filter((code) => code.startsWith(start));
  assert(found.length > 0, start);
  return found.join("");
}

Deno.test({
  name: `a Python bot upgrades, reads the status and uses typed rows as documented${skipped}`,
  ignore: isMissing,
  fn: async () => {
    using bot = new Bot();
    const applied = await bot.python("from migrate import upgrade; print(upgrade(), upgrade())");
    assert.match(applied, /^\['001', '002', '003'\] \[\]$/m);
    const status = await bot.python("import check");
    assert.match(status, /^trading data\/trading\.db ok\n[^]*^0 pending migrations$/m);
    await bot.shell(commands("catalyst-migrate schema"));
    const printed = await bot.python(`
from db import connect, transaction
from orders import add_order, orders_with

connection = connect("data/trading.db")
order = {
    "order_id": "1", "client_order_id": "1", "ticker": "ABC", "order_type": "market",
    "side": "buy", "quantity": 3, "submitted_at": 0, "updated_at": 0,
}
with transaction(connection):
    add_order(connection, order)
try:
    with transaction(connection):
        add_order(connection, {**order, "order_id": "2", "client_order_id": "2"})
        raise KeyError
except KeyError:
    pass
print([(found.ticker, found.limit_price) for found in orders_with(connection, "pending")])
try:
    connection.execute("INSERT INTO fills SELECT 'f', 'none', '', '', 'buy', 1, 1, 0, "
                       "NULL, 0, NULL, NULL, NULL")
except Exception as error:
    print(error)
`);
    assert.equal(printed, "[('ABC', None)]\nFOREIGN KEY constraint failed\n");
    for (const code of blocks("python").filter((code) => !code.startsWith("# "))) {
      await bot.python(code);
    }
  },
});

Deno.test({
  name: `a bot's own table with ISO times fills the bundled tables as documented${skipped}`,
  ignore: isMissing,
  fn: async () => {
    using bot = new Bot();
    const database = bot.file("data/positions.db");
    const table = blocks("sql").find((code) => code.startsWith("CREATE TABLE positions")) ?? "";
    execute(
      database,
      `${table}
      INSERT INTO positions (symbol, direction, shares, price, last_price, stop, opened) VALUES
        ('AAPL', 'LONG', 10, 190.0, 209.0, 180.0, '2026-01-30T14:30:00.123456+00:00'),
        ('MSFT', 'SHORT', 5, 400.0, 380.0, 390.0, '2026-01-31T15:00:00+01:00'),
        ('ODD', 'LONG', 1, 1.0, NULL, NULL, 'yesterday');
      INSERT INTO positions
        (symbol, direction, shares, price, opened, closed, exit_price, reason)
      VALUES
        ('TSLA', 'SHORT', 2, 200.0, '2026-01-02T14:00:00Z', '2026-01-03 15:30:00', 180.0, 'target')`,
    );
    const conflict = await bot.run("python3", "-c", "from migrate import upgrade; upgrade()");
    assert.equal(conflict.code, 1);
    assert.match(conflict.output, /positions/);
    assert.equal(query(database, "SELECT * FROM positions").length, 4);

    const [backup = "", upgrade = ""] = blocks("sh").slice(-2);
    await bot.shell(backup);
    await bot.python("import rename");
    Deno.mkdirSync(bot.file("migrations"));
    const file = "migrations/004_mirror_bot_positions.sql";
    Deno.writeTextFileSync(bot.file(file), blockOf(file));
    await bot.shell("catalyst-migrate lint --strict");
    await bot.shell("catalyst-migrate rehearse");
    await bot.shell(upgrade);
    assert.equal(await bot.python("import left_out"), "left out: 3 ODD yesterday None\n");
    const open = `SELECT position_id, ticker, side, quantity, entry_price, current_price,
      unrealized_pnl, round(unrealized_pnl_pct, 9) AS pct, stop_loss_price, opened_at
      FROM positions ORDER BY position_id`;
    const columns = ["position_id", "ticker", "side", "quantity", "entry_price"];
    const shown = (sql: string) => query(database, sql).map((row) => Object.values(row as object));
    assert.deepEqual(shown(open), [
      ["bot-1", "AAPL", "long", 10, 190, 209, 190, 10, 180, Date.UTC(2026, 0, 30, 14, 30) / 1000],
      ["bot-2", "MSFT", "short", 5, 400, 380, 100, 5, null, Date.UTC(2026, 0, 31, 14) / 1000],
    ]);
    const closed = `SELECT ${columns.join(", ")}, exit_price, realized_pnl,
      round(realized_pnl_pct, 9) AS pct, holding_period_hours, exit_reason, closed_at
      FROM closed_positions ORDER BY position_id`;
    const tesla = ["bot-4", "TSLA", "short", 2, 200, 180, 40, 10, 25.5, "take_profit"];
    const close = Date.UTC(2026, 0, 3, 15, 30) / 1000;
    assert.deepEqual(shown(closed), [[...tesla, close]]);

    await bot.python(`
from db import connect
from datetime import datetime, timezone
connection = connect("data/positions.db")
connection.execute("UPDATE bot_positions SET closed = ?, exit_price = 170, reason = 'stop' WHERE id = 1",
                   (datetime.now(timezone.utc).isoformat(),))
connection.execute("UPDATE bot_positions SET opened = '2026-01-01T00:00:00' WHERE id = 3")
connection.execute("INSERT OR REPLACE INTO bot_positions (id, symbol, direction, shares, price, opened) "
                   "VALUES (2, 'MSFT', 'SHORT', 7, 400, ?)", (datetime.now().isoformat(),))
connection.execute("DELETE FROM bot_positions WHERE id = 4")
connection.execute("INSERT INTO bot_positions (symbol, direction, shares, price, opened) "
                   "VALUES ('NEW', 'sideways', 0, 0, '')")
`);
    assert.deepEqual(
      shown("SELECT position_id, quantity FROM positions ORDER BY position_id"),
      [["bot-2", 7], ["bot-3", 1]],
    );
    assert.deepEqual(
      shown("SELECT position_id, realized_pnl, exit_reason FROM closed_positions"),
      [["bot-1", -200, "stop_loss"]],
    );
    assert.match(await bot.shell("catalyst-migrate verify --data 2>&1"), /positions[^]*: ok\n/);

    await bot.shell("catalyst-migrate downgrade --to 003 --yes");
    assert.equal(query(database, "SELECT * FROM positions").length, 0);
    await bot.shell(upgrade);
    const last = "migrations/005_stop_mirroring.sql";
    Deno.writeTextFileSync(bot.file(last), blockOf(last));
    await bot.shell(upgrade);
    assert.equal(query(database, "SELECT * FROM positions").length, 2);
    assert.deepEqual(query(database, "SELECT name FROM sqlite_schema WHERE name GLOB 'bot_*'"), [
      { name: "bot_positions" },
    ]);
  },
});
