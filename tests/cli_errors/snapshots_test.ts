import assert from "node:assert/strict";
import { join } from "node:path";
import {
  checkText,
  command,
  decoded,
  type ExpectedFailure,
  expectFailure,
  filesIn,
  kept,
  prepare,
  run,
} from "../cli_helpers.ts";
import { execute, insertRows, outputOf, tempDir } from "../helpers.ts";
import { ReadOnlyDirectory } from "../lib/database/read_only_directory.ts";
import { damagePages, filesOf, reasonForNoDisk, SmallDisk } from "../lib/snapshot/bot.ts";
import { startWriter } from "../lib/support.ts";
import { openSnapshots } from "../snapshot.ts";

const messages = openSnapshots("snapshots");
const noDisk = reasonForNoDisk();
const skipped = noDisk === null ? "" : ` (skipped: ${noDisk})`;
/** A run that waits or is refused may leave its lock and SQLite's files beside a database. */
const mayChange = /\.lock$|-(wal|shm)$/;

/** Compares a message with a stored one, without names of snapshots and sizes. */
function message(name: string): (text: string) => void {
  return (text) =>
    messages(name)(
      text.replace(/\d{8}_\d{6}(_\d+)?/g, "<snapshot>")
        .replace(/\d+\.\d MB (needed|free)/g, "<size> $1"),
    );
}

