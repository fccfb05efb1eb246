import assert from "node:assert/strict";
import { join } from "node:path";
import { leftoversAmongSnapshots, leftoversBeside } from "../../../lib/doctor/find_leftovers.ts";
import { prepare } from "../../cli_helpers.ts";
import { insertRows, tempDir } from "../../helpers.ts";
import { examine } from "./support.ts";

const databases = ["positions", "trading", "migrations"];

Deno.test("leftovers next to the databases are recognised by name, and nothing else is", () => {
  const names = [
    ...["positions.db", "positions.db-wal", "positions.db-shm", "positions.db-journal"],
    ...["trading.db-wal", "trading.db-shm", "trading.db.import.part", "positions.db.part"],
    ...["positions.db.damaged_1700000000", "positions.db.damaged_1700000000-wal"],
    ...["migrations.restore", "migrations.restore.part", "migrations.lock", "backups"],
    ...["rehearsal-0123abcd", "rehearsal-notes", "test_trading.db-wal", "notes.txt.part"],
    ...[
      "trading.sql.catalyst.part",
      "all.SQL.gz.catalyst.part",
      "trading.sql",
      "fills.csv.catalyst.part",
    ],
  ];
  assert.deepEqual(
    leftoversBeside({ prefix: "data/", names }, { beginning: "", databases })
      .map(({ kind, path }) => `${path} ${kind}`),
    [
      "data/all.SQL.gz.catalyst.part export-part",
      "data/fills.csv.catalyst.part export-part",
      "data/migrations.restore restore-note",
      "data/migrations.restore.part restore-part",
      "data/positions.db.damaged_1700000000 moved-aside",
      "data/positions.db.part database-part",
      "data/rehearsal-0123abcd rehearsal",
      "data/trading.db-shm index-without-database",
      "data/trading.db-wal log-without-database",
      "data/trading.db.import.part database-part",
      "data/trading.sql.catalyst.part export-part",
    ],
  );
});

Deno.test("with a prefix, only files that begin with it count", () => {
  const names = [
    "test_trading.db-wal",
    "trading.db-wal",
    "test_rehearsal-0123abcd",
    "rehearsal-0123abcd",
  ];
  assert.deepEqual(
    leftoversBeside({ prefix: "", names }, { beginning: "test_", databases }).map(({ path }) =>
      path
    ),
    ["test_rehearsal-0123abcd", "test_trading.db-wal"],
  );
});

Deno.test("among snapshots, files that no manifest lists are reported", () => {
  const names = [
    ...["snapshot_20250120_123000.json", "trading_20250120_123000.db", "backups.lock"],
    ...["trading_20250121_000000.db", "ml_training_20250121_000000_2.db.gz", "notes.db"],
    ...["snapshot_20250122_000000.unfinished", "snapshot_20250122_000000.json.part"],
    ...["trading_20250122_000000.db.part", "trading_20250122_000000.db.gz.plain.part"],
    ...["trading_20250120_123000.db.gz.unpacked_17.part"],
  ];
  const found = leftoversAmongSnapshots(
    { prefix: "b/", names },
    new Set(["trading_20250120_123000.db"]),
  );
  assert.deepEqual(found.map(({ kind, path }) => `${path} ${kind}`), [
    "b/ml_training_20250121_000000_2.db.gz snapshot-stray",
    "b/snapshot_20250122_000000.json.part snapshot-part",
    "b/snapshot_20250122_000000.unfinished snapshot-unfinished",
    "b/trading_20250120_123000.db.gz.unpacked_17.part snapshot-unpacked",
    "b/trading_20250121_000000.db snapshot-stray",
    "b/trading_20250122_000000.db.gz.plain.part snapshot-part",
    "b/trading_20250122_000000.db.part snapshot-part",
  ]);
});

