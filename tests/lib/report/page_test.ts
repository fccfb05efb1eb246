import assert from "node:assert/strict";
import { command as demo } from "../../../lib/commands/demo.ts";
import { computeReport, renderReport } from "../../../lib/report/make_report.ts";
import { buildReport, type Report, type ReportData } from "../../../lib/report/report.ts";
import type { Trade } from "../../../lib/report/trade_figures.ts";
import { execute, runCommandLine, TemporaryDirectory } from "../support.ts";
import { chromium, Page } from "./chromium.ts";

const EMPTY: ReportData = {
  snapshots: [],
  trades: [],
  orders: [],
  fills: { fills: 0, commission: 0 },
  training: { runs: [], evaluations: [], weights: [] },
  storedMetrics: null,
  notes: [],
};

const TRADE: Trade = {
  ticker: "AAPL",
  side: "long",
  quantity: 1,
  entryPrice: 10,
  pnl: -5,
  stopPrice: null,
  closedAt: 1_735_828_200,
  holdingHours: 2,
  exitReason: "manual",
  strategy: null,
  regime: null,
  signalScore: null,
  adverseExcursion: null,
};

const DAY = 86_400;

function snapshots(equity: readonly (number | null)[]): ReportData["snapshots"] {
  return equity.map((value, at) => ({
    time: 1_735_828_200 + at * DAY,
    date: new Date((1_735_828_200 + at * DAY) * 1000).toISOString().slice(0, 10),
    equity: value,
    dailyPnl: null,
  }));
}

function reportOf(data: Partial<ReportData>): Report {
  return buildReport({ ...EMPTY, ...data }, { computedAt: 1_735_900_000 });
}

