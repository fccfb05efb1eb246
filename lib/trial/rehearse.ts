import {
  CatalystError,
  FormatError,
  InterruptedError,
  MigrationFailedError,
  SchemaConflictError,
  StatementError,
} from "../base/errors.ts";
import { requireRoom } from "../base/files.ts";
import { sizeOf } from "../base/paths.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { type MigrationProgress, type Run, runOf } from "../engine/apply.ts";
import { LEASE_SECONDS, statDatabase } from "../database/location.ts";
import { reconcile } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { checksumOf, type Migration } from "../migration/migration.ts";
import { inspect, type Inspection } from "../state/inspect.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import { planWork } from "../state/status.ts";
import { locationOf, type Workspace } from "../state/workspace.ts";
import { RehearsalComparison } from "./comparison.ts";
import {
  copiedWorkspace,
  copyDatabases,
  copyPaths,
  makeRehearsalDirectory,
  type RehearsalDirectory,
} from "./copies.ts";
import { findDataLoss, lint } from "./lint.ts";
import { SERVER_FACTOR } from "./rules_lock.ts";
import { RehearsalDatabase, type RehearsedRun } from "./rehearsal_database.ts";
import type {
  Rehearsal,
  RehearsalNotice,
  RehearsedMigration,
  Surprise,
} from "./rehearse_result.ts";
import { createdTables, type Pass, type Untried, upDownUp } from "./up_down_up.ts";

