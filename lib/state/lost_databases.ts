/**
 * Decides which databases are lost: moved, deleted or emptied after they had content. Every command
 * that reports lost databases asks this file.
 *
 * @module
 */
import type { DatabaseState, FoundState } from "./assess.ts";
import type { Workspace } from "./workspace.ts";

/** A database whose file is missing or empty although it had content before. */
export interface LostDatabase {
  /** Name of the database. */
  readonly database: string;
  /** Name of the newest snapshot that has it, with rows if any does; null if there is none. */
  readonly snapshot: string | null;
}

/** Options of {@link findLostDatabases}. */
export interface LostDatabaseOptions {
  /** Reads the snapshots. Called only if a database is missing or empty. */
  readonly readLastGood: () => Promise<FindLastGood>;
}

/** Finds the last good snapshot of a database. */
export type FindLastGood = (database: string) => LastGood | null;

/** The last good snapshot of a database. */
export interface LastGood {
  readonly name: string;
  /** Whether the database has rows in it. */
  readonly hasRows: boolean;
}

/**
 * The databases that are missing or empty although the ledger knows them or a snapshot has rows of
 * them.
 */
export async function findLostDatabases(
  workspace: Pick<Workspace, "registry">,
  found: FoundState,
  { readLastGood }: LostDatabaseOptions,
): Promise<readonly LostDatabase[]> {
  const bare = [...found.databases.values()].filter(isBare);
  if (bare.length === 0) return [];
  const lastGood = await readLastGood();
  return bare.flatMap((state) => {
    const good = lastGood(state.name);
    return isKnown(workspace, found, state) || good?.hasRows
      ? [{ database: state.name, snapshot: good?.name ?? null }]
      : [];
  });
}

/**
 * Whether a database is missing or has no tables. One that was rolled back keeps its empty table of
 * markers, and is not.
 */
function isBare({ path, exists, hasTables, markers }: DatabaseState): boolean {
  return path !== ":memory:" && (!exists || !hasTables && markers === null);
}

/** Whether a database has applied migrations according to the ledger. */
function isKnown(
  { registry }: Pick<Workspace, "registry">,
  { ledger }: FoundState,
  { name, path }: DatabaseState,
): boolean {
  const fileOf = (path: string) => path.replace(/^.*[/\\]/s, "");
  return ledger.history.values().some(({ id, status, databasePath }) =>
    status === "applied" &&
    (registry.byId.get(id)?.database === name || fileOf(databasePath) === fileOf(path))
  );
}
