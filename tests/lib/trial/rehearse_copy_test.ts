import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DiskFullError, InterruptedError, UsageError } from "../../../lib/base/errors.ts";
import { Migrator } from "../../../lib/migrator.ts";
import { appMigrator } from "../operations/app.ts";
import { first, makeApp } from "./rehearse_support.ts";
import { reasonForNoDisk, SmallDisk } from "../snapshot/bot.ts";
import { execute, migrationOf, query, TemporaryDirectory, withDatabase } from "../support.ts";

Deno.test("missing databases are rehearsed as new ones", async () => {
  using directory = new TemporaryDirectory();
  const migrator = appMigrator(directory, [first]);
  const { ok, databases, surprises } = await migrator.rehearse();
  assert.deepEqual(surprises, []);
  assert.ok(ok);
  assert.deepEqual(databases.map(({ name, sizeBytes }) => [name, sizeBytes]), [["app", 0]]);
  assert.deepEqual(directory.names(), []);
});

Deno.test("while a program writes, the rehearsal sees a consistent state, and the program's rows are kept", async () => {
  using directory = await makeApp();
  const path = directory.file("app.db");
  const bot = new DatabaseSync(path);
  try {
    bot.exec("INSERT INTO orders (side) VALUES ('BUY')");
    const log = Deno.readFileSync(`${path}-wal`);
    const migrator = appMigrator(directory, [
      first,
      migrationOf({
        name: "002_lower",
        upgrade: "UPDATE orders SET side = lower(side) WHERE side <> '';",
        downgrade: "UPDATE orders SET side = upper(side) WHERE side <> '';",
      }),
    ]);
    const { ok, migrations } = await migrator.rehearse({
      onProgress: ({ kind, direction }) => {
        if (kind !== "started" || direction !== "downgrade") return;
        assert.deepEqual(Deno.readFileSync(`${path}-wal`), log);
        bot.exec("INSERT INTO orders (side) VALUES ('SELL')");
      },
    });
    assert.ok(ok);
    assert.equal(migrations[0]?.tables[0]?.rowsBefore, 11);
    assert.deepEqual(
      bot.prepare("SELECT count(*) AS n FROM orders WHERE side = upper(side)").get()?.n,
      12,
    );
  } finally {
    bot.close();
  }
});

Deno.test("commits that a crash left in a log remain there", async () => {
  using directory = await makeApp();
  const [path, copy] = [directory.file("app.db"), directory.file("crashed.db")];
  withDatabase(path, (bot) => {
    bot.exec("PRAGMA journal_mode = WAL; INSERT INTO orders (side) VALUES ('BUY')");
    for (const ending of ["", "-wal"]) Deno.copyFileSync(path + ending, copy + ending);
  });
  const before = ["", "-wal"].map((ending) => Deno.readFileSync(copy + ending));
  const migrator = new Migrator({
    databases: { app: copy },
    ledger: directory.file("migrations.db"),
    migrations: [first, migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x)" })],
  });
  assert.ok((await migrator.rehearse()).ok);
  assert.deepEqual(["", "-wal"].map((ending) => Deno.readFileSync(copy + ending)), before);
});

Deno.test("a database that a program has open is copied, in memory or not", async () => {
  using directory = new TemporaryDirectory();
  using app = new DatabaseSync(":memory:");
  const migrations = [
    first,
    migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x)", downgrade: "DROP TABLE a" }),
  ];
  const migrator = new Migrator({ databases: { app }, ledger: directory.file("m.db"), migrations });
  await migrator.upgrade({ to: "001" });
  app.exec("INSERT INTO orders (side) VALUES ('BUY')");
  const { ok, databases } = await migrator.rehearse();
  assert.ok(ok && (databases[0]?.sizeBytes ?? 0) > 0);
  assert.equal(app.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'a'").get()?.n, 0);
  const elsewhere = new Migrator({ databases: { app }, ledger: ":memory:", migrations });
  await assert.rejects(elsewhere.rehearse(), UsageError);
  assert.ok((await elsewhere.rehearse({ directory: directory.path })).ok);
  assert.deepEqual(directory.names().filter((name) => name.includes("rehearsal")), []);
});

Deno.test("an interrupted rehearsal leaves no files", async () => {
  using directory = await makeApp();
  const names = directory.names();
  const interruption = new AbortController();
  const migrator = appMigrator(directory, [
    first,
    migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x); CREATE TABLE b (x);" }),
  ]);
  const rehearsal = migrator.rehearse({
    signal: interruption.signal,
    onProgress: () => interruption.abort(),
  });
  await assert.rejects(rehearsal, InterruptedError);
  assert.deepEqual(directory.names(), names);
});

Deno.test("leftovers of a killed rehearsal are removed, and nothing else", async () => {
  using directory = await makeApp();
  Deno.mkdirSync(directory.file("rehearsal-0123abcd"));
  Deno.writeTextFileSync(directory.file("rehearsal-0123abcd/rehearsal.lock"), "process 1\n");
  Deno.writeTextFileSync(directory.file("rehearsal-0123abcd/1_app.db"), "x");
  for (const other of ["rehearsal-notes", "rehearsal-89abcdef"]) {
    Deno.mkdirSync(directory.file(other));
    Deno.writeTextFileSync(directory.file(`${other}/mine.txt`), "x");
  }
  const migrator = appMigrator(directory, [
    first,
    migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x)" }),
  ]);
  await migrator.rehearse();
  const left = directory.names().filter((name) => name.startsWith("rehearsal"));
  assert.deepEqual(left, ["rehearsal-89abcdef", "rehearsal-notes"]);
});

Deno.test("two simultaneous rehearsals don't disturb each other", async () => {
  using directory = await makeApp();
  const migrations = [first, migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x)" })];
  const both = await Promise.all(
    [1, 2].map(() => appMigrator(directory, migrations).rehearse()),
  );
  assert.ok(both.every(({ ok }) => ok));
  assert.deepEqual(
    query(directory.file("app.db"), "SELECT name FROM sqlite_schema WHERE name = 'a'"),
    [],
  );
});

Deno.test({
  name: "if there is not enough space for the copies, a rehearsal reports it at once",
  ignore: reasonForNoDisk() !== null,
  fn: async () => {
    using directory = await makeApp();
    using disk = new SmallDisk(64);
    execute(directory.file("app.db"), "UPDATE orders SET note = zeroblob(100000)");
    const migrator = appMigrator(directory, [
      first,
      migrationOf({ name: "002_a", upgrade: "CREATE TABLE a (x)" }),
    ]);
    await assert.rejects(migrator.rehearse({ directory: disk.path }), (error) => {
      assert.ok(error instanceof DiskFullError);
      assert.match(error.help ?? "", /--dir/);
      return true;
    });
    assert.deepEqual([...Deno.readDirSync(disk.path)], []);
  },
});
