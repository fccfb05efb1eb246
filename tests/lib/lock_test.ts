import assert from "node:assert/strict";
import { InterruptedError, LocationError, MigratorLockedError } from "../../lib/errors.ts";
import { acquireLock } from "../../lib/lock.ts";
import { TemporaryDirectory } from "./support.ts";

Deno.test("a lock is held until it is disposed of, and names its holder meanwhile", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  {
    using _lock = await acquireLock(path, { timeout: 0 });
    await assert.rejects(acquireLock(path, { timeout: 0.02 }), (error) => {
      assert(error instanceof MigratorLockedError);
      assert.match(error.message, new RegExp(`process ${Deno.pid}\\b`));
      assert.match(error.help ?? "", /--timeout/);
      return true;
    });
  }
  using _again = await acquireLock(path, { timeout: 0 });
});

Deno.test("a lock is waited for", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  const first = await acquireLock(path, { timeout: 0 });
  const second = acquireLock(path, { timeout: 30 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
});

Deno.test("a lock file that a dead process left is no lock, and a long text in it is replaced", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  Deno.writeTextFileSync(path, "process 1234567890123\n");
  using _lock = await acquireLock(path, { timeout: 0 });
  assert.equal(Deno.readTextFileSync(path), `process ${Deno.pid}\n`);
});

Deno.test("an abort ends the wait", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("a.lock");
  using _lock = await acquireLock(path, { timeout: 0 });
  const wait = acquireLock(path, { timeout: 30, signal: AbortSignal.abort() });
  await assert.rejects(wait, InterruptedError);
});

Deno.test("a lock in a directory that isn't there is refused", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("none/a.lock");
  await assert.rejects(acquireLock(path, { timeout: 0 }), LocationError);
});
