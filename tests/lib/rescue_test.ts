/** Commands that get users out of trouble must not depend on anything that may itself be broken. */
import assert from "node:assert/strict";
import { openCatalystMigrator } from "../../lib/catalyst.ts";
import { CorruptDatabaseError } from "../../lib/base/errors.ts";
import { createBot, execute, fillBot, query, TemporaryDirectory } from "./support.ts";

const confirm = () => true;
const SQL =
  "-- database: trading\n-- migrate:up\nCREATE TABLE t (a);\n-- migrate:down\nDROP TABLE t;\n";

/** Directories of migrations with an unusable one. */
const broken: Readonly<Record<string, (put: (name: string, content: string) => void) => void>> = {
  "a file that `new` has just written": (put) =>
    put("004_notes.sql", "-- database: trading\n-- migrate:up\n\n-- migrate:down\n"),
  "a merge conflict": (put) => put("004_notes.sql", `<<<<<<< HEAD\n${SQL}=======\n>>>>>>> other\n`),
  "an empty file": (put) => put("004_notes.sql", ""),
  "an open string": (put) => put("004_notes.sql", `${SQL}SELECT 'x`),
  "a file of another database": (put) => put("004_notes.sql", SQL.replace("trading", "tradng")),
  "two files of one number": (put) => {
    put("004_one.sql", SQL);
    put("004_two.sql", SQL);
  },
  "a file with the number of a bundled migration": (put) => put("002_mine.sql", SQL),
  "a module with a syntax error": (put) => put("004_notes.ts", "export const upgrade = ;"),
  "a module that throws": (put) => put("004_notes.ts", 'throw new Error("no");'),
  "an invalid name": (put) => put("004_no tes.sql", SQL),
  "no directory at all": () => {},
};

Deno.test("an unusable migration stops only commands that run or check migrations", async (t) => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  await bot.createSnapshot();
  const dump = await new Response(await bot.exportDatabase("trading")).bytes();
  for (const [index, [name, write]] of Object.entries(broken).entries()) {
    await t.step(name, async () => {
      const migrationsDir = directory.file(`migrations${index}`);
      if (name !== "no directory at all") Deno.mkdirSync(migrationsDir);
      write((file, content) => Deno.writeTextFileSync(`${migrationsDir}/${file}`, content));
      const options = { dataDir: directory.path, migrationsDir };
      await assert.rejects(openCatalystMigrator(options));
      const migrator = await openCatalystMigrator({ ...options, lenient: true });
      const [reason] = migrator.unusable;
      assert.ok(reason);
      const { ok, unusable } = await migrator.status();
      assert.deepEqual({ ok, unusable }, { ok: false, unusable: [reason.message] });
      assert.equal((await migrator.verify({ data: true })).databases.length, 3);
      assert.ok(await migrator.describeSchema("trading"));
      assert.deepEqual((await migrator.repair()).recreated, []);
      await migrator.history();
      await migrator.planRestore("latest");
      await migrator.planDowngrade({ migration: "003" });
      if (index === 0) {
        await migrator.restoreSnapshot("latest", { confirm });
        await migrator.importDump(new Blob([dump]).stream(), { database: "trading", confirm });
        await migrator.downgrade({ migration: "003", confirm, backup: false });
        await bot.upgrade();
      }
      for (
        const work of [
          () => migrator.upgrade(),
          () => migrator.planUpgrade(),
          () => migrator.lint(),
          () => migrator.rehearse(),
        ]
      ) await assert.rejects(work(), (error) => error === reason);
    });
  }
});

Deno.test("if an applied migration's file is broken, its marker is used instead", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  const migrationsDir = directory.file("migrations");
  Deno.mkdirSync(migrationsDir);
  const file = `${migrationsDir}/004_notes.sql`;
  const upgrade = "DROP VIEW v_daily_trading_summary; CREATE TABLE notes (a);";
  const view = query(
    directory.file("trading.db"),
    "SELECT name FROM sqlite_schema WHERE type = 'view' LIMIT 1",
  ) as { name: string }[];
  const dropped = upgrade.replace("v_daily_trading_summary", view[0]?.name ?? "");
  Deno.writeTextFileSync(
    file,
    `-- database: trading\n-- migrate:up\n${dropped}\n-- migrate:down\nDROP TABLE notes;\n`,
  );
  const options = { dataDir: directory.path, migrationsDir, lenient: true };
  await (await openCatalystMigrator(options)).upgrade();
  await bot.createSnapshot();
  Deno.writeTextFileSync(file, "<<<<<<< HEAD");
  const migrator = await openCatalystMigrator(options);
  assert.deepEqual((await migrator.repair()).recreated, [], "what it dropped counts as missing");
  const { databases } = await migrator.verify();
  assert.deepEqual(
    databases.find(({ name }) => name === "trading")?.problems.map(({ kind }) => kind),
    ["missing"],
  );
  await migrator.restoreSnapshot("latest", { confirm });
  assert.deepEqual((await migrator.downgrade({ steps: 1, confirm })).rolledBack, ["004"]);
});

Deno.test("a marker of another type is a damaged row, and a snapshot restores the database", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  const { name } = await bot.createSnapshot();
  const path = directory.file("trading.db");
  const table = query(path, "SELECT name FROM sqlite_schema WHERE sql LIKE '%migration_name%'") as {
    name: string;
  }[];
  execute(path, `UPDATE ${table[0]?.name} SET migration_name = CAST(migration_name AS BLOB)`);
  const { ok, unreadable, migrations } = await bot.status();
  assert.equal(ok, false);
  assert.match(unreadable.join(), /a row of \w+ is damaged/);
  assert.deepEqual(
    migrations.map(({ database, state }) => `${database} ${state}`),
    ["positions applied", "trading unknown", "ml_training applied"],
  );
  await assert.rejects(bot.upgrade(), CorruptDatabaseError);
  await bot.createSnapshot({ databases: ["trading"] }); // copies what can be read
  await bot.restoreSnapshot(name, { confirm });
  assert.equal((await bot.status()).ok, true);
});

Deno.test("a database is restored although others, and a ledger, are damaged", async () => {
  using directory = new TemporaryDirectory();
  const bot = await createBot(directory);
  fillBot(directory, 3);
  const { name } = await bot.createSnapshot();
  const path = directory.file("trading.db");
  const garbage = new Uint8Array(8192).fill(0x5a);
  Deno.writeFileSync(directory.file("positions.db"), garbage);
  execute(path, "DELETE FROM fills");
  await bot.restoreSnapshot(name, { databases: ["trading"], confirm });
  assert.equal(query(path, "SELECT * FROM fills").length, 3);
  const ledger = directory.file("migrations.db");
  const rows = query(ledger, "SELECT count(*) AS n FROM migration_history");
  execute(ledger, "UPDATE migration_history SET applied_at = x'00' WHERE migration_id = '001'");
  execute(path, "DELETE FROM fills");
  await bot.restoreSnapshot(name, { databases: ["trading"], confirm });
  assert.equal(query(path, "SELECT * FROM fills").length, 3);
  assert.equal((await bot.status()).unreadable.length, 2);
  Deno.writeFileSync(ledger, garbage);
  for (const ending of ["-wal", "-shm"]) {
    await Deno.remove(ledger + ending).catch(() => {});
  }
  await bot.restoreSnapshot(name, { confirm });
  assert.deepEqual(query(ledger, "SELECT count(*) AS n FROM migration_history"), rows);
  assert.equal((await bot.status()).ok, true);
});
