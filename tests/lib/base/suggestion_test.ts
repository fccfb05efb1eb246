import assert from "node:assert/strict";
import fc from "fast-check";
import { didYouMean, distance } from "../../../lib/base/format.ts";

const COMMANDS = ["upgrade", "downgrade", "status", "verify", "repair", "history"];

Deno.test("the closest candidate is suggested, regardless of case", () => {
  for (
    const [word, meant] of [
      ["upgrad", "upgrade"],
      ["UPGRADE", "upgrade"],
      ["upgarde", "upgrade"],
      ["downgraed", "downgrade"],
      ["stauts", "status"],
      ["verfy", "verify"],
    ]
  ) assert.equal(didYouMean(word ?? "", COMMANDS), `did you mean "${meant}"? `);
});

Deno.test("nothing is suggested if no candidate is close", () => {
  for (const word of ["", "x", "snapshot", "migrations"]) {
    assert.equal(didYouMean(word, COMMANDS), "");
  }
  assert.equal(didYouMean("upgrade", []), "");
});

const word = fc.string({ maxLength: 8, unit: fc.constantFrom("a", "b", "c") });

Deno.test("the distance is zero to the same word, symmetric, and at most the length of the longer word", () => {
  fc.assert(fc.property(word, word, (a, b) => {
    assert.equal(distance(a, a), 0);
    assert.equal(distance(a, b), distance(b, a));
    assert(distance(a, b) >= Math.abs(a.length - b.length));
    assert(distance(a, b) <= Math.max(a.length, b.length));
    if (a !== b) assert(distance(a, b) > 0);
  }));
});

Deno.test("omitting, adding, changing or swapping one character is one edit", () => {
  assert.equal(distance("status", "statu"), 1);
  assert.equal(distance("status", "statuss"), 1);
  assert.equal(distance("status", "stetus"), 1);
  assert.equal(distance("status", "sttaus"), 1);
  assert.equal(distance("", "abc"), 3);
});
