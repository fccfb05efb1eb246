/** Reading a WAL database if no file can be created beside it and Deno forbids opening it as immutable. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { openPrivateCopy } from "../../../lib/database/temporary_copy.ts";
import { openForReading } from "../../../lib/database/open.ts";
import { AccessError } from "../../../lib/base/errors.ts";
import { execute, TemporaryDirectory } from "../support.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "./read_only_directory.ts";

/** The process id distinguishes its copies from those of other tests and programs. */
const WAL = "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);" +
  `PRAGMA user_version = ${Deno.pid}`;
const noMount = reasonForNoMount();

/** A database in a read-only directory. */
function frozenDatabase(): ReadOnlyDirectory {
  return new ReadOnlyDirectory((path) => execute(`${path}/a.db`, WAL));
}

const frozen = noMount === null ? frozenDatabase() : null;
globalThis.addEventListener("unload", () => frozen?.[Symbol.dispose]());
const skipped = noMount === null ? "" : ` (skipped: ${noMount})`;
const location = { kind: "file", path: `${frozen?.path}/a.db` } as const;

Deno.test({
  name:
    `with read and write permission only, a read-only WAL database is read from a copy that is removed${skipped}`,
  ignore: noMount !== null,
  permissions: { read: true, write: true },
  async fn() {
    const own = Deno.makeTempDirSync();
    Deno.removeSync(own);
    const temporary = dirname(own);
    const copies = () =>
      [...Deno.readDirSync(temporary)].filter(({ name }) =>
        name.startsWith("catalyst-migrate-") && isCopy(`${temporary}/${name}`)
      ).length;
    for (const open of [() => openForReading(location), privately]) {
      const connection = await open();
      assert.equal(connection.label, location.path);
      if (open === privately) assert.equal(copies(), 1);
      assert.equal((await connection.get("SELECT a FROM t"))?.["a"], 1);
      assert.equal((await connection.get("PRAGMA journal_mode"))?.["journal_mode"], "wal");
      await assert.rejects(connection.exec("INSERT INTO t VALUES (2)"));
      await connection.close();
      await connection.close();
      assert.equal(copies(), 0);
    }
  },
});

function privately(): ReturnType<typeof openForReading> {
  return openForReading(location, { isUnused: true });
}

/** Whether a directory contains a copy made by this process. */
function isCopy(directory: string): boolean {
  try {
    const copy = Deno.readFileSync(`${directory}/copy.db`);
    return new DataView(copy.buffer).getUint32(60) === Deno.pid; // the offset of `user_version`
  } catch {
    return false; // of another user
  }
}

Deno.test({
  name:
    `without permission to write anywhere nothing is copied, and the error is SQLite's${skipped}`,
  ignore: noMount !== null,
  permissions: { read: true, write: [frozen?.path ?? "."] },
  async fn() {
    await assert.rejects(openForReading(location), AccessError);
    assert.equal(await openPrivateCopy(location.path), null);
  },
});

Deno.test({
  name: `if no copy can be made, the message names the directory for temporary files${skipped}`,
  ignore: noMount !== null,
  async fn() {
    const module = new URL("../../../lib/database/temporary_copy.ts", import.meta.url).href;
    const program = `import { openPrivateCopy } from ${JSON.stringify(module)};
      await openPrivateCopy(${JSON.stringify(location.path)})
        .catch(({ code, message, help }) => console.log(code, message, help));`;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      env: { TMPDIR: "/no/such/directory" },
      stderr: "inherit",
    }).output();
    const said = new TextDecoder().decode(stdout);
    assert.match(
      said,
      /^NOT_PERMITTED Cannot read .+ the directory for temporary files cannot be used/,
    );
    assert.match(said, /set TMPDIR/);
  },
});

Deno.test("a database that changes while it is copied is copied again", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.db");
  execute(path, WAL);
  const { copyFileSync } = Deno;
  let copies = 0;
  Deno.copyFileSync = (from, to) => {
    copyFileSync(from, to);
    if (++copies === 1) execute(path, "INSERT INTO t VALUES (2)");
  };
  try {
    await using connection = await openPrivateCopy(path);
    assert.equal((await connection?.all("SELECT a FROM t"))?.length, 2);
  } finally {
    Deno.copyFileSync = copyFileSync;
  }
  assert.equal(copies, 2);
});

Deno.test("a database with a log is not copied, because its file alone is incomplete", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("a.db"), WAL);
  Deno.writeTextFileSync(directory.file("a.db-wal"), "");
  assert.equal(await openPrivateCopy(directory.file("a.db")), null);
  Deno.removeSync(directory.file("a.db-wal"));
  const connection = await openPrivateCopy(directory.file("a.db"));
  assert.equal((await connection?.get("SELECT a FROM t"))?.["a"], 1);
  await connection?.close();
  assert.equal(await openPrivateCopy(directory.file("b.db")), null);
});
