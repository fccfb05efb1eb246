import { type MigrationProgress, runOf } from "../engine/apply.ts";
import { requireRoom, sizeOf } from "../base/files.ts";
import {
  CatalystError,
  FormatError,
  InterruptedError,
  MigrationFailedError,
  SchemaConflictError,
  StatementError,
} from "../base/errors.ts";
import type { Inspection } from "../state/inspect.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { fold } from "../sql/tokens.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import type { Place } from "./copies.ts";
import type { RehearsalNotice, RehearsedMigration, Surprise, TimedStatement } from "./result.ts";
import type { Stage, Step } from "./stage.ts";
import { Case } from "./verdict.ts";

/** What is run, and where. */
export interface Course {
  /** The copies. */
  readonly workspace: Workspace;
  readonly place: Place;
  /** What is in the copies before the first migration. */
  readonly found: Inspection;
  /** The copy of a database, open. */
  readonly stageOf: (database: string) => Promise<Stage>;
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What three ways showed. */
export interface Outcome {
  readonly migrations: readonly RehearsedMigration[];
  readonly surprises: readonly Surprise[];
  readonly notices: readonly RehearsalNotice[];
}

/** Statements of a migration that are told. */
const TOLD = 100;

/** Runs migrations up, those that can be rolled back down, and these up again. */
export async function upDownUp(apply: readonly Migration[], course: Course): Promise<Outcome> {
  const cases: Case[] = [];
  const surprises: Surprise[] = [];
  const notices: RehearsalNotice[] = [];
  for (const migration of apply) {
    const up = await goUp(migration, course);
    if (up instanceof CatalystError) {
      surprises.push(failed(migration, up));
      notices.push({
        migration: migration.name,
        reason: "those after it, and all ways back, were not rehearsed",
      });
      break;
    }
    cases.push(await Case.begin(migration, await course.stageOf(migration.database), up));
  }
  if (surprises.length === 0) {
    const { reversible, left } = divide(cases);
    notices.push(...left);
    const stopped = new Set<string>();
    const rolledBack: Case[] = [];
    for (const one of reversible.toReversed()) {
      if (stopped.has(one.migration.database)) continue;
      const down = await goDown(one, course);
      await one.back(await course.stageOf(one.migration.database), down);
      if (down instanceof CatalystError) stopped.add(one.migration.database);
      else rolledBack.unshift(one);
    }
    stopped.clear();
    for (const one of rolledBack) {
      if (stopped.has(one.migration.database)) continue;
      const again = await goUp(one.migration, course);
      await one.again(await course.stageOf(one.migration.database), again);
      if (again instanceof CatalystError) stopped.add(one.migration.database);
    }
  }
  for (const one of cases) notices.push(...one.notices);
  return {
    migrations: cases.map((one) => ({
      ...reportOf(one),
      tables: one.tables,
      surprises: one.surprises,
    })),
    surprises: [...cases.flatMap((one) => one.surprises), ...surprises],
    notices,
  };
}

/** The last migrations of each database that all have a downgrade; without one, none before it goes back. */
function divide(
  cases: readonly Case[],
): { readonly reversible: readonly Case[]; readonly left: readonly RehearsalNotice[] } {
  const left: RehearsalNotice[] = [];
  const barriers = new Map<string, Migration>();
  const reversible: Case[] = [];
  for (const one of cases.toReversed()) {
    const { name, database, downgrade } = one.migration;
    const barrier = barriers.get(database);
    if (barrier !== undefined) {
      left.unshift({
        migration: name,
        reason: `its way back was not rehearsed: ${barrier.name}, which comes after it, has none`,
      });
    } else if (downgrade === undefined) {
      barriers.set(database, one.migration);
      left.unshift({
        migration: name,
        reason: "it has no downgrade, so no way back was rehearsed",
      });
    } else reversible.unshift(one);
  }
  return { reversible, left };
}

async function goUp(migration: Migration, course: Course): Promise<Step | CatalystError> {
  const { workspace, found, signal } = course;
  const run = runOf(workspace, {
    migration,
    checksum: await checksumOf(migration.upgrade),
    safeguard: null,
    found,
    signal,
  });
  return await go(course, migration, "upgrade", (stage) => stage.run(run));
}

async function goDown({ migration, up }: Case, course: Course): Promise<Step | CatalystError> {
  const { workspace, signal } = course;
  const checksum = await checksumOf(migration.downgrade);
  // What a person is asked to confirm: the tables that the upgrade made go with their rows.
  const known = new Set(up.before.tables.map(({ name }) => fold(name)));
  const destroys = up.after.tables.map(({ name }) => name).filter((one) => !known.has(fold(one)));
  return await go(course, migration, "downgrade", (stage) =>
    stage.run({
      migration,
      direction: "downgrade",
      checksum,
      snapshot: null,
      destroys,
      timeout: workspace.timeout,
      idleTimeout: workspace.idleTimeout,
      signal,
    }));
}

async function go(
  { workspace, place, stageOf, onProgress, signal }: Course,
  { id, name, database }: Migration,
  direction: "upgrade" | "downgrade",
  run: (stage: Stage) => Promise<Step>,
): Promise<Step | CatalystError> {
  if (signal?.aborted) {
    throw new InterruptedError(`Cannot rehearse ${name}: interrupted`, {
      help: "nothing of it is left; the databases are as they were",
    });
  }
  const stage = await stageOf(database);
  const { path } = locationOf(workspace, database);
  // The bot needs the same disk: a rehearsal must not be what fills it.
  await requireRoom(place.directory, sizeOf(path) ?? 0, { flag: "--dir" });
  const progress = { direction, id, name, database } as const;
  onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  try {
    const step = await run(stage);
    onProgress?.({ kind: "finished", ...progress, durationSeconds: step.seconds });
    return step;
  } catch (error) {
    if (isOfMigration(error)) return error;
    throw error;
  }
}

/** Whether it is the migration that failed, and not the disk or the like. */
function isOfMigration(error: unknown): error is CatalystError {
  return [MigrationFailedError, SchemaConflictError, StatementError, FormatError]
    .some((kind) => error instanceof kind);
}

function failed({ name, database }: Migration, error: CatalystError): Surprise {
  return {
    code: "upgrade-fails",
    migration: name,
    database,
    table: null,
    reason: error.message,
    fix: error.help ?? "mend the migration",
  };
}

function reportOf(
  { migration, up, downgradeSeconds }: Case,
): Omit<RehearsedMigration, "tables" | "surprises"> {
  const { id, name, database, source, upgrade } = migration;
  const { lockedSeconds, statements } = up.observed;
  const longest = statements.reduce((most, { seconds }) => Math.max(most, seconds), 0);
  const isScript = typeof upgrade === "string";
  const offset = source?.upgradeLine ?? 1;
  return {
    id,
    name,
    database,
    seconds: up.seconds,
    lockedSeconds: migration.transaction === false ? longest : lockedSeconds ?? 0,
    rowsTouched: up.rows,
    statements: slowest(statements).map(({ line, ...statement }) => ({
      ...statement,
      line: isScript && line !== null ? line + offset - 1 : null,
    })),
    downgradeSeconds,
  };
}

function slowest(statements: readonly TimedStatement[]): readonly TimedStatement[] {
  if (statements.length <= TOLD) return statements;
  const limit = statements.map(({ seconds }) => seconds).toSorted((a, b) => b - a)[TOLD - 1] ?? 0;
  return statements.filter(({ seconds }) => seconds >= limit).slice(0, TOLD);
}