Deno.test("leftovers are reported, each with advice, and a lock that is held is not a leftover", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  const at = (name: string) => join(cwd, "data", name);
  await prepare(["upgrade"], { cwd });
  insertRows(at("trading.db"), "trading");
  await prepare(["backup"], { cwd });
  (await examine({ cwd })).only("no-leftovers");
  await Deno.writeTextFile(at("trading.db.import.part"), "half");
  await Deno.writeTextFile(at("migrations.restore.part"), "half");
  await Deno.writeTextFile(at("positions.db.damaged_1700000000"), "damaged");
  await Deno.mkdir(at("rehearsal-0123abcd"));
  await Deno.writeTextFile(at("rehearsal-0123abcd/rehearsal.lock"), "process 1\n");
  const codes = ["database-part", "restore-part", "moved-aside", "rehearsal"];
  const diagnosis = await examine({ cwd });
  assert.equal(diagnosis.code, 0);
  for (const code of codes) {
    const { level, help } = diagnosis.only(code);
    assert.equal(level, "notice");
    assert.match(help ?? "", /may be deleted/);
  }
  for (const permissions of [["-A"], ["--allow-read", "--allow-write", "--allow-env"]]) {
    using lock = await Deno.open(at("migrations.lock"), { read: true, write: true });
    await lock.lock(true);
    using rehearsing = await Deno.open(at("rehearsal-0123abcd/rehearsal.lock"), { write: true });
    await rehearsing.lock(true);
    await Deno.utime(at("rehearsal-0123abcd/rehearsal.lock"), 1_700_000_000, 1_700_000_000);
    const busy = await examine({ cwd, permissions });
    assert.equal(busy.checks.filter(({ code }) => code === "lock-held").length, 2);
    assert.deepEqual(codes.filter((code) => busy.codes("notice").includes(code)), ["moved-aside"]);
  }
});

Deno.test("a rehearsal that has just begun is never reported as killed", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const place = join(cwd, "data/rehearsal-0123abcd");
  await Deno.mkdir(place);
  using lock = await Deno.open(join(place, "rehearsal.lock"), { create: true, write: true });
  await lock.lock(true);
  const permissions = ["--allow-read", "--allow-write", "--allow-env"];
  assert(!(await examine({ cwd, permissions })).codes("notice").includes("rehearsal"));
  await lock.unlock();
  await Deno.utime(join(place, "rehearsal.lock"), 1_700_000_000, 1_700_000_000);
  (await examine({ cwd, permissions })).only("rehearsal");
  await Deno.remove(join(place, "rehearsal.lock"));
  (await examine({ cwd, permissions })).only("rehearsal");
});

Deno.test("commits of a missing database, and an interrupted restore, are problems", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await Deno.remove(join(cwd, "data/trading.db"));
  await Deno.writeTextFile(join(cwd, "data/trading.db-wal"), "commits");
  await Deno.writeTextFile(join(cwd, "data/migrations.restore"), "{}");
  const diagnosis = await examine({ cwd });
  assert.match(diagnosis.only("log-without-database").help ?? "", /restore the database/);
  assert.match(diagnosis.only("restore-note").help ?? "", /`upgrade`/);
  assert.equal(diagnosis.code, 1);
});

Deno.test("a damaged or incomplete snapshot is a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await prepare(["backup"], { cwd });
  const backups = join(cwd, "data/backups");
  const names = [...Deno.readDirSync(backups)].map(({ name }) => name);
  const file = names.find((name) => name.startsWith("trading_")) ?? assert.fail();
  await Deno.truncate(join(backups, file), 10);
  assert.match((await examine({ cwd })).only("snapshot-damaged").detail, /has 10 bytes/);
  const manifest = names.find((name) => name.endsWith(".json")) ?? assert.fail();
  await Deno.writeTextFile(join(backups, manifest), "{");
  const damaged = await examine({ cwd });
  assert.match(damaged.only("snapshot-damaged").detail, /it is damaged: it is not a JSON object/);
  await Deno.remove(join(backups, manifest));
  const stray = await examine({ cwd });
  assert.equal(stray.code, 0);
  assert(stray.codes("notice").includes("snapshot-stray"));
});
