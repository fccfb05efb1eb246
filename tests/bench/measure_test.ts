import assert from "node:assert/strict";
import { type Candidate, measure, median } from "./measure.ts";

function candidate(name: string, turns: string[], code = ""): Candidate {
  return { name, prepare: () => turns.push(name), commands: [[Deno.execPath(), "eval", code]] };
}

Deno.test("the median is the middle number, or the mean of the middle two", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 2, 9]), 3);
  assert.throws(() => median([]), RangeError);
});

Deno.test("candidates take turns", () => {
  const turns: string[] = [];
  const timings = measure([candidate("a", turns), candidate("b", turns)], { runs: 2 });
  assert.deepEqual(turns, ["a", "b", "a", "b", "a", "b"]);
  assert.deepEqual([...timings.keys()], ["a", "b"]);
});

Deno.test("a candidate that fails is reported and left out of the next turns", () => {
  const turns: string[] = [];
  const bad = candidate("bad", turns, "throw new Error('no such luck')");
  const timings = measure([bad, candidate("good", turns)], { runs: 1 });
  assert.deepEqual(turns, ["bad", "good", "good"]);
  assert.match(String(timings.get("bad")), /no such luck/);
  assert.ok(!(timings.get("good") instanceof Error));
});
