/**
 * The report as one HTML page that needs no other file, no script and no network.
 *
 * @module
 */
import {
  cleanText,
  formatNumber,
  formatPercent,
  type PresentedFigures,
  type PresentedTable,
  presentFigures,
  presentGroups,
  presentOthers,
  textTable,
} from "./present.ts";
import type { Report } from "./report.ts";
import type { TradeFigures } from "./trade_figures.ts";

/** A chart in two sizes, so that its text is readable on a desktop and on a phone. */
export interface Chart {
  readonly id: string;
  readonly title: string;
  /** What the chart shows, in words. */
  readonly description: string;
  /** Whether it takes the full width of the page on a desktop. */
  readonly isWide: boolean;
  /** SVG for a desktop and for paper. */
  readonly wide: string;
  /** SVG for a phone. */
  readonly narrow: string;
  /** Names of the colours, if there are several. */
  readonly legend: readonly { readonly label: string; readonly color: string }[];
}

/**
 * The exports of `charts.ts`. Nothing imports that file, not even its types: `deno install` would
 * then download the chart library.
 */
export interface ChartModule {
  /** Draws all charts that the report has data for. */
  drawCharts(report: Report): Chart[];
}

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Makes text safe in HTML. */
function escapeHtml(text: string): string {
  return cleanText(text).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}

const STYLE = `
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --text: #1c2530; --soft: #5a6675; --line: #dfe3e8;
  --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #b5549a; --c5: #a87b00; --c6: #3f9ad6; --over: #1c253033; }
@media (prefers-color-scheme: dark) { :root {
  --page: #11161c; --card: #1a2129; --text: #e6eaef; --soft: #9aa7b5; --line: #303a45;
  --c1: #56b4e9; --c2: #f0954a; --c3: #2fc39b; --c4: #e08ec6; --c5: #e6c229; --c6: #9cc9ff; --over: #ffffff33; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1200px; margin: 0 auto; padding: 28px 20px 48px; }
header p { margin: 4px 0 0; color: var(--soft); }
h1 { font-size: 28px; line-height: 1.2; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 36px 0 14px; letter-spacing: -0.005em; }
h3 { font-size: 15px; margin: 0; }
section > p { color: var(--soft); margin: 0 0 12px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; min-width: 0; }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px; }
.columns { columns: 2; column-gap: 16px; margin-top: 16px; }
.columns .card { break-inside: avoid; margin-bottom: 16px; }
.grid > .full { grid-column: 1 / -1; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); padding: 0; overflow: hidden; margin: 0 0 16px; }
.figures div { padding: 12px 16px; border-right: 1px solid var(--line); border-bottom: 1px solid var(--line); margin: 0 -1px -1px 0; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; }
dd b { font-size: 20px; font-weight: 600; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dd b.words { font-size: 15px; font-weight: 500; line-height: 30px; color: var(--soft); }
dd small { display: block; color: var(--soft); font-size: 12px; line-height: 1.4; overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: 13px; margin: 2px 0 6px; overflow-wrap: anywhere; }
figure svg { display: block; width: 100%; height: auto; }
figure svg.narrow { display: none; }
svg .hover line:hover { stroke: var(--over); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 12px; color: var(--soft); list-style: none; margin: 0 0 4px; padding: 0; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 5px; margin-right: 6px; }
.scroll { overflow-x: auto; margin-top: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; }
td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 130px; }
th { color: var(--soft); font-weight: 500; font-size: 12.5px; }
th.n, td.n { text-align: right; }
th:first-child, td:first-child { padding-left: 0; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
.more { color: var(--soft); font-size: 12.5px; margin: 6px 0 0; }
.notes { border-left: 4px solid var(--c5); margin-top: 18px; }
.notes ul { margin: 6px 0 0; padding-left: 18px; }
footer { color: var(--soft); font-size: 12.5px; margin-top: 36px; }
@media screen and (max-width: 760px) {
  main { padding: 20px 12px 36px; }
  .grid { grid-template-columns: minmax(0, 1fr); }
  .columns { columns: 1; }
  .card { padding: 14px 12px; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); padding: 0; }
  .figures div { padding: 10px 12px; }
  dd b { font-size: 17px; }
  figure svg.wide { display: none; }
  figure svg.narrow { display: block; }
  table { font-size: 13px; }
  th, td { padding: 6px 5px; }
  th { white-space: normal; vertical-align: bottom; }
  td:first-child { min-width: 76px; overflow-wrap: break-word; }
  .minor { display: none; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000; --soft: #444; --line: #ccc;
    --c1: #0072b2; --c2: #d55e00; --c3: #009e73; --c4: #b5549a; --c5: #a87b00; --c6: #3f9ad6; }
  @page { margin: 14mm; }
  body { font-size: 12px; }
  main { max-width: none; padding: 0; }
  .card { break-inside: avoid; border-radius: 0; }
  .figures { grid-template-columns: repeat(4, minmax(0, 1fr)); padding: 0; }
  .figures div { break-inside: avoid; }
  dd b { font-size: 15px; }
  h2 { break-after: avoid; margin-top: 20px; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .columns { columns: 1; }
  figure:not(.full) svg.wide { display: none; }
  figure:not(.full) svg.narrow { display: block; }
  .legend i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .scroll { overflow: visible; }
  th, td { padding: 3px 6px; }
}
`;

