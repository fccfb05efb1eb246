import assert from "node:assert/strict";
import type { Timing, Timings } from "./measure.ts";
import { memoryCells, renderReport, timingCells } from "./report.ts";

const timings: Timings = new Map<string, Timing | Error>([
  ["floor", { medianMs: 20, minMs: 19 }],
  ["status", { medianMs: 30, minMs: 28 }],
  ["broken", new Error("exit code 1")],
]);

Deno.test("each check of a scenario has its own line and verdict", () => {
  const cells = timingCells(timings, [
    { title: "the floor", name: "floor" },
    {
      title: "status",
      name: "status",
      checks: [
        { kind: "ratio", to: "floor", limit: 1.6 },
        { kind: "ratio", to: "missing", limit: 1 },
        { kind: "ratio", to: "broken", limit: 1 },
        { kind: "time", limitMs: 29 },
      ],
    },
    { title: "broken", name: "broken" },
    { title: "missing", name: "missing" },
  ]);
  assert.equal(
    renderReport([...cells, memoryCells("memory", 48_000_000)]),
    [
      "scenario   median ms  min ms         ratio    limit  verdict",
      "the floor       20.0    19.0",
      "status          30.0    28.0  1.50 x floor      1.6  ok",
      "                                              29 ms  over",
      "broken        failed                                 exit code 1",
      "memory                             48.0 MB  60.0 MB  ok",
    ].join("\n"),
  );
});
