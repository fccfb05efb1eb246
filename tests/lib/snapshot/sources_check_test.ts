import assert from "node:assert/strict";
import fc from "fast-check";
import { SnapshotError } from "../../../lib/base/errors.ts";
import { checkSnapshot, plainFile } from "../../../lib/snapshot/sources.ts";
import { readManifest } from "../../../lib/snapshot/store.ts";
import { execute } from "../support.ts";
import { Bot } from "./bot.ts";
import { trials } from "../../effort.ts";

Deno.test("a new snapshot matches its manifest, with every kind of check", async () => {
  using bot = await Bot.create();
  for (const compress of [false, true]) {
    const manifest = await bot.migrator.createSnapshot({ compress });
    const before = bot.backupFiles();
    for (const verify of ["none", "quick", "full"] as const) {
      assert.deepEqual(await checkSnapshot(bot.backups, manifest, { verify }), {
        ok: true,
        problems: [],
      });
    }
    assert.deepEqual(bot.backupFiles(), before);
  }
});

for (const compress of [false, true]) {
  Deno.test(`every flipped bit is found in ${compress ? "a compressed" : "a plain"} snapshot`, async () => {
    using bot = await Bot.create(5);
    const manifest = await bot.migrator.createSnapshot({ compress });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...manifest.files), fc.nat(), async (file, place) => {
        const path = `${bot.backups}/${file.file}`;
        const bytes = Deno.readFileSync(path);
        const bit = place % (bytes.length * 8);
        const flip = () => {
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          Deno.writeFileSync(path, bytes);
        };
        flip();
        const { ok, problems } = await checkSnapshot(bot.backups, manifest);
        flip();
        assert(!ok && problems.length === 1);
        assert(problems[0]?.startsWith(`${file.file} is damaged`), problems[0] ?? "");
      }),
      { numRuns: trials(15) },
    );
    assert((await checkSnapshot(bot.backups, manifest)).ok);
  });
}

Deno.test("missing, truncated and swapped files are all named", async () => {
  using bot = await Bot.create(5);
  const old = await bot.migrator.createSnapshot();
  execute(bot.file("trading.db"), "DELETE FROM fills");
  const manifest = await bot.migrator.createSnapshot();
  const path = (database: string, of = manifest) =>
    `${bot.backups}/${of.files.find((one) => one.database === database)?.file}`;
  Deno.removeSync(path("positions"));
  Deno.truncateSync(path("ml_training"), 4096);
  // A sound database of the same size.
  Deno.copyFileSync(path("trading", old), path("trading"));
  const { ok, problems } = await checkSnapshot(bot.backups, manifest);
  assert(!ok);
  assert.equal(problems.length, 3);
  assert.match(problems[0] ?? "", /^positions_\S+ is missing$/);
  assert.match(problems[1] ?? "", /^trading_\S+ is damaged: its checksum/);
  assert.match(problems[2] ?? "", /^ml_training_\S+ has 4096 bytes, expected \d+$/);
});

Deno.test("without checksums a file with different content is still found", async () => {
  using bot = await Bot.create(5);
  const manifest = await bot.migrator.createSnapshot({ verify: "none" });
  assert(manifest.files.every(({ sha256 }) => sha256 === null));
  const trading = manifest.files.find(({ database }) => database === "trading");
  execute(`${bot.backups}/${trading?.file}`, "DELETE FROM fills WHERE rowid = 1");
  const { problems } = await checkSnapshot(bot.backups, manifest);
  assert.match(problems.join(), /has rows or migrations that do not match its manifest/);
});

Deno.test("rows that violate a bot's own CHECK are kept, and are not damage", async () => {
  using bot = await Bot.create(5);
  execute(
    bot.file("trading.db"),
    "PRAGMA ignore_check_constraints = ON; UPDATE orders SET side = 'neither' WHERE rowid = 1",
  );
  const { name } = await bot.migrator.createSnapshot();
  const manifest = await readManifest(bot.backups, name);
  assert.deepEqual(await checkSnapshot(bot.backups, manifest, { verify: "full" }), {
    ok: true,
    problems: [],
  });
});

Deno.test("a file that can't be unpacked is reported, and nothing is left next to it", async () => {
  using bot = await Bot.create(0);
  const path = bot.file("notes.db.gz");
  for (const content of ["", "no gzip at all"]) {
    Deno.writeTextFileSync(path, content);
    const before = bot.names();
    await assert.rejects(plainFile(path, true), (error) => {
      assert(error instanceof SnapshotError);
      assert.match(error.message, /^Cannot unpack .*notes\.db\.gz: /);
      return true;
    });
    assert.deepEqual(bot.names(), before);
  }
});
