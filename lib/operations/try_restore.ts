import { isSnapshotName, manifestFile } from "../snapshot/manifest.ts";
import { restore } from "../snapshot/restore.ts";
import { findSources } from "../snapshot/sources.ts";
import { AccessError } from "../base/errors.ts";
import { directoryOf, ensureDirectory } from "../base/files.ts";
import { messageOf } from "../base/format.ts";
import { locate } from "../database/location.ts";
import { createRegistry } from "../migration/registry.ts";
import { backupsBeside, LEDGER, ledgerOf, type Workspace } from "../state/workspace.ts";
import { type DataCheck, type Verification, verify } from "./verify.ts";

/** How to try a snapshot. */
export interface TryRestoreOptions {
  /** Directory of the snapshot. Default: the migrator's. */
  readonly directory?: string;
}

/** Beginning of the names of the directories that snapshots are restored into to try them. */
const TRIAL = ".restore_trial_";

/** Seconds after which nobody can still be at work in such a directory. */
const ABANDONED = 86_400;

/**
 * Proves that a snapshot can be restored: restores it into a temporary directory beside the databases,
 * verifies it there with its data, and removes it. Nothing else is changed.
 *
 * A migration that was applied after the snapshot is no problem: only those that are in it are compared.
 *
 * @throws {SnapshotError} where there is no such snapshot, or it can't be restored.
 * @throws {DiskFullError} where there is no room.
 */
export async function tryRestore(
  workspace: Workspace,
  name: string,
  { directory = workspace.backups, dataCheck }: TryRestoreOptions & {
    readonly dataCheck?: DataCheck | undefined;
  },
): Promise<Verification> {
  const reference = isSnapshotName(name) ? `${directory}/${manifestFile(name)}` : name;
  const { registry, timeout } = workspace;
  const { sources } = await findSources(reference, { directory, databases: [], registry, timeout });
  const scratch = makeScratch(directoryOf(workspace.ledgerFile));
  try {
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
    await restore(trial, reference, { confirm: () => true });
    return await verify(trial, { data: true, dataCheck });
  } finally {
    Deno.removeSync(scratch, { recursive: true });
  }
}

/** Makes a directory beside the databases, where there is room for them and Deno may write. */
function makeScratch(beside: string): string {
  try {
    ensureDirectory(`${beside}/x`, true);
    for (const { name, isDirectory } of Deno.readDirSync(beside)) {
      if (isDirectory && name.startsWith(TRIAL)) removeIfAbandoned(`${beside}/${name}`);
    }
    return Deno.makeTempDirSync({ dir: beside, prefix: TRIAL });
  } catch (error) {
    throw new AccessError(`Cannot restore into ${beside}: ${messageOf(error)}`, {
      cause: error,
      help:
        "a snapshot is tried beside the databases: this user and Deno must be able to write there",
    });
  }
}

/** Removes what a killed run left. */
function removeIfAbandoned(path: string): void {
  const { mtime } = Deno.statSync(path);
  const isOld = mtime !== null && Date.now() - mtime.getTime() > ABANDONED * 1000;
  if (isOld) Deno.removeSync(path, { recursive: true });
}
