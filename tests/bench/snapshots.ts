import { fillTrading } from "./big_database.ts";
import { type Candidate, measure, runToEnd } from "./measure.ts";
import { peakBytes } from "./memory.ts";
import { type Cells, memoryCells, timingCells } from "./report.ts";
import type { Bench } from "./scenarios.ts";
import { denoRun } from "./workspace.ts";

/** Maximum peak memory of a backup in bytes, regardless of the size of the database. */
const MEMORY_LIMIT = 150e6;

/** A backup of a large trading database, compared with the `sqlite3` shell in the same run. */
export function snapshots({ workspace, memory, runs }: Bench, bytes: number): Cells[] {
  const data = workspace.empty("big");
  runToEnd(denoRun("../../cli.ts", "upgrade", "--data-dir", data));
  const trading = `${data}/trading.db`;
  fillTrading(trading, bytes);
  const out = `${workspace.path}/snapshots`;
  const copy = `${workspace.path}/copy.db`;
  const backup = (...flags: string[]) =>
    denoRun("../../cli.ts", "backup", "trading", "--data-dir", data, "--out", out, ...flags);
  const prepare = () => {
    workspace.empty("snapshots");
    Deno.writeTextFileSync(copy, "");
  };
  const candidates: Candidate[] = [
    { name: "shell", prepare, commands: [["sqlite3", trading, `.backup ${copy}`]] },
    {
      name: "shell and check",
      prepare,
      commands: [["sqlite3", trading, `.backup ${copy}`], ["sqlite3", copy, "PRAGMA quick_check"]],
    },
    { name: "none", prepare, commands: [backup("--verify", "none")] },
    { name: "quick", prepare, commands: [backup()] },
  ];
  const size = `${(Deno.statSync(trading).size / 1e9).toFixed(2)} GB`;
  const cells = timingCells(measure(candidates, { runs, warmUps: 1 }), [
    { title: `sqlite3 .backup, ${size}`, name: "shell" },
    { title: "sqlite3 .backup and PRAGMA quick_check", name: "shell and check" },
    {
      title: "backup --verify none",
      name: "none",
      checks: [{ kind: "ratio", to: "shell", limit: 1.1 }],
    },
    {
      title: "backup, with its check and checksum",
      name: "quick",
      checks: [{ kind: "ratio", to: "shell and check", limit: 1 }],
    },
  ]);
  if (!memory) return cells;
  workspace.empty("snapshots");
  return [...cells, memoryCells("peak memory: backup", peakBytes(backup()), MEMORY_LIMIT)];
}
