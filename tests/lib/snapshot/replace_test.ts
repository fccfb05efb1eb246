import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { DatabaseLockedError } from "../../../lib/base/errors.ts";
import { isSound, replaceDatabase } from "../../../lib/snapshot/replace.ts";
import { contentOf } from "../../helpers.ts";
import { recordCalls } from "../record_calls.ts";
import { execute, query, startWriter, TemporaryDirectory } from "../support.ts";
import { damagePages } from "./bot.ts";

/** A directory with a source, and a target with different content. */
function prepared(
  options: { target?: string; pageSize?: number; mode?: string } = {},
): TemporaryDirectory {
  const { pageSize = 4096, mode = "WAL" } = options;
  const directory = new TemporaryDirectory();
  const numbers = "WITH RECURSIVE n (a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n WHERE a < 500)";
  execute(
    directory.file("source.db"),
    `PRAGMA journal_mode = WAL; CREATE TABLE restored (a);
    INSERT INTO restored ${numbers} SELECT hex(zeroblob(100)) FROM n`,
  );
  execute(
    directory.file("target.db"),
    `PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = ${mode}; CREATE TABLE former (a, b);
    INSERT INTO former ${numbers} SELECT a, hex(zeroblob(200)) FROM n; CREATE INDEX i ON former (a)`,
  );
  return directory;
}

async function replace(directory: TemporaryDirectory, timeout = 5): Promise<void> {
  const [source, target] = [directory.file("source.db"), directory.file("target.db")];
  await replaceDatabase(
    { database: "app", source, compressed: false, target },
    { timeout, watched: null, keep: () => Promise.resolve() },
  );
}

/** The target equals the source, and the directory has no other files except those moved aside. */
function assertReplaced(directory: TemporaryDirectory): void {
  assert.deepEqual(contentOf(directory.file("target.db")), contentOf(directory.file("source.db")));
  const others = directory.names().filter((name) => !name.includes(".damaged_"));
  assert.deepEqual(others, ["source.db", "target.db"]);
}

function aside(directory: TemporaryDirectory): string[] {
  return directory.names().filter((name) => name.includes(".damaged_"));
}

for (const mode of ["WAL", "DELETE", "TRUNCATE", "PERSIST"]) {
  for (const pageSize of [4096, 1024, 16_384]) {
    Deno.test(`a sound database in ${mode} mode with pages of ${pageSize} bytes is overwritten`, async () => {
      using directory = prepared({ mode, pageSize });
      await replace(directory);
      assert.deepEqual(aside(directory), []);
      assert.deepEqual(
        contentOf(directory.file("target.db")),
        contentOf(directory.file("source.db")),
      );
      // Repeating it changes nothing.
      await replace(directory);
      assert.deepEqual(aside(directory), []);
      assert.equal(query(directory.file("target.db"), "SELECT a FROM restored").length, 500);
    });
  }
}

for (const content of [null, ""]) {
  Deno.test(`a database that is ${content === null ? "missing" : "an empty file"} is created`, async () => {
    using directory = prepared();
    Deno.removeSync(directory.file("target.db"));
    if (content !== null) Deno.writeTextFileSync(directory.file("target.db"), content);
    await replace(directory);
    assertReplaced(directory);
  });
}

Deno.test("a file that is moved into place is not emptied by the journal of a killed first transaction", async () => {
  using directory = prepared();
  const [source, target] = [directory.file("source.db"), directory.file("target.db")];
  const expected = contentOf(source);
  Deno.removeSync(target);
  {
    using db = new DatabaseSync(target);
    // So small a cache that pages are written before the commit.
    db.exec(`PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (a);
      INSERT INTO t VALUES (hex(zeroblob(50000)))`);
    Deno.copyFileSync(`${target}-journal`, directory.file("kept"));
  }
  Deno.removeSync(target);
  Deno.renameSync(directory.file("kept"), `${target}-journal`);
  await replaceDatabase(
    { database: "app", source, compressed: false, temporary: "move", target },
    { timeout: 5, watched: null, keep: () => Promise.resolve() },
  );
  assert.deepEqual(directory.names(), ["target.db"]);
  assert.deepEqual(contentOf(target), expected);
});

Deno.test("nothing of the old database's log survives", async () => {
  using directory = prepared();
  const target = directory.file("target.db");
  {
    using db = new DatabaseSync(target);
    db.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO former VALUES (0, 'only in the log')");
    // As after a kill: the log remains, and no process has the database open.
    for (const ending of ["", "-wal"]) {
      Deno.copyFileSync(`${target}${ending}`, directory.file(`kept${ending}`));
    }
  }
  for (const ending of ["", "-wal"]) {
    Deno.renameSync(directory.file(`kept${ending}`), `${target}${ending}`);
  }
  await replace(directory);
  assertReplaced(directory);
});

const damages: Readonly<Record<string, (path: string) => void>> = {
  "that is not a database": (path) => Deno.writeTextFileSync(path, "hello\n".repeat(1000)),
  "without its first page": (path) => damagePages(path, 1),
  "with a damaged page in its middle": (path) => damagePages(path, 12),
  "that was cut": (path) => Deno.truncateSync(path, 5 * 4096),
};

