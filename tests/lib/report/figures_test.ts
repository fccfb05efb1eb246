import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { episodeSeries, orderFigures, trainingFigures } from "../../../lib/report/activity.ts";
import { equityFigures } from "../../../lib/report/equity.ts";
import {
  equityCurve,
  type EquityRow,
  histogram,
  maxDrawdown,
  monthlyReturns,
  quantile,
  rollingSharpe,
  sampleDeviation,
  sharpeRatio,
  sortinoRatio,
  sum,
} from "../../../lib/report/statistics.ts";
import { groupTrades, type Trade, tradeFigures } from "../../../lib/report/trade_figures.ts";

const DAY = 86_400;
const MONDAY = Date.UTC(2025, 0, 6, 21) / 1000;

/** Snapshots on consecutive weekdays, with a daily P&L that explains each change. */
function weekdays(equity: readonly (number | null)[]): EquityRow[] {
  return equity.map((value, at) =>
    row(Math.floor(at / 5) * 7 + at % 5, value, {
      dailyPnl: at === 0 || value === null ? 0 : value - (equity[at - 1] ?? value),
    })
  );
}

function row(
  day: number,
  equity: number | null,
  { dailyPnl = null }: { readonly dailyPnl?: number | null } = {},
): EquityRow {
  const time = MONDAY + day * DAY;
  return { time, date: new Date(time * 1000).toISOString().slice(0, 10), equity, dailyPnl };
}

function near(actual: number | null | undefined, expected: number): void {
  assert.ok(
    typeof actual === "number" &&
      Math.abs(actual - expected) <= 1e-9 * Math.max(1, Math.abs(expected)),
    `${actual} is not ${expected}`,
  );
}

function trade(pnl: number, more: Partial<Trade> = {}): Trade {
  return {
    ticker: "AAA",
    side: "long",
    quantity: 10,
    entryPrice: 100,
    pnl,
    stopPrice: null,
    closedAt: MONDAY,
    holdingHours: 1,
    exitReason: "manual",
    strategy: null,
    regime: null,
    signalScore: null,
    adverseExcursion: null,
    ...more,
  };
}

Deno.test("returns, drawdown and ulcer index of a small curve match figures computed by hand", () => {
  // 100, 110 (+10 %), 99 (-10 %), 88 (-1/9), 110 (+25 %), 121 (+10 %)
  const points = equityCurve(weekdays([100, 110, 99, 88, 110, 121]));
  assert.equal(points[0]?.return, null);
  for (const [at, value] of [0.1, -0.1, -1 / 9, 0.25, 0.1].entries()) {
    near(points[at + 1]?.return, value);
  }
  assert.deepEqual(maxDrawdown(points), {
    depth: points[3]?.drawdown,
    peak: "2025-01-07",
    trough: "2025-01-09",
    recovery: "2025-01-10",
    days: 3,
  });
  near(points[3]?.drawdown, -0.2);
  const figures = equityFigures(weekdays([100, 110, 99, 88, 110, 121]));
  // Drawdowns in percent: 0, 0, -10, -20, 0, 0.
  near(figures?.ulcerIndex, Math.sqrt(500 / 6));
  near(figures?.totalReturn, 0.21);
  near(figures?.bestDay, 0.25);
  near(figures?.worstDay, -1 / 9);
});

Deno.test("the first peak is the starting balance", () => {
  const drawdown = maxDrawdown(equityCurve(weekdays([100, 90, 95])));
  assert.equal(drawdown?.peak, "2025-01-06");
  assert.equal(drawdown?.recovery, null);
  assert.equal(drawdown?.days, 2);
  near(drawdown?.depth, -0.1);
});

Deno.test("Sharpe and Sortino ratios match figures computed by hand", () => {
  // mean 0.01; deviations 0.01, -0.02, 0.01: sd = sqrt(0.0006 / 2); downside = sqrt(0.0001 / 3)
  near(sharpeRatio([0.02, -0.01, 0.02], 252), 0.01 / Math.sqrt(0.0003) * Math.sqrt(252));
  near(sortinoRatio([0.02, -0.01, 0.02], 365), 0.01 / Math.sqrt(0.0001 / 3) * Math.sqrt(365));
  assert.equal(sharpeRatio([0.01, 0.01, 0.01], 252), null);
  assert.equal(sortinoRatio([0.01, 0], 252), null);
  assert.equal(sharpeRatio([], 252), null);
});

