import assert from "node:assert/strict";
import { version } from "../../lib/version.ts";
import config from "../../deno.json" with { type: "json" };

Deno.test("the version in the code is that of deno.json", () => {
  assert.equal(version, config.version);
});
