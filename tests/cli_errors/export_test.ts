import assert from "node:assert/strict";
import { join } from "node:path";
import {
  checkJson,
  checkText,
  command,
  decoded,
  expectFailure,
  filesIn,
  prepare,
  run,
} from "../cli_helpers.ts";
import { execute, existsSync, insertRows, outputOf, tempDir } from "../helpers.ts";
import { reasonForNoMount } from "../lib/database/read_only_directory.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("export");
const noMount = reasonForNoMount();
const withoutMount = noMount === null ? "" : ` (skipped: ${noMount})`;
const isWindows = Deno.build.os === "windows";
const withoutSignals = isWindows ? " (skipped: Windows has no such signals)" : "";

/** Creates the bot's databases, one of them with a number of megabytes. */
async function makeBot(cwd: string, megabytes = 0): Promise<void> {
  await prepare(["upgrade"], { cwd });
  insertRows(join(cwd, "data/trading.db"), "trading");
  if (megabytes === 0) return;
  execute(
    join(cwd, "data/trading.db"),
    `CREATE TABLE large (id INTEGER PRIMARY KEY, body TEXT);
    WITH RECURSIVE numbers (n) AS (
      SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${megabytes * 1000}
    )
    INSERT INTO large SELECT n, hex(randomblob(500)) FROM numbers`,
  );
}

Deno.test("an impossible export is reported, and nothing is written", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await expectFailure({
    ...{ args: ["export", "trading", "--out", "a.sql"], cwd, code: "INVALID_LOCATION" },
    snapshot: snapshots("no such database file"),
  });
  await makeBot(cwd);
  for (
    const [name, line] of Object.entries({
      "no such table": "export trading --table nowhere --out a.sql",
      "no such database": "export nowhere --out a.sql",
      "no such format": "export trading --format xml --out a.xml",
    })
  ) {
    const args = line.split(" ");
    await expectFailure({ args, cwd, exit: 2, code: "USAGE", snapshot: snapshots(name) });
  }
});

Deno.test("an unwritable path is reported, and nothing is left there", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await makeBot(cwd);
  Deno.writeTextFileSync(join(cwd, "file"), "kept");
  for (
    const [name, line] of Object.entries({
      "no such directory": "export trading --out missing/a.sql",
      "a file for a directory": "export trading --out file/a.sql",
      "a directory for a file": "export trading --out data",
      "a file for the directory of all": "export --all --out file",
    })
  ) {
    const code = line.includes("--all") ? "INVALID_LOCATION" : "NOT_PERMITTED";
    // The message differs on Windows.
    const snapshot = isWindows ? {} : { snapshot: snapshots(name) };
    await expectFailure({ args: line.split(" "), cwd, code, ...snapshot });
  }
});

Deno.test({
  name: `a reader that closes the pipe is reported plainly${withoutSignals}`,
  ignore: isWindows,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await makeBot(cwd, 2);
    for (const format of ["sql", "csv", "jsonl"]) {
      const args = ["export", "trading", "--table", "large", "--format", format];
      const child = command(args, { cwd }).spawn();
      const reader = child.stdout.getReader();
      await reader.read();
      await reader.cancel();
      const stderr = await new Response(child.stderr).text();
      const { code } = await child.status;
      checkText({ code, stdout: "", stderr }, { exit: 1 });
      if (format === "sql") snapshots("a reader that goes away")(stderr);
    }
  },
});

Deno.test({
  name: `a full disk leaves no partial file and keeps an older file${withoutMount}`,
  ignore: noMount !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await makeBot(cwd, 3);
    const disk = join(cwd, "disk");
    Deno.mkdirSync(disk);
    mount(["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]);
    try {
      Deno.writeTextFileSync(join(disk, "a.sql"), "older");
      for (const name of ["a.sql", "b.sql", "c.sql.gz"]) {
        const before = filesIn(disk);
        const args = ["export", "trading", "--out", `disk/${name}`, "--force"];
        const text = await run(args, { cwd });
        checkText(text, { exit: 1 });
        if (name === "a.sql") snapshots("a full disk")(text.stderr);
        checkJson(await run([...args, "--json"], { cwd }), { exit: 1, code: "DISK_FULL" });
        assert.deepEqual(filesIn(disk), before);
      }
      await prepare(["export", "positions", "--out", "disk/a.sql", "--force"], { cwd });
      const args = ["export", "trading", "--format", "csv", "--out", "disk/rows"];
      checkText(await run(args, { cwd }), { exit: 1 });
      assert(!Object.keys(filesIn(disk)).some((name) => /\.part$|large/.test(name)));
    } finally {
      new Deno.Command("umount", { args: [disk] }).outputSync();
    }
  },
});

function mount(args: string[]): void {
  assert(new Deno.Command("mount", { args }).outputSync().success);
}

const noFull = existsSync("/dev/full") ? null : "there is no /dev/full";
Deno.test({
  name: "a full device on stdout is reported" + (noFull === null ? "" : ` (skipped: ${noFull})`),
  ignore: noFull !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await makeBot(cwd);
    const through = ["sh", "-c", 'exec "$@" > /dev/full', "sh"];
    const result = await run(["export", "trading"], { cwd, through });
    checkText(result, { exit: 1 });
    snapshots("a full device behind stdout")(result.stderr);
  },
});