Deno.test("a change that daily_pnl does not explain is a deposit, and the return is daily_pnl", () => {
  const rows = [
    row(0, 1000, { dailyPnl: 0 }),
    row(1, 1010, { dailyPnl: 10 }),
    row(2, 1515.05, { dailyPnl: 5.05 }), // and 500 deposited
    row(3, 1300, { dailyPnl: -15.05 }), // and 200 withdrawn
    row(4, 1313.004, { dailyPnl: 13 }), // rounded
  ];
  const points = equityCurve(rows);
  near(points[2]?.return, 5.05 / 1010);
  near(points[2]?.flow, 500);
  near(points[3]?.flow, -200);
  assert.equal(points[4]?.flow, 0);
  const figures = equityFigures(rows);
  assert.equal(figures?.flows, 2);
  near(figures?.netFlow, 300);
  near(
    figures?.totalReturn,
    1.01 * (1 + 5.05 / 1010) * (1 - 15.05 / 1515.05) * (1313.004 / 1300) - 1,
  );
  assert.match(figures?.notes.join() ?? "", /2 changes in equity are not explained/);
});

Deno.test("a daily_pnl that is 0 in every row was not recorded", () => {
  const figures = equityFigures([
    row(0, 100),
    row(1, 110, { dailyPnl: 0 }),
    row(2, 99, { dailyPnl: 0 }),
  ]);
  assert.equal(figures?.flows, 0);
  near(figures?.totalReturn, -0.01);
  assert.match(figures?.notes.join() ?? "", /daily_pnl is not recorded/);
});

Deno.test("a year has 365 periods if there are snapshots on weekends", () => {
  assert.equal(equityFigures(weekdays([1, 2, 3]))?.periodsPerYear, 252);
  assert.equal(equityFigures([row(4, 1), row(5, 2)])?.periodsPerYear, 365);
});

Deno.test("annual figures match figures computed by hand", () => {
  // 365.25 days from 100 to 121, by way of 110 and 88.
  const rows = [row(0, 100), row(100, 110), row(200, 88), row(365.25, 121)];
  const figures = equityFigures(rows);
  near(figures?.cagr, 0.21);
  near(figures?.calmar, 0.21 / 0.2);
  near(figures?.volatility, (sampleDeviation([0.1, -0.2, 0.375]) ?? 0) * Math.sqrt(252));
  assert.match(figures?.notes.join() ?? "", /3 gaps between snapshots are longer than a week/);
});

Deno.test("a period under 90 days is not annualised", () => {
  const short = equityFigures([row(0, 100), row(40, 110), row(89, 105)]);
  for (const name of ["sharpe", "sortino", "volatility", "cagr", "calmar"] as const) {
    assert.equal(short?.[name], null);
    assert.equal(short?.reasons[name], "period too short");
  }
  assert.notEqual(equityFigures([row(0, 100), row(40, 110), row(90, 105)])?.cagr, null);
});

Deno.test("an empty, single, zero, negative or missing equity gives null with a reason, never NaN", () => {
  const cases: readonly (readonly (number | null)[])[] = [
    [100],
    [0, 0],
    [100, 0, 50],
    [100, -20, 30],
    [-5, -6, 7],
    [100, 100, 100],
    [100, null, 120],
    [Number.NaN, 100],
  ];
  assert.equal(equityFigures([]), null);
  assert.equal(equityFigures(weekdays([null])), null);
  for (const equity of cases) {
    for (const scale of [1, 40]) {
      const figures = equityFigures(equity.map((value, at) => row(at * scale, value)));
      assert.doesNotMatch(
        JSON.stringify(figures, (_, value) => Number.isNaN(value) ? "NaN" : value),
        /NaN/,
      );
      for (const [name, value] of Object.entries(figures ?? {})) {
        if (typeof value === "number") assert.ok(Number.isFinite(value), `${name} of ${equity}`);
      }
    }
  }
  assert.equal(equityFigures(weekdays([100]))?.reasons.totalReturn, "needs two snapshots");
});

