import assert from "node:assert/strict";
import { InterruptedError, LocationError, MigratorLockedError } from "../../../lib/base/errors.ts";
import { acquireLock } from "../../../lib/base/file_lock.ts";
import { testLinks } from "../../links.ts";
import { TemporaryDirectory } from "../support.ts";

Deno.test("a lock is held until it is disposed of, and its file names the holder", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  {
    using _lock = await acquireLock(path, { timeout: 0 });
    await assert.rejects(acquireLock(path, { timeout: 0.02 }), (error) => {
      assert(error instanceof MigratorLockedError);
      // On Windows a locked file cannot be read.
      const name = Deno.build.os === "windows" ? "process" : `process ${Deno.pid}`;
      assert.match(error.message, new RegExp(`${name}\\b`));
      assert.match(error.help ?? "", /--timeout/);
      return true;
    });
  }
  using _again = await acquireLock(path, { timeout: 0 });
});

Deno.test("acquiring a lock waits for its holder", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  const first = await acquireLock(path, { timeout: 0 });
  const second = acquireLock(path, { timeout: 30 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
});

Deno.test("a lock file left by a dead process is not locked, and its long text is replaced", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  Deno.writeTextFileSync(path, "process 1234567890123\n");
  (await acquireLock(path, { timeout: 0 }))[Symbol.dispose]();
  assert.equal(Deno.readTextFileSync(path), `process ${Deno.pid}\n`);
});

Deno.test("a file that is not the toolkit's keeps its content when it is locked", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  Deno.writeTextFileSync(path, "process 12 of another program\n");
  (await acquireLock(path, { timeout: 0 }))[Symbol.dispose]();
  assert.equal(Deno.readTextFileSync(path), "process 12 of another program\n");
});

testLinks("a link in place of a lock file is refused, and its target is unchanged", async () => {
  using directory = new TemporaryDirectory();
  const [path, target] = [directory.file("a.lock"), directory.file("mine")];
  Deno.writeTextFileSync(target, "");
  Deno.symlinkSync(target, path);
  await assert.rejects(acquireLock(path, { timeout: 0 }), LocationError);
  assert.equal(Deno.readTextFileSync(target), "");
});

Deno.test("an abort stops the wait", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  using _lock = await acquireLock(path, { timeout: 0 });
  const wait = acquireLock(path, { timeout: 30, signal: AbortSignal.abort() });
  await assert.rejects(wait, InterruptedError);
});

Deno.test("a lock in a missing directory is refused", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("none/a.lock");
  await assert.rejects(acquireLock(path, { timeout: 0 }), LocationError);
});

Deno.test("messages use the caller's names for the holder and the directory of a lock", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  const options = { timeout: 0, holder: "backup", directory: "directory of the snapshots" };
  using _lock = await acquireLock(path, options);
  await assert.rejects(acquireLock(path, options), /: another backup held it for 0 s/);
});

Deno.test("a directory in place of a lock file is reported as such", async () => {
  using directory = new TemporaryDirectory();
  Deno.mkdirSync(directory.file("a.lock"));
  const error: unknown = await acquireLock(directory.file("a.lock"), { timeout: 0 })
    .then(() => null, (reason) => reason);
  assert(error instanceof LocationError);
  assert.match(error.message, /a\.lock: it is a directory, not a file$/);
  assert.match(error.help ?? "", /^move it away/);
});
