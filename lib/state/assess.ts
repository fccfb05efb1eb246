/**
 * Decides the state of every migration and the corrections to the ledger, from what was observed.
 *
 * @module
 */
import { type Migration, type Registry, sameText } from "../migration/migration.ts";
import type { HistoryRow, LedgerState } from "./ledger.ts";
import type { Marker } from "./marker.ts";

/** The observed state of one database. */
export interface DatabaseState {
  /** Name, such as `positions`. */
  readonly name: string;
  /** Its path or address, for messages. */
  readonly path: string;
  /** Whether it exists. */
  readonly exists: boolean;
  /** Size of its main file in bytes; null if it does not exist or is not a file. */
  readonly sizeBytes: number | null;
  /** SQLite's journal mode, such as `wal`; null if the database does not exist or the mode was not requested. */
  readonly journalMode: string | null;
  /** Its markers; null if it has no marker table. */
  readonly markers: readonly Marker[] | null;
  /** Whether it has any other tables. */
  readonly hasTables: boolean;
  /** Ids of migrations without a marker whose tables exist. */
  readonly adoptable: readonly string[];
  /** Why it cannot be read; absent if it can. */
  readonly unreadable?: string;
}

/** The observed state of all databases, as plain data. */
export interface FoundState {
  /** Databases by name, in the order of the registry. */
  readonly databases: ReadonlyMap<string, DatabaseState>;
  readonly ledger: LedgerState;
}

/**
 * State of a migration: `applied`; `pending`, not yet run; `failed` and `rolled_back`, not in the
 * database, and this was its last outcome; `changed`, applied with a different text than in the
 * registry; `missing`, in the database but not in the registry; `unknown`, its database cannot be read.
 */
export type MigrationState =
  | "applied"
  | "pending"
  | "failed"
  | "rolled_back"
  | "changed"
  | "missing"
  | "unknown";

/** A migration and its state. */
export interface MigrationStatus {
  /** Its id, such as `001`. */
  readonly id: string;
  /** Its name. */
  readonly name: string;
  /** Name of its database. */
  readonly database: string;
  /** Its state. */
  readonly state: MigrationState;
  /** When it was applied, in Unix epoch seconds; null if it is not applied or the time is unknown. */
  readonly appliedAt: number | null;
  /** Duration in seconds; null if it is not applied or was adopted. */
  readonly durationSeconds: number | null;
}

/** A disagreement between ledger, markers and schema; the markers win. */
export type Correction =
  | { readonly kind: "adopt"; readonly migration: Migration; readonly row: HistoryRow | undefined }
  | { readonly kind: "record"; readonly migration: Migration; readonly marker: Marker }
  | { readonly kind: "replace"; readonly migration: Migration; readonly marker: Marker }
  | { readonly kind: "forget"; readonly migration: Migration; readonly row: HistoryRow }
  | { readonly kind: "finish_rollback"; readonly migration: Migration; readonly row: HistoryRow };

/** Determines the state of every migration; migrations missing from the registry come last. */
export function assess(registry: Registry, found: FoundState): MigrationStatus[] {
  const known = registry.migrations.map((migration) => assessOne(migration, found));
  return [...known, ...strangers(registry, found)];
}

function assessOne(migration: Migration, found: FoundState): MigrationStatus {
  const { id, name, database } = migration;
  const of = (
    state: MigrationState,
    { appliedAt = null, durationSeconds = null }: Partial<MigrationStatus> = {},
  ): MigrationStatus => ({ id, name, database, state, appliedAt, durationSeconds });
  const marker = markersOf(found, database).get(id);
  if (marker !== undefined) {
    const isOther = isChanged(migration, marker) && !isReplaceable(migration, found);
    return of(isOther ? "changed" : "applied", marker);
  }
  const state = found.databases.get(database);
  if (state?.unreadable !== undefined) return of("unknown");
  const row = found.ledger.history.get(id);
  const recorded = row?.status === "applied" ? row : undefined;
  if (state?.adoptable.includes(id)) return of("applied", recorded);
  // It is not in its database: the last state in the ledger, unless that is wrong.
  if (found.ledger.interruptedDowngrades.has(id)) return of("rolled_back");
  return of(row === undefined || recorded !== undefined ? "pending" : row.status);
}

/** Markers of migrations that the registry does not contain, or contains for another database. */
function strangers(registry: Registry, found: FoundState): MigrationStatus[] {
  const replaced = new Set(
    registry.migrations.flatMap((one) => isReplaceable(one, found) ? one.replaces ?? [] : []),
  );
  return [...found.databases.values()].flatMap(({ name: database, markers }) =>
    (markers ?? [])
      .filter(({ id }) => registry.byId.get(id)?.database !== database && !replaced.has(id))
      .map(({ id, name, appliedAt, durationSeconds }) => ({
        id,
        name,
        database,
        state: "missing" as const,
        appliedAt,
        durationSeconds,
      }))
  );
}