for (const [name, damage] of Object.entries(damages)) {
  Deno.test(`a database ${name} is moved aside and kept`, async () => {
    using directory = prepared();
    const target = directory.file("target.db");
    damage(target);
    const before = Deno.readFileSync(target);
    assert(!await isSound(target, 1));
    await replace(directory);
    assertReplaced(directory);
    const [kept, ...others] = aside(directory);
    assert.deepEqual(others, []);
    assert.match(kept ?? "", /^target\.db\.damaged_\d+$/);
    assert.deepEqual(Deno.readFileSync(directory.file(kept ?? "")), before);
    await replace(directory);
    assert.equal(aside(directory).length, 1);
  });
}

Deno.test("a damaged database is moved aside with its log", async () => {
  using directory = prepared();
  const target = directory.file("target.db");
  Deno.writeTextFileSync(target, "hello\n".repeat(1000));
  Deno.writeTextFileSync(`${target}-wal`, "a log");
  using recorded = recordCalls();
  await replace(directory);
  assertReplaced(directory);
  assert.equal(aside(directory).filter((name) => name.endsWith("-wal")).length, 1);
  // The log first: it must never be next to another file.
  const [path = ""] = aside(directory).filter((name) => /\d$/.test(name));
  const renamed = recorded.calls.filter((call) => /^rename .*(-wal|\d|\.db)$/.test(call));
  assert.deepEqual(renamed, [
    `rename ${directory.file(path)}-wal`,
    `rename ${directory.file(path)}`,
    `rename ${target}`,
  ]);
  assert(recorded.calls.indexOf(`sync ${target}.part`) < recorded.calls.indexOf(renamed[2] ?? ""));
});

Deno.test("rows that violate the bot's own constraints are not damage", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("target.db");
  execute(path, "CREATE TABLE t (a CHECK (a > 0)); PRAGMA ignore_check_constraints = ON");
  execute(path, "PRAGMA ignore_check_constraints = ON; INSERT INTO t VALUES (-1)");
  assert(await isSound(path, 1));
});

Deno.test("a writer past the timeout is named, and nothing is changed", async () => {
  for (const options of [{}, { mode: "DELETE" }, { pageSize: 1024 }]) {
    using directory = prepared(options);
    const target = directory.file("target.db");
    const before = contentOf(target);
    {
      await using writer = await startWriter(target, "DELETE FROM former WHERE a = -1");
      await assert.rejects(replace(directory, 1), (error) => {
        assert(error instanceof DatabaseLockedError);
        if (Deno.build.os === "linux") assert(error.message.includes(`process ${writer.pid} (`));
        return true;
      });
    }
    assert.deepEqual(contentOf(target), before);
  }
});

Deno.test("connections of this process remain usable, keep their locks and see the restored rows", async () => {
  using directory = prepared();
  const target = directory.file("target.db");
  using db = new DatabaseSync(target);
  db.exec("PRAGMA journal_mode = WAL; SELECT * FROM former");
  await replace(directory);
  assert.equal(db.prepare("SELECT a FROM restored").all().length, 500);
  // Another process that closes the database must find it in use; otherwise it would remove the
  // log.
  db.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO restored VALUES ('in the log')");
  const program = `import { DatabaseSync } from "node:sqlite";
    const db = new DatabaseSync(${JSON.stringify(target)});
    db.prepare("SELECT count(*) FROM restored").get(); db.close();`;
  await new Deno.Command(Deno.execPath(), { args: ["eval", program] }).output();
  assert(Deno.statSync(`${target}-wal`).size > 0);
});

Deno.test("a reader in a transaction keeps its view of the data, and is not waited for long", async () => {
  using directory = prepared();
  using db = new DatabaseSync(directory.file("target.db"));
  db.exec("BEGIN");
  const count = () => db.prepare("SELECT count(*) AS count FROM former").get()?.["count"];
  assert.equal(count(), 500);
  await replace(directory);
  assert.equal(count(), 500);
  db.exec("COMMIT");
  assert.throws(count, /no such table/);
  assert.equal(db.prepare("SELECT a FROM restored").all().length, 500);
});

Deno.test("a different page size waits until no other process has the database open", async () => {
  using directory = prepared({ pageSize: 1024 });
  const target = directory.file("target.db");
  const before = contentOf(target);
  {
    // An idle bot would later write to a file that was moved away.
    using bot = new DatabaseSync(target);
    bot.exec("SELECT * FROM former");
    await assert.rejects(replace(directory, 0), DatabaseLockedError);
    bot.exec("INSERT INTO former VALUES (-1, 'kept')");
  }
  assert.equal(contentOf(target).rows["former"]?.length, (before.rows["former"]?.length ?? 0) + 1);
  await replace(directory);
  assertReplaced(directory);
});

Deno.test({
  name: "a damaged database that a program has open is not moved",
  ignore: Deno.build.os !== "linux",
  async fn() {
    using directory = prepared();
    const target = directory.file("target.db");
    const program = `import { DatabaseSync } from "node:sqlite";
      const db = new DatabaseSync(${JSON.stringify(target)});
      db.prepare("SELECT count(*) FROM former").get();
      Deno.stdout.writeSync(new Uint8Array([1]));
      Deno.stdin.readSync(new Uint8Array(1));`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const reader = child.stdout.getReader();
    try {
      await reader.read();
      damagePages(target, 12);
      await assert.rejects(replace(directory), (error) => {
        assert(error instanceof DatabaseLockedError);
        assert(error.message.includes(`process ${child.pid}`), error.message);
        return true;
      });
      assert.deepEqual(aside(directory), []);
    } finally {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    }
    await replace(directory);
    assert.deepEqual(
      contentOf(target),
      contentOf(directory.file("source.db")),
    );
  },
});
