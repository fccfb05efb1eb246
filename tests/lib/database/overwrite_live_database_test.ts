import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openForReading } from "../../../lib/database/open.ts";
import { WatchedDatabase } from "../../../lib/database/overwrite_live_database.ts";
import { execute, query, TemporaryDirectory } from "../support.ts";

for (const mode of ["WAL", "DELETE"]) {
  Deno.test(`a commit between keeping the content and overwriting it is kept, in ${mode} mode`, async () => {
    using directory = new TemporaryDirectory();
    const [source, target] = [directory.file("source.db"), directory.file("target.db")];
    execute(source, "CREATE TABLE t (a); INSERT INTO t VALUES ('restored')");
    execute(target, `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`);
    using bot = new DatabaseSync(target, { timeout: 0 });
    const commit = async () => {
      // With every turn, so that it succeeds as soon as the lock is released.
      for (let turn = 0; turn < 10_000; turn++) {
        await Promise.resolve();
        try {
          bot.exec("INSERT INTO t VALUES ('meanwhile')");
          return;
        } catch {
          // Still locked.
        }
      }
    };
    const kept: number[] = [];
    let committed: Promise<void> | undefined;
    await using watched = await WatchedDatabase.watch(target, { timeout: 5, isKept: false });
    await using restored = await openForReading({ kind: "file", path: source });
    await watched.overwriteWith(restored, {
      timeout: 5,
      keep: () => {
        kept.push(bot.prepare("SELECT * FROM t").all().length);
        committed ??= commit();
        return Promise.resolve();
      },
    });
    await committed;
    assert.deepEqual(kept, [0, 1]);
    assert.deepEqual(query(target, "SELECT a FROM t"), [{ a: "restored" }]);
  });
}
