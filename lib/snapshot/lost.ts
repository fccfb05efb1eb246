import { sizeOf } from "../base/paths.ts";
import type { FoundState } from "../state/assess.ts";
import { bareDatabases, knownLost, type LostDatabase } from "../state/status.ts";
import type { Workspace } from "../state/workspace.ts";

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
  const { lastGood, listSnapshots } = await import("./store.ts");
  // `backup list` says why they can't be read.
  const snapshots = await listSnapshots(directory).catch(() => []);
  return bare.flatMap((database) => {
    const good = lastGood(snapshots, { database, directory });
    return known.includes(database) || good?.hasRows
      ? [{ database, snapshot: good?.name ?? null }]
      : [];
  });
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
