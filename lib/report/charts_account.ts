/**
 * Charts of the account: equity, drawdown, monthly returns, rolling Sharpe ratio.
 *
 * @module
 */
import {
  colorOfSign,
  date,
  draw,
  type Drawing,
  hover,
  Plot,
  thin,
  tick,
  timeAxis,
  valueAxis,
  zeroLine,
} from "./chart_drawing.ts";
import type { Chart } from "./page.ts";
import { formatNumber, formatPercent } from "./present.ts";
import type { Report } from "./report.ts";

/** Draws the charts of the account. */
export function accountCharts({ curve, equity, monthly, rollingSharpe }: Report): Chart[] {
  const first = curve[0];
  const last = curve.at(-1);
  if (equity === null || first === undefined || last === undefined || curve.length < 2) return [];
  const points = thin(curve, 1500);
  const charts = [
    drawOverTime({
      id: "equity",
      title: "Equity",
      description: `Equity went from ${formatNumber(first.equity)} on ${first.date} to ${
        formatNumber(last.equity)
      } on ${last.date}.`,
      y: valueAxis("Equity (account currency)", {
        tickFormat: axisFormat(curve.map(({ equity }) => equity)),
      }),
      marks: (width) => [
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
      ...(curve.some(({ flow }) => flow !== 0)
        ? { legend: [{ label: "deposit or withdrawal", color: "var(--c2)" }] }
        : {}),
    }),
    drawOverTime({
      id: "drawdown",
      title: "Drawdown",
      heights: [200, 180],
      description: equity.maxDrawdown === null
        ? "The equity never fell below an earlier value."
        : `The deepest drawdown was ${
          formatPercent(equity.maxDrawdown.depth)
        }, from ${equity.maxDrawdown.peak} to ${equity.maxDrawdown.trough}.`,
      y: valueAxis("Below the peak (%)"),
      marks: (width) => [
        Plot.areaY(points, {
          x: date,
          y: percentOf("drawdown"),
          fill: "var(--c2)",
          fillOpacity: 0.3,
        }),
        Plot.lineY(points, { x: date, y: percentOf("drawdown"), stroke: "var(--c2)" }),
        Plot.ruleY([0], zeroLine),
        hover(curve, { width, text: (one) => `${one.date}: ${formatPercent(one.drawdown)}` }),
      ],
    }),
  ];
  if (monthly.length > 0) charts.push(heatMap(monthly));
  if (rollingSharpe.length > 1) {
    const values = rollingSharpe.map(({ sharpe }) => sharpe);
    charts.push(drawOverTime({
      id: "sharpe",
      title: "Rolling Sharpe ratio, 63 days",
      heights: [220, 200],
      description: `Between ${formatNumber(Math.min(...values))} and ${
        formatNumber(Math.max(...values))
      }, at last ${formatNumber(values.at(-1) ?? null)}.`,
      y: valueAxis("Sharpe ratio (annual)"),
      marks: (width) => [
        Plot.ruleY([0], zeroLine),
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
    }));
  }
  return charts;
}

/** Draws a wide chart of values over time. */
function drawOverTime(
  { y, marks, ...drawing }: Omit<Drawing, "isWide" | "options"> & {
    readonly y: Plot.ScaleOptions;
    readonly marks: (width: number) => readonly Plot.Markish[];
  },
): Chart {
  return draw({
    ...drawing,
    isWide: true,
    options: ({ width }) => ({ marginBottom: 52, x: timeAxis(width), y, marks: [...marks(width)] }),
  });
}

function percentOf<K extends string>(key: K): (item: Readonly<Record<K, number>>) => number {
  return (item) => item[key] * 100;
}

/** Short text if the axis has a wide range, otherwise the number itself. */
function axisFormat(values: readonly number[]): (value: number) => string {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const isSmall = Math.max(Math.abs(low), Math.abs(high)) < 1e6;
  return isSmall ? (value) => formatNumber(value, high - low < 5 ? 2 : 0) : tick;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Monthly returns as cells: years in rows on a desktop, in columns on a phone. */
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
      const months = { domain: [...MONTHS, "Year"], label: null, tickSize: 0 };
      const yearly = { domain: years.map(([year]) => String(year)), label: null, tickSize: 0 };
      const position = isNarrow
        ? { x: "year", y: "column" } as const
        : { x: "column", y: "year" } as const;
      return {
        padding: 0.06,
        x: { ...(isNarrow ? yearly : months), axis: "top" },
        y: isNarrow ? months : yearly,
        marginBottom: 8,
        marginLeft: 48,
        marks: [
          Plot.cell(cells, {
            ...position,
            fill: ({ value }: { value: number }) => colorOfSign(value),
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
      };
    },
  });
}
