/** Anything that prevents replacing databases is found before the first one is replaced. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { anotherUser, reasonForNoOtherUser } from "../another_user.ts";
import { checkText, expectFailure, filesIn, kept, prepare, run } from "../cli_helpers.ts";
import { contentOf, databaseNames, execute, insertRows, tempDir } from "../helpers.ts";
import { writeJournal } from "../../lib/snapshot/journal.ts";
import { reasonForNoDisk, SmallDisk } from "../lib/snapshot/bot.ts";
import { openSnapshots } from "../snapshot.ts";

const NOBODY = 65534;

const messages = openSnapshots("replacing");
const noDisk = reasonForNoDisk();
const noOther = reasonForNoOtherUser();
const mayChange = /\.lock$|-(wal|shm)$/;

/** Compares a message with a snapshot, without parts that differ between runs. */
function message(name: string): (text: string) => void {
  return (text) =>
    messages(name)(
      text.replace(/\d{8}_\d{6}(_\d+)?/g, "<snapshot>")
        .replace(/\/\S+\/data\b/g, "<data>")
        .replace(/\d+\.\d MB (needed|free)/g, "<size> $1"),
    );
}

/** A directory of another user with a dump and a snapshot of databases that have changed since. */
async function prepared(): Promise<Place> {
  const [directory, cache] = [await tempDir(), await tempDir()];
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  for (const name of databaseNames) insertRows(join(cwd, `data/${name}.db`), name, 20);
  const { stdout } = await prepare(["backup", "--json"], { cwd });
  execute(join(cwd, "data/positions.db"), "UPDATE positions SET quantity = 999");
  execute(join(cwd, "data/trading.db"), "UPDATE orders SET strategy = 'new'");
  const dump = await prepare(["export", "trading"], { cwd });
  await Deno.writeTextFile(join(cwd, "trading.sql"), dump.stdout);
  give(cwd, NOBODY);
  await Deno.chmod(cwd, 0o755);
  await Deno.chmod(cache.path, 0o777);
  return {
    cwd,
    name: JSON.parse(stdout).snapshot.name,
    other: { cwd, env: { DENO_DIR: cache.path }, through: anotherUser },
    [Symbol.asyncDispose]: async () => {
      await directory[Symbol.asyncDispose]();
      await cache[Symbol.asyncDispose]();
    },
  };
}

interface Place extends AsyncDisposable {
  readonly cwd: string;
  readonly name: string;
  /** Options for running a command as the other user. */
  readonly other: {
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly through: readonly string[];
  };
}

function give(path: string, user: number): void {
  for (const below of ["", ...Object.keys(filesIn(path))]) {
    Deno.chownSync(join(path, below), user, user);
  }
}

for (const file of ["trading.db", "migrations.db"]) {
  Deno.test({
    name: `a ${file} that is not writable is named, and no other database is replaced` +
      (noOther === null ? "" : ` (skipped: ${noOther})`),
    ignore: noOther !== null,
    async fn() {
      await using place = await prepared();
      const { cwd, other } = place;
      Deno.chownSync(join(cwd, "data", file), 0, 0);
      const lines = {
        restore: ["restore", "latest", "--yes"],
        import: ["import", "trading.sql", "--database", "trading", "--yes"],
        "import without a snapshot": [
          ...["import", "trading.sql", "--database", "trading", "--yes", "--no-backup"],
        ],
      };
      for (const [what, args] of Object.entries(lines)) {
        const snapshot = message(`${what}, ${file} of another user`);
        await expectFailure({ ...other, args, code: "NOT_PERMITTED", mayChange, snapshot });
      }
      // Nothing is partially done, so other commands work.
      Deno.chownSync(join(cwd, "data", file), NOBODY, NOBODY);
      for (const command of ["upgrade", "backup"]) await prepare([command], other);
      await prepare(["restore", place.name, "--yes"], other);
    },
  });
}

