/**
 * Replaces the databases of a restore or an import, and completes an interrupted one.
 *
 * @module
 */
import { isDamage, SnapshotError } from "../base/errors.ts";
import { ignoringErrors, refuseLink, removeDatabase, removeIfThere } from "../base/files.ts";
import { fileItself, partFileOf, sizeOf } from "../base/paths.ts";
import { type DatabaseLocation, refuseForeign, refuseServer } from "../database/location.ts";
import { WatchedDatabase } from "../database/overwrite_live_database.ts";
import { reconcile } from "../engine/reconcile.ts";
import { Session } from "../engine/session.ts";
import { inspect } from "../state/inspect.ts";
import { addEvent } from "../state/ledger.ts";
import {
  isRestoring,
  LEDGER,
  locationOf,
  restoreJournal,
  type Workspace,
} from "../state/workspace.ts";
import {
  errorAfterBeginning,
  readJournal,
  removeJournal,
  type Replacement,
  type RestoreJournal,
  type RestoreResult,
  unfinishable,
  writeJournal,
} from "./journal.ts";
import type { PinTarget } from "./pin_databases.ts";
import { isSound, replaceDatabase, requireReplaceable } from "./replace.ts";
import { aboutSnapshot, runSnapshot, type SnapshotControl } from "./take.ts";

/** Checks that the sources are unchanged since they were checked. */
export function requireSources(replacements: readonly Replacement[], label: string): void {
  const other = replacements.find(({ source, bytes }) => sizeOf(source) !== bytes);
  if (other === undefined) return;
  throw new SnapshotError(`Cannot restore ${label}: ${whatHappenedTo(other)}`, {
    help: "nothing was changed; `backup list` shows the snapshots",
  });
}

function whatHappenedTo({ source }: Replacement): string {
  return `${source} ${sizeOf(source) === null ? "is missing" : "has changed since it was checked"}`;
}

/** Completes an interrupted restore; null if there is none. */
export async function finishRestore(workspace: Workspace): Promise<RestoreResult | null> {
  if (!isRestoring(workspace)) return null;
  await using session = await Session.begin(workspace, { restores: true });
  return isRestoring(workspace) ? await finish(workspace, session, null) : null;
}

/**
 * Replaces databases as a restore does, surviving a kill at any moment.
 *
 * The caller has checked the files, asked for confirmation, and holds the session.
 */
export async function replaceAll(
  workspace: Workspace,
  session: Session,
  journal: RestoreJournal,
  watched: WatchedDatabases,
): Promise<RestoreResult> {
  const path = restoreJournal(workspace.ledgerFile);
  requireSources(journal.replacements, journal.label);
  try {
    await writeJournal(path, journal);
  } catch (error) {
    await ignoringErrors(() => removeIfThere(partFileOf(path)));
    const { direction = "restore", label } = journal;
    if (isRestoring(workspace)) throw errorAfterBeginning(error, direction);
    throw aboutSnapshot(error, {
      cannot: `Cannot ${direction} ${label}`,
      help: "nothing was changed; run the command again",
    });
  }
  return await finish(workspace, session, watched);
}

/**
 * Does what remains of the journal. Everything before this was preparation, and everything here can
 * be repeated. Databases already replaced are not replaced again.
 */
