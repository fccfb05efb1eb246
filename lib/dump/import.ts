import { importedRows, recordImport } from "./import_rows.ts";
import { countRows } from "../schema/tables.ts";
import type { Connection } from "../database/connection.ts";
import { openForReading, openForWriting } from "../database/open.ts";
import {
  CatalystError,
  ConfirmationError,
  DiskFullError,
  DumpError,
  InterruptedError,
  LocationError,
  UnrecordedError,
  UsageError,
} from "../base/errors.ts";
import { inspect } from "../state/inspect.ts";
import { directoryOf, isLink, partFileOf, sizeOf } from "../base/paths.ts";
import { isForeign, type ServerLocation } from "../database/location.ts";
import { readMarkerIds } from "../state/marker.ts";
import { reconcile, type Reconciliation } from "../engine/reconcile.ts";
import { type OnStep, Steps } from "../base/steps.ts";
import { afterCommit, Session } from "../engine/session.ts";
import {
  ensureDirectories,
  ignoringErrors,
  isFullDisk,
  refuseLink,
  removeDatabase,
} from "../base/files.ts";
import { snapshotBefore } from "../snapshot/safeguard.ts";
import { requireReplaceable } from "../snapshot/replace.ts";
import { contentOf, type DatabaseContent, type RestoreChange } from "../snapshot/restore.ts";
import { replaceAll, takeSafety, WatchedDatabases } from "../snapshot/finish_restore.ts";
import {
  isRestoring,
  locationOf,
  prefixOfLedger,
  requireKnownDatabase,
  type Workspace,
} from "../state/workspace.ts";
import { buildDatabase, loadIntoExisting, type Violations } from "./import_build.ts";
import { DumpFault, readText, toDumpError } from "./import_source.ts";

/** What an import would do. */
export interface ImportPlan extends RestoreChange {
  /** What is imported, as the user named it. */
  readonly label: string;
  /** Rows that would be deleted or changed, by table; only with `intoExisting`. */
  readonly lost?: Readonly<Record<string, number>>;
}

/** Options for importing a dump. */
export interface ImportOptions {
  /** Name of the database. */
  readonly database: string;
  /**
   * Whether to run the dump against the existing database instead of creating a new one. Default
   * `false`.
   */
  readonly intoExisting?: boolean;
  /** Name of the dump in messages, such as its file name. Default `the dump`. */
  readonly label?: string;
  /** File whose mode a new database gets, such as the dump's. Default: none; the umask decides. */
  readonly likeFile?: string;
  /** Whether to take a snapshot of the existing data before changing it. Default `true`. */
  readonly backup?: boolean;
  /**
   * Called before an existing database is replaced, or its rows are deleted or changed; anything but
   * `true` cancels.
   */
  readonly confirm?: (plan: ImportPlan) => boolean | Promise<boolean>;
  /** Called with the number of bytes read from the source. */
  readonly onProgress?: (bytesRead: number) => void;
  /** Called periodically with the progress of the work after the source was read. */
  readonly onStep?: OnStep | undefined;
  /** Stops the import and leaves everything unchanged. */
  readonly signal?: AbortSignal;
}

/** Result of an import. */
export interface ImportResult extends Reconciliation, Violations {
  /** Name of the database. */
  readonly database: string;
  /** Whether the database was created, replaced or added to. */
  readonly outcome: "created" | "replaced" | "added";
  /** Number of rows by table: of a new database all, otherwise how many were added. */
  readonly rows: Readonly<Record<string, number>>;
  /** Name of the snapshot of the previous data; null if there was none, or backups are off. */
  readonly snapshot: string | null;
}

/** Imports a dump, all-or-nothing. */
export async function importDump(
  workspace: Workspace,
  source: ReadableStream<Uint8Array>,
  options: ImportOptions,
): Promise<ImportResult> {
  const { label = "the dump" } = options;
  try {
    requireKnownDatabase(workspace, options.database, "import into");
    await using session = await Session.begin(workspace, { signal: options.signal });
    const job = { workspace, session, options, label, text: readText(source, options) };
    return options.intoExisting ? await add(job) : await replace(job);
  } catch (error) {
    if (error instanceof UnrecordedError) throw error;
    if (!(error instanceof DumpFault)) throw aboutImport(error, label);
    if (!options.signal?.aborted) throw toDumpError(error, label);
    throw new InterruptedError(`Cannot import ${label}: interrupted`, {
      cause: error,
      database: options.database,
      help: "nothing was changed; run the command again",
    });
  } finally {
    // It may not have been read to the end; its own errors have been reported.
    if (!source.locked) await source.cancel().catch(() => {});
  }
}

interface Job {
  readonly workspace: Workspace;
  readonly session: Session;
  readonly options: ImportOptions;
  readonly label: string;
  readonly text: AsyncIterable<string>;
}