for (const mode of ["WAL", "DELETE"]) {
  Deno.test({
    name: `a restore finds an unwritable directory in time, in ${mode} mode` +
      (noOther === null ? "" : ` (skipped: ${noOther})`),
    ignore: noOther !== null,
    async fn() {
      await using place = await prepared();
      const { cwd, other } = place;
      const data = join(cwd, "data");
      for (const name of databaseNames) {
        execute(join(data, `${name}.db`), `PRAGMA journal_mode = ${mode}`);
      }
      give(cwd, NOBODY);
      Deno.chownSync(data, 0, 0);
      const args = ["restore", "latest", "positions", "--yes"];
      const snapshot = message(`restore in a directory of another user, ${mode} mode`);
      await expectFailure({ ...other, args, code: "NOT_PERMITTED", mayChange, snapshot });
    },
  });
}

Deno.test({
  name: `the obstacle of a started restore is named, and how it continues` +
    (noOther === null ? "" : ` (skipped: ${noOther})`),
  ignore: noOther !== null,
  async fn() {
    await using place = await prepared();
    const { cwd, name, other } = place;
    const path = (file: string) => join(cwd, "data", file);
    const replacements = databaseNames.map((database) => {
      const source = path(`backups/${database}_${name}.db`);
      return { database, source, bytes: Deno.statSync(source).size, compressed: false };
    });
    const note = path("migrations.restore");
    await writeJournal(note, { label: name, safety: null, replacements });
    Deno.chownSync(note, NOBODY, NOBODY);
    Deno.chownSync(path("trading.db"), 0, 0);
    for (const args of [["upgrade"], ["restore", "--undo", "--yes"]]) {
      const result = await run(args, other);
      checkText(result, { exit: 1 });
      message(`${args[0]} after a restore that stopped`)(kept(args, {}, result));
    }
    Deno.chownSync(path("trading.db"), NOBODY, NOBODY);
    await prepare(["upgrade"], other);
    for (const database of databaseNames) {
      const copy = contentOf(path(`backups/${database}_${name}.db`));
      assert.deepEqual(contentOf(path(`${database}.db`)).rows, copy.rows);
    }
  },
});

Deno.test({
  name: `a restore that does not fit on the disk does not start, regardless of the free space` +
    (noDisk === null ? "" : ` (skipped: ${noDisk})`),
  ignore: noDisk !== null,
  async fn() {
    await using directory = await tempDir();
    const { path: cwd } = directory;
    const options = { cwd };
    const files = () => filesIn(disk.path, mayChange);
    using disk = new SmallDisk(20_000);
    const place = ["--data-dir", join(disk.path, "data")];
    await prepare(["upgrade", ...place], options);
    const trading = join(disk.path, "data/trading.db");
    execute(
      trading,
      `CREATE TABLE filler AS
      WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 1500)
      SELECT a, randomblob(1000) AS filler FROM n`,
    );
    await prepare(["backup", ...place], options);
    execute(trading, "UPDATE filler SET a = a + 1");
    let isRestored = false;
    let isRefused = false;
    for (const free of [1000, 2500, 3500, 4500, 9000]) {
      leave(disk.path, free * 1024);
      const before = files();
      const args = ["restore", "latest", "--yes", ...place];
      const result = await run(args, options);
      isRestored = result.code === 0;
      if (!isRestored) {
        isRefused = true;
        checkText(result, { exit: 1 });
        assert.deepEqual(files(), before, `${free} KiB`);
        if (free === 2500) message("restore on a small disk")(kept(args, {}, result));
      }
    }
    assert(isRefused && isRestored);
  },
});

/** Fills a disk until only the given number of bytes is free. */
function leave(disk: string, bytes: number): void {
  const path = join(disk, "fill");
  Deno.writeTextFileSync(path, "");
  using file = Deno.openSync(path, { write: true });
  try {
    while (true) file.writeSync(new Uint8Array(4096));
  } catch {
    file.truncateSync(Math.max(0, file.statSync().size - bytes));
  }
}
