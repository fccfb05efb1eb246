/**
 * Kills real processes with SIGKILL while they hold the lock, and checks the files that they leave.
 * `CATALYST_CRASH_SEED` repeats a run's delays; `CATALYST_TEST_EFFORT` multiplies the kills per
 * scenario.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { createCatalystMigrator } from "../../../mod.ts";
import { makeEarlierSystem } from "../../earlier_system.ts";
import {
  cliCommand,
  type Content,
  contentOf,
  copyDirectory,
  type DatabaseName,
  databaseNames,
  existsSync,
  idOf,
  insertRows,
  outputOf,
  type PlainRow,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { killInside, lockTaken } from "../../kill.ts";
import { trials } from "../../effort.ts";

const seed = Number(Deno.env.get("CATALYST_CRASH_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const killsPerScenario = trials(2);

/** One command on one kind of directory. */
interface Scenario {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Creates the directory's state before the command. */
  readonly prepare: (dir: TempDir) => Promise<void>;
  /** Databases that may be with or without their migration after a kill. The others keep theirs. */
  readonly changing: readonly DatabaseName[];
  /** Whether the tables exist before their markers. */
  readonly adopts?: boolean;
}

const scenarios: readonly Scenario[] = [
  {
    name: "upgrade of an empty directory",
    args: ["upgrade"],
    prepare: async () => {},
    changing: databaseNames,
  },
  {
    name: "upgrade of an empty directory with a rollback journal",
    args: ["upgrade"],
    env: { SQLITE_WAL_MODE: "DELETE" },
    prepare: async () => {},
    changing: databaseNames,
  },
  {
    name: "upgrade next to a database that has rows",
    args: ["upgrade"],
    prepare: async (dir) => {
      await migrate(dir, { to: "001" });
      insertRows(dir.database("positions"), "positions", 50);
    },
    changing: ["trading", "ml_training"],
  },
  {
    name: "downgrade of databases that have rows",
    args: ["downgrade", "--yes"],
    prepare: migrateWithRows,
    changing: databaseNames,
  },
  {
    name: "upgrade that finds its ledger deleted",
    args: ["upgrade"],
    prepare: async (dir) => {
      await migrateWithRows(dir);
      await Deno.remove(dir.database("migrations"));
    },
    changing: [],
  },
  {
    name: "upgrade that adopts the earlier system's databases",
    args: ["upgrade"],
    prepare: (dir) => Promise.resolve(makeEarlierSystem(dir.path, { rows: 50 })),
    changing: [],
    adopts: true,
  },
];

Deno.test("a killed process leaves each database with its migration and marker, or with neither", async (t) => {
  const random = randomOf(seed);
  await using complete = await tempDir();
  await migrate(complete);
  const schema = contentsOf(complete.path);
  const outcomes: string[] = [];
  for (const scenario of scenarios) {
    await t.step(`${scenario.name}, seed ${seed}`, async () => {
      outcomes.push(`${scenario.name}: ${await killMany(scenario, { schema, random })}`);
    });
  }
  // deno-lint-ignore no-console -- shows how to repeat this run
  console.log([`CATALYST_CRASH_SEED=${seed}`, ...outcomes].join("\n"));
});

interface Campaign {
  /** What the databases hold once all migrations are applied. */
  readonly schema: Contents;
  readonly random: () => number;
}

type Contents = Readonly<Record<DatabaseName, Content>>;

async function killMany(scenario: Scenario, { schema, random }: Campaign): Promise<string> {
  await using template = await tempDir();
  await scenario.prepare(template);
  const before = contentsOf(template.path);
  const expectation: Expectation = { scenario, before, schema };
  let window = await measure(scenario, template.path);
  const reached = { none: 0, some: 0, all: 0 };
  for (let kills = 0, runs = 0; kills < killsPerScenario; runs++) {
    assert.ok(runs < killsPerScenario * 5, "almost every process ended before it could be killed");
    await using dir = await tempDir();
    await copyDirectory(template.path, dir.path);
    const args = [...scenario.args, "--data-dir", dir.path];
    const events = eventsOf(dir.path);
    const delay = delayWithin(window, random);
    const command = cliCommand(args, { env: scenario.env ?? {} });
    const killed = await killInside(command, { lock: lockOf(dir.path), delay });
    if (!killed) {
      window = Math.min(window * 0.9, delay);
      continue;
    }
    kills++;
    const changed = checkFiles(dir.path, expectation);
    reached[changed === 0 ? "none" : changed === databaseNames.length ? "all" : "some"]++;
    checkLockIsFree(dir.path);
    // Sometimes the recovery is killed, too.
    if (random() < 0.3) {
      const recovery = cliCommand(["upgrade", "--data-dir", dir.path]);
      await killInside(recovery, { lock: lockOf(dir.path), delay: random() * window });
      checkFiles(dir.path, { ...expectation, scenario: { ...scenario, changing: databaseNames } });
    }
    await checkRecovery(dir.path, { ...expectation, events });
  }
  return JSON.stringify(reached);
}

/** The lock of a directory's migrators. */
function lockOf(directory: string): string {
  return join(directory, "migrations.lock");
}

