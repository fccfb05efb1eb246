/**
 * Kills `backup`, `restore`, `restore --undo` and `backup prune` with SIGKILL at random moments,
 * and checks the files that they leave. `CATALYST_CRASH_SEED` repeats a run's delays;
 * `CATALYST_TEST_EFFORT` multiplies the kills per scenario.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import type { Migrator } from "../../../lib/migrator.ts";
import {
  cliCommand,
  contentOf,
  databaseNames,
  existsSync,
  outputOf,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { killInside, lockTaken } from "../../kill.ts";
import {
  backupsOf,
  copyTree,
  enlarge,
  everythingIn,
  makeBot,
  namesIn,
  randomOf,
  seedFrom,
} from "./files.ts";
import { trials } from "../../effort.ts";

const seed = seedFrom("CATALYST_CRASH_SEED");
const killsPerScenario = trials(1);

/** Which of the sets a database belongs to; `none` if it is missing, empty or damaged. */
type Era = "old" | "new" | "none";

/** One command on one kind of directory. */
interface Scenario {
  readonly name: string;
  readonly args: (snapshot: string) => readonly string[];
  /** Lock file of the phase in which it is killed. */
  readonly lock: string;
  /** Brings the directory of {@link makeHistory} into its state before the command. */
  readonly prepare: (dir: TempDir, snapshot: string) => Promise<void>;
  /** Set of the databases before the command, and after it. */
  readonly from: Era;
  readonly to: Era;
  /** The command to run next. Default: `upgrade`. */
  readonly next?: (migrator: Migrator, snapshot: string) => Promise<unknown>;
}

const restoreAgain = (migrator: Migrator, snapshot: string) =>
  migrator.restoreSnapshot(snapshot, { confirm: () => true });

const scenarios: readonly Scenario[] = [
  {
    name: "backup",
    args: () => ["backup"],
    lock: "backups/backups.lock",
    prepare: async () => {},
    from: "new",
    to: "new",
  },
  {
    name: "backup, compressed",
    args: () => ["backup", "--compress"],
    lock: "backups/backups.lock",
    prepare: async () => {},
    from: "new",
    to: "new",
  },
  {
    name: "restore",
    args: (snapshot) => ["restore", snapshot, "--yes"],
    lock: "migrations.lock",
    prepare: async () => {},
    from: "new",
    to: "old",
  },
  {
    name: "restore of a lost directory",
    args: (snapshot) => ["restore", snapshot, "--yes"],
    lock: "migrations.lock",
    prepare: async (dir) => {
      for (const name of namesIn(dir.path)) await Deno.remove(join(dir.path, name));
    },
    from: "none",
    to: "old",
    next: restoreAgain,
  },
  {
    name: "restore of damaged databases",
    args: (snapshot) => ["restore", snapshot, "--yes"],
    lock: "migrations.lock",
    prepare: async (dir) => {
      for (const name of databaseNames) {
        await Deno.writeFile(dir.database(name), new Uint8Array(8192).fill(0x5a));
      }
    },
    from: "none",
    to: "old",
    next: restoreAgain,
  },
  {
    name: "restore --undo",
    args: () => ["restore", "--undo", "--yes"],
    lock: "migrations.lock",
    prepare: async (dir, snapshot) => {
      await restoreAgain(createCatalystMigrator({ dataDir: dir.path }), snapshot);
    },
    from: "old",
    to: "new",
  },
  {
    name: "backup prune",
    args: () => ["backup", "prune", "--keep", "1"],
    lock: "backups/backups.lock",
    prepare: async (dir) => {
      const migrator = createCatalystMigrator({ dataDir: dir.path, alone: true });
      for (let count = 0; count < 5; count++) await migrator.createSnapshot({ verify: "none" });
    },
    from: "new",
    to: "new",
  },
];

Deno.test("after a kill, the databases are the old set or the new one, and every snapshot is intact", async (t) => {
  const random = randomOf(seed);
  await using history = await tempDir();
  const { snapshot, contents } = await makeHistory(history);
  const outcomes: string[] = [];
  for (const scenario of scenarios) {
    await t.step(`${scenario.name}, seed ${seed}`, async () => {
      await using template = await tempDir();
      copyTree(history.path, template.path);
      await scenario.prepare(template, snapshot);
      const campaign: Campaign = { scenario, template, snapshot, contents, random };
      outcomes.push(`${scenario.name}: ${await killMany(campaign)}`);
    });
  }
  // deno-lint-ignore no-console -- shows how to repeat this run
  console.log([`CATALYST_CRASH_SEED=${seed}`, ...outcomes].join("\n"));
});

