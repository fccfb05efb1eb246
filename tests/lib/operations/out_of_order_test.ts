import assert from "node:assert/strict";
import { OutOfOrderError } from "../../../lib/base/errors.ts";
import { appMigrator } from "./app.ts";
import { migrationOf, TemporaryDirectory } from "../support.ts";

const table = (id: string) =>
  migrationOf({
    name: `${id}_table`,
    upgrade: `CREATE TABLE t${id} (a)`,
    downgrade: `DROP TABLE t${id}`,
  });

Deno.test("a migration that sorts before an applied one is refused, and runs with outOfOrder", async () => {
  using directory = new TemporaryDirectory();
  await appMigrator(directory, [table("001"), table("003")]).upgrade();
  const migrator = appMigrator(directory, [table("001"), table("002"), table("003"), table("004")]);
  await assert.rejects(
    migrator.upgrade(),
    (error: Error) => error instanceof OutOfOrderError && /--out-of-order/.test(error.help ?? ""),
  );
  const { applied } = await migrator.upgrade({ outOfOrder: true });
  assert.deepEqual(applied.map(({ id }) => id), ["002", "004"]);
  assert.ok((await migrator.verify()).ok);
  // They are rolled back in the order of their numbers.
  assert.deepEqual((await migrator.downgrade({ to: "1" })).rolledBack, ["004", "003", "002"]);
});

Deno.test("outOfOrder doesn't skip prerequisites", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [table("001"), table("002")]);
  await assert.rejects(migrator.upgrade({ migration: "002", outOfOrder: true }), OutOfOrderError);
});

Deno.test("gaps and timestamps sort as numbers", async () => {
  using directory = new TemporaryDirectory();
  const ids = ["7", "010", "20250120123000", "20250120123001"];
  const { applied } = await appMigrator(directory, ids.toReversed().map(table)).upgrade();
  assert.deepEqual(applied.map(({ id }) => id), ids);
});
