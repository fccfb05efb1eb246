import assert from "node:assert/strict";
import { join } from "node:path";
import {
  cliCommand,
  existsSync,
  filesOf,
  outputOf,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { enlarge, makeBot } from "../snapshot/files.ts";

const isWindows = Deno.build.os === "windows";
const withoutSignals = isWindows ? " (skipped: Windows has no SIGINT to send)" : "";

const UP = "UPDATE orders SET metadata = lower(metadata) WHERE metadata IS NOT NULL;";
const DOWN = "UPDATE orders SET metadata = upper(metadata) WHERE metadata IS NOT NULL;";

/** A bot with larger rows, and a directory with one migration. */
async function prepare(
  migration = `-- migrate:up\n${UP}\n-- migrate:down\n${DOWN}\n`,
): Promise<Bot> {
  const dir = await tempDir();
  await makeBot(dir);
  enlarge(dir, "X", 5000);
  const migrations = join(dir.path, "migrations");
  await Deno.mkdir(migrations);
  await Deno.writeTextFile(
    join(migrations, "004_lower.sql"),
    `-- database: trading\n${migration}`,
  );
  return {
    ...dir,
    args: ["rehearse", "--data-dir", dir.path, "--migrations-dir", migrations],
    files: () => {
      const { migrations: _, ...files } = dataOf(dir);
      return files;
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

interface Bot extends TempDir {
  readonly args: readonly string[];
  /** Its files with all bytes. */
  files(): Record<string, string>;
}

function dataOf(dir: TempDir): Record<string, string> {
  const files: Record<string, string> = {};
  for (const { name, isDirectory } of Deno.readDirSync(dir.path)) {
    files[name] = isDirectory
      ? Object.keys(filesOf(join(dir.path, name))).join()
      : Deno.readFileSync(join(dir.path, name)).toHex();
  }
  return files;
}

/** Names of the rehearsals' directories. */
function rehearsals(dir: TempDir): string[] {
  return [...Deno.readDirSync(dir.path)].map(({ name }) => name)
    .filter((name) => name.startsWith("rehearsal-"));
}

Deno.test("a rehearsal is shown as tables, and exits with 0 if there is no surprise", async () => {
  await using bot = await prepare();
  const before = bot.files();
  const { code, stdout, stderr } = await runCli(bot.args);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^On a copy of trading \([\d.]+ MB\), made in .*; writers waited .*:$/m);
  assert.match(stdout, /^ +MIGRATION +DATABASE +TOOK +LOCKED +ROWS +WAY BACK$/m);
  assert.match(stdout, /^ +004_lower +trading .* 5,000 /m);
  assert.match(stdout, /^ +004 +orders +5,003 +5,003 +changed +as before$/m);
  assert.match(stdout, /1 migration rehearsed, no surprises\. Nothing was changed/);
  assert.deepEqual(bot.files(), before);
});

Deno.test("a surprise is shown with a fix, and exits with 1", async () => {
  await using bot = await prepare(`-- migrate:up\n${UP}\n-- migrate:down\nSELECT 1;\n`);
  const { code, stdout } = await runCli(bot.args);
  assert.equal(code, 1);
  assert.match(
    stdout,
    /^surprise: 004_lower: its downgrade does not restore the values of metadata .* \[values-lost\]$/m,
  );
  assert.match(stdout, /^ +fix: /m);
  const json = await runCli([...bot.args, "--json"]);
  assert.equal(json.code, 1);
  const document = JSON.parse(json.stdout);
  assert.deepEqual(
    [document.ok, document.surprises[0].code, document.migrations[0].statements[0].line],
    [false, "values-lost", 3],
  );
});

Deno.test("a rehearsal without pending migrations says so", async () => {
  await using bot = await prepare();
  const { code, stdout } = await runCli([...bot.args, "--to", "003"]);
  assert.deepEqual([code, stdout], [0, "Nothing to rehearse: no migration is pending.\n"]);
});

Deno.test("copies may be made in another directory", async () => {
  await using bot = await prepare();
  await using elsewhere = await tempDir();
  const { code, stderr } = await runCli([...bot.args, "--dir", elsewhere.path]);
  assert.equal(code, 0, stderr);
  assert.deepEqual([...Deno.readDirSync(elsewhere.path)], []);
});

Deno.test("a killed rehearsal has changed nothing, and the next one cleans up", async () => {
  await using bot = await prepare();
  const before = bot.files();
  for (const delay of [0, 20, 60, 150]) {
    const child = cliCommand(bot.args).spawn();
    const output = outputOf(child);
    await begun(bot, output);
    await new Promise((resolve) => setTimeout(resolve, delay));
    try {
      child.kill("SIGKILL");
    } catch {
      // it had ended
    }
    await output;
    const { ...files } = bot.files();
    for (const name of rehearsals(bot)) delete files[name];
    assert.deepEqual(withoutShared(files), withoutShared(before));
  }
  const { code, stderr } = await runCli(bot.args);
  assert.equal(code, 0, stderr);
  assert.deepEqual(rehearsals(bot), []);
});

Deno.test({
  name:
    `interrupted between statements, a rehearsal removes its copies and says so${withoutSignals}`,
  ignore: isWindows,
  async fn() {
    await using bot = await prepare(
      `-- migrate:up\n${UP.repeat(200)}\n-- migrate:down\nSELECT 1;\n`,
    );
    const child = cliCommand(bot.args).spawn();
    const output = outputOf(child);
    await begun(bot, output);
    await new Promise((resolve) => setTimeout(resolve, 100));
    child.kill("SIGINT");
    const { code, stderr } = await output;
    assert.equal(code, 130);
    const text = new TextDecoder().decode(stderr);
    // During a statement the signal ends the process at once, and a later command cleans up.
    if (text === "") return;
    assert.match(text, /^error: Cannot .*: interrupted$/m);
    assert.deepEqual(rehearsals(bot), []);
  },
});

/** Waits until a rehearsal has created its directory with the lock, or has ended. */
async function begun(dir: TempDir, output: Promise<unknown>): Promise<void> {
  let ended = false;
  const end = output.then(() => ended = true);
  const known = new Set(rehearsals(dir));
  const isNew = (name: string) =>
    !known.has(name) && existsSync(join(dir.path, name, "rehearsal.lock"));
  while (!ended && !rehearsals(dir).some(isNew)) {
    await Promise.race([end, new Promise((resolve) => setTimeout(resolve, 1))]);
  }
}

/** A killed reader of a database leaves an empty log and its index. */
function withoutShared(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).filter(([name, hex]) =>
      !name.endsWith("-shm") && !(name.endsWith("-wal") && hex === "")
    ),
  );
}
