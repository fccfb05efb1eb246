import { DatabaseSync } from "node:sqlite";
import { type CommandLine, measure, runToEnd } from "./measure.ts";
import { type Cells, timingCells } from "./report.ts";
import type { Bench } from "./scenarios.ts";
import { DATABASES, denoRun } from "./workspace.ts";

/** A no-op `upgrade` of 15 databases against one of 4, and `status` of 100 bots. */
export function manyDatabases({ workspace, runs }: Bench): Cells[] {
  const noOp = (count: number): CommandLine => {
    const directory = workspace.empty(`databases_${count}`);
    const names = Array.from({ length: count - DATABASES.length }, (_, at) => `own_${at}`);
    for (const name of names) {
      using database = new DatabaseSync(`${directory}/${name}.db`);
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY);");
    }
    const config = `${directory}/catalyst.json`;
    const databases = Object.fromEntries(names.map((name) => [name, `${name}.db`]));
    Deno.writeTextFileSync(config, JSON.stringify({ databases }));
    // The first, unmeasured call creates the bundled databases.
    return denoRun("../../cli.ts", "upgrade", "--config", config, "--data-dir", directory);
  };
  const bots = workspace.empty("bots");
  for (let bot = 0; bot < 100; bot++) Deno.mkdirSync(`${bots}/${bot}/data`, { recursive: true });
  const everyBot = ["--data-dir", `${bots}/*/data`];
  runToEnd(denoRun("../../cli.ts", "upgrade", "--quiet", ...everyBot));
  return timingCells(
    measure([
      { name: "4", commands: [noOp(4)] },
      { name: "15", commands: [noOp(15)] },
      { name: "bots", commands: [denoRun("../../cli.ts", "status", ...everyBot)] },
    ], { runs }),
    [
      { title: "nothing to do, 4 databases", name: "4" },
      {
        title: "nothing to do, 15 databases",
        name: "15",
        checks: [{ kind: "ratio", to: "4", limit: 1.5 }],
      },
      { title: "status of 100 bots", name: "bots", checks: [{ kind: "time", limitMs: 1500 }] },
    ],
  );
}
