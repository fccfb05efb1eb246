import assert from "node:assert/strict";
import { CorruptDatabaseError } from "../../../lib/base/errors.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { execute, query, tempDir } from "../../helpers.ts";

/** Overwrites the first page of a table with zeros. */
function damage(path: string, table: string): void {
  const root = Number(
    query(path, `SELECT rootpage FROM sqlite_schema WHERE name = '${table}'`)[0]?.["rootpage"],
  );
  execute(path, "PRAGMA wal_checkpoint(TRUNCATE)");
  const bytes = Deno.readFileSync(path);
  bytes.fill(0, (root - 1) * 4096, root * 4096);
  Deno.writeFileSync(path, bytes);
}

Deno.test("a damaged database is reported, and the others are still verified", async () => {
  await using dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.upgrade();
  damage(dir.database("positions"), "positions");
  const { ok, databases } = await migrator.verify({ data: true });
  assert.equal(ok, false);
  assert.deepEqual(databases.map((one) => [one.name, one.ok]), [
    ["positions", false],
    ["trading", true],
    ["ml_training", true],
  ]);
  assert.match(databases[0]?.problems[0]?.fix ?? "", /`repair` can't fix a damaged file/);
  await assert.rejects(
    migrator.repair(),
    (error) => error instanceof CorruptDatabaseError && /^Cannot repair /.test(error.message),
  );
});

Deno.test("values that no constraint forbids and unusable views are reported", async () => {
  await using dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.upgrade();
  execute(
    dir.database("trading"),
    `CREATE TABLE odd (id INTEGER PRIMARY KEY, amount INTEGER, price REAL, made_at INTEGER, d DATE);
    INSERT INTO odd VALUES (1, 'many', 'N/A', 1700000000, 'today'), (2, 1.5, 2, 1700000000000, 1),
      (3, 3, 1.5, 1700000000, NULL);
    CREATE VIEW gone AS SELECT missing FROM odd`,
  );
  const { databases } = await migrator.verify({ data: true });
  const problems = databases.find(({ name }) => name === "trading")?.problems ?? [];
  assert.deepEqual(problems.map(({ kind, object }) => [kind, object]), [
    ["broken", 'view "gone"'],
    ["value", "odd.amount"],
    ["value", "odd.price"],
    ["value", "odd.made_at"],
  ]);
  assert.match(problems[1]?.detail ?? "", /^2 rows of odd: amount holds text or a fraction/);
  // An unusable view is also reported without --data.
  const plain = (await migrator.verify()).databases.flatMap((one) => one.problems);
  assert.deepEqual(plain.map(({ kind }) => kind), ["broken"]);
});
