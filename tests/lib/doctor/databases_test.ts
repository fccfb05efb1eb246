import assert from "node:assert/strict";
import { join } from "node:path";
import { prepare } from "../../cli_helpers.ts";
import { execute, tempDir } from "../../helpers.ts";
import { examine, FILL, HOLD_OLD_ROWS, testOnLinux } from "./support.ts";
import { Program } from "../support.ts";

Deno.test("in an empty directory doctor finds no problems, and says what comes next", async () => {
  await using directory = await tempDir();
  const diagnosis = await examine({ cwd: directory.path });
  assert.equal(diagnosis.code, 0);
  assert.deepEqual(diagnosis.codes("problem"), []);
  assert.match(diagnosis.only("directory-missing").help ?? "", /`upgrade` creates it/);
  assert.match(diagnosis.only("migrations-pending").detail, /001_.*002_.*003_/);
});

Deno.test("after an upgrade there are no problems, and doctor shows the settings in force", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const diagnosis = await examine({ cwd, env: { SQLITE_CACHE_SIZE: "777" } });
  assert.deepEqual(diagnosis.codes("problem"), []);
  assert.match(diagnosis.only("settings").detail, /: cacheSize 777$/);
  const { detail } = diagnosis.only("settings-in-force");
  assert.match(detail, /synchronous NORMAL, cache 777, foreign keys on, busy timeout 30 s/);
  assert.match(detail, /mmap 2\.1 GB of 30\.0 GB/);
});

testOnLinux("doctor names the process that has a database open", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const nobody = await examine({ cwd });
  // A user other than root doesn't see the files of others.
  nobody.only(Deno.uid() === 0 ? "open-by-nobody" : "openers-partial");
  assert(!nobody.codes("ok").includes("open"));
  await using program = await Program.start(
    join(cwd, "data/trading.db"),
    `db.exec("SELECT count(*) FROM orders")`,
  );
  const diagnosis = await examine({ cwd });
  const { database, detail } = diagnosis.only("open");
  assert.equal(database, "trading");
  assert.match(detail, new RegExp(`open in process ${program.pid} \\(.*deno`));
  assert.deepEqual(diagnosis.codes("problem"), []);
});

testOnLinux("doctor names the process that blocks other writers", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  await using program = await Program.start(path, `db.exec("BEGIN IMMEDIATE")`);
  const { detail, database } = (await examine({ cwd })).only("write-locked");
  assert.equal(database, "trading");
  assert(detail.includes(`process ${program.pid} `));
});

testOnLinux("doctor finds the bot that writes to a deleted database", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  await using program = await Program.start(path, `db.exec("SELECT count(*) FROM orders")`);
  for (const ending of ["", "-wal", "-shm"]) await Deno.remove(path + ending).catch(() => {});
  const gone = await examine({ cwd });
  assert(gone.only("deleted-file-open").detail.includes(`process ${program.pid} `));
  assert.equal(gone.only("database-gone").database, "trading");
  await prepare(["upgrade"], { cwd });
  const replaced = await examine({ cwd });
  assert.deepEqual(replaced.codes("problem"), ["deleted-file-open"]);
});

testOnLinux("doctor finds the bot that writes to a database that was moved away", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  await Deno.copyFile(path, join(cwd, "copy.db"));
  await using program = await Program.start(path, `db.exec("CREATE TABLE mine (a)")`);
  await Deno.rename(path, join(cwd, "data/trading.old.db"));
  const gone = await examine({ cwd });
  assert(gone.codes("problem").includes("moved-file-open"));
  await Deno.copyFile(join(cwd, "copy.db"), path);
  const { database, detail, help } = (await examine({ cwd })).only("moved-file-open");
  assert.equal(database, "trading");
  assert(detail.includes(`process ${program.pid} `));
  assert.match(
    help ?? "",
    /^stop that program; if \S+trading\.db-wal exists afterwards, it belongs to the moved file: move it /,
  );
});

testOnLinux("a bot that writes continuously does not block other writers", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  execute(path, "CREATE TABLE mine (a)");
  await using program = await Program.start(
    path,
    `setInterval(() => { for (let n = 0; n < 200; n++)
      db.exec("BEGIN IMMEDIATE; INSERT INTO mine VALUES (randomblob(3000)); COMMIT"); }, 0)`,
  );
  for (let look = 0; look < 6; look++) {
    assert(!(await examine({ cwd })).codes("notice").includes("write-locked"));
  }
  await program.kill();
});