/** Builds a database next to the existing one, if any, and replaces it. */
async function replace(job: Job): Promise<ImportResult> {
  const { workspace, session, options, label, text } = job;
  const { database, signal } = options;
  const location = locationOf(workspace, database);
  if (location.kind === "server") return await replaceOnServer(job, location);
  const { path: target } = location;
  // Two SQLite libraries in one process must not open the same file: closing it drops locks.
  const isOthers = isForeign(location);
  if (target === ":memory:" || isOthers) {
    const reason = isOthers ? "is open through another SQLite library" : "is in memory";
    throw new UsageError(`Cannot import ${label}: database "${database}" ${reason}`, {
      help: isOthers ? "close it first, and give its path" : "import into it with intoExisting",
    });
  }
  refuseLink(target, { cannot: `import ${label} into ${database}` });
  const isThere = Boolean(sizeOf(target));
  if (isThere && options.confirm === undefined) throw unconfirmed(database, label);
  ensureDirectories(target, {
    base: directoryOf(workspace.ledgerFile),
    mayCreate: workspace.createDirectories,
  });
  const path = partFileOf(`${target}.import`);
  const { settings } = workspace;
  const { check, count, watch, keep, replace } = WEIGHTS;
  const keeps = options.backup !== false;
  const steps = new Steps(
    check + (isThere ? count + watch + replace + (keeps ? keep : 0) : 0),
    options.onStep,
  );
  const violations = await buildDatabase(text, {
    path,
    settings,
    signal,
    like: isThere ? target : options.likeFile,
    onCheck: () => steps.begin(`checking the new ${database}`, check),
  });
  try {
    if (isThere) steps.begin("counting the rows", count);
    const then = await examineBuilt(path, workspace, database);
    if (isThere) {
      const now = await contentOf(target, workspace.timeout);
      if (await options.confirm?.({ label, database, now, then }) !== true) {
        throw unconfirmed(database, label);
      }
    }
    // The target of a link may be on another disk, and the link must be kept.
    const temporary = sizeOf(target) === null && !isLink(target) ? "move" : "copy";
    await requireReplaceable(workspace, {
      cannot: `import ${label}`,
      replacements: [{ target, bytes: temporary === "move" ? 0 : sizeOf(path) ?? 0 }],
      keeps,
    });
    if (isThere) steps.begin("checking the existing data", watch);
    await using watched = await WatchedDatabases.watch(workspace, [database], { keeps });
    if (isThere && keeps) steps.begin("keeping the existing data in a snapshot", keep);
    const snapshot = !keeps ? null : await takeSafety(workspace, [database], {
      onProgress: ({ done, total }) => steps.advance(done, total),
      signal,
    });
    if (isThere) steps.begin(`replacing ${database}`, replace);
    const { adopted, reconciled } = await replaceAll(workspace, session, {
      direction: "import",
      label,
      safety: snapshot,
      replacements: [{
        database,
        source: path,
        bytes: sizeOf(path) ?? 0,
        compressed: false,
        temporary,
      }],
    }, watched);
    const outcome = isThere ? "replaced" : "created";
    return { database, outcome, rows: then.rows, ...violations, snapshot, adopted, reconciled };
  } finally {
    // The journal of an unfinished import needs the file.
    if (!isRestoring(workspace)) await ignoringErrors(() => removeDatabase(path));
  }
}

/** How long each step takes, compared with the others. */
const WEIGHTS = { check: 6, count: 1, watch: 3, keep: 10, replace: 10 };

/** Builds a database in a file, and writes it into an empty one on a server. */
async function replaceOnServer(job: Job, location: ServerLocation): Promise<ImportResult> {
  const { workspace, options, text } = job;
  const { database, signal } = options;
  const { settings, timeout, ledgerFile } = workspace;
  ensureDirectories(ledgerFile, {
    base: directoryOf(ledgerFile),
    mayCreate: workspace.createDirectories,
  });
  const path = partFileOf(`${prefixOfLedger(ledgerFile)}${database}.import`);
  const violations = await buildDatabase(text, { path, settings, signal, like: options.likeFile });
  try {
    const { rows } = await examineBuilt(path, workspace, database);
    const { fillServer } = await import("./to_server.ts");
    {
      await using target = await openForWriting(location, settings);
      await fillServer(path, target, { timeout, signal });
    }
    const reconciliation = await recordEnd(job, "into an empty database on a server");
    return { database, outcome: "created", rows, ...violations, snapshot: null, ...reconciliation };
  } finally {
    removeDatabase(path);
  }
}

