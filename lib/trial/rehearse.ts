import { refuseDataLoss } from "./guard.ts";
import type { MigrationProgress } from "../engine/apply.ts";
import { LintError, UsageError } from "../base/errors.ts";
import { inspect } from "../state/inspect.ts";
import type { Migration } from "../migration/migration.ts";
import type { UpgradeRequest } from "../state/plan.ts";
import { reconcile } from "../engine/reconcile.ts";
import { copyDatabases, type CopyPaths, copyPaths, makePlace } from "./copies.ts";
import type { Rehearsal, Surprise } from "./result.ts";
import { upDownUp } from "./rehearse_run.ts";
import { Stage } from "./stage.ts";
import { Session } from "../engine/session.ts";
import type { SnapshotProgress } from "../snapshot/take.ts";
import { planFrom } from "../state/upgrade_plan.ts";
import { createWorkspace, prefixOfLedger, type Workspace } from "../state/workspace.ts";

/** How to rehearse. */
export interface RehearseOptions extends UpgradeRequest {
  /** Directory in which the copies are made. Default: that of the ledger. */
  readonly directory?: string;
  /** Stops before the next statement; nothing is left. */
  readonly signal?: AbortSignal;
  /** Called now and then while the databases are copied. */
  readonly onCopy?: (progress: SnapshotProgress) => void;
  /** Called before and after each way of each migration. */
  readonly onProgress?: (progress: MigrationProgress) => void;
}

/** Runs the pending migrations up, down and up on copies of the databases, which are removed then. */
export async function rehearse(
  workspace: Workspace,
  options: RehearseOptions,
): Promise<Rehearsal> {
  const { apply } = await planFrom(workspace, await inspect(workspace), options);
  if (apply.length === 0) return nothing;
  const wanted = new Set(apply.map(({ database }) => database));
  const databases = [...workspace.locations.keys()].filter((name) => wanted.has(name));
  using place = await makePlace(prefixOf(workspace, options.directory));
  const paths = copyPaths(place, databases);
  const copies = await copyDatabases(workspace, {
    place,
    paths,
    onProgress: options.onCopy,
    signal: options.signal,
  });
  const copied = copiedWorkspace(workspace, paths);
  await using opened = new AsyncDisposableStack();
  const found = await inspect(copied);
  const ids = new Set(apply.map(({ id }) => id));
  // Another migrator may have been quicker.
  const pending = (await planFrom(copied, found, { outOfOrder: true })).apply
    .filter(({ id }) => ids.has(id));
  const refusals = await findRefusals(copied, pending);
  // Closed before the readers: as long as one reads, nothing is moved from the log into the copy.
  await using session = await Session.begin(copied, { signal: options.signal });
  await reconcile(copied, session, found);
  const stages = new Map<string, Stage>();
  const outcome = await upDownUp(pending, {
    workspace: copied,
    place,
    found,
    stageOf: async (name) => {
      let stage = stages.get(name);
      if (stage === undefined) {
        stage = opened.use(await Stage.of(await session.database(name)));
        stages.set(name, stage);
      }
      return stage;
    },
    onProgress: options.onProgress,
    signal: options.signal,
  });
  const surprises = [...refusals, ...outcome.surprises];
  const lockedSeconds = (name: string) =>
    outcome.migrations.filter(({ database }) => database === name)
      .reduce((sum, one) => sum + one.lockedSeconds, 0);
  return {
    ok: surprises.length === 0,
    databases: databases.map((name) => ({
      name,
      sizeBytes: copies.sizes.get(name) ?? 0,
      lockedSeconds: lockedSeconds(name),
    })),
    migrations: outcome.migrations,
    surprises,
    notices: outcome.notices,
    copySeconds: copies.seconds,
    heldSeconds: copies.heldSeconds,
  };
}

const nothing: Rehearsal = {
  ok: true,
  databases: [],
  migrations: [],
  surprises: [],
  notices: [],
  copySeconds: 0,
  heldSeconds: 0,
};

/** Where the copies go: beside the data, since elsewhere there may be neither room nor permission. */
function prefixOf({ ledger, locations }: Workspace, directory: string | undefined): string {
  if (directory !== undefined) return /[/\\]$/.test(directory) ? directory : `${directory}/`;
  if (ledger.path !== ":memory:") return prefixOfLedger(ledger.path);
  const file = [...locations.values()].find(({ path }) => path !== ":memory:");
  if (file !== undefined) return file.path.replace(/[^/\\]*$/, "");
  throw new UsageError(
    "Cannot rehearse: all databases are in memory, and copies need a directory",
    {
      help: "name one as `directory`",
    },
  );
}

/** The same migrations for the copies alone, with what makes them cheap to throw away. */
function copiedWorkspace(workspace: Workspace, { databases, ledger }: CopyPaths): Workspace {
  const { registry, trusted, settings, timeout, idleTimeout } = workspace;
  return createWorkspace({
    databases: Object.fromEntries(databases),
    ledger,
    migrations: registry.migrations.filter(({ database }) => databases.has(database)),
    trusted,
    settings: { ...settings, journalMode: "WAL", walAutocheckpoint: 0 },
    timeout,
    ...(idleTimeout === undefined ? {} : { idleTimeout }),
    alone: true,
    createDirectories: false,
  });
}

/** What `upgrade` would refuse before it runs anything. */
async function findRefusals(
  workspace: Workspace,
  apply: readonly Migration[],
): Promise<Surprise[]> {
  try {
    await refuseDataLoss(workspace, apply);
    return [];
  } catch (error) {
    if (!(error instanceof LintError)) throw error;
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
}
