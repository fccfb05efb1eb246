import { fileURLToPath } from "node:url";
import { denoRun, makeFloorDatabases } from "./workspace.ts";
import { type Candidate, type CommandLine, measure, runToEnd } from "./measure.ts";
import { type Cells, type Check, timingCells } from "./report.ts";
import { type Bench, FLOOR_LIMIT } from "./scenarios.ts";

/** Longest time of the executable, as a multiple of the time with Deno. */
const EXECUTABLE_LIMIT = 1.2;

/** Maximum size of the executable in bytes, above that of an empty script. */
const SIZE_LIMIT = 15e6;

/** Each command with the least work; `{file}` is a separate file. */
const COMMANDS: readonly string[] = [
  ...["--version", "--help", "upgrade", "status", "verify", "doctor", "history", "schema", "lint"],
  ...["rehearse", "repair", "downgrade --dry-run", "baseline --to 003 --dry-run", "backup"],
  ...["backup list", "restore latest --dry-run", "export trading --out {file}"],
  ...["import {file} --database trading --yes", "squash --to 005 --out {file}.d", "redo --yes"],
  ...["completion bash", "man", "new later --database trading"],
];

/**
 * Start-up time of the standalone executable, compared with the same Deno and files, each compared with
 * its own floor; and the size of the executable.
 */
export function executable({ workspace, runs }: Bench): Cells[] {
  const deno = Deno.env.get("COMPILE_DENO") ?? Deno.execPath();
  const built = workspace.empty("dist");
  runToEnd(denoRun("../../.ci/compile.ts", "--out", built));
  const program = `${built}/catalyst-migrate`;
  const floor = compiled(deno, { script: fileOf("floor.ts"), output: `${built}/floor` });
  const empty = compiled(deno, { script: emptyScript(built), output: `${built}/empty` });

  const floors = workspace.empty("executable_floor");
  makeFloorDatabases(floors);
  const data = ["--data-dir", workspace.empty("executable_data")];
  const cli = [deno, "run", "-A", fileOf("../../cli.ts")] as const;
  runToEnd([program, "upgrade", ...data]);
  const candidates: Candidate[] = [
    { name: "floor", commands: [[deno, "run", "-A", fileOf("floor.ts"), floors]] },
    { name: "compiled floor", commands: [[floor, floors]] },
    { name: "deno status", commands: [[...cli, "status", ...data]] },
    { name: "status", commands: [[program, "status", ...data]] },
    { name: "deno upgrade", commands: [[...cli, "upgrade", ...data]] },
    { name: "upgrade", commands: [[program, "upgrade", ...data]] },
  ];
  const against = (to: string): Check => ({ kind: "ratio", to, limit: EXECUTABLE_LIMIT });
  const own: Check = { ...FLOOR_LIMIT, to: "compiled floor" };
  const size = Deno.statSync(program).size - Deno.statSync(empty).size;
  return [
    ...timingCells(measure(candidates, { runs }), [
      { title: `floor (${version(deno)})`, name: "floor" },
      { title: "floor, as an executable", name: "compiled floor" },
      {
        title: `status (${version(deno)})`,
        name: "deno status",
        checks: [FLOOR_LIMIT],
      },
      {
        title: "status, the executable",
        name: "status",
        checks: [against("deno status"), own],
      },
      {
        title: "upgrade, nothing to do, the executable",
        name: "upgrade",
        checks: [against("deno upgrade"), own],
      },
    ]),
    sizeCells(size),
  ];
}

/** The number of modules that each command runs, and that Deno reads. */
export function modulesLoaded({ workspace }: Bench): Cells[] {
  const place = ["--data-dir", workspace.empty("modules_data")];
  const migrations = workspace.empty("modules_migrations");
  for (const name of ["004_one", "005_two"]) {
    Deno.writeTextFileSync(`${migrations}/${name}.sql`, sqlMigration(name));
  }
  const own = ["--migrations-dir", migrations];
  const file = `${workspace.empty("modules_files")}/trading.sql`;
  runToEnd(denoRun("../../cli.ts", "upgrade", ...place, ...own));
  const known = modulesOf("../../cli.ts");
  return COMMANDS.map((command) => {
    const coverage = workspace.empty("coverage");
    const words = command.replaceAll("{file}", file).split(" ");
    const line = [Deno.execPath(), "run", "-A", `--coverage=${coverage}`] as const;
    runToEnd([...line, fileOf("../../cli.ts"), ...words, ...place, ...own]);
    const run = [...Deno.readDirSync(coverage)].filter(({ name }) => name.endsWith(".json"));
    const title = command.replace(/ (-|\{|\w+ -).*/, "");
    return [`modules run by ${title}`, "", "", `${run.length} of ${known}`];
  });
}

/** A user migration for `squash`. */
function sqlMigration(name: string): string {
  return `-- database: trading
-- migrate:up
CREATE TABLE "${name}" (id INTEGER PRIMARY KEY);
-- migrate:down
DROP TABLE "${name}";
`;
}

function sizeCells(bytes: number): Cells {
  const verdict = bytes <= SIZE_LIMIT ? "ok" : "over";
  const megabytes = (value: number): string => `${(value / 1e6).toFixed(1)} MB`;
  return ["executable over an empty one", "", "", megabytes(bytes), megabytes(SIZE_LIMIT), verdict];
}

interface Compilation {
  readonly script: string;
  readonly output: string;
}

function compiled(deno: string, { script, output }: Compilation): string {
  runToEnd([deno, "compile", "--quiet", "-A", "--no-check", "--output", output, script]);
  return output;
}

function emptyScript(directory: string): string {
  const path = `${directory}/empty.ts`;
  Deno.writeTextFileSync(path, "");
  return path;
}

function version(deno: string): string {
  const { stdout } = new Deno.Command(deno, { args: ["--version"] }).outputSync();
  return `Deno ${/\d+\.\d+\.\d+/.exec(new TextDecoder().decode(stdout))?.[0] ?? "unknown"}`;
}

/** Number of modules that Deno reads before the first one runs. */
function modulesOf(script: string): number {
  const command: CommandLine = [Deno.execPath(), "info", "--json", fileOf(script)];
  const { stdout } = new Deno.Command(command[0], { args: command.slice(1) }).outputSync();
  const info: unknown = JSON.parse(new TextDecoder().decode(stdout));
  if (typeof info !== "object" || info === null || !("modules" in info)) return 0;
  return Array.isArray(info.modules) ? info.modules.length : 0;
}

function fileOf(script: string): string {
  return fileURLToPath(new URL(script, import.meta.url));
}
