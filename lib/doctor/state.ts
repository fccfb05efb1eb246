import { fileItself, fileVersion, mayRead } from "../base/paths.ts";
import { wrapHandle } from "../database/node_sqlite.ts";
import type { ConnectionSettings } from "../database/settings.ts";
import { type Failure, failureOf } from "../base/errors.ts";
import { type LedgerEvent, readEvents, readLedger } from "../state/ledger.ts";
import { type Marker, readMarkers } from "../state/marker.ts";
import type { Migration } from "../migration/migration.ts";
import { type Status, status } from "../state/status.ts";
import { createWorkspace } from "../state/workspace.ts";
import {
  type Content,
  type DatabaseFacts,
  type FileContext,
  lookAtFiles,
  type OpenedDatabase,
  openToLook,
} from "./inspect_database.ts";

/** What to look at. */
export interface DoctorRequest {
  /** Put before each file name. */
  readonly prefix: string;
  /** Where the prefix comes from. */
  readonly prefixFrom: "flag" | "variable" | "default";
  /** What `DB_PATH_PREFIX` holds, whether it is used or not. */
  readonly variable: string | undefined;
  /** Settings as they are asked for, without those that are wrong. */
  readonly settings: ConnectionSettings;
  /** What is wrong with variables. */
  readonly wrongVariables: readonly Failure[];
  /** Variables that Deno may not read. */
  readonly hiddenVariables: readonly string[];
  /** Directory of the user's own migrations; null where there is none. */
  readonly migrationsDir: string | null;
  /** Names of the databases. */
  readonly databases: readonly string[];
  /** The migrations that come with the toolkit. */
  readonly bundled: readonly Migration[];
}

/** What the databases and migrations say together. */
export interface StateFacts {
  /** Null where it can't be told. */
  readonly status: Status | null;
  readonly failures: readonly (Failure & { readonly database: string | null })[];
  readonly markers: ReadonlyMap<string, readonly Marker[]>;
  /** The newest first. */
  readonly events: readonly LedgerEvent[];
  /** Whether the ledger was read, or there is none; else the status knows nothing of it. */
  readonly isLedgerRead: boolean;
}

/** The user's own migrations. */
export interface OwnFacts {
  readonly directory: string | null;
  readonly migrations: readonly Migration[];
  readonly failures: readonly Failure[];
  /** Names of the files that can't be used. */
  readonly unusable: readonly string[];
}

/** Name that the ledger has among the databases. */
export const LEDGER = "migrations";

/** How many of the ledger's newest events are looked at. */
const EVENTS = 10_000;

/** What was found of one database, inside and outside. */
export type LookedDatabase = DatabaseFacts & {
  readonly content: Content;
  /** Whether somebody wrote to it meanwhile, so that it may have been seen half. */
  readonly isChanging: boolean;
};

/** What a look into all databases found. */
export interface Looked {
  /** The databases, the ledger last. */
  readonly databases: readonly LookedDatabase[];
  readonly state: StateFacts;
  /** Whether a file was changed meanwhile, and may have been seen half. */
  readonly isStale: boolean;
}

