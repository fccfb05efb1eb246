import assert from "node:assert/strict";
import { join } from "node:path";
import { createCatalystMigrator } from "../../lib/catalyst.ts";
import { CatalystError } from "../../lib/base/errors.ts";
import { anotherUser, reasonForNoOtherUser, showToAll } from "../another_user.ts";
import { expectFailure, filesIn, prepare, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../lib/database/read_only_directory.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("places");
const code = "INVALID_LOCATION";

for (const command of ["upgrade", "downgrade", "status", "verify", "repair", "history"]) {
  Deno.test(`a data directory that is a file is refused by ${command}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await Deno.writeTextFile(join(cwd, "notes.txt"), "mine");
    for (const place of ["notes.txt", "notes.txt/deeper"]) {
      const args = [command, "--data-dir", place];
      await expectFailure({ args, cwd, code, snapshot: snapshots(`${command} in ${place}`) });
    }
  });
}

Deno.test("a snapshot is not looked for in a file", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.writeTextFile(join(cwd, "notes.txt"), "mine");
  for (const place of ["--data-dir notes.txt", "--out notes.txt", "--out notes.txt/deeper"]) {
    const args = `backup verify 20200101_000000 ${place}`.split(" ");
    await expectFailure({ args, cwd, code, snapshot: snapshots(`verify ${place}`) });
  }
});

Deno.test("a data directory without its parent is not created", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  const args = ["upgrade", "--data-dir", "no/such"];
  await expectFailure({ args, cwd, code, snapshot: snapshots("a missing parent") });
  const spaced = ["upgrade", "--data-dir", "my bot/data"];
  const snapshot = snapshots("a missing parent with a space");
  await expectFailure({ args: spaced, cwd, code, snapshot });
});

Deno.test("a prefix in a missing directory or below a file is refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.writeTextFile(join(cwd, "notes.txt"), "mine");
  for (const prefix of ["no/such/", "no/such/test_", "notes.txt/test_"]) {
    for (const args of [["upgrade"], ["status"]]) {
      const env = { DB_PATH_PREFIX: prefix };
      const snapshot = snapshots(`${args[0]} with ${prefix}`);
      await expectFailure({ args, cwd, env, code, snapshot });
    }
  }
});

Deno.test("a NUL in the prefix or in the data directory is refused", () => {
  for (const place of [{ prefix: "te\0st_" }, { dataDir: "da\0ta" }]) {
    assert.throws(() => createCatalystMigrator(place), (error) => {
      assert(error instanceof CatalystError && error.code === "USAGE");
      snapshots(`NUL in ${Object.keys(place)}`)(`error: ${error.message}\nhelp: ${error.help}`);
      return true;
    });
  }
});

for (const name of ["positions.db", "migrations.db"]) {
  Deno.test(`a directory in place of ${name} is refused before anything is done`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await Deno.mkdir(join(cwd, "data", name), { recursive: true });
    for (const args of [["upgrade"], ["status"]]) {
      const snapshot = snapshots(`${args[0]} with a directory ${name}`);
      await expectFailure({ args, cwd, code, snapshot });
    }
  });
}

Deno.test("a directory in place of the lock file is refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.mkdir(join(cwd, "data/migrations.lock"), { recursive: true });
  const snapshot = snapshots("a directory in the place of the lock");
  await expectFailure({ args: ["upgrade"], cwd, code, snapshot });
});

Deno.test("a broken link is refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.mkdir(join(cwd, "data"));
  await Deno.symlink("no/where.db", join(cwd, "data/positions.db"), { type: "file" });
  await expectFailure({
    ...{
      args: ["upgrade"],
      cwd,
      code: "INVALID_LOCATION",
      snapshot: snapshots("a link to nowhere"),
    },
    mayChange: /migrations\.(db|lock)$/,
  });
});

const noMount = reasonForNoMount();
Deno.test({
  name: "a read-only directory can be read and is not changed" +
    (noMount === null ? "" : ` (skipped: ${noMount})`),
  ignore: noMount !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade", "--to", "002"], { cwd });
    await Deno.remove(join(cwd, "data/migrations.lock"));
    using frozen = new ReadOnlyDirectory((path) => {
      for (const { name } of Deno.readDirSync(join(cwd, "data"))) {
        Deno.copyFileSync(join(cwd, "data", name), join(path, name));
      }
    });
    await Deno.remove(join(cwd, "data"), { recursive: true });
    await Deno.symlink(frozen.path, join(cwd, "data"));
    for (const args of [["upgrade"], ["downgrade", "--yes"]]) {
      await expectFailure({
        ...{ args, cwd, code: "NOT_PERMITTED" },
        snapshot: snapshots(`${args[0]} in a read-only directory`),
      });
    }
    await expectFailure({
      ...{ args: ["upgrade", "--data-dir", "data/new"], cwd, code: "NOT_PERMITTED" },
      snapshot: snapshots("a new directory in a read-only one"),
    });
    const before = filesIn(frozen.path);
    for (const command of ["status", "history", "repair"]) await prepare([command], { cwd });
    assert.equal((await run(["verify"], { cwd })).code, 1);
    assert.deepEqual(filesIn(frozen.path), before);
  },
});

const noOther = reasonForNoOtherUser();
Deno.test({
  name: "a directory of another user can be read and is not changed" +
    (noOther === null ? "" : ` (skipped: ${noOther})`),
  ignore: noOther !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade", "--to", "002"], { cwd });
    showToAll(cwd);
    await using cache = await tempDir();
    await Deno.chmod(cache.path, 0o777);
    const other = { cwd, env: { DENO_DIR: cache.path }, through: anotherUser };
    const fails = (name: string, args: readonly string[]) =>
      expectFailure({ ...other, args, code: "NOT_PERMITTED", snapshot: snapshots(name) });
    await fails("a lock file of another user", ["upgrade"]);
    await Deno.remove(join(cwd, "data/migrations.lock"));
    await fails("a directory of another user", ["upgrade"]);
    for (const command of ["status", "history", "repair"]) await prepare([command], other);
    await Deno.chmod(join(cwd, "data/positions.db"), 0o600);
    for (const args of [["status"], ["upgrade"], ["verify"]]) {
      await fails(`${args[0]} on a file of another user`, args);
    }
    await Deno.chmod(join(cwd, "data"), 0o700);
    await fails("a directory closed to this user", ["status"]);
  },
});
