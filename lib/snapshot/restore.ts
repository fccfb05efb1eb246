import { ConfirmationError, isDamage, SnapshotError } from "../base/errors.ts";
import { sizeOf } from "../base/paths.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { openForReading } from "../database/open.ts";
import { Session } from "../engine/session.ts";
import { countRows } from "../schema/tables.ts";
import { readMarkerIds } from "../state/marker.ts";
import { LEDGER, type Workspace } from "../state/workspace.ts";
import {
  pathOf,
  refuseUnreplaceable,
  replaceAll,
  requireSources,
  takeSafety,
  WatchedDatabases,
} from "./finish_restore.ts";
import type { RestoreResult } from "./journal.ts";
import { isSound, requireReplaceable } from "./replace.ts";
import { findDamagedOrLost, type LackingDatabase } from "./last_good.ts";
import { findSources, type RestoreSet } from "./sources.ts";
import { listSnapshots, newestSafety } from "./store.ts";
import type { SnapshotControl } from "./take.ts";

/** Rows and migrations of a database, before and after. */
export interface RestoreChange {
  /** Name of the database. */
  readonly database: string;
  /** Current content; null if the database is missing or damaged. */
  readonly now: DatabaseContent | null;
  /** Whether its file is damaged; absent if not. */
  readonly isDamaged?: true;
  /** Content in the snapshot. */
  readonly then: DatabaseContent;
}

/** Content of a database. */
export interface DatabaseContent {
  /** Number of rows by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Ids of the migrations in it. */
  readonly migrations: readonly string[];
}

/** What a restore would do. */
export interface RestorePlan {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** What would change, by database. */
  readonly changes: readonly RestoreChange[];
  /** Lost and damaged databases that the snapshot lacks; absent if none, or if databases were chosen. */
  readonly lacking?: readonly LackingDatabase[];
}

/** Options for a restore. */
export interface RestoreOptions extends Pick<SnapshotControl, "signal"> {
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
  /** Only these databases. Default: all in the snapshot, but a ledger only if none exists. */
  readonly databases?: readonly string[];
  /** Directory of the snapshot. Default: the migrator's. */
  readonly directory?: string;
  /** Called before anything is replaced; anything but `true` cancels. */
  readonly confirm?: (plan: RestorePlan) => boolean | Promise<boolean>;
}

/** Checks a snapshot and plans what restoring it would change; changes nothing. */
export async function planRestore(
  workspace: Workspace,
  reference: string,
  options: Pick<RestoreOptions, "databases" | "directory" | "onStep">,
): Promise<RestorePlan> {
  const steps = new Steps(RESTORE_WEIGHTS.check + RESTORE_WEIGHTS.plan, options.onStep);
  const { label, sources } = await chooseSources(workspace, reference, { ...options, steps });
  steps.begin("counting the rows", RESTORE_WEIGHTS.plan);
  return await planFor(workspace, { label, sources }, options);
}

/** How long each step takes, compared with the others. */
const RESTORE_WEIGHTS = { check: 6, plan: 1, watch: 3, keep: 10, replace: 10 };

/**
 * Restores a snapshot: checks it, asks for confirmation, keeps the existing data in a snapshot, and
 * replaces.
 */
