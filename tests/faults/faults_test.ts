/**
 * Stops commands at the N-th write, sync, rename, unlink or truncate, with SIGKILL or an error, and
 * checks the result. `CATALYST_FAULT_SEED` repeats a run; `CATALYST_FAULTS` is the number of faults per
 * command, or `all`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { openCatalystMigrator } from "../../mod.ts";
import {
  type Content,
  contentOf,
  databaseNames,
  execute,
  insertRows,
  type TempDir,
  tempDir,
} from "../helpers.ts";
import { type Fault, type FaultyRun, Interposer } from "./interposer.ts";

const seed = Number(Deno.env.get("CATALYST_FAULT_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const wanted = Deno.env.get("CATALYST_FAULTS") ?? "2";

/** One command on one kind of directory. */
interface Scenario {
  readonly name: string;
  readonly args: readonly string[];
  /** Prepares the directory for the command, starting from the common one. */
  readonly prepare?: (dir: TempDir) => Promise<void>;
  /** Does the same again with the library. */
  readonly again: (migrator: Migrator, dir: TempDir) => Promise<unknown>;
}

type Migrator = Awaited<ReturnType<typeof openCatalystMigrator>>;

/** Number of failures of a command to show. */
const MOST_SHOWN = 5;

const yes = { confirm: () => true };

const scenarios: readonly Scenario[] = [
  {
    name: "upgrade",
    args: ["upgrade"],
    again: (migrator) => migrator.upgrade(),
  },
  {
    name: "upgrade of an empty directory",
    args: ["upgrade", "--to", "003"],
    prepare: async (dir) => {
      for (const { name } of Deno.readDirSync(dir.path)) {
        if (name !== "migrations") await Deno.remove(join(dir.path, name), { recursive: true });
      }
    },
    again: (migrator) => migrator.upgrade({ to: "003" }),
  },
  {
    name: "downgrade",
    args: ["downgrade", "--to", "003", "--yes"],
    prepare: async (dir) => void await (await open(dir)).upgrade(),
    again: (migrator) => migrator.downgrade({ to: "003", ...yes }),
  },
  {
    name: "backup",
    args: ["backup"],
    again: (migrator) => migrator.createSnapshot(),
  },
  {
    name: "restore",
    args: ["restore", "latest", "--yes"],
    again: (migrator) => migrator.restoreSnapshot("latest", yes),
  },
  {
    name: "import",
    args: ["import", "trading.sql", "--database", "trading", "--yes"],
    again: async (migrator, dir) => {
      const { readable } = await Deno.open(join(dir.path, "trading.sql"));
      await migrator.importDump(readable, { database: "trading", ...yes });
    },
  },
  {
    name: "backup prune",
    args: ["backup", "prune", "--keep", "1"],
    prepare: async (dir) => {
      const migrator = await open(dir);
      for (let count = 0; count < 2; count++) await migrator.createSnapshot({ verify: "none" });
    },
    again: (migrator) => migrator.pruneSnapshots({ keep: 1 }),
  },
];

const title =
  "stopped at any call that changes a file, a command leaves the old content or the new";

Deno.test(title, async (t) => {
  await using workshop = await tempDir();
  const interposer = await Interposer.build(workshop.path);
  if (interposer === null) {
    // deno-lint-ignore no-console -- reports why nothing was tested
    console.log("not tested: this needs Linux and a C compiler");
    return;
  }
  await using common = await tempDir();
  await makeHistory(common);
  const random = randomOf(seed);
  const report: string[] = [`CATALYST_FAULT_SEED=${seed}`];
  for (const scenario of scenarios) {
    await t.step(`${scenario.name}, seed ${seed}`, async () => {
      await using template = await tempDir();
      copyTree(common.path, template.path);
      await scenario.prepare?.(template);
      const trial = await Trial.begin(scenario, template, interposer);
      for (const fault of faultsOf(trial.calls, random)) await trial.run(fault);
      report.push(`${scenario.name}: ${trial.report}`);
      const { failures } = trial;
      assert.equal(failures.length, 0, failures.slice(0, MOST_SHOWN).join("\n\n"));
    });
  }
  // deno-lint-ignore no-console -- the numbers, and how to repeat this run
  console.log(report.join("\n"));
});

Deno.test("backup prune deletes snapshots on a full disk", async () => {
  await using dir = await tempDir();
  const interposer = await Interposer.build(dir.path);
  if (interposer === null) return; // reported by the test above
  await using data = await tempDir();
  const migrator = await openCatalystMigrator({ dataDir: data.path });
  await migrator.upgrade();
  for (let count = 0; count < 3; count++) await migrator.createSnapshot({ verify: "none" });
  for (const at of [5, 6]) {
    const { code, said } = await interposer.run(
      ["backup", "prune", "--keep", "1", "--data-dir", "."],
      data.path,
      { at, action: "fail" },
    );
    assert.equal(code, 1);
    assert.match(
      said,
      /^error: Cannot prune snapshots: .*os error 5.*\nhelp: some may be deleted/m,
    );
  }
  const { code, said } = await interposer.run(
    ["backup", "prune", "--keep", "1", "--data-dir", "."],
    data.path,
    { at: 1, action: "fill" },
  );
  assert.equal(code, 0, said);
  assert.equal((await migrator.listSnapshots()).length, 1);
  assert.equal(namesIn(join(data.path, "backups")).length, 6);
});

