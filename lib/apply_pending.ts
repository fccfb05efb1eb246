import { attempt } from "./attempt.ts";
import { checksumOf, type Migration } from "./migration.ts";
import { CatalystError, InterruptedError } from "./errors.ts";
import { inspect, type Inspection } from "./inspect.ts";
import { reconcile } from "./reconcile.ts";
import { Session } from "./session.ts";
import type { BeforeOptions } from "./snapshot/mod.ts";
import {
  type AppliedMigration,
  planFrom,
  type UpgradeOptions,
  type UpgradeResult,
} from "./upgrade.ts";
import type { Workspace } from "./workspace.ts";

/** Takes the lock, reconciles, and applies what is pending then; stops at the first that fails. */
export async function applyPending(
  workspace: Workspace,
  options: UpgradeOptions,
): Promise<UpgradeResult> {
  await using session = await Session.begin(workspace, { signal: options.signal });
  // Read again: another migrator may have worked until the lock was ours.
  const found = await inspect(workspace);
  const { apply } = await planFrom(workspace, found, options);
  // Begun now, since each is computed on another thread.
  const checksums = apply.map(({ upgrade }) => checksumOf(upgrade));
  const snapshot = await snapshotOf(workspace, session, { apply, found, options });
  const applied: AppliedMigration[] = [];
  let reconciliation = { adopted: [] as readonly string[], reconciled: [] as readonly string[] };
  let current: Migration | null = null;
  try {
    reconciliation = await reconcile(workspace, session, found);
    for (const [index, migration] of apply.entries()) {
      current = migration;
      const checksum = await checksums[index] ?? null;
      applied.push(
        await applyOne(workspace, session, { migration, checksum, snapshot, found, options }),
      );
    }
    current = null;
    await session.sync();
  } catch (error) {
    if (error instanceof CatalystError) {
      error.progress = {
        done: applied.map(({ id }) => id),
        ...reconciliation,
        failed: current?.id ?? null,
      };
    }
    throw error;
  }
  return { applied, ...reconciliation, snapshot };
}

interface Stake {
  readonly apply: readonly Migration[];
  readonly found: Inspection;
  readonly options: UpgradeOptions;
}

/** What a snapshot before a change is told. */
export function beforeOptions(
  databases: readonly string[],
  { onSnapshot, signal }: Pick<UpgradeOptions, "onSnapshot" | "signal">,
): BeforeOptions {
  return {
    databases,
    ...(onSnapshot === undefined ? {} : { onProgress: onSnapshot }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Takes a snapshot of what will be changed, if it has tables at all; new databases have none. */
async function snapshotOf(
  workspace: Workspace,
  session: Session,
  { apply, found, options }: Stake,
): Promise<string | null> {
  const databases = [...new Set(apply.map(({ database }) => database))]
    .filter((database) => found.databases.get(database)?.hasTables);
  if (options.backup === false || databases.length === 0) return null;
  const { snapshotBefore } = await import("./snapshot/mod.ts");
  return await snapshotBefore(workspace, session, beforeOptions(databases, options));
}

interface Application {
  readonly migration: Migration;
  readonly checksum: string | null;
  readonly snapshot: string | null;
  readonly found: Inspection;
  readonly options: UpgradeOptions;
}

async function applyOne(
  workspace: Workspace,
  session: Session,
  { migration, checksum, snapshot, found, options }: Application,
): Promise<AppliedMigration> {
  const { id, name, database } = migration;
  if (options.signal?.aborted) {
    throw new InterruptedError(`Cannot apply ${name}: interrupted`, {
      help: "run the command again to go on",
    });
  }
  const progress = { direction: "upgrade", id, name, database } as const;
  options.onProgress?.({ kind: "started", ...progress, durationSeconds: null });
  const state = found.databases.get(database);
  const isFresh = state === undefined || (state.markers ?? []).length === 0 && !state.hasTables;
  const seconds = await attempt(workspace, session, {
    migration,
    direction: "upgrade",
    checksum,
    snapshot,
    destroys: migration.destroys ?? [],
    verify: isFresh ? undefined : async (connection) => {
      const { expectCreated, mayFindExisting } = await import("./expectation.ts");
      if (mayFindExisting(migration)) {
        await expectCreated(connection, migration, workspace.registry);
      }
    },
    timeout: workspace.timeout,
    signal: options.signal,
  });
  const durationSeconds = seconds ?? 0;
  options.onProgress?.({ kind: "finished", ...progress, durationSeconds });
  return { id, name, database, durationSeconds };
}