/** Escapes one of the report's own texts, and uses mathematical signs. */
function prose(text: string): string {
  return escapeHtml(
    text.replace(/(^|[\s(])-(?=\d)/g, "$1−").replaceAll(" - ", " − ").replaceAll(" * ", " × ")
      .replaceAll("t-1", "t−1").replaceAll("sqrt(", "√(").replaceAll("√(k)", "√k")
      .replaceAll("sum(", "Σ(").replaceAll("^2", "²"),
  );
}

/** Writes a report with its charts as a page. */
export function renderPage(report: Report, charts: readonly Chart[]): string {
  const chart = (...ids: readonly string[]): string =>
    charts.filter(({ id }) => ids.includes(id)).map(renderChart).join("");
  const [account, risk, closed, orders] = sections(report);
  const others = presentOthers(report);
  const table = (one: PresentedTable | undefined): string =>
    one === undefined || one.rows.length === 0 ? "" : renderTable(one);
  const hasTraining = report.training.runs.length > 0;
  const title = `Trading report${titleOf(report)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(subtitle(report))}</p>
</header>
${notes(report, others.differences)}
<section>
<h2>Account</h2>
${
    account === undefined
      ? empty("There are no portfolio snapshots, so there is no equity curve.")
      : figures(account)
  }
<div class="grid">${chart("equity", "drawdown", "months")}</div>
</section>
${
    risk === undefined ? "" : `<section>
<h2>Risk</h2>
${figures(risk)}
<div class="grid">${chart("sharpe")}</div>
</section>`
  }
<section>
<h2>Closed positions</h2>
${closed === undefined ? empty("There are no closed positions.") : figures(closed)}
<div class="grid">${chart("pnl", "holding", "excursion", "ticker", "strategy")}</div>
<div class="columns">${
    closed === undefined ? "" : longShort(report) + presentGroups(report).map(renderTable).join("")
  }</div>
</section>
<section>
<h2>Orders and fills</h2>
${orders === undefined ? empty("There are no orders.") : figures(orders)}
<div class="columns">${table(others.rejections)}${table(others.statuses)}</div>
</section>
<section>
<h2>Training</h2>
${hasTraining ? "" : empty("There are no training runs.")}
<div class="grid">${chart("rewards", "learning-rate")}</div>
<div class="columns">${table(others.leaderboard)}${table(others.ensemble)}${
    hasTraining ? table(others.algorithms) : ""
  }</div>
</section>
<footer>Computed ${
    escapeHtml(new Date(report.computedAt * 1000).toISOString().slice(0, 16).replace("T", " "))
  } UTC by catalyst-migrate. Amounts are in the account's currency, times in UTC. Past results say nothing about future ones.</footer>
</main>
</body>
</html>
`;
}

/** Figures by section; undefined for a section without data. */
function sections(report: Report): readonly (PresentedFigures | undefined)[] {
  const all = presentFigures(report).filter(({ figures }) => figures.length > 0);
  return ["Account", "Risk", "Closed positions", "Orders and fills"]
    .map((title) => all.find((one) => one.title === title));
}

function titleOf({ filter: { strategy, ticker } }: Report): string {
  return [strategy, ticker].filter((value) => value !== undefined).map((value) => ` · ${value}`)
    .join("");
}

/** The period that the report covers. */
function subtitle({ equity, filter, trades }: Report): string {
  const day = (seconds: number): string => new Date(seconds * 1000).toISOString().slice(0, 10);
  const from = filter.since === undefined ? equity?.firstDate : day(filter.since);
  const to = filter.until === undefined ? equity?.lastDate : day(filter.until);
  const period = from === undefined ? [] : [`${from} to ${to ?? "now"}`];
  const snapshots = equity === null ? [] : [`${formatNumber(equity.snapshots, 0)} snapshots`];
  return [...period, ...snapshots, `${formatNumber(trades.all.trades, 0)} closed positions`].join(
    " · ",
  );
}

function empty(text: string): string {
  return `<p class="card">${escapeHtml(text)}</p>`;
}

function notes({ notes }: Report, differences: PresentedTable | undefined): string {
  const hasDifferences = differences !== undefined && differences.rows.length > 0;
  if (notes.length === 0 && !hasDifferences) return "";
  const items = notes.map((note) => `<li>${escapeHtml(note)}</li>`).join("");
  return `<section class="card notes" aria-label="Notes"><h3>About the data</h3>${
    items === "" ? "" : `<ul>${items}</ul>`
  }${
    hasDifferences
      ? `<div class="scroll"><p class="more">${escapeHtml(differences.title)}:</p>${
        tableBody(differences)
      }</div>`
      : ""
  }</section>`;
}

function figures({ figures }: PresentedFigures): string {
  const items = figures.map(({ label, text, explanation }) =>
    `<div><dt>${escapeHtml(label)}</dt><dd><b${/^[a-z]/.test(text) ? ' class="words"' : ""}>${
      prose(text)
    }</b><small>${prose(explanation)}</small></dd></div>`
  );
  return `<dl class="card figures">${items.join("")}</dl>`;
}

function longShort({ trades: { long, short } }: Report): string {
  const row = (label: string, show: (one: TradeFigures) => string): readonly string[] => [
    label,
    show(long),
    show(short),
  ];
  return renderTable(textTable("Long against short", "Figure, #Long, #Short", [
    row("Trades", (one) => formatNumber(one.trades, 0)),
    row("Total P&L", (one) => formatNumber(one.totalPnl)),
    row("Win rate", (one) => formatPercent(one.winRate, 1)),
    row("Profit factor", (one) => formatNumber(one.profitFactor)),
    row("Expectancy", (one) => formatNumber(one.expectancy)),
    row("Average win", (one) => formatNumber(one.averageWin)),
    row("Average loss", (one) => formatNumber(one.averageLoss)),
    row("Mean holding time (h)", (one) => formatNumber(one.meanHoldingHours, 1)),
  ]));
}

function renderTable(table: PresentedTable): string {
  return `<div class="card"><h3>${escapeHtml(table.title)}</h3><div class="scroll">${
    tableBody(table)
  }</div>${
    table.more > 0 ? `<p class="more">${table.more} more between the best and the worst.</p>` : ""
  }</div>`;
}

function tableBody({ columns, rows }: PresentedTable): string {
  const cell = (tag: "td" | "th", text: string, at: number): string =>
    `<${tag}${classOf(columns[at])}>${
      columns[at]?.isNumber ? prose(text) : escapeHtml(text).replaceAll("_", "_<wbr>")
    }</${tag}>`;
  return `<table><thead><tr>${
    columns.map(({ label }, at) => cell("th", label, at)).join("")
  }</tr></thead><tbody>${
    rows.map((row) => `<tr>${row.map((text, at) => cell("td", text, at)).join("")}</tr>`).join("")
  }</tbody></table>`;
}

function classOf(column: PresentedTable["columns"][number] | undefined): string {
  const names = [column?.isNumber ? "n" : "", column?.isMinor ? "minor" : ""].filter(Boolean);
  return names.length === 0 ? "" : ` class="${names.join(" ")}"`;
}

function renderChart(chart: Chart): string {
  const { id, title, description, isWide, legend } = chart;
  const items = legend.map(({ label, color }) =>
    `<li><i style="background:${color}"></i>${escapeHtml(label)}</li>`
  );
  const drawing = (name: "wide" | "narrow"): string =>
    chart[name].replace(
      /^<svg/,
      () =>
        `<svg class="${name}" role="img" aria-label="${escapeHtml(title)}" aria-description="${
          escapeHtml(description)
        }"`,
    );
  return `<figure class="card${isWide ? " full" : ""}" id="chart-${id}"><h3>${
    escapeHtml(title)
  }</h3><figcaption>${prose(description)}</figcaption>${
    items.length === 0 ? "" : `<ul class="legend">${items.join("")}</ul>`
  }${drawing("wide")}${drawing("narrow")}</figure>`;
}
