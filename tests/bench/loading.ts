import { generatedMigrations } from "./generated.ts";
import { measure, runToEnd } from "./measure.ts";
import { type Cells, type Check, timingCells } from "./report.ts";
import type { Bench } from "./scenarios.ts";
import { denoRun } from "./workspace.ts";

/** One size of {@link loading}. */
export interface LoadingOptions {
  /** Number of files. */
  readonly count: number;
  /** Measured runs of each candidate. */
  readonly runs: number;
}

const LIMIT: Check = { kind: "time", limitMs: 1000 };

/** Loads, checks and plans a directory of generated SQL files, with none and with all of them applied. */
export function loading({ workspace }: Bench, { count, runs }: LoadingOptions): Cells[] {
  const directory = workspace.empty("migration_files");
  const files = generatedMigrations(count + 3).slice(3); // the first three numbers are bundled
  for (const { name, upgrade, downgrade } of files) {
    Deno.writeTextFileSync(
      `${directory}/${name}.sql`,
      `-- database: trading\n\n-- migrate:up\n${upgrade}\n\n-- migrate:down\n${downgrade}\n`,
    );
  }
  const pending = workspace.empty("files_pending");
  const applied = workspace.empty("files_applied");
  runToEnd(denoRun("mark_files.ts", applied, directory));
  // Not `upgrade --dry-run`, which also tries pending migrations on a scratch database.
  const plan = (data: string) => denoRun("plan_files.ts", data, directory);
  const candidates = [
    { name: "pending", commands: [plan(pending)] },
    { name: "applied", commands: [plan(applied)] },
  ];
  const number = count.toLocaleString("en");
  return timingCells(measure(candidates, { runs }), [
    { title: `load and plan ${number} SQL files, none applied`, name: "pending", checks: [LIMIT] },
    { title: `load and plan ${number} SQL files, all applied`, name: "applied", checks: [LIMIT] },
  ]);
}
