import assert from "node:assert/strict";
import { isOlder, version } from "../../../lib/base/version.ts";
import config from "../../../deno.json" with { type: "json" };

Deno.test("the version in the code matches deno.json", () => {
  assert.equal(version, config.version);
});

Deno.test("versions are compared numerically", () => {
  assert(isOlder("2.7.10", "2.7.11"));
  assert(isOlder("2.7.9", "2.7.11"));
  assert(isOlder("1.46.3", "2.0.0"));
  assert(!isOlder("2.7.11", "2.7.11"));
  assert(!isOlder("2.10.0", "2.7.11"));
  assert(!isOlder("3.0.0", "2.7.11"));
});
