import assert from "node:assert/strict";
import { expandDirectories } from "../../../lib/commands/each_data_dir.ts";
import { UsageError } from "../../../lib/base/errors.ts";
import { createBot, query, runCommandLine, TemporaryDirectory } from "../support.ts";

const NOT_A_DATABASE = "this is not a database at all, and longer than a header";

Deno.test("a pattern is expanded in order, without files and hidden directories", () => {
  using directory = new TemporaryDirectory();
  for (const path of ["b/data", "a/data", ".hidden/data", "c"]) {
    Deno.mkdirSync(directory.file(path), { recursive: true });
  }
  Deno.writeTextFileSync(directory.file("d"), "");
  const { path } = directory;
  assert.deepEqual(expandDirectories([`${path}/*/data`]), [`${path}/a/data`, `${path}/b/data`]);
  assert.deepEqual(expandDirectories([`${path}/c/`, `${path}/*`]), [
    `${path}/c`,
    `${path}/a`,
    `${path}/b`,
  ]);
  assert.throws(() => expandDirectories([`${path}/x*`]), UsageError);
});

Deno.test("a failure in one of three bots does not stop the others", async () => {
  using directory = new TemporaryDirectory();
  for (const name of ["a", "b", "c"]) {
    Deno.mkdirSync(directory.file(`${name}/data`), { recursive: true });
  }
  const all = ["--data-dir", "*/data"];
  const run = (...args: string[]) => runCommandLine([...args, ...all], { cwd: directory.path });
  const upgraded = await run("upgrade");
  assert.equal(upgraded.code, 0, upgraded.stderr);
  assert.match(upgraded.stderr, /^b\/data +ok$/m);

  Deno.writeTextFileSync(directory.file("b/data/trading.db"), NOT_A_DATABASE);
  const text = await run("status", "--check", "--quiet");
  assert.equal(text.code, 1);
  assert.match(text.stdout, /^b\/data +failed: see above$/m);
  const { code, stdout } = await run("status", "--json");
  assert.equal(code, 1);
  assert.deepEqual(
    JSON.parse(stdout).map(({ directory, exitCode, ok }: Record<string, unknown>) => [
      directory,
      exitCode,
      ok,
    ]),
    [["a/data", 0, true], ["b/data", 1, false], ["c/data", 0, true]],
  );
  const failed = await run("history", "--database", "nope");
  assert.match(failed.stderr, /^== a\/data\nerror: /m);
  const stopped = await run("backup", "--stop-at-first", "--quiet");
  assert.equal(stopped.code, 1);
  assert.match(stopped.stderr, /1 directory skipped after a failure in b\/data/);
});

Deno.test("upgrade skips the other bots if the first one fails", async () => {
  using directory = new TemporaryDirectory();
  for (const name of ["a", "b"]) {
    Deno.mkdirSync(directory.file(`${name}/data`), { recursive: true });
  }
  Deno.writeTextFileSync(directory.file("a/data/positions.db"), NOT_A_DATABASE);
  const args = ["upgrade", "--data-dir", "a/data", "--data-dir", "b/data"];
  const { code, stdout } = await runCommandLine(args, { cwd: directory.path });
  assert.equal(code, 1);
  assert.match(stdout, /^b\/data +skipped$/m);
  assert.deepEqual([...Deno.readDirSync(directory.file("b/data"))], []);
});

Deno.test("commands that replace data refuse several directories", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  for (const command of ["restore", "downgrade", "import"]) {
    const args = [command, "--data-dir", "a", "--data-dir", "b"];
    const { code, stderr } = await runCommandLine(args, { cwd: directory.path });
    assert.equal(code, 2);
    assert.match(stderr, /: it takes only one data directory\nhelp: name one/);
  }
});

Deno.test("databases of a configuration are migrated, backed up and isolated by a prefix", async () => {
  using directory = new TemporaryDirectory();
  const configuration = {
    databases: { market: "market.db", alerts: "feedback/x/alerts.db", trading: "paper/trading.db" },
  };
  Deno.writeTextFileSync(directory.file("catalyst.json"), JSON.stringify(configuration));
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(
    directory.file("migrations/004_prices.sql"),
    "-- database: market\n-- migrate:up\nCREATE TABLE prices (ticker TEXT);\n",
  );
  const run = (args: string[], env = {}) => runCommandLine(args, { cwd: directory.path, env });
  assert.equal((await run(["upgrade"])).code, 0);
  assert.equal(query(directory.file("data/market.db"), "SELECT * FROM prices").length, 0);
  assert(Deno.statSync(directory.file("data/paper/trading.db")).isFile);
  const { snapshot } = JSON.parse((await run(["backup", "--json"])).stdout);
  assert.deepEqual(
    snapshot.files.map(({ database }: { database: string }) => database),
    ["positions", "trading", "ml_training", "market", "migrations"],
  );
  const before = Deno.readFileSync(directory.file("data/market.db"));
  assert.equal((await run(["upgrade"], { DB_PATH_PREFIX: "test_" })).code, 0);
  assert(Deno.statSync(directory.file("test_market.db")).isFile);
  assert(Deno.statSync(directory.file("test_paper/trading.db")).isFile);
  assert.deepEqual(Deno.readFileSync(directory.file("data/market.db")), before);
});
