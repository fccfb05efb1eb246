/** The benchmark: complete processes compared with peers in the same run. See README.md. */
import { parseArgs } from "node:util";
import { createOutput } from "../../lib/terminal/output.ts";
import { fetchDbmate } from "./dbmate.ts";
import { dumps } from "./dumps.ts";
import { loading } from "./loading.ts";
import { linting } from "./lint.ts";
import { reasonForNoMemory } from "./memory.ts";
import { rehearsals } from "./rehearsal.ts";
import { manyDatabases } from "./many_databases.ts";
import { type Cells, renderReport } from "./report.ts";
import { type Bench, creating, manyMigrations, nothingToDo } from "./scenarios.ts";
import { snapshots } from "./snapshots.ts";
import { executable, modulesLoaded } from "./startup.ts";
import { Workspace } from "./workspace.ts";

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    dumps: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    rehearsal: { type: "boolean", default: false },
    runs: { type: "string", default: "15" },
  },
});
// Ignore the user's settings.
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
type Part = readonly [title: string, run: () => Cells[]];
const large: readonly Part[] = [
  ["snapshots of a large database", () => snapshots({ ...bench, runs: 5 }, 1.08e9)],
];
const dumping: readonly Part[] = [
  ["dumps of a large database", () => dumps(bench, 1.08e9, { exports: 5, imports: 1 })],
];
const rehearsing: readonly Part[] = [
  ["rehearsal of a migration", () => rehearsals({ ...bench, runs: 5 }, 2e8)],
];
const short: readonly Part[] = [
  ["nothing to do", () => nothingToDo(bench)],
  ["modules loaded", () => modulesLoaded(bench)],
  ["the executable", () => executable(bench)],
  ["creating the databases", () => creating(bench)],
  ["many databases", () => manyDatabases(bench)],
  ["1,000 migrations", () => manyMigrations(bench, { count: 1000, runs: 5, limit: 0.5 })],
  ["10,000 migrations", () => manyMigrations(ten, { count: 10_000, runs: 3, limit: 1 })],
  ["lint of 100 migration files", () => linting({ ...bench, runs: 7 }, 100)],
  ["10,000 migration files", () => loading(bench, { count: 10_000, runs: 5 })],
];
const asked = [
  ...flags.large ? large : [],
  ...flags.dumps ? dumping : [],
  ...flags.rehearsal ? rehearsing : [],
];
const parts = asked.length > 0 ? asked : short;
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
if (!flags.full && parts === short) {
  output.narrate("dbmate with 10,000 migrations is slow: --full measures it too");
}
