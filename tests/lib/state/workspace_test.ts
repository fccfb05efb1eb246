import assert from "node:assert/strict";
import { RegistryError, UsageError } from "../../../lib/base/errors.ts";
import { createWorkspace, locationOf } from "../../../lib/state/workspace.ts";
import { migrationOf, TemporaryDirectory } from "../support.ts";

Deno.test("omitted options have the documented defaults", () => {
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

Deno.test("inconsistent migrations are refused immediately", () => {
  const migrations = [migrationOf({ name: "1_a" }), migrationOf({ name: "1_b" })];
  assert.throws(
    () => createWorkspace({ databases: { app: "app.db" }, ledger: "l.db", migrations }),
    RegistryError,
  );
});

Deno.test("an invalid timeout is refused", () => {
  for (const timeout of [NaN, -1, Infinity, 2_147_484]) {
    assert.throws(
      () => createWorkspace({ databases: {}, ledger: "l.db", migrations: [], timeout }),
      UsageError,
    );
  }
});

Deno.test("two databases, or a database and the ledger, cannot share a file", () => {
  for (const databases of [{ a: "a.db", b: "a.db" }, { a: "a.db", b: "l.db" }]) {
    assert.throws(
      () => createWorkspace({ databases, ledger: "l.db", migrations: [] }),
      (error) => error instanceof UsageError && /^Cannot use [al]\.db for /.test(error.message),
    );
  }
  createWorkspace({ databases: { a: ":memory:", b: ":memory:" }, ledger: "l.db", migrations: [] });
});

Deno.test("two names for one file are refused, also through links and before the file exists", () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("data"));
  Deno.symlinkSync(directory.file("data"), directory.file("linked"));
  Deno.symlinkSync(directory.file("data/a.db"), directory.file("data/b.db"));
  const { path } = directory;
  const workspaceOf = (a: string, b: string) =>
    createWorkspace({
      databases: { a: `${path}/${a}`, b: `${path}/${b}` },
      ledger: `${path}/migrations.db`,
      migrations: [],
    });
  for (const isThere of [false, true]) {
    if (isThere) Deno.writeTextFileSync(directory.file("data/a.db"), "");
    for (const other of ["data/b.db", "linked/a.db", "linked/b.db"]) {
      assert.throws(() => workspaceOf("data/a.db", other), /for b: it is the file of a/, other);
    }
    workspaceOf("data/a.db", "linked/c.db");
  }
  assert.throws(() => workspaceOf("data/a.db", "migrations.db"), /it is the file of b/);
});
