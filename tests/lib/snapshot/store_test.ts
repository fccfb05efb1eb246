import assert from "node:assert/strict";
import { LocationError, MigratorLockedError, SnapshotError } from "../../../lib/base/errors.ts";
import { prune, removeSnapshot } from "../../../lib/snapshot/prune.ts";
import {
  listSnapshots,
  lockStore,
  readManifest,
  removeAbandonedSnapshots,
} from "../../../lib/snapshot/store.ts";
import { TemporaryDirectory } from "../support.ts";
import { type FakeSnapshot, filesOf, writeFake } from "./bot.ts";

const NOON = 1_737_376_200; // 20250120_123000

/** A directory with these snapshots; returns their names in the same order. */
async function storeOf(directory: string, ...fakes: FakeSnapshot[]): Promise<string[]> {
  const names: string[] = [];
  for (const fake of fakes) names.push(await writeFake(directory, fake));
  return names;
}

Deno.test("snapshots are listed newest first, including those of the same second", async () => {
  using directory = new TemporaryDirectory();
  const attempts = Array.from({ length: 11 }, (_, index) => ({
    createdAt: NOON,
    attempt: index + 1,
  }));
  await storeOf(directory.path, { createdAt: NOON + 1 }, ...attempts, { createdAt: NOON - 1 });
  const names = (await listSnapshots(directory.path)).map(({ name }) => name);
  const sameSecond = attempts.map(({ attempt }) =>
    attempt === 1 ? "20250120_123000" : `20250120_123000_${attempt}`
  );
  assert.deepEqual(names, ["20250120_123001", ...sameSecond.toReversed(), "20250120_122959"]);
});

Deno.test("a missing directory has no snapshots, and a file is refused", async () => {
  using directory = new TemporaryDirectory();
  assert.deepEqual(await listSnapshots(directory.file("backups")), []);
  assert.deepEqual(directory.names(), []);
  Deno.writeTextFileSync(directory.file("backups"), "mine");
  await assert.rejects(listSnapshots(directory.file("backups")), LocationError);
});

Deno.test("a list reports what is missing, truncated or damaged, and shows the others", async () => {
  using directory = new TemporaryDirectory();
  const [missing, cut, damaged, whole] = await storeOf(
    directory.path,
    { createdAt: NOON, isWhole: false },
    { createdAt: NOON + 1 },
    { createdAt: NOON + 2 },
    { createdAt: NOON + 3 },
  );
  Deno.writeTextFileSync(directory.file(`positions_${cut}.db`), "");
  Deno.writeTextFileSync(directory.file(`snapshot_${damaged}.json`), "{");
  const problems = Object.fromEntries(
    (await listSnapshots(directory.path)).map((one) => [one.name, one.problems.join()]),
  );
  assert.equal(problems[whole ?? ""], "");
  assert.equal(problems[missing ?? ""], `positions_${missing}.db is missing`);
  assert.equal(problems[cut ?? ""], `positions_${cut}.db has 0 bytes, expected 1`);
  assert.match(problems[damaged ?? ""] ?? "", /it is damaged: it is not a JSON object$/);
});

Deno.test("a manifest under another name is refused", async () => {
  using directory = new TemporaryDirectory();
  const [name] = await storeOf(directory.path, { createdAt: NOON });
  Deno.renameSync(
    directory.file(`snapshot_${name}.json`),
    directory.file("snapshot_20250101_000000.json"),
  );
  await assert.rejects(readManifest(directory.path, "20250101_000000"), /manifest of snapshot/);
  await assert.rejects(readManifest(directory.path, name ?? ""), /does not exist/);
  await assert.rejects(readManifest(directory.path, "../other"), SnapshotError);
});