/** Old rows in a snapshot and in a dump, newer ones in the databases, and two pending migrations. */
async function makeHistory(dir: TempDir): Promise<void> {
  const migrations = join(dir.path, "migrations");
  await Deno.mkdir(migrations);
  const migrator = await open(dir);
  await migrator.upgrade();
  for (const name of databaseNames) insertRows(dir.database(name), name);
  await migrator.createSnapshot();
  const dump = await migrator.exportDatabase("trading");
  await Deno.writeFile(join(dir.path, "trading.sql"), dump);
  execute(dir.database("positions"), "UPDATE positions SET quantity = quantity + 1");
  execute(dir.database("trading"), "UPDATE orders SET quantity = quantity + 1");
  execute(dir.database("ml_training"), "UPDATE training_runs SET total_timesteps = 7");
  await Deno.writeTextFile(
    join(migrations, "004_add_note.sql"),
    `-- database: trading
-- migrate:up
ALTER TABLE orders ADD COLUMN note TEXT;
UPDATE orders SET note = 'to be checked';
-- migrate:down
ALTER TABLE orders DROP COLUMN note;
`,
  );
  await Deno.writeTextFile(
    join(migrations, "005_create_lots.sql"),
    `-- database: positions
-- migrate:up
CREATE TABLE lots (position_id TEXT NOT NULL, quantity INTEGER NOT NULL);
INSERT INTO lots SELECT position_id, quantity FROM positions;
-- migrate:down
DROP TABLE lots;
`,
  );
}

function open(dir: TempDir): Promise<Migrator> {
  return openCatalystMigrator({
    dataDir: dir.path,
    migrationsDir: join(dir.path, "migrations"),
    timeout: 5,
  });
}

/** A command and its result without a fault. */
class Trial {
  /** Unexpected results. */
  readonly failures: string[] = [];
  readonly #scenario: Scenario;
  readonly #template: TempDir;
  readonly #interposer: Interposer;
  readonly #before: Contents;
  #after: Contents = {};
  #calls: readonly string[] = [];
  readonly #counts = { kill: 0, tear: 0, fail: 0, fill: 0 };
  readonly #ends = { old: 0, between: 0, new: 0 };

  private constructor(scenario: Scenario, template: TempDir, interposer: Interposer) {
    this.#scenario = scenario;
    this.#template = template;
    this.#interposer = interposer;
    this.#before = contentsOf(template);
  }

  /** Runs the command once without a fault. */
  static async begin(
    scenario: Scenario,
    template: TempDir,
    interposer: Interposer,
  ): Promise<Trial> {
    const trial = new Trial(scenario, template, interposer);
    await using dir = await tempDir();
    const { code, said, calls } = await trial.#start(dir, { at: 0, action: "kill" });
    assert.equal(code, 0, said);
    trial.#calls = calls;
    trial.#after = contentsOf(dir);
    return trial;
  }

  /** The system calls of the command. */
  get calls(): readonly string[] {
    return this.#calls;
  }

  /** The number of faults and how far the command had progressed. */
  get report(): string {
    return `${this.#calls.length} calls; ${JSON.stringify(this.#counts)}; ` +
      `${JSON.stringify(this.#ends)}; ${this.failures.length} failed`;
  }