Deno.test("monthly returns are compounded", () => {
  const months = monthlyReturns(
    equityCurve([row(0, 100), row(7, 110), row(14, 121), row(30, 60.5)]),
  );
  assert.deepEqual(months.map(({ year, month }) => [year, month]), [[2025, 1], [2025, 2]]);
  near(months[0]?.return, 0.21);
  near(months[1]?.return, -0.5);
});

Deno.test("the rolling Sharpe ratio starts when the window is full", () => {
  const points = equityCurve(weekdays([100, 101, 100, 102, 101, 103]));
  const rolling = rollingSharpe(points, 3);
  assert.equal(rolling.length, 3);
  const returns = points.flatMap((one) => one.return ?? []);
  near(rolling[1]?.sharpe, sharpeRatio(returns.slice(1, 4), 252) ?? NaN);
});

Deno.test("figures of trades match figures computed by hand", () => {
  const figures = tradeFigures([
    trade(100, { closedAt: 1, holdingHours: 2, stopPrice: 95 }), // R = 100 / 50 = 2
    trade(50, { closedAt: 2, holdingHours: 4, stopPrice: 90 }), // R = 50 / 100 = 0.5
    trade(0, { closedAt: 3, holdingHours: null }),
    trade(30, { closedAt: 4, holdingHours: 9 }),
    trade(-60, { closedAt: 6, stopPrice: 103, side: "short" }), // R = -60 / 30 = -2
    trade(-20, { closedAt: 5, stopPrice: 100 }), // no risk, no R
  ]);
  assert.equal(figures.trades, 6);
  near(figures.winRate, 0.5);
  assert.equal(figures.breakEven, 1);
  near(figures.profitFactor, 180 / 80);
  near(figures.expectancy, 100 / 6);
  near(figures.averageWin, 60);
  near(figures.averageLoss, -40);
  near(figures.payoffRatio, 1.5);
  near(figures.largestWin, 100);
  near(figures.largestLoss, -60);
  assert.equal(figures.winStreak, 2);
  assert.equal(figures.lossStreak, 2);
  near(figures.medianHoldingHours, 2);
  near(figures.meanHoldingHours, 17 / 5);
  near(figures.meanR, 0.5 / 3);
  assert.equal(figures.tradesWithR, 3);
  near(figures.sqn, Math.sqrt(6) * (100 / 6) / (sampleDeviation([100, 50, 0, 30, -60, -20]) ?? 0));
});

Deno.test("trades without a loss, without a win, a single one and none have reasons instead of figures", () => {
  const winning = tradeFigures([trade(1), trade(2)]);
  assert.equal(winning.profitFactor, null);
  assert.equal(winning.reasons.profitFactor, "no losing trade");
  const losing = tradeFigures([trade(-1), trade(-2)]);
  assert.equal(losing.profitFactor, 0);
  assert.equal(losing.payoffRatio, null);
  assert.equal(tradeFigures([trade(5)]).reasons.sqn, "needs two trades");
  assert.equal(tradeFigures([]).reasons.winRate, "no closed positions");
  assert.equal(tradeFigures([trade(3), trade(3)]).reasons.sqn, "results do not vary");
});

Deno.test("trades are grouped by weekday and hour of closing, by decile of the score and by value", () => {
  const trades = Array.from({ length: 20 }, (_, at) =>
    trade(at - 9, {
      closedAt: MONDAY + at * DAY,
      signalScore: at / 20,
      strategy: at < 5 ? "a" : at < 15 ? "b" : null,
    }));
  assert.deepEqual(
    groupTrades(trades, "weekday").map(({ key, trades }) => [key, trades]),
    [["Monday", 3], ["Tuesday", 3], ["Wednesday", 3], ["Thursday", 3], ["Friday", 3], [
      "Saturday",
      3,
    ], [
      "Sunday",
      2,
    ]],
  );
  assert.deepEqual(groupTrades(trades, "hour").map(({ key }) => key), ["21"]);
  const deciles = groupTrades(trades, "scoreDecile");
  assert.equal(deciles.length, 10);
  assert.deepEqual(deciles[0], {
    key: "1 (0.00 to 0.05)",
    trades: 2,
    winRate: 0,
    totalPnl: -17,
    expectancy: -8.5,
    profitFactor: 0,
  });
  assert.deepEqual(
    groupTrades(trades, "strategy").map(({ key, totalPnl }) => [key, totalPnl]),
    [["(none)", 40], ["b", 5], ["a", -35]],
  );
  const tied = groupTrades(
    [0.5, 0.5, 0.5, null].map((signalScore) => trade(1, { signalScore })),
    "scoreDecile",
  );
  assert.deepEqual(tied.map(({ key, trades }) => [key, trades]), [["1 (0.50 to 0.50)", 3], [
    "(none)",
    1,
  ]]);
});

