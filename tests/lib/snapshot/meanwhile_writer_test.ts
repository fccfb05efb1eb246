/** A process commits numbered rows continuously while a command destroys rows. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { execute, query, runCli, type TempDir, tempDir } from "../../helpers.ts";

/** Prints the number of the first row, and at the end that of the last committed row. */
const WRITER = `
import { DatabaseSync } from "node:sqlite";

const [path, stop] = Deno.args;
const db = new DatabaseSync(path);
db.exec("PRAGMA busy_timeout = 60000; PRAGMA synchronous = NORMAL");
let last = 0;
let failure = null;
for (let n = 1; failure === null; n++) {
  try {
    db.prepare("INSERT INTO ticks (n) VALUES (?)").run(n);
    last = n;
  } catch (error) {
    failure = error.message;
  }
  if (n === 1) console.log("first");
  if (n % 20 === 0) {
    try {
      Deno.lstatSync(stop);
      break;
    } catch { /* not yet */ }
  }
}
console.log(JSON.stringify({ last, failure }));
`;

const TICKS = `-- database: trading
-- migrate:up
CREATE TABLE ticks (n INTEGER PRIMARY KEY, filler BLOB);
-- migrate:down
DROP TABLE ticks;
`;

const EMPTY = `-- database: trading
-- migrate:up destroys:ticks
DELETE FROM ticks;
`;

/** Rows that make the copy take a while; their numbers are below 1. */
const FORMER = 3000;

/** The bot's databases with a table of ticks, and a directory of migrations. */
async function begun(): Promise<TempDir> {
  const dir = await tempDir();
  Deno.mkdirSync(`${dir.path}/mine`);
  Deno.writeTextFileSync(`${dir.path}/mine/100_ticks.sql`, TICKS);
  const { code, stderr } = await command(dir, "upgrade");
  assert.equal(code, 0, stderr);
  execute(
    dir.database("trading"),
    `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n - 1 FROM numbers LIMIT ${FORMER})
    INSERT INTO ticks SELECT n, zeroblob(8000) FROM numbers`,
  );
  return dir;
}

async function command({ path }: TempDir, ...args: readonly string[]) {
  return await runCli([...args, "--data-dir", path, "--migrations-dir", `${path}/mine`]);
}

interface Outcome {
  readonly result: { readonly snapshot: string; readonly lost?: readonly { rows: number }[] };
  /** Number of the last committed row. */
  readonly last: number;
  readonly failure: string | null;
}

/** Runs a command while the writer is running; returns the output of both. */
async function beside(dir: TempDir, ...args: readonly string[]): Promise<Outcome> {
  const script = `${dir.path}/writer.js`;
  const stop = `${dir.path}/stop`;
  Deno.writeTextFileSync(script, WRITER);
  await using writer = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, dir.database("trading"), stop],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const said = writer.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await said.read()).value ?? "", /^first/);
  const { code, stdout, stderr } = await command(dir, ...args, "--json");
  assert.equal(code, 0, stdout + stderr);
  Deno.writeTextFileSync(stop, "");
  let report = "";
  for (let part = await said.read(); !part.done; part = await said.read()) report += part.value;
  return { result: JSON.parse(stdout), ...JSON.parse(report) };
}

/** The writer's rows that are in a database file. */
function ticksIn(path: string): number[] {
  return query(path, "SELECT n FROM ticks WHERE n > 0").map(({ n }) => Number(n));
}

function copyOf(dir: TempDir, snapshot: string): string {
  return `${dir.path}/backups/trading_${snapshot}.db`;
}

Deno.test("with a concurrent writer, every committed row that a downgrade removes is counted and in the snapshot", async () => {
  await using dir = await begun();
  const { result, last, failure } = await beside(dir, "downgrade", "--steps", "1", "--yes");
  assert.match(failure ?? "", /no such table/);
  const { length } = ticksIn(copyOf(dir, result.snapshot));
  assert.ok(last > 100, `only ${last} rows were written`);
  assert.equal(length, last);
  assert.deepEqual(result.lost?.map(({ rows }) => rows), [FORMER + last]);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  assert.deepEqual((await migrator.verifySnapshot(result.snapshot)).problems, []);
});

Deno.test("with a concurrent writer, every committed row is in the database after a destructive upgrade, or in the snapshot", async () => {
  await using dir = await begun();
  Deno.writeTextFileSync(`${dir.path}/mine/101_empty.sql`, EMPTY);
  const { result, last, failure } = await beside(dir, "upgrade");
  assert.equal(failure, null);
  const [left, copied] = [ticksIn(dir.database("trading")), ticksIn(copyOf(dir, result.snapshot))];
  // They continue where the copy ends.
  assert.equal(left.length + copied.length, last);
  assert.equal(new Set([...left, ...copied]).size, last);
  assert.equal(query(dir.database("trading"), "SELECT n FROM ticks WHERE n < 1").length, 0);
  using copy = new DatabaseSync(copyOf(dir, result.snapshot), { readOnly: true });
  const former = copy.prepare("SELECT count(*) AS rows FROM ticks WHERE n < 1").get();
  assert.equal(former?.["rows"], FORMER);
});