/** Content of the databases in each era, as comparable text. */
type Contents = Readonly<Record<"old" | "new", readonly string[]>>;

/** Old rows in a snapshot, and new ones in the databases, whose logs hold the newest. */
async function makeHistory(
  dir: TempDir,
): Promise<{ readonly snapshot: string; readonly contents: Contents }> {
  await using live = await tempDir();
  await makeBot(live);
  enlarge(live, "old");
  const old = contentsOf(live);
  const { name } = await createCatalystMigrator({ dataDir: live.path }).createSnapshot();
  const open = databaseNames.map((database) => {
    const db = new DatabaseSync(live.database(database));
    db.exec("PRAGMA wal_autocheckpoint = 0; SELECT 1 FROM sqlite_schema");
    return db;
  });
  enlarge(live, "new");
  copyTree(live.path, dir.path);
  for (const db of open) db.close();
  for (const database of databaseNames) {
    assert.ok(Deno.statSync(`${dir.database(database)}-wal`).size > 100_000, "there is no log");
  }
  return { snapshot: name, contents: { old, new: contentsOf(live) } };
}

interface Campaign {
  readonly scenario: Scenario;
  readonly template: TempDir;
  /** Name of the snapshot with the old rows. */
  readonly snapshot: string;
  readonly contents: Contents;
  readonly random: () => number;
}

async function killMany(campaign: Campaign): Promise<string> {
  const { scenario, template, random } = campaign;
  let window = await measure(campaign);
  const reached: Record<Moment, number> = { before: 0, between: 0, after: 0 };
  for (let kills = 0, runs = 0; kills < killsPerScenario; runs++) {
    assert.ok(
      runs < killsPerScenario * 5 + 20,
      "almost every process ended before it could be killed",
    );
    await using dir = await tempDir();
    copyTree(template.path, dir.path);
    const delay = (random() < 0.5 ? random() : 1 - random() * 0.4) * window;
    const killed = await killInside(
      cliCommand([...argsOf(campaign), "--data-dir", dir.path]),
      { lock: join(dir.path, scenario.lock), delay },
    );
    if (!killed) {
      window = Math.min(window * 0.9, delay);
      continue;
    }
    kills++;
    const isRestoring = existsSync(join(dir.path, "migrations.restore"));
    const eras = await checkFiles(dir, campaign);
    const changed = eras.filter((era) => era === scenario.to).length;
    reached[momentOf(dir, campaign, eras)]++;
    if (!isRestoring) assert.equal(new Set(eras).size, 1, `a mixture: ${eras}`);
    await checkReader(dir);
    // Sometimes the next command is killed, too.
    if (random() < 0.3) {
      const args = scenario.next === undefined ? ["upgrade"] : argsOf(campaign);
      const lock = "migrations.lock";
      await killInside(
        cliCommand([...args, "--data-dir", dir.path]),
        { lock: join(dir.path, lock), delay: random() * window },
      );
      await checkFiles(dir, campaign);
    }
    await checkRecovery(dir, campaign, isRestoring || changed > 0);
  }
  return JSON.stringify(reached);
}

/** How far a process had come when it was killed, according to its notes. */
type Moment = "before" | "between" | "after";

function momentOf(dir: TempDir, { scenario, template }: Campaign, eras: readonly Era[]): Moment {
  const names = namesIn(backupsOf(dir));
  const { from, to } = scenario;
  if (from !== to) {
    if (existsSync(join(dir.path, "migrations.restore"))) return "between";
    return eras.includes(to) ? "after" : "before";
  }
  if (names.some((name) => name.endsWith(".unfinished"))) return "between";
  const manifests = (all: readonly string[]) => all.filter((name) => name.endsWith(".json")).length;
  return manifests(names) === manifests(namesIn(backupsOf(template))) ? "before" : "after";
}

function argsOf({ scenario, snapshot }: Campaign): readonly string[] {
  return scenario.args(snapshot);
}

/** Milliseconds for which an undisturbed run holds the lock. */
async function measure(campaign: Campaign): Promise<number> {
  const { scenario, template, contents } = campaign;
  await using dir = await tempDir();
  copyTree(template.path, dir.path);
  const child = cliCommand([...argsOf(campaign), "--data-dir", dir.path]).spawn();
  const output = outputOf(child);
  await lockTaken(join(dir.path, scenario.lock), { pid: child.pid, ended: output });
  const start = performance.now();
  const { success, stderr } = await output;
  const window = performance.now() - start;
  assert.ok(success, new TextDecoder().decode(stderr));
  assert.deepEqual(new Set(erasOf(dir, contents)), new Set([scenario.to]));
  return window;
}