/** A directory with the bot's databases and some rows. */
async function prepared(): Promise<AsyncDisposable & { readonly cwd: string }> {
  const directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  insertRows(join(cwd, "data/trading.db"), "trading", 40);
  return { cwd, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

/** Takes a snapshot and returns its name. */
async function backup(cwd: string): Promise<string> {
  const { stdout } = await prepare(["backup", "--json"], { cwd });
  return JSON.parse(stdout).snapshot.name;
}

const backups = (cwd: string) => join(cwd, "data/backups");
const USAGE = { exit: 2, code: "USAGE" };
const UNUSABLE = { code: "SNAPSHOT_UNUSABLE" };

const misuses: Readonly<Record<string, string>> = {
  "backup of an unknown database": "backup trade",
  "backup verify without a snapshot": "backup verify",
  "backup verify of two": "backup verify 20250120_123000 20250120_123001",
  "backup prune without a number": "backup prune",
  "backup prune of a name": "backup prune 20250120_123000 --keep 1",
  "backup prune with half a snapshot": "backup prune --keep 1.5",
  "backup prune with less than none": "backup prune --keep=-1",
  "backup list of a name": "backup list 20250120_123000",
  "backup with a flag of prune": "backup --keep 3",
  "backup as a dry run": "backup --dry-run",
  "backup with an unknown check": "backup --verify fast",
  "restore of nothing": "restore",
  "restore of a snapshot and --undo": "restore latest --undo",
};

for (const [name, line] of Object.entries(misuses)) {
  Deno.test(`misuse is refused, and nothing is done: ${name}`, async () => {
    await using place = await prepared();
    await expectFailure({
      ...{ args: line.split(" "), cwd: place.cwd, ...USAGE, snapshot: message(name) },
    });
  });
}

Deno.test("a reference that is not a snapshot is named", async () => {
  await using place = await prepared();
  const { cwd } = place;
  Deno.writeTextFileSync(join(cwd, "notes.txt"), "hello\n".repeat(300));
  Deno.writeTextFileSync(join(cwd, "positions.db.gz"), "no gzip");
  const packed = new Blob(["hello\n".repeat(300)]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  await Deno.writeFile(join(cwd, "notes.db.gz"), packed);
  const failures: Readonly<Record<string, [string, string]>> = {
    "restore of the latest of none": ["restore latest --yes", UNUSABLE.code],
    "restore of nothing that is there": ["restore 20200101_000000 --yes", UNUSABLE.code],
    "restore of a misspelt word": ["restore lastest --yes", UNUSABLE.code],
    "restore of a text": ["restore notes.txt positions --yes", "NOT_A_DATABASE"],
    "restore of a packed text": ["restore notes.db.gz --yes", "NOT_A_DATABASE"],
    "restore of no gzip": ["restore positions.db.gz --yes", UNUSABLE.code],
    "restore of another's file": ["restore data/trading.db positions --yes", UNUSABLE.code],
    "undo of nothing": ["restore --undo --yes", UNUSABLE.code],
    "undo of nothing, as a dry run": ["restore --undo --dry-run", UNUSABLE.code],
    "verify of nothing that is there": ["backup verify 20200101_000000", UNUSABLE.code],
    "verify of the latest of none": ["backup verify latest", UNUSABLE.code],
  };
  for (const [name, [line, code]] of Object.entries(failures)) {
    await expectFailure({ args: line.split(" "), cwd, code, mayChange, snapshot: message(name) });
  }
});

Deno.test("a damaged snapshot restores nothing, and the damaged file is named", async () => {
  await using place = await prepared();
  const { cwd } = place;
  const file = (database: string, name: string) => join(backups(cwd), `${database}_${name}.db`);
  const manifest = (name: string) => join(backups(cwd), `snapshot_${name}.json`);
  const first = await backup(cwd);
  const damages: Readonly<Record<string, (name: string) => void>> = {
    "a missing file": (name) => Deno.removeSync(file("trading", name)),
    "a cut file": (name) => Deno.truncateSync(file("trading", name), 8192),
    "a damaged file": (name) => damagePages(file("trading", name), 9),
    "a swapped file": (name) => Deno.copyFileSync(file("positions", first), file("trading", name)),
    "a missing manifest": (name) => Deno.removeSync(manifest(name)),
    "a cut manifest": (name) => Deno.truncateSync(manifest(name), 200),
    "a changed manifest": (name) => replace(manifest(name), '"orders": 40', '"orders": 41'),
    "a newer manifest": (name) => replace(manifest(name), '"format": 1', '"format": 9'),
    "a manifest of another": (name) => Deno.copyFileSync(manifest(first), manifest(name)),
  };
  for (const [what, damage] of Object.entries(damages)) {
    const name = await backup(cwd);
    damage(name);
    const args = ["restore", name, "--yes"];
    await expectFailure({ args, cwd, ...UNUSABLE, mayChange, snapshot: message(what) });
    assert.equal((await run(["backup", "verify", name], { cwd })).code, 1);
    assert.equal((await run(["backup", "list"], { cwd })).code, 0);
  }
  await prepare(["restore", first, "--yes"], { cwd });
});

Deno.test("a file in place of the snapshots' directory stops commands that need it", async () => {
  await using place = await prepared();
  const { cwd } = place;
  const code = "INVALID_LOCATION";
  Deno.writeTextFileSync(backups(cwd), "mine");
  Deno.writeTextFileSync(join(cwd, "notes.txt"), "mine");
  execute(join(cwd, "data/trading.db"), "DROP INDEX idx_orders_ticker");
  const lines: Readonly<Record<string, string>> = {
    "backup where a file is": "backup",
    "backup below a file": "backup --out data/backups/below",
    "backup below a file of another name": "backup --out notes.txt/below",
    "backup where no directory is": "backup --out a/b",
    "backup list where a file is": "backup list",
    "backup prune where a file is": "backup prune --keep 1",
    "downgrade where no snapshot can be taken": "downgrade --to 001 --yes",
    "repair where no snapshot can be taken": "repair",
    "restore where no snapshot can be taken": "restore data/trading.db --yes",
  };
  for (const [name, line] of Object.entries(lines)) {
    await expectFailure({ args: line.split(" "), cwd, code, mayChange, snapshot: message(name) });
  }
  await prepare(["repair", "--no-backup"], { cwd });
  await prepare(["downgrade", "--to", "001", "--yes", "--no-backup"], { cwd });
  assert.equal(Deno.readTextFileSync(backups(cwd)), "mine");
});

Deno.test("a damaged database at backup time is named, and older snapshots are kept", async () => {
  await using place = await prepared();
  const { cwd } = place;
  const name = await backup(cwd);
  insertRows(join(cwd, "data/positions.db"), "positions", 300);
  damagePages(join(cwd, "data/positions.db"), 20);
  const expected = { cwd, code: "DATABASE_CORRUPT", mayChange };
  const args = ["backup", "positions"];
  await expectFailure({ ...expected, args, snapshot: message("a damaged page") });
  await prepare(["backup", "trading"], { cwd });
  Deno.writeTextFileSync(join(cwd, "data/positions.db"), "hello\n".repeat(300));
  await expectFailure({
    ...{ ...expected, args, code: "NOT_A_DATABASE" },
    snapshot: message("no database"),
  });
  await prepare(["backup", "verify", name], { cwd });
  const { stdout } = await prepare(["restore", name, "positions", "--yes"], { cwd });
  assert.match(stdout, /^Restored positions from /);
  await prepare(["status", "--check"], { cwd });
});

Deno.test("a lock that is not released in time is named with its holder", async () => {
  await using place = await prepared();
  const { cwd } = place;
  await backup(cwd);
  const name = await backup(cwd);
  const expected = (what: string): Omit<ExpectedFailure, "args"> => ({
    ...{ cwd, code: "DATABASE_LOCKED", mayChange },
    ...Deno.build.os === "linux" ? { snapshot: message(what) } : {},
  });
  {
    await using _writer = await startWriter(join(cwd, "data/trading.db"), "SELECT 1");
    const timeout = ["--timeout", "0"];
    await expectFailure({ ...expected("backup beside a writer"), args: ["backup", ...timeout] });
    await expectFailure({
      ...expected("restore beside a writer"),
      args: ["restore", name, "--yes", ...timeout],
    });
    // Another database is free.
    await prepare(["restore", name, "positions", "--yes", ...timeout], { cwd });
  }
  using lock = Deno.openSync(join(backups(cwd), "backups.lock"), { write: true });
  lock.lockSync(true);
  for (const args of [["backup"], ["backup", "prune", "--keep", "1"]]) {
    const check = message(`${args.slice(0, 2).join(" ")} beside another backup`);
    // Windows does not allow reading a locked file, and so who has locked it.
    const snapshot = Deno.build.os === "windows" ? {} : { snapshot: check };
    await expectFailure({
      ...{ args: [...args, "--timeout", "0"], cwd, code: "MIGRATOR_LOCKED", mayChange },
      ...snapshot,
    });
  }
  await prepare(["backup", "list"], { cwd });
});

Deno.test({
  name: `Ctrl-C during a large backup leaves nothing${
    Deno.build.os === "windows" ? " (skipped: Windows has no SIGINT to send)" : ""
  }`,
  ignore: Deno.build.os === "windows",
  async fn() {
    await using place = await prepared();
    const { cwd } = place;
    const name = await backup(cwd);
    execute(
      join(cwd, "data/trading.db"),
      `CREATE TABLE filler AS
      WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 100)
      SELECT randomblob(1000000) AS filler FROM n`,
    );
    const before = filesIn(cwd, mayChange);
    const args = ["backup", "--compress"];
    const child = command(args, { cwd }).spawn();
    const output = outputOf(child);
    let isOver = false;
    output.then(() => isOver = true);
    const isCopying = () => filesOf(backups(cwd)).some((file) => /^trading.*\.part$/.test(file));
    while (!isCopying() && !isOver) await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill("SIGINT");
    const result = decoded(await output);
    checkText(result, { exit: 130 });
    message("an interrupted backup")(kept(args, {}, result));
    assert.deepEqual(filesIn(cwd, mayChange), before);
    await prepare(["backup", "verify", name], { cwd });
  },
});

Deno.test({
  name: `full and read-only directories are named, and nothing is left there${skipped}`,
  ignore: noDisk !== null,
  async fn() {
    await using place = await prepared();
    const { cwd } = place;
    using disk = new SmallDisk(200);
    const out = (path: string, name: string) => ({
      args: ["backup", "--out", path],
      snapshot: (text: string) => message(name)(text),
      ...{ cwd, mayChange },
    });
    await expectFailure({ ...out(disk.path, "a small disk"), code: "DISK_FULL" });
    assert.deepEqual(filesOf(disk.path), []);
    using readOnly = new ReadOnlyDirectory((path) => Deno.mkdirSync(join(path, "backups")));
    for (
      const [path, name] of [["", "a read-only parent"], ["/backups", "a read-only directory"]]
    ) {
      const directory = name === "a read-only parent"
        ? `${readOnly.path}/new`
        : readOnly.path + path;
      await expectFailure({ ...out(directory, name ?? ""), code: "NOT_PERMITTED" });
    }
  },
});

function replace(path: string, from: string, to: string): void {
  const text = Deno.readTextFileSync(path);
  assert(text.includes(from));
  Deno.writeTextFileSync(path, text.replace(from, to));
}
