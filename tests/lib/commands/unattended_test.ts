/** Unattended runs: silent on success, with a reason on failure. */
import assert from "node:assert/strict";
import { acquireLock } from "../../../lib/base/file_lock.ts";
import { fileURLToPath } from "node:url";
import { durationFlag } from "../../../lib/commands/flags.ts";
import { describeUncovered, uncoveredFiles } from "../../../lib/state/uncovered_files.ts";
import { newestComplete } from "../../../lib/snapshot/store.ts";
import { createWorkspace } from "../../../lib/state/workspace.ts";
import {
  createBot,
  execute,
  fillBot,
  query,
  runCommandLine,
  TemporaryDirectory,
} from "../support.ts";

/** A directory with a bot's databases in `data`, and rows in them. */
async function botDirectory(): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data"));
  const data = {
    path: directory.file("data"),
    file: (name: string) => directory.file(`data/${name}`),
  };
  await createBot(data as TemporaryDirectory);
  fillBot(data as TemporaryDirectory, 5);
  return directory;
}

const page = Deno.readTextFileSync(new URL("../../../docs/backups.md", import.meta.url));

/** Runs a line of that page in a shell, with this program in place of the installed one. */
async function runLine(line: string, directory: TemporaryDirectory) {
  const program = directory.file("catalyst-migrate");
  const cli = fileURLToPath(new URL("../../../cli.ts", import.meta.url));
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  Deno.writeTextFileSync(
    program,
    `#!/bin/sh\nexec "${Deno.execPath()}" run -A --quiet --config "${config}" "${cli}" "$@"\n`,
    { mode: 0o755 },
  );
  const script = line.replaceAll("/home/me/.local/bin/catalyst-migrate", program)
    .replaceAll("/home/me/bot", directory.path);
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", script],
    cwd: directory.path,
    env: { DB_PATH_PREFIX: "", NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

Deno.test({
  name: "the documented cron line and systemd timer print only problems",
  ignore: Deno.build.os === "windows", // neither exists there
  fn: async () => {
    using directory = await botDirectory();
    // Cron splits the line after the five fields of the time.
    const cron = /^0 3 \* \* \* (.*)$/m.exec(page)?.[1] ?? "";
    const timer = Array.from(page.matchAll(/^ExecStart=(.*)$/gm), ([, line = ""]) => line);
    assert(cron !== "" && timer.length === 2);
    // A percent sign ends the command for cron.
    assert(!cron.includes("%"));
    for (const line of [cron, timer.join(" && ")]) {
      assert.deepEqual(await runLine(line, directory), { code: 0, text: "" });
    }
    // One of the two remains for the day.
    const files = [...Deno.readDirSync(directory.file("data/backups"))];
    assert.equal(files.filter(({ name }) => name.endsWith(".json")).length, 1);
    Deno.truncateSync(directory.file("data/trading.db"), 5000);
    const { code, text } = await runLine(cron, directory);
    assert.equal(code, 1);
    assert.match(text, /^warning: the snapshot lacks trading: /m);
  },
});

Deno.test("with --quiet every successful command prints only requested data", async () => {
  using directory = await botDirectory();
  Deno.writeTextFileSync(directory.file("catalyst.json"), '{"keep": {"last": 1}}');
  execute(directory.file("data/cache.sqlite"), "CREATE TABLE t (a)");
  const run = (line: string) =>
    runCommandLine([...line.split(" "), "--quiet"], { cwd: directory.path });
  const silent = [
    "new add_notes --database trading",
    "baseline --to 003",
    "repair",
    "backup",
    "backup verify latest",
    "backup verify latest --restore",
    "backup",
    "backup --if-older-than 24h",
    "backup prune", // by `keep` of the configuration
    "status --check --max-backup-age 26h",
    "verify --data",
    "export trading --out trading.sql",
    "restore latest --yes",
    "init --yes --force",
    "adopt cache",
    "lint 004",
    "upgrade",
    "downgrade --migration 004 --yes",
    "upgrade",
    "redo 004 --yes",
    "report --html report.html",
  ];
  Deno.mkdirSync(directory.file("migrations"), { recursive: true });
  for (const line of silent) {
    const { code, stdout, stderr } = await run(line);
    assert.deepEqual({ line, code, text: stdout + stderr }, { line, code: 0, text: "" });
    if (line.startsWith("new ")) {
      const path = directory.file("migrations/004_add_notes.sql");
      Deno.writeTextFileSync(
        path,
        "-- database: trading\n-- migrate:up\nALTER TABLE orders ADD COLUMN notes TEXT;\n" +
          "-- migrate:down\nALTER TABLE orders DROP COLUMN notes;\n",
      );
    }
    if (line === "baseline --to 003") await run("upgrade");
  }
  for (const line of ["backup list", "history", "schema trading", "verify --hash", "status"]) {
    assert.notEqual((await run(line)).stdout, "", line);
  }
});

Deno.test("files without a name are mentioned once, never with --quiet, and fail no check", async () => {
  using directory = await botDirectory();
  for (const name of ["a b.db", "market", "seen.sqlite", "x.db"]) {
    execute(directory.file(`data/${name}`), "CREATE TABLE t (a)");
  }
  const run = (...args: string[]) => runCommandLine(args, { cwd: directory.path });
  const mention =
    /4 files are not covered: data\/a b.db, data\/market, data\/seen.sqlite and 1 more; `init` adds them/g;
  for (const command of [["backup"], ["status", "--check"]]) {
    const { code, stdout, stderr } = await run(...command);
    assert.equal(code, 0);
    assert.equal(Array.from((stdout + stderr).matchAll(mention)).length, 1, stderr);
    const quiet = await run(...command, "--quiet");
    assert.doesNotMatch(quiet.stdout + quiet.stderr, /covered/);
  }
  const doctor = await run("doctor");
  assert.match(
    doctor.stdout,
    /4 files are not covered:[^]*\[uncovered-files\][^]*`init` adds them/,
  );
  assert.doesNotMatch((await run("doctor", "--quiet")).stdout, /covered/);
  assert.equal(JSON.parse((await run("status", "--json")).stdout).uncovered.length, 4);
});

Deno.test("a file with another spelling of its name is covered", () => {
  using directory = new TemporaryDirectory();
  for (const name of ["a.db", "b.db", "test_c.db"]) {
    execute(directory.file(name), "CREATE TABLE t (a)");
  }
  Deno.symlinkSync(directory.file("a.db"), directory.file("link.db"));
  const { path } = directory;
  const of = (prefix: string, databases: Record<string, string>) =>
    uncoveredFiles(
      createWorkspace({ databases, ledger: `${prefix}migrations.db`, migrations: [] }),
    );
  const spelled = { a: `${path}/link.db`, b: `${path}/./b.db`, c: `${path}/test_c.db` };
  assert.deepEqual(of(`${path}/`, spelled), []);
  // Databases without the prefix are ignored.
  assert.deepEqual(of(`${path}/test_`, {}), [`${path}/test_c.db`]);
  assert.deepEqual(describeUncovered(["x.db"], { hasConfiguration: true }), {
    detail: "1 file is not covered: x.db",
    help: "`init --force` adds it",
  });
});

Deno.test("durations are minutes, hours or days", () => {
  const seconds = (age: string) => durationFlag({ age }, "age");
  assert.deepEqual(["90m", "24h", "7d"].map(seconds), [5400, 86_400, 604_800]);
  for (const wrong of ["24", "0h", "1.5h", "-1h", "h", "1w", ""]) {
    assert.throws(() => seconds(wrong), /it is not a duration/);
  }
});

Deno.test("only a complete snapshot of all databases that no restore took is recent", () => {
  const manifest = (
    createdAt: number,
    databases: string,
    reason: "manual" | "safety" = "manual",
  ) => ({
    name: String(createdAt),
    createdAt,
    reason,
    toolkitVersion: "",
    sqliteVersion: "",
    verified: "quick" as const,
    heldSeconds: 0,
    files: [...databases].map((database) => ({
      database,
      file: "",
      sizeBytes: 0,
      sha256: null,
      compressed: false,
      rows: {},
      migrations: [],
    })),
  });
  const entries = [
    { name: "9", manifest: manifest(9, "ab"), problems: [] }, // in the future
    { name: "5", manifest: manifest(5, "ab"), problems: ["a is missing"] },
    { name: "4", manifest: manifest(4, "a"), problems: [] },
    { name: "3", manifest: manifest(3, "ab", "safety"), problems: [] },
    { name: "2", manifest: manifest(2, "abc"), problems: [] },
    { name: "1", manifest: null, problems: ["damaged"] },
  ];
  const newest = (...databases: string[]) => newestComplete(entries, { databases, now: 6 })?.name;
  assert.equal(newest("a", "b"), "2");
  assert.equal(newest("a"), "4");
  assert.equal(newest("d"), undefined);
});

Deno.test("an old backup fails the check, and is taken again", async () => {
  using directory = await botDirectory();
  const run = (...args: string[]) => runCommandLine(args, { cwd: directory.path });
  const check = ["status", "--check", "--max-backup-age", "26h", "--quiet"];
  const none = await run(...check);
  assert.equal(none.code, 1);
  assert.match(
    none.stderr,
    /^warning: no snapshot has all databases; `backup` takes one$/m,
  );
  // A snapshot of one database does not count.
  await run("backup", "trading");
  assert.equal((await run(...check)).code, 1);
  const { snapshot } = JSON.parse((await run("backup", "--if-older-than", "24h", "--json")).stdout);
  assert.equal((await run(...check)).code, 0);
  const recent = JSON.parse((await run("backup", "--if-older-than", "24h", "--json")).stdout);
  assert.deepEqual(recent, { ok: true, snapshot: null, lost: [], newest: snapshot.name });
  // It lost a file, so it does not count any more.
  Deno.removeSync(directory.file(`data/backups/${snapshot.files[0].file}`));
  assert.equal((await run(...check)).code, 1);
  assert.match((await run("backup", "--if-older-than", "1d")).stdout, /^Snapshot /m);
  assert.equal((await run("status", "--max-backup-age", "26h")).code, 2);
  assert.equal((await run("backup", "--if-older-than", "1 day")).code, 2);
});

Deno.test("a trial restore of a snapshot leaves no files", async () => {
  using directory = await botDirectory();
  Deno.mkdirSync(directory.file("migrations"));
  Deno.writeTextFileSync(
    directory.file("migrations/004_notes.sql"),
    "-- database: trading\n-- migrate:up\nALTER TABLE orders ADD COLUMN notes TEXT;\n",
  );
  const run = (...args: string[]) => runCommandLine(args, { cwd: directory.path });
  await run("backup", "--compress");
  // A later migration is not a problem of the snapshot.
  assert.equal((await run("upgrade", "--no-backup")).code, 0);
  const names = () =>
    [...Deno.readDirSync(directory.file("data"))].map(({ name }) => name).toSorted();
  const before = names();
  const good = await run("backup", "verify", "latest", "--restore");
  assert.equal(good.code, 0, good.stdout + good.stderr);
  assert.match(good.stdout, /a trial restore succeeded, and no problems were found/);
  await run("backup");
  assert.equal((await run("backup", "verify", "latest", "--restore")).code, 0);

  // The file is sound, and so is the snapshot; the data is not.
  execute(directory.file("data/trading.db"), "PRAGMA foreign_keys = OFF; DELETE FROM orders");
  await run("backup");
  assert.equal((await run("backup", "verify", "latest")).code, 0);
  const bad = await run("backup", "verify", "latest", "--restore", "--quiet");
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /fill\(s\) belong to a missing order/);
  const json = await run("backup", "verify", "latest", "--restore", "--json");
  assert.equal(JSON.parse(json.stdout).restored.ok, false);
  assert.deepEqual(names(), before);
});

Deno.test("a trial restore removes the directory of a killed one, but not one in use", async () => {
  using directory = await botDirectory();
  const run = (...args: string[]) => runCommandLine(args, { cwd: directory.path });
  await run("backup");
  const [killed, used] = ["rehearsal-0000000a", "rehearsal-0000000b"];
  for (const name of [killed, used]) {
    Deno.mkdirSync(directory.file(`data/${name}`));
    Deno.writeTextFileSync(directory.file(`data/${name}/rehearsal.lock`), "process 1\n");
    Deno.writeTextFileSync(directory.file(`data/${name}/trading.db`), "part");
  }
  using _lock = await acquireLock(directory.file(`data/${used}/rehearsal.lock`), { timeout: 0 });
  assert.equal((await run("backup", "verify", "latest", "--restore")).code, 0);
  const left = [...Deno.readDirSync(directory.file("data"))].map(({ name }) => name);
  assert.deepEqual(left.filter((name) => name.startsWith("rehearsal-")), [used]);
});

Deno.test("snapshots in another directory are listed, verified and restored with --from", async () => {
  using directory = await botDirectory();
  const run = (...args: string[]) => runCommandLine(args, { cwd: directory.path });
  await run("backup");
  Deno.renameSync(directory.file("data/backups"), directory.file("nas"));
  execute(directory.file("data/trading.db"), "DELETE FROM fills");
  assert.match((await run("backup", "list", "--from", "nas/")).stdout, /manual +ok/);
  assert.equal((await run("backup", "verify", "latest", "--from", "nas", "--restore")).code, 0);
  const refused = await run("restore", "nas/");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /help: `restore --from nas\/` restores the newest snapshot in it/);
  assert.equal((await run("restore", "--from", "nas/", "--yes")).code, 0);
  const rows = () => query(directory.file("data/trading.db"), "SELECT fill_id FROM fills").length;
  assert.equal(rows(), 5);
  execute(directory.file("data/trading.db"), "DELETE FROM fills");
  const one = await run("restore", "--from", "nas", "trading", "--yes");
  assert.match(one.stdout, /^Restored trading from /);
  assert.equal(rows(), 5);
  const missing = await run("backup", "list", "--from", "mnt");
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /Cannot read snapshots from mnt: the directory does not exist/);
  assert.equal((await run("backup", "--from", "nas")).code, 2);
  assert.equal((await run("restore", "--from", "nas", "--undo")).code, 2);
});
