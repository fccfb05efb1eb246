import assert from "node:assert/strict";
import { SnapshotError } from "../../../lib/base/errors.ts";
import { Session } from "../../../lib/engine/session.ts";
import { takeSafety } from "../../../lib/snapshot/finish_restore.ts";
import { writeJournal } from "../../../lib/snapshot/journal.ts";
import { createWorkspace, type Workspace } from "../../../lib/state/workspace.ts";
import { databaseNames } from "../../helpers.ts";
import type { Bot } from "./bot.ts";
import { assertInOrder, changed, yes } from "./restore_support.ts";

/** Writes the journal of a restore that was killed right after deciding what to do. */
async function interrupt(bot: Bot, name: string): Promise<void> {
  const replacements = databaseNames.map((database) => {
    const source = Deno.realPathSync(`${bot.backups}/${database}_${name}.db`);
    return { database, source, bytes: Deno.statSync(source).size, compressed: false };
  });
  const journal = { label: name, safety: null, replacements };
  await writeJournal(bot.file("migrations.restore"), journal);
}

const finishers: Readonly<Record<string, (bot: Bot) => Promise<unknown>>> = {
  upgrade: ({ migrator }) => migrator.upgrade(),
  downgrade: ({ migrator }) => migrator.downgrade({ migration: "003" }),
  repair: ({ migrator }) => migrator.repair(),
  backup: ({ migrator }) => migrator.createSnapshot(),
};

for (const [command, run] of Object.entries(finishers)) {
  Deno.test(`a killed restore is completed by ${command}`, async () => {
    const { bot: made, name, former } = await changed();
    using bot = made;
    await interrupt(bot, name);
    await run(bot);
    assert(!bot.names().includes("migrations.restore"));
    const { positions, trading } = bot.contents();
    assert.deepEqual([positions, trading], [former["positions"], former["trading"]]);
    const events = await bot.migrator.history({ limit: 100 });
    assert.equal(events.filter(({ direction }) => direction === "restore").length, 3);
    await bot.migrator.upgrade();
    await assertInOrder(bot);
  });
}

Deno.test("reading commands do not complete a killed restore", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  const before = bot.contents();
  await interrupt(bot, name);
  await bot.migrator.status();
  await bot.migrator.verify();
  await bot.migrator.history();
  await bot.migrator.listSnapshots();
  await bot.migrator.planUpgrade();
  await bot.migrator.planRestore(name);
  await bot.migrator.repair({ dryRun: true });
  assert(bot.names().includes("migrations.restore"));
  assert.deepEqual(bot.contents(), before);
});

Deno.test("a killed restore whose snapshot is missing, or whose journal is damaged, says what to do", async () => {
  const { bot: made, name } = await changed();
  using bot = made;
  await interrupt(bot, name);
  Deno.renameSync(`${bot.backups}/trading_${name}.db`, bot.file("away"));
  await assert.rejects(bot.migrator.upgrade(), (error) => {
    assert(error instanceof SnapshotError && error.help !== undefined);
    assert.match(error.message, /trading_\S+ is missing$/);
    return true;
  });
  Deno.renameSync(bot.file("away"), `${bot.backups}/trading_${name}.db`);
  await bot.migrator.upgrade();
  for (const text of ["", "{", "null", "[]", "{}", '{"replacements": [1]}']) {
    Deno.writeTextFileSync(bot.file("migrations.restore"), text);
    await assert.rejects(
      bot.migrator.upgrade(),
      (error) => error instanceof SnapshotError && /is damaged$/.test(error.message),
      text,
    );
  }
  Deno.removeSync(bot.file("migrations.restore"));
  await assertInOrder(bot);
});

Deno.test("an interrupted restore whose files are missing can only be replaced by another one", async () => {
  const { bot, name, former } = await changed();
  using _bot = bot;
  const replacements = [{
    database: "trading",
    source: bot.file("gone.db"),
    bytes: 4096,
    compressed: false,
  }];
  const journal = { label: "gone", safety: null, replacements };
  await writeJournal(bot.file("migrations.restore"), journal);
  await assert.rejects(bot.migrator.upgrade(), SnapshotError);
  await assert.rejects(bot.migrator.createSnapshot(), SnapshotError);
  await bot.migrator.restoreSnapshot(name, yes);
  assert.deepEqual(bot.contents(), former);
  await assertInOrder(bot);
});

/** The workspace of a session of the bot. */
function workspaceOf(bot: Bot, limits: { readonly timeout?: number } = {}): Workspace {
  return createWorkspace({
    databases: { trading: bot.file("trading.db") },
    ledger: bot.file("migrations.db"),
    migrations: [],
    ...limits,
  });
}

Deno.test("a command that waited for a killed restore does not continue with a mixture", async () => {
  const { bot } = await changed();
  using _bot = bot;
  const workspace = workspaceOf(bot);
  Deno.writeTextFileSync(bot.file("migrations.restore"), "{}");
  await assert.rejects(Session.begin(workspace), SnapshotError);
  await (await Session.begin(workspace, { restores: true }))[Symbol.asyncDispose]();
});

Deno.test("a session that can't begin releases the lock", async () => {
  const { bot } = await changed();
  using _bot = bot;
  const workspace = workspaceOf(bot, { timeout: 1 });
  Deno.writeTextFileSync(bot.file("migrations.restore"), "{}");
  await assert.rejects(Session.begin(workspace), SnapshotError);
  Deno.removeSync(bot.file("migrations.restore"));
  await (await Session.begin(workspace))[Symbol.asyncDispose]();
});

Deno.test("if the existing data can't be kept, it is tried again only for damaged databases", async () => {
  const { bot } = await changed();
  using _bot = bot;
  let attempts = 0;
  const onProgress = () => {
    attempts++;
    throw new Error("stopped");
  };
  await assert.rejects(takeSafety(workspaceOf(bot), ["trading"], { onProgress }), /stopped/);
  assert.equal(attempts, 1);
});

Deno.test("files of a killed restore that can't be removed remain, and stop no session", async () => {
  const { bot } = await changed();
  using _bot = bot;
  // A directory in place of the journal, which can't be removed like a file.
  const note = bot.file("migrations.restore.part");
  Deno.mkdirSync(`${note}/full`, { recursive: true });
  await (await Session.begin(workspaceOf(bot)))[Symbol.asyncDispose]();
  assert(Deno.statSync(`${note}/full`).isDirectory);
});
