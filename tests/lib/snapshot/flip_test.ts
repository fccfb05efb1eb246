/**
 * Damages snapshots in all known ways, and checks that each one is detected and refused.
 * `CATALYST_FLIP_SEED` repeats a run's positions, `CATALYST_TEST_EFFORT` multiplies them.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { SnapshotError } from "../../../lib/base/errors.ts";
import { defineMigration } from "../../../lib/migration/migration.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { type Manifest, parseManifest, serializeManifest } from "../../../lib/snapshot/manifest.ts";
import { trials } from "../../effort.ts";
import { execute, runCli, type TempDir, tempDir } from "../../helpers.ts";
import {
  backupsOf,
  copyTree,
  everythingIn,
  makeBot,
  namesIn,
  randomOf,
  seedFrom,
} from "./files.ts";

const seed = seedFrom("CATALYST_FLIP_SEED");
const FLIPS = trials(100);
const COMPRESSED_FLIPS = trials(25);

/** In one of this many rounds over the files, the damaged snapshot is also restored. */
const RESTORE_EVERY = 10;

Deno.test(`every flipped bit in a snapshot is found, and none is restored, seed ${seed}`, async () => {
  await using history = await History.make();
  await flipMany(history, FLIPS);
});

Deno.test(`every flipped bit in a compressed snapshot is found, seed ${seed}`, async () => {
  await using history = await History.make({ compress: true });
  await flipMany(history, COMPRESSED_FLIPS);
});

/** One way to damage a snapshot, and the expected message. */
interface Damage {
  readonly name: string;
  readonly spoil: (history: History) => void | Promise<void>;
  readonly message: RegExp;
}

const damages: readonly Damage[] = [
  {
    name: "a file of another database in place of one",
    spoil: ({ file }) => Deno.copyFileSync(file("positions"), file("trading")),
    message: /trading_\w+\.db has \d+ bytes, expected \d+/,
  },
  {
    name: "two swapped files",
    spoil: ({ file }) => {
      Deno.renameSync(file("positions"), file("trading") + "x");
      Deno.renameSync(file("trading"), file("positions"));
      Deno.renameSync(file("trading") + "x", file("trading"));
    },
    message: /positions_\w+\.db has/,
  },
  {
    name: "a later copy of the same database",
    spoil: async (history) => {
      execute(history.dir.database("trading"), "UPDATE orders SET quantity = quantity + 1");
      const other = await history.migrator.createSnapshot();
      const newer = join(backupsOf(history.dir), `trading_${other.name}.db`);
      assert.equal(Deno.statSync(newer).size, Deno.statSync(history.file("trading")).size);
      Deno.copyFileSync(newer, history.file("trading"));
    },
    message: /trading_\w+\.db is damaged: its checksum does not match the manifest/,
  },
  {
    name: "a file cut short",
    spoil: ({ file }) => Deno.truncateSync(file("ml_training"), 8192),
    message: /ml_training_\w+\.db has 8192 bytes, expected \d+/,
  },
  {
    name: "an empty file",
    spoil: ({ file }) => Deno.truncateSync(file("ml_training")),
    message: /ml_training_\w+\.db has 0 bytes, expected \d+/,
  },
  {
    name: "a missing file",
    spoil: ({ file }) => Deno.removeSync(file("migrations")),
    message: /migrations_\w+\.db is missing/,
  },
  {
    name: "a log next to a file",
    spoil: ({ file }) => Deno.writeTextFileSync(`${file("trading")}-wal`, "log"),
    message: /trading_\w+\.db was opened and changed/,
  },
  {
    name: "an empty manifest",
    spoil: ({ manifest }) => Deno.truncateSync(manifest),
    message: /Cannot read .+: it is damaged/,
  },
  {
    name: "an edited manifest",
    spoil: ({ manifest }) => replaceText(manifest, '"reason": "manual"', '"reason": "safety"'),
    message: /Cannot read .+: it is damaged: its checksum does not match/,
  },
  {
    name: "a manifest of a newer format",
    spoil: ({ manifest }) => replaceText(manifest, '"format": 1', '"format": 2'),
    message: /its format is 2, and this version knows 1/,
  },
  {
    name: "a manifest of another snapshot",
    spoil: async ({ dir, manifest, migrator }) => {
      const { name } = await migrator.createSnapshot();
      Deno.renameSync(join(backupsOf(dir), `snapshot_${name}.json`), manifest);
    },
    message: /it is the manifest of snapshot \w+/,
  },
  ...["../x", "../../trading.db", "/etc/passwd", "x/../trading.db", "..\\x", "trading.db"].map(
    (file): Damage => ({
      name: `a manifest that names the file ${file}`,
      spoil: (history) => rewrite(history, (one) => ({ ...one, file })),
      message: /Cannot read .+: it is damaged: the entry of a file is invalid/,
    }),
  ),
  {
    name: "a manifest that names a database ../x",
    spoil: (history) =>
      rewrite(history, (one) => ({ ...one, database: "../x", file: `../x_${history.name}.db` })),
    message: /Cannot read .+: it is damaged: the entry of a file is invalid/,
  },
];

