/**
 * Gathers the facts for doctor, without changing anything.
 *
 * @module
 */
import { type SerializedError, serializeError } from "../base/errors.ts";
import { directoryOf, fileItself, fileVersion, mayRead } from "../base/paths.ts";
import { text } from "../database/connection.ts";
import { type DatabaseSource, locate } from "../database/location.ts";
import { openForReading, openMemory, sqliteVersion } from "../database/open.ts";
import type { Migration } from "../migration/migration.ts";
import { lastGood, listSnapshots, type SnapshotEntry, storeLock } from "../snapshot/store.ts";
import { type LedgerEvent, readEvents, readLedger } from "../state/ledger.ts";
import { type Marker, readMarkers } from "../state/marker.ts";
import { uncoveredFiles } from "../state/uncovered_files.ts";
import type { LostDatabaseOptions } from "../state/lost_databases.ts";
import { status } from "../state/status.ts";
import {
  backupsBeside,
  createWorkspace,
  LEDGER,
  ledgerOf,
  lockBeside,
} from "../state/workspace.ts";
import { rehearsalLock } from "../engine/remove_leftovers.ts";
import type {
  DatabaseFacts,
  DoctorRequest,
  Facts,
  Leftover,
  LookedDatabase,
  OwnFacts,
  StateFacts,
  SystemFacts,
} from "./facts.ts";
import {
  directoryFacts,
  type FileContext,
  lookAtFiles,
  type OpenedDatabase,
  openersOf,
  openToLook,
} from "./inspect_files.ts";
import { leftoversAmongSnapshots, leftoversBeside } from "./find_leftovers.ts";
import { blockersOf, lockFacts } from "./locks.ts";
import { attempt, readMounts } from "./linux.ts";

/** How often to repeat the examination of databases that change meanwhile. */
const ATTEMPTS = 3;

/**
 * Gathers all facts. It continues after each failure, requests no permission and changes nothing.
 * No other code of this process may have the databases open, because plain file calls would drop
 * its locks.
 */
export async function gather(request: DoctorRequest): Promise<Facts> {
  const { prefix } = request;
  const system = await systemFacts();
  const backups = request.backupDir ?? backupsBeside(ledgerOf(prefix));
  const snapshots = await snapshotsIn(backups);
  const readLastGood = () =>
    Promise.resolve((database: string) => lastGood(snapshots, { database, directory: backups }));
  const mounts = system.isAllPermitted && Deno.build.os === "linux" ? readMounts() : null;
  const context = { isAllPermitted: system.isAllPermitted, mounts };
  const own = await ownFacts(request);
  const migratorLock = lockBeside(ledgerOf(prefix));
  const wasMigrating = lockFacts(migratorLock, context).some(({ isHeld }) => isHeld);
  const subjects = { own, context, readLastGood };
  let looked = await lookInto(request, subjects);
  for (let attempt = 1; attempt < ATTEMPTS && looked.isStale; attempt++) {
    looked = await lookInto(request, subjects);
  }
  const found = leftovers(request, backups, snapshots);
  const locks = [
    migratorLock,
    storeLock(backups),
    ...found.filter(({ kind }) => kind === "rehearsal").map(({ path }) => rehearsalLock(path)),
  ].flatMap((path) => lockFacts(path, context));
  return {
    request,
    now: Date.now() / 1000,
    // Null if it was deleted.
    workingDirectory: attempt(() => mayRead(".") ? Deno.cwd() : null, null),
    system,
    directory: await directoryFacts(directoryOf(prefix), mounts),
    databases: looked.databases,
    openers: openersOf(looked.databases, context),
    blockers: await blockersOf(looked.databases),
    state: looked.state,
    own,
    locks,
    isMigrating: wasMigrating || locks.some((one) => one.path === migratorLock && one.isHeld),
    // Some belonged to a command that has finished since, and so holds no lock.
    leftovers: found.filter(({ path }) => attempt(() => Deno.lstatSync(path), null) !== null),
    uncovered: uncoveredFiles({
      ledger: locate(request.ledger),
      ledgerFile: ledgerOf(prefix),
      locations: new Map(
        Object.entries(request.databases).map(([name, path]) => [name, locate(path)]),
      ),
      backups,
    }),
    backups,
    backupsDirectory: await directoryFacts(backups, mounts),
    snapshots,
  };
}

