/**
 * The charts of the page, drawn as SVG while the page is written, so that the page needs no script.
 *
 * Nothing imports this file statically: it loads the chart library, which only `renderReport` needs.
 *
 * @module
 */
import * as Plot from "npm:@observablehq/plot@^0.6.17";
import { parseHTML } from "npm:linkedom@^0.18.12";
import { formatCount } from "../base/format.ts";
import { cleanText, formatNumber, formatPercent } from "./present.ts";
import type { Chart } from "./page.ts";
import type { Report, TradePoint } from "./report.ts";
import type { Bin } from "./statistics.ts";
import type { TradeGroup } from "./trades.ts";

/** The document that the chart library builds its elements in. */
const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as {
  readonly document: NonNullable<Plot.PlotOptions["document"]>;
};

const NARROW = 340;
const HALF = 540;
const FULL = 960;

/** What a chart is drawn from; the size is added for each of its two sizes. */
interface Drawing {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly isWide?: boolean;
  readonly legend?: Chart["legend"];
  /** Height of the wide and the narrow drawing. */
  readonly heights?: readonly [number, number];
  readonly options: (
    size: { readonly width: number; readonly isNarrow: boolean },
  ) => Plot.PlotOptions;
}

function draw(drawing: Drawing): Chart {
  const { isWide = false, legend = [], options } = drawing;
  const [tall, short] = drawing.heights ?? [isWide ? 280 : 260, 220];
  const svg = (width: number, height: number): string => {
    const element = Plot.plot({
      document,
      width,
      height,
      marginLeft: 64,
      marginRight: 16,
      marginBottom: 52,
      marginTop: 28,
      style: { fontSize: "12px", fontFamily: "inherit", background: "none", overflow: "visible" },
      ...options({ width, isNarrow: width === NARROW }),
    });
    // The library's own style sheet is not needed: the page has one.
    for (const style of element.querySelectorAll("style")) style.remove();
    element.removeAttribute("class");
    return element.outerHTML;
  };
  return {
    id: drawing.id,
    title: drawing.title,
    description: drawing.description,
    isWide,
    legend,
    wide: svg(isWide ? FULL : HALF, tall),
    narrow: svg(NARROW, short),
  };
}

/** At most `most` of the items, evenly chosen, always with the last. */
function thin<T>(items: readonly T[], most: number): readonly T[] {
  const step = Math.ceil(items.length / most);
  return step <= 1 ? items : items.filter((_, at) => (items.length - 1 - at) % step === 0);
}

const date = ({ time }: { readonly time: number }): Date => new Date(time * 1000);

function timeAxis(width: number): Plot.ScaleOptions {
  return {
    type: "utc",
    label: "Date (UTC)",
    labelArrow: "none",
    labelAnchor: "center",
    labelOffset: 50, // below the year, which stands below the first month
    ticks: Math.round(width / 110),
  };
}

function valueAxis(label: string, more: Plot.ScaleOptions = {}): Plot.ScaleOptions {
  return { label, labelArrow: "none", grid: true, ticks: 5, ...more };
}