/** Options for a rehearsal. */
export interface RehearseOptions extends UpgradeRequest {
  /** Directory for the copies. Default: that of the ledger. */
  readonly directory?: string;
  /**
   * Whether to copy the rows of databases on a server, too, not only the schema. Default `false`.
   */
  readonly data?: boolean;
  /** Stops before the next statement; no copies remain. */
  readonly signal?: AbortSignal;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
  /** Called before and after each upgrade and downgrade. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/**
 * Runs the pending migrations up, down and up again on copies of the databases, and removes the
 * copies.
 */
export async function rehearse(
  workspace: Workspace,
  options: RehearseOptions,
): Promise<Rehearsal> {
  const { apply } = await planWork(workspace, await inspect(workspace), options);
  if (apply.length === 0) return nothing;
  const wanted = new Set(apply.map(({ database }) => database));
  const databases = [...workspace.locations.keys()].filter((name) => wanted.has(name));
  using directory = await makeRehearsalDirectory(workspace, options.directory);
  const paths = copyPaths(directory, databases);
  const bytesOf = (name: string) => statDatabase(locationOf(workspace, name)).sizeBytes ?? 0;
  const sum = (names: readonly string[]) => names.reduce((all, name) => all + bytesOf(name), 0);
  const steps = new Steps(
    sum(databases) + sum(apply.map(({ database }) => database)) * STEPS_OF_MIGRATION,
    options.onStep,
  );
  let copying = "";
  const copies = await copyDatabases(workspace, {
    directory,
    paths,
    data: options.data ?? false,
    onShare: (database, share) => {
      if (database !== copying) {
        steps.begin(`copying ${database}`, paths.databases.has(database) ? bytesOf(database) : 0);
      }
      copying = database;
      steps.advance(share);
    },
    signal: options.signal,
  });
  const copied = copiedWorkspace(workspace, paths);
  await using opened = new AsyncDisposableStack();
  const found = await inspect(copied);
  const ids = new Set(apply.map(({ id }) => id));
  // Another migrator may have applied some.
  const pending = (await planWork(copied, found, { outOfOrder: true })).apply
    .filter(({ id }) => ids.has(id));
  const isWithoutRows = (name: string) =>
    options.data !== true && locationOf(workspace, name).kind === "server";
  // A copy without rows does not show which would be lost, so they are counted in the original.
  const refusals = await findRefusals(databases.some(isWithoutRows) ? workspace : copied, pending);
  // Closed before the readers: while one reads, nothing is checkpointed into the copy.
  await using session = await Session.begin(copied, { signal: options.signal });
  await reconcile(copied, session, found);
  const rehearsed = new Map<string, RehearsalDatabase>();
  const outcome = await rehearsePasses(pending, {
    workspace: copied,
    directory,
    found,
    databaseOf: async (name) => {
      let database = rehearsed.get(name);
      if (database === undefined) {
        database = opened.use(await RehearsalDatabase.of(await session.database(name)));
        rehearsed.set(name, database);
      }
      return database;
    },
    begin: (what, database) => steps.begin(what, bytesOf(database)),
    onProgress: options.onProgress,
    signal: options.signal,
  });
  const onServer = await serverFindings(workspace, pending);
  const surprises = [...refusals, ...onServer.surprises, ...outcome.surprises];
  const lockedSeconds = (name: string) =>
    outcome.migrations.filter(({ database }) => database === name)
      .reduce((sum, one) => sum + one.lockedSeconds, 0);
  return {
    ok: surprises.length === 0,
    databases: databases.map((name) => ({
      name,
      sizeBytes: copies.sizes.get(name) ?? 0,
      withRows: !isWithoutRows(name),
      lockedSeconds: lockedSeconds(name),
    })),
    migrations: outcome.migrations,
    surprises,
    notices: [
      ...outcome.notices,
      ...onServer.notices,
      ...slowOnServer(workspace, outcome.migrations),
    ],
    copySeconds: copies.seconds,
    heldSeconds: copies.heldSeconds,
  };
}

/** Each migration is run and examined up, down and up again. */
const STEPS_OF_MIGRATION = 6;

const nothing: Rehearsal = {
  ok: true,
  databases: [],
  migrations: [],
  surprises: [],
  notices: [],
  copySeconds: 0,
  heldSeconds: 0,
};

/** What `upgrade` would refuse before running anything. */
async function findRefusals(
  workspace: Workspace,
  apply: readonly Migration[],
): Promise<Surprise[]> {
  const error = await findDataLoss(workspace, apply);
  if (error === null) return [];
  const { migration = apply[0]?.name ?? "", database = "" } = error;
  return [{
    code: "upgrade-refused",
    migration,
    database,
    table: null,
    reason: `\`upgrade\` would refuse it: ${error.message}`,
    fix: error.help ?? "see what `lint` says",
  }];
}

/** What a copy can't show about databases on a server, whose SQLite differs and which has more rows. */
async function serverFindings(
  workspace: Workspace,
  pending: readonly Migration[],
): Promise<Pick<Rehearsal, "surprises" | "notices">> {
  const own = pending.filter(({ database }) => locationOf(workspace, database).kind === "server");
  if (own.length === 0) return { surprises: [], notices: [] };
  const { findings } = await lint(workspace, { migrations: own.map(({ id }) => id) });
  return {
    surprises: findings.filter(({ code }) => code === "server-refuses")
      .map(({ migration, database, reason, fix }) => ({
        code: "upgrade-fails",
        migration,
        database,
        table: null,
        reason,
        fix,
      })),
    notices: findings.filter(({ code }) => code === "long-lock")
      .map(({ migration, reason, fix }) => ({ migration, reason: `${reason}; ${fix}` })),
  };
}

/** Migrations that take so long with these rows that a server may roll them back. */
function slowOnServer(
  workspace: Workspace,
  migrations: readonly RehearsedMigration[],
): RehearsalNotice[] {
  return migrations.filter(({ database, lockedSeconds }) =>
    locationOf(workspace, database).kind === "server" &&
    lockedSeconds * SERVER_FACTOR > LEASE_SECONDS
  ).map(({ name }) => ({
    migration: name,
    reason: `it may take more than ${LEASE_SECONDS} s on the server, which then rolls it back if ` +
      "another client wants to write: stop the programs that write to this database first",
  }));
}

/** The copies on which migrations are rehearsed. */
interface RehearsalContext {
  /** The copies. */
  readonly workspace: Workspace;
  readonly directory: RehearsalDirectory;
  /** State of the copies before the first migration. */
  readonly found: Inspection;
  /** The open copy of a database. */
  readonly databaseOf: (database: string) => Promise<RehearsalDatabase>;
  /** Reports that a step with a database begins. */
  readonly begin: (what: string, database: string) => void;
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Runs migrations up, down and up again, and compares the content of the databases in between. */
async function rehearsePasses(
  apply: readonly Migration[],
  context: RehearsalContext,
): Promise<Pick<Rehearsal, "migrations" | "surprises" | "notices">> {
  const comparisons = new Map<Migration, RehearsalComparison>();
  const surprises: Surprise[] = [];
  const run = async (migration: Migration, pass: Pass): Promise<boolean> => {
    const comparison = comparisons.get(migration);
    const verb = { up: "applying", down: "rolling back", again: "applying again" }[pass];
    context.begin(`${verb} ${migration.name}`, migration.database);
    const first = pass === "down" ? comparison?.up ?? null : null;
    const result = await runPass(migration, first, context);
    const database = await context.databaseOf(migration.database);
    context.begin(`comparing the rows of ${migration.database}`, migration.database);
    if (pass === "down") await comparison?.back(database, result);
    else if (pass === "again") await comparison?.again(database, result);
    else if (result instanceof CatalystError) surprises.push(failed(migration, result));
    else {
      comparisons.set(migration, await RehearsalComparison.begin(migration, database, result));
    }
    return !(result instanceof CatalystError);
  };
  const untried = await upDownUp(apply, run);
  const all = [...comparisons.values()];
  return {
    migrations: all.map((one) => one.report),
    surprises: [...all.flatMap((one) => one.surprises), ...surprises],
    notices: [...untriedNotices(untried), ...all.flatMap((one) => one.notices)],
  };
}

function untriedNotices({ failed, notRolledBack }: Untried): RehearsalNotice[] {
  if (failed !== null) {
    const reason = "later migrations and all downgrades were not rehearsed";
    return [{ migration: failed.name, reason }];
  }
  return notRolledBack.map(({ migration, irreversible }) => ({
    migration: migration.name,
    reason: migration === irreversible
      ? "it has no downgrade, so none was rehearsed"
      : `its downgrade was not rehearsed: the later migration ${irreversible.name} has none`,
  }));
}

/** Runs a migration up, or down if `first` is its upgrade. */
async function runPass(
  migration: Migration,
  first: RehearsedRun | null,
  { workspace, directory, found, databaseOf, onProgress, signal }: RehearsalContext,
): Promise<RehearsedRun | CatalystError> {
  const { id, name, database } = migration;
  if (signal?.aborted) {
    throw new InterruptedError(`Cannot rehearse ${name}: interrupted`, {
      help: "no copies remain; the databases are unchanged",
    });
  }
  const copy = await databaseOf(database);
  const { path } = locationOf(workspace, database);
  // The bot needs the same disk, so a rehearsal must not fill it.
  await requireRoom(directory.path, sizeOf(path) ?? 0, { flag: "--dir" });
  const direction = first === null ? "upgrade" : "downgrade";
  const checksum = await checksumOf(migration[direction]);
  const run: Run = first === null
    ? runOf(workspace, { migration, checksum, safeguard: null, found, signal })
    : {
      ...{ migration, direction, checksum, snapshot: null, signal },
      // `downgrade` asks for confirmation of the former.
      destroys: [...createdTables(first.before, first.after), ...migration.destroys ?? []],
      timeout: workspace.timeout,
      idleTimeout: workspace.idleTimeout,
    };
  const progress = { direction, id, name, database } as const;
  onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  try {
    const result = await copy.run(run);
    onProgress?.({ kind: "finished", ...progress, durationSeconds: result.seconds });
    return result;
  } catch (error) {
    if (isOfMigration(error)) return error;
    throw error;
  }
}

/** Whether the migration failed, rather than the disk or something similar. */
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
    fix: error.help ?? "fix the migration",
  };
}
