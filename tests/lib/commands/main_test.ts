import assert from "node:assert/strict";
import { version } from "../../../lib/base/version.ts";
import { createBot, execute, runCommandLine, TemporaryDirectory } from "../support.ts";

/** A test's name, arguments, exit code, stdout and stderr. */
const cases: readonly [string, readonly string[], number, RegExp, RegExp][] = [
  [
    "--version tells the version",
    ["--version"],
    0,
    new RegExp(`^catalyst-migrate ${version}\n`),
    /^$/,
  ],
  ["--help is the general help", ["--help"], 0, /Usage: catalyst-migrate \[COMMAND\]/, /^$/],
  ["help is the general help", ["help"], 0, /Usage: catalyst-migrate \[COMMAND\]/, /^$/],
  ["help with a command is its help", ["help", "verify"], 0, /^catalyst-migrate verify: /, /^$/],
  ["help on help is the general help", ["help", "help"], 0, /Usage: catalyst-migrate \[/, /^$/],
  [
    "--help after the value of a flag is the general help",
    ["--data-dir", "x", "--help"],
    0,
    /Usage: catalyst-migrate \[COMMAND\]/,
    /^$/,
  ],
  [
    "help with a subcommand is its help",
    ["help", "backup", "prune"],
    0,
    /^catalyst-migrate backup prune: /,
    /^$/,
  ],
  [
    "a subcommand's -h is its help",
    ["backup", "list", "-h"],
    0,
    /^catalyst-migrate backup list: /,
    /^$/,
  ],
  ["a command's --help is its help", ["status", "--help"], 0, /^catalyst-migrate status: /, /^$/],
  [
    "an unknown command is wrong usage",
    ["stauts"],
    2,
    /^$/,
    /^error: .*\nhelp: did you mean "status"/,
  ],
  ["a word near help is wrong usage", ["halp"], 2, /^$/, /^error: .*\nhelp: did you mean "help"/],
  [
    "an unknown flag is wrong usage",
    ["status", "--chek"],
    2,
    /^$/,
    /^error: .*\nhelp: did you mean "--check"/,
  ],
  [
    "a bad number is wrong usage",
    ["status", "--timeout", "soon"],
    2,
    /^$/,
    /^error: .*--timeout "soon"/,
  ],
  [
    "an empty data directory is wrong usage",
    ["status", "--data-dir", ""],
    2,
    /^$/,
    /^error: .*--data-dir/,
  ],
  [
    "an unknown migration is wrong usage",
    ["upgrade", "--to", "9"],
    2,
    /^$/,
    /^error: .*migration "9"/,
  ],
];

for (const [name, args, code, stdout, stderr] of cases) {
  Deno.test(name, async () => {
    using directory = new TemporaryDirectory();
    const result = await runCommandLine(args, { cwd: directory.path });
    assert.equal(result.code, code);
    assert.match(result.stdout, stdout);
    assert.match(result.stderr, stderr);
    assert.deepEqual(directory.names(), []);
  });
}

Deno.test("a usage error with --json is one document, and nothing else", async () => {
  using directory = new TemporaryDirectory();
  const args = ["status", "--chek", "--json"];
  const { code, stdout, stderr } = await runCommandLine(args, { cwd: directory.path });
  assert.equal(code, 2);
  assert.equal(stderr, "");
  const { ok, error } = JSON.parse(stdout);
  assert.equal(ok, false);
  assert.deepEqual(Object.keys(error), ["code", "message", "help"]);
  assert.equal(error.code, "USAGE");
});

Deno.test("the data directory is data/, or set by --data-dir or DB_PATH_PREFIX", async () => {
  using directory = new TemporaryDirectory();
  const { path: cwd } = directory;
  assert.equal((await runCommandLine([], { cwd })).code, 0);
  assert.equal((await runCommandLine(["--data-dir", "other"], { cwd })).code, 0);
  const env = { DB_PATH_PREFIX: "test_" };
  assert.equal((await runCommandLine(["upgrade"], { cwd, env })).code, 0);
  assert.deepEqual(directory.names(), [
    "data",
    "other",
    "test_migrations.db",
    "test_migrations.lock",
    "test_ml_training.db",
    "test_positions.db",
    "test_trading.db",
  ]);
  const given = await runCommandLine(["status", "--data-dir", "other", "--json"], { cwd, env });
  assert.equal(JSON.parse(given.stdout).databases[0].path, "other/positions.db");
});

Deno.test("DB_PATH_PREFIX in a missing directory is refused by name", async () => {
  using directory = new TemporaryDirectory();
  const env = { DB_PATH_PREFIX: "none/test_" };
  const { code, stderr } = await runCommandLine([], { cwd: directory.path, env });
  assert.notEqual(code, 0);
  assert.match(stderr, /^error: .*DB_PATH_PREFIX.*none/);
  assert.deepEqual(directory.names(), []);
});

Deno.test("an invalid setting is refused before anything is done", async () => {
  using directory = new TemporaryDirectory();
  const env = { SQLITE_SYNCHRONOUS: "MAYBE" };
  const { code, stderr } = await runCommandLine([], { cwd: directory.path, env });
  assert.equal(code, 2);
  assert.match(stderr, /^error: .*SQLITE_SYNCHRONOUS="MAYBE"/);
  assert.deepEqual(directory.names(), []);
});

Deno.test("--quiet omits the narration, but not the answer", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("mine.db"), "CREATE TABLE t (a)");
  const args = ["status", "--data-dir", directory.path];
  const loud = await runCommandLine(args);
  assert.match(loud.stderr, /^1 file is not covered/);
  const quiet = await runCommandLine([...args, "--quiet"]);
  assert.equal(quiet.stderr, "");
  assert.equal(quiet.stdout, loud.stdout);
});

Deno.test("--verbose prints on stderr what is being done", async () => {
  using directory = new TemporaryDirectory();
  const { stdout, stderr } = await runCommandLine(["--verbose", "--data-dir", directory.path]);
  assert.match(stderr, /applying 001_create_positions_tables in positions/);
  assert.doesNotMatch(stdout, /applying/);
});

Deno.test("a stack trace is printed only with --verbose", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  Deno.writeTextFileSync(directory.file("trading.db"), "no database ".repeat(400));
  const args = ["upgrade", "--data-dir", directory.path];
  const short = await runCommandLine(args);
  assert.equal(short.code, 1);
  assert.doesNotMatch(short.stderr, /\n\s+at /);
  assert.match((await runCommandLine([...args, "--verbose"])).stderr, /\n\s+at /);
});
