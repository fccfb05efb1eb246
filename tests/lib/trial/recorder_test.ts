import assert from "node:assert/strict";
import { Subject } from "./subject.ts";

Deno.test("a function that keeps running statements is given up after 10 s on the scratch database", async () => {
  using subject = await Subject.create();
  const { now } = performance;
  const runs: number[] = [];
  try {
    await subject.findings({
      upgrade: async (transaction) => {
        const run = runs.push(0) - 1;
        for (let count = 1; count <= 100; count++) {
          await transaction.all("SELECT 1");
          runs[run] = count;
          performance.now = () => now.call(performance) + 11_000;
        }
      },
    });
  } finally {
    performance.now = now;
  }
  assert.equal(runs[0], 1);
});