/** Every second delay is late: a command reads first and writes at its end. */
function delayWithin(window: number, random: () => number): number {
  return (random() < 0.5 ? random() : 1 - random() * 0.4) * window;
}

/** Milliseconds for which an undisturbed run holds the lock. */
async function measure(scenario: Scenario, template: string): Promise<number> {
  await using dir = await tempDir();
  await copyDirectory(template, dir.path);
  const { args, env = {} } = scenario;
  const child = cliCommand([...args, "--data-dir", dir.path], { env }).spawn();
  const output = outputOf(child);
  await lockTaken(lockOf(dir.path), { pid: child.pid, ended: output });
  const start = performance.now();
  assert.ok((await output).success);
  return performance.now() - start;
}

interface Expectation {
  readonly scenario: Scenario;
  readonly before: Contents;
  readonly schema: Contents;
}

/**
 * Checks promise 1 on the files of the killed process. Returns how many databases have their
 * migration.
 */
function checkFiles(directory: string, { scenario, before, schema }: Expectation): number {
  const found = contentsOf(directory);
  for (const name of databaseNames) {
    const { objects, markers, rows, integrity } = found[name];
    assert.equal(integrity, "ok", name);
    const isThere = objects.length > 0;
    if (!scenario.changing.includes(name)) {
      assert.ok(isThere, `${name} has lost its tables`);
    }
    if (isThere) {
      assert.deepEqual(objects, (scenario.adopts ? before : schema)[name].objects, name);
      if (before[name].objects.length > 0 && !wasRecreated(scenario)) {
        assert.deepEqual(rows, before[name].rows, `${name} has lost rows`);
      }
    }
    if (scenario.adopts && markers.length === 0) continue;
    assert.deepEqual(markers, isThere ? [idOf[name]] : [], `tables and marker of ${name} disagree`);
  }
  return databaseNames.filter((name) => found[name].markers.length > 0).length;
}

/** If the recovery of a downgrade was killed, the tables may exist again without their rows. */
function wasRecreated(scenario: Scenario): boolean {
  return scenario.args[0] === "downgrade" && scenario.changing.length > 0;
}

function checkLockIsFree(directory: string): void {
  using file = Deno.openSync(lockOf(directory), { write: true });
  assert.ok(file.tryLockSync(true), "the lock outlived its process");
}

/** Checks that the next upgrade succeeds and that ledger, markers and schema agree afterwards. */
async function checkRecovery(
  directory: string,
  { scenario, before, schema, events }: Expectation & { readonly events: readonly PlainRow[] },
): Promise<void> {
  const left = contentsOf(directory);
  const leftEvents = eventsOf(directory);
  assert.deepEqual(leftEvents.slice(0, events.length), events, "an event was overwritten");
  const { code, stderr } = await runCli(["upgrade", "--data-dir", directory, "--timeout", "1"]);
  assert.equal(code, 0, stderr);
  const after = contentsOf(directory);
  for (const name of databaseNames) {
    assert.deepEqual(after[name].objects, (scenario.adopts ? before : schema)[name].objects);
    assert.deepEqual(after[name].markers, [idOf[name]]);
    assert.equal(after[name].integrity, "ok");
    if (left[name].objects.length > 0) assert.deepEqual(after[name].rows, left[name].rows);
  }
  const ledger = join(directory, "migrations.db");
  assert.deepEqual(
    query(ledger, "SELECT migration_id AS id, status FROM migration_history ORDER BY 1"),
    ["001", "002", "003"].map((id) => ({ id, status: "applied" })),
  );
  assert.deepEqual(eventsOf(directory).slice(0, leftEvents.length), leftEvents);
  const migrator = createCatalystMigrator({ dataDir: directory });
  const { ok, unreconciled, adoptable } = await migrator.status();
  assert.deepEqual({ ok, unreconciled, adoptable }, { ok: true, unreconciled: [], adoptable: [] });
}

function contentsOf(directory: string): Contents {
  const of = (name: DatabaseName) => contentOf(join(directory, `${name}.db`));
  return { positions: of("positions"), trading: of("trading"), ml_training: of("ml_training") };
}

/** The ledger's events; none if the ledger is missing or empty. */
function eventsOf(directory: string): PlainRow[] {
  const path = join(directory, "migrations.db");
  if (!existsSync(path)) return [];
  assert.deepEqual(query(path, "PRAGMA integrity_check"), [{ integrity_check: "ok" }]);
  const tables = query(path, "SELECT name FROM sqlite_schema WHERE name = 'migration_events'");
  return tables.length === 0 ? [] : query(path, "SELECT * FROM migration_events ORDER BY event_id");
}

async function migrate(dir: TempDir, request: { readonly to?: string } = {}): Promise<void> {
  await createCatalystMigrator({ dataDir: dir.path }).upgrade(request);
}

async function migrateWithRows(dir: TempDir): Promise<void> {
  await migrate(dir);
  for (const name of databaseNames) insertRows(dir.database(name), name, 50);
}

/** A seeded generator of numbers from 0 to 1 (linear congruential). */
function randomOf(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