  /** Runs the command with a fault, and checks the result immediately and after running it again. */
  async run(fault: Fault): Promise<void> {
    await using dir = await tempDir();
    const done = await this.#start(dir, fault);
    const call = this.#calls[fault.at - 1] ?? "";
    this.#counts[fault.action]++;
    try {
      await this.#check(dir, done, fault);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.failures.push(
        `${fault.action} at call ${fault.at} (${call}): ${message}\nit said: ${done.said}`,
      );
    }
  }

  #start(dir: TempDir, fault: Fault): Promise<FaultyRun> {
    copyTree(this.#template.path, dir.path);
    return this.#interposer.run([...this.#scenario.args, "--data-dir", "."], dir.path, fault);
  }

  async #check(dir: TempDir, { code, killed, said }: FaultyRun, fault: Fault): Promise<void> {
    const isKill = fault.action === "kill" || fault.action === "tear";
    assert.ok(!killed || isKill, "it was killed");
    await using copy = await tempDir();
    copyTree(dir.path, copy.path); // reading recovers logs, but the next command must find them
    const found = contentsOf(copy);
    const ends = databaseNames.map((name) =>
      found[name] === this.#after[name]
        ? "new" as const
        : found[name] === this.#before[name]
        ? "old" as const
        : assert.fail(`${name} is neither as before nor as after: ${found[name]?.slice(0, 300)}`)
    );
    const changing = databaseNames.filter((name) => this.#before[name] !== this.#after[name]);
    const reached = new Set(changing.map((name) => ends[databaseNames.indexOf(name)]));
    this
      .#ends[
        reached.size === 1 ? [...reached][0] ?? "old" : reached.size === 0 ? "old" : "between"
      ]++;
    await checkSnapshots(copy);
    if (!isKill) {
      assert.doesNotMatch(said, /bug in catalyst-migrate|^ {4}at /m);
      if (code === 0) assert.deepEqual(found, this.#after);
      else assert.match(said, /^error: /m);
      const isChanged = changing.some((name) => found[name] !== this.#before[name]);
      if (isChanged) assert.doesNotMatch(said, /nothing was changed/i);
    }
    const migrator = await open(dir);
    await this.#scenario.again(migrator, dir);
    assert.deepEqual(contentsOf(dir), this.#after, "after it is run again");
    await checkSnapshots(dir);
    assert.deepEqual((await migrator.status()).unreconciled, []);
    assert.deepEqual(leftIn(dir), [], "left over");
  }
}

/** The faults to try: all of them, or a random selection. */
function faultsOf(calls: readonly string[], random: () => number): Fault[] {
  const all = calls.flatMap((call, index): Fault[] => {
    const at = index + 1;
    const isWrite = call.startsWith("write ");
    return [
      { at, action: "kill" },
      ...isWrite ? [{ at, action: "tear" as const }, { at, action: "fill" as const }] : [],
      { at, action: "fail" },
    ];
  });
  if (wanted === "all") return all;
  return Array.from({ length: Number(wanted) }, () => all[Math.floor(random() * all.length)])
    .filter((fault) => fault !== undefined);
}

/** The content of each database, as text for comparison. */
type Contents = Partial<Readonly<Record<(typeof databaseNames)[number], string>>>;

function contentsOf(dir: TempDir): Contents {
  return Object.fromEntries(databaseNames.map((name) => {
    const { integrity, ...content }: Content = contentOf(dir.database(name));
    assert.equal(integrity, "ok", name);
    return [name, JSON.stringify(content)];
  }));
}

async function checkSnapshots(dir: TempDir): Promise<void> {
  const migrator = await open(dir);
  for (const { name, problems } of await migrator.listSnapshots()) {
    assert.deepEqual(problems, [], `snapshot ${name}`);
    const { ok, problems: found } = await migrator.verifySnapshot(name);
    assert.ok(ok, found.join("; "));
  }
}

/** Files that are neither a database nor part of a snapshot, and snapshots' files without a manifest. */
function leftIn(dir: TempDir): string[] {
  const backups = namesIn(join(dir.path, "backups"));
  const whole = backups.flatMap((name) => /^snapshot_(\w+)\.json$/.exec(name)?.[1] ?? []);
  return [
    ...namesIn(dir.path).filter((name) =>
      !/^(positions|trading|ml_training|migrations)\.db(-wal|-shm)?$/.test(name) &&
      name !== "trading.sql" && name !== "migrations.lock"
    ),
    ...backups.filter((name) =>
      name !== "backups.lock" && !name.endsWith(".json") &&
      !whole.some((one) => name.endsWith(`_${one}.db`))
    ),
  ];
}

function namesIn(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile)
      .map(({ name }) => name).toSorted();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Copies a directory, none of whose files may be open. */
function copyTree(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyTree(join(from, name), join(to, name));
    else Deno.copyFileSync(join(from, name), join(to, name));
  }
}

/** A small seeded generator of numbers from 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

Deno.test("a restore that can't write its note says that nothing was changed", async () => {
  await using dir = await tempDir();
  const interposer = await Interposer.build(dir.path);
  if (interposer === null) return; // the first test reports it
  for (const action of ["fail", "fill"] as const) {
    await using data = await tempDir();
    const migrator = await openCatalystMigrator({ dataDir: data.path });
    await migrator.upgrade();
    await migrator.createSnapshot({ verify: "none" });
    await using trial = await tempDir();
    copyTree(data.path, trial.path);
    const args = ["restore", "latest", "--yes", "--data-dir", "."];
    const trialRun: FaultyRun = await interposer.run(args, trial.path, { at: 0, action });
    const at: number = trialRun.calls.findIndex((call) =>
      call.endsWith("migrations.restore.part")
    ) + 1;
    assert(at > 0);
    const { code, said } = await interposer.run(args, data.path, { at, action });
    assert.equal(code, 1);
    assert.match(said, /^error: Cannot restore \S+: .*\nhelp: nothing was changed/m);
  }
});
