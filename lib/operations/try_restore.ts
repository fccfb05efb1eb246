import { isSnapshotName, manifestFile } from "../snapshot/names.ts";
import { restore } from "../snapshot/restore.ts";
import { findSources } from "../snapshot/sources.ts";
import { AccessError } from "../base/errors.ts";
import { type OnStep, partOfWork } from "../base/steps.ts";
import { directoryOf } from "../base/paths.ts";
import { messageOf } from "../base/format.ts";
import { locate } from "../database/location.ts";
import { createRegistry } from "../migration/migration.ts";
import { backupsBeside, LEDGER, ledgerOf, type Workspace } from "../state/workspace.ts";
import { makeRehearsalDirectory, type RehearsalDirectory } from "../trial/copies.ts";
import { type DataCheck, type Verification, verify } from "./verify.ts";

/** Options for trying a snapshot. */
export interface TryRestoreOptions {
  /** Directory of the snapshot. Default: the migrator's. */
  readonly directory?: string;
  /** Called periodically with the progress. */
  readonly onStep?: OnStep | undefined;
}

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
  using scratch = await makeScratch(workspace);
  const ledger = ledgerOf(`${scratch.path}/`);
  const databases = sources.map(({ database }) => database).filter((one) => one !== LEDGER);
  const applied = new Set(sources.flatMap(({ migrations }) => migrations));
  const trial: Workspace = {
    ...workspace,
    registry: createRegistry(registry.migrations.filter(({ id }) => applied.has(id)), databases),
    locations: new Map(
      databases.map((database) => [database, locate(scratch.file(`${database}.db`), database)]),
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
}

/**
 * Creates a directory next to the databases, where there is space for them and Deno may write. If
 * this process is killed, it is removed like that of a rehearsal.
 */
async function makeScratch(workspace: Workspace): Promise<RehearsalDirectory> {
  try {
    return await makeRehearsalDirectory(workspace, undefined);
  } catch (error) {
    const reason = messageOf(error).replace(/^Cannot [^:]+: /, "");
    throw new AccessError(`Cannot restore into ${directoryOf(workspace.ledgerFile)}: ${reason}`, {
      cause: error,
      help:
        "a snapshot is tried next to the databases: this user and Deno must be able to write there",
    });
  }
}
