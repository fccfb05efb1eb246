import assert from "node:assert/strict";
import {
  type CommandResult,
  createBot,
  execute,
  fillBot,
  runCommandLine,
  TemporaryDirectory,
} from "../support.ts";

/** A bot whose database `cache`, which has no migrations, holds two rows. */
async function createCache(directory: TemporaryDirectory): Promise<{
  readonly cm: (...args: readonly string[]) => Promise<CommandResult>;
}> {
  execute(
    directory.file("cache.db"),
    "PRAGMA journal_mode = WAL; CREATE TABLE c (x); INSERT INTO c VALUES (1), (2)",
  );
  execute(directory.file("other.db"), "CREATE TABLE o (x)");
  Deno.writeTextFileSync(
    directory.file("catalyst.json"),
    JSON.stringify({
      databases: { cache: "cache.db", other: "other.db" },
      bundled: false,
      dataDir: ".",
    }),
  );
  const cm = async (...args: readonly string[]) =>
    await runCommandLine(args, { cwd: directory.path });
  assert.equal((await cm("upgrade")).code, 0);
  return { cm };
}

Deno.test("commands that read a database leave an empty file empty, and no log beside it", async () => {
  using directory = new TemporaryDirectory();
  const { cm } = await createCache(directory);
  assert.equal((await cm("backup")).code, 0);
  Deno.writeTextFileSync(directory.file("cache.db"), "");
  const commands = [
    "backup",
    "backup cache",
    "status",
    "status --check",
    "verify --data --hash",
    "doctor",
    "query cache SELECT+1",
    "export cache",
    "upgrade",
    "rehearse",
  ];
  for (const command of commands) {
    await cm(...command.split(" ").map((word) => word.replace("+", " ")));
    const left = directory.listing().filter((name) => name.startsWith("cache")).join();
    assert.match(left, /^cache\.db 0 \d+$/, command);
  }
});

for (const state of ["missing", "empty"] as const) {
  Deno.test(`a database without migrations that is ${state} is reported with the snapshot that has it`, async () => {
    using directory = new TemporaryDirectory();
    const { cm } = await createCache(directory);
    const { snapshot } = JSON.parse((await cm("backup", "--json")).stdout);
    for (const ending of ["", "-wal", "-shm"]) {
      await Deno.remove(directory.file(`cache.db${ending}`)).catch(() => {});
    }
    if (state === "empty") Deno.writeTextFileSync(directory.file("cache.db"), "");
    const way = `\`restore ${snapshot.name} cache\` brings it back`;
    const lost = "cache is missing or empty, although it had content before; ";

    const backup = await cm("backup", "--json");
    assert.equal(backup.code, 1);
    assert.deepEqual(JSON.parse(backup.stdout).lost, [
      { database: "cache", snapshot: snapshot.name },
    ]);
    assert.match(backup.stderr, /^warning: cache is not backed up: /m);
    assert(backup.stderr.includes(way));
    const recent = await cm("backup", "--if-older-than", "24h");
    assert.equal(recent.code, 1);
    assert(recent.stderr.includes(way));
    const alone = await cm("backup", "cache");
    assert.equal(alone.code, 1);
    assert(alone.stderr.includes(way));

    const status = await cm("status");
    assert.equal(status.stdout.replaceAll("\n", " ").startsWith(`${lost}${way}.`), true);
    assert.equal((await cm("status", "--check", "--max-backup-age", "26h")).code, 1);
    const verify = await cm("verify", "--data");
    assert.equal(verify.code, 1);
    assert(verify.stdout.includes(way));

    const list = await cm("backup", "list");
    assert.match(list.stdout, /^\d.* without cache$/m);
    const absent = await cm("restore", "latest", "cache", "--yes");
    assert.equal(absent.code, 1);
    assert(absent.stderr.includes(`\`restore ${snapshot.name} cache\``), absent.stderr);
    const latest = await cm("restore", "latest", "--yes");
    assert.equal(latest.code, 0);
    assert(latest.stderr.includes(way), latest.stderr);

    Deno.removeSync(directory.file("other.db")); // it never had rows
    const doctor = await cm("doctor");
    assert.equal(doctor.code, 1);
    const text = doctor.stdout.replaceAll(/\s+/g, " ");
    assert(text.includes(way), text);
    assert.match(text, /other\.db does not exist yet.*? help: its program creates it/);

    assert.equal((await cm("backup", "prune", "--keep", "1")).code, 0);
    assert.equal((await cm("restore", snapshot.name, "cache", "--yes")).code, 0);
    assert.match((await cm("query", "cache", "SELECT count(*) FROM c")).stdout, /^ *2$/m);
    assert.equal((await cm("status", "--check")).code, 0);
  });
}

Deno.test("upgrade warns that it creates a lost database without rows, and names the snapshot that has it", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  const { name } = await bot.createSnapshot();
  await Deno.remove(directory.file("trading.db"));
  const { code, stdout, stderr } = await runCommandLine(
    ["upgrade", "--json", "--data-dir", directory.path],
  );
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(stdout).lost, [{ database: "trading", snapshot: name }]);
  assert(stderr.includes(`without rows; \`restore ${name} trading\` brings it back`), stderr);
});

Deno.test("a damaged database without migrations does not block those of the others; one with them names its snapshot", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("cache.db"), "CREATE TABLE c (x); INSERT INTO c VALUES (1)");
  Deno.writeTextFileSync(
    directory.file("catalyst.json"),
    JSON.stringify({ databases: { cache: "cache.db" }, dataDir: "." }),
  );
  const cm = async (...args: readonly string[]) =>
    await runCommandLine(args, { cwd: directory.path });
  assert.equal((await cm("upgrade", "--to", "002")).code, 0);
  const { snapshot } = JSON.parse((await cm("backup", "--json")).stdout);
  Deno.writeTextFileSync(directory.file("cache.db"), "no database".repeat(999));
  const { code, stdout, stderr } = await cm("upgrade");
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^warning: Cannot use .*cache\.db: .*; `doctor` says what to do$/m);
  assert.match(stdout, /^applied +003_/m);
  assert.equal((await cm("status")).code, 1);

  Deno.writeTextFileSync(directory.file("trading.db"), "no database".repeat(999));
  const help = new RegExp(`\`restore ${snapshot.name} trading\` brings it back; otherwise `);
  const blocked = await cm("upgrade");
  assert.equal(blocked.code, 1);
  assert.match(blocked.stderr, help);
  assert.match((await cm("doctor")).stdout.replaceAll(/\s+/g, " "), help);
});
