import assert from "node:assert/strict";
import { join } from "node:path";
import { prepare } from "../../cli_helpers.ts";
import { execute, tempDir } from "../../helpers.ts";
import { Program } from "../support.ts";
import { examine, FILL, HOLD_OLD_ROWS, testOnLinux } from "./support.ts";

/** Moves `data/trading.db` to another directory, and replaces it with a link. */
async function moveAndLink(cwd: string): Promise<string> {
  const real = join(cwd, "elsewhere/trading.db");
  await Deno.mkdir(join(cwd, "elsewhere"));
  await Deno.rename(join(cwd, "data/trading.db"), real);
  await Deno.symlink("../elsewhere/trading.db", join(cwd, "data/trading.db"));
  return real;
}

const narrow = ["--allow-read", "--allow-write", "--allow-env"];

testOnLinux("doctor reads the log of a database that is a symbolic link", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await moveAndLink(cwd);
  await using bot = await Program.start(
    join(cwd, "data/trading.db"),
    `db.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM catalyst_migrations; BEGIN IMMEDIATE")`,
  );
  const diagnosis = await examine({ cwd, permissions: ["-A"] });
  assert.deepEqual(diagnosis.codes("problem"), [], JSON.stringify(diagnosis.checks));
  assert.match(diagnosis.only("adoptable").detail, /002 found by the tables/);
  assert(diagnosis.only("write-locked").detail.includes(`process ${bot.pid} `));
  const unread = await examine({ cwd, permissions: narrow });
  assert.deepEqual(unread.codes("problem"), [], JSON.stringify(unread.checks));
  assert.match(unread.only("databases-not-read").detail, /^trading: not examined/);
});

testOnLinux("doctor names the reader of a linked database that blocks checkpoints", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = await moveAndLink(cwd);
  execute(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
  await using _first = await Program.start(path, "");
  await using reader = await Program.start(path, HOLD_OLD_ROWS);
  await using _writer = await Program.start(join(cwd, "data/trading.db"), FILL);
  const diagnosis = await examine({ cwd });
  assert.deepEqual(diagnosis.codes("problem"), ["checkpoint-blocked"]);
  assert(diagnosis.only("checkpoint-blocked").detail.includes(`process ${reader.pid} `));
});

testOnLinux("doctor says which directory of a linked database Deno may not read", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const real = await moveAndLink(cwd);
  const permissions = ["--allow-read=data,migrations", "--allow-write=data", "--allow-env"];
  const diagnosis = await examine({ cwd, permissions });
  const { detail, help } = diagnosis.only("database-unreachable");
  assert(detail.includes(Deno.realPathSync(real)), detail);
  assert(help?.includes("--allow-read"), help ?? "");
});
