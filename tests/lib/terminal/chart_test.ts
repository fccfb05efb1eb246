import assert from "node:assert/strict";
import { renderChart } from "../../../lib/terminal/chart.ts";

const format = (value: number): string => value.toFixed(0);

Deno.test("a chart runs from the lowest to the highest value, joined to a line", () => {
  assert.equal(
    renderChart([0, 1, 2, 3, 2, 1, 0, 3], { width: 12, height: 4, format, ends: ["Jan", "Dec"] }),
    `3 |   *   *
  |  * *  *
  | *   * *
0 |*     *
  +--------
   Jan  Dec`,
  );
});

Deno.test("a chart is plain ASCII and never too wide", () => {
  const values = Array.from({ length: 2_000 }, (_, at) => Math.sin(at / 100) * 1e6);
  for (const width of [20, 80, 200]) {
    const text = renderChart(values, {
      width,
      format,
      ends: ["2025-01-01", "2025-12-31"],
      hanging: true,
    });
    assert.match(text, /^[ -~\n]*$/);
    for (const line of text.split("\n")) assert.ok(line.length <= width, line);
  }
});

Deno.test("equal values, one value and none have a chart, or none", () => {
  assert.match(renderChart([5, 5, 5], { width: 20, format }), /^5 \|\*{16}$/m);
  assert.match(renderChart([7], { width: 20, format }), /^7 \|\*+$/m);
  assert.equal(renderChart([], { width: 20, format }), "");
});