Deno.test("leftovers are what a note lists, and no file of the user is removed with them", async () => {
  using directory = new TemporaryDirectory();
  const [whole] = await storeOf(directory.path, { createdAt: NOON });
  const name = "20250120_130000";
  const left = [
    `positions_${name}.db.part`,
    `trading_${name}.db.gz.plain.part`,
    `trading_${name}.db.gz.part`,
    `positions_${name}.db`,
    `snapshot_${name}.json.part`,
  ];
  const own = [
    "notes.txt",
    "mine.db.part",
    `trading_${name}.db`,
    "positions_20240101_000000.db",
    "ml_training_20250120_130000.db.part",
    "snapshot_mine.unfinished",
    "outside.db",
  ];
  for (const file of [...left, ...own]) Deno.writeTextFileSync(directory.file(file), "x");
  Deno.writeTextFileSync(
    directory.file(`snapshot_${name}.unfinished`),
    // The last ones are not names that a run plans.
    [`positions_${name}.db`, `trading_${name}.db.gz`, "../outside.db", "notes.txt", "a/b.db"].join(
      "\n",
    ),
  );
  removeAbandonedSnapshots(directory.path);
  assert.deepEqual(
    filesOf(directory.path),
    [...own, `positions_${whole}.db`, `snapshot_${whole}.json`].toSorted(),
  );
  removeAbandonedSnapshots(directory.path);
});

Deno.test("a note next to a manifest removes nothing of the snapshot", async () => {
  using directory = new TemporaryDirectory();
  const [name] = await storeOf(directory.path, { createdAt: NOON });
  const before = filesOf(directory.path);
  Deno.writeTextFileSync(directory.file(`snapshot_${name}.unfinished`), `positions_${name}.db`);
  removeAbandonedSnapshots(directory.path);
  assert.deepEqual(filesOf(directory.path), before);
});

Deno.test("a snapshot is removed with all its files, and no other is touched", async () => {
  using directory = new TemporaryDirectory();
  const [one, other] = await storeOf(directory.path, { createdAt: NOON }, {
    createdAt: NOON,
    attempt: 2,
  });
  removeSnapshot(directory.path, await readManifest(directory.path, one ?? ""));
  assert.deepEqual(filesOf(directory.path), [`positions_${other}.db`, `snapshot_${other}.json`]);
});

Deno.test("only one run at a time uses a directory of snapshots", async () => {
  using directory = new TemporaryDirectory();
  {
    using _lock = await lockStore(directory.path, { timeout: 0 });
    await assert.rejects(lockStore(directory.path, { timeout: 0 }), MigratorLockedError);
  }
  using _again = await lockStore(directory.path, { timeout: 0 });
});

Deno.test("pruning deletes what a retention doesn't keep; a dry run only reports it", async () => {
  using directory = new TemporaryDirectory();
  const names = await storeOf(
    directory.path,
    ...[0, 1, 2, 3].map((day) => ({ createdAt: NOON + day * 86_400 })),
  );
  Deno.writeTextFileSync(directory.file("positions_mine.db"), "mine");
  const before = directory.listing();
  const gone = names.slice(0, 2);
  const retention = { keep: 2 };
  assert.deepEqual(await prune(directory.path, 1, { retention, dryRun: true }), gone);
  assert.deepEqual(directory.listing(), before);
  assert.deepEqual(await prune(directory.path, 1, { retention }), gone);
  assert.deepEqual((await listSnapshots(directory.path)).map(({ name }) => name), [
    ...names.slice(2).toReversed(),
  ]);
  assert(filesOf(directory.path).includes("positions_mine.db"));
  assert.deepEqual(await prune(directory.path, 1, { retention }), []);
});

Deno.test("the only intact snapshot is never pruned, even if newer ones are damaged", async () => {
  using directory = new TemporaryDirectory();
  const [good, ...damaged] = await storeOf(
    directory.path,
    { createdAt: NOON },
    { createdAt: NOON + 1, isWhole: false },
    { createdAt: NOON + 2, isWhole: false },
  );
  assert.deepEqual(await prune(directory.path, 1, { retention: { keep: 0 } }), damaged);
  assert.deepEqual(filesOf(directory.path), [`positions_${good}.db`, `snapshot_${good}.json`]);
});

Deno.test("pruning the automatic ones ignores the others", async () => {
  using directory = new TemporaryDirectory();
  const names = await storeOf(
    directory.path,
    { createdAt: NOON, reason: "automatic" },
    { createdAt: NOON + 1, reason: "manual" },
    { createdAt: NOON + 2, reason: "safety" },
    { createdAt: NOON + 3, reason: "automatic" },
    { createdAt: NOON + 4, reason: "manual" },
  );
  const pruned = await prune(directory.path, 1, { retention: { keep: 1 }, reason: "automatic" });
  assert.deepEqual(pruned, [names[0]]);
});
