/**
 * Finds the last good snapshot of a database, from which a lost or damaged one can be restored.
 *
 * @module
 */
import { CorruptDatabaseError, isDamage, NotADatabaseError } from "../base/errors.ts";
import { sizeOf } from "../base/paths.ts";
import { inspect } from "../state/inspect.ts";
import {
  type FindLastGood,
  findLostDatabases,
  type LostDatabase,
} from "../state/lost_databases.ts";
import { wayBack } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";

/** Reads the snapshots of a directory, to find the last good one of each database. */
export async function readLastGood(directory: string): Promise<FindLastGood> {
  if (sizeOf(directory) === null) return () => null;
  const { lastGood, listSnapshots } = await import("./store.ts");
  // `backup list` says why they can't be read.
  const snapshots = await listSnapshots(directory).catch(() => []);
  return (database) => lastGood(snapshots, { database, directory });
}

/** A lost or damaged database that a snapshot lacks. */
export interface LackingDatabase extends LostDatabase {
  /** Whether its file can't be read; absent if it is missing or empty. */
  readonly isDamaged?: true;
}

/** Finds the databases whose files are missing, empty or unreadable, and the last good snapshots. */
export async function findDamagedOrLost(
  workspace: Workspace,
  directory: string,
): Promise<readonly LackingDatabase[]> {
  const found = await inspect(workspace, { tolerant: true });
  const lost = await findLostDatabases(workspace, found, {
    readLastGood: () => readLastGood(directory),
  });
  const damaged = [...found.databases.values()].filter(({ path, unreadable }) =>
    unreadable !== undefined && sizeOf(path)
  );
  if (damaged.length === 0) return lost;
  const lastGood = await readLastGood(directory);
  return [
    ...lost.filter((one) => damaged.every(({ name }) => name !== one.database)),
    ...damaged.map(({ name }) => ({
      database: name,
      snapshot: lastGood(name)?.name ?? null,
      isDamaged: true as const,
    })),
  ];
}

/** Adds the snapshot that has a damaged database to the help of its error. */
export async function withRestoreHelp(error: unknown, workspace: Workspace): Promise<unknown> {
  if (!isDamage(error)) return error;
  const { databases } = await inspect(workspace, { tolerant: true });
  const name = [...databases.values()].find((one) => one.unreadable === error.message)?.name;
  if (name === undefined) return error;
  const good = (await readLastGood(workspace.backups))(name);
  if (good === null) return error;
  const kind = error instanceof NotADatabaseError ? NotADatabaseError : CorruptDatabaseError;
  const way = wayBack({ database: name, snapshot: good.name });
  const explained = new kind(error.message, {
    cause: error,
    database: name,
    help: error.help === undefined ? way : `${way}; otherwise ${error.help}`,
  });
  if (error.progress !== undefined) explained.progress = error.progress;
  return explained;
}
