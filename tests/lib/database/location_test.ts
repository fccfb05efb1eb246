import assert from "node:assert/strict";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { DatabaseSync } from "node:sqlite";
import { locate, statDatabase } from "../../../lib/database/location.ts";
import { TemporaryDirectory } from "../support.ts";

Deno.test("the URL of a path names that path on this system", () => {
  const path = resolve("data", "a é #1.db");
  assert.deepEqual(locate(pathToFileURL(path)), {
    kind: "file",
    path: path.replaceAll("\\", "/"),
  });
});

Deno.test("a path is used unchanged, a URL is converted to a path", () => {
  assert.deepEqual(locate("data/a b.db"), { kind: "file", path: "data/a b.db" });
  assert.deepEqual(locate(new URL("file:///data/a%20%C3%A9.db")), {
    kind: "file",
    path: "/data/a é.db",
  });
});

Deno.test("a URL that is not a local file URL is refused", () => {
  for (const address of ["ftp://db.example.com/tmp/app.db", "file://server/share/app.db"]) {
    assert.throws(
      () => locate(new URL(address)),
      /^LocationError: Cannot use .*not a local file URL/,
    );
  }
});

Deno.test("the path of an open database is read from it", () => {
  using directory = new TemporaryDirectory();
  using db = new DatabaseSync(directory.file("a.db"));
  const path = resolve(directory.file("a.db")); // with the system's separators
  assert.deepEqual(locate(db), { kind: "open", handle: db, path });
  using memory = new DatabaseSync(":memory:");
  assert.equal(locate(memory).path, ":memory:");
});

Deno.test("looking for a database does not create it", () => {
  using directory = new TemporaryDirectory();
  const none = locate(directory.file("a.db"));
  assert.deepEqual(statDatabase(none), { exists: false, sizeBytes: null });
  assert.deepEqual(directory.names(), []);
  Deno.writeTextFileSync(directory.file("a.db"), "12345");
  assert.deepEqual(statDatabase(none), { exists: true, sizeBytes: 5 });
  assert.throws(() => statDatabase(locate(directory.path)), /it is a directory/);
});

Deno.test("an open database exists, also in memory", () => {
  using memory = new DatabaseSync(":memory:");
  assert.deepEqual(statDatabase(locate(memory)), { exists: true, sizeBytes: null });
});
