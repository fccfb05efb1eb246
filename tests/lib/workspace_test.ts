import assert from "node:assert/strict";
import { RegistryError } from "../../lib/errors.ts";
import { createWorkspace, locationOf } from "../../lib/workspace.ts";
import { migrationOf } from "./support.ts";

Deno.test("options that aren't given have the documented defaults", () => {
  const workspace = createWorkspace({
    databases: { app: "app.db" },
    ledger: "l.db",
    migrations: [],
  });
  assert.equal(workspace.timeout, 30);
  assert.equal(workspace.createDirectories, true);
  assert.equal(workspace.settings.journalMode, "WAL");
  assert.deepEqual(locationOf(workspace, "app"), { kind: "file", path: "app.db" });
});

Deno.test("the timeout is also how long a statement waits", () => {
  const options = { databases: {}, ledger: "l.db", migrations: [], timeout: 2 };
  assert.equal(createWorkspace(options).settings.busyTimeout, 2);
});

Deno.test("contradicting migrations are refused at once", () => {
  const migrations = [migrationOf({ name: "1_a" }), migrationOf({ name: "1_b" })];
  assert.throws(
    () => createWorkspace({ databases: { app: "app.db" }, ledger: "l.db", migrations }),
    RegistryError,
  );
});
