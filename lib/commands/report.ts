import { UsageError } from "../base/errors.ts";
import { didYouMean, formatBytes } from "../base/format.ts";
import { printable, renderTable, type Style, wrapText } from "../terminal/text.ts";
import { writeText } from "../dump/output_file.ts";
import { renderReport } from "../report/make_report.ts";
import {
  formatNumber,
  type PresentedTable,
  presentFigures,
  presentGroups,
  presentOthers,
} from "../report/present.ts";
import type { Migrator } from "../migrator.ts";
import type { Report, ReportFilter } from "../report/report.ts";
import { renderChart } from "../terminal/chart.ts";
import { screenWidth } from "../terminal/output.ts";
import { stringFlag, stringFlags } from "./flags.ts";
import type { Command, CommandContext, FlagValues } from "./command.ts";
import { outputFileOptions } from "./resolve_options.ts";
import type { Documents } from "./json_documents.ts";

/** `report`: trading figures, on the terminal or as a page. */
export const command: Command = {
  name: "report",
  summary: "show how the bot trades: returns, drawdown, win rate, agents",
  flags: {
    "html": { value: "FILE", help: "write a page with charts that works offline" },
    "force": { help: "replace an existing file" },
    "since": { value: "DATE", help: "leave out everything before this date (UTC)" },
    "until": { value: "DATE", help: "leave out everything after this date (UTC)" },
    "strategy": { value: "NAME", help: "only its positions and orders" },
    "ticker": { value: "NAME", help: "only its positions and orders" },
  },
  withoutMigrations: true,
  examples: [
    ["report", "show key figures, charts and tables in the terminal"],
    ["report --html report.html", "write a page for the browser"],
    ["report --since 2025-07-01 --strategy momentum", "show a part of the data"],
    ["report --json", "print all figures and series for a program"],
  ],
  run: async (context: CommandContext) => {
    const { flags, migrator, output } = context;
    const file = stringFlag(flags, "html");
    if (file === "-") {
      throw new UsageError("Cannot write the page to stdout: name a file", {
        help: "use --html report.html",
      });
    }
    if (file !== undefined) await migrator.refuseOccupied(file, outputFileOptions(context));
    const report = await migrator.report(filterOf(flags));
    if (report.trades.all.trades + report.orders.orders === 0) {
      for (const column of ["strategy", "ticker"] as const) {
        await refuseUnknown(migrator, column, stringFlag(flags, column));
      }
    }
    if (file === undefined) {
      output.json({ ok: true, ...report } satisfies Documents["report"]);
      if (!output.isJson) {
        const width = Math.max(40, screenWidth(80));
        output.answer(renderTerminalReport(report, { style: output.answerStyle, width }));
      }
      return 0;
    }
    const size = await writeText(file, await renderReport(report), {
      // Users who may not read the database may not read a report of it, either.
      ...(migrator.databases.includes("trading") ? { like: migrator.pathOf("trading") } : {}),
    });
    output.json({ ok: true, file, size, ...report } satisfies Documents["report"]);
    output.report(`Report written to ${printable(file)} (${formatBytes(size)}).`);
    return 0;
  },
};

const TABLES_WITH_NAMES = [
  ["positions", "closed_positions"],
  ["positions", "positions"],
  ["trading", "orders"],
] as const;

/** A report of a misspelled name would be empty. */
async function refuseUnknown(
  migrator: Migrator,
  column: "strategy" | "ticker",
  wanted: string | undefined,
): Promise<void> {
  if (wanted === undefined) return;
  const names = new Set<string>();
  for (const [database, table] of TABLES_WITH_NAMES) {
    try {
      const sql = `SELECT DISTINCT ${column} FROM ${table} WHERE ${column} IS NOT NULL ORDER BY 1`;
      const { rows } = await migrator.query(database, { sql });
      for (const [name] of rows) names.add(String(name));
    } catch {
      // The report's notes name what is missing.
    }
  }
  if (names.size === 0 || names.has(wanted)) return;
  const shown = [...names].slice(0, 20).join(", ");
  throw new UsageError(`Cannot report: no position or order has the ${column} "${wanted}"`, {
    help: `${didYouMean(wanted, [...names])}those that exist: ${shown}${
      names.size > 20 ? ", ..." : ""
    }`,
  });
}

