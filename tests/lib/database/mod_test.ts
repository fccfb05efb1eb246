import assert from "node:assert/strict";
import { openDatabase, settingsInForce } from "../../../lib/database/mod.ts";
import { AccessError, NotADatabaseError } from "../../../lib/base/errors.ts";
import { TemporaryDirectory } from "../support.ts";

Deno.test("a bot's database is opened with the default settings", () => {
  using directory = new TemporaryDirectory();
  using db = openDatabase(directory.file("a.db"));
  const { mmapSize, ...settings } = settingsInForce(db);
  assert.deepEqual(settings, {
    journalMode: "wal",
    synchronous: 1,
    cacheSize: 10_000,
    walAutocheckpoint: 500,
    busyTimeout: 30,
    foreignKeys: true,
  });
  // SQLite's build caps it below the requested 30 GB.
  assert(mmapSize > 0 && mmapSize < 30_000_000_000);
});

Deno.test("given settings override the defaults", () => {
  using directory = new TemporaryDirectory();
  using db = openDatabase(directory.file("a.db"), {
    settings: { journalMode: "DELETE", synchronous: "FULL", busyTimeout: 0.25, mmapSize: 0 },
  });
  const { journalMode, synchronous, busyTimeout, mmapSize, cacheSize } = settingsInForce(db);
  assert.deepEqual(
    { journalMode, synchronous, busyTimeout, mmapSize, cacheSize },
    { journalMode: "delete", synchronous: 2, busyTimeout: 0.25, mmapSize: 0, cacheSize: 10_000 },
  );
});

Deno.test("a failure to open throws an error of the toolkit and leaves nothing open", () => {
  using directory = new TemporaryDirectory();
  Deno.writeTextFileSync(directory.file("text.db"), "this is no database at all ".repeat(50));
  assert.throws(() => openDatabase(directory.file("text.db")), NotADatabaseError);
  assert.throws(() => openDatabase(directory.file("none/a.db")), AccessError);
});
