import assert from "node:assert/strict";
import { visibleWidth } from "../../../lib/terminal/text.ts";
import type { SqlValue } from "../../../lib/database/connection.ts";
import { formatResult, rowObjects } from "../../../lib/terminal/result.ts";

const result = {
  columns: ["opened_at", "ticker", "pnl", "pnl"],
  rows: [
    [1_735_828_200, 'A"B,\n|', -1.5, 9_007_199_254_740_993n],
    [null, "", 0.1 + 0.2, new Uint8Array([10, 255])],
  ] satisfies SqlValue[][],
};

Deno.test("a table shows NULL, times as UTC and numbers at the right, and no noise in reals", () => {
  const rows = [[1_735_828_200, "AAPL", -1.5], [null, "é", 0.1 + 0.2]];
  assert.equal(
    formatResult({ columns: ["opened_at", "ticker", "pnl"], rows }, { format: "table" }),
    `          opened_at  ticker   pnl
-------------------  ------  ----
2025-01-02 14:30:00  AAPL    -1.5
               NULL  é        0.3`,
  );
  assert.equal(
    formatResult({ columns: ["opened_at", "ticker", "pnl"], rows }, { format: "table", raw: true }),
    ` opened_at  ticker                  pnl
----------  ------  -------------------
1735828200  AAPL                   -1.5
      NULL  é       0.30000000000000004`,
  );
});

Deno.test("small numbers in a time column are durations, and stay numbers", () => {
  const rows = [[3600], [1_735_828_200]];
  assert.match(
    formatResult({ columns: ["fill_time"], rows }, { format: "markdown" }),
    /\| 3600 \|/,
  );
});

Deno.test("a table fits any width: names are broken, values are cut with a mark, then rows become blocks", () => {
  const columns = ["max_drawdown_pct", "strategy_name", "x"];
  const rows = [[-4.5, "a_long_name_of_a_strategy_日本語日本語", 1]];
  for (const width of [100, 60, 40, 30, 24, 20, 12]) {
    const text = formatResult({ columns, rows }, { format: "table", width });
    for (const line of text.split("\n")) {
      assert.ok(visibleWidth(line) <= Math.max(width, 26), `${width}: ${line}`);
    }
  }
  assert.equal(
    formatResult({ columns, rows }, { format: "table", width: 30 }),
    `     max_
drawdown_
      pct  strategy_name     x
---------  ----------------  -
     -4.5  a_long_name_of_…  1`,
  );
  assert.equal(
    formatResult({ columns: ["aaaaaaaaaa", "bbbbbbbbbbbb"], rows: [["12345678901", null]] }, {
      format: "table",
      width: 16,
    }),
    `aaaaaaaaaa    1234567…
bbbbbbbbbbbb  NULL`,
  );
});

Deno.test("CSV distinguishes NULL from empty text, and keeps values as stored", () => {
  assert.equal(
    formatResult(result, { format: "csv" }),
    `"opened_at","ticker","pnl","pnl"
1735828200,"A""B,
|",-1.5,9007199254740993
,"",0.30000000000000004,X'0AFF'`,
  );
});

Deno.test("JSON has all digits, and a repeated column name gets a number", () => {
  const text = formatResult(result, { format: "json" });
  assert.match(text, /"pnl": -1\.5, "pnl:1": 9007199254740993\}/);
  assert.deepEqual(JSON.parse(text)[1], {
    opened_at: null,
    ticker: "",
    pnl: 0.1 + 0.2,
    "pnl:1": { hex: "0AFF" },
  });
  const lines = formatResult(result, { format: "jsonl" }).split("\n");
  assert.deepEqual(lines.map((line) => JSON.parse(line)), JSON.parse(text));
  assert.equal(formatResult({ columns: ["a"], rows: [] }, { format: "json" }), "[]");
  assert.deepEqual(Object.keys(rowObjects(result)[0] ?? {}), [
    "opened_at",
    "ticker",
    "pnl",
    "pnl:1",
  ]);
});

Deno.test("an infinite value is a number in CSV and JSON", () => {
  const rows = [[Infinity, -Infinity]];
  assert.equal(
    formatResult({ columns: ["a", "b"], rows }, { format: "jsonl" }),
    '{"a": 9e999, "b": -9e999}',
  );
});

Deno.test("Markdown escapes characters that would change the table", () => {
  assert.equal(
    formatResult({ columns: ["a|b"], rows: [["x|y\n<b>"]] }, { format: "markdown" }),
    "| a\\|b |\n| --- |\n| x\\|y\\\\n\\<b\\> |",
  );
});

Deno.test("control characters of data and names are made visible in tables and Markdown", () => {
  for (const format of ["table", "markdown"] as const) {
    const text = formatResult({ columns: ["a\x1b[31m"], rows: [["\x1b]0;x\x07\u202e"]] }, {
      format,
    });
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  }
});
