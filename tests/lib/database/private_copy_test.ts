/** Reading a WAL database where no file can stand beside it and Deno allows no immutable one. */
import assert from "node:assert/strict";
import { openPrivateCopy } from "../../../lib/database/private_copy.ts";
import { openForReading, openPrivateFile } from "../../../lib/database/reading.ts";
import { defaultSettings } from "../../../lib/database/settings.ts";
import { AccessError } from "../../../lib/errors.ts";
import { execute, TemporaryDirectory } from "../support.ts";
import { ReadOnlyDirectory, reasonForNoMount } from "./read_only_directory.ts";

const WAL = "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);";
const noMount = reasonForNoMount();

/** A database in a directory that nobody can write. */
function frozenDatabase(): ReadOnlyDirectory {
  return new ReadOnlyDirectory((path) => execute(`${path}/a.db`, WAL));
}

const frozen = noMount === null ? frozenDatabase() : null;
globalThis.addEventListener("unload", () => frozen?.[Symbol.dispose]());
const skipped = noMount === null ? "" : ` (skipped: ${noMount})`;
const location = { kind: "file", path: `${frozen?.path}/a.db` } as const;

Deno.test({
  name:
    `with read and write alone a read-only WAL database is read from a copy that goes${skipped}`,
  ignore: noMount !== null,
  permissions: { read: true, write: true },
  async fn() {
    const temporary = Deno.makeTempDirSync().replace(/[/\\][^/\\]+$/, "");
    const copies = () =>
      [...Deno.readDirSync(temporary)].filter(({ name }) =>
        name.startsWith("catalyst-migrate-") && isCopy(`${temporary}/${name}`)
      ).length;
    for (const open of [() => openForReading(location, defaultSettings), privately]) {
      const before = copies();
      const connection = await open();
      assert.equal(connection.label, location.path);
      assert.equal((await connection.get("SELECT a FROM t"))?.["a"], 1);
      assert.equal((await connection.get("PRAGMA journal_mode"))?.["journal_mode"], "wal");
      await assert.rejects(connection.exec("INSERT INTO t VALUES (2)"));
      await connection.close();
      await connection.close();
      assert(copies() <= before);
    }
  },
});

function privately(): ReturnType<typeof openPrivateFile> {
  return openPrivateFile(location.path, defaultSettings);
}

function isCopy(directory: string): boolean {
  try {
    return Deno.statSync(`${directory}/copy.db`).isFile;
  } catch {
    return false; // somebody else's
  }
}

Deno.test({
  name:
    `without permission to write everywhere nothing is copied, and the error is SQLite's${skipped}`,
  ignore: noMount !== null,
  permissions: { read: true, write: [frozen?.path ?? "."] },
  async fn() {
    await assert.rejects(openForReading(location, defaultSettings), AccessError);
    assert.equal(await openPrivateCopy(location.path, defaultSettings), null);
  },
});

Deno.test("a database beside a log is not copied: its file is not all of it", async () => {
  using directory = new TemporaryDirectory();
  execute(directory.file("a.db"), WAL);
  Deno.writeTextFileSync(directory.file("a.db-wal"), "");
  assert.equal(await openPrivateCopy(directory.file("a.db"), defaultSettings), null);
  Deno.removeSync(directory.file("a.db-wal"));
  const connection = await openPrivateCopy(directory.file("a.db"), defaultSettings);
  assert.equal((await connection?.get("SELECT a FROM t"))?.["a"], 1);
  await connection?.close();
  assert.equal(await openPrivateCopy(directory.file("b.db"), defaultSettings), null);
});
