/**
 * The charts of the page, drawn as SVG while the page is written, so that the page needs no script.
 *
 * Nothing imports this file statically: it loads the chart library, which only `renderReport` needs.
 *
 * @module
 */
import { draw, Plot, thin, tick, valueAxis } from "./chart_drawing.ts";
import { accountCharts } from "./charts_account.ts";
import { tradeCharts } from "./charts_trades.ts";
import type { Chart } from "./page.ts";
import { cleanText, formatNumber } from "./present.ts";
import type { Report } from "./report.ts";

/** Draws all charts that the report has data for. */
export function drawCharts(report: Report): Chart[] {
  return [...accountCharts(report), ...tradeCharts(report), ...trainingCharts(report)];
}

const COLORS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];

/** Draws the charts of training runs: rewards, and Sharpe ratios against learning rates. */
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
          inset: 10,
        },
        y: valueAxis("Sharpe ratio (validation)", { zero: true, nice: true }),
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
