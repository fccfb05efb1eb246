import assert from "node:assert/strict";
import { LocationError } from "../../../lib/base/errors.ts";
import { ensureDirectory } from "../../../lib/base/files.ts";
import { directoryOf } from "../../../lib/base/paths.ts";
import { TemporaryDirectory } from "../support.ts";

Deno.test("the directory of a path is the part before its last separator", () => {
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

Deno.test("the message names the purpose of the directory and the flag for another one", () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("taken"), "");
  const use = { what: "directory of the dumps", flag: "--out" };
  for (const path of ["taken/a.sql", "taken/deeper/a.sql"]) {
    assert.throws(() => ensureDirectory(directory.file(path), true, use), (error) => {
      assert(error instanceof LocationError);
      assert.match(error.help ?? "", /with --out\b/);
      assert.doesNotMatch(`${error.message} ${error.help}`, /data/);
      return true;
    });
  }
  assert.throws(
    () => ensureDirectory(directory.file("taken/a"), true, use),
    /as directory of the dumps: it is a file$/,
  );
});

Deno.test("a file in place of a directory is refused, also further up the path", () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("taken"), "");
  for (const path of ["taken/a.db", "taken/deeper/a.db"]) {
    assert.throws(
      () => ensureDirectory(directory.file(path), true),
      (error) => error instanceof LocationError && /file/.test(error.message),
    );
  }
});
