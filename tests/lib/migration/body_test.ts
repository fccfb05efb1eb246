import assert from "node:assert/strict";
import { firstLine, runBody, whyForbidden } from "../../../lib/migration/body.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { StatementError } from "../../../lib/base/errors.ts";
import type { MigrationBody } from "../../../lib/migration/migration.ts";

async function run(body: MigrationBody, signal?: AbortSignal): Promise<void> {
  await using db = openMemory();
  await db.exec("BEGIN");
  await runBody(db, body, { database: "app", signal });
}

for (
  const sql of [
    "COMMIT",
    "-- why\n commit;",
    "END TRANSACTION",
    "BEGIN",
    "begin exclusive",
    "ROLLBACK",
    "ROLLBACK TRANSACTION",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
  ]
) {
  Deno.test(`a migration may not run ${JSON.stringify(sql)}, in SQL or in a function`, async () => {
    const isRefused = (error: unknown) =>
      error instanceof StatementError && error.help !== undefined;
    await assert.rejects(run(`SELECT 1; ${sql}`), isRefused);
    await assert.rejects(run((transaction) => transaction.exec(`SELECT 1; ${sql}`)), isRefused);
    await assert.rejects(run(async (transaction) => void await transaction.run(sql)), isRefused);
    await assert.rejects(run(async (transaction) => void await transaction.all(sql)), isRefused);
  });
}

Deno.test("a function that bypasses the toolkit cannot end the transaction either", async () => {
  await using db = openMemory();
  await db.exec("BEGIN");
  const body = () => db.exec("SELECT 1; COMMIT");
  await assert.rejects(runBody(db, body, { database: "app" }), StatementError);
  assert(db.inTransaction);
});

for (
  const sql of [
    "SAVEPOINT a; ROLLBACK TO a; RELEASE a",
    "SAVEPOINT a; ROLLBACK TRANSACTION TO SAVEPOINT a; RELEASE SAVEPOINT a",
    "CREATE TABLE t (a); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END;",
    "CREATE TABLE commits (ends, begins)",
    "SELECT 'x; COMMIT; y'",
    "",
    "-- nothing\n/* at all */ ;;",
  ]
) {
  Deno.test(`a migration may run ${JSON.stringify(sql)}`, () => run(sql));
}

Deno.test("a function receives the open transaction of its database", async () => {
  await run(async (transaction) => {
    assert.equal(transaction.database, "app");
    await transaction.exec("CREATE TABLE t (a); INSERT INTO t VALUES (1);");
    const { changes } = await transaction.run("INSERT INTO t VALUES (?), (?)", [2, 3]);
    assert.equal(changes, 2);
    const rows = await transaction.all("SELECT a FROM t WHERE a > ? ORDER BY a", [1]);
    assert.deepEqual(rows.map((row) => row["a"]), [2, 3]);
  });
});

Deno.test("an abort stops before the next statement", async () => {
  const controller = new AbortController();
  let count = 0;
  const body: MigrationBody = async (transaction) => {
    await transaction.exec("SELECT 1");
    count++;
    controller.abort();
    await transaction.exec("SELECT 2");
    count++;
  };
  await assert.rejects(run(body, controller.signal), /abort/);
  assert.equal(count, 1);
});

Deno.test("a forbidden statement is refused with the reason", () => {
  assert.match(whyForbidden("/* a */ commit") ?? "", /one transaction/);
  assert.match(whyForbidden("attach 'x' as y") ?? "", /its own database/);
  assert.equal(whyForbidden("ROLLBACK TO a"), null);
  assert.equal(whyForbidden("CREATE TABLE vacuum_log (a)"), null);
});

Deno.test("a statement is shown on one line, truncated", () => {
  assert.equal(firstLine("  CREATE\n\tTABLE  t (a)\n"), "CREATE TABLE t (a)");
  assert.equal(firstLine(`SELECT '${"x".repeat(99)}'`).length, 83);
});
