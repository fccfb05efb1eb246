/** Commands with something else in place of a database, a directory or a variable. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, filesIn, prepare, run } from "../cli_helpers.ts";
import { tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("odd_places");
const code = "INVALID_LOCATION";
const isUnix = Deno.build.os !== "windows";
const onUnix = isUnix ? "" : " (skipped: not on Windows)";

/** Starts a program with variables in shell syntax, which may contain any bytes. */
function withShell(script: string): readonly string[] {
  return ["sh", "-c", `${script} exec "$0" "$@"`];
}

Deno.test("a backup of a data directory that is a file, or of a directory as a database, is refused", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await Deno.writeTextFile(join(cwd, "data"), "mine");
  await expectFailure({ args: ["backup"], cwd, code, snapshot: snapshots("data is a file") });
  await Deno.remove(join(cwd, "data"));
  await Deno.mkdir(join(cwd, "data/trading.db"), { recursive: true });
  await expectFailure({ args: ["backup"], cwd, code, snapshot: snapshots("a directory") });
});

Deno.test({
  name: `a pipe in place of a database is refused without waiting${onUnix}`,
  ignore: !isUnix,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await Deno.mkdir(join(cwd, "data"));
    await new Deno.Command("mkfifo", { args: [join(cwd, "data/trading.db")] }).output();
    for (const command of ["status", "upgrade", "verify", "backup"]) {
      await expectFailure({ args: [command], cwd, code, snapshot: snapshots(`${command}, pipe`) });
    }
    const { stdout } = await run(["doctor"], { cwd });
    assert.match(stdout, /data\/trading\.db can't be examined: it is not a file/);
  },
});

Deno.test({
  name:
    `no command waits for a pipe, reads a device, or treats an empty file as a database${onUnix}`,
  ignore: !isUnix,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    await new Deno.Command("mkfifo", { args: [join(cwd, "pipe"), join(cwd, "pipe.gz")] }).output();
    await Deno.writeTextFile(join(cwd, "empty.db"), "");
    for (
      const line of [
        "restore pipe trading --yes",
        "restore pipe.gz trading --yes",
        "restore /dev/zero trading --yes",
        "restore /dev/null trading --yes",
        "import pipe --database trading --yes",
        "import /dev/zero --database trading --yes",
        "schema trading --check pipe",
      ]
    ) {
      const snapshot = snapshots(`${line}, no file`);
      await expectFailure({ args: line.split(" "), cwd, code, snapshot });
    }
    await expectFailure({
      args: "restore empty.db trading --yes".split(" "),
      cwd,
      code: "SNAPSHOT_UNUSABLE",
      snapshot: snapshots("restore, an empty file"),
    });
    await Deno.mkdir(join(cwd, "data/trading.db-wal"));
    await expectFailure({ args: ["verify"], cwd, code, snapshot: snapshots("a log is no file") });
  },
});

Deno.test({
  name: `broken links and links to themselves are named${onUnix}`,
  ignore: !isUnix,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await Deno.symlink("unmounted/disk", join(cwd, "data"));
    const link = snapshots("the data directory is a link to nowhere");
    await expectFailure({ args: ["upgrade"], cwd, code, snapshot: link });
    await Deno.remove(join(cwd, "data"));
    await Deno.mkdir(join(cwd, "data"));
    await Deno.symlink("trading.db", join(cwd, "data/trading.db"));
    for (const command of ["status", "backup"]) {
      await expectFailure({ args: [command], cwd, code, snapshot: snapshots(`${command}, loop`) });
    }
  },
});

Deno.test("a directory in place of a restore's journal does not stop a backup, and no restore begins", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await Deno.mkdir(join(cwd, "data/migrations.restore"));
  await prepare(["backup", "--timeout", "0"], { cwd });
  const databases = () => filesIn(cwd, /backups|migrations/);
  const before = databases();
  const { code, stderr } = await run(["restore", "latest", "--yes"], { cwd });
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^error: Cannot write data\/migrations\.restore: it is a directory\nhelp: /m,
  );
  assert.deepEqual(databases(), before);
});

Deno.test({
  name: `a variable that is not valid text is named${onUnix}`,
  ignore: !isUnix,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    const through = withShell(`DB_PATH_PREFIX=$(printf '\\377/');`);
    for (const command of ["status", "doctor"]) {
      await expectFailure({
        ...{ args: [command], cwd, through, code: "USAGE", exit: 2 },
        snapshot: snapshots(`${command} with a prefix of odd bytes`),
      });
    }
  },
});

Deno.test({
  name: `a terminal whose name is not valid text gets plain lines${onUnix}`,
  ignore: !isUnix,
  async fn() {
    const module = new URL("../../lib/terminal/output.ts", import.meta.url).href;
    const program = `import { takesCommands } from ${JSON.stringify(module)};
      console.log(takesCommands({ isTerminal: () => true }));`;
    const [shell = "", ...args] = withShell("TERM=$(printf '\\377');");
    const line = [...args, Deno.execPath(), "eval", program];
    const environment = { env: { TERM: "xterm" }, stderr: "inherit" } as const;
    const { stdout } = await new Deno.Command(shell, { args: line, ...environment }).output();
    assert.equal(new TextDecoder().decode(stdout).trim(), "false");
  },
});

Deno.test({
  name: "actions that Deno allows only with all permissions are reported without Deno's advice" +
    (Deno.build.os === "linux" ? "" : " (skipped: only on Linux)"),
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    const permissions = ["--allow-read", "--allow-write", "--allow-env"];
    const memory = await Deno.makeTempDir({ dir: "/dev/shm", prefix: "catalyst-migrate-" });
    await using _removed = {
      [Symbol.asyncDispose]: () => Deno.remove(memory, { recursive: true }),
    };
    const place = join(memory, "new");
    const wrong = await run(["upgrade", "--data-dir", place], { cwd, permissions });
    assert.match(
      wrong.stderr,
      /^error: Cannot .+: Deno was not given the permission \(Requires all access to "[^"]+"\)\n/,
    );
    assert.match(wrong.stderr, /^help: .+ -A: use another directory$/m);
    await prepare(["upgrade"], { cwd });
    for (
      const args of [["backup", "--out", place], ["export", "trading", "--out", `${place}.sql`]]
    ) {
      const { code, stderr } = await run(args, { cwd, permissions });
      assert.equal(code, 1);
      assert.match(stderr, /permission \(Requires all access to "[^"]+"\)\nhelp: .+ -A: use/);
    }
  },
});
