import type { Fault } from "./finding.ts";
import type { Step } from "../lint/rehearsal.ts";
import type { TableFate } from "./tables.ts";
import { rowChanges } from "../lint/watch.ts";
import { describeRows, type Rehearsed } from "../lint/rules/rule.ts";

/** Seconds for a million rows of some 60 bytes, measured on a server with an SSD and rounded. */
const SECONDS = { index: 1.2, copy: 0.6, update: 0.5, scan: 0.3, rewrite: 0.5, delete: 0.3 };

type Work = keyof typeof SECONDS;

const WORDS: Readonly<Record<Work, string>> = {
  index: "it makes an index over",
  copy: "it copies",
  update: "it updates all",
  scan: "it checks all",
  rewrite: "it rewrites all",
  delete: "it deletes one by one",
};

/** Statements that keep the bot from writing for long, since a table has many rows. */
export async function lockFaults(rehearsed: Rehearsed): Promise<Fault[]> {
  const { at, run, book, largeTable } = rehearsed;
  const faults: Fault[] = [];
  for (const step of run.steps) {
    if (step.forbidden !== null) continue;
    for (const [table, work] of worksOf(step)) {
      const fate: TableFate | undefined = at.get(step)?.named(table);
      if (fate === undefined) continue;
      const rows = await rowsOf(rehearsed, fate, book);
      if (rows === null || rows <= largeTable) continue;
      const seconds = Math.max(1, Math.round(rows / 1e6 * SECONDS[work]));
      faults.push({
        code: "long-lock",
        severity: "warning",
        place: step,
        reason: `${WORDS[work]} ${describeRows(rows)} of "${table}": nobody else can write for ` +
          `about ${seconds} s (an estimate)`,
        fix: "apply it while the bot is stopped; `rehearse` measures how long it takes",
      });
    }
  }
  return faults;
}

/** Rows of a table; one that the migration made has those that were copied into it. */
async function rowsOf(
  { fates }: Rehearsed,
  fate: TableFate,
  book: Rehearsed["book"],
): Promise<number | null> {
  const from = fate.original !== null
    ? [fate]
    : fates.filter((one) => one.copies.some(({ into }) => into === fate));
  const counts = await Promise.all(
    from.map(({ original, name, sources }) => book.count({ name: original ?? name, sources })),
  );
  return counts.reduce((sum, rows) => sum === null || rows === null ? null : sum + rows, 0);
}

/** What a statement does to how many rows: the tables, each with the dearest work. */
function worksOf(step: Step): Map<string, Work> {
  const works = new Map<string, Work>();
  const { deeds, altered } = step;
  for (const { action, first, second } of deeds) {
    if (action === "create-index" && !/^sqlite_autoindex_/i.test(first)) works.set(second, "index");
    if (action === "alter-table" && altered !== null && altered.dropped.length > 0) {
      works.set(second, "rewrite");
    }
    // How ALTER TABLE makes sure that the rows there are keep a new rule.
    if (action === "pragma" && first === "quick_check") works.set(second, "scan");
  }
  const changes = rowChanges(deeds);
  for (const { table, kind, whole } of changes) {
    if (whole && kind === "update") works.set(table, "update");
    // Without triggers SQLite deletes all rows at one stroke.
    if (whole && kind === "delete" && deeds.some(({ cause }) => cause !== null)) {
      works.set(table, "delete");
    }
  }
  const makes = deeds.some(({ action }) => action === "create-table");
  if (makes || changes.some(({ kind }) => kind === "insert")) {
    for (const { action, first, second } of deeds) {
      if (action === "read" && second !== "" && !changes.some(({ table }) => table === first)) {
        works.set(first, "copy");
      }
    }
  }
  return works;
}
