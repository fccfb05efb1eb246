import { bundledMigrations } from "../../migrations/mod.ts";
import { dbmateCall, type DbmateProject, writeProject } from "./dbmate.ts";
import { generatedMigrations } from "./generated.ts";
import { type Candidate, type CommandLine, measure, runToEnd } from "./measure.ts";
import { peakBytes } from "./memory.ts";
import { type Cells, type Check, type Line, memoryCells, timingCells } from "./report.ts";
import { DATABASES, denoRun, makeFloorDatabases, type Workspace } from "./workspace.ts";

/** What every scenario needs. */
export interface Bench {
  readonly workspace: Workspace;
  /** Path of dbmate's executable; null omits its rows. */
  readonly dbmate: string | null;
  /** Whether peak memory can be measured. */
  readonly memory: boolean;
  /** Measured runs of each candidate. */
  readonly runs: number;
}

/** One size of {@link manyMigrations}. */
export interface ManyOptions {
  /** Number of migrations. */
  readonly count: number;
  /** Measured runs of each candidate. */
  readonly runs: number;
  /** Longest time as a multiple of dbmate's. */
  readonly limit: number;
}

/** Longest time of a start with nothing to do. */
export const FLOOR_LIMIT: Check & { kind: "ratio" } = { kind: "ratio", to: "floor", limit: 1.8 };
const DBMATE_LIMIT: Check = { kind: "ratio", to: "dbmate", limit: 1 };

/** `upgrade` and `status` with everything applied, compared with the floor and three calls of dbmate. */
export function nothingToDo({ workspace, dbmate, memory, runs }: Bench): Cells[] {
  const floor = workspace.empty("floor");
  makeFloorDatabases(floor);
  const data = workspace.empty("data");
  // The first, unmeasured call creates the databases.
  const upgrade = denoRun("../../cli.ts", "upgrade", "--data-dir", data);
  const status = denoRun("../../cli.ts", "status", "--data-dir", data);
  const candidates: Candidate[] = [
    { name: "floor", commands: [denoRun("floor.ts", floor)] },
    { name: "upgrade", commands: [upgrade] },
    { name: "status", commands: [status] },
  ];
  if (dbmate !== null) {
    const projects = bundledProjects(workspace, workspace.empty("dbmate_data"));
    for (const project of projects) runToEnd(dbmateCall(dbmate, { ...project, call: "up" }));
    candidates.push({ name: "dbmate", commands: calls(dbmate, projects, "status") });
  }
  const checks = [FLOOR_LIMIT, DBMATE_LIMIT];
  const cells = timingCells(measure(candidates, { runs }), [
    { title: "floor: an empty script opens four databases", name: "floor" },
    { title: "dbmate status, three calls", name: "dbmate" },
    { title: "upgrade, nothing to do", name: "upgrade", checks },
    { title: "status", name: "status", checks },
  ]);
  if (!memory) return cells;
  return [
    ...cells,
    memoryRow("peak memory: floor", denoRun("floor.ts", floor)),
    memoryRow("peak memory: upgrade, nothing to do", upgrade),
    memoryRow("peak memory: status", status),
  ];
}

/** `upgrade` in an empty directory, compared with three calls of dbmate. */
export function creating({ workspace, dbmate, runs }: Bench): Cells[] {
  const data = workspace.empty("new");
  const candidates: Candidate[] = [{
    name: "upgrade",
    prepare: () => workspace.empty("new"),
    commands: [denoRun("../../cli.ts", "upgrade", "--data-dir", data)],
  }];
  if (dbmate !== null) {
    const projects = bundledProjects(workspace, workspace.empty("dbmate_new"));
    candidates.push({
      name: "dbmate",
      prepare: () => workspace.empty("dbmate_new"),
      commands: calls(dbmate, projects, "up"),
    });
  }
  return timingCells(measure(candidates, { runs }), [
    { title: "dbmate up, three new databases", name: "dbmate" },
    {
      title: "upgrade, three new databases",
      name: "upgrade",
      checks: [{ kind: "ratio", to: "dbmate", limit: 1.1 }],
    },
  ]);
}

/** Generated migrations on one database with the library, compared with dbmate and the same files. */
export function manyMigrations(bench: Bench, { count, runs, limit }: ManyOptions): Cells[] {
  const { workspace, dbmate, memory } = bench;
  const many = denoRun("many.ts", String(count), workspace.empty("many"));
  // Its first, unmeasured call applies them.
  const again = denoRun("many.ts", String(count), workspace.empty("applied"));
  const candidates: Candidate[] = [
    { name: "upgrade", prepare: () => workspace.empty("many"), commands: [many] },
    { name: "no-op", commands: [again] },
  ];
  if (dbmate !== null) {
    const migrationsDir = workspace.empty("dbmate_many_migrations");
    writeProject(migrationsDir, generatedMigrations(count));
    const database = `${workspace.empty("dbmate_many")}/main.db`;
    candidates.push({
      name: "dbmate",
      prepare: () => workspace.empty("dbmate_many"),
      commands: calls(dbmate, [{ database, migrationsDir }], "up"),
    });
  }
  const number = count.toLocaleString("en");
  const lines: Line[] = [
    { title: `dbmate up, ${number} migrations`, name: "dbmate" },
    {
      title: `upgrade, ${number} migrations`,
      name: "upgrade",
      checks: [{ kind: "ratio", to: "dbmate", limit }],
    },
    {
      title: `nothing to do, ${number} applied`,
      name: "no-op",
      checks: [{ kind: "time", limitMs: 300 }],
    },
  ];
  const cells = timingCells(measure(candidates, { runs }), lines);
  if (!memory) return cells;
  return [...cells, memoryRow(`peak memory: nothing to do, ${number} applied`, again)];
}

/** dbmate's projects for the bundled migrations, one for each database. */
function bundledProjects(workspace: Workspace, data: string): DbmateProject[] {
  const migrations = workspace.empty("dbmate_migrations");
  return DATABASES.map((name) => {
    const migrationsDir = `${migrations}/${name}`;
    writeProject(migrationsDir, bundledMigrations.filter(({ database }) => database === name));
    return { database: `${data}/${name}.db`, migrationsDir };
  });
}

function calls(
  binary: string,
  projects: readonly DbmateProject[],
  call: "up" | "status",
): CommandLine[] {
  return projects.map((project) => dbmateCall(binary, { ...project, call }));
}

function memoryRow(title: string, command: CommandLine): Cells {
  try {
    return memoryCells(title, peakBytes(command));
  } catch (error) {
    return [title, "failed", "", "", "", error instanceof Error ? error.message : "unknown"];
  }
}