async function finish(
  workspace: Workspace,
  session: Session,
  given: WatchedDatabases | null,
): Promise<RestoreResult> {
  const path = restoreJournal(workspace.ledgerFile);
  let journal = await readJournal(path);
  requireKnown(workspace, journal, path);
  const targetOf = ({ database }: Replacement): string => pathOf(workspace, database);
  const wasMoved = (one: Replacement) =>
    one.temporary === "move" && sizeOf(one.source) === null && Boolean(sizeOf(targetOf(one)));
  const left = journal.replacements.filter((one) => !one.isDone && !wasMoved(one));
  const other = left.find(({ source, bytes }) => sizeOf(source) !== bytes);
  if (other !== undefined) throw sourceGone(other, journal);
  for (const { database } of journal.replacements) {
    refuseUnreplaceable(workspace, database, `finish the restore of ${database}`);
  }
  const note = async (changes: Partial<RestoreJournal>): Promise<void> => {
    journal = { ...journal, ...changes };
    await writeJournal(path, journal);
  };
  const keepLater = async (names: readonly string[], isHeld: boolean): Promise<void> => {
    const name = await takeSafety(workspace, names, { reason: "interrupted", isHeld });
    if (name !== null) await note({ laterSnapshots: [...journal.laterSnapshots ?? [], name] });
  };
  try {
    const databases = left.map(({ database }) => database);
    await using resumed = given === null
      ? await WatchedDatabases.watch(workspace, databases)
      : null;
    const watched = given ?? resumed;
    // After an interruption a bot may have written to what is about to be overwritten.
    if (resumed !== null && left.length > 0) {
      // Report an obstacle before each attempt takes another snapshot.
      await requireReplaceable(workspace, {
        cannot: `finish the ${journal.direction ?? "restore"}`,
        replacements: left.map((one) => ({ target: targetOf(one), bytes: one.bytes })),
        keeps: true,
      });
      await keepLater(databases, false);
    }
    for (const one of left) {
      const { database } = one;
      const aside = await replaceDatabase({ ...one, target: targetOf(one) }, {
        timeout: workspace.timeout,
        watched: watched?.of(database) ?? null,
        keep: async () => {
          if (watched?.keeps !== false) await keepLater([database], true);
        },
      });
      await note({
        ...aside === null
          ? {}
          : { movedAside: [...journal.movedAside ?? [], { database, path: aside }] },
        // A resumed restore skips it: a bot may write to it from now on.
        replacements: journal.replacements
          .map((each) => each.database === database ? { ...each, isDone: true } : each),
      });
    }
    const reconciliation = await reconcile(
      workspace,
      session,
      await inspect(workspace, { tolerant: true }),
    );
    await recordRestore(workspace, session, journal);
    await session.sync();
    await removeJournal(path);
    for (const { source, temporary } of journal.replacements) {
      // The work is done; a file that can't be removed is harmless.
      if (temporary) await ignoringErrors(() => removeDatabase(source));
    }
    const { label: snapshot, safety, laterSnapshots, movedAside } = journal;
    return {
      snapshot,
      restored: journal.replacements.map(({ database }) => database),
      safety,
      ...laterSnapshots === undefined ? {} : { laterSnapshots },
      ...movedAside === undefined ? {} : { movedAside },
      ...reconciliation,
    };
  } catch (error) {
    throw errorAfterBeginning(error, journal.direction);
  }
}

/** The workspace decides which files are overwritten, never the journal alone. */
function requireKnown(workspace: Workspace, { replacements }: RestoreJournal, path: string): void {
  const known = [...workspace.locations.keys(), LEDGER];
  const stranger = replacements.find(({ database }) => !known.includes(database));
  if (stranger === undefined) return;
  throw unfinishable(`${path} names the unknown database "${stranger.database}"`, {
    help: `run the program that defines it; the databases here are ${known.join(", ")}`,
  });
}

function sourceGone(gone: Replacement, { safety }: RestoreJournal): SnapshotError {
  return unfinishable(whatHappenedTo(gone), {
    help: `restore the file, or restore another snapshot${
      safety === null ? "" : `; ${safety} has the previous data`
    }`,
  });
}

/** Databases to overwrite, watched since before the snapshot of them was taken. */
export class WatchedDatabases implements AsyncDisposable {
  readonly #byDatabase = new Map<string, WatchedDatabase>();
  /** Whether rows that others write meanwhile are kept in snapshots. */
  readonly keeps: boolean;

  private constructor(keeps: boolean) {
    this.keeps = keeps;
  }