/** Invisible strips that show a value when the pointer is over them. */
function hover<T extends { readonly time: number }>(
  items: readonly T[],
  { width, text }: { readonly width: number; readonly text: (item: T) => string },
): Plot.Markish {
  const strips = thin(items, Math.round(width / 5));
  return Plot.ruleX(strips, {
    x: date,
    title: text,
    stroke: "transparent",
    strokeWidth: Math.max(2, width / Math.max(1, strips.length)),
    className: "hover",
  });
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** Short text for an axis: 12,000 is `12K`. */
function tick(value: number): string {
  return compact.format(value);
}

/** Draws all charts that the report has data for. */
export function drawCharts(report: Report): Chart[] {
  return [
    ...accountCharts(report),
    ...tradeCharts(report),
    ...trainingCharts(report),
  ];
}

function accountCharts({ curve, equity, monthly, rollingSharpe }: Report): Chart[] {
  const first = curve[0];
  const last = curve.at(-1);
  if (equity === null || first === undefined || last === undefined || curve.length < 2) return [];
  const points = thin(curve, 1500);
  const charts = [
    draw({
      id: "equity",
      title: "Equity",
      isWide: true,
      description: `Equity went from ${formatNumber(first.equity)} on ${first.date} to ${
        formatNumber(last.equity)
      } on ${last.date}.`,
      options: ({ width }) => ({
        x: timeAxis(width),
        y: valueAxis("Equity (account currency)", {
          tickFormat: axisFormat(curve.map(({ equity }) => equity)),
        }),
        marks: [
          Plot.lineY(points, { x: date, y: "equity", stroke: "var(--c1)", strokeWidth: 1.8 }),
          Plot.dot(curve.filter(({ flow }) => flow !== 0), {
            x: date,
            y: "equity",
            fill: "var(--c2)",
            r: 4,
          }),
          hover(curve, {
            width,
            text: (one) =>
              `${one.date}: ${formatNumber(one.equity)}` +
              (one.flow === 0
                ? ""
                : ` (${one.flow > 0 ? "deposit" : "withdrawal"} of ${
                  formatNumber(Math.abs(one.flow))
                })`),
          }),
        ],
      }),
      ...(curve.some(({ flow }) => flow !== 0)
        ? { legend: [{ label: "deposit or withdrawal", color: "var(--c2)" }] }
        : {}),
    }),
    draw({
      id: "drawdown",
      title: "Drawdown",
      isWide: true,
      heights: [200, 180],
      description: equity.maxDrawdown === null
        ? "The equity never fell below an earlier value."
        : `The deepest drawdown was ${
          formatPercent(equity.maxDrawdown.depth)
        }, from ${equity.maxDrawdown.peak} to ${equity.maxDrawdown.trough}.`,
      options: ({ width }) => ({
        x: timeAxis(width),
        y: valueAxis("Below the peak (%)"),
        marks: [
          Plot.areaY(points, {
            x: date,
            y: percentOf("drawdown"),
            fill: "var(--c2)",
            fillOpacity: 0.3,
          }),
          Plot.lineY(points, { x: date, y: percentOf("drawdown"), stroke: "var(--c2)" }),
          Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
          hover(curve, { width, text: (one) => `${one.date}: ${formatPercent(one.drawdown)}` }),
        ],
      }),
    }),
  ];
  if (monthly.length > 0) charts.push(heatMap(monthly));
  if (rollingSharpe.length > 1) {
    const values = rollingSharpe.map(({ sharpe }) => sharpe);
    charts.push(draw({
      id: "sharpe",
      title: "Rolling Sharpe ratio, 63 days",
      isWide: true,
      heights: [220, 200],
      description: `Between ${formatNumber(Math.min(...values))} and ${
        formatNumber(Math.max(...values))
      }, at last ${formatNumber(values.at(-1) ?? null)}.`,
      options: ({ width }) => ({
        x: timeAxis(width),
        y: valueAxis("Sharpe ratio (annual)"),
        marks: [
          Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
          Plot.lineY(thin(rollingSharpe, 1500), {
            x: date,
            y: "sharpe",
            stroke: "var(--c1)",
            strokeWidth: 1.6,
          }),
          hover(rollingSharpe, {
            width,
            text: (one) => `${one.date}: ${formatNumber(one.sharpe)}`,
          }),
        ],
      }),
    }));
  }
  return charts;
}

function percentOf<K extends string>(key: K): (item: Readonly<Record<K, number>>) => number {
  return (item) => item[key] * 100;
}

/** Short text where the axis spans much, the number itself where it spans little. */
function axisFormat(values: readonly number[]): (value: number) => string {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const isSmall = Math.max(Math.abs(low), Math.abs(high)) < 1e6;
  return isSmall ? (value) => formatNumber(value, high - low < 5 ? 2 : 0) : tick;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Monthly returns as cells: years above each other on a desk, beside each other on a phone. */
function heatMap(monthly: Report["monthly"]): Chart {
  const years = [...Map.groupBy(monthly, ({ year }) => year)];
  const cells = years.flatMap(([year, months]) => [
    ...months.map((one) => ({
      year: String(year),
      column: MONTHS[one.month - 1] ?? "",
      value: one.return,
    })),
    {
      year: String(year),
      column: "Year",
      value: months.reduce((product, one) => product * (1 + one.return), 1) - 1,
    },
  ]);
  const strongest = cells.reduce((most, { value }) => Math.max(most, Math.abs(value)), 1e-9);
  const best = monthly.reduce((a, b) => (b.return > a.return ? b : a));
  const worst = monthly.reduce((a, b) => (b.return < a.return ? b : a));
  const name = ({ year, month }: { readonly year: number; readonly month: number }): string =>
    `${MONTHS[month - 1]} ${year}`;
  return draw({
    id: "months",
    title: "Monthly returns",
    isWide: true,
    heights: [70 + 34 * years.length, 60 + 22 * 13],
    description: `Best month: ${name(best)} with ${formatPercent(best.return)}. Worst month: ${
      name(worst)
    } with ${formatPercent(worst.return)}.`,
    options: ({ isNarrow }) => {
      const months = {
        domain: [...MONTHS, "Year"],
        label: "Month",
        labelArrow: "none",
        tickSize: 0,
      } as const;
      const yearly = {
        domain: years.map(([year]) => String(year)),
        label: "Year",
        labelArrow: "none",
        tickSize: 0,
      } as const;
      const position = isNarrow
        ? { x: "year", y: "column" } as const
        : { x: "column", y: "year" } as const;
      return {
        padding: 0.06,
        x: { ...(isNarrow ? yearly : months), axis: "top", label: null },
        y: { ...(isNarrow ? months : yearly), label: null },
        marginBottom: 8,
        marginLeft: 48,
        marks: [
          Plot.cell(cells, {
            ...position,
            fill: ({ value }: { value: number }) => value < 0 ? "var(--c2)" : "var(--c1)",
            fillOpacity: ({ value }: { value: number }) => 0.08 + 0.5 * Math.abs(value) / strongest,
            title: ({ year, column, value }: { year: string; column: string; value: number }) =>
              `${column === "Year" ? "All of" : column} ${year}: ${formatPercent(value)}`,
            rx: 3,
          }),
          ...[true, false].map((isTotal) =>
            Plot.text(cells.filter(({ column }) => (column === "Year") === isTotal), {
              ...position,
              text: ({ value }: { value: number }) => formatNumber(value * 100, 1),
              fontWeight: isTotal ? 600 : 400,
              fill: "currentColor",
              fontSize: isNarrow && years.length > 6 ? 9 : 11,
              pointerEvents: "none",
            })
          ),
        ],
        opacity: { type: "identity" },
        color: { type: "identity" },
      };
    },
  });
}

function tradeCharts(report: Report): Chart[] {
  const { groups, pnlHistogram, holdingHistogram, tradePoints } = report;
  if (tradePoints.length === 0) return [];
  const adverse = tradePoints.filter(({ adverseExcursion }) => adverseExcursion !== null);
  const { trades } = report.trades.all;
  const sample = tradePoints.length < trades
    ? ` Shown are ${formatNumber(tradePoints.length, 0)} of ${formatNumber(trades, 0)} trades.`
    : "";
  return [
    histogramChart(pnlHistogram, {
      id: "pnl",
      title: "P&L of closed positions",
      unit: "P&L (account currency)",
      isSigned: true,
    }),
    ...(holdingHistogram.length === 0 ? [] : [
      histogramChart(holdingHistogram, {
        id: "holding",
        title: "Holding time",
        unit: "Holding time (hours)",
        isSigned: false,
      }),
    ]),
    ...(adverse.length === 0 ? [] : [scatterChart(adverse, sample)]),
    ...barChart("ticker", groups.ticker),
    ...barChart("strategy", groups.strategy),
  ];
}

function histogramChart(
  bins: readonly Bin[],
  { id, title, unit, isSigned }: {
    readonly id: string;
    readonly title: string;
    readonly unit: string;
    readonly isSigned: boolean;
  },
): Chart {
  const most = bins.reduce((a, b) => (b.count > a.count ? b : a));
  const range = ({ from, to }: Bin): string => {
    const decimals = Math.abs(to - from) < 1 ? 2 : 0;
    return `${formatNumber(from, decimals)} to ${formatNumber(to, decimals)}`;
  };
  return draw({
    id,
    title,
    description: `Most frequent: ${range(most)}${isSigned ? "" : " hours"}, with ${
      formatNumber(most.count, 0)
    } trades.`,
    options: ({ width }) => ({
      x: { label: unit, labelArrow: "none", ticks: Math.round(width / 90), tickFormat: tick },
      y: valueAxis("Trades"),
      marks: [
        Plot.rectY(bins.filter(({ count }) => count > 0), {
          x1: "from",
          x2: "to",
          y: "count",
          fill: ({ from }: Bin) => isSigned && from < 0 ? "var(--c2)" : "var(--c1)",
          inset: 0.5,
          title: (bin: Bin) => `${range(bin)}: ${formatCount(bin.count, "trade")}`,
        }),
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
      ],
      color: { type: "identity" },
    }),
  });
}

function scatterChart(points: readonly TradePoint[], sample: string): Chart {
  const deepest = points.reduce((most, one) => Math.max(most, one.adverseExcursion ?? 0), 0);
  return draw({
    id: "excursion",
    title: "Adverse excursion against P&L",
    description: `How far the price went against a position, up to ${
      formatNumber(deepest)
    }, and what it earned in the end.${sample}`,
    options: ({ width }) => ({
      x: {
        label: "Maximum adverse excursion (as recorded)",
        labelArrow: "none",
        ticks: Math.round(width / 90),
        tickFormat: tick,
      },
      y: valueAxis("P&L (account currency)", { tickFormat: tick }),
      marks: [
        Plot.ruleY([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
        Plot.dot(points, {
          x: "adverseExcursion",
          y: "pnl",
          r: 3,
          fill: ({ pnl }: TradePoint) => pnl < 0 ? "var(--c2)" : "var(--c1)",
          fillOpacity: 0.55,
          symbol: "circle",
          title: ({ ticker, pnl, adverseExcursion }: TradePoint) =>
            `${cleanText(ticker)}: P&L ${formatNumber(pnl)}, adverse excursion ${
              formatNumber(adverseExcursion)
            }`,
        }),
      ],
      color: { type: "identity" },
    }),
  });
}

const MOST_BARS = 16;

function barChart(name: "strategy" | "ticker", groups: readonly TradeGroup[]): Chart[] {
  const strongest = groups.toSorted((a, b) => Math.abs(b.totalPnl) - Math.abs(a.totalPnl))
    .slice(0, MOST_BARS);
  const shown = groups.filter((one) => strongest.includes(one));
  const [best] = groups;
  const worst = groups.at(-1);
  if (best === undefined || worst === undefined) return [];
  const left = groups.length - shown.length;
  const longest = shown.reduce((most, { key }) => Math.max(most, shorten(key).length), 0);
  const height = 62 + 26 * shown.length;
  return [draw({
    id: name,
    title: `P&L by ${name}`,
    isWide: name === "strategy",
    heights: [height, height],
    description: `Best: ${best.key} with ${formatNumber(best.totalPnl)}. Worst: ${worst.key} with ${
      formatNumber(worst.totalPnl)
    }.${left > 0 ? ` ${left} with a smaller amount are not shown.` : ""}`,
    options: ({ width }) => ({
      marginLeft: Math.min(150, 24 + 7 * longest),
      marginTop: 8,
      x: {
        label: "P&L (account currency)",
        labelArrow: "none",
        grid: true,
        ticks: Math.round(width / 110),
        tickFormat: tick,
      },
      y: {
        domain: shown.map(({ key }) => key),
        label: null,
        tickFormat: shorten,
        tickSize: 0,
        padding: 0.25,
      },
      marks: [
        Plot.barX(shown, {
          x: "totalPnl",
          y: "key",
          fill: ({ totalPnl }: TradeGroup) => totalPnl < 0 ? "var(--c2)" : "var(--c1)",
          title: (one: TradeGroup) =>
            `${cleanText(one.key)}: ${formatNumber(one.totalPnl)} in ${
              formatCount(one.trades, "trade")
            }, ${formatPercent(one.winRate, 1)} won`,
          rx: 2,
        }),
        Plot.ruleX([0], { stroke: "currentColor", strokeOpacity: 0.5 }),
      ],
      color: { type: "identity" },
    }),
  })];
}

function shorten(text: string): string {
  const characters = [...cleanText(text)];
  return characters.length > 16 ? `${characters.slice(0, 15).join("")}…` : text;
}

const COLORS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

function trainingCharts({ training }: Report): Chart[] {
  const charts: Chart[] = [];
  const runs = training.runs.filter(({ episodes }) => episodes.points.length > 1).slice(
    -COLORS.length,
  );
  if (runs.length > 0) {
    const points = runs.flatMap(({ episodes, model }, at) =>
      episodes.points.map((one) => ({ ...one, model, run: String(at), color: COLORS[at] }))
    );
    charts.push(draw({
      id: "rewards",
      title: "Reward per episode",
      description:
        `Exponential average over 20 episodes, with single episodes as dots. Last average: ${
          runs.map(({ model, episodes }) =>
            `${model} ${formatNumber(episodes.points.at(-1)?.average ?? null, 1)}`
          ).join(", ")
        }.`,
      legend: runs.map(({ model }, at) => ({ label: model, color: COLORS[at] ?? "currentColor" })),
      options: ({ width }) => ({
        x: { label: "Episode", labelArrow: "none", ticks: Math.round(width / 90) },
        y: valueAxis("Reward", { tickFormat: tick }),
        color: { type: "identity" },
        marks: [
          Plot.dot(thin(points, 900), {
            x: "episode",
            y: "reward",
            r: 1.2,
            fill: "color",
            fillOpacity: 0.35,
          }),
          Plot.lineY(points, {
            x: "episode",
            y: "average",
            z: "run",
            stroke: "color",
            strokeWidth: 1.8,
          }),
          Plot.dot(thin(points, 240), {
            x: "episode",
            y: "average",
            r: 6,
            fill: "transparent",
            title: ({ model, episode, average }: (typeof points)[number]) =>
              `${cleanText(model)}, episode ${episode}: ${formatNumber(average, 1)}`,
          }),
        ],
      }),
    }));
  }
  const rated = training.leaderboard.filter(({ sharpe, learningRate }) =>
    sharpe !== null && learningRate !== null && learningRate > 0
  );
  if (rated.length > 0) {
    const algorithms = [...new Set(rated.map(({ algorithm }) => algorithm))];
    const colorOf = (algorithm: string): string =>
      COLORS[algorithms.indexOf(algorithm) % COLORS.length] ?? "currentColor";
    charts.push(draw({
      id: "learning-rate",
      title: "Sharpe ratio against learning rate",
      description: `Validations of ${rated.length} ${
        rated.length === 1 ? "agent" : "agents"
      }; best: ${rated[0]?.model} with ${
        formatNumber(rated[0]?.sharpe ?? null)
      } at a learning rate of ${rated[0]?.learningRate}.`,
      legend: algorithms.map((label) => ({ label, color: colorOf(label) })),
      options: ({ isNarrow }) => ({
        x: {
          type: "log",
          label: "Learning rate (logarithmic)",
          labelArrow: "none",
          ticks: isNarrow ? 3 : 6,
          tickFormat: (value: number) => value.toExponential(0),
          nice: true,
        },
        y: valueAxis("Sharpe ratio (validation)", { zero: true, nice: true }),
        color: { type: "identity" },
        marks: [
          Plot.dot(rated, {
            x: "learningRate",
            y: "sharpe",
            r: 6,
            fill: ({ algorithm }: { algorithm: string }) => colorOf(algorithm),
            fillOpacity: 0.85,
            title: (one: (typeof rated)[number]) =>
              `${cleanText(one.model)} (${cleanText(one.algorithm)}): ${
                formatNumber(one.sharpe)
              } at ${one.learningRate}`,
          }),
        ],
      }),
    }));
  }
  return charts;
}
