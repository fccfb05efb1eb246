/** A program's own connection is as before when a migration has run. */
import assert from "node:assert/strict";
import { readPragma } from "../../../lib/database/connection.ts";
import { openMemory } from "../../../lib/database/open.ts";
import { runMigration } from "../../../lib/engine/apply.ts";
import { migrationOf } from "../support.ts";

const options = {
  direction: "upgrade",
  checksum: null,
  snapshot: null,
  destroys: [],
  timeout: 1,
} as const;

Deno.test("foreign keys are enforced after a migration as before, whether it fails or not", async () => {
  for (const before of [0, 1]) {
    for (const upgrade of ["CREATE TABLE t (a)", "INSERT INTO nowhere VALUES (1)"]) {
      for (const foreignKeys of [false, true]) {
        await using connection = openMemory();
        await connection.exec(`PRAGMA foreign_keys = ${before}`);
        const migration = migrationOf({ name: "001_a", upgrade, foreignKeys });
        const run = runMigration(connection, { ...options, migration });
        if (upgrade.startsWith("CREATE")) await run;
        else await assert.rejects(run);
        assert.equal(await readPragma(connection, "foreign_keys"), before);
      }
    }
  }
});

Deno.test("a savepoint that a migration without a transaction leaves open is ended", async () => {
  await using connection = openMemory();
  const upgrade = "CREATE TABLE kept (a); SAVEPOINT s; CREATE TABLE gone (a)";
  const migration = migrationOf({ name: "001_a", upgrade, transaction: false });
  await assert.rejects(runMigration(connection, { ...options, migration }), /SAVEPOINT/);
  assert(!connection.inTransaction);
  const tables = await connection.all("SELECT name FROM sqlite_schema");
  assert.deepEqual(tables.map(({ name }) => name), ["kept"]);
});