Deno.test("a histogram has round borders and counts every value once", () => {
  assert.deepEqual(histogram([-10, -1, 0, 4, 5, 10], 4), [
    { from: -10, to: -5, count: 1 },
    { from: -5, to: 0, count: 1 },
    { from: 0, to: 5, count: 2 },
    { from: 5, to: 10, count: 1 },
    { from: 10, to: 15, count: 1 },
  ]);
  assert.equal(sum(histogram([7], 30).map(({ count }) => count)), 1);
  assert.deepEqual(histogram([]), []);
});

Deno.test("figures of orders match figures computed by hand", () => {
  const order = {
    side: "buy",
    status: "filled",
    submittedAt: 100,
    filledAt: 104,
    filledQuantity: 10,
    filledPrice: 50.1,
    expectedPrice: 50,
    slippage: 0.1,
    commission: 1,
    rejectReason: null,
  } as const;
  const figures = orderFigures([
    order,
    { ...order, side: "sell", filledAt: 110, commission: null },
    { ...order, status: "cancelled", filledQuantity: 5, expectedPrice: null, slippage: null },
    { ...order, status: "rejected", filledQuantity: 0, rejectReason: "halted" },
    { ...order, status: "rejected", filledQuantity: 0 },
  ], { fills: 4, commission: 9 });
  assert.equal(figures.filled, 2);
  assert.equal(figures.partiallyFilled, 1);
  assert.deepEqual(figures.rejections, [{ key: "(no reason)", count: 1 }, {
    key: "halted",
    count: 1,
  }]);
  near(figures.medianSecondsToFill, 7);
  near(figures.p95SecondsToFill, 9.7);
  near(figures.slippageCost, 0); // 1 paid more, 1 received more
  near(figures.recordedSlippage, 0.4);
  near(figures.commission, 4);
  assert.equal(
    orderFigures([{ ...order, commission: 0 }], { fills: 1, commission: 2 }).commission,
    2,
  );
  assert.equal(orderFigures([], { fills: 0, commission: 0 }).medianSecondsToFill, null);
});

Deno.test("rewards are averaged exponentially, and thinned if there are many", () => {
  const short = episodeSeries([{ episode: 1, reward: 10 }, { episode: 2, reward: 31 }]);
  near(short.points[1]?.average, 12);
  const many = episodeSeries(
    Array.from({ length: 1000 }, (_, at) => ({ episode: at + 1, reward: at })),
    300,
  );
  assert.equal(many.count, 1000);
  assert.equal(many.points.length, 250);
  assert.deepEqual(
    [many.points[0]?.episode, many.points[0]?.reward, many.points.at(-1)?.episode],
    [4, 1.5, 1000],
  );
  assert.equal(episodeSeries([]).lastReward, null);
});

