import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { LocationError } from "../../../lib/base/errors.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { existsSync, tempDir } from "../../helpers.ts";

/** The log that SQLite keeps beside a database during a transaction that changes it. */
function logOf(path: string, ending: "-wal" | "-journal"): Uint8Array {
  using db = new DatabaseSync(path);
  if (ending === "-wal") {
    db.exec("PRAGMA wal_autocheckpoint = 0; CREATE TABLE more (a)");
    return Deno.readFileSync(`${path}-wal`);
  }
  db.exec(`PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN;
    CREATE TABLE more AS SELECT zeroblob(100000) AS a`);
  return Deno.readFileSync(`${path}-journal`);
}

for (const ending of ["-wal", "-journal"] as const) {
  for (const state of ["missing", "empty"]) {
    Deno.test(`${state === "empty" ? "an" : "a"} ${state} database beside its ${ending.slice(1)} is refused, and the log is kept`, async () => {
      await using dir = await tempDir();
      const migrator = createCatalystMigrator({ dataDir: dir.path, alone: true });
      await migrator.upgrade();
      await migrator.createSnapshot();
      const dump = await new Response(await migrator.exportDatabase("trading")).bytes();
      const path = dir.database("trading");
      const log = logOf(path, ending);
      for (const each of ["", "-wal", "-shm", "-journal"]) {
        if (existsSync(`${path}${each}`)) Deno.removeSync(`${path}${each}`);
      }
      if (state === "empty") Deno.writeFileSync(path, new Uint8Array());
      Deno.writeFileSync(`${path}${ending}`, log);
      const confirm = () => true;
      const source = () => new Blob([dump]).stream();
      for (
        const work of [
          () => migrator.upgrade(),
          () => migrator.restoreSnapshot("latest", { confirm }),
          () => migrator.importDump(source(), { database: "trading", confirm }),
          ...state === "missing" ? [] : [
            () => migrator.status(),
            () => migrator.createSnapshot(),
          ],
        ]
      ) {
        await assert.rejects(
          work(),
          (error) =>
            error instanceof LocationError && error.message.includes(`its log ${path}${ending}`) &&
            error.help?.includes("move it back") === true,
        );
        assert.deepEqual(Deno.readFileSync(`${path}${ending}`), log);
      }
    });
  }
}

Deno.test("a new database whose first transaction was interrupted by a crash is not treated as lost", async () => {
  await using dir = await tempDir();
  const path = dir.database("trading");
  {
    using db = new DatabaseSync(path);
    db.exec("PRAGMA cache_size = 1; BEGIN; CREATE TABLE a AS SELECT zeroblob(100000) AS b");
    Deno.copyFileSync(`${path}-journal`, `${dir.path}/journal`);
  }
  Deno.writeFileSync(path, new Uint8Array());
  Deno.renameSync(`${dir.path}/journal`, `${path}-journal`);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  assert.equal((await migrator.upgrade()).applied.length, 3);
});