async function systemFacts(): Promise<SystemFacts> {
  await using memory = openMemory();
  const options = await memory.all("PRAGMA compile_options");
  const names = ["read", "write", "env", "net", "run", "ffi", "sys"] as const;
  const granted = names.filter((name) => {
    const { state, partial } = Deno.permissions.querySync({ name });
    // Partial: denied for some values.
    return state === "granted" && !partial;
  });
  return {
    deno: Deno.version.deno,
    isStandalone: Deno.build.standalone,
    platform: `${Deno.build.os} ${Deno.build.arch}`,
    sqlite: sqliteVersion(),
    sqliteOptions: options.map((row) => text(row, "compile_options")),
    isAllPermitted: granted.length === names.length,
    spare: granted.filter((name) => !["read", "write", "env"].includes(name)),
  };
}

async function snapshotsIn(directory: string): Promise<readonly SnapshotEntry[]> {
  if (!mayRead(directory)) return [];
  try {
    return await listSnapshots(directory);
  } catch {
    return []; // can't be listed; the directory's own check reports it
  }
}

function leftovers(
  { prefix, databases }: DoctorRequest,
  backups: string,
  snapshots: readonly SnapshotEntry[],
): Leftover[] {
  const directory = directoryOf(prefix);
  const beginning = prefix.replace(/^.*[/\\]/, "");
  const whole = new Set(
    snapshots.flatMap(({ manifest }) => manifest?.files.map(({ file }) => file) ?? []),
  );
  const beside = { prefix: prefix.slice(0, prefix.length - beginning.length) };
  return [
    ...leftoversBeside(
      { ...beside, names: namesIn(directory) },
      { beginning, databases: [...Object.keys(databases), LEDGER] },
    ),
    ...leftoversAmongSnapshots({ prefix: `${backups}/`, names: namesIn(backups) }, whole),
  ];
}

function namesIn(directory: string): string[] {
  if (!mayRead(directory)) return [];
  return attempt(() => Array.from(Deno.readDirSync(directory), ({ name }) => name), []);
}

/** How many of the ledger's newest events are examined. */
const EVENTS = 10_000;

/** Result of examining all databases. */
interface Looked {
  /** The databases, the ledger last. */
  readonly databases: readonly LookedDatabase[];
  readonly state: StateFacts;
  /** Whether a file was changed meanwhile, and may not have been read consistently. */
  readonly isStale: boolean;
}

/** Examines the files and the content of all databases. */
async function lookInto(
  request: DoctorRequest,
  { context, ...others }: Omit<Subjects, "opened"> & { readonly context: FileContext },
): Promise<Looked> {
  const paths = new Map(
    [...Object.entries(request.databases), [LEDGER, request.ledger]],
  );
  const before = new Map([...paths].map(([name, path]) => [name, versionOf(path)]));
  const files = [...paths].map(([name, path]) => lookAtFiles(name, path, context));
  using stack = new DisposableStack();
  const opened = new Map<string, OpenedDatabase>();
  for (const facts of files) {
    const one = await openToLook(facts, request.settings, context);
    if (one.observed !== null) stack.use(one.observed);
    opened.set(facts.name, one);
  }
  const state = await stateFacts(request, files, { opened, ...others });
  const databases = files.map((facts): LookedDatabase => {
    const { content } = opened.get(facts.name) ?? NOT_OPENED;
    // During writes SQLite's own locks keep reads consistent.
    const isSafe = content.kind === "unread" ||
      content.kind === "read" && content.how === "shared";
    const isChanging = !isSafe && before.get(facts.name) !== versionOf(facts.path);
    return { ...facts, content, isChanging };
  });
  const changing = databases.filter((one) => one.isChanging).map(({ name }) => name);
  return {
    databases,
    // Problems of a file that was not read consistently may not be real.
    state: {
      ...state,
      failures: state.failures.filter(({ database }) =>
        database === null || !changing.includes(database)
      ),
    },
    isStale: changing.length > 0,
  };
}

const NOT_OPENED: OpenedDatabase = { content: { kind: "unread", because: null }, observed: null };

