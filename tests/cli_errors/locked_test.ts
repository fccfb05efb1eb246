import assert from "node:assert/strict";
import { join } from "node:path";
import { expectFailure, filesIn, prepare } from "../cli_helpers.ts";
import { contentOf, execute, query, tempDir } from "../helpers.ts";
import { startWriter } from "../lib/support.ts";
import { openSnapshots } from "../snapshot.ts";

const snapshots = openSnapshots("locked");
const code = "DATABASE_LOCKED";
/** A failed attempt is recorded; a waiting program may create the files beside a database. */
const mayChange = /migrations\.(db|lock)|-(wal|shm|journal)$/;

for (const mode of ["WAL", "DELETE"]) {
  Deno.test(`after the timeout another writer is named, and nothing is changed, in ${mode} mode`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade", "--to", "001"], { cwd });
    const path = join(cwd, "data/positions.db");
    execute(path, `PRAGMA journal_mode = ${mode}`);
    const before = contentOf(path);
    const args = ["downgrade", "--timeout", "1"];
    {
      await using writer = await startWriter(path, "CREATE TABLE mine (a)");
      const check = snapshots(`a writer in ${mode} mode`);
      await expectFailure({
        ...{ args, cwd, code, mayChange },
        snapshot: (text) => {
          if (Deno.build.os !== "linux") return;
          assert(text.includes(`process ${writer.pid} (`), text);
          check(text);
        },
      });
      // Reading works beside a writer.
      for (const command of ["status", "history", "repair"]) await prepare([command], { cwd });
    }
    execute(path, "DROP TABLE mine");
    assert.deepEqual(contentOf(path), before);
    assert.deepEqual(attempts(cwd), ["started", "failed", "started", "failed"]);
    await prepare(["downgrade"], { cwd });
  });
}

Deno.test("a database under an exclusive lock is named", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "001"], { cwd });
  const path = join(cwd, "data/positions.db");
  execute(path, "PRAGMA journal_mode = DELETE");
  // Pages written before the commit leave a journal, which prevents reading.
  await using _writer = await startWriter(
    path,
    `COMMIT; PRAGMA cache_size = 1; BEGIN EXCLUSIVE;
    CREATE TABLE mine AS
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5000)
    SELECT hex(randomblob(50)) AS filler FROM numbers`,
  );
  for (const command of ["status", "upgrade"]) {
    const args = [command, "--timeout", "1"];
    const check = snapshots(`an exclusive lock, ${command}`);
    const snapshot = Deno.build.os === "linux" ? { snapshot: check } : {};
    await expectFailure({ args, cwd, code, mayChange, ...snapshot });
  }
});

Deno.test("a new database that another program is creating is waited for, then named", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "001"], { cwd });
  const path = join(cwd, "data/trading.db");
  {
    await using _writer = await startWriter(path, "CREATE TABLE mine (a)");
    const check = snapshots("a database in the making");
    const snapshot = Deno.build.os === "linux" ? { snapshot: check } : {};
    const args = ["upgrade", "--timeout", "1"];
    await expectFailure({ args, cwd, code, mayChange, ...snapshot });
  }
  await prepare(["upgrade"], { cwd });
});

Deno.test("a ledger locked by another writer is named, and nothing is changed", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "001"], { cwd });
  await using _writer = await startWriter(join(cwd, "data/migrations.db"), "SELECT 1");
  const check = snapshots("a locked ledger");
  const snapshot = Deno.build.os === "linux" ? { snapshot: check } : {};
  const args = ["upgrade", "--timeout", "1"];
  await expectFailure({ args, cwd, code, mayChange: /-(wal|shm)$|\.lock$/, ...snapshot });
  assert.deepEqual(Object.keys(filesIn(join(cwd, "data"), /migrations/)), ["positions.db"]);
});

Deno.test("after the timeout another migrator is named, and nothing is changed", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--to", "001"], { cwd });
  using lock = Deno.openSync(join(cwd, "data/migrations.lock"), { read: true, write: true });
  lock.lockSync(true);
  const check = snapshots("another migrator");
  // Windows does not allow reading a locked file, and so who has locked it.
  const snapshot = Deno.build.os === "windows" ? {} : { snapshot: check };
  await expectFailure({
    ...{ args: ["upgrade", "--timeout", "1"], cwd, code: "MIGRATOR_LOCKED" },
    ...snapshot,
  });
});

function attempts(cwd: string): unknown[] {
  const sql =
    "SELECT outcome FROM migration_events WHERE direction = 'downgrade' ORDER BY event_id";
  return query(join(cwd, "data/migrations.db"), sql).map(({ outcome }) => outcome);
}
