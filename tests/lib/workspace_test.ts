import assert from "node:assert/strict";
import { LocationError, RegistryError } from "../../lib/errors.ts";
import { createWorkspace, directoryOf, ensureDirectory, locationOf } from "../../lib/workspace.ts";
import { migrationOf, TemporaryDirectory } from "./support.ts";

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

Deno.test("the directory of a path is what stands before its last separator", () => {
  assert.equal(directoryOf("data/a.db"), "data");
  assert.equal(directoryOf("a.db"), ".");
  assert.equal(directoryOf("/a.db"), "/");
  assert.equal(directoryOf("x/y/test_"), "x/y");
});

Deno.test("one directory is created, but not its parents", () => {
  using directory = new TemporaryDirectory();
  ensureDirectory(directory.file("new/a.db"), true);
  ensureDirectory(directory.file("new/a.db"), true);
  assert(Deno.statSync(directory.file("new")).isDirectory);
  assert.throws(() => ensureDirectory(directory.file("x/y/a.db"), true), LocationError);
  assert.throws(() => ensureDirectory(directory.file("z/a.db"), false), LocationError);
  assert.deepEqual(directory.names(), ["new"]);
});

Deno.test("a file where a directory should be is refused, also further up", () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("taken"), "");
  for (const path of ["taken/a.db", "taken/deeper/a.db"]) {
    assert.throws(
      () => ensureDirectory(directory.file(path), true),
      (error) => error instanceof LocationError && /file/.test(error.message),
    );
  }
});
