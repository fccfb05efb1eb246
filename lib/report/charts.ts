/**
 * The charts of the page, drawn as SVG while the page is written, so that the page needs no script.
 *
 * Nothing imports this file statically: it loads the chart library, which only `renderReport` needs.
 *
 * @module
 */
import { accountCharts } from "./charts_account.ts";
import { tradeCharts } from "./charts_trades.ts";
import { trainingCharts } from "./charts_training.ts";
import type { Chart } from "./page.ts";
import type { Report } from "./report.ts";

/** Draws all charts that the report has data for. */
export function drawCharts(report: Report): Chart[] {
  return [
    ...accountCharts(report),
    ...tradeCharts(report),
    ...trainingCharts(report),
  ];
}