for (const { name: what, spoil, message } of damages) {
  Deno.test(`${what} is found, and not restored`, async () => {
    await using history = await History.make();
    await spoil(history);
    assert.match(await finding(history), message);
    await checkRefusal(history, message);
  });
}

Deno.test("swapped files are found without checksums, too", async () => {
  await using history = await History.make({ verify: "none" });
  const [one, other] = [history.file("positions"), history.file("trading")];
  // Of equal size, so that only their content differs.
  await rewrite(history, (file) => ({ ...file, sizeBytes: Deno.statSync(one).size }));
  Deno.copyFileSync(one, other);
  assert.match(await finding(history), /trading_\w+\.db has rows or migrations that do not match/);
});

Deno.test("a snapshot of another set of databases is refused, and nothing is changed", async () => {
  await using history = await History.make();
  await using other = await tempDir();
  const migrator = new Migrator({
    databases: { notes: join(other.path, "notes.db") },
    ledger: join(other.path, "migrations.db"),
    migrations: [
      defineMigration({
        name: "001_create_notes",
        database: "notes",
        upgrade: "CREATE TABLE notes (body TEXT)",
        downgrade: "DROP TABLE notes",
      }),
    ],
  });
  await migrator.upgrade();
  const { name } = await migrator.createSnapshot();
  await Deno.remove(backupsOf(history.dir), { recursive: true });
  copyTree(backupsOf(other), backupsOf(history.dir));
  const before = everythingIn(history.dir);
  await assert.rejects(
    history.migrator.restoreSnapshot(name, { confirm: () => true }),
    /it belongs to another set of databases: it has "notes"/,
  );
  assert.deepEqual(everythingIn(history.dir), before);
});

Deno.test("a damaged snapshot ends backup verify and restore with exit code 1", async () => {
  await using history = await History.make();
  flip(history.file("trading"), 100_000);
  const at = ["--data-dir", history.dir.path];
  const verified = await runCli(["backup", "verify", history.name, ...at]);
  assert.equal(verified.code, 1);
  assert.match(verified.stdout, /trading_\w+\.db is damaged/);
  const before = everythingIn(history.dir);
  const restored = await runCli(["restore", history.name, "--yes", ...at]);
  assert.equal(restored.code, 1);
  assert.match(restored.stderr, /error: Cannot restore \w+: trading_\w+\.db is damaged/);
  assert.deepEqual(everythingIn(history.dir), before);
});

/** A bot's directory with one snapshot, after which rows were changed. */
class History implements AsyncDisposable {
  readonly dir: TempDir;
  readonly name: string;
  readonly migrator: Migrator;
  readonly #compressed: boolean;

  private constructor(dir: TempDir, { name, files }: Manifest) {
    this.dir = dir;
    this.name = name;
    this.#compressed = files.some(({ compressed }) => compressed);
    this.migrator = createCatalystMigrator({ dataDir: dir.path, alone: true });
  }

