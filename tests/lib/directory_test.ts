import assert from "node:assert/strict";
import { LocationError } from "../../lib/errors.ts";
import { directoryOf, ensureDirectory } from "../../lib/directory.ts";
import { TemporaryDirectory } from "./support.ts";

Deno.test("the directory of a path is what stands before its last separator", () => {
  assert.equal(directoryOf("data/a.db"), "data");
  assert.equal(directoryOf("a.db"), ".");
  assert.equal(directoryOf("/a.db"), "/");
  assert.equal(directoryOf("x/y/test_"), "x/y");
});

Deno.test("one directory is created, but not its parents", () => {
  using directory = new TemporaryDirectory();
  ensureDirectory(directory.file("new/a.db"), true);
  ensureDirectory(directory.file("new/a.db"), true);
  assert(Deno.statSync(directory.file("new")).isDirectory);
  assert.throws(() => ensureDirectory(directory.file("x/y/a.db"), true), LocationError);
  assert.throws(() => ensureDirectory(directory.file("z/a.db"), false), LocationError);
  assert.deepEqual(directory.names(), ["new"]);
});

Deno.test("a file where a directory should be is refused, also further up", () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("taken"), "");
  for (const path of ["taken/a.db", "taken/deeper/a.db"]) {
    assert.throws(
      () => ensureDirectory(directory.file(path), true),
      (error) => error instanceof LocationError && /file/.test(error.message),
    );
  }
});
