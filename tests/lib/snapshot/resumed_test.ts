import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { SnapshotError } from "../../../lib/base/errors.ts";
import type { Migrator } from "../../../lib/migrator.ts";
import { removeIfThere } from "../../../lib/base/files.ts";
import { acquireLock } from "../../../lib/base/file_lock.ts";
import { readJournal, writeJournal } from "../../../lib/snapshot/journal.ts";
import { lockStore } from "../../../lib/snapshot/store.ts";
import {
  databaseNames,
  execute,
  existsSync,
  insertRows,
  query,
  runCli,
  tempDir,
} from "../../helpers.ts";
import { lockTaken } from "../../kill.ts";
import { copyTree } from "./files.ts";

/** A bot whose restore was killed: positions was replaced, trading and ml_training were not. */
interface Interrupted extends AsyncDisposable {
  /** Working directory of the killed command; the databases are in `data`. */
  readonly cwd: string;
  /** A directory for other bots. */
  readonly other: string;
  readonly data: string;
  /** Name of the snapshot, which has 3 rows of each kind. */
  readonly snapshot: string;
}

const TABLE = { positions: "positions", trading: "orders", ml_training: "training_runs" };

/** Numbers of rows, in the order of the databases. */
function rowsIn(data: string): unknown[] {
  return databaseNames.map((name) => count(join(data, `${name}.db`), TABLE[name]));
}

function count(path: string, table: string): unknown {
  return query(path, `SELECT count(*) AS rows FROM ${table}`)[0]?.["rows"];
}

function migratorOf(data: string): Migrator {
  return createCatalystMigrator({ dataDir: data, alone: true, timeout: 5 });
}

function addRows(data: string, tag: string): void {
  for (const [name, table] of Object.entries(TABLE)) {
    const path = join(data, `${name}.db`);
    const columns = query(path, `SELECT name, pk FROM pragma_table_info('${table}')`)
      .map(({ name }) => String(name));
    const values = columns.map((column) =>
      /^(client_)?(\w+_id|model_name)$/.test(column) ? `${column} || '${tag}'` : column
    );
    execute(path, `INSERT INTO ${table} (${columns}) SELECT ${values} FROM ${table} LIMIT 3`);
  }
}

async function withRows(data: string, rows: number): Promise<Migrator> {
  Deno.mkdirSync(data, { recursive: true });
  const migrator = migratorOf(data);
  await migrator.upgrade();
  for (const name of databaseNames) insertRows(join(data, `${name}.db`), name, rows);
  return migrator;
}

