/** Checks that are repeated inside the transaction, because the state was read before it. */
import assert from "node:assert/strict";
import { openMemory } from "../../../lib/database/open.ts";
import { runMigration } from "../../../lib/engine/apply.ts";
import { adopt } from "../../../lib/engine/reconcile.ts";
import { Session } from "../../../lib/engine/session.ts";
import { MARKER_TABLE } from "../../../lib/migration/migration.ts";
import { createWorkspace } from "../../../lib/state/workspace.ts";
import { appMigrator } from "../operations/app.ts";
import { execute, migrationOf, query, TemporaryDirectory } from "../support.ts";

const migration = migrationOf({
  name: "001_first",
  upgrade: "CREATE TABLE first (a)",
  downgrade: "DROP TABLE first",
});

const limits = { migration, checksum: null, snapshot: null, destroys: ["first"], timeout: 1 };

Deno.test("a migration that another migrator has run is not run again", async () => {
  await using connection = openMemory();
  const up = { ...limits, direction: "upgrade" } as const;
  assert.notEqual(await runMigration(connection, up), null);
  assert.equal(await runMigration(connection, up), null);
  const down = { ...limits, direction: "downgrade" } as const;
  assert.notEqual(await runMigration(connection, down), null);
  assert.equal(await runMigration(connection, down), null);
});

Deno.test("a migration that another migrator has adopted keeps its marker", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [migration]).upgrade();
  const path = directory.file("app.db");
  execute(path, `UPDATE ${MARKER_TABLE} SET applied_at = 1`);
  const markers = query(path, `SELECT * FROM ${MARKER_TABLE}`);
  const workspace = createWorkspace({
    databases: { app: path },
    ledger: directory.file("migrations.db"),
    migrations: [migration],
  });
  await using session = await Session.begin(workspace);
  await adopt(workspace, session, { kind: "adopt", migration, row: undefined });
  assert.deepEqual(query(path, `SELECT * FROM ${MARKER_TABLE}`), markers);
});

Deno.test("a failed rollback leaves the migration's history row unchanged", async () => {
  using directory = new TemporaryDirectory();
  const failing = { ...migration, downgrade: "DROP TABLE nowhere" };
  const migrator = appMigrator(directory, [failing]);
  await migrator.upgrade();
  const ledger = directory.file("migrations.db");
  const before = query(ledger, "SELECT * FROM migration_history");
  await assert.rejects(migrator.downgrade({ confirm: () => true }));
  assert.deepEqual(query(ledger, "SELECT * FROM migration_history"), before);
  const [event] = await migrator.history({ limit: 1 });
  assert.deepEqual([event?.direction, event?.outcome], ["downgrade", "failed"]);
});

Deno.test("the start of each attempt is recorded before its outcome", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [migration]);
  await migrator.upgrade();
  await migrator.downgrade({ confirm: () => true });
  const events = await migrator.history({ limit: 10 });
  assert.deepEqual(
    events.map(({ direction, outcome }) => `${direction} ${outcome}`).toReversed(),
    ["upgrade started", "upgrade applied", "downgrade started", "downgrade rolled_back"],
  );
});
