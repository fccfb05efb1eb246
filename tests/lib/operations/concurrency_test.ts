import assert from "node:assert/strict";
import { join } from "node:path";
import { createCatalystMigrator } from "../../../mod.ts";
import { makeEarlierSystem } from "../../earlier_system.ts";
import {
  type CliResult,
  contentOf,
  databaseNames,
  execute,
  idOf,
  insertRows,
  query,
  runCli,
  type TempDir,
  tempDir,
} from "../../helpers.ts";
import { wasKilled } from "../../kill.ts";

Deno.test("20 simultaneous processes on a new directory apply each migration exactly once", async () => {
  await using parent = await tempDir();
  const dataDir = join(parent.path, "data");
  const results = await atOnce(20, () => ["upgrade", "--data-dir", dataDir]);
  assert.deepEqual(failures(results), []);
  assert.deepEqual(happenings(dataDir, "upgrade"), [
    { migration_id: "001", outcome: "applied", times: 1 },
    { migration_id: "001", outcome: "started", times: 1 },
    { migration_id: "002", outcome: "applied", times: 1 },
    { migration_id: "002", outcome: "started", times: 1 },
    { migration_id: "003", outcome: "applied", times: 1 },
    { migration_id: "003", outcome: "started", times: 1 },
  ]);
  const { ok } = await createCatalystMigrator({ dataDir }).verify({ data: true });
  assert.ok(ok);
});

Deno.test("20 simultaneous processes with a rollback journal apply each migration exactly once", async () => {
  await using dir = await tempDir();
  const results = await atOnce(20, () => ["upgrade", "--data-dir", dir.path], {
    SQLITE_WAL_MODE: "DELETE",
  });
  assert.deepEqual(failures(results), []);
  assert.deepEqual(appliedOnce(dir), ["001", "002", "003"]);
});

Deno.test("10 simultaneous processes adopt the earlier system's databases exactly once", async () => {
  await using dir = await tempDir();
  makeEarlierSystem(dir.path);
  const results = await atOnce(10, () => ["upgrade", "--data-dir", dir.path]);
  assert.deepEqual(failures(results), []);
  assert.deepEqual(
    happenings(dir.path, "adopt"),
    ["001", "002", "003"].map((id) => ({ migration_id: id, outcome: "applied", times: 1 })),
  );
});

Deno.test("10 simultaneous upgrades and 10 downgrades end with tables, markers and ledger agreeing", async () => {
  await using dir = await tempDir();
  const results = await atOnce(20, (number) => [
    ...number % 2 === 0 ? ["upgrade"] : ["downgrade", "--yes"],
    ...["--data-dir", dir.path],
  ]);
  assert.deepEqual(failures(results), []);
  const status = new Map(
    query(dir.database("migrations"), "SELECT migration_id, status FROM migration_history")
      .map((row) => [row["migration_id"], row["status"]]),
  );
  for (const name of databaseNames) {
    const { objects, markers, integrity } = contentOf(dir.database(name));
    assert.equal(integrity, "ok");
    const isThere = objects.length > 0;
    assert.deepEqual(markers, isThere ? [idOf[name]] : []);
    assert.equal(status.get(idOf[name]), isThere ? "applied" : "rolled_back");
  }
  assertAlternating(dir);
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  assert.deepEqual((await migrator.status()).unreconciled, []);
  await migrator.upgrade();
  assert.ok((await migrator.verify()).ok);
});

Deno.test("readers never fail while others write", async () => {
  await using dir = await tempDir();
  const results = await atOnce(16, (number) => {
    const command = [["upgrade"], ["status"], ["downgrade", "--yes"], ["history"]][number % 4] ??
      [];
    return [...command, "--data-dir", dir.path];
  });
  assert.deepEqual(failures(results), []);
});

Deno.test("a lock that another process holds past the timeout ends the command, which names the process", async () => {
  await using dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.upgrade();
  insertRows(dir.database("trading"), "trading");
  await migrator.downgrade({ migration: "001" });
  const before = databaseNames.map((name) => contentOf(dir.database(name)));
  await using holder = await startHolder(`
    import { acquireLock } from ${
    JSON.stringify(import.meta.resolve("../../../lib/base/file_lock.ts"))
  };
    await acquireLock(${JSON.stringify(join(dir.path, "migrations.lock"))}, { timeout: 1 });
  `);
  for (const command of [["upgrade"], ["downgrade", "--yes"]]) {
    const args = [...command, "--timeout", "1", "--data-dir", dir.path];
    const { code, stderr } = await runCli(args);
    assert.equal(code, 1);
    // Windows does not let others read a locked file.
    const name = Deno.build.os === "windows" ? "process" : `process ${holder.pid}`;
    assert.match(stderr, new RegExp(`^error: .*\\b${name}\\b`, "m"));
    assert.match(stderr, /^help: /m);
  }
  const json = await runCli(["upgrade", "--json", "--timeout", "1", "--data-dir", dir.path]);
  assert.equal(JSON.parse(json.stdout).error.code, "MIGRATOR_LOCKED");
  // A reader needs no lock, and neither does an upgrade with nothing to do.
  assert.equal((await runCli(["status", "--timeout", "1", "--data-dir", dir.path])).code, 0);
  assert.deepEqual(databaseNames.map((name) => contentOf(dir.database(name))), before);
});