for (const began of ["an empty log", "commits in the log"]) {
  testOnLinux(
    `doctor names the reader that began with ${began} and blocks checkpoints`,
    async () => {
      await using directory = await tempDir();
      const cwd = directory.path;
      await prepare(["upgrade"], { cwd });
      const path = join(cwd, "data/trading.db");
      execute(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
      await using _first = await Program.start(
        path,
        began === "an empty log" ? "" : `db.exec("INSERT INTO mine VALUES (2)")`,
      );
      await using reader = await Program.start(path, HOLD_OLD_ROWS);
      await using _writer = await Program.start(path, FILL);
      const { detail, help } = (await examine({ cwd })).only("checkpoint-blocked");
      assert.match(detail, /trading: 2\d\.\d MB of commits are in its log/);
      assert.match(detail, new RegExp(`read transaction of process ${reader.pid} \\([^,]*\\)$`));
      assert.match(help ?? "", /let that program finish/);
    },
  );
}

testOnLinux("a reader of the newest commits isn't blamed for a large log", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  execute(path, "CREATE TABLE mine (a)");
  const never = `db.exec("PRAGMA wal_autocheckpoint = 0")`;
  await using _writer = await Program.start(path, `${never}; ${FILL}`);
  await using _reader = await Program.start(
    path,
    `db.exec("BEGIN"); db.prepare("SELECT count(*) FROM mine").all()`,
  );
  const diagnosis = await examine({ cwd });
  diagnosis.only("log-large");
  assert.deepEqual(diagnosis.codes("problem"), []);
});

Deno.test("a large log that is not checkpointed is a notice, and a checkpointed one is fine", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  execute(path, "CREATE TABLE mine (a)");
  {
    await using _idle = await Program.start(
      path,
      `db.exec("PRAGMA wal_autocheckpoint = 0"); ${FILL}`,
    );
    const diagnosis = await examine({ cwd });
    assert.deepEqual(diagnosis.codes("problem"), []);
    assert.match(diagnosis.only("log-large").help ?? "", /next program that writes .* moves them/);
  }
  await using _busy = await Program.start(path, FILL);
  const diagnosis = await examine({ cwd });
  assert.match(diagnosis.only("log").detail, /its log has [\d.]+ MB/);
  assert(!diagnosis.codes("notice").includes("log-large"));
});

Deno.test("the large log of a killed program is moved by the next write, as doctor says", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  execute(path, "CREATE TABLE mine (a)");
  await using program = await Program.start(
    path,
    `db.exec("PRAGMA wal_autocheckpoint = 0"); ${FILL}`,
  );
  await program.kill();
  assert.match(
    (await examine({ cwd })).only("log-large").help ?? "",
    /^nothing is lost: the next /,
  );
  {
    await using _bot = await Program.start(path, `db.exec("INSERT INTO mine VALUES (1)")`);
    assert(!(await examine({ cwd })).codes("notice").includes("log-large"));
  }
  assert(!(await examine({ cwd })).codes("notice").includes("log-large"));
});

Deno.test("the log of a killed program is not touched, and doctor reports it", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  const path = join(cwd, "data/trading.db");
  await using program = await Program.start(
    path,
    `db.exec("PRAGMA wal_autocheckpoint = 0; CREATE TABLE mine (a)")`,
  );
  await program.kill();
  await Deno.remove(`${path}-shm`);
  const { detail, help } = (await examine({ cwd })).only("log-left");
  assert.match(detail, /data\/trading\.db-wal has .* of commits/);
  assert.match(help ?? "", /leave it next to the database/);
});

Deno.test("a journal mode other than the requested one is reported", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  execute(join(cwd, "data/trading.db"), "PRAGMA journal_mode = DELETE");
  const { database, help } = (await examine({ cwd })).only("journal-mode-differs");
  assert.equal(database, "trading");
  assert.match(help ?? "", /PRAGMA journal_mode = WAL/);
});

Deno.test("a link is followed, and a broken one is a problem", async () => {
  await using directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade", "--data-dir", "elsewhere"], { cwd });
  await Deno.mkdir(join(cwd, "data"));
  for (const name of ["positions", "trading", "ml_training", "migrations"]) {
    const link = join(cwd, `data/${name}.db`);
    await Deno.symlink(`../elsewhere/${name}.db`, link, { type: "file" });
  }
  const linked = await examine({ cwd });
  assert.deepEqual(linked.codes("problem"), []);
  const files = linked.checks.filter(({ code }) => code === "database-file");
  assert.match(files[0]?.detail ?? "", /a link to .*elsewhere[/\\]positions\.db, /);
  await Deno.remove(join(cwd, "elsewhere/trading.db"));
  assert.equal((await examine({ cwd })).only("link-broken").database, "trading");
});

const CLOUDS = ["Dropbox", "OneDrive - Work", "Google Drive", "Library/Mobile Documents"];

for (const cloud of CLOUDS) {
  Deno.test(`databases in a folder of ${cloud} are a notice`, async () => {
    await using directory = await tempDir();
    const data = join(directory.path, cloud, "bot/data");
    await Deno.mkdir(data, { recursive: true });
    const diagnosis = await examine({ cwd: directory.path }, ["--data-dir", data]);
    assert.match(diagnosis.only("cloud-folder").detail, new RegExp(cloud.replace(/^.*\//, "")));
  });
}