async function interrupted(): Promise<Interrupted> {
  const directory = await tempDir();
  const cwd = join(directory.path, "one");
  const data = join(cwd, "data");
  const migrator = await withRows(data, 3);
  const { name: snapshot } = await migrator.createSnapshot();
  addRows(data, "-later");
  assert.deepEqual(rowsIn(data), [6, 6, 6]);
  // The state after a kill following the first database: the others and the ledger are unchanged,
  // and the journal remains.
  const ledger = join(data, "migrations.db");
  Deno.copyFileSync(ledger, join(directory.path, "ledger"));
  const { safety } = await migrator.restoreSnapshot(snapshot, { confirm: () => true });
  const backups = join(data, "backups");
  for (const name of ["trading", "ml_training"]) {
    for (const ending of ["-wal", "-shm", ""]) removeIfThere(join(data, `${name}.db${ending}`));
    Deno.copyFileSync(join(backups, `${name}_${safety}.db`), join(data, `${name}.db`));
  }
  for (const ending of ["-wal", "-shm"]) removeIfThere(`${ledger}${ending}`);
  Deno.renameSync(join(directory.path, "ledger"), ledger);
  await writeJournal(join(data, "migrations.restore"), {
    label: snapshot,
    safety,
    replacements: databaseNames.map((database) => {
      const source = join(backups, `${database}_${snapshot}.db`);
      const bytes = Deno.statSync(source).size;
      const isDone = database === "positions" ? { isDone: true } : {};
      return { database, source, bytes, compressed: false, ...isDone };
    }),
  });
  assert.deepEqual(rowsIn(data), [3, 6, 6]);
  return {
    cwd,
    other: join(directory.path, "other"),
    data,
    snapshot,
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

Deno.test("a restore killed in a directory that was copied since is completed only in the copy", async () => {
  await using place = await interrupted();
  copyTree(place.data, place.other);
  await migratorOf(place.data).upgrade();
  addRows(place.data, "-new");
  assert.deepEqual(rowsIn(place.data), [6, 6, 6]);
  await migratorOf(place.other).upgrade();
  assert.deepEqual(rowsIn(place.other), [3, 3, 3]);
  assert.deepEqual(rowsIn(place.data), [6, 6, 6]);
});

Deno.test("a restore killed in a directory that was renamed since is completed", async () => {
  await using place = await interrupted();
  Deno.renameSync(place.data, place.other);
  await migratorOf(place.other).upgrade();
  assert.deepEqual(rowsIn(place.other), [3, 3, 3]);
  assert.ok(!existsSync(join(place.other, "migrations.restore")));
});

Deno.test("a killed restore is completed from the working directory of another bot", async () => {
  await using place = await interrupted();
  await withRows(join(place.other, "data"), 5);
  const { code, stderr } = await runCli(["upgrade", "--data-dir", "../one/data"], {
    cwd: place.other,
  });
  assert.equal(code, 0, stderr);
  assert.deepEqual(rowsIn(place.data), [3, 3, 3]);
  assert.deepEqual(rowsIn(join(place.other, "data")), [5, 5, 5]);
});

Deno.test("rows written after a kill are kept, and the snapshot that contains them is named", async () => {
  await using place = await interrupted();
  const { cwd, data } = place;
  addRows(data, "-nextday");
  const { code, stderr } = await runCli(["backup", "--quiet"], { cwd });
  assert.equal(code, 0, stderr);
  const [, name = ""] = /^warning: finished first .* snapshot (\w+)$/m.exec(stderr) ??
    assert.fail(stderr);
  // What was replaced before the kill was not touched.
  assert.deepEqual(rowsIn(data), [6, 3, 3]);
  const kept = (database: "trading" | "ml_training") =>
    count(join(data, `backups/${database}_${name}.db`), TABLE[database]);
  assert.deepEqual([kept("trading"), kept("ml_training")], [9, 9]);
  const migrator = migratorOf(data);
  const entry = (await migrator.listSnapshots()).find((one) => one.name === name);
  assert.equal(entry?.manifest?.reason, "interrupted");
  const events = await migrator.history({ limit: 100 });
  const restores = events.filter(({ direction }) => direction === "restore");
  assert.equal(restores.length, 3);
  assert.ok(restores.every(({ detail }) => detail?.includes(name)));
  // Undo still refers to the state before the restore.
  const { snapshot, safety } = await migrator.undoRestore({ confirm: () => true });
  assert.notEqual(snapshot, name);
  assert.deepEqual(rowsIn(data), [6, 6, 6]);
  assert.equal(count(join(data, `backups/positions_${safety}.db`), "positions"), 6);
});

Deno.test("`latest` is not the snapshot of a resumed restore", async () => {
  await using place = await interrupted();
  const migrator = migratorOf(place.data);
  const { snapshot } = await migrator.restoreSnapshot("latest", { confirm: () => true });
  assert.equal(snapshot, place.snapshot);
});

Deno.test("a program is notified once that a restore was completed", async () => {
  await using place = await interrupted();
  const told: unknown[] = [];
  const migrator = createCatalystMigrator({
    dataDir: place.data,
    alone: true,
    onRestoreFinished: ({ snapshot, restored, laterSnapshots }) => {
      told.push([snapshot, restored.length, laterSnapshots?.length]);
    },
  });
  await migrator.upgrade();
  await migrator.upgrade();
  assert.deepEqual(told, [[place.snapshot, 3, 1]]);
});

Deno.test("a restore that can't continue does not take a snapshot with each attempt", async () => {
  await using place = await interrupted();
  const backups = () => [...Deno.readDirSync(join(place.data, "backups"))].length;
  const before = backups();
  using bot = new DatabaseSync(join(place.data, "trading.db"));
  bot.exec("BEGIN IMMEDIATE");
  const migrator = createCatalystMigrator({ dataDir: place.data, alone: true, timeout: 0.1 });
  for (let attempt = 0; attempt < 3; attempt++) {
    await assert.rejects(migrator.upgrade(), /trading/);
  }
  assert.equal(backups(), before);
});

Deno.test("whichever byte of a restore's journal is changed, nothing is overwritten", async () => {
  await using place = await interrupted();
  const note = join(place.data, "migrations.restore");
  const migrator = migratorOf(place.data);
  const text = Deno.readTextFileSync(note);
  const { safety } = await readJournal(note);
  assert.ok(safety !== null);
  for (
    const [from, to] of [
      ['"trading"', '"tradinf"'],
      ['"trading"', '"ml_training"'],
      ["backups/trading", "backups/ml_training"],
      [`"safety": "${safety}"`, `"safety": null`],
      ['"isDone": true', '"isDone": false'],
      ['"format": 1', '"format": 2'],
      ['"format": 1', '"format": 0'],
      [text, "{}"],
    ] as const
  ) {
    assert.ok(text.includes(from), from);
    Deno.writeTextFileSync(note, text.replace(from, to));
    await assert.rejects(
      migrator.upgrade(),
      (error) => error instanceof SnapshotError && Boolean(error.help),
      `${from} -> ${to}`,
    );
    assert.deepEqual(rowsIn(place.data), [3, 6, 6]);
    assert.deepEqual(
      [...Deno.readDirSync(place.data)].filter(({ name }) => name.startsWith("tradinf")),
      [],
    );
  }
  Deno.writeTextFileSync(note, text);
  await migrator.upgrade();
  assert.deepEqual(rowsIn(place.data), [3, 3, 3]);
});

Deno.test("an interrupted restore of databases that this program does not define changes nothing", async () => {
  await using place = await interrupted();
  const note = join(place.data, "migrations.restore");
  const journal = await readJournal(note);
  const replacements = journal.replacements.map((one) =>
    one.database === "ml_training" ? { ...one, database: "models" } : one
  );
  await writeJournal(note, { ...journal, replacements });
  await assert.rejects(
    migratorOf(place.data).upgrade(),
    (error) =>
      error instanceof SnapshotError && /unknown database "models"$/.test(error.message) &&
      /run the program that defines it/.test(error.help ?? ""),
  );
  assert.deepEqual(rowsIn(place.data), [3, 6, 6]);
});

Deno.test("an interrupted restore does not use a source that is empty or truncated", async () => {
  await using place = await interrupted();
  const source = join(place.data, `backups/trading_${place.snapshot}.db`);
  for (const length of [0, 4096]) {
    Deno.truncateSync(source, length);
    await assert.rejects(migratorOf(place.data).upgrade(), /has changed since it was checked/);
    assert.deepEqual(rowsIn(place.data), [3, 6, 6]);
  }
});

Deno.test("a database that a bot created after an import was killed is kept before it is replaced", async () => {
  await using directory = await tempDir();
  const data = directory.path;
  await withRows(data, 3);
  const trading = join(data, "trading.db");
  const source = join(Deno.realPathSync(data), "trading.db.import.part");
  Deno.renameSync(trading, source);
  await writeJournal(join(data, "migrations.restore"), {
    direction: "import",
    label: "dump.sql",
    safety: null,
    replacements: [{
      database: "trading",
      source,
      bytes: Deno.statSync(source).size,
      compressed: false,
      temporary: "move",
    }],
  });
  execute(trading, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
  const kept: string[] = [];
  await createCatalystMigrator({
    dataDir: data,
    alone: true,
    onRestoreFinished: ({ laterSnapshots }) => {
      kept.push(...laterSnapshots ?? []);
    },
  }).upgrade();
  assert.equal(kept.length, 1);
  assert.equal(count(join(data, `backups/trading_${kept[0]}.db`), "mine"), 1);
  assert.deepEqual(rowsIn(data), [3, 3, 3]);
  assert.ok(!existsSync(source));
});

Deno.test("`backup prune` waits for a restore that reads what would be deleted", async () => {
  await using directory = await tempDir();
  const data = directory.path;
  const migrator = await withRows(data, 3);
  const { name } = await migrator.createSnapshot();
  await migrator.createSnapshot();
  addRows(data, "-later");
  // Of this process, too, whose id is in it.
  Deno.writeTextFileSync(join(data, "migrations.lock"), "");
  let pruning: Promise<readonly string[]>;
  let restoring: Promise<unknown>;
  {
    // The restore holds its lock, and waits here to copy the existing data.
    using _store = await lockStore(join(data, "backups"), { timeout: 5 });
    restoring = migrator.restoreSnapshot(name, { confirm: () => true });
    const ended = restoring.catch(() => {});
    await lockTaken(join(data, "migrations.lock"), { pid: Deno.pid, ended });
    await new Promise((resolve) => setTimeout(resolve, 50));
    pruning = migratorOf(data).pruneSnapshots({ keep: 1 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(existsSync(join(data, `backups/trading_${name}.db`)));
  }
  await restoring;
  assert.deepEqual(rowsIn(data), [3, 3, 3]);
  assert.deepEqual(await pruning, [name]);
});

Deno.test("a restore whose snapshot was deleted while it waited for its lock changes nothing", async () => {
  await using directory = await tempDir();
  const data = directory.path;
  const migrator = await withRows(data, 3);
  const { name } = await migrator.createSnapshot();
  addRows(data, "-later");
  let restoring: Promise<unknown>;
  {
    using _lock = await acquireLock(join(data, "migrations.lock"), { timeout: 5 });
    let isAsked = () => {};
    const asked = new Promise<void>((resolve) => isAsked = resolve);
    restoring = migrator.restoreSnapshot(name, {
      confirm: () => {
        isAsked();
        return true;
      },
    });
    restoring.catch(() => {});
    await Promise.race([asked, restoring]);
    Deno.removeSync(join(data, `backups/trading_${name}.db`));
  }
  await assert.rejects(
    restoring,
    (error) =>
      error instanceof SnapshotError && /is missing$/.test(error.message) &&
      /^nothing was changed/.test(error.help ?? ""),
  );
  assert.deepEqual(rowsIn(data), [6, 6, 6]);
  assert.ok(!existsSync(join(data, "migrations.restore")));
  assert.ok(!existsSync(join(data, `backups/trading_${name}.db`)));
  // None was taken for `--undo`, which still refers to the restore before.
  assert.equal((await migrator.listSnapshots()).length, 1);
});