Deno.test("a lock dies with the process that was killed while holding it", async () => {
  await using dir = await tempDir();
  const lock = join(dir.path, "migrations.lock");
  const holder = await startHolder(`
    import { acquireLock } from ${
    JSON.stringify(import.meta.resolve("../../../lib/base/file_lock.ts"))
  };
    await acquireLock(${JSON.stringify(lock)}, { timeout: 1 });
  `);
  const args = ["upgrade", "--data-dir", dir.path];
  assert.equal((await runCli([...args, "--timeout", "1"])).code, 1);
  const waiting = runCli(args); // waits for the lock of the killed process
  await holder[Symbol.asyncDispose]();
  assert.ok(holder.wasKilled());
  assert.deepEqual(failures([await waiting]), []);
  assert.deepEqual(appliedOnce(dir), ["001", "002", "003"]);
});

Deno.test("a database that a bot writes to past the timeout ends the command; the next one continues", async () => {
  await using dir = await tempDir();
  execute(dir.database("trading"), "CREATE TABLE notes (note TEXT)");
  await using holder = await startHolder(`
    import { DatabaseSync } from "node:sqlite";
    globalThis.db = new DatabaseSync(${JSON.stringify(dir.database("trading"))});
    db.exec("BEGIN IMMEDIATE; INSERT INTO notes VALUES ('from the bot')");
  `);
  const args = ["upgrade", "--json", "--timeout", "1", "--data-dir", dir.path];
  const { code, stdout } = await runCli(args);
  assert.equal(code, 1);
  const { error, applied, failed } = JSON.parse(stdout);
  assert.equal(error.code, "DATABASE_LOCKED");
  assert.ok(error.message.includes(dir.database("trading")), error.message);
  assert.deepEqual([applied.map(({ id }: { id: string }) => id), failed.id], [["001"], "002"]);
  assert.deepEqual(contentOf(dir.database("positions")).markers, ["001"]);
  await holder[Symbol.asyncDispose]();
  assert.deepEqual(failures([await runCli(args)]), []);
  assert.deepEqual(contentOf(dir.database("trading")).markers, ["002"]);
});

/**
 * Starts this many processes of the command line at once and waits for all. Their timeout allows
 * for slow machines.
 */
function atOnce(
  count: number,
  argsOf: (number: number) => readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<CliResult[]> {
  const start = (number: number) => runCli([...argsOf(number), "--timeout", "600"], { env });
  return Promise.all(Array.from({ length: count }, (_, number) => start(number)));
}

function failures(results: readonly CliResult[]): CliResult[] {
  return results.filter(({ code }) => code !== 0);
}

/** How often each outcome of a direction was recorded, by migration. */
function happenings(directory: string, direction: string): Record<string, unknown>[] {
  return query(
    join(directory, "migrations.db"),
    `SELECT migration_id, outcome, count(*) AS times
    FROM migration_events
    WHERE direction = '${direction}'
    GROUP BY migration_id, outcome
    ORDER BY migration_id, outcome`,
  );
}

/** Ids of the migrations that were applied exactly once. */
function appliedOnce(dir: TempDir): unknown[] {
  return happenings(dir.path, "upgrade")
    .filter(({ outcome, times }) => outcome === "applied" && times === 1)
    .map((row) => row["migration_id"]);
}

/** Each migration is applied and rolled back alternately, never twice in a row. */
function assertAlternating(dir: TempDir): void {
  const events = query(
    dir.database("migrations"),
    "SELECT migration_id, direction, outcome FROM migration_events ORDER BY event_id",
  );
  for (const id of Object.values(idOf)) {
    const outcomes = events.filter((event) => event["migration_id"] === id)
      .map((event) => `${event["direction"]} ${event["outcome"]}`);
    const cycle = [
      "upgrade started",
      "upgrade applied",
      "downgrade started",
      "downgrade rolled_back",
    ];
    assert.deepEqual(outcomes, outcomes.map((_, place) => cycle[place % cycle.length]));
  }
}

interface Holder extends AsyncDisposable {
  readonly pid: number;
  /** Whether it was killed; set on disposal. */
  wasKilled(): boolean;
}

/** Starts a process that runs a script and then waits. Disposing of it kills it. */
async function startHolder(script: string): Promise<Holder> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["eval", `${script}; console.log("ready"); setInterval(() => {}, 1000);`],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value), "ready\n");
  await reader.cancel();
  let killed = false;
  let disposed = false;
  return {
    pid: child.pid,
    wasKilled: () => killed,
    [Symbol.asyncDispose]: async () => {
      if (disposed) return;
      disposed = true;
      child.kill("SIGKILL");
      killed = wasKilled(await child.status);
    },
  };
}
