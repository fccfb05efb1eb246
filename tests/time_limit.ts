/**
 * Ends the tests of a file with a failure if one of them hangs. `deno task test` loads it before each
 * file.
 */
import { trials } from "./effort.ts";

/** Milliseconds that a test may take. */
const LIMIT = trials(600_000);

const ended = new Int32Array(new SharedArrayBuffer(4));

Deno.test.beforeEach(() => {
  // Not `setTimeout`, whose first call in each file loads twenty Node modules.
  const { async, value } = Atomics.waitAsync(ended, 0, 0, LIMIT);
  if (!async) return;
  value.then((result) => {
    if (result === "timed-out") throw new Error(`a test took longer than ${LIMIT / 1000} s`);
  });
});

Deno.test.afterEach(() => {
  Atomics.notify(ended, 0);
});
