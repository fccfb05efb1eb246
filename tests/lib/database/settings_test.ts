import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import {
  connectionPragmas,
  defaultSettings,
  settingsFrom,
} from "../../../lib/database/connection.ts";
import { UsageError } from "../../../lib/base/errors.ts";

function read(variables: Record<string, string>): ReturnType<typeof settingsFrom> {
  return settingsFrom((name) => variables[name]);
}

Deno.test("without variables, or with empty ones, the defaults apply", () => {
  assert.deepEqual(read({}), defaultSettings);
  assert.deepEqual(read({ SQLITE_WAL_MODE: "", SQLITE_CACHE_SIZE: "" }), defaultSettings);
  assert.deepEqual(defaultSettings, {
    journalMode: "WAL",
    synchronous: "NORMAL",
    cacheSize: 10_000,
    mmapSize: 30_000_000_000,
    walAutocheckpoint: 500,
    busyTimeout: 30,
  });
});

for (
  const [value, mode] of [
    ["wal", "WAL"],
    ["on", "WAL"],
    ["1", "WAL"],
    ["true", "WAL"],
    ["off", "DELETE"],
    ["0", "DELETE"],
    ["NO", "DELETE"],
    ["delete", "DELETE"],
    ["Truncate", "TRUNCATE"],
    ["PERSIST", "PERSIST"],
  ] as const
) {
  Deno.test(`SQLITE_WAL_MODE=${value} means ${mode}`, () => {
    assert.equal(read({ SQLITE_WAL_MODE: value }).journalMode, mode);
  });
}

Deno.test("the other variables are read too", () => {
  const settings = read({
    SQLITE_SYNCHRONOUS: "full",
    SQLITE_CACHE_SIZE: "-2000",
    SQLITE_MMAP_SIZE: "0",
  });
  assert.equal(settings.synchronous, "FULL");
  assert.equal(settings.cacheSize, -2000);
  assert.equal(settings.mmapSize, 0);
});

for (
  const [name, value] of [
    ["SQLITE_WAL_MODE", "MEMORY"],
    ["SQLITE_WAL_MODE", "WAL; DROP TABLE x"],
    ["SQLITE_SYNCHRONOUS", "2"],
    ["SQLITE_CACHE_SIZE", "10k"],
    ["SQLITE_CACHE_SIZE", "1.5"],
    ["SQLITE_MMAP_SIZE", "1e9"],
    ["SQLITE_MMAP_SIZE", "1234567890123456"],
  ] as const
) {
  Deno.test(`${name}=${value} is refused, and the error lists the valid values`, () => {
    assert.throws(() => read({ [name]: value }), (error) => {
      assert(error instanceof UsageError);
      assert(error.message.includes(name) && error.message.includes(JSON.stringify(value)));
      assert.match(error.help ?? "", new RegExp(`set ${name}`));
      return true;
    });
  });
}

Deno.test("a cache size outside SQLite's range is refused", () => {
  const refused = (value: string) => () => read({ SQLITE_CACHE_SIZE: value });
  assert.throws(refused("2147483648"), /: it is more than 2147483647$/m);
  assert.throws(refused("-2147483648"), /: it is less than -2147483647$/m);
});

Deno.test("the pragmas take effect", () => {
  const db = new DatabaseSync(":memory:");
  db.exec(connectionPragmas({ ...defaultSettings, busyTimeout: 1.5, synchronous: "EXTRA" }));
  const pragma = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.equal(pragma("busy_timeout"), 1500);
  assert.equal(pragma("synchronous"), 3);
  assert.equal(pragma("cache_size"), 10_000);
  assert.equal(pragma("foreign_keys"), 1);
  assert.equal(pragma("temp_store"), 2);
  assert.equal(pragma("wal_autocheckpoint"), 500);
  db.close();
});