Deno.test("the leaderboard lists validations, best Sharpe ratio first", () => {
  const run = {
    model: "m",
    status: "completed",
    startedAt: 0,
    learningRate: 0.001,
    episodes: episodeSeries([]),
  };
  const evaluation = {
    type: "validation",
    date: "",
    returnPct: 1,
    maxDrawdownPct: 1,
    winRate: 0.5,
  };
  const figures = trainingFigures({
    runs: [{ ...run, runId: "1", algorithm: "PPO" }, { ...run, runId: "2", algorithm: "SAC" }],
    evaluations: [
      { ...evaluation, runId: "1", sharpe: null },
      { ...evaluation, runId: "1", sharpe: 1 },
      { ...evaluation, runId: "2", sharpe: 3 },
      { ...evaluation, runId: "2", sharpe: 9, type: "train" },
      { ...evaluation, runId: "gone", sharpe: 9 },
    ],
    weights: [{ ensemble: "e", runId: "2", weight: 1 }, {
      ensemble: "e",
      runId: "gone",
      weight: 1,
    }],
  });
  assert.deepEqual(figures.leaderboard.map(({ algorithm, sharpe }) => [algorithm, sharpe]), [
    ["SAC", 3],
    ["PPO", 1],
    ["PPO", null],
  ]);
  assert.equal(figures.weights.length, 1);
  assert.deepEqual(figures.algorithms.map(({ meanSharpe }) => meanSharpe), [3, 1]);
});

const python = spawnSync("python3", ["-c", "import statistics"]).status === 0;

Deno.test({
  name: python
    ? "figures of random series agree with Python's statistics module"
    : "figures of random series agree with Python's statistics module (skipped: no python3)",
  ignore: !python,
  fn: () => {
    let state = 42;
    const random = (): number => (state = state * 48271 % 2147483647) / 2147483647;
    const equity = [100_000];
    for (let at = 0; at < 400; at++) {
      equity.push((equity.at(-1) ?? 0) * (1 + (random() - 0.48) / 50));
    }
    const pnls = Array.from({ length: 300 }, () => Math.round((random() - 0.45) * 100_000) / 100);
    const script = `
import json, math, statistics as st, sys
d = json.load(sys.stdin)
e, p = d["equity"], d["pnls"]
r = [b / a - 1 for a, b in zip(e, e[1:])]
peak, dd = e[0], []
for x in e:
    peak = max(peak, x)
    dd.append(x / peak - 1)
days = d["days"]
cagr = (e[-1] / e[0]) ** (365.25 / days) - 1
wins, losses = [x for x in p if x > 0], [x for x in p if x < 0]
print(json.dumps({
  "sharpe": st.mean(r) / st.stdev(r) * math.sqrt(252),
  "sortino": st.mean(r) / math.sqrt(st.mean([min(x, 0) ** 2 for x in r])) * math.sqrt(252),
  "volatility": st.stdev(r) * math.sqrt(252),
  "cagr": cagr,
  "depth": min(dd),
  "calmar": cagr / abs(min(dd)),
  "ulcer": math.sqrt(st.mean([(100 * x) ** 2 for x in dd])),
  "expectancy": st.mean(p),
  "sqn": math.sqrt(len(p)) * st.mean(p) / st.stdev(p),
  "profitFactor": math.fsum(wins) / -math.fsum(losses),
  "payoff": st.mean(wins) / -st.mean(losses),
  "winRate": len(wins) / len(p),
  "median": st.median(p),
  "p95": st.quantiles(p, n=20, method="inclusive")[-1],
}))`;
    const rows = weekdays(equity);
    const figures = equityFigures(rows);
    const trades = tradeFigures(pnls.map((pnl) => trade(pnl)));
    const { stdout } = spawnSync("python3", ["-c", script], {
      input: JSON.stringify({ equity, pnls, days: figures?.days }),
      encoding: "utf8",
    });
    const expected: Record<string, number> = JSON.parse(stdout);
    const actual: Record<string, number | null | undefined> = {
      sharpe: figures?.sharpe,
      sortino: figures?.sortino,
      volatility: figures?.volatility,
      cagr: figures?.cagr,
      depth: figures?.maxDrawdown?.depth,
      calmar: figures?.calmar,
      ulcer: figures?.ulcerIndex,
      expectancy: trades.expectancy,
      sqn: trades.sqn,
      profitFactor: trades.profitFactor,
      payoff: trades.payoffRatio,
      winRate: trades.winRate,
      median: quantile(pnls, 0.5),
      p95: quantile(pnls, 0.95),
    };
    assert.deepEqual(Object.keys(actual), Object.keys(expected));
    for (const [name, value] of Object.entries(expected)) near(actual[name], value);
  },
});
