import assert from "node:assert/strict";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import type { OnStep, WorkStep } from "../../../lib/base/steps.ts";
import { createBot, fillBot, migrationOf, TemporaryDirectory } from "../support.ts";

/** Runs work; its steps never go back, and end near the end. Returns their names. */
async function follow(work: (onStep: OnStep) => Promise<unknown>): Promise<readonly string[]> {
  const steps: WorkStep[] = [];
  await work((step) => steps.push(step));
  let last = 0;
  for (const { what, share, until } of steps) {
    assert(share >= last && until >= share && until <= 1, `${what}: ${share} to ${until}`);
    last = share;
  }
  assert((steps.at(-1)?.until ?? 0) > 0.99);
  return [...new Set(steps.map(({ what }) => what))];
}

async function bot(directory: TemporaryDirectory): ReturnType<typeof createBot> {
  const migrator = await createBot(directory);
  fillBot(directory, 50);
  return migrator;
}

Deno.test("verify reports each check of each database, and the hashes", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await bot(directory);
  const names = await follow((onStep) => migrator.verify({ data: true, hash: true, onStep }));
  assert.deepEqual(names.slice(4, 9), [
    "checking the pages of trading",
    "checking the foreign keys of trading",
    "checking the values of trading",
    "hashing trading",
    "checking the pages of ml_training",
  ]);
  assert.equal(names.at(-1), "comparing the databases");
});

Deno.test("a snapshot reports copying and checking, and its check and its trial report too", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await bot(directory);
  const { name } = await migrator.createSnapshot();
  assert.deepEqual(await follow((onStep) => migrator.verifySnapshot(name, { onStep })), [
    `checking snapshot ${name}`,
  ]);
  const names = await follow((onStep) => migrator.tryRestore(name, { onStep }));
  assert.equal(names[0], "checking the snapshot");
  assert.equal(names.at(-1), "comparing the databases");
  const shares: number[] = [];
  const steps = new Set<string>();
  await migrator.createSnapshot({
    onProgress: ({ database, step, done, until, total }) => {
      steps.add(`${step} ${database}`);
      assert(done <= until && until <= total);
      shares.push(done / total);
    },
  });
  assert.deepEqual(shares, shares.toSorted((a, b) => a - b));
  assert.equal(steps.size, 8);
});

Deno.test("a restore reports its steps before and after the question", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await bot(directory);
  await migrator.createSnapshot();
  const names = await follow((onStep) =>
    migrator.restoreSnapshot("latest", { onStep, confirm: () => true })
  );
  assert.deepEqual(names, [
    "checking the snapshot",
    "counting the rows",
    "checking the existing data",
    "keeping the existing data in a snapshot",
    "replacing the databases",
  ]);
});

Deno.test("an import reports its steps after it has read the dump", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await bot(directory);
  const dump = await new Response(await migrator.exportDatabase("trading")).text();
  const names = await follow((onStep) =>
    migrator.importDump(new Blob([dump]).stream(), {
      database: "trading",
      confirm: () => true,
      onStep,
    })
  );
  assert.deepEqual(names, [
    "checking the new trading",
    "counting the rows",
    "checking the existing data",
    "keeping the existing data in a snapshot",
    "replacing trading",
  ]);
});

Deno.test("a rehearsal reports copies, runs and comparisons", async () => {
  using directory = new TemporaryDirectory();
  await bot(directory);
  const migrator = createCatalystMigrator({
    dataDir: directory.path,
    migrations: [migrationOf({
      name: "004_note",
      database: "trading",
      upgrade: "ALTER TABLE orders ADD COLUMN note TEXT",
      downgrade: "ALTER TABLE orders DROP COLUMN note",
    })],
  });
  assert.deepEqual(await follow((onStep) => migrator.rehearse({ onStep })), [
    "copying trading",
    "copying the ledger",
    "applying 004_note",
    "comparing the rows of trading",
    "rolling back 004_note",
    "applying again 004_note",
  ]);
});

Deno.test("a copy reports reading, writing and comparing", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await bot(directory);
  const target = directory.file("copy.db");
  const names = await follow((onStep) => migrator.copyDatabase("trading", target, { onStep }));
  assert.deepEqual(names, [
    "reading trading",
    `writing ${target}`,
    "comparing the copy with the original",
  ]);
});
