import assert from "node:assert/strict";
import { DatabaseLockedError } from "../../../lib/base/errors.ts";
import { createBot, Program, TemporaryDirectory } from "../support.ts";
import { createCatalystMigrator } from "../../../mod.ts";

/** Milliseconds after which a short timeout must have ended; the default is 30 s. */
const LIMIT = 15_000;

Deno.test("no command waits longer than the timeout for a bot that locks its databases", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  const { name } = await bot.createSnapshot();
  const dump = await new Response(await bot.exportDatabase("trading")).bytes();
  const path = directory.file("trading.db");
  await using _bot = await Program.start(
    path,
    `db.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; CREATE TABLE t (a); COMMIT")`,
  );
  const migrator = createCatalystMigrator({ dataDir: directory.path, timeout: 0.1 });
  const confirm = () => true;
  const rows = () => new Blob(["order_id\n1\n"]).stream();
  const work: Readonly<Record<string, () => Promise<unknown>>> = {
    "planRestore": () => migrator.planRestore(name),
    "restoreSnapshot": () => migrator.restoreSnapshot(name, { confirm }),
    "restoreSnapshot of the file itself": () => migrator.restoreSnapshot(path, { confirm }),
    "importDump": () =>
      migrator.importDump(new Blob([dump]).stream(), { database: "trading", confirm }),
    "importRows": () =>
      migrator.importRows(rows(), { database: "trading", table: "orders", format: "csv" }),
    "exportDatabase": () => migrator.exportDatabase("trading"),
    "createSnapshot": () => migrator.createSnapshot(),
    "verify": () => migrator.verify({ data: true }),
    "rehearse": () => migrator.rehearse(),
    "downgrade": () => migrator.downgrade({ confirm }),
  };
  for (const [title, begin] of Object.entries(work)) {
    await assert.rejects(withLimit(begin()), DatabaseLockedError, title);
  }
});

async function withLimit(work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("it waited longer")), LIMIT);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
