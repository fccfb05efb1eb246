/** The benchmark: whole processes against peers in the same run. See README.md. */
import { parseArgs } from "node:util";
import { createOutput } from "../../lib/terminal/output.ts";
import { fetchDbmate } from "./dbmate.ts";
import { reasonForNoMemory } from "./memory.ts";
import { type Cells, renderReport } from "./report.ts";
import { type Bench, creating, manyMigrations, nothingToDo } from "./scenarios.ts";
import { snapshots } from "./snapshots.ts";
import { Workspace } from "./workspace.ts";

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    full: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    runs: { type: "string", default: "15" },
  },
});
// The user's own settings are not what is measured.
for (const name of Object.keys(Deno.env.toObject())) {
  if (name === "DB_PATH_PREFIX" || name.startsWith("SQLITE_")) Deno.env.delete(name);
}

const output = createOutput();
using workspace = new Workspace();
const dbmate = fetchDbmate(workspace.empty("npm"));
if (dbmate.kind === "missing") output.warn(`dbmate's rows are missing: ${dbmate.reason}`);
const noMemory = reasonForNoMemory();
if (noMemory !== null) output.warn(`the rows of memory are missing: ${noMemory}`);

const bench: Bench = {
  workspace,
  dbmate: dbmate.kind === "found" ? dbmate.binary : null,
  memory: noMemory === null,
  runs: Math.max(1, Number(flags.runs) || 15),
};
const ten: Bench = flags.full ? bench : { ...bench, dbmate: null };
const large: readonly [title: string, run: () => Cells[]][] = [
  ["snapshots of a large database", () => snapshots({ ...bench, runs: 5 }, 1.08e9)],
];
const parts: readonly [title: string, run: () => Cells[]][] = flags.large ? large : [
  ["nothing to do", () => nothingToDo(bench)],
  ["creating the databases", () => creating(bench)],
  ["1,000 migrations", () => manyMigrations(bench, { count: 1000, runs: 5, limit: 0.5 })],
  ["10,000 migrations", () => manyMigrations(ten, { count: 10_000, runs: 3, limit: 1 })],
];
const cells: Cells[] = [];
for (const [title, run] of parts) {
  output.narrate(`measuring: ${title}`);
  try {
    cells.push(...run());
  } catch (error) {
    cells.push([title, "failed", "", "", "", error instanceof Error ? error.message : "unknown"]);
  }
}
output.answer(`Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} processors\n`);
output.answer(renderReport(cells));
if (!flags.full && !flags.large) {
  output.narrate("dbmate with 10,000 migrations takes long: --full measures it too");
}