  /** Begins to watch the existing, sound databases. */
  static async watch(
    workspace: Workspace,
    databases: readonly string[],
    { keeps = true }: { readonly keeps?: boolean } = {},
  ): Promise<WatchedDatabases> {
    await using opened = new AsyncDisposableStack();
    const watched = new WatchedDatabases(keeps);
    opened.use(watched);
    for (const database of databases) {
      const path = fileItself(pathOf(workspace, database));
      // A damaged one is moved aside with its log, which closing it might checkpoint.
      if (!sizeOf(path) || !await isSound(path, workspace.timeout)) continue;
      watched.#byDatabase.set(database, await WatchedDatabase.watch(path, workspace));
    }
    opened.move();
    return watched;
  }

  /** The one of a database; null if that was missing or damaged. */
  of(database: string): WatchedDatabase | null {
    return this.#byDatabase.get(database) ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#byDatabase.values()) await one[Symbol.asyncDispose]();
  }
}

/** Options of {@link takeSafety}. */
interface SafetyOptions extends SnapshotControl {
  /** Whether the caller holds the write lock. Default `false`. */
  readonly isHeld?: boolean;
  /** Default `safety`. */
  readonly reason?: "safety" | "interrupted";
}

/**
 * Takes a snapshot of everything that will be replaced. Damaged databases can't be copied, and are
 * kept aside.
 */
export async function takeSafety(
  workspace: Workspace,
  databases: readonly string[],
  { reason = "safety", isHeld = false, ...control }: SafetyOptions,
): Promise<string | null> {
  const { timeout, backups: directory } = workspace;
  const take = async (targets: readonly PinTarget[]) => {
    if (targets.length === 0) return null;
    const manifest = await runSnapshot(
      { targets, directory, reason, verify: "quick", compress: false, timeout },
      control,
    );
    return manifest.name;
  };
  const present = databases
    .map((database) => ({ database, path: pathOf(workspace, database), held: isHeld }))
    .filter(({ path }) => sizeOf(path));
  try {
    return await take(present);
  } catch (error) {
    if (!isDamage(error)) throw error;
    // Checked one by one only after a failure: most databases are sound, and the check takes time.
    const sound = await Promise.all(present.map(({ path }) => isSound(path, timeout)));
    return await take(present.filter((_, index) => sound[index]));
  }
}

async function recordRestore(
  workspace: Workspace,
  session: Session,
  journal: RestoreJournal,
): Promise<void> {
  const { label, safety, laterSnapshots = [], movedAside = [], direction = "restore" } = journal;
  const keptOf = (database: string) => {
    const moved = movedAside.filter((one) => one.database === database);
    return [
      ...moved.map(({ path }) => `the damaged file was moved to ${path}`),
      ...safety === null || moved.length > 0 ? [] : [`the previous data is in snapshot ${safety}`],
      ...laterSnapshots.map((name) => `later data is in snapshot ${name}`),
    ];
  };
  await session.record(async (ledger) => {
    for (const { database } of journal.replacements) {
      await addEvent(ledger, {
        name: label,
        database,
        databasePath: pathOf(workspace, database),
        direction,
        detail: keptOf(database).join("; ") || null,
      });
    }
  });
}

/** Location of a database, or of the ledger, which snapshots call `migrations`. */
function placeOf(workspace: Workspace, database: string): DatabaseLocation {
  return database === LEDGER ? workspace.ledger : locationOf(workspace, database);
}

/** Its path. */
export function pathOf(workspace: Workspace, database: string): string {
  return placeOf(workspace, database).path;
}

/** Refuses a database that cannot be replaced: on a server, behind a broken link, or open elsewhere. */
export function refuseUnreplaceable(
  workspace: Workspace,
  database: string,
  cannot: string,
): void {
  const location = placeOf(workspace, database);
  refuseServer(location, { cannot });
  refuseLink(location.path, { cannot });
  if (database !== LEDGER) refuseForeign(location, { cannot });
}
