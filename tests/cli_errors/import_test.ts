import assert from "node:assert/strict";
import { join } from "node:path";
import {
  checkText,
  type ExpectedFailure,
  expectFailure,
  kept,
  prepare,
  run,
} from "../cli_helpers.ts";
import { contentOf, tempDir } from "../helpers.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "../lib/database/read_only_directory.ts";
import { reasonForNoDisk, SmallDisk } from "../lib/snapshot/bot.ts";
import { openSnapshots } from "../snapshot.ts";

const messages = openSnapshots("import");
const noMount = reasonForNoMount();
const noDisk = reasonForNoDisk();
const mayChange = /\.lock$|-(wal|shm)$/;
const USAGE = { exit: 2, code: "USAGE" };

const misuses: Readonly<Record<string, string>> = {
  "no file": "import --database positions",
  "two files": "import a.sql b.sql --database positions",
  "no database": "import good.sql",
  "an unknown database": "import good.sql --database position",
  "an unknown format": "import good.sql --database positions --format xml",
  "a table for SQL": "import good.sql --database positions --table orders",
  "bad rows of SQL": "import good.sql --database positions --skip-bad-rows bad.txt",
  "CSV without a table": "import rows.csv --database positions",
  "CSV into an existing one": "import rows.csv --database positions --table a --into-existing",
};

const dumps: Readonly<Record<string, string | Uint8Array>> = {
  "a syntax error": "CREATE TABLE t (a);\n\nINSRT INTO t VALUES (1);\n",
  "a constraint that is violated":
    "CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (1);\n",
  "a dump without its end": "BEGIN TRANSACTION;\nCREATE TABLE t (a);\nINSERT INTO t VALUES ('x\n",
  "a dump without COMMIT": "BEGIN TRANSACTION;\nCREATE TABLE t (a);\n",
  "a dump of a damaged database": "BEGIN;\nCREATE TABLE t (a);\nROLLBACK; -- due to errors\n",
  "an empty file": "",
  "an SQLite database": "SQLite format 3\0and so on",
  "UTF-16": new Uint8Array([0xff, 0xfe, 0x43, 0, 0x52]),
  "a binary file": new Uint8Array(100),
  "another encoding": Uint8Array.from("SELECT 'é';\n", (character) => character.charCodeAt(0)),
  "a file that zip packed": new Uint8Array([0x50, 0x4b, 3, 4, 0, 0]),
  "half a gzip file": new Uint8Array([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2]),
  "another file attached": "CREATE TABLE t (a);\nATTACH 'other.db' AS x;\n",
  "a row of sqlite_schema":
    "INSERT INTO sqlite_schema VALUES('table','x','x',2,'CREATE TABLE x (a)');\n",
};

/** A place with the bot's databases and dumps. */
async function prepared(): Promise<AsyncDisposable & { readonly cwd: string }> {
  const directory = await tempDir();
  const cwd = directory.path;
  await prepare(["upgrade"], { cwd });
  await Deno.writeTextFile(
    join(cwd, "good.sql"),
    "CREATE TABLE t (a);\nINSERT INTO t VALUES (1);\n",
  );
  await Deno.writeTextFile(join(cwd, "rows.csv"), "a\n1\n");
  await Deno.mkdir(join(cwd, "directory.sql"));
  return { cwd, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

async function refused(
  cwd: string,
  line: string,
  expected: Pick<ExpectedFailure, "code" | "exit"> & { readonly name: string },
): Promise<void> {
  const { name, ...rest } = expected;
  await expectFailure({
    cwd,
    args: line.split(" "),
    mayChange,
    snapshot: messages(name),
    ...rest,
  });
}

Deno.test("wrong usage of import", async (t) => {
  await using place = await prepared();
  for (const [name, line] of Object.entries(misuses)) {
    await t.step(name, () => refused(place.cwd, line, { ...USAGE, name }));
  }
});

Deno.test("an invalid dump", async (t) => {
  await using place = await prepared();
  for (const [name, dump] of Object.entries(dumps)) {
    await t.step(name, async () => {
      const bytes = typeof dump === "string" ? new TextEncoder().encode(dump) : dump;
      await Deno.writeFile(join(place.cwd, "bad.sql"), bytes);
      const line = "import bad.sql --database positions --yes";
      await refused(place.cwd, line, { name, code: "DUMP_UNUSABLE" });
    });
  }
});

Deno.test("an unreadable file, and a database that cannot be replaced or extended", async (t) => {
  await using place = await prepared();
  const cases: readonly (readonly [string, string, string])[] = [
    ["no such file", "import none.sql --database positions", "NOT_PERMITTED"],
    ["a directory", "import directory.sql --database positions --yes", "INVALID_LOCATION"],
    ["nobody to ask", "import good.sql --database positions", "NOT_CONFIRMED"],
  ];
  for (const [name, line, code] of cases) {
    await t.step(name, () => refused(place.cwd, line, { name, code }));
  }
  await Deno.remove(join(place.cwd, "data/positions.db"));
  const line = "import good.sql --database positions --into-existing";
  await refused(place.cwd, line, {
    name: "a database that is not there",
    code: "INVALID_LOCATION",
  });
});

Deno.test({
  name: `import into a directory that is not writable${noMount === null ? "" : ` (${noMount})`}`,
  ignore: noMount !== null,
  async fn() {
    await using place = await prepared();
    using readOnly = new ReadOnlyDirectory(() => {});
    await expectFailure({
      cwd: place.cwd,
      args: ["import", "good.sql", "--database", "positions", "--data-dir", readOnly.path],
      code: "NOT_PERMITTED",
      snapshot: messages("a read-only directory"),
    });
  },
});

Deno.test({
  name: `import onto a disk that becomes full leaves no partial file${
    noDisk === null ? "" : ` (${noDisk})`
  }`,
  ignore: noDisk !== null,
  async fn() {
    await using place = await prepared();
    const rows = Array.from(
      { length: 3000 },
      (_, n) => `INSERT INTO t VALUES('${"x".repeat(500)}${n}');\n`,
    );
    await Deno.writeTextFile(join(place.cwd, "large.sql"), `CREATE TABLE t (a);\n${rows.join("")}`);
    const absent = ["import", "large.sql", "--database", "positions"];
    for (const size of [100, 1000, 1700]) {
      using disk = new SmallDisk(size);
      const result = await run([...absent, "--data-dir", disk.path], { cwd: place.cwd });
      checkText(result, { exit: 1 });
      assert.match(result.stderr, /the disk is full/);
      const names = [...Deno.readDirSync(disk.path)].map(({ name }) => name);
      assert.deepEqual(names.filter((name) => /positions|part/.test(name)), []);
      if (size === 1000) messages("a full disk")(kept(absent, {}, result));
    }
    for (let size = 2000; size < 8000; size += 1200) {
      using disk = new SmallDisk(size);
      await prepare(["upgrade", "--data-dir", disk.path], { cwd: place.cwd });
      const before = contentOf(join(disk.path, "positions.db"));
      const args = ["import", "large.sql", "--database", "positions", "--yes"];
      const result = await run([...args, "--data-dir", disk.path], { cwd: place.cwd });
      const { objects, rows } = contentOf(join(disk.path, "positions.db"));
      if (result.code === 0) assert.equal(rows["t"]?.length, 3000);
      else {
        checkText(result, { exit: 1 });
        assert.deepEqual({ objects, rows }, { objects: before.objects, rows: before.rows });
      }
      const names = [...Deno.readDirSync(disk.path)].map(({ name }) => name);
      assert.deepEqual(names.filter((name) => /part|restore/.test(name)), [], `${size} KiB`);
    }
  },
});
