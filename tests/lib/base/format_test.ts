import assert from "node:assert/strict";
import { formatBytes, formatCount, formatDate, formatDuration } from "../../../lib/base/format.ts";

Deno.test("bytes are formatted with decimal units", () => {
  assert.equal(formatBytes(0), "0 B");
  assert.equal(formatBytes(999), "999 B");
  assert.equal(formatBytes(1000), "1.0 kB");
  assert.equal(formatBytes(1_234_567), "1.2 MB");
  assert.equal(formatBytes(5e9), "5.0 GB");
  assert.equal(formatBytes(2e18), "2000.0 PB");
});

Deno.test("bytes that would round to a thousand use the next unit", () => {
  assert.equal(formatBytes(999_949), "999.9 kB");
  assert.equal(formatBytes(999_950), "1.0 MB");
});

Deno.test("durations use a suitable unit", () => {
  assert.equal(formatDuration(0), "0 ms");
  assert.equal(formatDuration(0.0001), "<1 ms");
  assert.equal(formatDuration(0.003), "3 ms");
  assert.equal(formatDuration(1.23), "1.2 s");
  assert.equal(formatDuration(125), "2 min 5 s");
  assert.equal(formatDuration(3_840), "1 h 4 min");
});

Deno.test("durations never round up to a full larger unit", () => {
  assert.equal(formatDuration(0.9996), "1.0 s");
  assert.equal(formatDuration(59.96), "1 min 0 s");
  assert.equal(formatDuration(119.7), "2 min 0 s");
});

Deno.test("dates are in UTC, to the second", () => {
  assert.equal(formatDate(1_737_376_200), "2025-01-20 12:30:00");
  assert.equal(formatDate(1_737_376_200.9), "2025-01-20 12:30:00");
  assert.equal(formatDate(0), "1970-01-01 00:00:00");
});

Deno.test("a number that is not a date is shown unchanged", () => {
  assert.equal(formatDate(1e20), "100000000000000000000");
});

Deno.test("counts have thousands separators and the right form of the noun", () => {
  assert.equal(formatCount(0, "row"), "0 rows");
  assert.equal(formatCount(1, "row"), "1 row");
  assert.equal(formatCount(999, "row"), "999 rows");
  assert.equal(formatCount(1234, "row"), "1,234 rows");
  assert.equal(formatCount(9_007_199_254_740_993n, "row"), "9,007,199,254,740,993 rows");
  assert.equal(formatCount(2, "index"), "2 indexes");
  assert.equal(formatCount(2, "history"), "2 histories");
  assert.equal(formatCount(2, "key"), "2 keys");
});
