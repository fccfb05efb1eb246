/**
 * Charts of closed positions: histograms, adverse excursion, P&L by ticker and strategy.
 *
 * @module
 */
import { formatCount } from "../base/format.ts";
import { colorOfSign, draw, plainAxis, Plot, tick, valueAxis, zeroLine } from "./chart_drawing.ts";
import type { Chart } from "./page.ts";
import { cleanText, formatNumber, formatPercent } from "./present.ts";
import type { Report, TradePoint } from "./report.ts";
import type { Bin } from "./statistics.ts";
import type { TradeGroup } from "./trade_figures.ts";

/** Draws the charts of closed positions. */
export function tradeCharts(report: Report): Chart[] {
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
      x: plainAxis(unit, width),
      y: valueAxis("Trades"),
      marks: [
        Plot.rectY(bins.filter(({ count }) => count > 0), {
          x1: "from",
          x2: "to",
          y: "count",
          fill: ({ from }: Bin) => colorOfSign(isSigned ? from : 0),
          inset: 0.5,
          title: (bin: Bin) => `${range(bin)}: ${formatCount(bin.count, "trade")}`,
        }),
        Plot.ruleY([0], zeroLine),
      ],
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
      x: plainAxis("Maximum adverse excursion (as recorded)", width),
      y: valueAxis("P&L (account currency)", { tickFormat: tick }),
      marks: [
        Plot.ruleY([0], zeroLine),
        Plot.dot(points, {
          x: "adverseExcursion",
          y: "pnl",
          r: 3,
          fill: ({ pnl }: TradePoint) => colorOfSign(pnl),
          fillOpacity: 0.55,
          symbol: "circle",
          title: ({ ticker, pnl, adverseExcursion }: TradePoint) =>
            `${cleanText(ticker)}: P&L ${formatNumber(pnl)}, adverse excursion ${
              formatNumber(adverseExcursion)
            }`,
        }),
      ],
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
      x: valueAxis("P&L (account currency)", {
        ticks: Math.round(width / 110),
        tickFormat: tick,
      }),
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
          fill: ({ totalPnl }: TradeGroup) => colorOfSign(totalPnl),
          title: (one: TradeGroup) =>
            `${cleanText(one.key)}: ${formatNumber(one.totalPnl)} in ${
              formatCount(one.trades, "trade")
            }, ${formatPercent(one.winRate, 1)} won`,
          rx: 2,
        }),
        Plot.ruleX([0], zeroLine),
      ],
    }),
  })];
}

function shorten(text: string): string {
  const characters = [...cleanText(text)];
  return characters.length > 16 ? `${characters.slice(0, 15).join("")}…` : text;
}
