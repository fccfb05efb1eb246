import assert from "node:assert/strict";
import { createBot, execute, fillBot, runCommandLine, TemporaryDirectory } from "../support.ts";

/** JSON of one type, which the tests look into step by step. */
type Json = Record<string, unknown>;

/** Runs a command with `--json`; stdout must be one document. */
async function run(directory: TemporaryDirectory, ...args: string[]): Promise<[number, Json]> {
  const all = [...args, "--json", "--data-dir", directory.path];
  const { code, stdout } = await runCommandLine(all);
  return [code, JSON.parse(stdout)];
}

/** The keys of the objects in a list; all must have the same. */
function keysOfEach(list: unknown): string[] {
  assert(Array.isArray(list) && list.length > 0);
  const [first, ...rest] = list.map((one) => Object.keys(one));
  for (const keys of rest) assert.deepEqual(keys, first);
  return first ?? [];
}

function has(document: Json, ...keys: string[]): void {
  for (const key of keys) assert(key in document, key);
}

Deno.test("upgrade, and upgrade with nothing to do", async () => {
  using directory = new TemporaryDirectory();
  const [code, document] = await run(directory, "upgrade");
  assert.equal(code, 0);
  const keys = ["ok", "applied", "adopted", "reconciled", "snapshot", "failed"];
  assert.deepEqual(Object.keys(document), keys);
  assert.deepEqual(keysOfEach(document["applied"]), ["id", "database", "durationSeconds"]);
  assert.equal(document["ok"], true);
  const [, again] = await run(directory, "upgrade");
  const nothing = { applied: [], adopted: [], reconciled: [], snapshot: null, failed: null };
  assert.deepEqual(again, { ok: true, ...nothing });
});

Deno.test("an upgrade that fails tells what was applied in the same form, and the failure", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("trading.db"), "CREATE VIEW v_recent_orders AS SELECT 1");
  const [code, document] = await run(directory, "upgrade");
  assert.equal(code, 1);
  has(document, "ok", "applied", "adopted", "reconciled", "failed", "error");
  assert.equal(document["ok"], false);
  assert.deepEqual(keysOfEach(document["applied"]), ["id", "database", "durationSeconds"]);
  const { id, error } = document["failed"] as { id: string; error: Json };
  assert.equal(id, "002");
  assert.deepEqual(Object.keys(error), ["code", "message", "help"]);
  assert.deepEqual(document["error"], error);
});

Deno.test("upgrade --dry-run", async () => {
  using directory = new TemporaryDirectory();
  const [code, document] = await run(directory, "upgrade", "--dry-run");
  assert.equal(code, 0);
  assert.deepEqual(Object.keys(document), ["ok", "dryRun", "apply", "adopt", "reconcile"]);
  assert.deepEqual(keysOfEach(document["apply"]), [
    "id",
    "database",
    "sql",
    "objects",
    "rows",
    "unknown",
  ]);
  assert.deepEqual(directory.names(), []);
});

Deno.test("status", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  const [code, document] = await run(directory, "status");
  assert.equal(code, 0);
  has(document, "ok", "pending", "databases", "migrations");
  assert.equal(document["ok"], true);
  assert.equal(document["pending"], 0);
  assert.deepEqual(
    keysOfEach(document["databases"]),
    ["name", "path", "exists", "sizeBytes", "journalMode"],
  );
  assert.deepEqual(
    keysOfEach(document["migrations"]),
    ["id", "name", "database", "state", "appliedAt", "durationSeconds"],
  );
});

Deno.test("downgrade", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  fillBot(directory, 3);
  const [refused, error] = await run(directory, "downgrade");
  assert.equal(refused, 1);
  assert.equal((error["error"] as Json)["code"], "NOT_CONFIRMED");
  const [, plan] = await run(directory, "downgrade", "--dry-run");
  assert.deepEqual(Object.keys(plan), ["ok", "dryRun", "rollBack", "lost"]);
  const [code, document] = await run(directory, "downgrade", "--to", "001", "--yes");
  assert.equal(code, 0);
  const { snapshot, ...rest } = document;
  assert.match(String(snapshot), /^\d{8}_\d{6}$/);
  assert.deepEqual(rest, {
    ok: true,
    rolledBack: ["003", "002"],
    lost: [
      { database: "trading", table: "orders", rows: 3 },
      { database: "trading", table: "fills", rows: 3 },
      { database: "trading", table: "portfolio_snapshots", rows: 3 },
    ],
    failed: null,
  });
});

Deno.test("verify", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  execute(directory.file("trading.db"), "DROP INDEX idx_orders_ticker; CREATE TABLE mine (a)");
  const [code, document] = await run(directory, "verify", "--data");
  assert.equal(code, 1);
  assert.deepEqual(Object.keys(document), ["ok", "databases"]);
  assert.deepEqual(
    keysOfEach(document["databases"]),
    ["name", "path", "ok", "problems", "notices", "hash"],
  );
  const trading = (document["databases"] as Json[])[1] ?? {};
  assert.deepEqual(keysOfEach(trading["problems"]), ["kind", "object", "detail", "fix"]);
  assert.deepEqual(keysOfEach(trading["notices"]), ["kind", "object", "detail", "fix"]);
});

Deno.test("repair", async () => {
  using directory = new TemporaryDirectory();
  await createBot(directory);
  execute(directory.file("trading.db"), "DROP INDEX idx_orders_ticker");
  const [planned, plan] = await run(directory, "repair", "--dry-run");
  const [code, document] = await run(directory, "repair");
  assert.deepEqual([planned, code], [0, 0]);
  assert.deepEqual({ ...plan, dryRun: false }, document);
  has(document, "ok", "adopted", "reconciled", "recreated", "replaced", "remaining", "snapshot");
  assert.deepEqual(keysOfEach(document["recreated"]), ["database", "type", "name", "sql"]);
});

Deno.test("history", async () => {
  using directory = new TemporaryDirectory();
  const [, nothing] = await run(directory, "history");
  assert.deepEqual(nothing, { ok: true, events: [] });
  await createBot(directory);
  const [code, document] = await run(directory, "history", "--limit", "2");
  assert.equal(code, 0);
  const events = document["events"] as Json[];
  assert.equal(events.length, 2);
  has(
    events[0] ?? {},
    ...["id", "name", "database", "direction", "outcome", "startedAt", "endedAt"],
    ...["durationSeconds", "error", "checksum", "toolkitVersion"],
  );
});

Deno.test("help in each of its forms, and --version", async () => {
  using directory = new TemporaryDirectory();
  const forms = [["--help"], ["help"], ["help", "backup", "list"], ["status", "--help"]];
  for (const form of forms) {
    const [code, document] = await run(directory, ...form);
    assert.equal(code, 0);
    assert.deepEqual(Object.keys(document), ["ok", "help"]);
    assert.match(String(document["help"]), /^Usage: catalyst-migrate /m);
  }
  const [, document] = await run(directory, "--version");
  const keys = ["ok", "version", "deno", "sqlite", "standalone", "target", "migrations"];
  assert.deepEqual(Object.keys(document), keys);
});