function filterOf(flags: FlagValues): ReportFilter {
  const since = momentOf(flags, "since");
  const until = momentOf(flags, "until");
  if (since !== undefined && until !== undefined && since > until) {
    throw new UsageError("Cannot report: --since is later than --until", {
      help: "exchange the two dates",
    });
  }
  return {
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    ...stringFlags(flags, "strategy", "ticker"),
  };
}

/** Epoch seconds of a date; a day means its first second, or its last one for `--until`. */
function momentOf(flags: FlagValues, flag: "since" | "until"): number | undefined {
  const text = stringFlag(flags, flag);
  if (text === undefined) return undefined;
  const [, day, time] = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?)Z?)?$/.exec(text) ?? [];
  const seconds = Date.parse(`${day}T${time ?? "00:00"}Z`) / 1000;
  // Date.parse accepts 2025-02-30 as a day in March.
  if (
    day === undefined || Number.isNaN(seconds) ||
    !new Date(seconds * 1000).toISOString().startsWith(day)
  ) {
    throw new UsageError(`Cannot use --${flag} ${JSON.stringify(text)}: it is not a date`, {
      help: `use a day such as --${flag} 2025-07-01, or "2025-07-01 14:30" (UTC)`,
    });
  }
  return flag === "until" && time === undefined ? seconds + 86_399 : seconds;
}

/** The report as text for a terminal of that width. */
export function renderTerminalReport(
  report: Report,
  { style, width }: { readonly style: Style; readonly width: number },
): string {
  const section = (title: string, body: string): string => `${style.bold(title)}\n${body}`;
  const figures = presentFigures(report).flatMap(({ title, figures }) => {
    const rows = figures.map(({ label, text, explanation }) => [label, text, explanation]);
    return rows.length === 0 ? [] : [
      section(title, renderTable(rows, { align: ["left", "right"], width })),
      ...title === "Account" ? charts(report, width).map((chart) => section(...chart)) : [],
    ];
  });
  const groups = presentGroups(report, 12);
  const others = presentOthers(report);
  const tables = [
    ...["Strategy", "Ticker", "Side", "Exit reason"].flatMap((title) =>
      groups.filter((one) => one.title === title)
    ),
    others.rejections,
    others.leaderboard,
    others.ensemble,
    others.differences,
  ].flatMap((one) =>
    one === undefined || one.rows.length === 0 ? [] : [section(one.title, table(one))]
  );
  const notes = [...missing(report), ...report.notes].flatMap((note) =>
    wrapText(printable(note), width - 2).map((line, at) => `${at === 0 ? "- " : "  "}${line}`)
  );
  return [
    ...figures,
    ...tables,
    ...notes.length === 0 ? [] : [section("About the data", notes.join("\n"))],
  ].join("\n\n");
}

function missing({ equity, trades, orders, training }: Report): string[] {
  return [
    equity === null ? "There are no portfolio snapshots, so there is no equity curve." : "",
    trades.all.trades === 0 ? "There are no closed positions." : "",
    orders.orders === 0 ? "There are no orders." : "",
    training.runs.length === 0 ? "There are no training runs." : "",
  ].filter((text) => text !== "");
}

/** Charts with their titles. */
function charts({ curve }: Report, width: number): [title: string, text: string][] {
  if (curve.length < 2) return [];
  const ends = [curve[0]?.date ?? "", curve.at(-1)?.date ?? ""] as const;
  const equity = renderChart(curve.map(({ equity }) => equity), {
    width,
    format: (value) => formatNumber(value, 0),
    ends,
  });
  const drawdowns = curve.map(({ drawdown }) => drawdown * 100);
  if (drawdowns.every((value) => value >= 0)) return [["Equity", equity]];
  const drawdown = renderChart(drawdowns, {
    width,
    height: 7,
    format: (value) => `${formatNumber(value, 1)} %`,
    ends,
    hanging: true,
  });
  return [["Equity", equity], ["Drawdown", drawdown]];
}

function table({ columns, rows, more }: PresentedTable): string {
  const body = renderTable(rows.map((row) => row.map(printable)), {
    header: columns.map(({ label }) => label),
    align: columns.map(({ isNumber }) => isNumber ? "right" : "left"),
  });
  return more > 0 ? `${body}\n${more} more between the best and the worst` : body;
}
