import assert from "node:assert/strict";
import { LocationError } from "../../../lib/base/errors.ts";
import { createLike, ensureDirectories, writeDurably, writeNote } from "../../../lib/base/files.ts";
import { testLinks } from "../../links.ts";
import { TemporaryDirectory } from "../support.ts";

testLinks(
  "a link in place of a file of the toolkit is refused, and its target is unchanged",
  async () => {
    using directory = new TemporaryDirectory();
    const [path, target] = [directory.file("note"), directory.file("mine")];
    Deno.writeTextFileSync(target, "mine");
    Deno.symlinkSync(target, path);
    await assert.rejects(writeDurably(path, "text"), LocationError);
    assert.throws(() => writeNote(path, "text"), LocationError);
    assert.throws(() => createLike(path, target), LocationError);
    assert.equal(Deno.readTextFileSync(target), "mine");
  },
);

Deno.test("directories below an existing one are created, but never that one: its disk may not be mounted", () => {
  using directory = new TemporaryDirectory();
  const base = directory.file("disk");
  const make = () => ensureDirectories(`${base}/a/b/c.db`, { base, mayCreate: true });
  assert.throws(make, LocationError);
  assert.deepEqual(directory.names(), []);
  Deno.mkdirSync(base);
  make();
  assert(Deno.statSync(`${base}/a/b`).isDirectory);
});
