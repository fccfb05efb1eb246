import { countRows } from "../checks.ts";
import { refuseForeign } from "../database/location.ts";
import { openForReading } from "../database/reading.ts";
import { defaultSettings } from "../database/settings.ts";
import { ConfirmationError, DatabaseLockedError, DiskFullError, SnapshotError } from "../errors.ts";
import { inspect } from "../inspect.ts";
import { addOccurrence } from "../ledger_writer.ts";
import { readMarkers } from "../marker.ts";
import { reconcile, type Reconciliation } from "../reconcile.ts";
import { Session } from "../session.ts";
import { isRestoring, locationOf, restoreJournal, type Workspace } from "../workspace.ts";
import { runSnapshot, type SnapshotControl } from "./create.ts";
import { readJournal, removeJournal, type RestoreJournal, writeJournal } from "./journal.ts";
import { partOf } from "./name.ts";
import type { PinTarget } from "./pin.ts";
import { isDamage, isSound, replaceDatabase } from "./replace.ts";
import { findSources, type RestoreSource } from "./source.ts";
import { removeDatabase, removeIfThere, sizeOf } from "../disk.ts";
import { listSnapshots } from "./store.ts";

/** Rows and migrations of a database, now and then. */
export interface RestoreChange {
  /** Name of the database. */
  readonly database: string;
  /** What is there now; null where the database is not there, or damaged. */
  readonly now: DatabaseContent | null;
  /** What the snapshot has. */
  readonly then: DatabaseContent;
}

/** What is in a database. */
export interface DatabaseContent {
  /** Number of rows by table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Ids of the migrations that are in it. */
  readonly migrations: readonly string[];
}

/** What a restore would do. */
export interface RestorePlan {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** What would change, database by database. */
  readonly changes: readonly RestoreChange[];
}

/** How to restore. */
export interface RestoreOptions extends SnapshotControl {
  /** Only these databases. Default: all of the snapshot, but a ledger only where there is none. */
  readonly databases?: readonly string[];
  /** Asked before anything that is there is replaced; only `true` goes on. */
  readonly confirm?: (plan: RestorePlan) => boolean | Promise<boolean>;
}

/** What a restore did. */
export interface RestoreResult extends Reconciliation {
  /** Name of the snapshot, or path of the file. */
  readonly snapshot: string;
  /** Databases that were replaced. */
  readonly restored: readonly string[];
  /** Name of the snapshot of what was there before; null where nothing was. */
  readonly safety: string | null;
}

/** Checks a snapshot and says what restoring it would change; changes nothing. */
export async function planRestore(
  workspace: Workspace,
  reference: string,
  options: Pick<RestoreOptions, "databases">,
): Promise<RestorePlan> {
  const { label, sources } = await chooseSources(workspace, reference, options.databases ?? []);
  return await planFor(workspace, label, sources);
}

/** Restores a snapshot: checks it, asks, keeps what is there in a snapshot of its own, replaces. */
export async function restore(
  workspace: Workspace,
  reference: string,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const { label, sources } = await chooseSources(workspace, reference, options.databases ?? []);
  const plan = await planFor(workspace, label, sources);
  const replacesSomething = plan.changes.some(({ database }) =>
    sizeOf(pathOf(workspace, database)) !== null
  );
  if (replacesSomething && await options.confirm?.(plan) !== true) {
    throw new ConfirmationError(
      `Cannot restore ${label}: it would replace ${
        sources.map(({ database }) => database).join(", ")
      }`,
      { help: "nothing was changed; confirm with `yes`, or with --yes where nobody can be asked" },
    );
  }
  await using session = await Session.begin(workspace, { restores: true });
  const safety = await takeSafety(workspace, sources.map(({ database }) => database), options);
  return await replaceAll(workspace, session, {
    label,
    safety,
    replacements: sources.map(({ database, path, compressed }) => ({
      database,
      source: Deno.realPathSync(path),
      compressed,
      target: pathOf(workspace, database),
    })),
  });
}

/** Goes back to what was there before the last restore. */
export async function undoRestore(
  workspace: Workspace,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const last = (await listSnapshots(workspace.backups))
    .find(({ manifest }) => manifest?.reason === "safety");
  if (last === undefined) {
    throw new SnapshotError(
      `Cannot undo a restore: ${workspace.backups} has no snapshot of before one`,
      {
        help: "`backup list` shows the snapshots",
      },
    );
  }
  return await restore(workspace, last.name, options);
}

/** Finishes a restore that was interrupted; null where there is none. */
export async function finishRestore(workspace: Workspace): Promise<RestoreResult | null> {
  if (!isRestoring(workspace)) return null;
  await using session = await Session.begin(workspace, { restores: true });
  return isRestoring(workspace) ? await finish(workspace, session) : null;
}

/**
 * Replaces databases as a restore does, so that it survives being killed at any moment.
 *
 * The caller has checked the files, has asked, and holds the session.
 */
export async function replaceAll(
  workspace: Workspace,
  session: Session,
  journal: RestoreJournal,
): Promise<RestoreResult> {
  const path = restoreJournal(workspace.ledger.path);
  try {
    await writeJournal(path, journal);
  } catch (error) {
    removeIfThere(partOf(path));
    throw error;
  }
  return await finish(workspace, session);
}