/** Checks for faults that no page may have, whatever the data. */
function checkPage(page: string): void {
  assert.doesNotMatch(
    page,
    /NaN|Infinity|\bundefined[^.]|\[object|<script|javascript:|href=|src=|@import|url\(/,
  );
  assert.match(page, /default-src 'none'; style-src 'unsafe-inline'/);
}

const HOSTILE = `<script>alert(1)</script>"'&\u0000\u202e`;

/** Unusual data, each with the text that the page must show. */
const CASES: Readonly<Record<string, readonly [data: Partial<ReportData>, says: RegExp]>> = {
  "empty tables": [{}, /There are no portfolio snapshots[^]*There are no closed positions/],
  "a single snapshot": [{ snapshots: snapshots([1000]) }, /needs two snapshots/],
  "two equal snapshots": [{ snapshots: snapshots([1000, 1000]) }, /period too short/],
  "a single trade": [{ trades: [TRADE] }, /needs two trades/],
  "only losses": [{ trades: [TRADE, { ...TRADE, pnl: -7 }] }, /no winning trade/],
  "only wins": [{ trades: [{ ...TRADE, pnl: 1 }, { ...TRADE, pnl: 2 }] }, /no losing trade/],
  "only break-even trades": [{ trades: [{ ...TRADE, pnl: 0 }] }, /0 won, 0 lost, 1 broke even/],
  "an equity of zero": [{ snapshots: snapshots([1000, 0, 500]) }, /equity of zero or less/],
  "a negative equity": [{ snapshots: snapshots([1000, -200, 300]) }, /equity of zero or less/],
  "missing values": [
    { snapshots: snapshots([1000, null, 1100]), trades: [{ ...TRADE, holdingHours: null }] },
    /1 snapshot has no equity/,
  ],
  "hostile text": [
    {
      trades: [{
        ...TRADE,
        ticker: HOSTILE,
        strategy: HOSTILE,
        exitReason: HOSTILE,
        adverseExcursion: 3,
      }],
      notes: [HOSTILE],
    },
    /&lt;script&gt;alert/,
  ],
  "amounts of any size": [
    { trades: [{ ...TRADE, pnl: 1e18 }, { ...TRADE, pnl: -1e-9 }, { ...TRADE, pnl: 1e300 }] },
    /e\+/,
  ],
};

for (const [name, [data, says]] of Object.entries(CASES)) {
  Deno.test(`a page of ${name} is complete and explains the data`, async () => {
    const report = reportOf(data);
    assert.doesNotMatch(
      JSON.stringify(
        report,
        (_, value) => typeof value === "number" && !Number.isFinite(value) ? "NaN" : value,
      ),
      /"NaN"/,
    );
    const page = await renderReport(report);
    checkPage(page);
    assert.match(page, says);
  });
}

/** A directory with the demo's databases. */
async function demoDirectory(): Promise<TemporaryDirectory> {
  const directory = new TemporaryDirectory();
  const { code, stderr } = await runCommandLine([demo.name, "--data-dir", directory.path]);
  assert.equal(code, 0, stderr);
  return directory;
}

Deno.test("the report of the demo has every chart, and no warnings about stored metrics", async () => {
  using directory = await demoDirectory();
  const report = await computeReport({ dataDir: directory.path });
  assert.deepEqual(report.differences, []);
  assert.equal(report.equity?.flows, 2);
  assert.equal(report.trades.all.trades, 400);
  const page = await renderReport(report);
  checkPage(page);
  const charts = [...page.matchAll(/<figure class="card[^"]*" id="chart-([\w-]+)"/g)].map((
    [, id],
  ) => id);
  assert.deepEqual(charts, [
    ...[
      "equity",
      "drawdown",
      "months",
      "sharpe",
      "pnl",
      "holding",
      "excursion",
      "ticker",
      "strategy",
    ],
    ...["rewards", "learning-rate"],
  ]);
  // Each in two sizes, with a title, a text alternative and values on hover.
  const drawings = [...page.matchAll(/<svg class="(?:wide|narrow)"[^>]*>[^]*?<\/svg>/g)];
  assert.equal(drawings.length, 2 * charts.length);
  for (const [svg] of drawings) {
    assert.match(svg, /^<svg[^>]* role="img"/);
    assert.match(svg, /aria-label="[^"]+"/);
    assert.match(svg, /aria-description="[^"]+"/);
    assert.match(svg, /<title>[^<]+<\/title>/);
  }
});

Deno.test("stored metrics that differ from the computed ones are pointed out", async () => {
  using directory = await demoDirectory();
  execute(
    directory.file("trading.db"),
    "UPDATE performance_metrics SET sharpe_ratio = sharpe_ratio + 0.5, win_rate_30d = 100 * win_rate_30d",
  );
  const { differences } = await computeReport({ dataDir: directory.path });
  assert.deepEqual(differences.map(({ metric }) => metric), ["sharpe_ratio"]);
  // Some of the rows have different figures, which is not a contradiction.
  const part = await computeReport({ dataDir: directory.path, strategy: "momentum" });
  assert.deepEqual(part.differences, []);
  assert.equal(part.trades.all.trades, part.groups.strategy[0]?.trades);
});

Deno.test("five years of snapshots and 100,000 trades make a page of moderate size", async () => {
  const many = reportOf({
    snapshots: snapshots(
      Array.from({ length: 1826 }, (_, at) => 1000 + at + 50 * Math.sin(at / 9)),
    ),
    trades: Array.from({ length: 100_000 }, (_, at) => ({
      ...TRADE,
      pnl: Math.sin(at) * 100,
      closedAt: TRADE.closedAt + at * 60,
      ticker: `T${at % 700}`,
      adverseExcursion: at % 13,
    })),
  });
  const page = await renderReport(many);
  checkPage(page);
  assert.ok(page.length < 3_000_000, `${page.length} characters`);
});

/** Texts of a page's visible drawings that overlap, or lie outside their card. */
const OVERLAPS = `(() => {
  const found = [];
  for (const figure of document.querySelectorAll("figure")) {
    const card = figure.getBoundingClientRect();
    const texts = [...figure.querySelectorAll("svg text")]
      .map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0);
    for (const [at, { text, box }] of texts.entries()) {
      if (box.left < card.left - 1 || box.right > card.right + 1) found.push(figure.id + ": " + text + " is outside");
      for (const other of texts.slice(at + 1)) {
        const across = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const down = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (across > 1 && down > 2) found.push(figure.id + ": " + text + " / " + other.text);
      }
    }
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the window");
  return found;
})()`;

Deno.test({
  name:
    "Chromium shows the pages without a message, a request or overlapping text, at 1280 and 390 pixels" +
    (chromium === null ? " (skipped: there is no chromium)" : ""),
  ignore: chromium === null,
  fn: async () => {
    using directory = await demoDirectory();
    const pages: Readonly<Record<string, string>> = {
      demo: await renderReport(await computeReport({ dataDir: directory.path })),
      hostile: await renderReport(reportOf(CASES["hostile text"]?.[0] ?? {})),
      years: await renderReport(reportOf({
        snapshots: snapshots(
          Array.from({ length: 3 * 365 }, (_, at) => 1e7 + 1e6 * Math.sin(at / 40)),
        ),
      })),
      empty: await renderReport(reportOf({})),
    };
    await using browser = await Page.start(chromium ?? "");
    for (const [name, page] of Object.entries(pages)) {
      const path = directory.file(`${name}.html`);
      await Deno.writeTextFile(path, page);
      for (const width of [1280, 390]) {
        await browser.open(path, { width, dark: width === 390 });
        assert.deepEqual(await browser.evaluate(OVERLAPS), [], `${name} at ${width}`);
        const headings = await browser.evaluate<string[]>(
          "[...document.querySelectorAll('h1, h2')].map((one) => one.textContent)",
        );
        const titles = [
          "Trading report",
          "Account",
          "Closed positions",
          "Orders and fills",
          "Training",
        ];
        for (const title of titles) assert.ok(headings.includes(title), `${title} of ${name}`);
      }
    }
    await browser.open(directory.file("demo.html"), { width: 1280 });
    const figures = await browser.evaluate<string>("document.querySelector('main').innerText");
    for (
      const text of [
        "Trading report",
        "Sharpe ratio",
        "0.84",
        "k = 252",
        "Maximum drawdown",
        "CAGR",
      ]
    ) {
      assert.ok(figures.includes(text), text);
    }
    // The ticker is shown as text.
    await browser.open(directory.file("hostile.html"), { width: 1280 });
    assert.equal(await browser.evaluate("document.scripts.length"), 0);
    assert.match(
      await browser.evaluate<string>("document.body.innerText"),
      /<script>alert\(1\)<\/script>/,
    );
    const messages = browser.events.filter(({ method }) =>
      /^(Runtime\.(consoleAPICalled|exceptionThrown)|Log\.entryAdded|Page\.javascriptDialogOpening)$/
        .test(method)
    );
    assert.deepEqual(messages, []);
    const requests = browser.events.flatMap(({ method, params }) =>
      method === "Network.requestWillBeSent" ? [JSON.stringify(params)] : []
    ).filter((request) => !request.includes(`file://${directory.path}`));
    assert.deepEqual(requests, []);
  },
});