/** Runs the dump against the existing database. */
async function add(job: Job): Promise<ImportResult> {
  const { workspace, session, options, label, text } = job;
  const { database, signal, confirm } = options;
  const location = locationOf(workspace, database);
  if (location.kind === "server") {
    // A dump is untrusted, and a server has no authorizer to check it.
    throw new UsageError(`Cannot import ${label} into ${database}: it is on a server`, {
      help: "`copy` it into a file, import into that, and `copy` the file into an empty namespace",
    });
  }
  if (location.kind === "file" && location.path !== ":memory:" && !sizeOf(location.path)) {
    throw new LocationError(
      `Cannot import ${label}: database "${database}" does not exist (${location.path})`,
      { help: "leave out --into-existing to create it, or run `upgrade` first" },
    );
  }
  const connection = await session.database(database);
  const steps = new Steps(1, options.onStep);
  steps.begin(`copying ${database} into a snapshot`, 1);
  const snapshot = options.backup === false ? null : await snapshotBefore(workspace, session, {
    databases: [database],
    onProgress: ({ done, total }) => steps.advance(done, total),
    ...(signal ? { signal } : {}),
  });
  await recordImport(workspace, session, { database, label, detail: null });
  const rows = await loadIntoExisting(connection, text, {
    timeout: workspace.timeout,
    signal,
    verify: async ({ before, after, lost }) => {
      await refuseStrangers(connection, workspace, database);
      if (lost.length === 0) return;
      const content = (rows: ReadonlyMap<string, number>) => ({
        rows: Object.fromEntries(lost.map(({ table }) => [table, rows.get(table) ?? 0])),
        migrations: [],
      });
      const change = { database, now: content(before), then: content(after) };
      const losses = Object.fromEntries(lost.map(({ table, rows }) => [table, rows]));
      if (await confirm?.({ label, ...change, lost: losses }) === true) return;
      const what = lost.map(({ table, rows }) => `${rows} of table "${table}"`).join(", ");
      const isCounted = lost.every(({ table, rows }) =>
        rows <= (before.get(table) ?? 0) - (after.get(table) ?? 0)
      );
      throw new ConfirmationError(
        `Cannot import ${label}: ${database} would lose ${
          isCounted ? "" : "or change "
        }rows: ${what}`,
        { help: "nothing was changed; confirm with --yes" },
      );
    },
  });
  const kept = snapshot === null ? "" : `; the previous data is in snapshot ${snapshot}`;
  const reconciliation = await afterCommit(
    importedRows(label, database),
    () => recordEnd(job, `into the existing database${kept}`),
  );
  return {
    database,
    outcome: "added",
    rows,
    violations: [],
    violatedChecks: [],
    snapshot,
    ...reconciliation,
  };
}

/** Corrects the ledger after the new data, and records the import. */
async function recordEnd(
  { workspace, session, options: { database }, label }: Job,
  detail: string,
): Promise<Reconciliation> {
  const found = await inspect(workspace, { tolerant: true });
  const reconciliation = await reconcile(workspace, session, found);
  await recordImport(workspace, session, { database, label, detail });
  await session.sync();
  return reconciliation;
}

function unconfirmed(database: string, label: string): ConfirmationError {
  return new ConfirmationError(`Cannot import ${label}: it would replace ${database}`, {
    help: "nothing was changed; confirm with `yes`, or use --yes in a non-interactive session; " +
      "--into-existing adds to the existing data",
  });
}

/** Rows and migrations of the new database, which this version must know. */
async function examineBuilt(
  path: string,
  workspace: Workspace,
  database: string,
): Promise<DatabaseContent> {
  await using connection = await openForReading({ kind: "file", path }, workspace.settings);
  const migrations = await refuseStrangers(connection, workspace, database);
  return { rows: Object.fromEntries(await countRows(connection)), migrations };
}

/** Refuses a database that no command could use afterwards; returns the ids of its migrations. */
async function refuseStrangers(
  connection: Connection,
  workspace: Workspace,
  database: string,
): Promise<readonly string[]> {
  const ids = await readMarkerIds(connection);
  // An unknown migration may have a missing or broken file, which must not prevent an import.
  const { byId } = workspace.registry;
  const stranger = ids.find((id) => (byId.get(id)?.database ?? database) !== database);
  if (stranger === undefined) return ids;
  throw new DumpFault(
    `it holds migration ${stranger}, which belongs to ${byId.get(stranger)?.database}`,
    { help: "name its database with --database" },
  );
}

/** Errors that are not about the dump itself. */
function aboutImport(error: unknown, label: string): unknown {
  // Once the import has begun, the message already says so.
  const isFull = error instanceof DiskFullError
    ? !error.help?.includes("has begun")
    : isFullDisk(error);
  if (isFull) {
    return new DiskFullError(`Cannot import ${label}: the disk is full`, {
      cause: error,
      help: "free some space, then run the command again; nothing was changed",
    });
  }
  if (error instanceof CatalystError || !(error instanceof Error)) return error;
  return new DumpError(`Cannot import ${label}: ${error.message}`, {
    cause: error,
    help: "nothing was changed; check that the file can be read",
  });
}
