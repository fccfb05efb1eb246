import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expectFailure, prepare, run } from "../cli_helpers.ts";
import { insertRows, tempDir } from "../helpers.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("permissions");
const code = "NOT_PERMITTED";

/** All permissions that the command line needs, as documented. */
const variables = [
  ...["DB_PATH_PREFIX", "CATALYST_CONFIG", "SQLITE_WAL_MODE", "SQLITE_SYNCHRONOUS"],
  ...["SQLITE_CACHE_SIZE", "SQLITE_MMAP_SIZE", "NO_COLOR"],
];
const environment = `--allow-env=${variables}`;
const configuration = "catalyst.json,catalyst.jsonc";
const least = [`--allow-read=data,${configuration}`, "--allow-write=data", environment];

Deno.test("every command works with read and write permission on the data directory and its variables only", async () => {
  await using directory = await tempDir();
  const options = { cwd: directory.path, permissions: least };
  for (
    const line of [
      ...["--version", "--help", "status --help", "status", "upgrade --dry-run", "upgrade"],
      ...["upgrade", "status --check", "history --limit 2", "verify", "verify --data", "repair"],
      ...["downgrade --dry-run", "downgrade --steps 1", "upgrade --json --verbose"],
    ]
  ) {
    const { stderr } = await prepare(line.split(" "), options);
    assert.doesNotMatch(stderr, /permission|access/i);
  }
  const database = join(directory.path, "data/trading.db");
  insertRows(database, "trading");
  await expectFailure({ ...options, args: ["downgrade"], code: "NOT_CONFIRMED" });
  await prepare(["downgrade", "--yes"], options);
});

Deno.test("init needs permission on catalyst.json and its unfinished file only", async () => {
  await using directory = await tempDir();
  const files = "catalyst.json,catalyst.json.catalyst.part";
  const permissions = [
    `--allow-read=data,catalyst.jsonc,${files}`,
    `--allow-write=data,${files}`,
    environment,
  ];
  const options = { cwd: directory.path, permissions };
  await prepare(["upgrade"], options);
  await prepare(["init", "--yes"], options);
  assert(Deno.statSync(join(directory.path, "catalyst.json")).isFile);
});

Deno.test("report --html names the files of the toolkit that Deno may not read", async () => {
  await using directory = await tempDir();
  const options = { cwd: directory.path, permissions: least };
  await prepare(["upgrade"], options);
  const { code, stderr } = await run(["report", "--html", "data/report.html"], options);
  assert.equal(code, 1);
  assert.match(stderr, /^error: Cannot draw the charts: Deno has no read access to .*charts\.ts$/m);
  assert.match(stderr, /^help: add .*[/\\]lib to --allow-read; /m);
});

Deno.test("an unreadable colour setting does not stop anything", async () => {
  await using directory = await tempDir();
  const permissions = [...least.slice(0, 2), environment.replace(",NO_COLOR", "")];
  await prepare(["upgrade"], { cwd: directory.path, permissions });
});

const missing: Readonly<Record<string, readonly string[]>> = {
  "no permission at all": [],
  "no variables": least.slice(0, 2),
  "no reading": [least[1] ?? "", environment],
  "no writing": [least[0] ?? "", environment],
};

for (const [name, permissions] of Object.entries(missing)) {
  Deno.test(`a missing permission is named: ${name}`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await expectFailure({ args: ["upgrade"], cwd, permissions, code, snapshot: snapshots(name) });
    await prepare(["upgrade", "--to", "001"], { cwd });
    const snapshot = snapshots(`${name}, with databases`);
    const mayChange = /-(shm|wal)$/; // SQLite creates them beside a database that it may only read
    await expectFailure({ args: ["upgrade"], cwd, permissions, code, mayChange, snapshot });
  });
}

Deno.test("a directory outside the permissions is named", async () => {
  await using directory = await tempDir();
  for (const args of [["status", "--data-dir", "other"], ["upgrade", "--data-dir", "other"]]) {
    await expectFailure({
      ...{ args, cwd: directory.path, permissions: least, code },
      snapshot: snapshots(`${args[0]} of another directory`),
    });
  }
});

Deno.test("the permission that a migration lacks is named, and the migration is rolled back", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await Deno.mkdir(join(cwd, "migrations"));
  await Deno.writeTextFile(
    join(cwd, "migrations/004_ask.js"),
    `export default { database: "trading", async upgrade(transaction) {
      await transaction.exec("CREATE TABLE asked (a)");
      await fetch("http://127.0.0.1:8080/");
    } };`,
  );
  await expectFailure({
    ...{ args: ["upgrade"], cwd, code: "MIGRATION_FAILED" },
    permissions: [
      `--allow-read=data,migrations,${configuration}`,
      "--allow-write=data",
      environment,
    ],
    mayChange: /migrations\.(db|lock)|-(shm|wal)$/,
    snapshot: snapshots("a migration that asks the network"),
  });
  using database = new DatabaseSync(join(cwd, "data/trading.db"));
  assert.equal(
    database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'asked'").get(),
    undefined,
  );
});

Deno.test("reading needs no write permission", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const permissions = [`--allow-read=data,${configuration}`, environment];
  for (const command of ["status --check", "verify --data", "history", "upgrade", "repair"]) {
    const { code, stderr } = await run(command.split(" "), { cwd, permissions });
    assert.equal(code, 0, `${command}: ${stderr}`);
  }
});
