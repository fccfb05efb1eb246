import assert from "node:assert/strict";
import fc from "fast-check";
import { partFileOf } from "../../../lib/base/paths.ts";
import {
  databaseFile,
  isSnapshotName,
  manifestFile,
  reservationFile,
  snapshotName,
} from "../../../lib/snapshot/names.ts";

/** Times in the years 1970 to 9999, in Unix epoch seconds. */
const moments = fc.integer({ min: 0, max: 253_402_300_799 });

Deno.test("a snapshot is named by its time in UTC", () => {
  assert.equal(snapshotName(1_737_376_200), "20250120_123000");
  assert.equal(snapshotName(0), "19700101_000000");
  assert.equal(snapshotName(1_737_376_200, 2), "20250120_123000_2");
});

Deno.test("the files have the documented names", () => {
  const name = "20250120_123000";
  assert.equal(databaseFile("positions", name, false), "positions_20250120_123000.db");
  assert.equal(databaseFile("positions", name, true), "positions_20250120_123000.db.gz");
  assert.equal(manifestFile(name), "snapshot_20250120_123000.json");
  assert.equal(reservationFile(name), "snapshot_20250120_123000.unfinished");
  assert.equal(partFileOf("a.db"), "a.db.part");
});

Deno.test("a name gives its time, is recognised, and sorts by time", () => {
  fc.assert(
    fc.property(moments, moments, fc.integer({ min: 1, max: 99 }), (one, other, attempt) => {
      const name = snapshotName(one, attempt);
      assert(isSnapshotName(name));
      const [, ...parts] = /^(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)/.exec(name) ?? [];
      const [year = 0, month = 0, ...rest] = parts.map(Number);
      assert.equal(
        Date.UTC(year, month - 1, ...rest as [number, number, number, number]),
        one * 1000,
      );
      assert.equal(snapshotName(one) < snapshotName(other), one < other);
    }),
  );
});

Deno.test("nothing else is a name, in particular not a path", () => {
  const others = [
    "",
    "latest",
    "20250120",
    "20250120_1230",
    "20250120_123000_",
    "x20250120_123000",
  ];
  const paths = [
    "../20250120_123000",
    "20250120_123000/..",
    "20250120_123000\n",
    "20250120_123000.db",
  ];
  for (const text of [...others, ...paths, "２0250120_123000"]) {
    assert(!isSnapshotName(text), JSON.stringify(text));
  }
  fc.assert(fc.property(fc.string(), (text) => {
    if (isSnapshotName(text)) assert.doesNotMatch(text, /[^\d_]/);
  }));
});
