import assert from "node:assert/strict";
import { Migrator } from "../../../lib/migrator.ts";
import { computeReport } from "../../../lib/report/make_report.ts";
import { bundledQueries } from "../../../lib/report/queries.ts";
import { bundledMigrations } from "../../../migrations/mod.ts";
import { libsqlTest, TestServer } from "../../libsql_server.ts";
import { TemporaryDirectory } from "../support.ts";

libsqlTest("queries and reports read a database on a server, and change nothing", async () => {
  using directory = new TemporaryDirectory();
  await using server = await (await TestServer.start()).create("ml");
  const address = server.address("ml");
  const migrator = new Migrator({
    databases: {
      positions: directory.file("positions.db"),
      trading: directory.file("trading.db"),
      ml_training: address,
    },
    ledger: directory.file("migrations.db"),
    migrations: bundledMigrations,
  });
  await migrator.upgrade();
  for (const { name, database, sql } of bundledQueries) {
    if (database !== "ml_training") continue;
    assert.deepEqual((await migrator.query(database, { sql })).rows, [], name);
  }
  const { columns, rows, isCut } = await migrator.query("ml_training", {
    sql:
      "WITH c (x, y) AS (VALUES (:a, 1), (2, NULL), (3, 9007199254740993)) SELECT x, x, y FROM c -- end",
    parameters: { a: "it's" },
    limit: 2,
    timeout: 30,
  });
  assert.deepEqual([rows, isCut, columns.length], [[["it's", "it's", 1], [2, 2, null]], true, 3]);
  for (
    const sql of [
      "DELETE FROM training_runs",
      "PRAGMA user_version = 7",
      "DROP TABLE training_runs",
    ]
  ) {
    await assert.rejects(migrator.query("ml_training", { sql }), Error, sql);
  }
  const report = await migrator.report();
  assert.deepEqual(report.training.runs, []);
  assert.deepEqual(report.notes, []);
  assert.equal(
    (await computeReport({ dataDir: directory.path, databases: { ml_training: address } })).trades
      .all.trades,
    0,
  );
});