/** Changes with each write to a database or its log. */
function versionOf(path: string): string {
  if (!mayRead(path)) return "";
  return [path, `${fileItself(path)}-wal`].map((one) => mayRead(one) ? fileVersion(one) : null)
    .join();
}

interface Subjects extends LostDatabaseOptions {
  readonly opened: ReadonlyMap<string, OpenedDatabase>;
  readonly own: OwnFacts;
}

/** The state as `status` sees it, for everything readable. */
async function stateFacts(
  request: DoctorRequest,
  files: readonly DatabaseFacts[],
  { opened, own, readLastGood }: Subjects,
): Promise<StateFacts> {
  const failures: (SerializedError & { readonly database: string | null })[] = [];
  const markers = new Map<string, readonly Marker[]>();
  const sources = new Map<string, DatabaseSource>();
  let events: readonly LedgerEvent[] = [];
  for (const { name, path, place } of files) {
    const handle = opened.get(name)?.observed?.handle;
    if (handle === undefined) {
      // `status` treats a missing database as empty; nothing is known about others.
      const isReached = place.kind === "server" && opened.get(name)?.content.kind !== "failed";
      if (place.kind === "missing" || isReached) sources.set(name, path);
      continue;
    }
    try {
      const connection = await openForReading({ kind: "open", handle, path });
      if (name === LEDGER) {
        await readLedger(connection);
        events = await readEvents(connection, { limit: EVENTS });
      } else {
        markers.set(name, (await readMarkers(connection)).markers ?? []);
      }
      sources.set(name, handle);
    } catch (error) {
      failures.push({ ...serializeError(error), database: name });
    }
  }
  const databases = Object.fromEntries([...sources].filter(([name]) => name !== LEDGER));
  const look = (migrations: readonly Migration[]) => {
    const workspace = createWorkspace({
      databases,
      ledger: sources.get(LEDGER) ?? ":memory:",
      migrations: migrations.filter(({ database }) => database in databases),
    });
    // A handle does not know the path of a file that was copied into memory.
    const locations = new Map(
      Array.from(workspace.locations, ([name, location]) => {
        const path = request.databases[name] ?? location.path;
        return [name, location.kind === "open" ? { ...location, path } : location] as const;
      }),
    );
    return status({ ...workspace, locations }, { readLastGood });
  };
  const found = { failures, markers, events, isLedgerRead: sources.has(LEDGER) };
  try {
    return { ...found, status: await look([...request.bundled, ...own.migrations]) };
  } catch (error) {
    failures.push({ ...serializeError(error), database: null });
  }
  try {
    return { ...found, status: await look(request.bundled) };
  } catch {
    return { ...found, status: null };
  }
}

/** Reads the user's own migrations, skipping unusable ones. */
async function ownFacts(request: DoctorRequest): Promise<OwnFacts> {
  const { migrationsDir: directory } = request;
  const nothing = { directory, migrations: [], misnamed: null, failures: [], unusable: [] };
  if (directory === null) return nothing;
  if (!mayRead(directory)) {
    const message = `Cannot read the migrations in ${directory}: Deno was not given the permission`;
    const help = `run it with --allow-read=${directory} besides`;
    return { ...nothing, failures: [{ code: "NOT_PERMITTED", message, help }] };
  }
  const [{ describeMisnamed, readUsableMigrations }, { refuseSyntaxErrors }] = await Promise.all([
    import("../migration/loader.ts"),
    import("../migration/syntax.ts"),
  ]);
  const read = await readUsableMigrations(directory, {
    databases: Object.keys(request.databases),
    except: request.bundled.map(({ name }) => name),
  });
  const failures = read.unusable.map(serializeError);
  const migrations = read.migrations.filter((migration) => {
    try {
      refuseSyntaxErrors([migration]);
      return true;
    } catch (error) {
      failures.push(serializeError(error));
      return false;
    }
  });
  const files = namesIn(directory);
  return {
    directory,
    migrations,
    misnamed: files.length === 0 ? null : describeMisnamed(directory),
    failures,
    unusable: files.map((file) => file.replace(/\.[^.]*$/, ""))
      .filter((name) => migrations.every((one) => one.name !== name)),
  };
}
