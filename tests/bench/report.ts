import { formatBytes } from "../../lib/base/format.ts";
import { renderTable } from "../../lib/terminal/text.ts";
import type { Timing, Timings } from "./measure.ts";

/** One comparison of a measured value with its limit. */
export type Check =
  /** Median time as a multiple of another candidate's in the same run. */
  | { readonly kind: "ratio"; readonly to: string; readonly limit: number }
  /** Median time in milliseconds. */
  | { readonly kind: "time"; readonly limitMs: number };

/** A row of the report for one candidate. */
export interface Line {
  /** Its title in the table. */
  readonly title: string;
  /** Name of the candidate. */
  readonly name: string;
  /** The limits. */
  readonly checks?: readonly Check[];
}

/** A line of the table as text: scenario, median, min, ratio, limit, verdict. */
export type Cells = readonly string[];

const MEMORY_LIMIT = 60e6;

/** Titles of the table. */
const HEADER = ["scenario", "median ms", "min ms", "ratio", "limit", "verdict"];

/** Creates the lines of one scenario: one for each candidate, and one for each additional check. */
export function timingCells(timings: Timings, lines: readonly Line[]): Cells[] {
  return lines.flatMap(({ title, name, checks = [] }): Cells[] => {
    const timing = timings.get(name);
    if (timing === undefined) return [];
    if (timing instanceof Error) return [[title, "failed", "", "", "", timing.message]];
    const first = [title, timing.medianMs.toFixed(1), timing.minMs.toFixed(1)];
    const compared = checks.flatMap((check) => checkCells(check, timing, timings));
    if (compared.length === 0) return [first];
    return compared.map((cells, index) => [...(index === 0 ? first : ["", "", ""]), ...cells]);
  });
}

/** Creates the line for peak memory; both in bytes, the limit is 60 MB by default. */
export function memoryCells(title: string, peak: number, limit: number = MEMORY_LIMIT): Cells {
  return [title, "", "", formatBytes(peak), formatBytes(limit), verdict(peak <= limit)];
}

/** Renders the whole report. */
export function renderReport(cells: readonly Cells[]): string {
  return renderTable(cells, {
    header: HEADER,
    align: ["left", "right", "right", "right", "right", "left"],
  });
}

function checkCells(check: Check, own: Timing, timings: Timings): Cells[] {
  if (check.kind === "time") {
    return [["", `${check.limitMs} ms`, verdict(own.medianMs <= check.limitMs)]];
  }
  const other = timings.get(check.to);
  if (other === undefined || other instanceof Error) return [];
  const ratio = own.medianMs / other.medianMs;
  return [[`${ratio.toFixed(2)} x ${check.to}`, `${check.limit}`, verdict(ratio <= check.limit)]];
}

function verdict(within: boolean): string {
  return within ? "ok" : "over";
}