/** Looks at the databases and into them, all at once. */
export async function lookInto(
  request: DoctorRequest,
  own: OwnFacts,
  context: FileContext,
): Promise<Looked> {
  const paths = new Map(
    [...request.databases, LEDGER].map((name) => [name, `${request.prefix}${name}.db`]),
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
  const state = await stateFacts(request, files, { opened, own });
  const databases = files.map((facts): LookedDatabase => {
    const { content } = opened.get(facts.name) ?? NOT_OPENED;
    // Beside a writer SQLite's own locks keep what is seen whole.
    const isSafe = content.kind === "unread" ||
      content.kind === "read" && content.how === "shared";
    const isChanging = !isSafe && before.get(facts.name) !== versionOf(facts.path);
    return { ...facts, content, isChanging };
  });
  const changing = databases.filter((one) => one.isChanging).map(({ name }) => name);
  return {
    databases,
    // What seems wrong with a file that was seen half may not be.
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

interface Subjects {
  readonly opened: ReadonlyMap<string, OpenedDatabase>;
  readonly own: OwnFacts;
}

/** The state as `status` sees it, of what can be read. */
async function stateFacts(
  request: DoctorRequest,
  files: readonly DatabaseFacts[],
  { opened, own }: Subjects,
): Promise<StateFacts> {
  const failures: (Failure & { readonly database: string | null })[] = [];
  const markers = new Map<string, readonly Marker[]>();
  const sources = new Map<string, Parameters<typeof wrapHandle>[0]["handle"] | string>();
  let events: readonly LedgerEvent[] = [];
  for (const { name, path, place } of files) {
    const handle = opened.get(name)?.observed?.handle;
    if (handle === undefined) {
      // One that isn't there has nothing, as far as `status` goes; of others nothing can be said.
      if (place.kind === "missing") sources.set(name, path);
      continue;
    }
    try {
      const connection = await wrapHandle({ kind: "open", handle, path });
      if (name === LEDGER) {
        await readLedger(connection);
        events = await readEvents(connection, EVENTS);
      } else {
        markers.set(name, (await readMarkers(connection)).markers ?? []);
      }
      sources.set(name, handle);
    } catch (error) {
      failures.push({ ...failureOf(error), database: name });
    }
  }
  const databases = Object.fromEntries([...sources].filter(([name]) => name !== LEDGER));
  const look = (migrations: readonly Migration[]) =>
    status(createWorkspace({
      databases,
      ledger: sources.get(LEDGER) ?? ":memory:",
      migrations: migrations.filter(({ database }) => database in databases),
    }));
  const found = { failures, markers, events, isLedgerRead: sources.has(LEDGER) };
  try {
    return { ...found, status: await look([...request.bundled, ...own.migrations]) };
  } catch (error) {
    failures.push({ ...failureOf(error), database: null });
  }
  try {
    return { ...found, status: await look(request.bundled) };
  } catch {
    return { ...found, status: null };
  }
}

/** Reads the user's own migrations, and goes on after each that can't be used. */
export async function ownFacts(request: DoctorRequest): Promise<OwnFacts> {
  const { migrationsDir: directory, databases } = request;
  const failures: Failure[] = [];
  const unusable: string[] = [];
  const nothing = { directory, migrations: [], failures, unusable };
  if (directory === null) return nothing;
  if (!mayRead(directory)) {
    const message = `Cannot read the migrations in ${directory}: Deno was not given the permission`;
    const help = `run it with --allow-read=${directory} besides`;
    return { ...nothing, failures: [{ code: "NOT_PERMITTED", message, help }] };
  }
  const [{ readMigrations }, { refuseSyntaxErrors }] = await Promise.all([
    import("../migration/loader.ts"),
    import("../migration/syntax.ts"),
  ]);
  const bundled = request.bundled.map(({ name }) => name);
  while (true) {
    try {
      const except = [...bundled, ...unusable];
      const migrations = await readMigrations(directory, { databases, except });
      const right = migrations.filter((migration) => {
        try {
          refuseSyntaxErrors([migration]);
          return true;
        } catch (error) {
          failures.push(failureOf(error));
          unusable.push(migration.name);
          return false;
        }
      });
      return { ...nothing, migrations: right };
    } catch (error) {
      failures.push(failureOf(error));
      const name = fileNameOf(error);
      // Without that one the others can be read.
      if (name === null || unusable.includes(name)) return nothing;
      unusable.push(name);
    }
  }
}

function fileNameOf(error: unknown): string | null {
  const path = error instanceof Error && "path" in error ? error.path : undefined;
  return typeof path === "string" ? path.replace(/^.*[/\\]|\.[^.]*$/g, "") : null;
}
