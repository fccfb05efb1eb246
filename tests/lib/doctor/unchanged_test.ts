import assert from "node:assert/strict";
import { join } from "node:path";
import { prepare } from "../../cli_helpers.ts";
import { insertRows, tempDir } from "../../helpers.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../database/read_only_directory.ts";
import { examine, traces } from "./support.ts";
import { Program } from "../support.ts";

const VARIABLES =
  "DB_PATH_PREFIX,CATALYST_CONFIG,SQLITE_WAL_MODE,SQLITE_SYNCHRONOUS,SQLITE_CACHE_SIZE," +
  "SQLITE_MMAP_SIZE";
const PERMISSIONS = {
  "all permissions": ["-A"],
  "narrow permissions": ["--allow-read=.", "--allow-write=.", `--allow-env=${VARIABLES}`],
  "no permissions": [],
};
const WRITE =
  `db.exec("PRAGMA wal_autocheckpoint = 0; CREATE TABLE mine (a); INSERT INTO mine VALUES (1)")`;

for (const [name, permissions] of Object.entries(PERMISSIONS)) {
  Deno.test(`with ${name}, doctor changes nothing, whatever the state of the files`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    const options = { cwd, permissions };
    const unchanged = async () => {
      const before = traces(cwd);
      const diagnosis = await examine(options);
      assert.deepEqual(traces(cwd), before);
      return diagnosis;
    };
    await unchanged(); // no files
    await prepare(["upgrade"], { cwd });
    insertRows(join(cwd, "data/trading.db"), "trading");
    await prepare(["backup"], { cwd });
    await unchanged(); // WAL mode, not open
    const path = join(cwd, "data/trading.db");
    {
      await using program = await Program.start(path, WRITE);
      await unchanged(); // after a write
      await program.kill();
    }
    await unchanged(); // a leftover log with its index
    await Deno.remove(`${path}-shm`);
    await unchanged(); // only a log
    await using program = await Program.start(
      join(cwd, "data/positions.db"),
      `db.exec("PRAGMA journal_mode = DELETE; PRAGMA cache_spill = 1; PRAGMA cache_size = 1;" +
        "BEGIN; CREATE TABLE mine (a)"); for (let n = 0; n < 50; n++)
        db.exec("INSERT INTO mine VALUES (randomblob(5000))")`,
    );
    await unchanged(); // a transaction with a journal
    await program.kill();
    await unchanged(); // a journal that must be rolled back
  });
}

for (const name of ["all permissions", "narrow permissions"] as const) {
  Deno.test(`with ${name}, a bot that writes continuously is not damage`, async () => {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    await using program = await Program.start(
      join(cwd, "data/trading.db"),
      `db.exec("PRAGMA wal_autocheckpoint = 20; CREATE TABLE mine (a, b); CREATE INDEX i ON mine (a)");
      setInterval(() => db.exec(\`BEGIN; INSERT INTO mine VALUES (random(), randomblob(9000));
        DELETE FROM mine WHERE rowid % 3 = 0; COMMIT\`), 0)`,
    );
    for (let look = 0; look < 3; look++) {
      const { codes, only } = await examine({ cwd, permissions: PERMISSIONS[name] });
      assert.deepEqual(codes("problem"), []);
      only("own-migrations");
    }
    await program.kill();
  });
}

const noMount = reasonForNoMount();
Deno.test({
  name: "doctor reads databases in a directory that is not writable" +
    (noMount === null ? "" : ` (skipped: ${noMount})`),
  ignore: noMount !== null,
  async fn() {
    await using directory = await tempDir();
    const cwd = directory.path;
    await prepare(["upgrade"], { cwd });
    using frozen = new ReadOnlyDirectory((path) => {
      for (const { name } of Deno.readDirSync(join(cwd, "data"))) {
        Deno.copyFileSync(join(cwd, "data", name), join(path, name));
      }
    });
    const before = traces(frozen.path);
    const diagnosis = await examine({ cwd }, ["--data-dir", frozen.path]);
    assert.deepEqual(traces(frozen.path), before);
    assert.match(diagnosis.only("directory-read-only").detail, /mounted read-only$/);
    assert.match(diagnosis.only("file-system-temporary").detail, /tmpfs/);
    assert.equal(
      diagnosis.codes("problem").filter((one) => one === "database-read-only").length,
      4,
    );
    assert.match(diagnosis.only("migrations-applied").detail, /all 3 migrations/);
  },
});
