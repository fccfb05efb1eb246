/**
 * The order in which writes reach the disk: after a power cut every step's predecessors must exist.
 */
import assert from "node:assert/strict";
import { readJournal, removeJournal, writeJournal } from "../../../lib/snapshot/journal.ts";
import { makeApp } from "../dump/import_support.ts";
import { recordCalls } from "../record_calls.ts";
import { execute, query, TemporaryDirectory } from "../support.ts";
import { Bot } from "./bot.ts";
import { changed, yes } from "./restore_support.ts";

Deno.test("a manifest is renamed after its files, and each step is synced", async () => {
  using bot = await Bot.create(2);
  using recorded = recordCalls();
  const { name, files } = await bot.migrator.createSnapshot();
  const manifest = recorded.calls.indexOf(`rename ${bot.backups}/snapshot_${name}.json`);
  assert(manifest > 0);
  const before = recorded.calls.slice(0, manifest);
  const named = files.map(({ file }) => before.indexOf(`rename ${bot.backups}/${file}`));
  assert(named.every((at) => at >= 0), before.join("\n"));
  const synced = before.lastIndexOf(`sync ${bot.backups}`);
  assert(synced > Math.max(...named), "the directory is not synced before the manifest");
  for (const { file } of files) {
    const written = before.indexOf(`sync ${bot.backups}/${file}.part`);
    assert(written >= 0 && written < before.indexOf(`rename ${bot.backups}/${file}`), file);
  }
  assert(before.includes(`sync ${bot.backups}/snapshot_${name}.json.part`));
  assert(recorded.calls.slice(manifest).includes(`sync ${bot.backups}`));
});

Deno.test("an import removes its temporary database only after the journal that refers to it", async () => {
  await using app = await makeApp();
  await app.migrator.upgrade();
  using recorded = recordCalls();
  await app.import("CREATE TABLE notes (note_id INTEGER PRIMARY KEY, body TEXT);");
  const journal = recorded.calls.indexOf(`remove ${app.directory}/migrations.restore`);
  assert(journal > 0);
  const sources = recorded.calls.flatMap((call, at) =>
    /^remove .*\/app\.\S*$/.test(call) ? at : []
  );
  assert(sources.length > 0, recorded.calls.join("\n"));
  assert(sources.every((at) => at > journal), recorded.calls.join("\n"));
  const built = recorded.calls.indexOf(`sync ${app.directory}/app.db.import.part`);
  const begun = recorded.calls.indexOf(`rename ${app.directory}/migrations.restore`);
  assert(built >= 0 && built < begun, recorded.calls.join("\n"));
});

Deno.test("a journal is on disk before the work begins, and its removal before the work is done", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("migrations.restore");
  using recorded = recordCalls();
  await writeJournal(path, { label: "one", safety: null, replacements: [] });
  await removeJournal(path);
  assert.deepEqual(recorded.calls, [
    `sync ${path}.part`,
    `rename ${path}`,
    `sync ${directory.path}`,
    `remove ${path}`,
    `sync ${directory.path}`,
  ]);
});

Deno.test("the events of a restore are on disk before its journal is removed", async () => {
  const { bot, name } = await changed();
  using _bot = bot;
  let events = 0;
  using _recorded = recordCalls({
    onRemoved: (path) => {
      if (path !== bot.file("migrations.restore")) return;
      // Without its log, as after a power cut that lost what was not synced.
      Deno.copyFileSync(bot.file("migrations.db"), bot.file("copy"));
      const direction = "SELECT * FROM migration_events WHERE direction = 'restore'";
      events = query(bot.file("copy"), direction).length;
    },
  });
  await bot.migrator.restoreSnapshot(name, yes);
  assert.equal(events, 3);
});

Deno.test("a restore that fails halfway does not touch what it has replaced", async () => {
  const { bot, name } = await changed();
  using _bot = bot;
  const replacements = ["positions", "trading"].map((database) => {
    const source = Deno.realPathSync(`${bot.backups}/${database}_${name}.db`);
    return { database, source, bytes: Deno.statSync(source).size, compressed: false };
  });
  const path = bot.file("migrations.restore");
  await writeJournal(path, { label: name, safety: null, replacements });
  const trading = replacements[1]?.source ?? "";
  const good = Deno.readFileSync(trading);
  Deno.writeFileSync(trading, new Uint8Array(good.length).fill(0x5a));
  await assert.rejects(bot.migrator.upgrade());
  const journal = await readJournal(path);
  assert.deepEqual(journal?.replacements.map(({ isDone = false }) => isDone), [true, false]);
  execute(bot.file("positions.db"), "DELETE FROM positions");
  Deno.writeFileSync(trading, good);
  await bot.migrator.upgrade();
  assert.deepEqual(query(bot.file("positions.db"), "SELECT * FROM positions"), []);
});
