import assert from "node:assert/strict";
import { mayStartThread } from "../../../lib/base/thread.ts";

Deno.test("a bundled program is not started again as a thread", () => {
  const path = "/lib/snapshot/thread.ts";
  const own = new URL("../../../lib/snapshot/thread.ts", import.meta.url);
  assert(mayStartThread(own, path));
  assert(
    mayStartThread(new URL("https://jsr.io/@catalyst/migrate/0.1.0/lib/snapshot/thread.ts"), path),
  );
  assert(!mayStartThread(new URL("bot.js", own), path));
  assert(!mayStartThread(new URL("https://example.com/bot.js"), path));
});
