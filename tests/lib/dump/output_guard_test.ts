import assert from "node:assert/strict";
import { AccessError } from "../../../lib/base/errors.ts";
import { createCatalystMigrator } from "../../../lib/catalyst.ts";
import { contents, runCli, tempDir } from "../../helpers.ts";

/** A directory with the bot's databases, a snapshot of them and a user's migration. */
async function bot() {
  const dir = await tempDir();
  const migrator = createCatalystMigrator({ dataDir: dir.path });
  await migrator.upgrade();
  const { name } = await migrator.createSnapshot();
  Deno.mkdirSync(`${dir.path}/migrations`);
  Deno.writeTextFileSync(
    `${dir.path}/migrations/004_x.sql`,
    "-- database: trading\n-- migrate:up\nSELECT 1;\n",
  );
  Deno.writeTextFileSync(`${dir.path}/notes.txt`, "PRECIOUS");
  return { dir, migrator, name };
}

Deno.test("files that belong to the databases are never overwritten, even with force", async () => {
  const { dir, migrator, name } = await bot();
  await using _dir = dir;
  const { path } = dir;
  Deno.symlinkSync(`${path}/trading.db`, `${path}/link`);
  Deno.linkSync(`${path}/positions.db`, `${path}/hard`);
  Deno.copyFileSync(`${path}/ml_training.db`, `${path}/copy`);
  Deno.copyFileSync(`${path}/ml_training.db`, `${path}/crash.db`);
  Deno.writeTextFileSync(`${path}/crash.db-wal`, "commits");
  const owned = [
    ...["trading.db", "positions.db", "migrations.db", "migrations.lock"],
    ...["trading.db-wal", "trading.db-shm", "migrations.db-journal", "migrations.restore"],
    ...["backups/backups.lock", `backups/trading_${name}.db`, `backups/snapshot_${name}.json`],
    ...["migrations/004_x.sql", "migrations/005_new.ts", "link", "hard", "copy"],
    ...["positions.db-journal", "migrations.db-wal", "migrations.restore.part"],
    ...["trading.db.part", "trading.db.import.part", "trading.db.import.part-wal"],
    ...["backups/x.db", "backups/trading_20260101_000000.db.gz", "backups/snapshot_1.unfinished"],
    ...["crash.db-wal", "crash.db-journal", "crash.db-shm"],
  ];
  for (const one of owned) {
    await assert.rejects(
      migrator.refuseOccupied(`${path}/./${one}`, {
        force: true,
        migrationsDir: `${path}/migrations`,
      }),
      (error) =>
        error instanceof AccessError && /it is the path of|it is among/.test(error.message),
      one,
    );
  }
});

Deno.test("an existing file needs force, and so does a link", async () => {
  const { dir, migrator } = await bot();
  await using _dir = dir;
  Deno.symlinkSync("nowhere", `${dir.path}/dangling`);
  for (const one of ["notes.txt", "dangling"]) {
    const path = `${dir.path}/${one}`;
    await assert.rejects(migrator.refuseOccupied(path), /it already exists/);
    await migrator.refuseOccupied(path, { force: true });
  }
  await migrator.refuseOccupied(`${dir.path}/new.sql`);
  await migrator.refuseOccupied(`${dir.path}/backups/new.sql`);
  await migrator.refuseOccupied(`${dir.path}/none.db-wal`);
  await migrator.refuseOccupied("/dev/null");
});

Deno.test("export and import overwrite nothing, also not through a link", async () => {
  const { dir } = await bot();
  await using _dir = dir;
  const { path } = dir;
  Deno.writeTextFileSync(`${path}/bad.csv`, "order_id,quantity\n1,many\n");
  Deno.writeTextFileSync(`${path}/left.sql.part`, "PRECIOUS");
  Deno.symlinkSync("notes.txt", `${path}/linked.sql.catalyst.part`);
  const before = contents(path);
  const skip = [
    "import",
    "bad.csv",
    "--database",
    "trading",
    "--table",
    "orders",
    "--skip-bad-rows",
  ];
  for (
    const args of [
      ["export", "positions", "--out", "trading.db", "--force"],
      ["export", "positions", "--out", "notes.txt"],
      ["export", "positions", "--out", "linked.sql", "--force"],
      ["export", "positions", "--out", "migrations/004_x.sql", "--force"],
      ["export", "positions", "--out", "trading.db.import.part", "--force"],
      ["export", "positions", "--out", "backups/x.db", "--force"],
      ["query", "SELECT 1", "--out", "trading.db.import.part", "--force"],
      ["report", "--html", "backups/x.db", "--force"],
      [...skip, "notes.txt"],
      [...skip, "trading.db-wal"],
    ]
  ) {
    const { code, stderr } = await runCli([...args, "--data-dir", "."], { cwd: path });
    assert.equal(code, 1, args.join(" "));
    assert.match(stderr, /^error: Cannot write /m);
  }
  assert.deepEqual(contents(path), before);
  const beside = ["export", "positions", "--out", "left.sql", "--data-dir", "."];
  assert.equal((await runCli(beside, { cwd: path })).code, 0);
  assert.equal(Deno.readTextFileSync(`${path}/left.sql.part`), "PRECIOUS");
  const { code } = await runCli([
    "export",
    "positions",
    "--out",
    "notes.txt",
    "--force",
    "--data-dir",
    ".",
  ], {
    cwd: path,
  });
  assert.equal(code, 0);
  assert.match(Deno.readTextFileSync(`${path}/notes.txt`), /^PRAGMA/);
});

Deno.test("a lock that is a link or a user's file is not written to", async () => {
  const { dir, migrator } = await bot();
  await using _dir = dir;
  const lock = `${dir.path}/migrations.lock`;
  Deno.removeSync(lock);
  Deno.symlinkSync("notes.txt", lock);
  await assert.rejects(migrator.pruneSnapshots({ keep: 5 }), /symbolic link/);
  Deno.removeSync(lock);
  Deno.writeTextFileSync(lock, "PRECIOUS");
  await migrator.pruneSnapshots({ keep: 5 });
  assert.equal(Deno.readTextFileSync(lock), "PRECIOUS");
  assert.equal(Deno.readTextFileSync(`${dir.path}/notes.txt`), "PRECIOUS");
});
