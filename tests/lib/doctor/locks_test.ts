import assert from "node:assert/strict";
import { join } from "node:path";
import { prepare } from "../../cli_helpers.ts";
import { execute, tempDir } from "../../helpers.ts";
import { anotherUser, reasonForNoOtherUser } from "../../another_user.ts";
import { examine, FILL, HOLD_OLD_ROWS, testOnLinux, traces } from "./support.ts";
import { Program } from "../support.ts";

Deno.test("a lock that is a directory, and a snapshot directory that is a file, are problems", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await Deno.remove(join(cwd, "data/migrations.lock"));
  await Deno.mkdir(join(cwd, "data/migrations.lock"));
  await Deno.writeTextFile(join(cwd, "data/backups"), "");
  const before = traces(cwd);
  const diagnosis = await examine({ cwd });
  assert.deepEqual(traces(cwd), before);
  assert.deepEqual(diagnosis.codes("problem"), ["backups-unwritable", "lock-unwritable"]);
  assert.match(diagnosis.only("lock-unwritable").detail, /migrations\.lock is a directory/);
  assert.match(diagnosis.only("backups-unwritable").detail, /backups is a file/);
  await Deno.remove(join(cwd, "data/backups"));
  await Deno.mkdir(join(cwd, "data/backups/backups.lock"), { recursive: true });
  const inside = await examine({ cwd });
  assert.deepEqual(inside.codes("problem"), ["lock-unwritable", "lock-unwritable"]);
});

testOnLinux("a lock that is a pipe is a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const lock = join(cwd, "data/migrations.lock");
  await Deno.remove(lock);
  assert(new Deno.Command("mkfifo", { args: [lock] }).outputSync().success);
  const diagnosis = await examine({ cwd });
  assert.match(diagnosis.only("lock-unwritable").detail, /migrations\.lock is a pipe/);
});

const skipped = reasonForNoOtherUser();
Deno.test({
  name: "files left by a run as root, which stop the bot's user, are a problem" +
    (skipped === null ? "" : ` (skipped: ${skipped})`),
  ignore: skipped !== null,
  async fn() {
    await using directory = await tempDir();
    await using cache = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    await prepare(["backup"], { cwd });
    await Deno.chmod(cwd, 0o755);
    await Deno.chmod(cache.path, 0o777);
    const data = join(cwd, "data");
    for (const name of [".", ...[...Deno.readDirSync(data)].map(({ name }) => name)]) {
      if (!/lock|backups/.test(name)) await Deno.chown(join(data, name), 65534, 65534);
    }
    const other = { cwd, env: { DENO_DIR: cache.path }, through: anotherUser };
    const before = traces(cwd);
    const diagnosis = await examine(other);
    assert.deepEqual(traces(cwd), before);
    assert.deepEqual(diagnosis.codes("problem"), ["backups-unwritable", "lock-unwritable"]);
    const lock = diagnosis.only("lock-unwritable");
    assert.match(lock.detail, /migrations\.lock can't be written: .* of user 0 and group 0, with/);
    assert.match(lock.help ?? "", /: rm -f data\/migrations\.lock$/);
    assert.match(diagnosis.only("backups-unwritable").detail, /create files in data\/backups/);
    // Once the directory is correct, the lock in it is reported.
    await Deno.chown(join(data, "backups"), 65534, 65534);
    await Deno.chown(join(data, "migrations.lock"), 65534, 65534);
    const inside = await examine(other);
    assert.deepEqual(inside.codes("problem"), ["lock-unwritable"]);
    assert.match(
      inside.only("lock-unwritable").detail,
      /backups\.lock .* no snapshot can be taken/,
    );
  },
});

const OTHER_PROCESSES = ["unshare", "--pid", "--fork", "--mount-proc"];

const together = reasonForNoNamespace();
Deno.test({
  name: "in a container doctor sees outside locks, and claims no more" +
    (together === null ? "" : ` (skipped: ${together})`),
  ignore: together !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    const at = (name: string) => join(cwd, "data", name);
    await prepare(["upgrade"], { cwd });
    await prepare(["backup"], { cwd });
    await Deno.mkdir(at("rehearsal-0123abcd"));
    await Deno.writeTextFile(at("trading.db.part"), "half");
    const held = ["migrations.lock", "backups/backups.lock", "rehearsal-0123abcd/rehearsal.lock"];
    using stack = new DisposableStack();
    for (const name of held) {
      const file = stack.use(await Deno.open(at(name), { create: true, write: true }));
      await file.lock(true);
    }
    await Deno.utime(at(held[2] ?? ""), 1_700_000_000, 1_700_000_000);
    await using _bot = await Program.start(
      at("trading.db"),
      `db.exec("SELECT count(*) FROM orders")`,
    );
    const inside = await examine({ cwd, through: OTHER_PROCESSES });
    assert.equal(inside.checks.filter(({ code }) => code === "lock-held").length, 3);
    assert.match(inside.only("open-by-nobody").detail, /in this container .* can't be seen$/);
    for (const code of ["rehearsal", "database-part"]) {
      assert(
        !inside.codes("notice").includes(code),
      );
    }
  },
});

/** Why processes can't be isolated here; null if they can. */
function reasonForNoNamespace(): string | null {
  try {
    const [program = "", ...args] = [...OTHER_PROCESSES, "true"];
    return new Deno.Command(program, { args }).outputSync().success ? null : "it may not unshare";
  } catch {
    return "there is no `unshare`";
  }
}

testOnLinux(
  "while a migrator is running, what it is about to correct is not reported",
  async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    const path = join(cwd, "data/trading.db");
    execute(join(cwd, "data/migrations.db"), "DELETE FROM migration_history");
    execute(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
    await using _first = await Program.start(path, "");
    await using _reader = await Program.start(path, HOLD_OLD_ROWS);
    await using _writer = await Program.start(path, FILL);
    const told = ["checkpoint-blocked", "unreconciled"];
    const free = await examine({ cwd });
    for (const code of told) free.only(code);
    using lock = await Deno.open(join(cwd, "data/migrations.lock"), { write: true });
    await lock.lock(true);
    const busy = await examine({ cwd });
    busy.only("lock-held");
    assert.deepEqual(busy.checks.filter(({ code }) => told.includes(code)), []);
    assert.equal(busy.code, 0);
  },
);