function isChanged(migration: Migration, marker: Marker): boolean {
  if (marker.name !== migration.name) return true;
  if (typeof migration.upgrade !== "string" || marker.upgradeSql === null) return false;
  return !sameText(migration.upgrade, marker.upgradeSql);
}

/** Whether a database has all migrations that a migration replaces, but not the migration itself. */
function isReplaceable({ id, name, database, replaces }: Migration, found: FoundState): boolean {
  if (replaces === undefined) return false;
  const markers = markersOf(found, database);
  const own = markers.get(id);
  return own !== undefined && own.name !== name && replaces.every((one) => markers.has(one));
}

const indexes = new WeakMap<readonly Marker[], ReadonlyMap<string, Marker>>();

function markersOf(found: FoundState, database: string): ReadonlyMap<string, Marker> {
  const markers = found.databases.get(database)?.markers ?? [];
  let index = indexes.get(markers);
  if (index === undefined) {
    indexes.set(markers, index = new Map(markers.map((one) => [one.id, one])));
  }
  return index;
}

/** The corrections to the ledger, and the migrations to adopt. Empty if everything agrees. */
export function corrections(registry: Registry, found: FoundState): Correction[] {
  return registry.migrations.flatMap((migration): Correction[] => {
    if (found.databases.get(migration.database)?.unreadable !== undefined) return [];
    const row = found.ledger.history.get(migration.id);
    const marker = markersOf(found, migration.database).get(migration.id);
    if (marker !== undefined && isReplaceable(migration, found)) {
      return [{ kind: "replace", migration, marker }];
    }
    if (marker !== undefined) {
      // Also correct an interrupted rollback, which would otherwise be taken for a finished one later.
      const agrees = row?.status === "applied" && row.name === marker.name &&
        !found.ledger.interruptedDowngrades.has(migration.id);
      return agrees ? [] : [{ kind: "record", migration, marker }];
    }
    const state = found.databases.get(migration.database);
    if (state?.adoptable.includes(migration.id)) return [{ kind: "adopt", migration, row }];
    if (row?.status !== "applied") return [];
    return [{
      kind: found.ledger.interruptedDowngrades.has(migration.id) ? "finish_rollback" : "forget",
      migration,
      row,
    }];
  });
}

/** Ids of the migrations that corrections adopt, and of those whose ledger rows they correct. */
export function summarize(
  wrong: readonly Correction[],
): { adopted: readonly string[]; reconciled: readonly string[] } {
  const ids = (adopting: boolean) =>
    wrong.filter(({ kind }) => (kind === "adopt" || kind === "replace") === adopting)
      .map(({ migration }) => migration.id);
  return { adopted: ids(true), reconciled: ids(false) };
}

/** The migrations in a database, in the order in which they were applied. */
export function migrationsIn(registry: Registry, found: FoundState, database: string): Migration[] {
  const state = found.databases.get(database);
  return [
    ...migrationsOfMarkers(registry, database, state?.markers ?? []),
    ...migrationsOf(registry, database, state?.adoptable ?? []),
  ];
}

/** The migrations of a database with the given ids, in that order. */
export function migrationsOf(
  registry: Registry,
  database: string,
  ids: readonly string[],
): Migration[] {
  return ids.flatMap((id) => registry.byId.get(id) ?? [])
    .filter((migration) => migration.database === database);
}

/** A table that a migration would create but that exists with a different schema. */
export interface TableConflict {
  /** Name of the table. */
  readonly table: string;
  /** Id of the migration that creates it. */
  readonly migration: string;
  /** Summary of the differences: `4 columns missing, 4 extra, 7 checks differ`. */
  readonly summary: string;
  /** Each difference in plain words. */
  readonly differences: readonly string[];
}

/** A {@link TableConflict} with its database. */
export interface DatabaseConflict extends TableConflict {
  /** Name of the database. */
  readonly database: string;
  /** The conflict in one line. */
  readonly description: string;
}

/** The migrations of the markers; if a file is missing or broken, the migration as stored in the marker. */
export function migrationsOfMarkers(
  registry: Registry,
  database: string,
  markers: readonly Marker[],
): Migration[] {
  return markers.map(({ id, name, upgradeSql }) => {
    const known = registry.byId.get(id);
    if (known?.database === database) return known;
    const lost = (): never => {
      throw new Error(`the file of ${name} is missing, and the database does not store its SQL`);
    };
    return { id, name, database, upgrade: upgradeSql ?? lost };
  });
}
