/**
 * Ends the tests of a file with a failure if one of them hangs. `deno task test` loads it before each
 * file.
 */
import { trials } from "./effort.ts";

/** Milliseconds that a test may take. */
const LIMIT = trials(600_000);

let timer: ReturnType<typeof setTimeout> | undefined;

Deno.test.beforeEach(() => {
  timer = setTimeout(() => {
    throw new Error(`a test took longer than ${LIMIT / 1000} s`);
  }, LIMIT);
  Deno.unrefTimer(timer);
});

Deno.test.afterEach(() => clearTimeout(timer));
