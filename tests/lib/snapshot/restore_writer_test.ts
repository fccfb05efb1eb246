/** A process commits continuously while its database is restored. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { DatabaseLockedError } from "../../../lib/base/errors.ts";
import { execute, query, runCli, tempDir } from "../../helpers.ts";

/** Inserts rows and creates tables, and prints at the end which of them were committed. */
const WRITER = `
import { DatabaseSync } from "node:sqlite";

const [path, stop] = Deno.args;
const db = new DatabaseSync(path);
db.exec("PRAGMA busy_timeout = 60000; PRAGMA synchronous = OFF");
const committed = [];
for (let n = 1;; n++) {
  try {
    if (n % 20 === 0) db.exec("CREATE TABLE made_" + n + " (n); INSERT INTO made_" + n + " VALUES (1)");
    else db.prepare("INSERT INTO ticks (n) VALUES (?)").run(n);
    committed.push(n);
  } catch { /* not committed */ }
  if (n === 1) console.log("first");
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  try {
    Deno.lstatSync(stop);
    break;
  } catch { /* not yet */ }
}
console.log(JSON.stringify(committed));
`;

/** Numbers of the writer's rows and tables that are in a file. */
function numbersIn(path: string): number[] {
  const rows = query(path, "SELECT n FROM ticks");
  const tables = query(
    path,
    "SELECT substr(name, 6) AS n FROM sqlite_schema WHERE name GLOB 'made_*'",
  );
  return [...rows, ...tables].map(({ n }) => Number(n));
}

for (
  const [mode, flags] of [
    ["WAL", ["-A"]],
    ["DELETE", ["-A"]],
    ["DELETE", null],
  ] as const
) {
  const permissions = flags === null ? "few permissions" : "all permissions";
  Deno.test(`no commit is lost during a restore in ${mode} mode with ${permissions}`, async () => {
    await using dir = await tempDir();
    const migrator = createCatalystMigrator({ dataDir: dir.path });
    await migrator.upgrade();
    const trading = dir.database("trading");
    execute(trading, `PRAGMA journal_mode = ${mode}; CREATE TABLE ticks (n INTEGER PRIMARY KEY)`);
    await migrator.createSnapshot();
    const [script, stop] = [`${dir.path}/writer.js`, `${dir.path}/stop`];
    Deno.writeTextFileSync(script, WRITER);
    await using writer = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", script, trading, stop],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const said = writer.stdout.pipeThrough(new TextDecoderStream()).getReader();
    assert.match((await said.read()).value ?? "", /^first/);
    const restored = await runCli(
      ["restore", "latest", "--yes", "--json", "--data-dir", dir.path],
      flags === null
        ? {
          permissions: [
            `--allow-read=${dir.path}`,
            `--allow-write=${dir.path}`,
            "--allow-env",
            "--no-prompt",
          ],
        }
        : {},
    );
    assert.equal(restored.code, 0, restored.stderr);
    Deno.writeTextFileSync(stop, "");
    let report = "";
    for (let part = await said.read(); !part.done; part = await said.read()) report += part.value;
    const { safety, laterSnapshots } = JSON.parse(restored.stdout);
    const files = [safety, ...laterSnapshots ?? []]
      .map((name) => `${dir.path}/backups/trading_${name}.db`);
    const found = new Set([trading, ...files].flatMap(numbersIn));
    const committed: number[] = JSON.parse(report);
    assert.deepEqual(committed.filter((number) => !found.has(number)), []);
    assert.ok(committed.length > 10, `only ${committed.length} commits`);
  });
}

Deno.test("a reader of a rollback journal is found before the first database is restored", async () => {
  await using dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path, timeout: 0.1 });
  await migrator.upgrade();
  const trading = dir.database("trading");
  execute(trading, "PRAGMA journal_mode = DELETE");
  const { name } = await migrator.createSnapshot();
  execute(dir.database("positions"), "CREATE TABLE later (a)");
  using reader = new DatabaseSync(trading);
  reader.exec("BEGIN; SELECT count(*) FROM orders");
  await assert.rejects(
    migrator.restoreSnapshot(name, { confirm: () => true }),
    (error) => error instanceof DatabaseLockedError && !error.help?.includes("has begun"),
  );
  assert.equal(
    query(dir.database("positions"), "SELECT name FROM sqlite_schema WHERE name = 'later'").length,
    1,
  );
});
