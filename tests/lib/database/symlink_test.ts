/** A database that is a symbolic link: SQLite keeps its log beside the file, not beside the link. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { writersOf } from "../../../lib/base/lock_holders.ts";
import { openPrivateCopy } from "../../../lib/database/temporary_copy.ts";
import { openUntouched, parseHeader } from "../../../lib/database/untouched.ts";
import { openForReading, readDatabase } from "../../../lib/database/open.ts";
import { defaultSettings } from "../../../lib/database/connection.ts";
import { prepare, run } from "../../cli_helpers.ts";
import { tempDir } from "../../helpers.ts";
import { testLinks } from "../../links.ts";
import { Program, startWriter, TemporaryDirectory } from "../support.ts";

/** Creates a link to `real/a.db` and returns its path. */
type MakeLink = (directory: TemporaryDirectory) => string;

const links: Readonly<Record<string, MakeLink>> = {
  "an absolute link": (directory) => {
    Deno.symlinkSync(directory.file("real/a.db"), directory.file("link.db"));
    return directory.file("link.db");
  },
  "a relative link": (directory) => {
    Deno.symlinkSync("real/a.db", directory.file("link.db"));
    return directory.file("link.db");
  },
  "a link to a link": (directory) => {
    Deno.mkdirSync(directory.file("middle"));
    Deno.symlinkSync("../real/a.db", directory.file("middle/b.db"));
    Deno.symlinkSync("middle/b.db", directory.file("link.db"));
    return directory.file("link.db");
  },
  "a link to its directory": (directory) => {
    Deno.symlinkSync("real", directory.file("data"));
    return directory.file("data/a.db");
  },
  "a link that goes up from a linked directory": (directory) => {
    Deno.mkdirSync(directory.file("deep/data"), { recursive: true });
    Deno.symlinkSync("../../real/a.db", directory.file("deep/data/a.db"));
    Deno.symlinkSync("deep/data", directory.file("data"));
    return directory.file("data/a.db");
  },
};

/** A directory with a database in `real/a.db` that has one row only in its log. */
function prepared(): TemporaryDirectory & { readonly bot: DatabaseSync } {
  const directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("real"));
  const bot = new DatabaseSync(directory.file("real/a.db"));
  bot.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE t (a); INSERT INTO t VALUES (1)`);
  bot.exec("PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES (2)");
  return Object.assign(directory, { bot });
}

const COUNT = "SELECT count(*) AS n FROM t";
const two = { n: 2 };

for (const [name, makeLink] of Object.entries(links)) {
  testLinks(`the commits in the log of a database are read by ${name}`, async () => {
    using directory = prepared();
    using _bot = directory.bot;
    const path = makeLink(directory);
    const names = [...Deno.readDirSync(directory.file("real"))].map(({ name }) => name).toSorted();
    for (const alone of [true, false]) {
      const options = { settings: defaultSettings, alone };
      const rows = await readDatabase({ kind: "file", path }, options, (db) => db.all(COUNT));
      assert.deepEqual({ ...rows[0] }, two, `alone: ${alone}`);
    }
    for (const isUnused of [false, true]) {
      await using connection = await openForReading({ kind: "file", path }, { isUnused });
      assert.deepEqual({ ...await connection.get(COUNT) }, two, `isUnused: ${isUnused}`);
    }
    // If the log is not seen, the copy lacks its content.
    assert.equal(await openPrivateCopy(path), null);
    const after = [...Deno.readDirSync(directory.file("real"))].map(({ name }) => name).toSorted();
    assert.deepEqual(after, names);
  });
}

testLinks("without URIs a linked database with a log is not read in memory", () => {
  using directory = prepared();
  using _bot = directory.bot;
  const path = links["a relative link"]?.(directory) ?? "";
  const observed = openUntouched(path, {
    mayUseUri: false,
    header: parseHeader(Deno.readFileSync(path)),
    sizeBytes: Deno.statSync(path).size,
    logBytes: Deno.statSync(directory.file("real/a.db-wal")).size,
    hasIndex: true,
  });
  assert.equal(observed, null);
  return Promise.resolve();
});

testLinks(
  "a log left by a killed program beside a linked database survives a read",
  async () => {
    using directory = prepared();
    const real = directory.file("real/a.db");
    directory.bot.close();
    await using bot = await Program.start(
      real,
      `db.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (3)")`,
    );
    await bot.kill();
    const before = [Deno.readFileSync(real), Deno.readFileSync(`${real}-wal`)];
    const path = links["an absolute link"]?.(directory) ?? "";
    {
      await using connection = await openForReading({ kind: "file", path }, defaultSettings);
      assert.deepEqual({ ...await connection.get(COUNT) }, { n: 3 });
    }
    assert.deepEqual([Deno.readFileSync(real), Deno.readFileSync(`${real}-wal`)], before);
  },
);

testLinks("the writer of a linked database is named, but not a reader", async () => {
  using directory = prepared();
  directory.bot.close();
  const path = links["a relative link"]?.(directory) ?? "";
  await using _reader = await Program.start(path, `db.exec("${COUNT}")`);
  await using writer = await startWriter(path, "INSERT INTO t VALUES (4)");
  assert.deepEqual(writersOf(path).map(({ pid }) => pid), [writer.pid]);
}, { onLinux: true });

/** `data/trading.db` as a link into another directory; its markers are deleted only in the log. */
const UNMARK =
  `db.exec("PRAGMA wal_autocheckpoint = 0; DROP TABLE fills; DELETE FROM catalyst_migrations")`;

for (
  const permissions of [
    ["-A"],
    ["--allow-read", "--allow-write", "--allow-env"],
    ["--allow-read=.", "--allow-write=.", "--allow-env"],
    ["--allow-read=data,migrations", "--allow-write=data", "--allow-env"],
    ["--allow-read=data,migrations", "--allow-env"],
  ]
) {
  testLinks(
    `status and verify see the log of a linked database with ${permissions.join(" ")}`,
    async () => {
      await using directory = await tempDir();
      const cwd = `${directory.path}/here`;
      await Deno.mkdir(`${cwd}/migrations`, { recursive: true });
      await prepare(["upgrade"], { cwd });
      await Deno.rename(`${cwd}/data/trading.db`, `${directory.path}/trading.db`);
      await Deno.symlink("../../trading.db", `${cwd}/data/trading.db`);
      await using _bot = await Program.start(`${cwd}/data/trading.db`, UNMARK);
      const options = { cwd, permissions };
      const checked = await run(["status", "--check", "--json"], options);
      assert.equal(checked.code, 1, checked.stdout + checked.stderr);
      const { migrations } = JSON.parse(checked.stdout);
      const state = migrations.find(({ database }: { database: string }) => database === "trading");
      assert.notEqual(state.state, "applied");
      const verified = await run(["verify"], options);
      assert.equal(verified.code, 1, verified.stdout + verified.stderr);
      const shown = await run(["schema", "trading"], options);
      assert.equal(shown.code, 0, shown.stderr);
      assert(!shown.stdout.includes("fills ("), shown.stdout);
    },
  );
}
