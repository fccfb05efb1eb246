/**
 * Observes the databases and the ledger, without changing anything.
 *
 * @module
 */
import type { Connection } from "../database/connection.ts";
import { type DatabaseLocation, statDatabase } from "../database/location.ts";
import { readDatabase } from "../database/open.ts";
import {
  CatalystError,
  CorruptDatabaseError,
  isDamage,
  NotADatabaseError,
} from "../base/errors.ts";
import {
  emptyLedger,
  type EventFilter,
  type LedgerEvent,
  type LedgerState,
  readEvents,
  readLedger,
} from "./ledger.ts";
import { readMarkers } from "./marker.ts";
import type { DatabaseConflict, DatabaseState, FoundState } from "./assess.ts";
import type { Workspace } from "./workspace.ts";

/** What {@link inspect} found, and what prevents adopting it. */
export interface Inspection extends FoundState {
  /** The newest events, as many as requested. */
  readonly events: readonly LedgerEvent[];
  /** By database: tables with a different schema than its migrations create. */
  readonly conflicts: ReadonlyMap<string, readonly DatabaseConflict[]>;
  /** Databases that could not be read, with the reasons. */
  readonly unreadable: readonly string[];
}

/** Options of {@link inspect}. */
interface InspectOptions {
  /** Which events to read. Default: none. */
  readonly events?: EventFilter;
  /** Whether to read the journal modes. Default `false`. */
  readonly journalModes?: boolean;
  /**
   * Whether to report a damaged or unreachable database or ledger instead of throwing. Default: only a
   * database without migrations.
   */
  readonly tolerant?: boolean;
}

/** Reads the state of all databases and the ledger. Changes and creates nothing. */
export async function inspect(
  workspace: Workspace,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { tolerant = false } = options;
  const unreadable: string[] = [];
  const tolerate = (error: unknown, { kind }: DatabaseLocation, isTolerated: boolean): void => {
    // A server may be unreachable, or its token invalid.
    const isOfServer = kind === "server" && error instanceof CatalystError;
    if (!isTolerated || !(isDamage(error) || isOfServer)) throw error;
    unreadable.push(error.message);
  };
  const { ledger, events } = await inspectLedger(workspace, options.events).catch((error) => {
    tolerate(error, workspace.ledger, tolerant);
    return { ledger: emptyLedger, events: [] };
  });
  const databases = new Map<string, DatabaseState>();
  const conflicts = new Map<string, readonly DatabaseConflict[]>();
  for (const [name, location] of workspace.locations) {
    const { state, conflicting } = await inspectDatabase(workspace, {
      name,
      location,
      ledger,
      asksMode: options.journalModes ?? false,
    }).catch((error) => {
      // One without migrations must not prevent those of the others.
      const isManaged = workspace.registry.migrations.some(({ database }) => database === name);
      tolerate(error, location, tolerant || !isManaged);
      return unreadableState(name, location, unreadable.at(-1) ?? "");
    });
    databases.set(name, state);
    if (conflicting.length > 0) conflicts.set(name, conflicting);
  }
  return { databases, ledger, events, conflicts, unreadable };
}

/** Reads the state and the newest events of the ledger; both are empty if there is no ledger. */
export async function inspectLedger(
  workspace: Workspace,
  filter: EventFilter | undefined,
): Promise<{ ledger: LedgerState; events: readonly LedgerEvent[] }> {
  if (!statDatabase(workspace.ledger).exists) return { ledger: emptyLedger, events: [] };
  try {
    return await readDatabase(workspace.ledger, workspace, async (connection) => ({
      ledger: await readLedger(connection),
      events: filter === undefined ? [] : await readEvents(connection, filter),
    }));
  } catch (error) {
    throw withLedgerHelp(error, workspace.ledger.path);
  }
}

/** Adds help to an error of the ledger: it is only history, and the databases hold their own state. */
function withLedgerHelp(error: unknown, path: string): unknown {
  for (const kind of [NotADatabaseError, CorruptDatabaseError]) {
    if (!(error instanceof kind)) continue;
    return new kind(error.message, {
      cause: error,
      help:
        `restore it from a backup, or move ${path} away: \`upgrade\` creates a new one from the ` +
        "databases, but the history is lost",
    });
  }
  return error;
}

interface InspectedDatabase {
  readonly state: DatabaseState;
  readonly conflicting: readonly DatabaseConflict[];
}

function unreadableState(
  name: string,
  location: DatabaseLocation,
  unreadable: string,
): InspectedDatabase {
  return {
    state: {
      name,
      path: location.path,
      exists: true,
      sizeBytes: null,
      journalMode: null,
      markers: null,
      hasTables: true,
      adoptable: [],
      unreadable,
    },
    conflicting: [],
  };
}

interface Subject {
  readonly name: string;
  readonly location: DatabaseLocation;
  readonly ledger: LedgerState;
  readonly asksMode: boolean;
}

async function inspectDatabase(
  workspace: Workspace,
  subject: Subject,
): Promise<InspectedDatabase> {
  const { name, location, asksMode } = subject;
  const { exists, sizeBytes } = statDatabase(location);
  const base = { name, path: location.path, exists, sizeBytes };
  if (!exists) {
    return {
      state: { ...base, journalMode: null, markers: null, hasTables: false, adoptable: [] },
      conflicting: [],
    };
  }
  return await readDatabase(location, workspace, async (connection, journalMode) => {
    const state = await readMarkers(connection);
    // After a full downgrade no markers remain, and the tables may belong to another program.
    const isUnmarked = state.hasTables && (state.markers ?? []).length === 0;
    const found = isUnmarked
      ? await unmarkedState(connection, workspace, subject)
      : { adoptable: [], conflicting: [] };
    const mode = asksMode ? await journalMode() : null;
    return {
      state: { ...base, ...state, adoptable: found.adoptable, journalMode: mode },
      conflicting: found.conflicting,
    };
  });
}

/** The state of a database with tables but no markers, which the earlier system may have created. */
async function unmarkedState(
  connection: Connection,
  workspace: Workspace,
  { name, location, ledger }: Subject,
): Promise<Pick<DatabaseState, "adoptable"> & Pick<InspectedDatabase, "conflicting">> {
  const { findAdoptable } = await import("./adoption.ts");
  const migrations = workspace.registry.migrations.filter((one) => one.database === name);
  const recorded = new Set(
    [...ledger.history.values()].filter((row) => row.status === "applied").map((row) => row.id),
  );
  const { adoptable, conflicting } = await findAdoptable(connection, { migrations, recorded });
  return {
    adoptable,
    conflicting: conflicting.map((one) => ({
      database: name,
      description:
        `table "${one.table}" in ${location.path} differs from the one that ${one.migration} creates: ` +
        one.summary,
      ...one,
    })),
  };
}