/** Does what the journal says. Everything before was only preparation, everything here can be done again. */
async function finish(workspace: Workspace, session: Session): Promise<RestoreResult> {
  const path = restoreJournal(workspace.ledger.path);
  const journal = await readJournal(path);
  const gone = journal.replacements.find(({ source, target, temporary }) =>
    sizeOf(source) === null && !(temporary === "move" && sizeOf(target))
  );
  if (gone !== undefined) throw sourceGone(gone.source, journal);
  for (const { database } of journal.replacements) {
    const location = workspace.locations.get(database);
    if (location) refuseForeign(location, { cannot: `finish the restore of ${database}` });
  }
  try {
    for (const replacement of journal.replacements) {
      await replaceDatabase(replacement, workspace.timeout);
    }
    const restored = journal.replacements.map(({ database }) => database);
    const reconciliation = await reconcile(workspace, session, await inspect(workspace));
    await recordRestore(session, journal);
    await session.sync();
    await removeJournal(path);
    for (const { source, temporary } of journal.replacements) if (temporary) removeDatabase(source);
    return { snapshot: journal.label, restored, safety: journal.safety, ...reconciliation };
  } catch (error) {
    throw begun(error, journal.direction);
  }
}

/** From the journal on, a lock in the way or a full disk means "later", and no longer "not at all". */
function begun(error: unknown, direction: RestoreJournal["direction"] = "restore"): unknown {
  const later =
    `then run any command that changes something, such as \`upgrade\`; it finishes the ` +
    direction;
  if (error instanceof DatabaseLockedError) {
    const help = `the ${direction} has begun: stop that program, or let it finish, ${later}`;
    return new DatabaseLockedError(error.message, { cause: error, help });
  }
  if (error instanceof DiskFullError) {
    const help = `the ${direction} has begun: free some space, ${later}`;
    return new DiskFullError(error.message, { cause: error, help });
  }
  return error;
}

function sourceGone(source: string, { safety }: RestoreJournal): SnapshotError {
  return new SnapshotError(`Cannot finish the restore that was interrupted: ${source} is gone`, {
    help: `put the file back, or restore another snapshot${
      safety === null ? "" : `; ${safety} has what was there before`
    }`,
  });
}

async function chooseSources(
  workspace: Workspace,
  reference: string,
  databases: readonly string[],
): Promise<{ label: string; sources: readonly RestoreSource[] }> {
  const { registry, backups } = workspace;
  const found = await findSources(reference, { directory: backups, databases, registry });
  // The ledger is history: what happened since the snapshot did happen.
  const keepsLedger = !databases.includes("migrations") && sizeOf(workspace.ledger.path) !== null;
  const sources = found.sources.filter(({ database }) => database !== "migrations" || !keepsLedger);
  for (const { database } of sources) {
    if (database === "migrations") continue;
    refuseForeign(locationOf(workspace, database), { cannot: `restore ${database}` });
  }
  return { label: found.label, sources };
}

async function planFor(
  workspace: Workspace,
  label: string,
  sources: readonly RestoreSource[],
): Promise<RestorePlan> {
  const changes: RestoreChange[] = [];
  for (const { database, rows, migrations } of sources) {
    const now = await contentOf(pathOf(workspace, database));
    changes.push({ database, now, then: { rows, migrations } });
  }
  return { snapshot: label, changes };
}

/** What is in a database; null where it is not there, empty or damaged. */
export async function contentOf(path: string): Promise<DatabaseContent | null> {
  if (!sizeOf(path)) return null;
  try {
    await using connection = await openForReading({ kind: "file", path }, defaultSettings);
    const { markers } = await readMarkers(connection);
    return {
      rows: Object.fromEntries(await countRows(connection)),
      migrations: (markers ?? []).map(({ id }) => id),
    };
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

/** A snapshot of all that will be replaced; damaged databases, of which there can be none, are kept aside. */
export async function takeSafety(
  workspace: Workspace,
  databases: readonly string[],
  control: SnapshotControl,
): Promise<string | null> {
  const { timeout, backups: directory } = workspace;
  const take = async (targets: readonly PinTarget[]) => {
    if (targets.length === 0) return null;
    const manifest = await runSnapshot(
      { targets, directory, reason: "safety", verify: "quick", compress: false, timeout },
      control,
    );
    return manifest.name;
  };
  const present = databases.map((database) => ({ database, path: pathOf(workspace, database) }))
    .filter(({ path }) => sizeOf(path));
  try {
    return await take(present);
  } catch (error) {
    if (!isDamage(error)) throw error;
    // Only now are they looked through one by one: most are sound, and looking takes its time.
    const sound = await Promise.all(present.map(({ path }) => isSound(path)));
    return await take(present.filter((_, index) => sound[index]));
  }
}

async function recordRestore(
  session: Session,
  { label, safety, replacements, direction = "restore" }: RestoreJournal,
): Promise<void> {
  await session.record(async (ledger) => {
    for (const { database, target } of replacements) {
      await addOccurrence(ledger, {
        name: label,
        database,
        databasePath: target,
        direction,
        detail: safety === null ? null : `what was there before is in snapshot ${safety}`,
      });
    }
  });
}

/** Path of a database, or of the ledger, which a snapshot calls `migrations`. */
function pathOf(workspace: Workspace, database: string): string {
  return database === "migrations" ? workspace.ledger.path : locationOf(workspace, database).path;
}
