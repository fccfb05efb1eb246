import assert from "node:assert/strict";
import { partOfWork, Steps, type WorkStep } from "../../../lib/base/steps.ts";

Deno.test("steps report their share of the whole by weight", () => {
  const reported: WorkStep[] = [];
  const steps = new Steps(10, (step) => reported.push(step));
  steps.begin("copying", 4);
  steps.advance(0.5);
  steps.begin("checking", 6);
  steps.advance(2);
  assert.deepEqual(reported, [
    { what: "copying", share: 0, until: 0.4 },
    { what: "copying", share: 0.2, until: 0.4 },
    { what: "checking", share: 0.4, until: 1 },
    { what: "checking", share: 1, until: 1 },
  ]);
});

Deno.test("work that is part of other work reports its share of it", () => {
  const reported: WorkStep[] = [];
  partOfWork((step) => reported.push(step), [0.5, 0.9])?.({ what: "a", share: 0.5, until: 1 });
  assert.deepEqual(reported, [{ what: "a", share: 0.7, until: 0.9 }]);
  assert.equal(partOfWork(undefined, [0, 1]), undefined);
});

Deno.test("without a receiver, and without weights, steps do nothing", () => {
  const steps = new Steps(0, undefined);
  steps.begin("nothing", 0);
  steps.advance(0 / 0);
});