/** Checks what a killed process left; returns the era of each database. */
async function checkFiles(dir: TempDir, { scenario, contents }: Campaign): Promise<readonly Era[]> {
  // On a copy, so that the check changes nothing for the next command.
  await using copy = await tempDir();
  copyTree(dir.path, copy.path);
  await checkSnapshots(copy);
  const eras = erasOf(copy, contents);
  for (const era of eras) {
    assert.ok(era === scenario.from || era === scenario.to, `neither old nor new: ${eras}`);
  }
  return eras;
}

/** Checks that no listed snapshot fails its verification. */
async function checkSnapshots(dir: TempDir): Promise<void> {
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  const entries = await migrator.listSnapshots();
  assert.ok(entries.length > 0);
  for (const { name, problems } of entries) {
    assert.deepEqual(problems, [], name);
    const { ok, problems: found } = await migrator.verifySnapshot(name);
    assert.ok(ok, found.join("; "));
  }
}

/** Checks that `status` and `backup list` change nothing. */
async function checkReader(dir: TempDir): Promise<void> {
  // SQLite can't read next to a hot journal without rolling it back.
  if (namesIn(dir.path).some((name) => name.endsWith("-journal"))) return;
  const before = everythingIn(dir);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.status().catch(() => {}); // reports what is damaged
  await migrator.listSnapshots();
  assert.deepEqual(everythingIn(dir), before, "reading has changed files");
}

/** Commands of which any may come next; each completes a killed restore. */
const nextCommands: readonly (readonly string[])[] = [
  ["upgrade"],
  ["backup"],
  ["backup", "prune", "--keep", "1"],
  ["repair"],
];

/**
 * Checks that the next command that changes something brings everything to one set and cleans up.
 *
 * @param isDone Whether the databases must become the other set.
 */
async function checkRecovery(dir: TempDir, campaign: Campaign, isDone: boolean): Promise<void> {
  const { scenario, snapshot, contents, random } = campaign;
  const migrator = createCatalystMigrator({ dataDir: dir.path, timeout: 1 });
  if (scenario.next !== undefined) await scenario.next(migrator, snapshot);
  else {
    const args = nextCommands[Math.floor(random() * nextCommands.length)] ?? [];
    const { code, stderr } = await runCli([...args, "--data-dir", dir.path, "--timeout", "1"]);
    assert.equal(code, 0, stderr);
  }
  const isNew = isDone || scenario.next !== undefined;
  const era = isNew ? scenario.to : scenario.from;
  assert.deepEqual(erasOf(dir, contents), databaseNames.map(() => era));
  await migrator.createSnapshot();
  await checkSnapshots(dir);
  await checkNames(dir, migrator);
  const { ok, unreconciled } = await migrator.status();
  assert.deepEqual({ ok, unreconciled }, { ok: true, unreconciled: [] });
}

/** Checks that the only files are the databases and those that a manifest lists. */
async function checkNames(dir: TempDir, migrator: Migrator): Promise<void> {
  const entries = await migrator.listSnapshots();
  const known = entries.flatMap(({ name, manifest }) => [
    `snapshot_${name}.json`,
    ...manifest?.files.map(({ file }) => file) ?? [],
  ]);
  assert.deepEqual(namesIn(backupsOf(dir)), ["backups.lock", ...known].toSorted());
  const data = namesIn(dir.path).filter((name) =>
    !/^(positions|trading|ml_training|migrations)\.db(-wal|-shm)?$/.test(name) &&
    // Damaged databases are kept next to the new ones.
    !/\.db\.damaged_\d+(-wal|-shm)?$/.test(name) &&
    // An incomplete journal of a restore is ignored; the next command that has work to do removes
    // it.
    name !== "migrations.restore.part"
  );
  assert.deepEqual(data, ["migrations.lock"]);
}

function erasOf(dir: TempDir, contents: Contents): readonly Era[] {
  return contentsOf(dir).map((content, index) =>
    content === contents.old[index] ? "old" : content === contents.new[index] ? "new" : "none"
  );
}

/** Content of each database, as text; arbitrary if it can't be read. */
function contentsOf(dir: TempDir): readonly string[] {
  return databaseNames.map((name) => {
    try {
      const { integrity, ...content } = contentOf(dir.database(name));
      assert.equal(integrity, "ok", name);
      return JSON.stringify(content);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return String(error);
    }
  });
}
