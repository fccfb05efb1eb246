/**
 * Kills `import` with SIGKILL at random moments, and checks what it leaves. `CATALYST_CRASH_SEED`
 * repeats a run's delays; `CATALYST_TEST_EFFORT` multiplies the kills per scenario.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  cliCommand,
  contentOf,
  existsSync,
  outputOf,
  type PlainRow,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { killInside, lockTaken } from "../../kill.ts";
import {
  backupsOf,
  copyTree,
  enlarge,
  makeBot,
  namesIn,
  randomOf,
  seedFrom,
} from "../snapshot/files.ts";
import { trials } from "../../effort.ts";

const seed = seedFrom("CATALYST_CRASH_SEED");
const killsPerScenario = trials(2);

interface Scenario {
  readonly name: string;
  readonly flags: readonly string[];
  /** Changes a directory with old rows into its state before the command. */
  readonly prepare: (dir: TempDir) => void;
}

const scenarios: readonly Scenario[] = [
  { name: "over an existing database", flags: ["--yes"], prepare: () => {} },
  {
    name: "of a missing database",
    flags: [],
    prepare: (dir) => {
      for (const ending of ["", "-wal", "-shm"]) {
        if (existsSync(dir.database("trading") + ending)) {
          Deno.removeSync(dir.database("trading") + ending);
        }
      }
    },
  },
  { name: "into an existing database", flags: ["--into-existing"], prepare: () => {} },
];

Deno.test("after an import is killed, the database is the old one or the new one", async (t) => {
  const random = randomOf(seed);
  await using old = await tempDir();
  await makeBot(old);
  enlarge(old, "old", 300);
  await using fresh = await tempDir();
  await makeBot(fresh, 0);
  enlarge(fresh, "new", 2000);
  for (const scenario of scenarios) {
    await t.step(`${scenario.name}, seed ${seed}`, async () => {
      await using template = await tempDir();
      copyTree(old.path, template.path);
      scenario.prepare(template);
      const isAdded = scenario.flags.includes("--into-existing");
      await Deno.writeTextFile(
        join(template.path, "dump.sql"),
        dumpOf(fresh.database("trading"), { rowsOnly: isAdded }),
      );
      await killMany(scenario, template, random);
    });
  }
});

async function killMany(
  { flags }: Scenario,
  template: TempDir,
  random: () => number,
): Promise<void> {
  const before = stateOf(template);
  const args = (dir: TempDir) => [
    "import",
    join(dir.path, "dump.sql"),
    "--database",
    "trading",
    ...flags,
    "--data-dir",
    dir.path,
  ];
  const { window: measured, after } = await measure(template, args);
  assert.notDeepEqual(after, before);
  const isAdded = flags.includes("--into-existing");
  for (let kills = 0, runs = 0, window = measured; kills < killsPerScenario; runs++) {
    assert.ok(runs < killsPerScenario * 5, "almost every process ended before it could be killed");
    await using dir = await tempDir();
    copyTree(template.path, dir.path);
    const lock = join(dir.path, "migrations.lock");
    // Half of the kills happen at the end, when the databases are exchanged.
    const delay = (random() < 0.5 ? random() : 1 - random() * 0.4) * window;
    if (!await killInside(cliCommand(args(dir)), { lock, delay })) {
      window = Math.min(window * 0.9, delay);
      continue;
    }
    kills++;
    const isDecided = existsSync(join(dir.path, "migrations.restore"));
    const found = stateOfCopy(dir);
    const isNew = found === after;
    if (!isDecided) assert.ok(isNew || found === before, "neither old nor new");
    // The next command completes it, or finds nothing to complete.
    const { code, stderr } = await runCli(["backup", "--data-dir", dir.path]);
    // It warns, and exits with 1, if the database that the ledger knows is still missing.
    assert.equal(code, existsSync(join(dir.path, "trading.db")) ? 0 : 1, stderr);
    assert.equal(stateOf(dir), isDecided || isNew ? after : before);
    assert.equal(existsSync(join(dir.path, "migrations.restore")), false);
    if (isAdded && isNew) continue;
    const again = await runCli([...args(dir), ...isAdded ? [] : ["--yes"]]);
    assert.equal(again.code, 0, again.stderr);
    assert.equal(stateOf(dir), after);
    const known = /^((positions|trading|ml_training|migrations)\.db(-wal|-shm)?|migrations\.lock)$/;
    assert.deepEqual(namesIn(dir.path).filter((name) => !known.test(name)), ["dump.sql"]);
    assert.deepEqual(namesIn(backupsOf(dir)).filter((name) => /part|unfinished/.test(name)), []);
  }
}

/** Milliseconds for which an undisturbed run holds the lock, and its result. */
async function measure(
  template: TempDir,
  args: (dir: TempDir) => readonly string[],
): Promise<{ window: number; after: string }> {
  await using dir = await tempDir();
  copyTree(template.path, dir.path);
  const child = cliCommand(args(dir)).spawn();
  const output = outputOf(child);
  await lockTaken(join(dir.path, "migrations.lock"), { pid: child.pid, ended: output });
  const start = performance.now();
  const { success, stderr } = await output;
  const window = performance.now() - start;
  assert.ok(success, new TextDecoder().decode(stderr));
  return { window, after: stateOf(dir) };
}

/** Content of the database, read from a copy, so that the check changes nothing. */
function stateOfCopy(dir: TempDir): string {
  const copy = Deno.makeTempDirSync({ prefix: "catalyst-migrate-" });
  try {
    copyTree(dir.path, copy);
    return content(join(copy, "trading.db"));
  } finally {
    Deno.removeSync(copy, { recursive: true });
  }
}

function stateOf(dir: TempDir): string {
  return content(dir.database("trading"));
}

function content(path: string): string {
  const { integrity, objects, rows, markers } = contentOf(path);
  assert.equal(integrity, "ok");
  return JSON.stringify([objects, rows, markers]);
}

/** A simple dump of a database. A dump of only the rows leaves out markers, which exist already. */
function dumpOf(path: string, { rowsOnly }: { readonly rowsOnly: boolean }): string {
  using db = new DatabaseSync(path);
  const all = (sql: string): PlainRow[] => db.prepare(sql).all().map((row) => ({ ...row }));
  const objects = all(
    "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'",
  );
  const tables = objects.filter(({ type, name }) =>
    type === "table" && !(rowsOnly && name === "catalyst_migrations")
  );
  const rows = tables.flatMap(({ name }) => {
    const columns = query(path, `SELECT name FROM pragma_table_info('${name}')`)
      .map((column) => `quote("${column["name"]}")`).join(" || ',' || ");
    return all(`SELECT ${columns} AS "values" FROM "${name}"`)
      .map((row) => `INSERT INTO "${name}" VALUES(${row["values"]});`);
  });
  const schema = (isTable: boolean) =>
    rowsOnly
      ? []
      : objects.filter(({ type }) => (type === "table") === isTable).map(({ sql }) => `${sql};`);
  return ["BEGIN;", ...schema(true), ...rows, ...schema(false), "COMMIT;", ""].join("\n");
}