export async function restore(
  workspace: Workspace,
  reference: string,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { check, plan: planning, watch, keep, replace } = RESTORE_WEIGHTS;
  const steps = new Steps(check + planning + watch + keep + replace, options.onStep);
  const { label, sources } = await chooseSources(workspace, reference, { ...options, steps });
  steps.begin("counting the rows", planning);
  const plan = await planFor(workspace, { label, sources }, options);
  const replacesSomething = plan.changes.some(({ database }) =>
    sizeOf(pathOf(workspace, database)) !== null
  );
  if (replacesSomething && await options.confirm?.(plan) !== true) {
    throw new ConfirmationError(
      `Cannot restore ${label}: it would replace ${
        sources.map(({ database }) => database).join(", ")
      }`,
      {
        help: "nothing was changed; confirm with `yes`, or use --yes in a non-interactive session",
      },
    );
  }
  await using session = await Session.begin(workspace, { restores: true });
  const replacements = sources.map(({ rows: _rows, migrations: _migrations, ...one }) => one);
  // They may have been deleted before the lock was acquired.
  requireSources(replacements, label);
  await requireReplaceable(workspace, {
    cannot: `restore ${label}`,
    replacements: replacements.map(({ database, bytes }) => ({
      target: pathOf(workspace, database),
      bytes,
    })),
    keeps: true,
  });
  const databases = sources.map(({ database }) => database);
  steps.begin("checking the existing data", watch);
  await using watched = await WatchedDatabases.watch(workspace, databases);
  steps.begin("keeping the existing data in a snapshot", keep);
  const safety = await takeSafety(workspace, databases, {
    signal: options.signal,
    onProgress: ({ done, total }) => steps.advance(done, total),
  });
  steps.begin("replacing the databases", replace);
  const result = await replaceAll(workspace, session, { label, safety, replacements }, watched);
  return plan.lacking === undefined ? result : { ...result, lacking: plan.lacking };
}

/** Returns to the state before the last restore. */
export async function undoRestore(
  workspace: Workspace,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const last = newestSafety(await listSnapshots(workspace.backups));
  if (last === undefined) {
    throw new SnapshotError(
      `Cannot undo a restore: ${workspace.backups} has no snapshot from before a restore`,
      {
        help: "`backup list` shows the snapshots",
      },
    );
  }
  return await restore(workspace, last.name, options);
}

async function chooseSources(
  workspace: Workspace,
  reference: string,
  { databases = [], directory = workspace.backups, steps }:
    & Pick<RestoreOptions, "databases" | "directory">
    & { readonly steps: Steps },
): Promise<RestoreSet> {
  steps.begin("checking the snapshot", RESTORE_WEIGHTS.check);
  const found = await findSources(reference, {
    directory,
    onShare: (share) => steps.advance(share),
    databases,
    registry: workspace.registry,
  });
  // The ledger is history: what happened after the snapshot did happen. A damaged ledger is
  // replaced, because nothing can be recorded without it.
  const { ledger, timeout } = workspace;
  const keepsLedger = !databases.includes(LEDGER) &&
    (ledger.kind === "server" ||
      sizeOf(ledger.path) !== null && await isSound(ledger.path, timeout));
  const sources = found.sources.filter(({ database }) => database !== LEDGER || !keepsLedger);
  for (const { database } of sources) {
    refuseUnreplaceable(workspace, database, `restore ${database}`);
  }
  return { label: found.label, sources };
}

async function planFor(
  workspace: Workspace,
  { label, sources }: RestoreSet,
  { databases = [], directory = workspace.backups }: Pick<
    RestoreOptions,
    "databases" | "directory"
  >,
): Promise<RestorePlan> {
  const changes: RestoreChange[] = [];
  for (const { database, rows, migrations } of sources) {
    const path = pathOf(workspace, database);
    const now = await contentOf(path, workspace.timeout);
    const isDamaged = now === null && (sizeOf(path) ?? 0) > 0;
    const damage = isDamaged ? { isDamaged } as const : {};
    changes.push({ database, now, ...damage, then: { rows, migrations } });
  }
  const plan = { snapshot: label, changes };
  if (databases.length > 0) return plan;
  // `status` says why the others can't be read; the restore does not need them.
  const lacking = (await findDamagedOrLost(workspace, directory).catch(() => []))
    .filter((one) => sources.every(({ database }) => database !== one.database));
  return lacking.length === 0 ? plan : { ...plan, lacking };
}

/** Content of a database; null if it is missing, empty or damaged. */
export async function contentOf(
  path: string,
  timeout: number,
): Promise<DatabaseContent | null> {
  if (!sizeOf(path)) return null;
  try {
    await using connection = await openForReading({ kind: "file", path }, { busyTimeout: timeout });
    const migrations = await readMarkerIds(connection);
    return {
      rows: Object.fromEntries(await countRows(connection)),
      migrations,
    };
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}
