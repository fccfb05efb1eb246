import assert from "node:assert/strict";
import { AccessError } from "../../../lib/base/errors.ts";
import { badRowsInto } from "../../../lib/commands/import_files.ts";
import { TemporaryDirectory } from "../support.ts";

Deno.test("bad rows do not overwrite a file that was created since the start", () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("bad.csv");
  {
    using rows = badRowsInto(path);
    Deno.writeTextFileSync(path, "mine");
    const bad = { line: 2, reason: "it is bad", text: "1,2", header: "a,b" };
    assert.throws(() => rows?.take(bad), AccessError);
  }
  assert.equal(Deno.readTextFileSync(path), "mine");
});
