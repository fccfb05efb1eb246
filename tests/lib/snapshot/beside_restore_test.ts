import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseLockedError } from "../../../lib/base/errors.ts";
import { pin } from "../../../lib/snapshot/pin_databases.ts";
import { databaseNames, execute, query, tempDir } from "../../helpers.ts";
import { makeBot } from "./files.ts";

Deno.test("no snapshot is taken while a restore has replaced only some of the databases", async () => {
  await using dir = await tempDir();
  await makeBot(dir);
  const targets = databaseNames.map((database) => ({ database, path: dir.database(database) }));
  const restoreNote = join(dir.path, "migrations.restore");
  Deno.writeTextFileSync(restoreNote, "");
  await assert.rejects(
    pin(targets, { timeout: 0.05, restoreNote }),
    (error) =>
      error instanceof DatabaseLockedError && /a restore was under way/.test(error.message),
  );
  // Waiting must not block the restore's writes.
  const waiting = pin(targets, { timeout: 30, restoreNote });
  execute(dir.database("trading"), "PRAGMA busy_timeout = 5000; DELETE FROM fills");
  await new Promise((resolve) => setTimeout(resolve, 20));
  Deno.removeSync(restoreNote);
  await using pinned = await waiting;
  const trading = pinned.databases.find(({ database }) => database === "trading");
  assert.deepEqual(await trading?.connection.all("SELECT * FROM fills"), []);
  assert.deepEqual(query(dir.database("trading"), "SELECT * FROM fills"), []);
});
