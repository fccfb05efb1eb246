import assert from "node:assert/strict";
import type { Migrator } from "../../lib/migrator.ts";
import { createBot, execute, fillBot, TemporaryDirectory } from "./support.ts";

/** The findings of `verify --data`, each as its kind, object and detail. */
async function findingsOf(migrator: Migrator): Promise<string[]> {
  const { databases } = await migrator.verify({ data: true });
  return databases.flatMap(({ problems }) =>
    problems.map(({ kind, object, detail }) => `${kind} ${object}: ${detail}`)
  );
}

/** The findings after running `sql` on the trading database of a bot with ten of everything. */
async function afterwards(sql: string, rows = 10): Promise<string[]> {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, rows);
  assert.deepEqual(await findingsOf(migrator), []);
  execute(directory.file("trading.db"), `PRAGMA foreign_keys = OFF; ${sql}`);
  return await findingsOf(migrator);
}

Deno.test("a fill without an order is found, by the foreign key and by the rule", async () => {
  assert.deepEqual(await afterwards("DELETE FROM orders WHERE order_id IN ('O3', 'O4')"), [
    "foreign_key fills: 2 row(s) of fills reference a missing row of orders, the first has rowid 3",
    "fill_without_order fills: 2 fill(s) belong to a missing order, such as F3",
  ]);
});

for (const table of ["orders", "fills"]) {
  Deno.test(`${table} with a position that is neither open nor closed are found`, async () => {
    assert.deepEqual(
      await afterwards(
        `UPDATE ${table} SET position_id = 'lost' WHERE ticker = 'ABC' AND rowid < 4`,
      ),
      [`position_missing ${table}: ${table} name 1 position(s) that are neither open nor closed, such as lost`],
    );
  });
}

Deno.test("an empty position id is not a position, and NULL is not looked up", async () => {
  assert.deepEqual(await afterwards("UPDATE orders SET position_id = NULL"), []);
  assert.equal((await afterwards("UPDATE orders SET position_id = '' WHERE rowid = 1")).length, 1);
});

Deno.test("a position id that is a BLOB does not prevent the check from ending", async () => {
  assert.deepEqual(await afterwards("UPDATE orders SET position_id = x'00ff' WHERE rowid < 3"), []);
});

Deno.test("a missing position is found wherever it sorts among many", async () => {
  const lost = ["0", "P55", "Pz", "zzz"].map((id, index) =>
    `UPDATE orders SET position_id = '${id}-lost' WHERE rowid = ${index + 1};`
  );
  const [finding, ...rest] = await afterwards(lost.join(""), 11_000);
  assert.deepEqual(rest, []);
  assert.match(finding ?? "", /orders name 4 position\(s\).*such as 0-lost/);
});

Deno.test("snapshots out of order are found, by their id or by their date", async () => {
  assert.deepEqual(
    await afterwards("UPDATE portfolio_snapshots SET snapshot_time = 1 WHERE snapshot_id = 5"),
    [
      "snapshot_out_of_order portfolio_snapshots: 1 snapshot(s) have an earlier time than the one before, such as snapshot_id 5",
    ],
  );
  const byDate = await afterwards(
    "UPDATE portfolio_snapshots SET snapshot_date = '1969-12-31' WHERE snapshot_id = 5",
  );
  assert.match(byDate[0] ?? "", /snapshot_out_of_order.*such as snapshot_id 1/);
});

Deno.test("without the positions database, or without tables, there are no findings", async () => {
  using directory = new TemporaryDirectory();
  const migrator = await createBot(directory);
  fillBot(directory, 5);
  Deno.removeSync(directory.file("positions.db"));
  assert.deepEqual((await findingsOf(migrator)).map((line) => line.split(" ")[0]), ["lost"]);
  await migrator.downgrade({ confirm: () => true });
  assert.deepEqual(
    (await findingsOf(migrator)).map((line) => line.split(" ")[0]),
    ["pending", "rolled_back", "rolled_back"],
  );
});