Deno.test({
  name: `after a kill at any time, only a complete file has its final name${withoutSignals}`,
  ignore: isWindows,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await makeBot(cwd, 20);
    const path = join(cwd, "a.sql");
    const args = ["export", "trading", "--out", "a.sql", "--force"];
    Deno.writeTextFileSync(path, "older");
    let kills = 0;
    for (let bytes = 1; bytes < 40e6; bytes += 9e6) {
      const child = command(args, { cwd }).spawn();
      const ended = outputOf(child);
      let isOver = false;
      ended.then(() => isOver = true);
      while (!isOver && sizeOf(`${path}.catalyst.part`) < bytes) await pause(2);
      try {
        child.kill("SIGKILL");
        kills++;
      } catch {
        // It had already ended.
      }
      await ended;
      const text = Deno.readTextFileSync(path);
      assert(text === "older" || text.endsWith("COMMIT;\n"), text.slice(-50));
    }
    assert(kills > 2);
    await prepare(args, { cwd });
    assert(Deno.readTextFileSync(path).endsWith("COMMIT;\n"));
    assert(!existsSync(`${path}.catalyst.part`));
  },
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test({
    name: `${signal} stops an export and keeps an older file${withoutSignals}`,
    ignore: isWindows,
    async fn() {
      await using directory = await tempDir();
      const cwd = directory.path;
      await makeBot(cwd, 20);
      const path = join(cwd, "a.sql");
      Deno.writeTextFileSync(path, "older");
      const child = command(["export", "trading", "--out", "a.sql", "--force"], { cwd }).spawn();
      const output = outputOf(child);
      let isOver = false;
      output.then(() => isOver = true);
      while (!isOver && sizeOf(`${path}.catalyst.part`) === 0) await pause(2);
      child.kill(signal);
      const result = decoded(await output);
      assert.equal(Deno.readTextFileSync(path), "older");
      if (result.stderr === "") {
        // During a statement the signal itself ends the process.
        assert(result.code === 130 || result.code === 143, String(result.code));
        return;
      }
      checkText(result, { exit: 130 });
      assert.match(result.stderr, /^error: Cannot export the database: interrupted$/m);
      assert(!existsSync(`${path}.catalyst.part`));
    },
  });
}

function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch {
    return 0;
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

const variables = [
  ...["DB_PATH_PREFIX", "CATALYST_CONFIG", "SQLITE_WAL_MODE", "SQLITE_SYNCHRONOUS"],
  ...["SQLITE_CACHE_SIZE", "SQLITE_MMAP_SIZE", "NO_COLOR"],
];
const environment = `--allow-env=${variables}`;

Deno.test("an export to stdout only needs to read the data directory, regardless of its size", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await makeBot(cwd, 4);
  // Free pages make the file so large that threads read it.
  execute(
    join(cwd, "data/trading.db"),
    "CREATE TABLE free AS SELECT zeroblob(33000000); DROP TABLE free",
  );
  const before = filesIn(cwd, /-(shm|wal)$/); // SQLite creates them beside a database that it may only read
  const { stdout } = await prepare(["export", "trading"], { cwd });
  for (const more of [[], ["--allow-write=data"]]) {
    const permissions = ["--allow-read=data,catalyst.json,catalyst.jsonc", environment, ...more];
    const least = await prepare(["export", "trading"], { cwd, permissions });
    assert(least.stdout === stdout);
    const csv = ["export", "trading", "--format", "csv", "--table", "large"];
    await prepare(csv, { cwd, permissions });
  }
  assert.deepEqual(filesIn(cwd, /-(shm|wal)$/), before);
});

Deno.test("an export to a file needs permission to write there, and reports if it is missing", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await makeBot(cwd);
  const args = ["export", "--all", "--out", "dumps"];
  const least = ["--allow-read=data,catalyst.json,catalyst.jsonc", environment];
  await expectFailure({
    ...{ args, cwd, permissions: least, code: "NOT_PERMITTED" },
    snapshot: snapshots("no permission to write"),
    mayChange: /-(shm|wal)$/,
  });
  const permissions = [
    "--allow-read=data,dumps,catalyst.json,catalyst.jsonc",
    "--allow-write=data,dumps",
    environment,
  ];
  await prepare(args, { cwd, permissions });
  await prepare(["export", "trading", "--out", "dumps/a.sql"], { cwd, permissions });
});
