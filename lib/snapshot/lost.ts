import { CorruptDatabaseError, isDamage, NotADatabaseError } from "../base/errors.ts";
import { sizeOf } from "../base/paths.ts";
import type { FoundState } from "../state/assess.ts";
import { inspect } from "../state/inspect.ts";
import { bareDatabases, knownLost, type LostDatabase, wayBack } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";
import type { LastGood } from "./store.ts";

/** Where to look for lost databases. */
interface LostQuery {
  /** Databases that are missing or have no tables. */
  readonly bare: readonly string[];
  /** Those of them that the ledger knows. */
  readonly known: readonly string[];
  /** Directory of the snapshots. */
  readonly directory: string;
}

/**
 * The databases that are missing or empty although the ledger knows them or a snapshot has rows of
 * them. Reads only manifests, and only if a database is missing or empty.
 */
export async function lostDatabases(
  { bare, known, directory }: LostQuery,
): Promise<readonly LostDatabase[]> {
  if (bare.length === 0) return [];
  if (sizeOf(directory) === null) {
    return known.map((database) => ({ database, snapshot: null }));
  }
  const goodOf = await readLastGood(directory);
  return bare.flatMap((database) => {
    const good = goodOf(database);
    return known.includes(database) || good?.hasRows
      ? [{ database, snapshot: good?.name ?? null }]
      : [];
  });
}

/** Reads the snapshots of a directory, to find the last good one of each database. */
async function readLastGood(directory: string): Promise<(database: string) => LastGood | null> {
  const { lastGood, listSnapshots } = await import("./store.ts");
  // `backup list` says why they can't be read.
  const snapshots = await listSnapshots(directory).catch(() => []);
  return (database) => lastGood(snapshots, { database, directory });
}

/** The lost databases of an observed state. */
export async function lostIn(
  workspace: Workspace,
  found: FoundState,
  { directory = workspace.backups }: { readonly directory?: string | undefined } = {},
): Promise<readonly LostDatabase[]> {
  const bare = bareDatabases(found.databases.values());
  return await lostDatabases({ bare, known: knownLost(workspace, found), directory });
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
