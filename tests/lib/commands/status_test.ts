import assert from "node:assert/strict";
import { createBot, execute, runCommandLine, TemporaryDirectory } from "../support.ts";

async function run(
  directory: TemporaryDirectory,
  ...args: string[]
): ReturnType<typeof runCommandLine> {
  return await runCommandLine([...args, "--data-dir", directory.path]);
}

/** The first line of `status`. */
async function answer(directory: TemporaryDirectory, ...args: string[]): Promise<string> {
  return (await run(directory, "status", ...args)).stdout.split("\n")[0] ?? "";
}

/** A directory with migrations that can be run, one file each. */
function ownMigrations(directory: TemporaryDirectory, count: number): string {
  const own = directory.file("own");
  Deno.mkdirSync(own);
  for (let id = 4; id < 4 + count; id++) {
    Deno.writeTextFileSync(
      `${own}/${String(id).padStart(3, "0")}_step.sql`,
      `-- database: trading\n-- migrate:up\nCREATE TABLE step_${id} (a);\n`,
    );
  }
  return own;
}

Deno.test("status answers first, then shows the databases, and fits on a screen", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  await run(directory, "backup", "trading");
  const { code, stdout } = await run(directory, "status");
  assert.equal(code, 0);
  const lines = stdout.trimEnd().split("\n");
  assert(lines.length <= 24, stdout);
  assert.equal(
    lines[0],
    "Everything is up to date. `backup` saves the databases that have no backup yet.",
  );
  assert.match(lines[2] ?? "", /^DATABASE +PATH +SIZE +LAST BACKUP$/);
  assert.match(lines[3] ?? "", /^positions +.+positions\.db +[\d.]+ kB +never$/);
  assert.match(lines[4] ?? "", /^trading +.+trading\.db +[\d.]+ kB +just now$/);
  assert.equal(
    lines[7],
    "3 migrations applied, the last (003_create_ml_training_tables) just now.",
  );
  assert.equal(lines[9], "Last 24 hours (`history` shows more)");
  await run(directory, "backup");
  assert.equal(await answer(directory), "Everything is up to date.");
});

Deno.test("status shows the outcomes of the last day only, without their beginnings", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const { stdout } = await run(directory, "status");
  assert.doesNotMatch(stdout, /upgrade started/);
  assert.equal(stdout.match(/upgrade applied/g)?.length, 3);
  execute(
    directory.file("migrations.db"),
    `DROP TRIGGER migration_events_keep_update;
    UPDATE migration_events SET started_at = started_at - 86500`,
  );
  assert.doesNotMatch((await run(directory, "status")).stdout, /Last 24 hours/);
});

Deno.test("status lists what is pending, and everything with --verbose", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const own = ["--migrations-dir", ownMigrations(directory, 12)];
  const { stdout } = await run(directory, "status", ...own);
  assert.match(stdout, /^12 migrations are pending\. `upgrade` applies them\.\n/);
  assert.match(stdout, /\nMIGRATION +DATABASE +STATE\n004_step +trading +pending\n/);
  assert.match(stdout, /\n011_step .*\nand 4 more; `status --verbose` lists all\n/);
  assert.doesNotMatch(stdout, /012_step|001_create.*applied\n/);
  assert(stdout.trimEnd().split("\n").length <= 24, stdout);
  const all = (await run(directory, "status", "--verbose", ...own)).stdout;
  assert.match(all, /\n001_create_positions_tables +positions +applied +\d{4}-\d\d-\d\d .* ms\n/);
  assert.match(all, /\n015_step +trading +pending +- +-\n/);
});

Deno.test("the first line of status says what to do next", async () => {
  using directory = new TemporaryDirectory();
  const { stdout } = await run(directory, "status");
  assert.match(stdout, /^There are no databases yet\. `upgrade` creates them\.\n/);
  assert.match(stdout, /\npositions +.+ +missing +never\n/);
  await run(directory, "upgrade", "--to", "002");
  assert.equal(await answer(directory), "1 migration is pending. `upgrade` applies it.");
  await run(directory, "upgrade");
  execute(directory.file("migrations.db"), "DELETE FROM migration_history");
  assert.equal(
    await answer(directory),
    "The ledger differs from the databases. `upgrade` corrects it.",
  );
  await run(directory, "upgrade");
  execute(directory.file("trading.db"), "UPDATE catalyst_migrations SET upgrade_sql = 'SELECT 1'");
  assert.equal(
    await answer(directory),
    "002_create_trading_tables differs from what was applied. `doctor` says what to do.",
  );
  Deno.removeSync(directory.file("trading.db"));
  assert.equal(
    await answer(directory),
    "trading is missing or empty, although it had content before; no snapshot has trading.",
  );
  Deno.writeTextFileSync(directory.file("positions.db"), "no database".repeat(99));
  assert.equal(
    await answer(directory),
    "A database or the ledger can't be read. `doctor` says what to do.",
  );
});

Deno.test("status names a migration that failed, and a table that conflicts with one", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("trading.db"), "CREATE VIEW v_recent_orders AS SELECT 1");
  await run(directory, "upgrade");
  assert.equal(
    await answer(directory),
    "002_create_trading_tables failed. Correct the cause, then run `upgrade`.",
  );
  using other = new TemporaryDirectory();
  execute(other.file("trading.db"), "CREATE TABLE orders (a)");
  assert.equal(
    await answer(other),
    "A table conflicts with a migration. `upgrade` says how to keep the table.",
  );
});

Deno.test("status shows what it can where the snapshots can't be read", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  Deno.writeTextFileSync(directory.file("backups"), "a file");
  const { code, stdout } = await run(directory, "status");
  assert.equal(code, 0);
  assert.match(stdout, /^Everything is up to date\.\n/);
  assert.match(stdout, /trading\.db +[\d.]+ kB +unknown\n/);
  const { databases } = JSON.parse((await run(directory, "status", "--json")).stdout);
  assert.equal(databases[0].lastBackup, null);
});

Deno.test("a snapshot that lost a file does not count as a backup", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  await run(directory, "backup");
  const backups = directory.file("backups");
  for (const { name } of Deno.readDirSync(backups)) {
    if (name.startsWith("trading_")) Deno.removeSync(`${backups}/${name}`);
  }
  assert.match((await run(directory, "status")).stdout, /trading\.db +[\d.]+ kB +never\n/);
});
