import assert from "node:assert/strict";
import { number, numberOrNull, text, textOrNull } from "../../../lib/database/connection.ts";

const ROW = { name: "a", count: 1, none: null, big: 2n ** 60n };

Deno.test("a column of the expected type is read", () => {
  assert.equal(text(ROW, "name"), "a");
  assert.equal(number(ROW, "count"), 1);
  assert.equal(textOrNull(ROW, "none"), null);
  assert.equal(numberOrNull(ROW, "none"), null);
  assert.equal(textOrNull(ROW, "name"), "a");
  assert.equal(numberOrNull(ROW, "count"), 1);
});

Deno.test("a column of another type or a missing one is refused, and the error names it", () => {
  for (
    const read of [
      () => text(ROW, "count"),
      () => text(ROW, "none"),
      () => number(ROW, "name"),
      () => number(ROW, "big"),
      () => numberOrNull(ROW, "missing"),
      () => textOrNull(ROW, "missing"),
    ]
  ) assert.throws(read, { name: "TypeError", message: /^Cannot read column "\w+": expected / });
});