  static async make(
    options: { readonly compress?: boolean; readonly verify?: "none" } = {},
  ): Promise<History> {
    const dir = await tempDir();
    await makeBot(dir);
    const migrator = createCatalystMigrator({ dataDir: dir.path, alone: true });
    const manifest = await migrator.createSnapshot(options);
    execute(dir.database("trading"), "DELETE FROM fills");
    return new History(dir, manifest);
  }

  /** Path of a database's file in the snapshot. */
  readonly file = (database: string): string =>
    join(backupsOf(this.dir), `${database}_${this.name}.db${this.#compressed ? ".gz" : ""}`);

  /** Path of the manifest. */
  get manifest(): string {
    return join(backupsOf(this.dir), `snapshot_${this.name}.json`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir[Symbol.asyncDispose]();
  }
}

/** Flips one bit after the other, restoring each before the next. */
async function flipMany(history: History, flips: number): Promise<void> {
  const random = randomOf(seed);
  const backups = backupsOf(history.dir);
  const names = namesIn(backups).filter((name) => name.includes(history.name));
  assert.equal(names.length, 5);
  for (let count = 0; count < flips; count++) {
    // Each file equally often: among all bytes the manifest's would hardly ever be chosen.
    const path = join(backups, names[count % names.length] ?? "");
    const bit = Math.floor(random() * Deno.statSync(path).size * 8);
    flip(path, bit);
    const problem = await finding(history);
    assert.notEqual(problem, "", `bit ${bit} of ${path} was flipped without being noticed`);
    if (Math.floor(count / names.length) % RESTORE_EVERY === 0) {
      await checkRefusal(history, /Cannot (restore|read) /);
    }
    flip(path, bit);
  }
  assert.equal(await finding(history), "", "the snapshot has changed");
}

function flip(path: string, bit: number): void {
  using file = Deno.openSync(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  const position = Math.floor(bit / 8);
  file.seekSync(position, Deno.SeekMode.Start);
  assert.equal(file.readSync(byte), 1);
  byte[0] = (byte[0] ?? 0) ^ (1 << (bit % 8));
  file.seekSync(position, Deno.SeekMode.Start);
  assert.equal(file.writeSync(byte), 1);
}

/** The problem that verifying a snapshot reports; empty if there is none. */
async function finding({ migrator, name }: History): Promise<string> {
  try {
    const { ok, problems } = await migrator.verifySnapshot(name);
    assert.equal(ok, problems.length === 0);
    return problems.join("; ");
  } catch (error) {
    assert.ok(error instanceof SnapshotError, String(error));
    const entry = (await migrator.listSnapshots()).find((one) => one.name === name);
    assert.deepEqual(entry, { name, manifest: null, problems: [error.message] });
    return error.message;
  }
}

/** Checks that a snapshot is not restored, and that trying changes no file. */
async function checkRefusal({ dir, migrator, name }: History, message: RegExp): Promise<void> {
  const before = everythingIn(dir);
  await assert.rejects(
    migrator.restoreSnapshot(name, { confirm: () => true }),
    (error) => error instanceof SnapshotError && message.test(error.message),
  );
  assert.deepEqual(everythingIn(dir), before);
}

function replaceText(path: string, from: string, to: string): void {
  const text = Deno.readTextFileSync(path);
  assert.ok(text.includes(from));
  Deno.writeTextFileSync(path, text.replace(from, to));
}

/** Rewrites the manifest, with a matching checksum and a different entry for trading's file. */
async function rewrite(
  { manifest: path }: History,
  change: (file: Manifest["files"][number]) => Manifest["files"][number],
): Promise<void> {
  const manifest = await parseManifest(Deno.readTextFileSync(path), path);
  const files = manifest.files.map((one) => one.database === "trading" ? change(one) : one);
  Deno.writeTextFileSync(path, await serializeManifest({ ...manifest, files }));
}
