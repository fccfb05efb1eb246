import assert from "node:assert/strict";
import { describeHolders, parseLocks, writersOf } from "../../../lib/base/lock_holders.ts";
import { execute, startWriter, TemporaryDirectory } from "../support.ts";

Deno.test("Linux's list of locks is parsed, without locks that are only waited for", () => {
  const text = [
    "1: POSIX  ADVISORY  WRITE 6582 fe:00:1603 120 120",
    "2: FLOCK  ADVISORY  READ  77 00:31:42 0 EOF",
    "2: -> FLOCK  ADVISORY  WRITE 78 00:31:42 0 EOF",
    "3: OFDLCK ADVISORY  WRITE -1 fe:00:9 0 EOF",
    "",
  ].join("\n");
  assert.deepEqual(parseLocks(text), [
    { exclusive: true, pid: 6582, inode: 1603, start: 120, end: 120 },
    { exclusive: false, pid: 77, inode: 42, start: 0, end: Infinity },
  ]);
});

Deno.test("a missing file has no lock holders", () => {
  using directory = new TemporaryDirectory();
  assert.deepEqual(writersOf(directory.file("none.db")), []);
  assert.equal(describeHolders(directory.file("none.db")), "");
});

for (const mode of ["WAL", "DELETE"]) {
  Deno.test({
    name: `on Linux the writer of a database is named, with journal mode ${mode}`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      using directory = new TemporaryDirectory();
      const path = directory.file("a.db");
      execute(path, `PRAGMA journal_mode = ${mode}; CREATE TABLE t (a)`);
      await using writer = await startWriter(path, "INSERT INTO t VALUES (1)");
      assert.deepEqual(writersOf(path).map(({ pid }) => pid), [writer.pid]);
      const phrase = describeHolders(path);
      assert(phrase.startsWith(`process ${writer.pid} (`));
      assert(phrase.length < 120);
    },
  });
}
