import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  type CatalystError,
  CorruptDatabaseError,
  DatabaseLockedError,
  DiskFullError,
  InterruptedError,
  LocationError,
  MigratorLockedError,
  NotADatabaseError,
  SnapshotError,
} from "../../../lib/base/errors.ts";
import { lockStore } from "../../../lib/snapshot/store.ts";
import type { SnapshotProgress } from "../../../lib/snapshot/take.ts";
import { databaseNames } from "../../helpers.ts";
import { Program, startWriter } from "../support.ts";
import { Bot, damagePages, filesOf, reasonForNoDisk, SmallDisk } from "./bot.ts";

const noDisk = reasonForNoDisk();

Deno.test("the library copies on a separate thread, and reports its progress", async () => {
  using bot = await Bot.create(2000);
  const migrator = bot.migratorWith({ alone: false });
  const seen: SnapshotProgress[] = [];
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const { name } = await migrator.createSnapshot({ onProgress: (one) => seen.push(one) });
  clearInterval(timer);
  assert(ticks > 0);
  assert((await migrator.verifySnapshot(name)).ok);
  assert.deepEqual([...new Set(seen.map(({ database }) => database))], [
    ...databaseNames,
    "migrations",
  ]);
  for (const { done, total } of seen) assert(done >= 0 && done <= total && total > 0);
  for (const database of databaseNames) {
    assert.equal(seen.findLast((one) => one.database === database)?.step, "check");
  }
  assert.equal(seen.at(-1)?.until, seen.at(-1)?.total);
});

Deno.test("an AbortSignal stops the thread, and no files remain", async () => {
  using bot = await Bot.create(20);
  const migrator = bot.migratorWith({ alone: false });
  await assert.rejects(migrator.createSnapshot({ signal: AbortSignal.abort() }), InterruptedError);
  assert.deepEqual(bot.backupFiles(), []);
  await using _writer = await startWriter(bot.file("trading.db"), "SELECT 1");
  const controller = new AbortController();
  const waiting = bot.migratorWith({ alone: false, timeout: 600 })
    .createSnapshot({ signal: controller.signal });
  setTimeout(() => controller.abort(), 100);
  await assert.rejects(waiting, InterruptedError);
  assert.deepEqual(bot.backupFiles(), []);
});

Deno.test("an error in the caller's progress function is the result, and stops the thread", async () => {
  using bot = await Bot.create(20);
  const migrator = bot.migratorWith({ alone: false });
  const onProgress = () => {
    throw new RangeError("the caller's own");
  };
  await assert.rejects(migrator.createSnapshot({ onProgress }), RangeError);
  for (const entry of await migrator.listSnapshots()) assert.deepEqual(entry.problems, []);
});

/** A condition in which no snapshot can be taken, and the expected error. */
interface Condition {
  readonly kind: abstract new (...args: never[]) => CatalystError;
  readonly prepare: (bot: Bot) => unknown;
  readonly directory?: () => SmallDisk;
}

const conditions: Readonly<Record<string, Condition>> = {
  "a writer": {
    kind: DatabaseLockedError,
    prepare: async (bot) => await startWriter(bot.file("trading.db"), "SELECT 1"),
  },
  "another run": {
    kind: MigratorLockedError,
    prepare: async (bot) => {
      Deno.mkdirSync(bot.backups);
      return await lockStore(bot.backups, { timeout: 0 });
    },
  },
  "a damaged page": {
    kind: CorruptDatabaseError,
    prepare: (bot) => damagePages(bot.file("trading.db"), 20),
  },
  "no database": {
    kind: NotADatabaseError,
    prepare: (bot) => Deno.writeTextFileSync(bot.file("trading.db"), "hello\n".repeat(999)),
  },
  "a file in the directory's place": {
    kind: LocationError,
    prepare: (bot) => Deno.writeTextFileSync(bot.backups, "mine"),
  },
  "nothing to copy": {
    kind: SnapshotError,
    prepare: (bot) => {
      for (const name of [...databaseNames, "migrations"]) Deno.removeSync(bot.file(`${name}.db`));
    },
  },
};

for (const [name, { kind, prepare }] of Object.entries(conditions)) {
  Deno.test(`an error keeps its class, code and texts: ${name}`, async () => {
    using bot = await Bot.create(200);
    const made: unknown = await prepare(bot);
    try {
      const errors: unknown[] = [];
      for (const alone of [true, false]) {
        const migrator = bot.migratorWith({ alone, timeout: 0 });
        await migrator.createSnapshot().catch((error) => errors.push(error));
      }
      const [here, there] = errors;
      assert(here instanceof kind && there instanceof kind, String(there));
      assert.deepEqual(
        [there.name, there.code, there.message, there.help],
        [here.name, here.code, here.message, here.help],
      );
    } finally {
      await release(made);
    }
  });
}

Deno.test({
  name: `a full disk is reported by the thread, too${
    noDisk === null ? "" : ` (skipped: ${noDisk})`
  }`,
  ignore: noDisk !== null,
  async fn() {
    using bot = await Bot.create(20);
    using disk = new SmallDisk(100);
    const directory = disk.path;
    await assert.rejects(
      bot.migratorWith({ alone: false }).createSnapshot({ directory }),
      DiskFullError,
    );
    assert.deepEqual(filesOf(directory), []);
  },
});

Deno.test("if the thread's module can't be read, the caller's thread does the work", async () => {
  using bot = await Bot.create(20);
  const program = `import { createCatalystMigrator } from "${new URL(
    "../../../mod.ts",
    import.meta.url,
  )}";
    const { state } = await Deno.permissions.query({ name: "read", path: ${
    JSON.stringify(fileURLToPath(new URL("../../../lib/snapshot/thread.ts", import.meta.url)))
  } });
    const migrator = createCatalystMigrator({ dataDir: ${JSON.stringify(bot.path)} });
    const { name } = await migrator.createSnapshot();
    console.log(state === "granted", name, (await migrator.verifySnapshot(name)).ok);`;
  const file = bot.file("program.ts");
  Deno.writeTextFileSync(file, program);
  const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--config", config],
      ...[`--allow-read=${bot.path}`, `--allow-write=${bot.path}`, file],
    ],
  }).output();
  const decoder = new TextDecoder();
  assert.equal(code, 0, decoder.decode(stderr));
  const [entry] = await bot.migrator.listSnapshots();
  assert.equal(decoder.decode(stdout), `false ${entry?.name} true\n`);
});

async function release(made: unknown): Promise<void> {
  if (made instanceof Program) await made.release();
  else if (typeof made === "object" && made !== null && Symbol.dispose in made) {
    (made as Disposable)[Symbol.dispose]();
  }
}
