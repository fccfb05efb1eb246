import { isSnapshotName, manifestFile } from "../snapshot/manifest.ts";
import { restore } from "../snapshot/restore.ts";
import { findSources } from "../snapshot/sources.ts";
import { AccessError, MigratorLockedError } from "../base/errors.ts";
import { type OnStep, partOfWork } from "../base/steps.ts";
import { ensureDirectory } from "../base/files.ts";
import { acquireLock } from "../base/file_lock.ts";
import { directoryOf, sizeOf } from "../base/paths.ts";
import { messageOf } from "../base/format.ts";
import { locate } from "../database/location.ts";
import { createRegistry } from "../migration/migration.ts";
import { backupsBeside, LEDGER, ledgerOf, type Workspace } from "../state/workspace.ts";
import { type DataCheck, type Verification, verify } from "./verify.ts";

/** Options for trying a snapshot. */
export interface TryRestoreOptions {
  /** Directory of the snapshot. Default: the migrator's. */
  readonly directory?: string;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
}

/** Prefix of the directories that snapshots are restored into for a trial. */
const TRIAL = ".restore_trial_";

/** Name of the lock in such a directory; it dies with the process. */
const LOCK = "trial.lock";

/**
 * Proves that a snapshot can be restored: restores it into a temporary directory next to the
 * databases, verifies schema and data there, and removes it. Changes nothing else. Migrations
 * applied after the snapshot are not problems: only those in it are compared.
 *
 * @throws {SnapshotError} if the snapshot does not exist, or can't be restored.
 * @throws {DiskFullError} if there is not enough space.
 */
export async function tryRestore(
  workspace: Workspace,
  name: string,
  { directory = workspace.backups, onStep, dataCheck }: TryRestoreOptions & {
    readonly dataCheck?: DataCheck | undefined;
  },
): Promise<Verification> {
  const reference = isSnapshotName(name) ? `${directory}/${manifestFile(name)}` : name;
  const { registry } = workspace;
  const { sources } = await findSources(reference, { directory, databases: [], registry });
  const scratch = await makeScratch(directoryOf(workspace.ledgerFile));
  try {
    using _lock = await acquireLock(`${scratch}/${LOCK}`, { timeout: 0 });
    const ledger = ledgerOf(`${scratch}/`);
    const databases = sources.map(({ database }) => database).filter((one) => one !== LEDGER);
    const applied = new Set(sources.flatMap(({ migrations }) => migrations));
    const trial: Workspace = {
      ...workspace,
      registry: createRegistry(registry.migrations.filter(({ id }) => applied.has(id)), databases),
      locations: new Map(
        databases.map((database) => [database, locate(`${scratch}/${database}.db`, database)]),
      ),
      ledger: locate(ledger, LEDGER),
      ledgerFile: ledger,
      backups: backupsBeside(ledger),
      createDirectories: true,
    };
    await restore(trial, reference, {
      confirm: () => true,
      onStep: partOfWork(onStep, [0, 0.4]),
    });
    return await verify(trial, { data: true, dataCheck, onStep: partOfWork(onStep, [0.4, 1]) });
  } finally {
    Deno.removeSync(scratch, { recursive: true });
  }
}

/** Creates a directory next to the databases, where there is space for them and Deno may write. */
async function makeScratch(beside: string): Promise<string> {
  try {
    ensureDirectory(`${beside}/x`, true);
    for (const { name, isDirectory } of Deno.readDirSync(beside)) {
      if (isDirectory && name.startsWith(TRIAL)) await removeIfAbandoned(`${beside}/${name}`);
    }
    return Deno.makeTempDirSync({ dir: beside, prefix: TRIAL });
  } catch (error) {
    throw new AccessError(`Cannot restore into ${beside}: ${messageOf(error)}`, {
      cause: error,
      help:
        "a snapshot is tried next to the databases: this user and Deno must be able to write there",
    });
  }
}

/** Removes the directory of a killed run. */
async function removeIfAbandoned(path: string): Promise<void> {
  const lock = `${path}/${LOCK}`;
  if (sizeOf(lock) === null) return; // another run is about to create it
  try {
    (await acquireLock(lock, { timeout: 0 }))[Symbol.dispose](); // Windows removes no open file
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof MigratorLockedError)) throw error;
  }
}
