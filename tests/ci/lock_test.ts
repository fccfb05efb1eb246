import assert from "node:assert/strict";
import { type Lock, lockOf } from "../../.ci/build.ts";

Deno.test("the executable's lock contains the packages that it needs, and none that only tests use", () => {
  const text = Deno.readTextFileSync(new URL("../../deno.lock", import.meta.url));
  const lock = JSON.parse(text) as Lock;
  assert(Object.keys(lock.npm).some((key) => key.startsWith("fast-check@")));
  const packages = ["@libsql/hrana-client", "jsonc-parser"];
  const reduced = lockOf(lock, packages);
  assert.deepEqual(
    Object.keys(reduced.specifiers).map((one) => one.replace(/^npm:(.+)@.*$/, "$1")).toSorted(),
    packages,
  );
  const names = Object.keys(reduced.npm).map((key) => key.replace(/^(.+)@.*$/, "$1"));
  assert(!names.includes("fast-check"));
  for (const { dependencies = [] } of Object.values(reduced.npm)) {
    for (const one of dependencies) {
      const [, name = one] = /^(.[^@]*)@/.exec(one) ?? [];
      assert(names.includes(name), one);
    }
  }
});
