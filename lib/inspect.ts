import type { Connection } from "./database/connection.ts";
import { type DatabaseLocation, statDatabase } from "./database/location.ts";
import { openForReading } from "./database/open.ts";
import { text } from "./database/row.ts";
import { emptyLedger, type LedgerState, readLedger } from "./ledger.ts";
import { readMarkers } from "./marker.ts";
import type { DatabaseState, FoundState } from "./state.ts";
import type { Workspace } from "./workspace.ts";

/** What {@link inspect} found, and what stands in the way of adopting it. */
export interface Inspection extends FoundState {
  /** By database: why its tables can't be taken for those of its migrations. */
  readonly conflicts: ReadonlyMap<string, readonly string[]>;
}

/** Reads the state of all databases and of the ledger. It changes and creates nothing. */
export async function inspect(workspace: Workspace): Promise<Inspection> {
  const ledger = await inspectLedger(workspace);
  const databases = new Map<string, DatabaseState>();
  const conflicts = new Map<string, readonly string[]>();
  for (const [name, location] of workspace.locations) {
    const { state, conflicting } = await inspectDatabase(workspace, { name, location, ledger });
    databases.set(name, state);
    if (conflicting.length > 0) conflicts.set(name, conflicting);
  }
  return { databases, ledger, conflicts };
}

async function inspectLedger(workspace: Workspace): Promise<LedgerState> {
  if (!statDatabase(workspace.ledger).exists) return emptyLedger;
  await using connection = await openForReading(workspace.ledger, workspace.settings);
  return await readLedger(connection);
}

interface Subject {
  readonly name: string;
  readonly location: DatabaseLocation;
  readonly ledger: LedgerState;
}

async function inspectDatabase(
  workspace: Workspace,
  subject: Subject,
): Promise<{ state: DatabaseState; conflicting: readonly string[] }> {
  const { name, location } = subject;
  const { exists, sizeBytes } = statDatabase(location);
  const base = { name, path: location.path, exists, sizeBytes };
  if (!exists) {
    return {
      state: { ...base, journalMode: null, markers: null, hasTables: false, adoptable: [] },
      conflicting: [],
    };
  }
  await using connection = await openForReading(location, workspace.settings);
  const { markers, hasTables } = await readMarkers(connection);
  const found = markers === null && hasTables
    ? await unmarkedState(connection, workspace, subject)
    : { adoptable: [], conflicting: [] };
  const journalMode = await connection.get("PRAGMA journal_mode");
  return {
    state: {
      ...base,
      journalMode: journalMode === undefined ? null : text(journalMode, "journal_mode"),
      markers,
      hasTables,
      adoptable: found.adoptable,
    },
    conflicting: found.conflicting,
  };
}

/** A database with tables and without markers: is it one that a former version made? */
async function unmarkedState(
  connection: Connection,
  workspace: Workspace,
  { name, ledger }: Subject,
): Promise<{ adoptable: readonly string[]; conflicting: readonly string[] }> {
  const { findAdoptable } = await import("./adoption.ts");
  const migrations = workspace.registry.migrations.filter((one) => one.database === name);
  const recorded = new Set(
    [...ledger.history.values()].filter((row) => row.status === "applied").map((row) => row.id),
  );
  return await findAdoptable(connection, { migrations, recorded });
}
