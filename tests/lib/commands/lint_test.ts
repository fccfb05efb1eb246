import assert from "node:assert/strict";
import { createBot, execute, fillBot, runCommandLine, TemporaryDirectory } from "../support.ts";

/** A bot's databases with rows, and a directory with one migration. */
async function botWith(text: string): Promise<{ directory: TemporaryDirectory; file: string }> {
  const directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 4);
  Deno.mkdirSync(directory.file("migrations"));
  const file = directory.file("migrations/004_change.sql");
  Deno.writeTextFileSync(file, text);
  return { directory, file };
}

function run(directory: TemporaryDirectory, ...args: string[]) {
  const places = ["--data-dir", directory.path, "--migrations-dir", directory.file("migrations")];
  return runCommandLine([...args, ...places]);
}

const dropping = `-- database: trading
-- migrate:up

DROP TABLE fills;
-- migrate:down
SELECT 1;
`;

Deno.test("lint prints each finding with its place and a fix, and exits with 1 for an error", async () => {
  const { directory, file } = await botWith(dropping);
  using _directory = directory;
  const { code, stdout, stderr } = await run(directory, "lint");
  assert.deepEqual([code, stderr], [1, ""]);
  assert.match(stdout, new RegExp(`^004_change:\n  error table-dropped at ${file}:4: .* 4 rows`));
  assert.match(stdout, /\n {4}fix: .*destroys:fills/);
  assert.match(stdout, /1 migration checked: \d errors? and \d warnings?\.\n$/);
});

Deno.test("lint exits with 0 for warnings, and with 1 if strict", async () => {
  const { directory, file } = await botWith(
    "-- database: trading\n-- migrate:up\nCREATE TABLE notes (a);\n",
  );
  using _directory = directory;
  const { code, stdout } = await run(directory, "lint", file);
  assert.equal(code, 0);
  assert.match(stdout, /warning no-downgrade/);
  assert.equal((await run(directory, "lint", "--strict")).code, 1);
  const large = await run(directory, "lint", "--large-table", "none");
  assert.equal(large.code, 2);
});

Deno.test("lint says which databases it did not try with rows, and why", async () => {
  const { directory } = await botWith(
    "-- database: trading\n-- migrate:up\nCREATE UNIQUE INDEX u ON many (a);\n-- migrate:down\nDROP INDEX u;\n",
  );
  using _directory = directory;
  execute(
    directory.file("trading.db"),
    `CREATE TABLE many (a);
    WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
    INSERT INTO many SELECT 1 FROM n`,
  );
  const { code, stdout } = await run(directory, "lint");
  assert.equal(code, 0);
  assert.match(
    stdout,
    /\ntrading: not tried with its rows, because it has more than 50,000 rows; `rehearse` tries them\n/,
  );
  const json = await run(directory, "lint", "--json");
  assert.deepEqual(JSON.parse(json.stdout).untried, [
    { database: "trading", reason: "it has more than 50,000 rows" },
  ]);
  execute(directory.file("trading.db"), "DELETE FROM many WHERE rowid > 2");
  const small = await run(directory, "lint", "--json");
  assert.deepEqual(JSON.parse(small.stdout).untried, []);
  assert.equal(small.code, 1);
});

Deno.test("lint writes one JSON document", async () => {
  const { directory, file } = await botWith(dropping);
  using _directory = directory;
  const { code, stdout } = await run(directory, "lint", "--json");
  const { ok, checked, findings } = JSON.parse(stdout);
  assert.deepEqual([code, ok, checked], [1, false, ["004_change"]]);
  assert.deepEqual(Object.keys(findings[0]), [
    "code",
    "severity",
    "migration",
    "database",
    "file",
    "line",
    "statement",
    "reason",
    "fix",
  ]);
  assert.deepEqual([findings[0].file, findings[0].line], [file, 4]);
});

Deno.test("lint has nothing to check if no own migration is pending, and exits with 2 for an unknown file", async () => {
  using directory = new TemporaryDirectory();
  const { code, stdout } = await runCommandLine(["lint", "--data-dir", directory.path]);
  assert.deepEqual([code, stdout], [0, "Nothing to check: none of your migrations is pending.\n"]);
  const args = ["lint", "nowhere.sql", "--data-dir", directory.path];
  assert.equal((await runCommandLine(args)).code, 2);
});

Deno.test("upgrade refuses undeclared data loss with place and fix, and changes nothing", async () => {
  const { directory, file } = await botWith(dropping);
  using _directory = directory;
  execute(directory.file("trading.db"), "PRAGMA wal_checkpoint(TRUNCATE)");
  const before = directory.listing({ timesOf: /^trading.db$/ });
  const { code, stderr } = await run(directory, "upgrade");
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`drops table "fills" with 4 rows \\(${file}:4\\)`));
  assert.match(stderr, /help: .*destroys:fills/);
  assert.deepEqual(
    directory.listing({ timesOf: /^trading.db$/ }).filter((name) => name.startsWith("trading.db ")),
    before.filter((name) => name.startsWith("trading.db ")),
  );
  Deno.writeTextFileSync(
    file,
    dropping.replace("migrate:up", "migrate:up destroys:fills")
      .replace("DROP TABLE", "DROP VIEW v_order_fill_stats;\nDROP TABLE"),
  );
  const upgraded = await run(directory, "upgrade");
  assert.equal(upgraded.code, 0, upgraded.stderr);
});

Deno.test("upgrade --dry-run shows what each migration would do", async () => {
  const { directory } = await botWith(
    `-- database: trading
-- migrate:up destroys:orders,fills
CREATE TABLE notes (a);
UPDATE orders SET ticker = lower(ticker);
DELETE FROM fills WHERE fill_id = 'F1';
-- migrate:down
DROP TABLE notes;
`,
  );
  using _directory = directory;
  const { code, stdout } = await run(directory, "upgrade", "--dry-run");
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^-- would apply 004_change to trading\n-- {3}creates table notes\n-- {3}updates all 4 rows of orders\n-- {3}deletes some of the 4 rows of fills\nCREATE TABLE notes/,
  );
  const { apply } = JSON.parse((await run(directory, "upgrade", "--dry-run", "--json")).stdout);
  assert.deepEqual(apply[0].objects, [{ change: "creates", type: "table", name: "notes" }]);
  assert.equal(apply[0].rows[0].rows, 4);
});

Deno.test("upgrade --dry-run shows the effects of a migration that upgrade refuses, and fails like it", async () => {
  const { directory } = await botWith(
    "-- database: trading\n-- migrate:up\nUPDATE orders SET status = 'filled';\n",
  );
  using _directory = directory;
  const before = directory.listing();
  const planned = await run(directory, "upgrade", "--dry-run");
  const json = await run(directory, "upgrade", "--dry-run", "--json");
  assert.deepEqual(directory.listing(), before);
  const upgraded = await run(directory, "upgrade");
  assert.match(upgraded.stderr, /^error: Cannot apply 004_change: .*without declaring it/);
  assert.deepEqual([planned.code, planned.stderr], [1, upgraded.stderr]);
  assert.match(planned.stdout, /^-- {3}updates all 4 rows of orders$/m);
  assert.match(planned.stdout, /\n1 migration is pending\. Nothing was changed\.\n$/);
  const { ok, error } = JSON.parse(json.stdout);
  assert.deepEqual([json.code, ok, error.code], [1, false, "LINT_REFUSED"]);
});
