import { fillTrading } from "./big_database.ts";
import { type Candidate, type CommandLine, measure, runToEnd } from "./measure.ts";
import { peakBytes } from "./memory.ts";
import { type Cells, memoryCells, timingCells } from "./report.ts";
import type { Bench } from "./scenarios.ts";
import { denoRun } from "./workspace.ts";

/** Maximum peak memory of an export or import in bytes, regardless of the size of the database. */
const MEMORY_LIMIT = 200e6;

/** How often a large database is exported, and imported. */
export interface DumpRuns {
  readonly exports: number;
  readonly imports: number;
}

/** Export and import of a large trading database, compared with the `sqlite3` shell in the same run. */
export function dumps({ workspace, memory }: Bench, bytes: number, runs: DumpRuns): Cells[] {
  const data = workspace.empty("big");
  runToEnd(denoRun("../../cli.ts", "upgrade", "--data-dir", data));
  const trading = `${data}/trading.db`;
  fillTrading(trading, bytes);
  const dump = `${workspace.path}/shell.sql`;
  const ours = `${workspace.path}/trading.sql`;
  const target = `${workspace.path}/imported`;
  const into = (sql: string): CommandLine => ["sh", "-c", `sqlite3 ${target}/shell.db < ${sql}`];
  const exporting = (...flags: string[]) =>
    denoRun("../../cli.ts", "export", "trading", "--data-dir", data, ...flags);
  const importing = (sql: string) =>
    denoRun("../../cli.ts", "import", sql, "--database", "trading", "--data-dir", target);
  const oneTable = ["--force", "--table", "orders", "--out"];
  const exports: Candidate[] = [
    { name: "shell", commands: [["sh", "-c", `sqlite3 ${trading} .dump > ${dump}`]] },
    { name: "sql", commands: [exporting("--out", ours, "--force")] },
    {
      name: "csv",
      commands: [exporting("--format", "csv", ...oneTable, `${workspace.path}/orders.csv`)],
    },
    {
      name: "jsonl",
      commands: [exporting("--format", "jsonl", ...oneTable, `${workspace.path}/orders.jsonl`)],
    },
  ];
  const prepare = () => void workspace.empty("imported");
  const imports: Candidate[] = [
    { name: "shell", prepare, commands: [into(dump)] },
    { name: "shell, ours", prepare, commands: [into(ours)] },
    { name: "import", prepare, commands: [importing(dump)] },
    { name: "import, ours", prepare, commands: [importing(ours)] },
  ];
  const size = `${(Deno.statSync(trading).size / 1e9).toFixed(2)} GB`;
  const cells = [
    ...timingCells(measure(exports, { runs: runs.exports, warmUps: 1 }), [
      { title: `sqlite3 .dump, ${size}`, name: "shell" },
      { title: "export", name: "sql", checks: [{ kind: "ratio", to: "shell", limit: 0.75 }] },
      {
        title: "export --format csv",
        name: "csv",
        checks: [{ kind: "ratio", to: "sql", limit: 1.5 }],
      },
      {
        title: "export --format jsonl",
        name: "jsonl",
        checks: [{ kind: "ratio", to: "sql", limit: 1.5 }],
      },
    ]),
    ...timingCells(measure(imports, { runs: runs.imports, warmUps: 0 }), [
      { title: "sqlite3 new.db < its own dump", name: "shell" },
      {
        title: "import of the same",
        name: "import",
        checks: [{ kind: "ratio", to: "shell", limit: 0.7 }],
      },
      { title: "sqlite3 new.db < our dump", name: "shell, ours" },
      {
        title: "import of the same",
        name: "import, ours",
        checks: [{ kind: "ratio", to: "shell, ours", limit: 0.7 }],
      },
    ]),
  ];
  if (!memory) return cells;
  const peak = (title: string, command: CommandLine) =>
    memoryCells(`peak memory: ${title}`, peakBytes(command), MEMORY_LIMIT);
  workspace.empty("imported");
  return [
    ...cells,
    peak("export", exporting("--out", ours, "--force")),
    peak("import", importing(ours)),
  ];
}
